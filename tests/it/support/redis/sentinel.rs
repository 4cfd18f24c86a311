//! A master with a replica, and the three Sentinels that watch them.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use signet::config;
use tempfile::TempDir;

use super::{FAILOVER_LATE, FAILOVER_SOON, INSTALL, Server, TIMEOUT, responds, spawn};
use crate::support::ports::free_port;
use crate::support::wait_until;

/// A master, its replica, and three Sentinels that watch them.
pub(crate) struct Sentinel {
    pub(crate) servers: Vec<Server>,
    sentinels: Vec<(u16, Child)>,
    _dir: TempDir,
}

impl Sentinel {
    pub(crate) fn start() -> Self {
        // The master's own setting: by default it waits 5 s for more replicas before it sends its data to one.
        let options = Server::options().set("repl-diskless-sync-delay", "0");
        let master = options.clone().start();
        let replica = options.set("replicaof", &format!("127.0.0.1 {}", master.port)).start();
        wait_until("the replica is in touch", TIMEOUT, || {
            replica.cli(&["INFO", "replication"]).contains("master_link_status:up")
        });
        // The master holds back further writes until the replica has acknowledged the first transfer, for up to a second.
        master.cli(&["SET", "probe", "1"]);
        wait_until("the replica has what is written", TIMEOUT, || replica.cli(&["GET", "probe"]) == "1");
        master.cli(&["DEL", "probe"]);
        let dir = TempDir::new().expect("a temporary folder");
        let sentinels: Vec<_> = (0..3).map(|_| sentinel(dir.path(), master.port)).collect();
        let it = Self { servers: vec![master, replica], sentinels, _dir: dir };
        wait_until("the Sentinels know each other and the replica", TIMEOUT, || {
            it.sentinels.iter().all(|(port, _)| {
                let known = sentinel_cli(*port, &["SENTINEL", "MASTER", "main"]);
                let value = |name: &str| known.lines().skip_while(|line| *line != name).nth(1).map(str::to_owned);
                value("num-other-sentinels").as_deref() == Some("2") && value("num-slaves").as_deref() == Some("1")
            })
        });
        it
    }

    /// From now on, a server is replaced soon. Not earlier: a server that gets no processor for a second while the test
    /// prepares would be replaced before the test kills it.
    pub(crate) fn fail_over_soon(&self) {
        self.set_silence(FAILOVER_SOON);
    }

    /// Sets the time without a response after which a server is replaced.
    fn set_silence(&self, silence: Duration) {
        let silence = silence.as_millis().to_string();
        for (port, _) in &self.sentinels {
            let set = sentinel_cli(*port, &["SENTINEL", "SET", "main", "down-after-milliseconds", &silence]);
            assert_eq!(set, "OK");
        }
    }

    pub(crate) fn url(&self) -> String {
        let others: Vec<_> = self.sentinels[1..].iter().map(|(port, _)| format!("node=127.0.0.1:{port}")).collect();
        let first = self.sentinels[0].0;
        format!("redis-sentinel://127.0.0.1:{first}?sentinelServiceName=main&{}", others.join("&"))
    }

    pub(crate) fn config(&self) -> config::Redis {
        super::config(&self.url())
    }

    /// Waits until the Sentinels name the replica as master and it is one. From then on, a server is replaced late.
    pub(crate) fn wait_for_promotion(&self) {
        let replica = &self.servers[1];
        wait_until("the replica was promoted", TIMEOUT, || {
            let agreed = self.sentinels.iter().all(|(port, _)| {
                let named = sentinel_cli(*port, &["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main"]);
                named.ends_with(&replica.port.to_string())
            });
            agreed && replica.cli(&["ROLE"]).starts_with("master")
        });
        self.set_silence(FAILOVER_LATE);
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        for (_, child) in &mut self.sentinels {
            _ = child.kill();
            _ = child.wait();
        }
    }
}

fn sentinel(dir: &Path, master: u16) -> (u16, Child) {
    for _ in 0..50 {
        let port = free_port();
        let file = dir.join(format!("{port}.conf"));
        let settings = format!(
            "bind 127.0.0.1\nport {port}\ndir {}\nlogfile {port}.log\nsentinel monitor main 127.0.0.1 {master} 2\n\
             sentinel down-after-milliseconds main {}\nsentinel failover-timeout main 3000\n",
            dir.display(),
            FAILOVER_LATE.as_millis()
        );
        fs::write(&file, settings).expect("the folder is writable");
        let mut child = spawn("redis-sentinel", &[file]);
        let mut up = false;
        wait_until("redis-sentinel responds or exits", TIMEOUT, || {
            up = responds(port, None);
            up || child.try_wait().is_ok_and(|status| status.is_some())
        });
        if up {
            // Sentinels find each other by messages, of which each sends one every 2 s. Redis 6.2 cannot change that.
            sentinel_cli(port, &["SENTINEL", "DEBUG", "PUBLISH-PERIOD", "200"]);
            return (port, child);
        }
    }
    panic!("redis-sentinel does not start")
}

fn sentinel_cli(port: u16, arguments: &[&str]) -> String {
    let mut command = Command::new("redis-cli");
    command.args(["-h", "127.0.0.1", "-p", &port.to_string()]).args(arguments).stderr(Stdio::null());
    let out = command.output().unwrap_or_else(|_| panic!("redis-cli is not installed: {INSTALL}"));
    String::from_utf8_lossy(&out.stdout).trim_end().to_owned()
}
