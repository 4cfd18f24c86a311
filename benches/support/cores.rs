//! Assignment of cores: the server runs alone on one core, the client and Redis on others.

use std::fs;

/// The cores that this process may use: one of each group of hyper-threads.
#[derive(Clone, Debug)]
pub(crate) struct Cores(Vec<usize>);

impl Cores {
    pub(crate) fn detect() -> Self {
        let status = fs::read_to_string("/proc/self/status").expect("/proc is mounted");
        let list =
            status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).expect("a list of allowed cores");
        let all = parse_cpu_list(list);
        let is_first_sibling = |core: &usize| {
            let path = format!("/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list");
            let siblings = fs::read_to_string(path).map_or_else(|_| vec![*core], |list| parse_cpu_list(&list));
            siblings.iter().find(|sibling| all.contains(sibling)) == Some(core)
        };
        Self(all.iter().copied().filter(is_first_sibling).collect())
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// All of them.
    pub(crate) fn all(&self) -> String {
        self.0.iter().map(usize::to_string).collect::<Vec<_>>().join(",")
    }

    /// The core of the server, which runs nothing else of the bench.
    pub(crate) fn server(&self) -> String {
        self.0[0].to_string()
    }

    /// The cores of a server with two workers.
    pub(crate) fn server_pair(&self) -> String {
        self.0.iter().take(2).map(usize::to_string).collect::<Vec<_>>().join(",")
    }

    /// The second core of that pair.
    pub(crate) fn second_server(&self) -> String {
        self.0[1.min(self.0.len() - 1)].to_string()
    }

    /// The core of the client and of Redis. On a machine with one core it is the core of the server.
    pub(crate) fn client(&self) -> String {
        self.0[1.min(self.0.len() - 1)].to_string()
    }

    /// All cores but that of the server. On a machine with one core it is that one.
    pub(crate) fn beside_server(&self) -> String {
        let others = self.0.get(1..).filter(|others| !others.is_empty()).unwrap_or(&self.0);
        others.iter().map(usize::to_string).collect::<Vec<_>>().join(",")
    }

    /// The core of the client if the server uses two. With fewer than three cores it is one of those two.
    pub(crate) fn client_beside_pair(&self) -> String {
        self.0[2.min(self.0.len() - 1)].to_string()
    }
}

/// How long some cores were busy since the start of the machine, whoever used them.
pub(crate) struct CoreTime {
    busy: u64,
    total: u64,
}

impl CoreTime {
    /// Reads the times of `cores`, in the format of `taskset -c`.
    pub(crate) fn read(cores: &str) -> Self {
        let text = fs::read_to_string("/proc/stat").expect("/proc is mounted");
        let mut time = Self { busy: 0, total: 0 };
        for core in parse_cpu_list(cores) {
            let prefix = format!("cpu{core} ");
            let line = text.lines().find_map(|line| line.strip_prefix(&prefix)).expect("a line for each core");
            // The fourth and the fifth are idle.
            for (index, ticks) in line.split_whitespace().take(8).enumerate() {
                let ticks = ticks.parse::<u64>().expect("a number");
                time.total += ticks;
                time.busy += if matches!(index, 3 | 4) { 0 } else { ticks };
            }
        }
        time
    }

    pub(crate) fn busy_share_since(&self, before: &Self) -> f64 {
        (self.busy - before.busy) as f64 / (self.total - before.total) as f64
    }
}

/// Parses a list in the format of the kernel: `0-2,5`.
fn parse_cpu_list(list: &str) -> Vec<usize> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.trim().parse::<usize>().expect("a number");
        number(first)..=number(last)
    };
    list.trim().split(',').flat_map(range).collect()
}
