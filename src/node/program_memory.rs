//! Gives back the memory of program code that only the start of a server uses. Must not know what a server does.

use std::fs::read_to_string;
use std::io;
use std::ops::Range;
use std::time::Duration;

use rustix::mm::{Advice, madvise};

/// Time after the start for what it leaves to the background, such as the first report of the node.
const START_ENDS_AFTER: Duration = Duration::from_secs(3);

/// Waits for the end of the start, then gives back the code.
///
/// The kernel maps the neighbours of each page that is executed. A start executes a little of everything, which leaves
/// nearly all code in the memory of the process, while an idle server uses two thirds of it. The pages stay in the page
/// cache: code that is used again costs a page fault without disk access for each 64 KiB.
pub(super) async fn release_code_after_start() {
    tokio::time::sleep(START_ENDS_AFTER).await;
    let released = tokio::task::spawn_blocking(release_code).await.unwrap_or_else(|error| Err(io::Error::other(error)));
    if let Err(error) = released {
        tracing::debug!(%error, "program code that only the start used stays in memory");
    }
}

/// Gives back the code of the program and of its libraries.
fn release_code() -> io::Result<()> {
    advise_on_code(Advice::LinuxDontNeed)
}

/// `advice` does not change what an unchanged page of a file contains.
#[allow(unsafe_code, reason = "see SAFETY")]
fn advise_on_code(advice: Advice) -> io::Result<()> {
    for mapping in code_mappings()?.iter().filter(|mapping| mapping.changed == 0) {
        let begin = std::ptr::with_exposed_provenance_mut(mapping.addresses.start);
        // SAFETY: No page of the mapping was written to, so its pages are those of the page cache, and an access to a
        // discarded page maps the same page again. The addresses are still those of the mapping: only the program and
        // its libraries are mapped for execution, and none is unloaded.
        unsafe { madvise(begin, mapping.addresses.len(), advice)? };
    }
    Ok(())
}

/// Addresses to which the kernel maps the code of the program or of a library.
struct Mapping {
    addresses: Range<usize>,
    /// KiB of pages in memory.
    resident: u64,
    /// KiB of pages that were written to, as a debugger does.
    changed: u64,
}

/// Reads `/proc/self/smaps`: for each mapping a line with its addresses, permissions, offset, device, inode and path,
/// then a line for each figure (proc_pid_smaps(5)). Data of the files is left out, because other files are mapped like
/// it, and those may be unmapped at any time.
fn code_mappings() -> io::Result<Vec<Mapping>> {
    let mut mappings: Vec<Mapping> = Vec::new();
    let mut is_code = false;
    for line in read_to_string("/proc/self/smaps")?.lines() {
        let mut words = line.split_ascii_whitespace();
        let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let Some(figure) = first.strip_suffix(':') else {
            is_code = second == "r-xp" && words.nth(3).is_some_and(|path| path.starts_with('/'));
            if is_code && let Some(addresses) = parse_addresses(first) {
                mappings.push(Mapping { addresses, resident: 0, changed: 0 });
            }
            continue;
        };
        if is_code && let Some(mapping) = mappings.last_mut() {
            match figure {
                "Rss" => mapping.resident = parse_kib(second)?,
                "Anonymous" => mapping.changed = parse_kib(second)?,
                _ => {}
            }
        }
    }
    Ok(mappings)
}

fn parse_addresses(range: &str) -> Option<Range<usize>> {
    let (begin, end) = range.split_once('-')?;
    Some(usize::from_str_radix(begin, 16).ok()?..usize::from_str_radix(end, 16).ok()?)
}

fn parse_kib(figure: &str) -> io::Result<u64> {
    figure.parse().map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resident_code() -> u64 {
        code_mappings().unwrap().iter().map(|mapping| mapping.resident).sum()
    }

    #[test]
    fn released_code_leaves_memory_and_runs_on() {
        advise_on_code(Advice::LinuxPopulateRead).unwrap();
        let before = resident_code();
        release_code().unwrap();
        let after = resident_code();
        assert!(after < before / 2, "{after} of {before} KiB are left");
    }
}
