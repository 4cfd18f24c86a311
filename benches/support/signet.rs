//! Signet, started as operators start it: the program, settings in the environment, a data folder.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;

use serde_json::Value;
use tempfile::TempDir;

use super::http::{build_request, send};
use super::process::{Process, pinned_command};
use super::{free_port, temp_folder};

/// The secret of the fleet, for servers on Redis.
const SECRET: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// Where the server listens: on any port, unless a bench sets it.
const LISTEN: &str = "SIGNET_SERVER__LISTEN";

/// Settings for starting Signet. By default: embedded store, one worker, no rate limits (all load comes from one
/// client), and tokens that outlast the bench. Clones share the data folder.
#[derive(Clone)]
pub(crate) struct SignetSettings {
    program: PathBuf,
    cores: String,
    settings: Vec<(String, String)>,
    folder: Rc<TempDir>,
}

impl SignetSettings {
    pub(crate) fn new(program: &Path, cores: &str) -> Self {
        let settings = Self {
            program: program.to_owned(),
            cores: cores.to_owned(),
            settings: Vec::new(),
            folder: Rc::new(temp_folder()),
        };
        settings
            .set("SIGNET_SERVER__WORKERS", "1")
            .set("SIGNET_LIMITS__ENABLED", "false")
            .set("SIGNET_API__NATIVE__ACCESS", "12h")
            // Tokens contain `iss`, so it must not depend on a port.
            .set("SIGNET_SERVER__PUBLIC_URL", "http://127.0.0.1:8000")
    }

    /// Stores ephemeral state in Redis. Accounts stay in the embedded store.
    pub(crate) fn on_redis(self, url: &str) -> Self {
        self.set("REDIS_URL", url).set("SIGNET_SECRET", SECRET)
    }

    pub(crate) fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.retain(|(known, _)| known != name);
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Removes a setting, so that its default applies.
    pub(crate) fn unset(mut self, name: &str) -> Self {
        self.settings.retain(|(known, _)| known != name);
        self
    }

    pub(crate) fn on_cores(mut self, cores: &str) -> Self {
        self.cores = cores.to_owned();
        self
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    #[allow(
        clippy::disallowed_methods,
        reason = "passes on only PATH, so that no setting of the user affects a measurement"
    )]
    fn set_environment(&self, command: &mut Command) {
        command.env_clear().current_dir(self.folder()).env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("SIGNET_DATA_DIR", self.folder().join("data")).envs(self.settings.iter().cloned());
    }

    /// Runs a command of the command line, which must succeed. Returns its stdout.
    pub(crate) fn run_cli(&self, args: &[&str]) -> String {
        let mut command = Command::new(&self.program);
        self.set_environment(&mut command);
        let output = command.args(args).stdin(Stdio::null()).output().expect("signet runs");
        assert!(output.status.success(), "signet {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("the command prints text")
    }

    /// Runs a command with `--json` and parses its output.
    pub(crate) fn run_cli_json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.run_cli(&[&["--json"], args].concat())).expect("the command prints JSON")
    }

    /// Creates that many users with one session each, and returns the sessions.
    pub(crate) fn seed_sessions(&self, sessions: usize) -> Vec<SeededSession> {
        let file = self.folder().join("seeded.json");
        let (count, path) = (sessions.to_string(), file.display().to_string());
        self.run_cli(&["seed", "--users", &count, "--sessions", &count, "--api-keys", "0", "--out", &path]);
        let mut data: Value =
            serde_json::from_slice(&std::fs::read(&file).expect("a file of `signet seed`")).expect("JSON");
        std::fs::remove_file(&file).expect("the file can be deleted");
        serde_json::from_value(data["sessions"].take()).expect("sessions in the format of loadtest/")
    }

    /// Starts the server and waits until it listens.
    pub(crate) fn start(&self) -> Signet {
        let log = self.folder().join("log");
        let mut command = pinned_command(&self.cores, &self.program, &log);
        self.set_environment(&mut command);
        if !self.settings.iter().any(|(name, _)| name == LISTEN) {
            command.env(LISTEN, "127.0.0.1:0");
        }
        let management = free_port();
        command.env("SIGNET_SERVER__MANAGEMENT", format!("127.0.0.1:{management}"));
        command.stdout(Stdio::piped());
        let mut process = Process::start(command, &log);
        let mut line = String::new();
        BufReader::new(process.stdout()).read_line(&mut line).expect("the server writes text");
        let url = line.trim().strip_prefix("listening on ");
        let address = url.and_then(|url| url.split_once("://")).and_then(|(_, address)| address.parse().ok());
        let address = address.unwrap_or_else(|| panic!("signet did not start: {line}\n{}", process.log_text()));
        Signet { process, address, management: SocketAddr::from(([127, 0, 0, 1], management)) }
    }
}

/// A running Signet.
pub(crate) struct Signet {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    pub(crate) management: SocketAddr,
}

impl Signet {
    /// The value of a series of `/metrics`.
    pub(crate) fn metric(&self, series: &str) -> f64 {
        let (_, page) = send(self.management, &build_request("GET", "/metrics", "", ""));
        let value = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.and_then(|value| value.parse().ok()).expect("a number for this series")
    }
}

/// A session that `signet seed` opened.
#[derive(Clone, Debug, serde::Deserialize)]
pub(crate) struct SeededSession {
    pub(crate) access_token: String,
    pub(crate) refresh_token: String,
}
