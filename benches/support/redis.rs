//! A Redis of one's own, on a free port, without persistence, its files in a temporary folder.

use tempfile::TempDir;

use super::process::{Process, output, pinned};
use super::{folder, free_port};

/// A running redis-server.
pub(crate) struct Redis {
    pub(crate) process: Process,
    port: u16,
    version: String,
    _folder: TempDir,
}

impl Redis {
    /// Starts one on these cores.
    pub(crate) fn start(cores: &str) -> Self {
        let version = output("redis-server", &["--version"]).expect("no redis-server: apt-get install redis-server");
        let version =
            version.split_whitespace().find_map(|word| word.strip_prefix("v=")).unwrap_or("unknown").to_owned();
        let folder = folder();
        let (log, port) = (folder.path().join("log"), free_port());
        let mut command = pinned(cores, "redis-server", &log);
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--appendonly", "no"]);
        command.arg("--dir").arg(folder.path()).arg("--logfile").arg(&log);
        let mut process = Process::start(command, &log);
        let asked = port.to_string();
        process.until("redis-server", || {
            (output("redis-cli", &["-p", &asked, "PING"]).expect("no redis-cli: apt-get install redis-tools") == "PONG")
                .then_some(())
        });
        Self { process, port, version, _folder: folder }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// What redis-cli prints.
    pub(crate) fn cli(&self, words: &[&str]) -> String {
        output("redis-cli", &[&["-p", &self.port.to_string()], words].concat()).expect("redis-cli ran before")
    }
}
