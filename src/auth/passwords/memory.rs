//! A thread's memory for Argon2, retained from one hash to the next: allocating and freeing 19 MiB for each would cost
//! page faults that are a considerable part of the hash itself.
//!
//! It is allocated in huge pages if the system provides them. Argon2 reads its blocks in random order, and the TLB
//! covers too few small pages. With huge pages a hash takes a twentieth less time. The first hash in new memory takes a
//! fifth less, because it causes ten page faults instead of five thousand (docs/performance.md).
//!
//! It is not wiped in between. The next hash overwrites it, and an attacker who can read it can also read the passwords
//! in requests. Knows nothing of passwords.

use memmap2::MmapMut;
use signet_argon2::Block;

/// Size of a huge page on every machine with 4 KiB pages. If huge pages are larger, less of the memory is in them.
const HUGE_PAGE: usize = 2 << 20;

/// The memory of one thread, which is mapped when a hash first needs it.
#[derive(Default)]
pub(super) struct Memory {
    /// The blocks, with padding so that they begin at a huge page.
    map: Option<MmapMut>,
    blocks: usize,
    retained_kib: usize,
}

impl Memory {
    /// Retains up to `kib` KiB after use. A block is 1 KiB (RFC 9106, 3.2).
    pub(super) fn retaining(kib: usize) -> Self {
        Self { retained_kib: kib, ..Self::default() }
    }

    /// `kib` blocks, with the contents that the last hash left. Panics if the system has no memory.
    pub(super) fn blocks(&mut self, kib: u32) -> &mut [Block] {
        let count = kib as usize;
        if self.blocks < count {
            // Released first: growing must neither hold old and new blocks at the same time nor copy them.
            self.release();
            #[allow(clippy::expect_used, reason = "the pool catches the panic and fails the job with Busy")]
            let map = map(count * Block::SIZE).expect("the system has memory for Argon2");
            (self.map, self.blocks) = (Some(map), count);
        }
        let Some(map) = &mut self.map else { return &mut [] };
        let begin = map.as_ptr().align_offset(HUGE_PAGE);
        &mut as_blocks(&mut map[begin..begin + self.blocks * Block::SIZE])[..count]
    }

    /// Releases the memory if an imported hash needed more than is retained.
    pub(super) fn release_excess(&mut self) {
        if self.blocks > self.retained_kib {
            self.release();
        }
    }

    /// Releases the memory.
    pub(super) fn release(&mut self) {
        *self = Self::retaining(self.retained_kib);
    }

    /// Returns true if memory is allocated.
    pub(super) fn is_allocated(&self) -> bool {
        self.map.is_some()
    }

    #[cfg(test)]
    pub(super) fn kib(&self) -> usize {
        self.blocks
    }
}

/// Maps `bytes` bytes and one huge page more, for alignment.
fn map(bytes: usize) -> std::io::Result<MmapMut> {
    let map = MmapMut::map_anon(bytes + HUGE_PAGE)?;
    #[cfg(target_os = "linux")]
    {
        // Whole huge pages only, so that no more memory is used than requested. Without huge pages the call fails, and
        // small pages are used.
        let (begin, whole) = (map.as_ptr().align_offset(HUGE_PAGE), bytes / HUGE_PAGE * HUGE_PAGE);
        if whole > 0
            && let Err(error) = map.advise_range(memmap2::Advice::HugePage, begin, whole)
        {
            tracing::debug!(%error, "no huge pages for Argon2");
        }
    }
    Ok(map)
}

/// The bytes as blocks. Argon2 requires its own block type, to which there is no safe conversion from mapped memory.
#[allow(unsafe_code, reason = "see SAFETY")]
fn as_blocks(bytes: &mut [u8]) -> &mut [Block] {
    const { assert!(size_of::<Block>() == Block::SIZE && !std::mem::needs_drop::<Block>()) };
    // SAFETY: `align_to_mut` takes care of alignment, length and borrowing. It requires that any bytes are a valid
    // block and any block is valid bytes. A block is 128 integers (`u64`) and has exactly their size, so it contains
    // nothing else, not even padding.
    unsafe { bytes.align_to_mut().1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_aligned_to_huge_pages_and_complete() {
        let mut memory = Memory::retaining(64);
        for kib in [8, 19_456, 2_048, 4_096] {
            let blocks = memory.blocks(kib);
            assert_eq!((blocks.len(), blocks.as_ptr().align_offset(HUGE_PAGE)), (kib as usize, 0));
            blocks.fill(Block::new());
        }
        memory.release_excess();
        assert!(!memory.is_allocated());
    }
}
