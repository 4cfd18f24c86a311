//! The cost of a request to the server process: CPU time of its threads, and growth of its peak memory. Both are read
//! from `/proc`. CPU time is independent of what else runs on the machine, except for the state of the caches.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use crate::attacks::parsers_mutated::targets::cpu_time;
use crate::support::client::until_within;

/// Threads that hash passwords. They run at a lower priority and have a queue of their own, so the workers do not wait
/// for them.
const HASH_THREADS: &str = "signet-hash";
/// No request keeps the process busy for so long.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The meter of one process.
pub(super) struct Meter {
    process: PathBuf,
}

impl Meter {
    pub(super) fn of(pid: u32) -> Self {
        Self { process: format!("/proc/{pid}").into() }
    }

    /// The CPU time of all threads but those that hash passwords, once none of them runs any more.
    pub(super) async fn cpu_time(&self) -> Duration {
        let mut last = None;
        until_within("the process is idle", TIMEOUT, async || {
            let (time, is_running) = self.threads();
            // A thread that was woken but has not run yet appears in the second of two equal readings.
            let is_idle = !is_running && last == Some(time);
            last = Some(time);
            is_idle
        })
        .await;
        last.expect("it was read at least once")
    }

    /// The CPU time of the threads so far, and whether one of them runs.
    fn threads(&self) -> (Duration, bool) {
        let (mut time, mut is_running) = (Duration::ZERO, false);
        for thread in fs::read_dir(self.process.join("task")).expect("the process runs") {
            let thread = thread.expect("the folder can be read").path();
            // A thread may end meanwhile.
            let Ok(state) = fs::read_to_string(thread.join("stat")) else { continue };
            // The name is in parentheses, may contain anything, and the state follows it.
            let Some((name, state)) = state.rsplit_once(") ") else { continue };
            if name.split_once('(').is_some_and(|(_, name)| name.starts_with(HASH_THREADS)) {
                continue;
            }
            let Ok(statistics) = fs::read_to_string(thread.join("schedstat")) else { continue };
            time += cpu_time::from_schedstat(&statistics);
            is_running |= state.starts_with(['R', 'D']);
        }
        (time, is_running)
    }

    /// The resident memory in bytes.
    pub(super) fn memory(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// Starts a new measurement of the peak.
    pub(super) fn reset_peak(&self) {
        // 5 resets the peak to the present size: proc_pid_clear_refs(5).
        fs::write(self.process.join("clear_refs"), "5").expect("the process belongs to this user");
    }

    /// The largest resident memory since the reset, in bytes.
    pub(super) fn peak_memory(&self) -> u64 {
        self.status("VmHWM:")
    }

    fn status(&self, field: &str) -> u64 {
        let status = fs::read_to_string(self.process.join("status")).expect("the process runs");
        let value = status.lines().find_map(|line| line.strip_prefix(field)).expect("the field exists");
        let kilobytes = value.trim().strip_suffix(" kB").expect("it is in kilobytes");
        kilobytes.parse::<u64>().expect("a number") << 10
    }
}
