//! Signet as its operators start it: the program, its settings in the environment, a folder of its own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;

use serde_json::Value;
use tempfile::TempDir;

use super::process::{Process, pinned};
use super::{folder, free_port};

/// A fleet's secret, where one is needed.
const SECRET: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// How a Signet is to be started: embedded, one worker, no limits (they would take the client for one very busy person),
/// tokens that outlast the bench. Clones share the folder.
#[derive(Clone)]
pub(crate) struct Plan {
    program: PathBuf,
    cores: String,
    settings: Vec<(String, String)>,
    folder: Rc<TempDir>,
}

impl Plan {
    pub(crate) fn new(program: &Path, cores: &str) -> Self {
        let plan = Self {
            program: program.to_owned(),
            cores: cores.to_owned(),
            settings: Vec::new(),
            folder: Rc::new(folder()),
        };
        plan.set("SIGNET_SERVER__WORKERS", "1")
            .set("SIGNET_LIMITS__ENABLED", "false")
            .set("SIGNET_API__NATIVE__ACCESS", "12h")
            // `iss` stands in tokens: it must not depend on a port.
            .set("SIGNET_SERVER__PUBLIC_URL", "http://127.0.0.1:8000")
    }

    /// With what expires in that Redis; what lasts stays embedded.
    pub(crate) fn on_redis(self, url: &str) -> Self {
        self.set("REDIS_URL", url).set("SIGNET_SECRET", SECRET)
    }

    pub(crate) fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.retain(|(known, _)| known != name);
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A setting as if it had never been named.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.settings.retain(|(known, _)| known != name);
        self
    }

    pub(crate) fn on(mut self, cores: &str) -> Self {
        self.cores = cores.to_owned();
        self
    }

    pub(crate) fn dir(&self) -> &Path {
        self.folder.path()
    }

    #[allow(clippy::disallowed_methods, reason = "PATH alone is handed on: nobody's settings may reach a measurement")]
    fn surroundings(&self, command: &mut Command) {
        command.env_clear().current_dir(self.dir()).env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("SIGNET_DATA_DIR", self.dir().join("data")).envs(self.settings.iter().cloned());
    }

    /// Runs a command beside the server, which must succeed, and gives what it prints.
    pub(crate) fn run(&self, words: &[&str]) -> String {
        let mut command = Command::new(&self.program);
        self.surroundings(&mut command);
        let output = command.args(words).stdin(Stdio::null()).output().expect("signet runs");
        assert!(output.status.success(), "signet {words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("it prints text")
    }

    /// The same with `--json`, read.
    pub(crate) fn json(&self, words: &[&str]) -> Value {
        serde_json::from_str(&self.run(&[&["--json"], words].concat())).expect("it prints JSON")
    }

    /// Opens sessions of as many users, and gives their tokens.
    pub(crate) fn seed(&self, sessions: usize) -> Vec<Seeded> {
        let file = self.dir().join("seeded.json");
        let (many, place) = (sessions.to_string(), file.display().to_string());
        self.run(&["seed", "--users", &many, "--sessions", &many, "--api-keys", "0", "--out", &place]);
        let mut data: Value =
            serde_json::from_slice(&std::fs::read(&file).expect("it was written")).expect("it is JSON");
        std::fs::remove_file(&file).expect("it is ours");
        serde_json::from_value(data["sessions"].take()).expect("the sessions are as loadtest/ has them")
    }

    /// Starts it, and waits until it listens.
    pub(crate) fn start(&self) -> Signet {
        let log = self.dir().join("log");
        let mut command = pinned(&self.cores, &self.program, &log);
        self.surroundings(&mut command);
        command.env("SIGNET_SERVER__LISTEN", "127.0.0.1:0");
        let management = free_port();
        command.env("SIGNET_SERVER__MANAGEMENT", format!("127.0.0.1:{management}"));
        command.stdout(Stdio::piped());
        let mut process = Process::start(command, &log);
        let mut line = String::new();
        BufReader::new(process.stdout()).read_line(&mut line).expect("it writes text");
        let address = line.trim().strip_prefix("listening on http://").and_then(|address| address.parse().ok());
        let address = address.unwrap_or_else(|| panic!("signet did not start: {line}\n{}", process.said()));
        Signet { process, address, management: SocketAddr::from(([127, 0, 0, 1], management)) }
    }
}

/// A running Signet.
pub(crate) struct Signet {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    pub(crate) management: SocketAddr,
}

/// A session as `signet seed` opened it.
#[derive(Clone, Debug, serde::Deserialize)]
pub(crate) struct Seeded {
    pub(crate) access_token: String,
    pub(crate) refresh_token: String,
}
