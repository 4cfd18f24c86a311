//! Child processes: pinned to cores, killed with the bench, with their use of CPU and memory.
//!
//! A child is killed when it is dropped, and by the kernel (`setpriv --pdeathsig`) when the thread that started it
//! ends. Start it from a thread that lives long enough.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// The time limit for starting a server, even on a busy machine.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// A command that runs on `cores` (in the format of `taskset -c`) and is killed when this thread ends. Its stderr goes
/// to `log`.
pub(crate) fn pinned_command(cores: &str, program: impl AsRef<OsStr>, log: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", cores, "setpriv", "--pdeathsig", "KILL", "--"]).arg(program);
    let log = File::options().create(true).append(true).open(log).expect("the log file is writable");
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
        let child = command.spawn().expect("cannot run taskset or setpriv: apt-get install util-linux");
        Self { child, log: log.to_owned() }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn stdin(&mut self) -> ChildStdin {
        self.child.stdin.take().expect("a pipe that was not taken before")
    }

    pub(crate) fn stdout(&mut self) -> ChildStdout {
        self.child.stdout.take().expect("a pipe that was not taken before")
    }

    /// Waits until `ready` returns a value.
    ///
    /// # Panics
    /// If the child exits first, or on a timeout. The message contains its log.
    pub(crate) fn wait_until<T>(&mut self, name: &str, mut ready: impl FnMut() -> Option<T>) -> T {
        let started = Instant::now();
        loop {
            if let Some(value) = ready() {
                return value;
            }
            if let Some(status) = self.child.try_wait().expect("a child of this process") {
                panic!("{name} exited early ({status}):\n{}", self.log_text());
            }
            assert!(
                started.elapsed() < START_TIMEOUT,
                "{name} was not ready within {START_TIMEOUT:?}:\n{}",
                self.log_text()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn log_text(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Pins each thread whose name starts with `prefix` to its own core, as far as there are enough cores. Otherwise
    /// the kernel moves threads to the core of the thread that wakes them.
    pub(crate) fn pin_threads(&self, prefix: &str, cores: &str) {
        let threads = fs::read_dir(format!("/proc/{}/task", self.pid())).expect("the process runs").flatten();
        let matches = |thread: &fs::DirEntry| {
            fs::read_to_string(thread.path().join("comm")).is_ok_and(|name| name.starts_with(prefix))
        };
        let id = |thread: fs::DirEntry| thread.file_name().to_str().and_then(|id| id.parse::<u32>().ok());
        let mut ids: Vec<_> = threads.filter(matches).filter_map(id).collect();
        ids.sort_unstable();
        assert!(!ids.is_empty(), "no thread has a name that starts with {prefix}");
        for (id, core) in ids.iter().zip(cores.split(',').cycle()) {
            let result =
                Command::new("taskset").args(["-c", "-p", core, &id.to_string()]).stdout(Stdio::null()).status();
            assert!(result.is_ok_and(|status| status.success()), "cannot pin a thread to core {core}");
        }
    }

    pub(crate) fn cpu_time(&self) -> Duration {
        cpu_time(self.pid()).expect("the process runs")
    }

    pub(crate) fn memory(&self) -> Memory {
        memory(self.pid()).expect("the process runs")
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for the exit of the process. Returns true if it succeeded.
    pub(crate) fn wait_success(&mut self) -> bool {
        self.child.wait().expect("a child of this process").success()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The CPU time of all living threads of a process, in user and system mode.
///
/// Reads `schedstat`, which counts nanoseconds, or on kernels without it `stat`, which counts hundredths of a second.
/// `schedstat` lacks the last tick of a running thread, so read it while the server is idle.
pub(crate) fn cpu_time(pid: u32) -> Option<Duration> {
    cpu_time_of_threads(pid, "")
}

/// The same of the threads whose names begin with `prefix`; of all threads on kernels without `schedstat`.
pub(crate) fn cpu_time_of_threads(pid: u32, prefix: &str) -> Option<Duration> {
    let mut total = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
        if !fs::read_to_string(thread.path().join("comm")).is_ok_and(|name| name.starts_with(prefix)) {
            continue;
        }
        match fs::read_to_string(thread.path().join("schedstat")) {
            Ok(line) => total += line.split_whitespace().next()?.parse::<u64>().ok()?,
            // The thread has just ended.
            Err(_) if Path::new("/proc/self/schedstat").exists() => {}
            Err(_) => return cpu_time_from_stat(pid),
        }
    }
    Some(Duration::from_nanos(total))
}

/// The CPU time of the calling thread.
pub(crate) fn thread_cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

fn cpu_time_from_stat(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name is in parentheses and can contain any character. After it, fields 12 and 13 are user and system time.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some(Duration::from_millis((ticks()? + ticks()?) * 10))
}

/// Pins this process, with all of its threads, to cores.
pub(crate) fn pin_this_process(cores: &str) {
    let pid = std::process::id().to_string();
    let status = Command::new("taskset").args(["-a", "-c", "-p", cores, &pid]).stdout(Stdio::null()).status();
    assert!(status.is_ok_and(|status| status.success()), "cannot pin this process to the cores {cores}");
}

/// The memory of a process, in bytes.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub(crate) struct Memory {
    /// All of it (`VmRSS`), including the pages of the program.
    pub(crate) resident: u64,
    /// Not backed by a file (`RssAnon`): heap and stacks.
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

/// Memory of this process in huge pages, in KiB.
pub(crate) fn huge_kib() -> f64 {
    let text = fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("AnonHugePages:"));
    line.and_then(|kib| kib.trim_end_matches("kB").trim().parse().ok()).unwrap_or(0.0)
}

/// The stdout of a program, or `None` if it cannot be started.
pub(crate) fn output(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).stderr(Stdio::null()).output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
