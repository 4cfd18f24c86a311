//! The service of `crates/verify/examples/axum.rs`, which cargo builds with all tests of the workspace.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use reqwest::Method;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::client::client_builder;
use super::faketime;
use super::ports::free_port;

/// A running service, with a clock of its own. Dropping it kills the process.
pub(crate) struct ExampleService {
    pub(crate) address: String,
    child: Child,
    folder: TempDir,
    client: reqwest::Client,
}

/// A response of the service: the status, the challenge and the text.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) challenge: String,
    pub(crate) text: String,
}

impl Reply {
    /// The body, if it is JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }
}

impl ExampleService {
    /// Starts a service for the tokens of `issuer`, whose clocks are off by so many seconds.
    pub(crate) fn start(issuer: &str, clock_offset: i32) -> Self {
        let program = Path::new(env!("CARGO_BIN_EXE_signet")).with_file_name("examples").join("axum");
        assert!(program.is_file(), "{} is missing: cargo builds it with the workspace", program.display());
        let folder = tempfile::tempdir().unwrap();
        let address = format!("127.0.0.1:{}", free_port());
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(program).env("ISSUER", issuer).env("LISTEN", &address);
        if clock_offset != 0 {
            command.env("LD_PRELOAD", faketime::library()).env("FAKETIME_TIMESTAMP_FILE", clock_file(&folder));
            // The monotonic clock too: with another offset, time has passed for both.
            command.env("FAKETIME_NO_CACHE", "1");
            faketime::set_offset(&clock_file(&folder), clock_offset);
        }
        let child = command.stdin(Stdio::null()).spawn().expect("the service starts");
        let client = client_builder().build().unwrap();
        Self { address, child, folder, client }
    }

    /// Changes the offset of a clock that has one.
    pub(crate) fn set_clock_offset(&self, seconds: i32) {
        assert!(clock_file(&self.folder).exists(), "the service was started with an offset");
        faketime::set_offset(&clock_file(&self.folder), seconds);
    }

    /// Stops the process: its connections stay open and nothing in it runs.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Resumes the process.
    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it is a child of this process");
    }

    /// Sends a request with this token; `None` if the service does not listen yet.
    pub(crate) async fn send(&self, method: Method, path: &str, token: &str) -> Option<Reply> {
        let request = self.client.request(method, format!("http://{}{path}", self.address)).bearer_auth(token);
        let response = request.send().await.ok()?;
        let challenge = response.headers().get("www-authenticate").map(|value| value.to_str().unwrap().to_owned());
        let status = response.status().as_u16();
        Some(Reply { status, challenge: challenge.unwrap_or_default(), text: response.text().await.unwrap() })
    }

    /// The verdict of the service on a token: the `type` of the problem, or `accepted`.
    pub(crate) async fn result(&self, token: &str) -> String {
        match self.send(Method::GET, "/me", token).await {
            Some(reply) if reply.status == 200 => "accepted".to_owned(),
            Some(reply) => reply.json()["type"].as_str().unwrap_or_default().to_owned(),
            None => String::new(),
        }
    }

    /// The time since its knowledge of revocations was complete, in seconds, as it reports it.
    pub(crate) async fn staleness(&self) -> f64 {
        let reply = self.send(Method::GET, "/healthz", "").await.expect("the service listens");
        reply.json()["staleness"].as_f64().expect("it has read the feed")
    }
}

impl Drop for ExampleService {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // It may have ended early: then it says why on stderr.
            println!("the service at {}: {:?}", self.address, self.child.try_wait());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn clock_file(folder: &TempDir) -> PathBuf {
    folder.path().join("clock")
}
