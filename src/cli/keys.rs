//! `signet keys`.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use serde::Serialize;
use zeroize::Zeroizing;

use super::arguments::Keys;
use super::output::{Columns, Output, or_dash};
use super::{CliError, House};
use crate::clock::Timestamp;

/// A signing key as it is shown.
#[derive(Clone, Debug, Serialize)]
pub struct Key {
    /// Its id.
    pub kid: String,
    /// `announced`, `signing`, `verify-only` or `revoked`.
    pub state: &'static str,
    /// Since when it is in the JWKS.
    pub announced_at: Timestamp,
    /// From when it signs, or has signed.
    pub signs_from: Option<Timestamp>,
    /// Until when its tokens can be valid, once that is known.
    pub verifies_until: Option<Timestamp>,
}

const COLUMNS: Columns<Key> = &[
    ("kid", |key| key.kid.clone()),
    ("state", |key| key.state.to_owned()),
    ("announced", |key| key.announced_at.to_string()),
    ("signs from", |key| or_dash(key.signs_from)),
    ("verifies until", |key| or_dash(key.verifies_until)),
];

pub(super) async fn run(command: Keys, house: &dyn House, output: &mut Output<'_>) -> Result<(), CliError> {
    let absent = |kid: &str| CliError::Absent { what: "signing key", name: kid.to_owned() };
    match command {
        Keys::List => output.rows(&house.keys().await?, COLUMNS),
        Keys::Rotate => output.one(&house.rotate_keys().await?, COLUMNS),
        Keys::Revoke { kid } => output.one(&house.revoke_key(&kid).await?.ok_or_else(|| absent(&kid))?, COLUMNS),
        Keys::Import { file } => output.one(&house.import_key(&read(&file)?).await?, COLUMNS),
        Keys::Export { kid } => {
            let pem = house.export_key(&kid).await?.ok_or_else(|| absent(&kid))?;
            if output.is_json() {
                return output.json(&serde_json::json!({"kid": kid, "pem": pem.as_str()}));
            }
            output.text(pem.as_bytes())
        }
    }
}

fn read(file: &Path) -> Result<Zeroizing<String>, CliError> {
    let mut text = Zeroizing::new(String::new());
    if file == Path::new("-") {
        io::stdin().read_to_string(&mut text).map_err(CliError::io("reading the key"))?;
    } else {
        *text = fs::read_to_string(file).map_err(CliError::io(format!("reading {}", file.display())))?;
    }
    Ok(text)
}
