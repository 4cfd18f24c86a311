//! Searches logs, metrics and stored files for secrets, each in plain and in every encoding.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::UsedSecrets;
use crate::support::server::TestServer;

/// Everything that is searched: names and contents.
#[derive(Default)]
pub(super) struct SearchedFiles(pub(super) Vec<(String, Vec<u8>)>);

impl SearchedFiles {
    pub(super) async fn of(server: &TestServer) -> Self {
        let mut searched = Self::default();
        let log = server.signet.log();
        assert!(log.lines().count() > 5 && log.contains("DEBUG"), "the log is not verbose: {log}");
        searched.0.push(("the log".into(), log.into_bytes()));
        searched.0.push(("the metrics".into(), server.get_management("/metrics").await.text.into_bytes()));
        searched.0.push(("readiness".into(), server.get_management("/readyz").await.text.into_bytes()));
        searched.files(&server.signet.data_dir(), &["outbox", "secret"]);
        searched
    }

    /// Adds every file in a folder, except those with these names. Running servers rename and delete files meanwhile:
    /// Postgres its write-ahead log, for example. What has gone is in no file of this name.
    pub(super) fn files(&mut self, folder: &Path, excluded: &[&str]) {
        for entry in std::fs::read_dir(folder).expect("it is a folder") {
            let entry = entry.expect("it is readable");
            let (path, name) = (entry.path(), entry.file_name());
            let kind = entry.file_type().expect("it is readable");
            if kind.is_dir() && !excluded.iter().any(|it| name == *it) {
                self.files(&path, excluded);
            } else if kind.is_file() && !excluded.iter().any(|it| name == *it) {
                match std::fs::read(&path) {
                    Ok(bytes) => self.0.push((path.to_string_lossy().into_owned(), bytes)),
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    Err(error) => panic!("{}: {error}", path.display()),
                }
            }
        }
    }

    pub(super) fn assert_contain_none_of(&self, secrets: &UsedSecrets) {
        let mut forms: HashMap<[u8; 6], Vec<(&str, Vec<u8>)>> = HashMap::new();
        for (what, form) in
            secrets.0.iter().flat_map(|(what, secret)| encodings(secret).into_iter().map(move |form| (what, form)))
        {
            let prefix = form[..6].try_into().expect("it is six");
            forms.entry(prefix).or_default().push((what, form));
        }
        // Check two bytes first, because a look-up in the map for every byte would be slow.
        let mut possible = vec![false; 1 << 16];
        forms.keys().for_each(|prefix| possible[usize::from(prefix[0]) << 8 | usize::from(prefix[1])] = true);
        for (name, bytes) in &self.0 {
            for at in 0..bytes.len().saturating_sub(5) {
                if !possible[usize::from(bytes[at]) << 8 | usize::from(bytes[at + 1])] {
                    continue;
                }
                let prefix: [u8; 6] = bytes[at..at + 6].try_into().expect("it is six");
                for (what, form) in forms.get(&prefix).into_iter().flatten() {
                    let matches = bytes[at..].starts_with(form);
                    // Six digits occur in many numbers, and in any file that is large enough.
                    let stands_alone =
                        |near: Option<&u8>| near.is_none_or(|byte| !byte.is_ascii_alphanumeric() && *byte != b'.');
                    let code = form.len() == CODE_LENGTH;
                    let stands_alone = stands_alone(at.checked_sub(1).and_then(|at| bytes.get(at)))
                        && stands_alone(bytes.get(at + form.len()));
                    let around = String::from_utf8_lossy(&bytes[at.saturating_sub(100)..(at + 100).min(bytes.len())]);
                    assert!(!matches || (code && !stands_alone), "{name} contains {what}: {around}");
                }
            }
        }
    }
}

/// The length of a mailed code. Its six digits may occur by chance; its encodings are long enough not to.
const CODE_LENGTH: usize = 6;

/// Every value of every row of a SQLite file. In the file itself adjacent values touch, so that a code would not stand
/// alone.
pub(super) fn sqlite_values(file: &Path) -> Vec<(String, Vec<u8>)> {
    use rusqlite::types::ValueRef;
    let open = rusqlite::Connection::open(file).expect("the file is there");
    open.busy_timeout(std::time::Duration::from_secs(10)).expect("it can wait");
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table'";
    let mut tables = open.prepare(tables).expect("it has a schema");
    let tables = tables.query_map([], |row| row.get::<_, String>(0)).expect("it reads");
    let mut sqlite_values = Vec::new();
    for table in tables.map(|name| name.expect("it is text")) {
        let mut rows = open.prepare(&format!("SELECT * FROM \"{table}\"")).expect("it reads");
        let columns = rows.column_names().map(str::to_owned).collect::<Vec<_>>();
        let mut rows = rows.query([]).expect("it reads");
        while let Some(row) = rows.next().expect("it reads") {
            for (at, column) in columns.iter().enumerate() {
                let value = match row.get_ref(at).expect("it is there") {
                    ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.to_vec(),
                    ValueRef::Integer(number) => number.to_string().into_bytes(),
                    ValueRef::Null | ValueRef::Real(_) => continue,
                };
                sqlite_values.push((format!("{table}.{column}"), value));
            }
        }
    }
    sqlite_values
}

/// A secret in plain and in every encoding.
fn encodings(secret: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = vec![secret.to_vec()];
    let hex = secret.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let percent = |byte: &u8| match byte {
        byte if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) => char::from(*byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    forms.extend([hex.to_uppercase().into_bytes(), hex.into_bytes(), format!("{secret:?}").into_bytes()]);
    forms.push(secret.iter().map(percent).collect::<String>().into_bytes());
    forms.dedup();
    // For every alignment, the base64 characters that depend on the secret alone.
    for shift in 0..3 {
        let bytes = [&[0; 2][..shift], secret].concat();
        for text in [STANDARD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
            forms.push(text.as_bytes()[(shift * 4).div_ceil(3)..bytes.len() * 4 / 3].to_vec());
        }
    }
    forms
}
