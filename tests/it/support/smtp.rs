//! A real mail server that keeps what it took, and a reader of mails that is not ours: Python's (see `mail.py`).
//!
//! Start it from the test itself, not from a task: the kernel kills it when the thread that started it ends.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::redis::certify;
use super::{fed, wait_until};

const PATIENCE: Duration = Duration::from_secs(20);

/// What a server is started with.
#[derive(Clone, Default)]
pub(crate) struct Options {
    tls: Option<Arc<TempDir>>,
    words: Vec<String>,
    account: Option<(String, String)>,
}

impl Options {
    /// STARTTLS before anything else, with a certificate for 127.0.0.1 and localhost by an authority of its own: [`Server::ca`].
    pub(crate) fn starttls(mut self) -> Self {
        let dir = TempDir::new().expect("a temporary folder");
        certify(dir.path());
        let file = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
        self.words.extend(["--certificate".into(), file("cert.pem"), "--key".into(), file("key.pem")]);
        self.tls = Some(Arc::new(dir));
        self
    }

    /// TLS from the first byte.
    pub(crate) fn tls_first(self) -> Self {
        let mut options = self.starttls();
        options.words.push("--tls-first".into());
        options
    }

    /// Takes mails from this user only.
    pub(crate) fn account(mut self, user: &str, password: &str) -> Self {
        self.words.extend(["--user".into(), user.into(), "--password".into(), password.into()]);
        self.account = Some((user.into(), password.into()));
        self
    }

    /// Does not know SMTPUTF8.
    pub(crate) fn ascii_only(mut self) -> Self {
        self.words.push("--no-utf8".into());
        self
    }

    pub(crate) fn start(self) -> Server {
        let (said, asked) = (Arc::default(), AtomicUsize::new(0));
        let mut server = Server { options: self, port: 0, child: None, refusal: None, said, asked };
        assert!(server.try_start(), "the mail server does not start");
        server
    }
}

/// A mail server on 127.0.0.1. What comes before the @ of an address says how it is treated: see `mail.py`.
pub(crate) struct Server {
    options: Options,
    port: u16,
    child: Option<Child>,
    /// What it says to every address instead of taking a mail for it.
    refusal: Option<String>,
    said: Arc<Mutex<Vec<Value>>>,
    asked: AtomicUsize,
}

/// A mail, as Python reads it.
#[derive(Clone, Debug)]
pub(crate) struct Letter(pub(crate) Value);

impl Server {
    /// Without TLS, and for everybody.
    pub(crate) fn start() -> Self {
        Options::default().start()
    }

    pub(crate) fn options() -> Options {
        Options::default()
    }

    /// The authority that signed the certificate.
    pub(crate) fn ca(&self) -> PathBuf {
        self.options.tls.as_ref().expect("it has a certificate").path().join("ca.pem")
    }

    /// Its address, with what a client must say to be let in.
    pub(crate) fn url(&self) -> String {
        let first = self.options.words.iter().any(|word| word == "--tls-first");
        let scheme = if first { "smtps" } else { "smtp" };
        let account = self.options.account.as_ref().map(|(user, password)| format!("{user}:{password}@"));
        let tls = if self.options.tls.is_some() { "" } else { "?tls=none" };
        format!("{scheme}://{}127.0.0.1:{}{tls}", account.unwrap_or_default(), self.port)
    }

    /// The mails that it took so far, with what it knows of how they came.
    pub(crate) fn taken(&self) -> Vec<Value> {
        self.said().into_iter().filter(|line| line["mail"].is_object()).collect()
    }

    /// Whether it has said to somebody that he should come back, or has left him hanging.
    pub(crate) fn has(&self, what: &str, address: &str) -> bool {
        self.said().iter().any(|line| line[what] == address)
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it can be killed");
            child.wait().expect("it is ours");
        }
    }

    /// Starts it again after [`Self::kill`], on the same port.
    pub(crate) fn restart(&mut self) {
        wait_until("the old port is free and the server up", PATIENCE, || self.try_start());
    }

    /// Where it listens, or did before it was killed.
    pub(crate) fn address(&self) -> (&'static str, u16) {
        ("127.0.0.1", self.port)
    }

    /// Is another one from now on, on the same port, that takes no mail and says this instead.
    pub(crate) fn refuse(&mut self, saying: &str) {
        self.kill();
        self.refusal = Some(saying.to_owned());
        self.restart();
    }

    /// Takes mails again, whatever it was before.
    pub(crate) fn accept(&mut self) {
        self.kill();
        self.refusal = None;
        self.restart();
    }

    /// All that it has said until now: it is asked to say one thing more, which comes last.
    fn said(&self) -> Vec<Value> {
        let heard = || self.said.lock().expect("nobody panics with it").clone();
        if let Some(mut stdin) = self.child.as_ref().and_then(|child| child.stdin.as_ref()) {
            let number = self.asked.fetch_add(1, Ordering::Relaxed);
            writeln!(stdin, "{number}").expect("it listens");
            wait_until("it says what it is told", PATIENCE, || heard().iter().any(|line| line["told"] == number));
        }
        heard()
    }

    fn try_start(&mut self) -> bool {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).args(python()).arg("serve").args(&self.options.words);
        command.args(self.refusal.iter().flat_map(|refusal| ["--refuse", refusal]));
        command.args(["--port", &self.port.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("setpriv starts Python: apt-get install util-linux");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines().map_while(Result::ok);
        self.child = Some(child);
        let Some(first) = lines.next() else { return false };
        let first: Value = serde_json::from_str(&first).expect("it says JSON");
        self.port = first["listening"].as_u64().expect("it says where it listens") as u16;
        let said = self.said.clone();
        std::thread::spawn(move || {
            for line in lines {
                said.lock().expect("nobody panics with it").push(serde_json::from_str(&line).expect("it says JSON"));
            }
        });
        true
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Letter {
    /// A mail as it lies in the outbox.
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let mut words = python().into_iter();
        let mut command = Command::new(words.next().expect("a program"));
        command.args(words).arg("read");
        let text = std::str::from_utf8(bytes).expect("mails are text");
        let output = fed(command, text);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Self(serde_json::from_slice(&output.stdout).expect("it says JSON"))
    }

    /// All headers of a name.
    pub(crate) fn headers(&self, name: &str) -> Vec<&str> {
        let all = self.0["headers"].as_array().expect("a mail has headers").iter();
        let named = all.filter(|header| header[0].as_str().is_some_and(|it| it.eq_ignore_ascii_case(name)));
        named.map(|header| header[1].as_str().expect("a header is text")).collect()
    }

    /// A header that there must be once.
    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers(name);
        assert_eq!(found.len(), 1, "{name}: {}", self.0);
        found[0]
    }

    pub(crate) fn text(&self) -> &str {
        self.part("text/plain")["text"].as_str().expect("it is text")
    }

    pub(crate) fn html(&self) -> &str {
        self.part("text/html")["text"].as_str().expect("it is text")
    }

    pub(crate) fn part(&self, kind: &str) -> &Value {
        let parts = self.0["parts"].as_array().expect("a mail has parts");
        parts.iter().find(|part| part["type"] == kind).expect("there is such a part")
    }
}

fn python() -> Vec<PathBuf> {
    let tools = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it is in the target folder").join("tools");
    let python = tools.join("venv/bin/python");
    assert!(python.exists(), "{} is missing: `./test` installs it", python.display());
    vec![python, Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/mail.py")]
}
