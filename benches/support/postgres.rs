//! A private Postgres: on a free port of loopback, with its data in a temporary folder, and with the defaults of its
//! version. Postgres refuses to run as root: if the bench runs as root, it runs as `postgres`.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::free_port;
use super::process::{Process, output, pinned_command};

/// A running server.
pub(crate) struct Postgres {
    pub(crate) process: Process,
    port: u16,
    _folder: TempDir,
}

impl Postgres {
    /// Starts a server on the given cores.
    pub(crate) fn start(cores: &str) -> Self {
        // Not in the target folder, which that user may be unable to reach.
        let folder = tempfile::tempdir().expect("a temporary folder");
        let user = other_user(folder.path());
        if let Some((user, group)) = user {
            chown(folder.path(), Some(user), Some(group)).expect("the folder can be given to another user");
        }
        let (data, log, port) = (folder.path().join("data"), folder.path().join("log"), free_port());
        let mut initdb = as_user(user, Command::new("setpriv"));
        initdb.arg("--").arg(program("initdb")).arg("-D").arg(&data);
        initdb.args(["--username=signet", "--auth=trust", "--encoding=UTF8", "--locale=C"]);
        let made = initdb.output().expect("initdb runs");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));

        let mut command = as_user(user, pinned_command(cores, "setpriv", &log));
        command.arg("--").arg(program("postgres")).arg("-D").arg(&data);
        command.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-k", ""]);
        let mut process = Process::start(command, &log);
        let (is_ready, port_text) = (program("pg_isready"), port.to_string());
        process.wait_until("postgres", || {
            let answer = output(&is_ready.display().to_string(), &["-h", "127.0.0.1", "-p", &port_text])?;
            answer.contains("accepting connections").then_some(())
        });
        Self { process, port, _folder: folder }
    }

    pub(crate) fn url(&self) -> String {
        format!("postgres://signet@127.0.0.1:{}/postgres", self.port)
    }
}

/// The ids of the user `postgres` and of its group, if this process runs as root.
fn other_user(own: &Path) -> Option<(u32, u32)> {
    if fs::metadata(own).expect("a folder of this process").uid() != 0 {
        return None;
    }
    let id = |option: &str| output("id", &[option, "postgres"])?.parse().ok();
    Some(id("-u").zip(id("-g")).expect("Postgres refuses to run as root, and there is no user `postgres`"))
}

/// Adds the options of `setpriv` for that user. The kernel ends the program with the bench.
fn as_user(user: Option<(u32, u32)>, mut command: Command) -> Command {
    command.args(["--pdeathsig", "QUIT"]);
    if let Some((user, group)) = user {
        command.args(["--reuid", &user.to_string(), "--regid", &group.to_string(), "--clear-groups"]);
    }
    command
}

/// A program of Postgres: from PATH, or of the newest version that Debian has installed.
fn program(name: &str) -> PathBuf {
    if output(name, &["--version"]).is_some() {
        return name.into();
    }
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let programs = versions.map(|version| version.path().join("bin").join(name)).filter(|program| program.is_file());
    programs.max().unwrap_or_else(|| panic!("{name} is not installed: apt-get install postgresql"))
}
