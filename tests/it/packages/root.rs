//! A copy of this machine's file system to install packages in: an overlay in a mount namespace of its own, which goes
//! away with the test. Files that are written there are in memory.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

/// Mounts the overlay below `$0`. The policy of Docker's images, which starts no service, does not apply, and no manual
/// pages are indexed, which takes seconds.
const MOUNT: &str = "
set -e
cd \"$0\"
mount -t tmpfs -o mode=755 scratch .
cd \"$0\"
mkdir upper work root
mount -t overlay -o lowerdir=/,upperdir=upper,workdir=work overlay root
mount --rbind /proc root/proc
mount --rbind /dev root/dev
mount -t tmpfs -o mode=755 run root/run
mount -t tmpfs tmp root/tmp
rm -f root/usr/sbin/policy-rc.d root/var/lib/man-db/auto-update
echo mounted
read -r _
";

/// The root folder of a system. It exists as long as this value.
pub(super) struct Root {
    _folder: TempDir,
    inside: PathBuf,
    holder: Child,
}

impl Root {
    pub(super) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("signet-root-").tempdir().expect("a temporary folder");
        let mut holder = Command::new("unshare");
        holder.args(["--mount", "bash", "-c", MOUNT]).arg(folder.path());
        // The child exits when its stdin is closed.
        let mut holder = holder
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("`unshare` runs: apt-get install util-linux");
        let mut line = String::new();
        BufReader::new(holder.stdout.take().expect("it is piped")).read_line(&mut line).expect("stdout is text");
        if line.trim() != "mounted" {
            let mut stderr = String::new();
            let _ = holder.stderr.take().expect("it is piped").read_to_string(&mut stderr);
            panic!(
                "cannot mount an overlay: the tests of packages need CAP_SYS_ADMIN. Run them as root, and in a \
                 container that was started with it (docker run --privileged): {stderr}"
            );
        }
        let inside = folder.path().join("root");
        Self { _folder: folder, inside, holder }
    }

    /// A command that runs in this root, as root, without any variable of the test's environment.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--mount=/proc/{}/ns/mnt", self.holder.id())).args(["--", "chroot"]).arg(&self.inside);
        command.args(["setpriv", "--pdeathsig", "KILL", "--", program]).env_clear();
        command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C.UTF-8");
        command.env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
        command
    }

    /// Runs a line of shell in this root.
    pub(super) fn try_run(&self, line: &str) -> Output {
        self.command("sh").args(["-c", line]).output().expect("`nsenter` runs: apt-get install util-linux")
    }

    /// The same; it must succeed. Returns what it printed.
    #[track_caller]
    pub(super) fn run(&self, line: &str) -> String {
        let output = self.try_run(line);
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{line}: {printed}{}", String::from_utf8_lossy(&output.stderr));
        printed.trim_end().to_owned()
    }

    /// A path in this root, for this process.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        let root = format!("/proc/{}/root", self.holder.id());
        let inside = self.inside.strip_prefix("/").expect("the path is absolute");
        Path::new(&root).join(inside).join(path.trim_start_matches('/'))
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
