//! A real SMTP server that records the mails it accepts, and an independent parser of mails: Python's (see `mail.py`).
//!
//! Start it from the test itself, not from a task: the kernel kills it when the thread that started it ends.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::ports::free_port;
use super::redis::write_certificates;
use super::wait_until;

const TIMEOUT: Duration = Duration::from_secs(60);

/// Settings of a server.
#[derive(Clone, Default)]
pub(crate) struct Options {
    tls: Option<Arc<TempDir>>,
    arguments: Vec<String>,
    account: Option<(String, String)>,
}

impl Options {
    /// Requires STARTTLS, with a certificate for 127.0.0.1 and localhost from a private CA: [`Server::ca`].
    pub(crate) fn starttls(mut self) -> Self {
        let dir = TempDir::new().expect("a temporary folder");
        write_certificates(dir.path());
        let file = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
        self.arguments.extend(["--certificate".into(), file("cert.pem"), "--key".into(), file("key.pem")]);
        self.tls = Some(Arc::new(dir));
        self
    }

    /// TLS from the first byte.
    pub(crate) fn tls_first(self) -> Self {
        let mut options = self.starttls();
        options.arguments.push("--tls-first".into());
        options
    }

    /// Accepts mails from this user only.
    pub(crate) fn account(mut self, user: &str, password: &str) -> Self {
        self.arguments.extend(["--user".into(), user.into(), "--password".into(), password.into()]);
        self.account = Some((user.into(), password.into()));
        self
    }

    /// Does not support SMTPUTF8.
    pub(crate) fn ascii_only(mut self) -> Self {
        self.arguments.push("--no-utf8".into());
        self
    }

    pub(crate) fn start(self) -> Server {
        let (reports, sync_requests) = (Arc::default(), AtomicUsize::new(0));
        let port = free_port();
        let mut server = Server { options: self, port, child: None, refusal: None, reports, sync_requests };
        assert!(server.try_start(), "the mail server does not start");
        server
    }
}

/// An SMTP server on 127.0.0.1. The local part of an address selects how it is treated: see `mail.py`.
pub(crate) struct Server {
    options: Options,
    port: u16,
    child: Option<Child>,
    /// The command that it refuses, as an option of `mail.py`, and its reply.
    refusal: Option<(&'static str, String)>,
    reports: Arc<Mutex<Vec<Value>>>,
    sync_requests: AtomicUsize,
}

/// A mail as Python parses it.
#[derive(Clone, Debug)]
pub(crate) struct ParsedMail(pub(crate) Value);

impl Server {
    /// A server without TLS and authentication.
    pub(crate) fn start() -> Self {
        Options::default().start()
    }

    pub(crate) fn options() -> Options {
        Options::default()
    }

    /// The CA certificate.
    pub(crate) fn ca(&self) -> PathBuf {
        self.options.tls.as_ref().expect("it has a certificate").path().join("ca.pem")
    }

    /// The URL, including the credentials that a client needs.
    pub(crate) fn url(&self) -> String {
        let first = self.options.arguments.iter().any(|word| word == "--tls-first");
        let scheme = if first { "smtps" } else { "smtp" };
        let account = self.options.account.as_ref().map(|(user, password)| format!("{user}:{password}@"));
        let tls = if self.options.tls.is_some() { "" } else { "?tls=none" };
        format!("{scheme}://{}127.0.0.1:{}{tls}", account.unwrap_or_default(), self.port)
    }

    /// The mails accepted so far, with the details of their SMTP sessions.
    pub(crate) fn accepted(&self) -> Vec<Value> {
        self.reports().into_iter().filter(|line| line["mail"].is_object()).collect()
    }

    /// True if the server has reported this event (`put_off` or `hung`) for this address.
    pub(crate) fn has(&self, event: &str, address: &str) -> bool {
        self.reports().iter().any(|line| line[event] == address)
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("the process can be killed");
            child.wait().expect("it is a child of this process");
        }
    }

    /// Starts the server again after [`Self::kill`], on the same port.
    pub(crate) fn restart(&mut self) {
        wait_until("the old port is free and the server up", TIMEOUT, || self.try_start());
    }

    /// The address, which stays the same after a restart.
    pub(crate) fn address(&self) -> (&'static str, u16) {
        ("127.0.0.1", self.port)
    }

    /// Restarts the server so that it refuses every recipient with this reply.
    pub(crate) fn refuse(&mut self, reply: &str) {
        self.refuse_at("--refuse", reply);
    }

    /// Restarts the server so that it refuses with this reply what the option of `mail.py` names.
    pub(crate) fn refuse_at(&mut self, option: &'static str, reply: &str) {
        self.kill();
        self.refusal = Some((option, reply.to_owned()));
        self.restart();
    }

    /// Restarts the server so that this is the password of its user. [`Self::url`] keeps the first one.
    pub(crate) fn change_password(&mut self, password: &str) {
        self.kill();
        let arguments = &mut self.options.arguments;
        let option = arguments.iter().position(|word| word == "--password").expect("it has an account");
        password.clone_into(&mut arguments[option + 1]);
        self.restart();
    }

    /// The number of logins that it has refused since its first start.
    pub(crate) fn refused_logins(&self) -> usize {
        self.reports().iter().filter(|line| line["refused_login"].is_string()).count()
    }

    /// Restarts the server so that it accepts mails.
    pub(crate) fn accept(&mut self) {
        self.kill();
        self.refusal = None;
        self.restart();
    }

    /// All reports so far. Requests one more report, which comes after all earlier ones.
    fn reports(&self) -> Vec<Value> {
        let current = || self.reports.lock().expect("no panic while locked").clone();
        if let Some(mut stdin) = self.child.as_ref().and_then(|child| child.stdin.as_ref()) {
            let number = self.sync_requests.fetch_add(1, Ordering::Relaxed);
            writeln!(stdin, "{number}").expect("the server reads stdin");
            wait_until("the server echoes the number", TIMEOUT, || current().iter().any(|line| line["echo"] == number));
        }
        current()
    }

    fn try_start(&mut self) -> bool {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).args(python()).arg("serve").args(&self.options.arguments);
        command.args(self.refusal.iter().flat_map(|(option, reply)| [*option, reply]));
        command.args(["--port", &self.port.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("setpriv starts Python: apt-get install util-linux");
        let mut lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines().map_while(Result::ok);
        self.child = Some(child);
        let Some(first) = lines.next() else { return false };
        let first: Value = serde_json::from_str(&first).expect("the line is JSON");
        self.port = first["listening"].as_u64().expect("the first line has the port") as u16;
        let reports = self.reports.clone();
        std::thread::spawn(move || {
            for line in lines {
                reports
                    .lock()
                    .expect("no panic while locked")
                    .push(serde_json::from_str(&line).expect("the line is JSON"));
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

impl ParsedMail {
    /// Parses a mail from the outbox. One process parses all mails of a test, because Python takes longer to start than
    /// to parse a letter.
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        assert!(std::str::from_utf8(bytes).is_ok(), "mails are text");
        PARSER.with_borrow_mut(|parser| Self(parser.get_or_insert_with(Parser::start).parse(bytes)))
    }

    /// All values of a header field.
    pub(crate) fn headers(&self, name: &str) -> Vec<&str> {
        let all = self.0["headers"].as_array().expect("a mail has headers").iter();
        let named = all.filter(|header| header[0].as_str().is_some_and(|it| it.eq_ignore_ascii_case(name)));
        named.map(|header| header[1].as_str().expect("a header is text")).collect()
    }

    /// The value of a header field that must occur once.
    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers(name);
        assert_eq!(found.len(), 1, "{name}: {}", self.0);
        found[0]
    }

    pub(crate) fn text(&self) -> &str {
        self.part("text/plain")["text"].as_str().expect("the part is text")
    }

    pub(crate) fn html(&self) -> &str {
        self.part("text/html")["text"].as_str().expect("the part is text")
    }

    pub(crate) fn part(&self, kind: &str) -> &Value {
        let parts = self.0["parts"].as_array().expect("a mail has parts");
        parts.iter().find(|part| part["type"] == kind).expect("the mail has such a part")
    }
}

thread_local! {
    static PARSER: RefCell<Option<Parser>> = const { RefCell::new(None) };
}

/// A process that parses mails.
struct Parser {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Parser {
    fn start() -> Self {
        let mut arguments = python().into_iter();
        let mut command = Command::new(arguments.next().expect("a program"));
        command.args(arguments).arg("read").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("Python starts");
        let input = child.stdin.take().expect("stdin is piped");
        let output = BufReader::new(child.stdout.take().expect("stdout is piped"));
        Self { child, input, output }
    }

    /// The length of a mail precedes it, and its result is a line.
    fn parse(&mut self, mail: &[u8]) -> Value {
        let message = [format!("{}\n", mail.len()).as_bytes(), mail].concat();
        self.input.write_all(&message).expect("the parser reads stdin");
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the parser prints text");
        serde_json::from_str(&line).expect("the line is JSON")
    }
}

impl Drop for Parser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn python() -> Vec<PathBuf> {
    let tools = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it is in the target folder").join("tools");
    let python = tools.join("venv/bin/python");
    assert!(python.exists(), "{} is missing: `./test` installs it", python.display());
    vec![python, Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/mail.py")]
}
