//! A small disk of one's own, to be filled to the brim: a tmpfs that nobody else sees, gone with the test however that ends.
//!
//! A child holds it, in a mount namespace that only those are in who were started to live on the disk. Nothing is ever unmounted: a
//! namespace goes with the last who is in it.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use tempfile::TempDir;

const BALLAST: &str = "ballast";

/// A disk, which is there as long as this is.
#[derive(Debug)]
pub(crate) struct Disk {
    folder: TempDir,
    holder: Child,
}

impl Disk {
    /// An empty one.
    pub(crate) fn of(mebibytes: u32) -> Arc<Self> {
        let folder = tempfile::Builder::new().prefix("signet-disk-").tempdir().expect("a temporary folder");
        // It ends with its input, which this process holds open.
        let holds = format!("mount -t tmpfs -o size={mebibytes}m,mode=755 disk \"$0\" && echo mounted && read -r _");
        let mut holder = Command::new("unshare");
        holder.args(["--mount", "sh", "-c", &holds]).arg(folder.path());
        holder.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut holder = holder.spawn().expect("`unshare` runs: apt-get install util-linux");
        let mut line = String::new();
        let said = holder.stdout.take().expect("it is piped");
        BufReader::new(said).read_line(&mut line).expect("it writes text");
        if line.trim() != "mounted" {
            let mut why = String::new();
            let _ = holder.stderr.take().expect("it is piped").read_to_string(&mut why);
            panic!(
                "a disk cannot be mounted: the tests of a full disk need CAP_SYS_ADMIN. Run them as root, and in a \
                 container of one that was started with it (docker run --privileged): {why}"
            );
        }
        Arc::new(Self { folder, holder })
    }

    /// Where it is for those who live on it.
    pub(crate) fn inside(&self) -> &Path {
        self.folder.path()
    }

    /// Where it is for everybody else.
    pub(crate) fn outside(&self) -> PathBuf {
        let root = format!("/proc/{}/root", self.holder.id());
        Path::new(&root).join(self.inside().strip_prefix("/").expect("it is an absolute path"))
    }

    /// Takes all the room that is left.
    pub(crate) fn fill(&self) {
        let file = OpenOptions::new().create(true).append(true).open(self.outside().join(BALLAST));
        let mut file = file.expect("the ballast can be opened");
        while file.write_all(&[0; 4096]).is_ok() {}
    }

    /// Gives back what was taken.
    pub(crate) fn make_room(&self) {
        std::fs::remove_file(self.outside().join(BALLAST)).expect("it was filled");
    }
}

/// Begins a command by `setpriv`: where the disk is, if its data is to be on one.
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
