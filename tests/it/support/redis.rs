//! Real Redis servers: a single one, a Cluster of six processes, and a master with a replica and three Sentinels.
//!
//! Start them from the test itself, not from a task: the kernel kills them when the thread that started them ends.

mod sentinel;

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use signet::config;
use tempfile::TempDir;

pub(crate) use self::sentinel::Sentinel;
use super::ports::free_port;
use super::wait_until;

const TIMEOUT: Duration = Duration::from_secs(60);
const INSTALL: &str = "apt-get install redis-server redis-sentinel";

/// Settings of a server.
#[derive(Clone, Default)]
pub(crate) struct Options {
    password: Option<String>,
    tls: bool,
    extra: Vec<String>,
}

impl Options {
    pub(crate) fn password(mut self, password: &str) -> Self {
        self.password = Some(password.into());
        self
    }

    /// TLS only, with a certificate for 127.0.0.1 and localhost from a private CA: [`Server::ca`].
    pub(crate) fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Every write is on disk before its reply, so that [`Server::kill`] loses nothing.
    pub(crate) fn durable(self) -> Self {
        self.set("appendonly", "yes").set("appendfsync", "always")
    }

    /// Sets a directive of redis.conf.
    pub(crate) fn set(mut self, name: &str, value: &str) -> Self {
        self.extra.extend([format!("--{name}"), value.into()]);
        self
    }

    pub(crate) fn start(self) -> Server {
        let dir = TempDir::new().expect("a temporary folder");
        if self.tls {
            write_certificates(dir.path());
        }
        for _ in 0..50 {
            let mut server = Server {
                port: free_port(),
                options: self.clone(),
                child: None,
                dir: dir.path().into(),
                owned_dir: None,
            };
            if server.try_start() {
                server.owned_dir = Some(dir);
                return server;
            }
        }
        panic!("redis-server does not start: {}", fs::read_to_string(dir.path().join("log")).unwrap_or_default());
    }
}

/// One redis-server on 127.0.0.1.
pub(crate) struct Server {
    port: u16,
    options: Options,
    child: Option<Child>,
    dir: PathBuf,
    owned_dir: Option<TempDir>,
}

impl Server {
    /// Without password, TLS or persistence.
    pub(crate) fn start() -> Self {
        Options::default().start()
    }

    pub(crate) fn options() -> Options {
        Options::default()
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The folder with the server's files.
    pub(crate) fn folder(&self) -> &Path {
        &self.dir
    }

    /// The CA certificate of a server with TLS.
    pub(crate) fn ca(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    pub(crate) fn url(&self) -> String {
        let scheme = if self.options.tls { "rediss" } else { "redis" };
        let password = self.options.password.as_ref().map(|password| format!(":{password}@")).unwrap_or_default();
        format!("{scheme}://{password}127.0.0.1:{}", self.port)
    }

    /// Settings for this server, with a time-out that only a server without a response reaches.
    pub(crate) fn config(&self) -> config::Redis {
        config::Redis { ca: self.options.tls.then(|| self.ca()), ..config(&self.url()) }
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("the process can be killed");
            child.wait().expect("it is a child of this process");
        }
    }

    /// Starts the server again after [`Self::kill`], on the same port with the same files.
    pub(crate) fn restart(&mut self) {
        wait_until("the old port is free and the server up", TIMEOUT, || self.try_start());
    }

    /// Stops the process: its connections stay open and nothing responds.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Resumes the process.
    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// The output of redis-cli.
    pub(crate) fn cli(&self, arguments: &[&str]) -> String {
        let out =
            self.cli_command(arguments).output().unwrap_or_else(|_| panic!("redis-cli is not installed: {INSTALL}"));
        String::from_utf8_lossy(&out.stdout).trim_end().to_owned()
    }

    fn cli_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("redis-cli");
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string()]);
        if self.options.tls {
            command.arg("--tls").arg("--cacert").arg(self.ca());
        }
        if let Some(password) = &self.options.password {
            command.env("REDISCLI_AUTH", password);
        }
        command.args(arguments).stderr(Stdio::null());
        command
    }

    fn try_start(&mut self) -> bool {
        let port = self.port.to_string();
        let file = |name: &str| self.dir.join(name).to_string_lossy().into_owned();
        let (plain, tls) = if self.options.tls { ("0", port.as_str()) } else { (port.as_str(), "0") };
        let mut arguments: Vec<String> = ["--bind", "127.0.0.1", "--port", plain, "--save", ""].map(Into::into).into();
        arguments.extend(["--dir".into(), self.dir.to_string_lossy().into_owned(), "--logfile".into(), file("log")]);
        if self.options.tls {
            arguments.extend(["--tls-port".into(), tls.into(), "--tls-auth-clients".into(), "no".into()]);
            arguments.extend(["--tls-cert-file".into(), file("cert.pem"), "--tls-key-file".into(), file("key.pem")]);
            arguments.extend(["--tls-ca-cert-file".into(), file("ca.pem")]);
        }
        if let Some(password) = &self.options.password {
            arguments.extend(["--requirepass".into(), password.clone()]);
        }
        arguments.extend(self.options.extra.iter().cloned());
        self.child = Some(spawn("redis-server", &arguments));
        let mut up = false;
        wait_until("redis-server responds or exits", TIMEOUT, || {
            up = if self.options.tls {
                self.cli(&["PING"]) == "PONG"
            } else {
                responds(self.port, self.options.password.as_deref())
            };
            let ended = self.child.as_mut().is_none_or(|child| child.try_wait().is_ok_and(|status| status.is_some()));
            up || ended
        });
        up
    }

    fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("the server is running");
        kill_process(Pid::from_child(child), signal).expect("the process can be signalled");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The time without a response after which a server is replaced, once a test has made it fail.
const FAILOVER_SOON: Duration = Duration::from_secs(1);

/// The same at all other times: on a machine that is busy with other tests, a server may get no processor for some
/// seconds.
const FAILOVER_LATE: Duration = Duration::from_secs(30);

/// Three masters, three replicas.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Server>,
}

impl Cluster {
    pub(crate) fn start() -> Self {
        let options = Server::options()
            .set("cluster-enabled", "yes")
            .set("cluster-node-timeout", &FAILOVER_LATE.as_millis().to_string())
            .set("cluster-replica-validity-factor", "0")
            .set("repl-diskless-sync-delay", "0");
        let nodes: Vec<_> = (0..6).map(|_| options.clone().start()).collect();
        let addresses: Vec<_> = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
        let mut arguments: Vec<_> = ["--cluster", "create"].into();
        arguments.extend(addresses.iter().map(String::as_str));
        arguments.extend(["--cluster-replicas", "1", "--cluster-yes"]);
        let output = nodes[0].cli(&arguments);
        assert!(output.contains("All 16384 slots covered"), "{output}");

        let cluster = Self { nodes };
        wait_until("every node knows the cluster and every replica its master", TIMEOUT, || {
            cluster.nodes.iter().all(|node| {
                let replication = node.cli(&["INFO", "replication"]);
                let in_touch = replication.contains("role:master") && replication.contains("connected_slaves:1")
                    || replication.contains("master_link_status:up");
                in_touch
                    && node.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok")
                    && node.cli(&["CLUSTER", "NODES"]).matches("slave ").count() == 3
            })
        });
        cluster
    }

    /// The URL, which names all nodes.
    pub(crate) fn url(&self) -> String {
        let others: Vec<_> = self.nodes[1..].iter().map(|node| format!("node=127.0.0.1:{}", node.port)).collect();
        format!("redis-cluster://127.0.0.1:{}?{}", self.nodes[0].port, others.join("&"))
    }

    pub(crate) fn config(&self) -> config::Redis {
        config(&self.url())
    }

    /// The index of the node that serves a key.
    pub(crate) fn owner_of(&self, key: &str) -> usize {
        self.try_owner_of(key).expect("the key is served by one of the nodes")
    }

    fn try_owner_of(&self, key: &str) -> Option<usize> {
        // The redirections that redis-cli -c prints cannot be told from a reply, so this queries each node in turn.
        self.nodes.iter().position(|node| {
            let running = node.child.is_some();
            running && node.cli(&["ROLE"]).starts_with("master") && !node.cli(&["TYPE", key]).contains("MOVED")
        })
    }

    /// The keys of all nodes that match.
    pub(crate) fn keys(&self, pattern: &str) -> Vec<String> {
        let masters = self.nodes.iter().filter(|node| node.cli(&["ROLE"]).starts_with("master"));
        let found =
            masters.flat_map(|node| node.cli(&["KEYS", pattern]).lines().map(str::to_owned).collect::<Vec<_>>());
        found.filter(|key| !key.is_empty()).collect()
    }

    /// Moves the slot of a key to the next master, as `redis-cli --cluster reshard` does; returns the number of moved
    /// keys.
    pub(crate) fn move_slot_of(&self, key: &str) -> usize {
        let masters: Vec<_> = self.nodes.iter().filter(|node| node.cli(&["ROLE"]).starts_with("master")).collect();
        let at = masters
            .iter()
            .position(|node| !node.cli(&["TYPE", key]).contains("MOVED"))
            .expect("a master serves the key");
        let (from, to) = (masters[at], masters[(at + 1) % masters.len()]);
        let slot = from.cli(&["CLUSTER", "KEYSLOT", key]);
        let [from_id, to_id] = [from, to].map(|node| node.cli(&["CLUSTER", "MYID"]));
        let set = |node: &Server, arguments: &[&str]| {
            assert_eq!(node.cli(&[&["CLUSTER", "SETSLOT", &slot], arguments].concat()), "OK");
        };
        set(to, &["IMPORTING", &from_id]);
        set(from, &["MIGRATING", &to_id]);
        let (port, mut moved) = (to.port.to_string(), 0);
        loop {
            let keys = from.cli(&["CLUSTER", "GETKEYSINSLOT", &slot, "1"]);
            if keys.is_empty() {
                break;
            }
            // One key at a time, so that for a while a user's keys are on both nodes. A key may have expired meanwhile.
            from.cli(&["MIGRATE", "127.0.0.1", &port, &keys, "0", "5000"]);
            moved += 1;
        }
        set(to, &["NODE", &to_id]);
        masters.iter().for_each(|node| set(node, &["NODE", &to_id]));
        moved
    }

    /// Kills the node that serves a key and waits until its replica serves it; returns how long that took.
    pub(crate) fn fail_over(&mut self, key: &str) -> Duration {
        let dead = self.owner_of(key);
        self.nodes[dead].kill();
        let began = std::time::Instant::now();
        self.set_silence(FAILOVER_SOON);
        wait_until("the replica was promoted", TIMEOUT, || {
            self.try_owner_of(key)
                .is_some_and(|owner| self.nodes[owner].cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok"))
        });
        let promoted_after = began.elapsed();
        self.set_silence(FAILOVER_LATE);
        promoted_after
    }

    /// Sets the time without a response after which the other nodes replace a node.
    fn set_silence(&self, silence: Duration) {
        let silence = silence.as_millis().to_string();
        for node in self.nodes.iter().filter(|node| node.child.is_some()) {
            assert_eq!(node.cli(&["CONFIG", "SET", "cluster-node-timeout", &silence]), "OK");
        }
    }
}

fn config(url: &str) -> config::Redis {
    config::Redis {
        url: config::SecretUrl(url.into()),
        prefix: "signet:".into(),
        timeout: Duration::from_secs(5),
        ca: None,
    }
}

/// True if the server at this port executes commands. Not by redis-cli, which takes as long to start as a server does.
fn responds(port: u16, password: Option<&str>) -> bool {
    let auth = |password: &str| format!("*2\r\n$4\r\nAUTH\r\n${}\r\n{password}\r\n", password.len());
    let commands = password.map(auth).unwrap_or_default() + "PING\r\n";
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let limited = stream.set_read_timeout(Some(Duration::from_secs(5)));
    if limited.and_then(|()| stream.write_all(commands.as_bytes())).is_err() {
        return false;
    }
    let reply_to_ping = BufReader::new(stream).lines().nth(usize::from(password.is_some()));
    matches!(reply_to_ping, Some(Ok(reply)) if reply == "+PONG")
}

#[allow(clippy::disallowed_methods, reason = "where programs are is not a setting of Signet")]
fn is_installed(program: &str) -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).any(|folder| folder.join(program).exists())
}

fn spawn(program: &str, arguments: &[impl AsRef<OsStr>]) -> Child {
    assert!(is_installed(program), "{program} is not installed: {INSTALL}");
    Command::new("setpriv")
        .args(["--pdeathsig", "KILL", program])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("setpriv is part of util-linux")
}

/// Creates a CA and a certificate for 127.0.0.1 and localhost: `ca.pem`, `cert.pem`, `key.pem`.
pub(crate) fn write_certificates(dir: &Path) {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
    let authority_key = KeyPair::generate().expect("a key");
    let mut authority = CertificateParams::new([]).expect("no names");
    // With another name than the certificate's, or OpenSSL takes that for self-signed.
    authority.distinguished_name.push(DnType::CommonName, "a test CA");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let written = authority.self_signed(&authority_key).expect("a test CA");
    let key = KeyPair::generate().expect("a key");
    let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
    let issuer = Issuer::new(authority, authority_key);
    let certificate = CertificateParams::new(names).expect("names").signed_by(&key, &issuer).expect("a certificate");
    for (file, text) in [("ca.pem", written.pem()), ("cert.pem", certificate.pem()), ("key.pem", key.serialize_pem())] {
        fs::write(dir.join(file), text).expect("the folder is writable");
    }
}
