//! A private Redis: on a free port, without persistence, with its files in a temporary folder.

use tempfile::TempDir;

use super::process::{Process, output, pinned_command};
use super::{free_port, temp_folder};

/// A running redis-server.
pub(crate) struct Redis {
    pub(crate) process: Process,
    port: u16,
    version: String,
    _folder: TempDir,
}

impl Redis {
    /// Starts a server on the given cores.
    pub(crate) fn start(cores: &str) -> Self {
        Self::start_with(cores, &[])
    }

    /// Starts a server with further options, in the format of its command line.
    pub(crate) fn start_with(cores: &str, options: &[&str]) -> Self {
        let version = output("redis-server", &["--version"])
            .expect("redis-server is not installed: apt-get install redis-server");
        let version =
            version.split_whitespace().find_map(|word| word.strip_prefix("v=")).unwrap_or("unknown").to_owned();
        let folder = temp_folder();
        let (log, port) = (folder.path().join("log"), free_port());
        let mut command = pinned_command(cores, "redis-server", &log);
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--appendonly", "no"]);
        command.arg("--dir").arg(folder.path()).arg("--logfile").arg(&log).args(options);
        let mut process = Process::start(command, &log);
        let port_text = port.to_string();
        process.wait_until("redis-server", || {
            (output("redis-cli", &["-p", &port_text, "PING"])
                .expect("redis-cli is not installed: apt-get install redis-tools")
                == "PONG")
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

    /// Runs redis-cli and returns its output.
    pub(crate) fn cli(&self, args: &[&str]) -> String {
        output("redis-cli", &[&["-p", &self.port.to_string()], args].concat()).expect("redis-cli runs")
    }
}
