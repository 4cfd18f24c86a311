//! A small private disk to fill: a tmpfs in a mount namespace of its own, which goes away with the test.
//!
//! A child process keeps the namespace; only processes started on the disk are in it. Nothing is unmounted explicitly:
//! the namespace ends with its last process.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use tempfile::TempDir;

const BALLAST: &str = "ballast";

/// A disk. It exists as long as this value.
#[derive(Debug)]
pub(crate) struct Disk {
    folder: TempDir,
    holder: Child,
}

impl Disk {
    /// An empty disk of this size.
    pub(crate) fn with_mebibytes(mebibytes: u32) -> Arc<Self> {
        let folder = tempfile::Builder::new().prefix("signet-disk-").tempdir().expect("a temporary folder");
        // The child exits when its stdin, which this process keeps open, is closed.
        let script = format!("mount -t tmpfs -o size={mebibytes}m,mode=755 disk \"$0\" && echo mounted && read -r _");
        let mut holder = Command::new("unshare");
        holder.args(["--mount", "sh", "-c", &script]).arg(folder.path());
        holder.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut holder = holder.spawn().expect("`unshare` runs: apt-get install util-linux");
        let mut line = String::new();
        let stdout = holder.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut line).expect("stdout is text");
        if line.trim() != "mounted" {
            let mut stderr = String::new();
            let _ = holder.stderr.take().expect("it is piped").read_to_string(&mut stderr);
            panic!(
                "cannot mount a tmpfs: the tests of a full disk need CAP_SYS_ADMIN. Run them as root, and in a \
                 container that was started with it (docker run --privileged): {stderr}"
            );
        }
        Arc::new(Self { folder, holder })
    }

    /// The path of the disk for processes that were started on it.
    pub(crate) fn inside(&self) -> &Path {
        self.folder.path()
    }

    /// The path of the disk for all other processes.
    pub(crate) fn outside(&self) -> PathBuf {
        let root = format!("/proc/{}/root", self.holder.id());
        Path::new(&root).join(self.inside().strip_prefix("/").expect("the path is absolute"))
    }

    /// Fills the disk with a ballast file.
    pub(crate) fn fill(&self) {
        let file = OpenOptions::new().create(true).append(true).open(self.outside().join(BALLAST));
        let mut file = file.expect("the ballast file opens");
        while file.write_all(&[0; 4096]).is_ok() {}
    }

    /// Deletes the ballast file.
    pub(crate) fn remove_ballast(&self) {
        std::fs::remove_file(self.outside().join(BALLAST)).expect("the ballast file exists");
    }
}

/// A command that runs `setpriv`, in the disk's mount namespace if there is a disk.
pub(crate) fn setpriv(disk: Option<&Disk>) -> Command {
    let Some(disk) = disk else { return Command::new("setpriv") };
    let mut command = Command::new("nsenter");
    command.arg(format!("--mount=/proc/{}/ns/mnt", disk.holder.id())).args(["--", "setpriv"]);
    command
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.holder.kill().and_then(|()| self.holder.wait());
    }
}
