//! Metrics of the process as the operating system reports them. They are absent where there is no `/proc`.

use std::fs;

use rustix::param::clock_ticks_per_second;
use rustix::process::{Resource, getrlimit};

use super::exposition::Exposition;

/// Adds the metrics with the names that all Prometheus clients use.
pub(super) fn add_to(page: &mut Exposition) {
    if let Some(seconds) = cpu_seconds() {
        page.counter("process_cpu_seconds_total", "User and system CPU time.").value(seconds);
    }
    if let Ok(status) = fs::read_to_string("/proc/self/status") {
        if let Some(kib) = number_after(&status, "VmRSS:") {
            page.gauge("process_resident_memory_bytes", "Resident memory.").value(kib * 1024);
        }
        if let Some(kib) = number_after(&status, "VmSize:") {
            page.gauge("process_virtual_memory_bytes", "Virtual memory.").value(kib * 1024);
        }
        if let Some(threads) = number_after(&status, "Threads:") {
            page.gauge("process_threads", "Threads.").value(threads);
        }
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        // One of them is the directory that is being read.
        page.gauge("process_open_fds", "Open file descriptors.").value(open.count().saturating_sub(1));
    }
    if let Some(max) = getrlimit(Resource::Nofile).current {
        page.gauge("process_max_fds", "Maximum number of open file descriptors.").value(max);
    }
}

/// Fields 14 and 15 of `proc_pid_stat(5)`, counted after the command's name, which may contain spaces and brackets.
fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) as f64 / clock_ticks_per_second() as f64)
}

fn number_after(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}
