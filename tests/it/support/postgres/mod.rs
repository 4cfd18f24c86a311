//! Postgres for tests: a database on a server that the tests of a run share, or a private server to stop and restart.
//!
//! Servers are started on free ports in temporary folders. A private one ends with its test.
//!
//! `initdb` takes seconds, so it runs once for all tests and its result is copied. Postgres refuses to run as root: if
//! the tests run as root, it runs as `postgres` or `nobody`. That user may be unable to reach other folders, so the
//! data is in the system's temporary folder.
//!
//! If `SIGNET_PGBOUNCER` names the program, each server has a PgBouncer in front of it, and Signet uses that one.

mod database;
mod pooler;

use std::fs::{self, File};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, LazyLock, mpsc};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;

pub(crate) use self::database::Database;
use self::pooler::Pooler;
use super::disk::{self, Disk};
use super::ports::free_port;

/// Contains characters that must be escaped in a URL.
pub(crate) const PASSWORD: &str = "hunter2/@?:&";
const ESCAPED: &str = "hunter2%2F%40%3F%3A%26";

/// The time for a server to start or end on a machine that is busy with other tests.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Settings of a server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    /// True to sync commits to the disk.
    pub(crate) durable: bool,
    /// Certificate chain and key as PEM. With them the server requires TLS.
    pub(crate) tls: Option<(String, String)>,
    /// A disk for the data, including the WAL. The log file is not on it.
    pub(crate) disk: Option<Arc<Disk>>,
    /// The process with which the server ends, if that is not this one.
    pub(crate) run: Option<u32>,
}

/// A running server, which this test may stop. It derefs to its default database.
pub(crate) struct Server {
    folder: TempDir,
    database: Database,
    options: Options,
    postmaster: Option<Child>,
    pooler: Option<Pooler>,
    /// While the server is frozen: kills its processes if this process ends first. Stopped processes cannot notice
    /// that.
    watchdog: Option<Child>,
}

impl Server {
    /// A server whose commits survive the end of its processes, but not of the machine.
    pub(crate) fn start() -> Self {
        Self::start_with(Options::default())
    }

    pub(crate) fn start_with(options: Options) -> Self {
        let folder = tempfile::Builder::new().prefix("signet-postgres-").tempdir().expect("a temporary folder");
        let database = Database::of_server(0);
        let mut server = Self { folder, database, options, postmaster: None, pooler: None, watchdog: None };
        run(Command::new("cp").arg("-a").arg(template()).arg(server.data()));
        server.write_tls();
        if let Some(user) = &*USER {
            let owner = format!("{}:{}", user.id, user.group);
            run(Command::new("chown").args(["-R", &owner]).arg(server.folder.path()).arg(server.data()));
        }
        // Another process may take the port between the check and the bind: then try the next port.
        for _ in 0..20 {
            server.database = Database::of_server(free_port());
            match server.launch() {
                Ok(()) => {
                    server.start_pooler();
                    return server;
                }
                Err(log) if log.contains("Address already in use") => {}
                Err(log) => panic!("Postgres did not start:\n{log}"),
            }
        }
        panic!("no port is free");
    }

    fn start_pooler(&mut self) {
        let Some(program) = pooler::program().filter(|_| self.options.tls.is_none()) else { return };
        self.database.administer(&pooler::ROLE_SETTINGS.map(str::to_owned));
        let pooler = Pooler::start(&program, self.database.port(), self.options.run);
        self.database.pooler = Some(pooler.port());
        self.pooler = Some(pooler);
    }

    /// The folder with the server's files.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Ends the server like `pg_ctl stop -m immediate`: unwritten data is lost.
    pub(crate) fn kill_immediate(&mut self) {
        let mut postmaster = self.postmaster.take().expect("the server is running");
        signal(pid(&postmaster), Signal::QUIT);
        postmaster.wait().expect("the server ends");
    }

    /// Starts the server again after [`Server::kill_immediate`], at the same address.
    pub(crate) fn restart(&mut self) {
        assert!(self.postmaster.is_none(), "the server is running");
        if let Err(log) = self.launch() {
            panic!("Postgres did not start again:\n{log}");
        }
    }

    /// The log since the last start.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Starts the server again if it has ended by itself, as a supervisor does. True if it had.
    pub(crate) fn restart_if_ended(&mut self) -> bool {
        let ended = self.postmaster.as_mut().is_none_or(|it| it.try_wait().expect("its status is known").is_some());
        if ended {
            self.postmaster = None;
            self.restart();
        }
        ended
    }

    /// Stops all processes of the server: connections stay open and nothing responds.
    pub(crate) fn freeze(&mut self) {
        let postmaster = pid(self.postmaster.as_ref().expect("the server is running"));
        // The postmaster first, so that it cannot start a process that is missed.
        signal(postmaster, Signal::STOP);
        let mut pids = children(postmaster);
        pids.push(postmaster);
        let script = pids.iter().fold("read -r _; kill -KILL".to_owned(), |line, pid| format!("{line} {pid}"));
        let watchdog = Command::new("sh").args(["-c", &script]).stdin(Stdio::piped()).spawn();
        self.watchdog = Some(watchdog.expect("`sh` runs"));
        pids.into_iter().for_each(|pid| signal(pid, Signal::STOP));
    }

    /// Resumes the server.
    pub(crate) fn thaw(&mut self) {
        let postmaster = pid(self.postmaster.as_ref().expect("the server is running"));
        let mut watchdog = self.watchdog.take().expect("the server is frozen");
        watchdog.kill().and_then(|()| watchdog.wait()).expect("the watchdog ends");
        children(postmaster).into_iter().for_each(|pid| signal(pid, Signal::CONT));
        signal(postmaster, Signal::CONT);
    }

    fn data(&self) -> PathBuf {
        self.options.disk.as_ref().map_or_else(|| self.folder().to_owned(), |disk| disk.outside()).join("data")
    }

    fn write_tls(&self) {
        let Some((chain, key)) = &self.options.tls else { return };
        fs::write(self.data().join("server.crt"), chain).expect("the certificate is written");
        let file = self.data().join("server.key");
        fs::write(&file, key).expect("the key is written");
        run(Command::new("chmod").arg("600").arg(file));
        fs::write(self.data().join("pg_hba.conf"), "hostssl all all 127.0.0.1/32 scram-sha-256\n").expect("written");
    }

    /// Starts the server on its port; returns its log on failure.
    fn launch(&mut self) -> Result<(), String> {
        let log = self.folder.path().join("log");
        let out = File::create(&log).expect("the log can be written");
        let disk = self.options.disk.as_deref();
        let mut command = as_postgres_user(&program("postgres"), disk);
        command.arg("-D").arg(disk.map_or_else(|| self.folder(), Disk::inside).join("data"));
        let on = |yes| if yes { "on" } else { "off" };
        for setting in [
            "listen_addresses=127.0.0.1".to_owned(),
            format!("port={}", self.database.port()),
            "unix_socket_directories=".to_owned(),
            format!("max_connections={}", if self.options.run.is_some() { 400 } else { 60 }),
            "shared_buffers=16MB".to_owned(),
            // Shared memory segments in the data folder: those of the system would outlive a killed server.
            "dynamic_shared_memory_type=mmap".to_owned(),
            format!("fsync={}", on(self.options.durable)),
            format!("full_page_writes={}", on(self.options.durable)),
            format!("ssl={}", on(self.options.tls.is_some())),
        ] {
            command.arg("-c").arg(setting);
        }
        if let Some(run) = self.options.run {
            command = end_with(run, &command, self.folder());
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(out);
        // A pid file of an earlier run would report this one as ready.
        let pid_file = self.data().join("postmaster.pid");
        let _ = fs::remove_file(&pid_file);
        let mut postmaster = spawn(command);
        let began = Instant::now();
        loop {
            if fs::read_to_string(&pid_file)
                .is_ok_and(|text| text.lines().nth(7).is_some_and(|line| line.trim() == "ready"))
            {
                self.postmaster = Some(postmaster);
                return Ok(());
            }
            if postmaster.try_wait().expect("its status is known").is_some() {
                return Err(fs::read_to_string(&log).unwrap_or_default());
            }
            assert!(
                began.elapsed() < TIMEOUT,
                "Postgres is not ready: {}",
                fs::read_to_string(&log).unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Deref for Server {
    type Target = Database;

    fn deref(&self) -> &Database {
        &self.database
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.pooler = None;
        if let Some(mut postmaster) = self.postmaster.take() {
            // SIGQUIT ends it immediately. SIGKILL would leave behind the System V shared memory segment by which a
            // postmaster checks that it is the only one, and a system has only 4,096 of those.
            let parent = pid(&postmaster);
            children(parent).into_iter().for_each(|pid| signal(pid, Signal::CONT));
            signal(parent, Signal::CONT);
            signal(parent, Signal::QUIT);
            let _ = postmaster.wait();
        }
        if let Some(mut watchdog) = self.watchdog.take() {
            let _ = watchdog.kill().and_then(|()| watchdog.wait());
        }
    }
}

/// The user that Postgres runs as if the tests run as root.
struct User {
    id: String,
    group: String,
}

static USER: LazyLock<Option<User>> = LazyLock::new(|| {
    geteuid().is_root().then(|| {
        let id = |option: &str, name: &str| {
            let output = Command::new("id").args([option, name]).output().expect("`id` runs");
            output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        };
        ["postgres", "nobody"]
            .into_iter()
            .find_map(|name| Some(User { id: id("-u", name)?, group: id("-g", name)? }))
            .expect("Postgres refuses to run as root, and there is neither a user `postgres` nor `nobody`")
    })
});

/// The program, run as a user that Postgres accepts, and killed by the kernel if this process ends first.
fn as_postgres_user(program: &Path, disk: Option<&Disk>) -> Command {
    let mut command = disk::setpriv(disk);
    command.args(["--pdeathsig", "QUIT"]);
    if let Some(user) = &*USER {
        command.args(["--reuid", &user.id, "--regid", &user.group, "--clear-groups"]);
    }
    command.arg("--").arg(program);
    command
}

/// The same server under a shell that ends it, and then deletes its folder and the files of the run, when the process
/// `run` has ended. If the server ends before, because its port was taken, nothing is deleted: the caller tries another
/// port with the same folder, and holds the lock, which is one of the files.
fn end_with(run: u32, server: &Command, folder: &Path) -> Command {
    const SCRIPT: &str = r#"
run="$1" folder="$2" files="$3"; shift 3
"$@" & server=$!
{ tail --pid="$run" -f /dev/null; kill -QUIT "$server"; } & watcher=$!
wait "$server"; kill "$watcher"
kill -0 "$run" || rm -rf "$folder" "$files"*
"#;
    // A session of its own: signals to the group of a test are not for the server that all tests share.
    let mut command = Command::new("setsid");
    command.args(["sh", "-c", SCRIPT, "sh", &run.to_string()]).arg(folder).arg(database::run_file(run, ""));
    command.arg(server.get_program()).args(server.get_args());
    command
}

/// Starts a child from a thread that lives as long as this process, because a child's `pdeathsig` is sent when the
/// *thread* that started it ends.
fn spawn(command: Command) -> Child {
    type SpawnRequest = (Command, mpsc::Sender<std::io::Result<Child>>);
    static PARENT: LazyLock<mpsc::Sender<SpawnRequest>> = LazyLock::new(|| {
        let (requests, incoming) = mpsc::channel::<SpawnRequest>();
        std::thread::spawn(move || {
            for (mut command, reply) in incoming {
                let _ = reply.send(command.spawn());
            }
        });
        requests
    });
    let (reply, child) = mpsc::channel();
    PARENT.send((command, reply)).expect("the parent thread runs");
    child.recv().expect("the parent thread replies").expect("`setpriv` runs: apt-get install util-linux")
}

/// The path of a program: from PATH, or the newest version where Debian installs them.
pub(crate) fn program(name: &str) -> PathBuf {
    if Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success()) {
        return name.into();
    }
    let mut versions: Vec<_> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin").join(name))
        .filter(|program| program.is_file())
        .collect();
    versions.sort_by_key(|program| {
        program.components().rev().nth(2).and_then(|version| version.as_os_str().to_str()?.parse::<u32>().ok())
    });
    versions.pop().unwrap_or_else(|| panic!("`{name}` is not installed: apt-get install postgresql"))
}

/// A data folder fresh from `initdb`, created by the first test that needs it.
fn template() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let version = Command::new(program("postgres")).arg("--version").output().expect("`postgres` runs").stdout;
    let version: String = String::from_utf8_lossy(&version).chars().filter(|c| c.is_ascii_alphanumeric()).collect();
    let owner = USER.as_ref().map_or("self", |user| &user.id);
    let template = folder.join(format!("postgres-{version}-{owner}"));
    let lock = File::create(folder.join("postgres.lock")).expect("the lock file can be created");
    lock.lock().expect("the lock can be taken");
    if !template.exists() {
        let scratch = tempfile::tempdir().expect("a temporary folder");
        let password = scratch.path().join("password");
        fs::write(&password, PASSWORD).expect("the password is written");
        if let Some(user) = &*USER {
            run(Command::new("chown").arg("-R").arg(format!("{}:{}", user.id, user.group)).arg(scratch.path()));
        }
        let mut initdb = as_postgres_user(&program("initdb"), None);
        initdb.args(["--username=signet", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"]);
        initdb.arg("--wal-segsize=1");
        run(initdb.arg("--pwfile").arg(&password).arg("-D").arg(scratch.path().join("data")));
        // Renamed when it is complete.
        let partial = template.with_extension("partial");
        let _ = fs::remove_dir_all(&partial);
        run(Command::new("cp").arg("-a").arg(scratch.path().join("data")).arg(&partial));
        fs::rename(&partial, &template).expect("the template gets its name");
    }
    template
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id() as i32).expect("a pid is not zero")
}

/// Sends a signal. The process may have ended meanwhile.
fn signal(to: Pid, signal: Signal) {
    let _ = kill_process(to, signal);
}

fn children(parent: Pid) -> Vec<Pid> {
    let processes = fs::read_dir("/proc").expect("there is /proc").flatten();
    processes
        .filter_map(|entry| {
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            // After the name, which is in parentheses and may contain anything: the state, then the parent.
            let (head, tail) = stat.rsplit_once(')')?;
            let parent_pid = tail.split_whitespace().nth(1)?.parse().ok()?;
            let pid = head.split_whitespace().next()?.parse().ok()?;
            (Pid::from_raw(parent_pid) == Some(parent)).then(|| Pid::from_raw(pid)).flatten()
        })
        .collect()
}
