//! The Signet process as operators start it: the binary, settings in the environment, a data folder of its own.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::disk::{self, Disk};
use super::ports::free_port;
use super::postgres::Database;
use super::{faketime, redis, run_with_stdin, wait_until};

const TIMEOUT: Duration = Duration::from_secs(60);

/// The secret of a fleet, for plans that need one.
pub(crate) const SECRET: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// The rate limits that count clients and not accounts, for [`Plan::limits`].
pub(crate) const CLIENT_LIMITS: [&str; 7] = [
    "SIGN_IN_ADDRESS",
    "SIGN_UP_ADDRESS",
    "MAIL_ADDRESS",
    "CODE_ADDRESS",
    "REVOKE_ADDRESS",
    "CREATE_ADDRESS",
    "COSTLY_ADDRESS",
];

/// How long a command that ends something waits for the servers.
const CONFIRM_WITHIN: &str = "SIGNET_REVOCATION__CONFIRM_WITHIN";

/// A rate that no test reaches, for [`Plan::limits`].
pub(crate) const NEVER_REACHED: &str = "1000000 per 1s";

/// How to start a Signet process. Defaults to cheap hashing and one worker.
#[derive(Clone)]
pub(crate) struct Plan {
    settings: Vec<(String, String)>,
    open_files: Option<u32>,
    program: Option<PathBuf>,
    dir: Arc<tempfile::TempDir>,
    disk: Option<Arc<Disk>>,
}

impl Plan {
    /// A plan on the embedded default, in a folder of its own.
    pub(crate) fn embedded() -> Self {
        let dir = Arc::new(tempfile::tempdir().expect("a temporary folder"));
        Self { settings: Vec::new(), open_files: None, program: None, dir, disk: None }
            .set("SIGNET_PASSWORDS__MEMORY_KIB", "64")
            .set("SIGNET_PASSWORDS__PASSES", "1")
            .set("SIGNET_SERVER__WORKERS", "1")
            .set("SIGNET_LIMITS__ENABLED", "false")
    }

    /// A plan on Redis and Postgres, with a folder of its own.
    pub(crate) fn on(redis: &redis::Server, postgres: &Database) -> Self {
        Self::at(&redis.url(), postgres)
    }

    /// The same with a Redis URL, which may be that of a Cluster or of Sentinels.
    pub(crate) fn at(redis: &str, postgres: &Database) -> Self {
        Self::embedded().set("REDIS_URL", redis).set("DATABASE_URL", &postgres.url()).set("SIGNET_SECRET", SECRET)
    }

    /// Waits longer for stores, for tests in which none fails: on a machine that is busy with other tests, stores respond
    /// late.
    pub(crate) fn with_patient_stores(self) -> Self {
        self.set("SIGNET_REDIS__TIMEOUT", "5s").set("SIGNET_POSTGRES__TIMEOUT", "5s")
    }

    /// Waits longer for hashes, for tests that are not about a full queue: the threads that hash have a low priority, so
    /// on a machine that is busy with other tests, a hash may take longer than many take elsewhere.
    pub(crate) fn with_patient_hashing(self) -> Self {
        self.set("SIGNET_PASSWORDS__DEADLINE", "1m")
    }

    /// A plan for another node of the same fleet: the same settings, another folder.
    pub(crate) fn another_node(&self) -> Self {
        Self { dir: Self::embedded().dir, ..self.clone() }
    }

    pub(crate) fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.retain(|(known, _)| known != name);
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Enables the rate limits and sets those of `names`.
    pub(crate) fn limits(self, names: &[&str], rate: &str) -> Self {
        let set = |plan: Self, name: &&str| plan.set(&format!("SIGNET_LIMITS__{name}"), rate);
        names.iter().fold(self.set("SIGNET_LIMITS__ENABLED", "true"), set)
    }

    /// Puts the data on this disk.
    pub(crate) fn on_disk(self, disk: &Arc<Disk>) -> Self {
        Self { disk: Some(disk.clone()), ..self }
    }

    /// Shifts the clock of the process by the number of seconds in the file (`-90`). The process rereads the file.
    pub(crate) fn with_clock_offset(self, file: &Path) -> Self {
        let library = faketime::library();
        let plan = self.set("LD_PRELOAD", &library.display().to_string());
        let plan = plan.set("FAKETIME_TIMESTAMP_FILE", &file.display().to_string()).set("FAKETIME_NO_CACHE", "1");
        // The monotonic clock stays the machine's.
        plan.set("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    }

    /// Limits the number of open files.
    pub(crate) fn max_open_files(mut self, limit: u32) -> Self {
        self.open_files = Some(limit);
        self
    }

    /// Runs this program instead of the one that is tested.
    pub(crate) fn with_program(self, path: &Path) -> Self {
        Self { program: Some(path.to_owned()), ..self }
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The program that is tested.
    #[allow(clippy::disallowed_methods, reason = "SIGNET_BIN selects another program than the one of the tests")]
    pub(crate) fn default_program() -> PathBuf {
        let program = std::env::var_os("SIGNET_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_signet").into());
        std::path::absolute(program).expect("the path is valid")
    }

    #[allow(clippy::disallowed_methods, reason = "only PATH is inherited, so that no settings reach a test")]
    pub(crate) fn command(&self) -> Command {
        let program = self.program.clone().unwrap_or_else(Self::default_program);
        // The kernel kills the process when the test ends, even by a crash.
        let mut command = disk::setpriv(self.disk.as_deref());
        command.args(["--pdeathsig", "KILL", "--"]).env_clear().current_dir(self.dir());
        if let Some(limit) = self.open_files {
            command.args(["prlimit", &format!("--nofile={limit}:{limit}")]);
        }
        command.arg(program);
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        let folder = self.disk.as_ref().map_or(self.dir(), |disk| disk.inside());
        command.env("SIGNET_DATA_DIR", folder.join("data")).envs(self.settings.iter().cloned());
        command
    }

    /// Runs a command of the command line beside the server. A command that ends something waits for the server for a
    /// minute, because many tests look at once at what has ended: on a busy machine, two seconds may be too few.
    pub(crate) fn run(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = self.command();
        let is_set = |name: &str| self.settings.iter().any(|(known, _)| known == name);
        let ends = ["users", "sessions", "api-keys", "keys"].iter().any(|noun| arguments.contains(noun));
        // An older program does not know the setting.
        if ends && self.program.is_none() && !is_set(CONFIRM_WITHIN) {
            command.env(CONFIRM_WITHIN, "1m");
        }
        // Checks that run in parallel must not collide on the default ports.
        for name in ["SIGNET_SERVER__LISTEN", "SIGNET_SERVER__MANAGEMENT"] {
            if arguments.contains(&"check") && !is_set(name) {
                command.env(name, "127.0.0.1:0");
            }
        }
        command.args(arguments);
        run_with_stdin(command, input)
    }

    /// Runs a command with `--json`, which must succeed, and parses its output.
    pub(crate) fn json(&self, arguments: &[&str], input: &str) -> Value {
        let arguments = [&["--json"], arguments].concat();
        let output = self.run(&arguments, input);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("the output is JSON")
    }

    /// Creates a user by the command line.
    pub(crate) fn create_user(&self, email: &str, password: &str, extra: &[&str]) -> Value {
        let arguments = [&["users", "create", "--email", email, "--password-stdin"], extra].concat();
        self.json(&arguments, password)
    }

    /// Starts the process and waits for its line on stdout.
    pub(crate) fn start(&self) -> Signet {
        // Another test may take the port between the check and the bind: then try the next port.
        for _ in 0..20 {
            let signet = self.try_start();
            if signet.url.is_some() {
                return signet;
            }
            signet.wait_for_exit();
            assert!(signet.log().contains("another process listens there"), "signet did not start:\n{}", signet.log());
        }
        panic!("no port is free");
    }

    /// Starts the process; it has no URL if it exits before it listens.
    pub(crate) fn try_start(&self) -> Signet {
        let mut signet = self.spawn();
        signet.wait_until_listening();
        signet
    }

    /// Starts the process without waiting.
    pub(crate) fn spawn(&self) -> Signet {
        let management = free_port();
        let mut command = self.command();
        if !self.settings.iter().any(|(name, _)| name == "SIGNET_SERVER__LISTEN") {
            command.env("SIGNET_SERVER__LISTEN", "127.0.0.1:0");
        }
        command.env("SIGNET_SERVER__MANAGEMENT", format!("127.0.0.1:{management}"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("setpriv starts signet: apt-get install util-linux");
        let log = Arc::new(Mutex::new(String::new()));
        let reader = collect(child.stderr.take().expect("stderr is piped"), log.clone());
        let (child, reader) = (Mutex::new(child), Mutex::new(Some(reader)));
        Signet { child, url: None, management, log, reader, plan: self.clone() }
    }
}

/// Collects whole lines: tests parse the log while it grows.
fn collect(from: impl Read + Send + 'static, log: Arc<Mutex<String>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let (mut from, mut line) = (BufReader::new(from), Vec::new());
        while let Ok(1..) = from.read_until(b'\n', &mut line) {
            log.lock().expect("no panic while locked").push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    })
}

/// A running Signet process. Dropping it kills the process.
pub(crate) struct Signet {
    child: Mutex<Child>,
    url: Option<String>,
    management: u16,
    log: Arc<Mutex<String>>,
    reader: Mutex<Option<JoinHandle<()>>>,
    plan: Plan,
}

impl Signet {
    /// Waits for the line on stdout. False if the process exits before it listens.
    pub(crate) fn wait_until_listening(&mut self) -> bool {
        if let Some(stdout) = self.child.get_mut().expect("no panic while locked").stdout.take() {
            let mut line = String::new();
            BufReader::new(stdout).read_line(&mut line).expect("stdout is text");
            self.url = line.trim().strip_prefix("listening on ").map(str::to_owned);
        }
        self.url.is_some()
    }

    /// True if the process listens.
    pub(crate) fn has_url(&self) -> bool {
        self.url.is_some()
    }

    pub(crate) fn url_of(&self, path: &str) -> String {
        format!("{}{path}", self.url.as_deref().expect("the server listens"))
    }

    /// The URL of a page of the management endpoint.
    pub(crate) fn management_url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.management)
    }

    /// The plan of this process, which also runs the command line beside it.
    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The log so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().expect("no panic while locked").clone()
    }

    /// The lines of the log so far, of a server that writes JSON.
    pub(crate) fn log_lines(&self) -> Vec<Value> {
        let parse = |line: &str| serde_json::from_str(line).expect("a line of the log is JSON");
        self.log().lines().map(parse).collect()
    }

    /// The data folder.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.plan.disk.as_ref().map_or_else(|| self.plan.dir().to_owned(), |disk| disk.outside()).join("data")
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.lock().expect("no panic while locked").id()
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.child.get_mut().expect("no panic while locked").kill().expect("the process can be killed");
        self.wait_for_exit();
    }

    /// SIGTERM.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Stops the process: its connections stay open and nothing responds.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Resumes the process.
    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child.lock().expect("no panic while locked")), signal)
            .expect("it is a child of this process");
    }

    /// Waits until the process has exited and its whole log is read.
    pub(crate) fn wait_for_exit(&self) -> ExitStatus {
        let status = self.child.lock().expect("no panic while locked").wait().expect("it is a child of this process");
        if let Some(reader) = self.reader.lock().expect("no panic while locked").take() {
            reader.join().expect("the reader does not panic");
        }
        status
    }

    /// Waits until the log contains `text`.
    pub(crate) fn wait_for_log(&self, text: &str) {
        wait_until(&format!("the log contains {text:?}"), TIMEOUT, || self.log().contains(text));
    }
}

impl Drop for Signet {
    fn drop(&mut self) {
        // Warnings and errors in the log often explain the failure.
        if std::thread::panicking() {
            let log = self.log();
            let warnings = log.lines().filter(|line| line.contains("WARN") || line.contains("ERROR"));
            println!("{}:\n{}", self.url.as_deref().unwrap_or("signet"), warnings.collect::<Vec<_>>().join("\n"));
        }
        if let Ok(child) = self.child.get_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
