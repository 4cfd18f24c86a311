//! A child on cores of its own, what it has used of them, and the memory it holds.
//!
//! It dies with the bench, however that ends (`setpriv --pdeathsig`), and is ended by its id when dropped. Start it from a thread
//! that lives as long as it shall: the kernel goes by the thread that started it, not by the process.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// In what time a server must be up, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// A command that will run on `cores` (as `taskset -c` has them) and die with this thread. What it says besides its answers goes
/// to `log`.
pub(crate) fn pinned(cores: &str, program: impl AsRef<OsStr>, log: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", cores, "setpriv", "--pdeathsig", "KILL", "--"]).arg(program);
    let log = File::options().create(true).append(true).open(log).expect("the log can be written");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    command
}

/// A running child.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    pub(crate) fn start(mut command: Command, log: &Path) -> Self {
        let child = command.spawn().expect("taskset and setpriv run: apt-get install util-linux");
        Self { child, log: log.to_owned() }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn stdin(&mut self) -> ChildStdin {
        self.child.stdin.take().expect("it is piped, and asked for once")
    }

    pub(crate) fn stdout(&mut self) -> ChildStdout {
        self.child.stdout.take().expect("it is piped, and asked for once")
    }

    /// Waits until `ready` gives something.
    ///
    /// # Panics
    /// If the child ends before, or it takes too long; with what the child said.
    pub(crate) fn until<T>(&mut self, what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(thing) = ready() {
                return thing;
            }
            if let Some(status) = self.child.try_wait().expect("it is ours") {
                panic!("{what}: it ended, {status}:\n{}", self.said());
            }
            assert!(began.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}:\n{}", self.said());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What it has written to its log.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Puts each of the threads whose names begin so on a core of its own, where there are enough. By itself the kernel brings
    /// threads together with who wakes them.
    pub(crate) fn spread(&self, name: &str, cores: &str) {
        let threads = fs::read_dir(format!("/proc/{}/task", self.pid())).expect("it runs").flatten();
        let named = |thread: &fs::DirEntry| {
            fs::read_to_string(thread.path().join("comm")).is_ok_and(|own| own.starts_with(name))
        };
        let id = |thread: fs::DirEntry| thread.file_name().to_str().and_then(|id| id.parse::<u32>().ok());
        let mut ids: Vec<_> = threads.filter(named).filter_map(id).collect();
        ids.sort_unstable();
        assert!(!ids.is_empty(), "there is no thread called {name}");
        for (id, core) in ids.iter().zip(cores.split(',').cycle()) {
            let done = Command::new("taskset").args(["-c", "-p", core, &id.to_string()]).stdout(Stdio::null()).status();
            assert!(done.is_ok_and(|status| status.success()), "a thread cannot be put on core {core}");
        }
    }

    /// What it has used of processors.
    pub(crate) fn cpu(&self) -> Duration {
        cpu(self.pid()).expect("it runs")
    }

    pub(crate) fn memory(&self) -> Memory {
        memory(self.pid()).expect("it runs")
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for its end, and says whether it was a good one.
    pub(crate) fn ended_well(&mut self) -> bool {
        self.child.wait().expect("it is ours").success()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What all threads of a process that live now have used of processors, in user and system mode.
///
/// From `schedstat`, which counts nanoseconds; a kernel without it has `stat`, which counts in hundredths of a second. A running
/// thread's last tick is missing from it, so it is read when the server has nothing to do.
pub(crate) fn cpu(pid: u32) -> Option<Duration> {
    let mut all = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
        match fs::read_to_string(thread.path().join("schedstat")) {
            Ok(line) => all += line.split_whitespace().next()?.parse::<u64>().ok()?,
            // A thread that has just ended, or no such file here at all.
            Err(_) if Path::new("/proc/self/schedstat").exists() => {}
            Err(_) => return by_hundredths(pid),
        }
    }
    Some(Duration::from_nanos(all))
}

fn by_hundredths(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // After the name, which stands in parentheses and may hold anything, the twelfth and thirteenth are user and system time.
    let mut after = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || after.next()?.parse::<u64>().ok();
    Some(Duration::from_millis((ticks()? + ticks()?) * 10))
}

/// Bytes that a process has in memory.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub(crate) struct Memory {
    /// All of it (`VmRSS`), the program's own pages among them.
    pub(crate) resident: u64,
    /// What no file stands behind (`RssAnon`): heap and stacks.
    pub(crate) anonymous: u64,
}

pub(crate) fn memory(pid: u32) -> Option<Memory> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim_start_matches(':').trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
    };
    Some(Memory { resident: bytes("VmRSS")?, anonymous: bytes("RssAnon")? })
}

/// The program's output, if it runs at all.
pub(crate) fn output(program: &str, words: &[&str]) -> Option<String> {
    let output = Command::new(program).args(words).stderr(Stdio::null()).output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
