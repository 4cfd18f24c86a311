//! A description of the machine, which every report contains.

use std::fs;

use serde::Serialize;

use super::cores::Cores;
use super::process::output;

/// The machine, the compiler, the commit and the date.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) date: String,
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    pub(crate) memory_mib: u64,
    /// Transparent huge pages: always, madvise or never.
    pub(crate) huge_pages: String,
    pub(crate) rustc: String,
    pub(crate) commit: String,
    /// The load average of the last minute before the bench started.
    pub(crate) load_before: f64,
}

impl Machine {
    pub(crate) fn inspect(cores: &Cores) -> Self {
        let unknown = || "unknown".to_owned();
        let processor = field("/proc/cpuinfo", "model name").unwrap_or_else(unknown);
        let memory =
            field("/proc/meminfo", "MemTotal").and_then(|text| text.strip_suffix(" kB")?.trim().parse::<u64>().ok());
        let kernel =
            fs::read_to_string("/proc/sys/kernel/osrelease").map_or_else(|_| unknown(), |text| text.trim().to_owned());
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let source = env!("CARGO_MANIFEST_DIR");
        Self {
            date: output("date", &["-u", "+%Y-%m-%dT%H:%M:%SZ"]).unwrap_or_else(unknown),
            processor,
            cores: cores.count(),
            kernel,
            memory_mib: memory.unwrap_or(0) / 1024,
            huge_pages: huge_pages().unwrap_or_else(unknown),
            rustc: output("rustc", &["--version"]).unwrap_or_else(unknown),
            commit: output("git", &["-C", source, "describe", "--always", "--dirty"]).unwrap_or_else(unknown),
            load_before: load.split_whitespace().next().and_then(|text| text.parse().ok()).unwrap_or(0.0),
        }
    }
}

fn huge_pages() -> Option<String> {
    let text = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").ok()?;
    Some(text.split_once('[')?.1.split_once(']')?.0.to_owned())
}

fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
