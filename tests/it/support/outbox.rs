//! The mails that a Signet without an SMTP server leaves in its outbox, as their readers see them.

use std::path::{Path, PathBuf};

use super::server::TestServer;
use super::until;

/// A mail.
#[derive(Clone, Debug)]
pub(crate) struct Mail {
    pub(crate) whole: String,
}

impl Mail {
    /// A header field's value.
    pub(crate) fn header(&self, name: &str) -> &str {
        let head = self.whole.split("\r\n\r\n").next().unwrap_or_default();
        let line =
            head.split("\r\n").find_map(|line| line.split_once(": ").filter(|(it, _)| it.eq_ignore_ascii_case(name)));
        line.map_or("", |(_, value)| value)
    }

    /// The lines of the text part, which stand in the file as their reader sees them but for its soft breaks.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.whole.replace("=\r\n", "").replace("=3D", "=").split("\r\n").map(str::to_owned).collect()
    }

    /// The code: six digits alone on a line.
    #[track_caller]
    pub(crate) fn code(&self) -> String {
        let is_one = |line: &&String| line.len() == 6 && line.bytes().all(|byte| byte.is_ascii_digit());
        self.lines().iter().find(is_one).unwrap_or_else(|| panic!("no code: {}", self.whole)).clone()
    }

    /// The link: alone on a line.
    #[track_caller]
    pub(crate) fn link(&self) -> String {
        let is_one = |line: &&String| line.starts_with("http") && !line.contains(' ');
        self.lines().iter().find(is_one).unwrap_or_else(|| panic!("no link: {}", self.whole)).clone()
    }

    /// The token in the link: what its query says, or else its last segment.
    #[track_caller]
    pub(crate) fn token(&self) -> String {
        let link = self.link();
        let token = link.split_once("token=").map(|(_, token)| token);
        token.or(link.rsplit('/').next()).expect("a link has segments").to_owned()
    }
}

/// All mails so far to an address, the oldest first.
pub(crate) fn mails(server: &TestServer, to: &str) -> Vec<Mail> {
    mails_in(&server.signet.data(), to)
}

/// The same, where no program runs but a node of the test's own.
pub(crate) fn mails_in(data: &Path, to: &str) -> Vec<Mail> {
    let Ok(folder) = std::fs::read_dir(data.join("outbox")) else { return Vec::new() };
    let mut files: Vec<PathBuf> = folder.map(|file| file.expect("it is readable").path()).collect();
    files.retain(|file| file.extension().is_some_and(|kind| kind == "eml"));
    files.sort();
    let each = files.iter().map(|file| Mail { whole: std::fs::read_to_string(file).expect("it is whole") });
    each.filter(|mail| mail.header("to").contains(to)).collect()
}

/// The mail after the first `before` to an address, as soon as it is there.
pub(crate) async fn next(server: &TestServer, to: &str, before: usize) -> Mail {
    let mut found = None;
    until(&format!("mail number {} comes to {to}", before + 1), async || {
        found = mails(server, to).into_iter().nth(before);
        found.is_some()
    })
    .await;
    found.expect("it was waited for")
}

/// Waits until no mail is on its way any more: what is not in the outbox then was never written.
pub(crate) async fn settled(server: &TestServer) {
    until("all mails are sent", async || server.ops("/metrics").await.text.contains("\nsignet_mail_queue 0\n")).await;
}
