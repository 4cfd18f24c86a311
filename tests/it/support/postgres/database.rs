//! An empty database of its own for each test, on one Postgres server that all tests of a run share.
//!
//! A server of its own costs a test about half a second of processor time, and a new database a quarter of a second. So
//! a test leaves its database empty for the next, which takes a tenth of that. The first test that needs the shared
//! server starts it. A shell ends it and deletes its folder when the run is over, because a test process of nextest ends
//! long before its run.

use std::fs::{self, File};
use std::os::unix::process::parent_id;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use signet::clock::Clock;
use signet::config::{self, SecretUrl};
use tokio_postgres::{Client, NoTls, connect};

use super::{ESCAPED, Options, Server};

/// A database. One of the shared server is emptied with this value.
pub(crate) struct Database {
    port: u16,
    /// The port of the pooler in front of the server, which Signet then uses.
    pub(super) pooler: Option<u16>,
    name: String,
    is_shared: bool,
}

impl Database {
    /// An empty database on the shared server.
    pub(crate) fn create() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let (port, pooler) = shared_server();
        if let Some(name) = with_empty_databases(Vec::pop) {
            return Self { port, pooler, name, is_shared: true };
        }
        // The time, because databases outlive their process, whose id may be used again.
        let (process, now) = (std::process::id(), Clock::system().now().millis());
        let name = format!("test_{process}_{now}_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        Self::of_server(port).administer(&[format!("CREATE DATABASE {name}")]);
        Self { port, pooler, name, is_shared: true }
    }

    /// The default database of a server that the test started.
    pub(super) fn of_server(port: u16) -> Self {
        Self { port, pooler: None, name: "postgres".to_owned(), is_shared: false }
    }

    /// The URL for the owner of the database, through the pooler if there is one.
    pub(crate) fn url(&self) -> String {
        self.url_at(self.pooler.unwrap_or(self.port))
    }

    fn url_at(&self, port: u16) -> String {
        format!("postgres://signet:{ESCAPED}@127.0.0.1:{port}/{}", self.name)
    }

    /// Settings for this database, with a time-out that only a frozen server reaches.
    pub(crate) fn settings(&self) -> config::Postgres {
        config::Postgres { url: SecretUrl(self.url()), connections: 8, timeout: Duration::from_secs(20), ca: None }
    }

    /// A connection beside the store's, to inspect or to lock rows.
    pub(crate) async fn client(&self) -> Client {
        let (client, connection) = connect(&self.url_at(self.port), NoTls).await.expect("the owner can connect");
        tokio::spawn(connection);
        client
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Executes statements in this database, each by itself. The thread is new because the caller's may belong to a
    /// runtime.
    pub(super) fn administer(&self, statements: &[String]) {
        let url = self.url_at(self.port);
        let work = async {
            let (client, connection) = connect(&url, NoTls).await.expect("the owner can connect");
            let connection = tokio::spawn(connection);
            for statement in statements {
                client.batch_execute(statement).await.expect("Postgres executes it");
            }
            drop(client);
            connection.await.expect("no panic").expect("the connection ends");
        };
        let run = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(work);
        };
        std::thread::scope(|scope| scope.spawn(run).join()).expect("Postgres executes it");
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if self.is_shared {
            // A statement of a killed process may still be running. The statement that follows waits for its locks.
            let end_connections = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid()";
            let statements = [end_connections, "DROP SCHEMA IF EXISTS public CASCADE", "CREATE SCHEMA public"];
            self.administer(&statements.map(str::to_owned));
            // A pooler may not have noticed yet that its connections to this database have ended.
            if self.pooler.is_none() {
                with_empty_databases(|names| names.push(self.name.clone()));
            }
        }
    }
}

/// Changes the list of databases of the shared server that no test uses.
fn with_empty_databases<T>(change: impl FnOnce(&mut Vec<String>) -> T) -> T {
    let run = this_run();
    let _locked = lock(run);
    let file = run_file(run, "empty");
    let mut names = fs::read_to_string(&file).unwrap_or_default().lines().map(str::to_owned).collect();
    let result = change(&mut names);
    fs::write(&file, names.join("\n")).expect("the list is written");
    result
}

/// The ports of the server that the tests of this run share, and of its pooler; starts them if no test has.
fn shared_server() -> (u16, Option<u16>) {
    let run = this_run();
    let _locked = lock(run);
    let file = run_file(run, "ports");
    let known = fs::read_to_string(&file).unwrap_or_default();
    let mut ports = known.split(' ').filter_map(|port| port.parse::<u16>().ok());
    // An earlier run may have had the same process id.
    if let Some(port) = ports.next().filter(|port| std::net::TcpStream::connect(("127.0.0.1", *port)).is_ok()) {
        return (port, ports.next());
    }
    let server = Server::start_with(Options { run: Some(run), ..Options::default() });
    let (port, pooler) = (server.port(), server.database.pooler);
    // The server outlives this process.
    std::mem::forget(server);
    fs::write(run_file(run, "empty"), "").expect("the list is written");
    let ports = [Some(port), pooler].into_iter().flatten().map(|port| port.to_string()).collect::<Vec<_>>();
    fs::write(&file, ports.join(" ")).expect("the ports are written");
    (port, pooler)
}

/// The process that lives as long as the run: the parent of each test process of nextest; this process with `cargo
/// test`. Two runs at a time have a server each.
#[allow(clippy::disallowed_methods, reason = "nextest tells its run in the environment")]
fn this_run() -> u32 {
    if std::env::var_os("NEXTEST").is_some() { parent_id() } else { std::process::id() }
}

/// A file of a run that all of its tests share.
pub(super) fn run_file(run: u32, name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("postgres-run-{run}-{name}"))
}

/// Excludes the other tests of the run until the file is closed.
fn lock(run: u32) -> File {
    let file = File::create(run_file(run, "lock")).expect("the lock file can be created");
    file.lock().expect("the lock can be taken");
    file
}
