//! A Postgres of one's own: started on a free port in a temporary folder, ended with the test however that ends.
//!
//! `initdb` takes seconds, so it is run once for all tests and copied. Postgres refuses to run as root: where the tests do,
//! it runs as `postgres` or `nobody`. The system's temporary folder is used, since that user may not reach another.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, LazyLock, mpsc};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use signet::config::{self, SecretUrl};
use tempfile::TempDir;

use super::disk::{self, Disk};

/// With characters that a URL must escape.
pub(crate) const PASSWORD: &str = "hunter2/@?:&";
const ESCAPED: &str = "hunter2%2F%40%3F%3A%26";

/// In what time a server must have started or ended, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a server is to be different from the ordinary one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unusual {
    /// Whether commits are synced to the disk.
    pub(crate) durable: bool,
    /// Certificate chain and key, PEM: then nobody gets in without TLS.
    pub(crate) tls: Option<(String, String)>,
    /// A disk for its data, its log of writes too. What it says goes elsewhere.
    pub(crate) disk: Option<Arc<Disk>>,
}

/// A running server.
pub(crate) struct Server {
    folder: TempDir,
    port: u16,
    unusual: Unusual,
    postmaster: Option<Child>,
    /// While it is frozen: what ends its processes should this one end first. They could not see that by themselves.
    watch: Option<Child>,
}

impl Server {
    /// One whose commits survive the end of its processes, but not of the machine.
    pub(crate) fn start() -> Self {
        Self::unusual(Unusual::default())
    }

    pub(crate) fn unusual(unusual: Unusual) -> Self {
        let folder = tempfile::Builder::new().prefix("signet-postgres-").tempdir().expect("a temporary folder");
        let mut server = Self { folder, port: 0, unusual, postmaster: None, watch: None };
        run(Command::new("cp").arg("-a").arg(template()).arg(server.data()));
        server.write_tls();
        if let Some(user) = &*USER {
            let owner = format!("{}:{}", user.id, user.group);
            run(Command::new("chown").args(["-R", &owner]).arg(server.folder.path()).arg(server.data()));
        }
        // Between finding a port free and taking it another may take it: then the next one.
        for _ in 0..20 {
            server.port = free_port();
            match server.launch() {
                Ok(()) => return server,
                Err(log) if log.contains("Address already in use") => {}
                Err(log) => panic!("Postgres did not start:\n{log}"),
            }
        }
        panic!("no port is free");
    }

    /// Where it is, for its owner.
    pub(crate) fn url(&self) -> String {
        format!("postgres://signet:{ESCAPED}@127.0.0.1:{}/postgres", self.port)
    }

    /// Where its files are.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Settings for it, with a time-out that only a frozen server reaches.
    pub(crate) fn settings(&self) -> config::Postgres {
        config::Postgres { url: SecretUrl(self.url()), connections: 8, timeout: Duration::from_secs(20), ca: None }
    }

    /// A connection past the store, to look at what it did or to stand in its way.
    pub(crate) async fn client(&self) -> tokio_postgres::Client {
        let (client, connection) =
            tokio_postgres::connect(&self.url(), tokio_postgres::NoTls).await.expect("Postgres lets its owner in");
        tokio::spawn(connection);
        client
    }

    /// Ends it without a farewell to anybody, as `pg_ctl stop -m immediate` does: what was not written is lost.
    pub(crate) fn kill_immediate(&mut self) {
        let mut postmaster = self.postmaster.take().expect("it runs");
        signal(pid(&postmaster), Signal::QUIT);
        postmaster.wait().expect("its end is awaited");
    }

    /// Starts it again after [`Server::kill_immediate`], at the same address.
    pub(crate) fn restart(&mut self) {
        assert!(self.postmaster.is_none(), "it still runs");
        if let Err(log) = self.launch() {
            panic!("Postgres did not start again:\n{log}");
        }
    }

    /// What it has said since it was started.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Starts it again if it has ended by itself, and says whether it had: as whoever looks after it does.
    pub(crate) fn look_after(&mut self) -> bool {
        let ended = self.postmaster.as_mut().is_none_or(|it| it.try_wait().expect("its state is known").is_some());
        if ended {
            self.postmaster = None;
            self.restart();
        }
        ended
    }

    /// Stops every process of it where it stands: connections stay open, and nothing answers.
    pub(crate) fn freeze(&mut self) {
        let postmaster = pid(self.postmaster.as_ref().expect("it runs"));
        // The postmaster first: then no process is born that would not be found.
        signal(postmaster, Signal::STOP);
        let mut pids = children(postmaster);
        pids.push(postmaster);
        let ends_them = pids.iter().fold("read -r _; kill -KILL".to_owned(), |line, pid| format!("{line} {pid}"));
        let watch = Command::new("sh").args(["-c", &ends_them]).stdin(Stdio::piped()).spawn();
        self.watch = Some(watch.expect("`sh` runs"));
        pids.into_iter().for_each(|pid| signal(pid, Signal::STOP));
    }

    /// Lets it go on.
    pub(crate) fn thaw(&mut self) {
        let postmaster = pid(self.postmaster.as_ref().expect("it runs"));
        let mut watch = self.watch.take().expect("it is frozen");
        watch.kill().and_then(|()| watch.wait()).expect("the watch ends");
        children(postmaster).into_iter().for_each(|pid| signal(pid, Signal::CONT));
        signal(postmaster, Signal::CONT);
    }

    fn data(&self) -> PathBuf {
        self.unusual.disk.as_ref().map_or_else(|| self.folder().to_owned(), |disk| disk.outside()).join("data")
    }

    fn write_tls(&self) {
        let Some((chain, key)) = &self.unusual.tls else { return };
        fs::write(self.data().join("server.crt"), chain).expect("the certificate is written");
        let file = self.data().join("server.key");
        fs::write(&file, key).expect("the key is written");
        run(Command::new("chmod").arg("600").arg(file));
        fs::write(self.data().join("pg_hba.conf"), "hostssl all all 127.0.0.1/32 scram-sha-256\n").expect("written");
    }

    /// Starts it on its port, or gives what it says.
    fn launch(&mut self) -> Result<(), String> {
        let log = self.folder.path().join("log");
        let out = File::create(&log).expect("the log can be written");
        let disk = self.unusual.disk.as_deref();
        let mut command = as_its_user(&program("postgres"), disk);
        command
            .arg("-D")
            .arg(disk.map_or_else(|| self.folder(), Disk::inside).join("data"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(out);
        let on = |yes| if yes { "on" } else { "off" };
        for setting in [
            "listen_addresses=127.0.0.1".to_owned(),
            format!("port={}", self.port),
            "unix_socket_directories=".to_owned(),
            "max_connections=60".to_owned(),
            "shared_buffers=16MB".to_owned(),
            // Segments in the data folder: the system's own would outlive a server that was killed.
            "dynamic_shared_memory_type=mmap".to_owned(),
            format!("fsync={}", on(self.unusual.durable)),
            format!("full_page_writes={}", on(self.unusual.durable)),
            format!("ssl={}", on(self.unusual.tls.is_some())),
        ] {
            command.arg("-c").arg(setting);
        }
        // A pid file that an earlier life left would say that this one is ready.
        let pid_file = self.data().join("postmaster.pid");
        let _ = fs::remove_file(&pid_file);
        let mut postmaster = spawn(command);
        let begun = Instant::now();
        loop {
            if fs::read_to_string(&pid_file)
                .is_ok_and(|text| text.lines().nth(7).is_some_and(|line| line.trim() == "ready"))
            {
                self.postmaster = Some(postmaster);
                return Ok(());
            }
            if postmaster.try_wait().expect("its state is known").is_some() {
                return Err(fs::read_to_string(&log).unwrap_or_default());
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "Postgres is not ready: {}",
                fs::read_to_string(&log).unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut postmaster) = self.postmaster.take() {
            // At once, yet not by SIGKILL: the system's own segment of shared memory, by which a postmaster knows that it is the only
            // one, would outlive it, and of those a system has 4,096.
            let parent = pid(&postmaster);
            children(parent).into_iter().for_each(|pid| signal(pid, Signal::CONT));
            signal(parent, Signal::CONT);
            signal(parent, Signal::QUIT);
            let _ = postmaster.wait();
        }
        if let Some(mut watch) = self.watch.take() {
            let _ = watch.kill().and_then(|()| watch.wait());
        }
    }
}

/// As whom Postgres runs where the tests run as root.
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

/// The program, as a user that Postgres accepts, ended when this process ends without having done so itself.
fn as_its_user(program: &Path, disk: Option<&Disk>) -> Command {
    let mut command = disk::setpriv(disk);
    command.args(["--pdeathsig", "QUIT"]);
    if let Some(user) = &*USER {
        command.args(["--reuid", &user.id, "--regid", &user.group, "--clear-groups"]);
    }
    command.arg("--").arg(program);
    command
}

/// Starts a child from a thread that lives as long as this process: a child's `pdeathsig` is sent when the *thread* that
/// started it ends.
fn spawn(command: Command) -> Child {
    type Order = (Command, mpsc::Sender<std::io::Result<Child>>);
    static PARENT: LazyLock<mpsc::Sender<Order>> = LazyLock::new(|| {
        let (order, orders) = mpsc::channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, answer) in orders {
                let _ = answer.send(command.spawn());
            }
        });
        order
    });
    let (answer, child) = mpsc::channel();
    PARENT.send((command, answer)).expect("the parent lives");
    child.recv().expect("the parent answers").expect("`setpriv` runs: apt-get install util-linux")
}

/// Where the programs are: on the path, or where Debian keeps them, the newest version first.
fn program(name: &str) -> PathBuf {
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
    versions.pop().unwrap_or_else(|| panic!("there is no `{name}`: apt-get install postgresql"))
}

/// A data folder fresh from `initdb`, made by the first test that needs one.
fn template() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let version = Command::new(program("postgres")).arg("--version").output().expect("`postgres` runs").stdout;
    let version: String = String::from_utf8_lossy(&version).chars().filter(|c| c.is_ascii_alphanumeric()).collect();
    let owner = USER.as_ref().map_or("self", |user| &user.id);
    let template = folder.join(format!("postgres-{version}-{owner}"));
    let lock = File::create(folder.join("postgres.lock")).expect("the lock can be made");
    lock.lock().expect("the lock can be had");
    if !template.exists() {
        let making = tempfile::tempdir().expect("a temporary folder");
        let password = making.path().join("password");
        fs::write(&password, PASSWORD).expect("the password is written");
        if let Some(user) = &*USER {
            run(Command::new("chown").arg("-R").arg(format!("{}:{}", user.id, user.group)).arg(making.path()));
        }
        let mut initdb = as_its_user(&program("initdb"), None);
        initdb.args(["--username=signet", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"]);
        initdb.args(["--no-instructions", "--wal-segsize=1"]);
        run(initdb.arg("--pwfile").arg(&password).arg("-D").arg(making.path().join("data")));
        // Under its name only when it is whole.
        let half = template.with_extension("half");
        let _ = fs::remove_dir_all(&half);
        run(Command::new("cp").arg("-a").arg(making.path().join("data")).arg(&half));
        fs::rename(&half, &template).expect("the template gets its name");
    }
    template
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A port that nobody listens on, below those that the system gives to whoever asks for any: so none that another test is
/// given, also while a server is down between two lives.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let own = std::process::id().wrapping_mul(7919) as u16;
    loop {
        let port = 12_000 + own.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id() as i32).expect("a pid is not zero")
}

/// Sends a signal; whoever is to get it may have ended in between.
fn signal(to: Pid, signal: Signal) {
    let _ = kill_process(to, signal);
}

fn children(parent: Pid) -> Vec<Pid> {
    let processes = fs::read_dir("/proc").expect("there is /proc").flatten();
    processes
        .filter_map(|entry| {
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            // After the name, which stands in parentheses and may hold anything: the state, then the parent.
            let (head, tail) = stat.rsplit_once(')')?;
            let its_parent = tail.split_whitespace().nth(1)?.parse().ok()?;
            let own = head.split_whitespace().next()?.parse().ok()?;
            (Pid::from_raw(its_parent) == Some(parent)).then(|| Pid::from_raw(own)).flatten()
        })
        .collect()
}
