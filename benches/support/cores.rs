//! Who runs where: the server alone on one core, all else that has to do with it on others.

use std::fs;

/// The cores that this process may use, one of each pair that shares its parts.
#[derive(Clone, Debug)]
pub(crate) struct Cores(Vec<usize>);

impl Cores {
    pub(crate) fn find() -> Self {
        let status = fs::read_to_string("/proc/self/status").expect("there is /proc");
        let list =
            status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).expect("it says where we may run");
        let all = read(list);
        let whole = |core: &usize| {
            let place = format!("/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list");
            let siblings = fs::read_to_string(place).map_or_else(|_| vec![*core], |list| read(&list));
            siblings.iter().find(|sibling| all.contains(sibling)) == Some(core)
        };
        Self(all.iter().copied().filter(whole).collect())
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Where the server is, with nothing else of ours.
    pub(crate) fn server(&self) -> String {
        self.0[0].to_string()
    }

    /// Where a server of two workers is.
    pub(crate) fn two(&self) -> String {
        self.0.iter().take(2).map(usize::to_string).collect::<Vec<_>>().join(",")
    }

    /// The second of those.
    pub(crate) fn second(&self) -> String {
        self.0[1.min(self.0.len() - 1)].to_string()
    }

    /// Where the client and Redis are. On a single core that is the server's.
    pub(crate) fn load(&self) -> String {
        self.0[1.min(self.0.len() - 1)].to_string()
    }

    /// Where the client is when the server has two cores; with fewer than three of them, one of those.
    pub(crate) fn load_beside_two(&self) -> String {
        self.0[2.min(self.0.len() - 1)].to_string()
    }
}

/// A list as the kernel writes it: `0-2,5`.
fn read(list: &str) -> Vec<usize> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.trim().parse::<usize>().expect("the kernel writes numbers");
        number(first)..=number(last)
    };
    list.trim().split(',').flat_map(range).collect()
}
