//! Signet itself, as its operators start it: the program, its settings in the environment, its own folder.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::disk::{self, Disk};
pub(crate) use super::postgres::free_port;
use super::{faketime, fed, postgres, redis, wait_until};

const PATIENCE: Duration = Duration::from_secs(30);

/// A fleet's secret, where one is needed.
pub(crate) const SECRET: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// How a Signet is to be started. Cheap hashing and one worker, unless a test says otherwise.
#[derive(Clone)]
pub(crate) struct Plan {
    settings: Vec<(String, String)>,
    descriptors: Option<u32>,
    dir: Arc<tempfile::TempDir>,
    disk: Option<Arc<Disk>>,
}

impl Plan {
    /// On the embedded default, in a folder of its own.
    pub(crate) fn embedded() -> Self {
        let dir = Arc::new(tempfile::tempdir().expect("a temporary folder"));
        Self { settings: Vec::new(), descriptors: None, dir, disk: None }
            .set("SIGNET_PASSWORDS__MEMORY_KIB", "64")
            .set("SIGNET_PASSWORDS__PASSES", "1")
            .set("SIGNET_SERVER__WORKERS", "1")
            .set("SIGNET_LIMITS__ENABLED", "false")
    }

    /// On Redis and Postgres, with a folder of its own.
    pub(crate) fn on(redis: &redis::Server, postgres: &postgres::Server) -> Self {
        Self::at(&redis.url(), postgres)
    }

    /// The same, with Redis at an address that may be no single server's.
    pub(crate) fn at(redis: &str, postgres: &postgres::Server) -> Self {
        Self::embedded().set("REDIS_URL", redis).set("DATABASE_URL", &postgres.url()).set("SIGNET_SECRET", SECRET)
    }

    /// Another node of the same fleet: the same settings, another folder.
    pub(crate) fn another(&self) -> Self {
        Self { dir: Self::embedded().dir, ..self.clone() }
    }

    pub(crate) fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.retain(|(known, _)| known != name);
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With its data on this disk.
    pub(crate) fn on_disk(self, disk: &Arc<Disk>) -> Self {
        Self { disk: Some(disk.clone()), ..self }
    }

    /// By a clock of its own: as far off the machine's as the file says, in seconds (`-90`), also when that changes.
    pub(crate) fn by_clock(self, file: &Path) -> Self {
        let library = faketime::library();
        let plan = self.set("LD_PRELOAD", &library.display().to_string());
        let plan = plan.set("FAKETIME_TIMESTAMP_FILE", &file.display().to_string()).set("FAKETIME_NO_CACHE", "1");
        // How long something takes is told right by any clock.
        plan.set("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    }

    /// With no more descriptors than these.
    pub(crate) fn descriptors(mut self, most: u32) -> Self {
        self.descriptors = Some(most);
        self
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    #[allow(
        clippy::disallowed_methods,
        reason = "PATH alone is handed on: nobody's settings may reach a test; which program it is, the caller may say"
    )]
    pub(crate) fn command(&self) -> Command {
        let program = std::env::var_os("SIGNET_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_signet").into());
        let program = std::path::absolute(program).expect("it has a name");
        // It dies with the test, however that ends.
        let mut command = disk::setpriv(self.disk.as_deref());
        command.args(["--pdeathsig", "KILL", "--"]).env_clear().current_dir(self.dir());
        if let Some(most) = self.descriptors {
            command.args(["prlimit", &format!("--nofile={most}:{most}")]);
        }
        command.arg(program);
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        let folder = self.disk.as_ref().map_or(self.dir(), |disk| disk.inside());
        command.env("SIGNET_DATA_DIR", folder.join("data")).envs(self.settings.iter().cloned());
        command
    }

    /// Runs a command beside the server, and gives what came of it.
    pub(crate) fn run(&self, words: &[&str], input: &str) -> Output {
        let mut command = self.command();
        // Checks that run at the same time must not find each other on the default ports.
        for name in ["SIGNET_SERVER__LISTEN", "SIGNET_SERVER__MANAGEMENT"] {
            if words.contains(&"check") && !self.settings.iter().any(|(known, _)| known == name) {
                command.env(name, "127.0.0.1:0");
            }
        }
        command.args(words);
        fed(command, input)
    }

    /// Runs a command with `--json` that must succeed, and reads what it prints.
    pub(crate) fn json(&self, words: &[&str], input: &str) -> Value {
        let words = [&["--json"], words].concat();
        let output = self.run(&words, input);
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("it prints JSON")
    }

    /// Makes a user by the command line.
    pub(crate) fn user(&self, email: &str, password: &str, more: &[&str]) -> Value {
        let words = [&["users", "create", "--email", email, "--password-stdin"], more].concat();
        self.json(&words, password)
    }

    /// Starts it and waits for its line on stdout.
    pub(crate) fn start(&self) -> Signet {
        // Between finding a port free and taking it another test may take it: then the next one.
        for _ in 0..20 {
            let signet = self.try_start();
            if signet.url.is_some() {
                return signet;
            }
            signet.ended();
            assert!(signet.log().contains("another process listens there"), "signet did not start:\n{}", signet.log());
        }
        panic!("no port is free");
    }

    /// Starts it; without an address if it ended before it listened.
    pub(crate) fn try_start(&self) -> Signet {
        let mut signet = self.launch();
        signet.listening();
        signet
    }

    /// Starts it, and waits for nothing.
    pub(crate) fn launch(&self) -> Signet {
        let management = free_port();
        let mut command = self.command();
        if !self.settings.iter().any(|(name, _)| name == "SIGNET_SERVER__LISTEN") {
            command.env("SIGNET_SERVER__LISTEN", "127.0.0.1:0");
        }
        command.env("SIGNET_SERVER__MANAGEMENT", format!("127.0.0.1:{management}"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("setpriv starts signet: apt-get install util-linux");
        let log = Arc::new(Mutex::new(String::new()));
        let reader = collect(child.stderr.take().expect("it is piped"), log.clone());
        let (child, reader) = (Mutex::new(child), Mutex::new(Some(reader)));
        Signet { child, url: None, management, log, reader, plan: self.clone() }
    }
}

fn collect(mut from: impl Read + Send + 'static, log: Arc<Mutex<String>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(read @ 1..) = from.read(&mut piece) {
            log.lock().expect("nobody panics with it").push_str(&String::from_utf8_lossy(&piece[..read]));
        }
    })
}

/// A running Signet. Dropping it kills it.
pub(crate) struct Signet {
    child: Mutex<Child>,
    url: Option<String>,
    management: u16,
    log: Arc<Mutex<String>>,
    reader: Mutex<Option<JoinHandle<()>>>,
    plan: Plan,
}

impl Signet {
    /// Waits for its line on stdout, and says whether there was one; there is none if it ended before it listened.
    pub(crate) fn listening(&mut self) -> bool {
        if let Some(stdout) = self.child.get_mut().expect("nobody panics with it").stdout.take() {
            let mut line = String::new();
            BufReader::new(stdout).read_line(&mut line).expect("it writes text");
            self.url = line.trim().strip_prefix("listening on ").map(str::to_owned);
        }
        self.url.is_some()
    }

    /// The address of a path.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url.as_deref().expect("it listens"))
    }

    /// The address of a page for operators.
    pub(crate) fn ops(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.management)
    }

    /// The command line beside it.
    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Its log so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().expect("nobody panics with it").clone()
    }

    /// Where its data is.
    pub(crate) fn data(&self) -> PathBuf {
        self.plan.disk.as_ref().map_or_else(|| self.plan.dir().to_owned(), |disk| disk.outside()).join("data")
    }

    /// The number of its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.lock().expect("nobody panics with it").id()
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.child.get_mut().expect("nobody panics with it").kill().expect("it can be killed");
        self.ended();
    }

    /// SIGTERM.
    pub(crate) fn terminate(&self) {
        kill_process(Pid::from_child(&self.child.lock().expect("nobody panics with it")), Signal::TERM)
            .expect("it is ours");
    }

    /// Waits until it has ended and all of its log is there.
    pub(crate) fn ended(&self) -> ExitStatus {
        let status = self.child.lock().expect("nobody panics with it").wait().expect("it is ours");
        if let Some(reader) = self.reader.lock().expect("nobody panics with it").take() {
            reader.join().expect("it only reads");
        }
        status
    }

    /// Waits until its log has `text`.
    pub(crate) fn wait_for_log(&self, text: &str) {
        wait_until(&format!("the log says {text:?}"), PATIENCE, || self.log().contains(text));
    }
}

impl Drop for Signet {
    fn drop(&mut self) {
        // What it had to complain of is often why the test failed.
        if std::thread::panicking() {
            let log = self.log();
            let complaints = log.lines().filter(|line| line.contains("WARN") || line.contains("ERROR"));
            println!("{}:\n{}", self.url.as_deref().unwrap_or("signet"), complaints.collect::<Vec<_>>().join("\n"));
        }
        if let Ok(child) = self.child.get_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
