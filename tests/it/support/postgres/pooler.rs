//! PgBouncer in front of a server, in transaction mode: each transaction may run on another connection to the server.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;

use super::{PASSWORD, TIMEOUT, USER, as_postgres_user, end_with, pid, run, signal, spawn};
use crate::support::ports::free_port;

/// The settings that the role needs, by docs/operate/servers.md: PgBouncer drops the limits that Signet asks for. The
/// first is that of [`Database::settings`](super::Database::settings).
pub(super) const ROLE_SETTINGS: [&str; 2] = [
    "ALTER ROLE signet SET statement_timeout = '20s'",
    "ALTER ROLE signet SET idle_in_transaction_session_timeout = '10s'",
];

/// The program, if the tests run through it.
#[allow(clippy::disallowed_methods, reason = "./test servers names the program in the environment")]
pub(super) fn program() -> Option<PathBuf> {
    std::env::var_os("SIGNET_PGBOUNCER").map(PathBuf::from)
}

/// A running PgBouncer, which ends with this value.
pub(super) struct Pooler {
    process: Child,
    port: u16,
    _folder: TempDir,
}

impl Pooler {
    /// Starts one in front of a server. With `run` it ends with that process instead of this one.
    pub(super) fn start(program: &Path, server: u16, until: Option<u32>) -> Self {
        let folder = tempfile::Builder::new().prefix("signet-pgbouncer-").tempdir().expect("a temporary folder");
        // Another process may take the port between the check and the bind: then try the next port.
        for _ in 0..20 {
            let port = free_port();
            if let Some(process) = launch(program, folder.path(), server, port, until) {
                return Self { process, port, _folder: folder };
            }
        }
        panic!("PgBouncer did not start:\n{}", fs::read_to_string(folder.path().join("log")).unwrap_or_default());
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        signal(pid(&self.process), Signal::QUIT);
        let _ = self.process.wait();
    }
}

/// The process, once it listens; `None` if it ends before.
fn launch(program: &Path, folder: &Path, server: u16, port: u16, until: Option<u32>) -> Option<Child> {
    let settings = format!(
        "[databases]\n\
         * = host=127.0.0.1 port={server} user=signet password='{PASSWORD}'\n\
         [pgbouncer]\n\
         listen_addr = 127.0.0.1\n\
         listen_port = {port}\n\
         unix_socket_dir =\n\
         auth_type = any\n\
         pool_mode = transaction\n\
         max_prepared_statements = 200\n\
         ignore_startup_parameters = options\n\
         server_login_retry = 1\n\
         max_client_conn = 500\n\
         logfile = {}\n",
        folder.join("log").display()
    );
    let file = folder.join("pgbouncer.ini");
    fs::write(&file, settings).expect("the settings are written");
    if let Some(user) = &*USER {
        run(Command::new("chown").arg("-R").arg(format!("{}:{}", user.id, user.group)).arg(folder));
    }
    let mut command = as_postgres_user(program, None);
    command.arg("--quiet").arg(&file);
    if let Some(until) = until {
        command = end_with(until, &command, folder);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut process = spawn(command);
    let began = Instant::now();
    while process.try_wait().expect("its status is known").is_none() {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Some(process);
        }
        assert!(began.elapsed() < TIMEOUT, "PgBouncer does not listen");
        std::thread::sleep(Duration::from_millis(5));
    }
    None
}
