//! Mails in the outbox of a Signet without an SMTP server, decoded as far as tests need.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::server::TestServer;
use super::until;

/// A mail.
#[derive(Clone, Debug)]
pub(crate) struct Mail {
    pub(crate) source: String,
}

impl Mail {
    /// The value of a header field, empty if it is missing.
    pub(crate) fn header(&self, name: &str) -> &str {
        let head = self.source.split("\r\n\r\n").next().unwrap_or_default();
        let line =
            head.split("\r\n").find_map(|line| line.split_once(": ").filter(|(it, _)| it.eq_ignore_ascii_case(name)));
        line.map_or("", |(_, value)| value)
    }

    /// The lines of the file with soft line breaks undone, so that those of the text part read as in a mail client.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.source.replace("=\r\n", "").replace("=3D", "=").split("\r\n").map(str::to_owned).collect()
    }

    /// The code: six digits alone on a line.
    #[track_caller]
    pub(crate) fn code(&self) -> String {
        let is_match = |line: &&String| line.len() == 6 && line.bytes().all(|byte| byte.is_ascii_digit());
        self.lines().iter().find(is_match).unwrap_or_else(|| panic!("no code: {}", self.source)).clone()
    }

    /// The link: alone on a line.
    #[track_caller]
    pub(crate) fn link(&self) -> String {
        let is_match = |line: &&String| line.starts_with("http") && !line.contains(' ');
        self.lines().iter().find(is_match).unwrap_or_else(|| panic!("no link: {}", self.source)).clone()
    }

    /// The token in the link: its query parameter, or else its last path segment.
    #[track_caller]
    pub(crate) fn token(&self) -> String {
        let link = self.link();
        let token = link.split_once("token=").map(|(_, token)| token);
        token.or(link.rsplit('/').next()).expect("a link has segments").to_owned()
    }
}

/// All mails to an address so far, the oldest first.
pub(crate) fn mails(server: &TestServer, to: &str) -> Vec<Mail> {
    mails_in(&server.signet.data_dir(), to)
}

/// The same for an in-process node with this data folder.
pub(crate) fn mails_in(data: &Path, to: &str) -> Vec<Mail> {
    let Ok(folder) = std::fs::read_dir(data.join("outbox")) else { return Vec::new() };
    let mut files: Vec<PathBuf> = folder.map(|file| file.expect("the folder is readable").path()).collect();
    files.retain(|file| file.extension().is_some_and(|kind| kind == "eml"));
    files.sort();
    let mut read = READ.lock().expect("no mail before was unreadable");
    let to_address = |file| {
        let (address, mail) = read.entry(file).or_insert_with_key(|file| {
            let mail = Mail { source: std::fs::read_to_string(file).expect("the mail is readable text") };
            (mail.header("to").to_owned(), mail)
        });
        address.contains(to).then(|| mail.clone())
    };
    files.into_iter().filter_map(to_address).collect()
}

/// The mails read so far, with their recipients. A file is complete when it has its name and never changes, and tests
/// poll outboxes of hundreds of files.
static READ: Mutex<BTreeMap<PathBuf, (String, Mail)>> = Mutex::new(BTreeMap::new());

/// Waits for the mail that follows the first `before` mails to an address.
pub(crate) async fn wait_for_mail(server: &TestServer, to: &str, before: usize) -> Mail {
    let mut found = None;
    until(&format!("mail number {} to {to} arrives", before + 1), async || {
        found = mails(server, to).into_iter().nth(before);
        found.is_some()
    })
    .await;
    found.expect("the mail has arrived")
}

/// Waits until the mail queue is empty. A mail that is not in the outbox then was never written.
pub(crate) async fn wait_until_queue_is_empty(server: &TestServer) {
    until("all mails are sent", async || {
        server.get_management("/metrics").await.text.contains("\nsignet_mail_queue 0\n")
    })
    .await;
}
