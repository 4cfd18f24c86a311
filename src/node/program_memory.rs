//! Gives back the memory of program code and constants that only the start of a server uses. Must not know what a server
//! does.

use std::fs::read_to_string;
use std::io;
use std::ops::Range;
use std::time::Duration;

use rustix::mm::{Advice, madvise};

/// Time after the start for what it leaves to the background, such as the first report of the node.
const START_ENDS_AFTER: Duration = Duration::from_secs(3);

/// A constant of the program: it tells which mapping has the read-only data of the program.
static CONSTANT: u8 = 0;

/// Waits for the end of the start, then gives back the pages.
///
/// The kernel maps the neighbours of each page that is executed or read. A start executes and reads a little of
/// everything, which leaves nearly all code in the memory of the process, while an idle server uses two thirds of it or
/// less. The pages stay in the page cache: what is used again costs a page fault without disk access for each 64 KiB.
pub(super) async fn release_pages_after_start() {
    tokio::time::sleep(START_ENDS_AFTER).await;
    let released =
        tokio::task::spawn_blocking(release_pages).await.unwrap_or_else(|error| Err(io::Error::other(error)));
    if let Err(error) = released {
        tracing::debug!(%error, "program code that only the start used stays in memory");
    }
}

/// Gives back the code of the program and of its libraries, and the read-only data of the program.
fn release_pages() -> io::Result<()> {
    advise_on_pages(Advice::LinuxDontNeed)
}

/// `advice` does not change what an unchanged page of a file contains.
#[allow(unsafe_code, reason = "see SAFETY")]
fn advise_on_pages(advice: Advice) -> io::Result<()> {
    for mapping in lasting_mappings()?.iter().filter(|mapping| mapping.changed == 0) {
        let begin = std::ptr::with_exposed_provenance_mut(mapping.addresses.start);
        // SAFETY: No page of the mapping was written to, so its pages are those of the page cache, and an access to a
        // discarded page maps the same page again. The addresses are still those of the mapping: only the program and
        // its libraries are mapped for execution, none is unloaded, and the only other mapping has a constant of the
        // program in it.
        unsafe { madvise(begin, mapping.addresses.len(), advice)? };
    }
    Ok(())
}

/// Addresses to which the kernel maps code of the program or of a library, or read-only data of the program.
struct Mapping {
    addresses: Range<usize>,
    /// KiB of pages in memory.
    resident: u64,
    /// KiB of pages that were written to, as a debugger does.
    changed: u64,
}

/// Reads `/proc/self/smaps`: for each mapping a line with its addresses, permissions, offset, device, inode and path,
/// then a line for each figure (proc_pid_smaps(5)). Of the read-only data, only the mapping with [`CONSTANT`] is taken:
/// that of a library looks like any other file that is mapped for a while, and may be unmapped at any time. Relocated
/// constants are in a mapping of their own, whose pages were written to.
fn lasting_mappings() -> io::Result<Vec<Mapping>> {
    let constant = (&raw const CONSTANT).addr();
    let mut mappings: Vec<Mapping> = Vec::new();
    let mut is_lasting = false;
    for line in read_to_string("/proc/self/smaps")?.lines() {
        let mut words = line.split_ascii_whitespace();
        let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let Some(figure) = first.strip_suffix(':') else {
            let is_file = words.nth(3).is_some_and(|path| path.starts_with('/'));
            let addresses = parse_addresses(first).filter(|addresses| match second {
                "r-xp" => is_file,
                "r--p" => is_file && addresses.contains(&constant),
                _ => false,
            });
            is_lasting = addresses.is_some();
            mappings.extend(addresses.map(|addresses| Mapping { addresses, resident: 0, changed: 0 }));
            continue;
        };
        if is_lasting && let Some(mapping) = mappings.last_mut() {
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

    fn resident() -> u64 {
        lasting_mappings().unwrap().iter().map(|mapping| mapping.resident).sum()
    }

    #[test]
    fn released_pages_leave_memory_and_are_read_again() {
        advise_on_pages(Advice::LinuxPopulateRead).unwrap();
        let before = resident();
        release_pages().unwrap();
        let after = resident();
        assert!(after < before / 2, "{after} of {before} KiB are left");
    }

    #[test]
    fn only_the_data_of_the_program_is_among_the_pages() {
        let mappings = lasting_mappings().unwrap();
        let of = |address: usize| mappings.iter().find(|mapping| mapping.addresses.contains(&address));
        let constants = of((&raw const CONSTANT).addr()).unwrap();
        assert_eq!(constants.changed, 0);
        assert!(of((release_pages as fn() -> io::Result<()> as *const ()).addr()).is_some());
        let on_the_heap = Box::new(0_u8);
        assert!(of((&raw const *on_the_heap).addr()).is_none());
    }
}
