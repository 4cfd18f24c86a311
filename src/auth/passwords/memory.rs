//! A thread's memory for Argon2, kept from one hash to the next: to get and return 19 MiB for each would cost page faults that are
//! a good part of the hash itself.
//!
//! It is asked for in huge pages, where the system has them to give. Argon2 reads its memory in no order, block by block, and the
//! processor remembers the places of too few small pages: in huge ones a hash takes a twentieth less, and the first one in new
//! memory, which are ten page faults and not five thousand, a fifth less (docs/performance.md).
//!
//! It is not wiped in between. The next hash writes over it, and who can read it here can read the passwords in the requests.
//! Knows nothing of passwords.

use argon2::Block;
use memmap2::MmapMut;

/// What a huge page is on every machine that has small pages of 4 KiB. Where it is more, less of the memory is in huge ones.
const HUGE: usize = 2 << 20;

/// Nothing until it is needed.
#[derive(Default)]
pub(super) struct Memory {
    /// The blocks, and what it takes to begin where a huge page does.
    map: Option<MmapMut>,
    blocks: usize,
    keep: usize,
}

impl Memory {
    /// Keeps up to that many KiB, which are blocks (RFC 9106, 3.2), once they were needed.
    pub(super) fn keeping(kib: usize) -> Self {
        Self { keep: kib, ..Self::default() }
    }

    /// So many blocks. They are as the last hash left them. Panics where the system has no memory.
    pub(super) fn blocks(&mut self, kib: u32) -> &mut [Block] {
        let count = kib as usize;
        if self.blocks < count {
            // Emptied first: growing must not hold the old blocks and the new ones at once, nor copy them.
            self.release();
            #[allow(
                clippy::expect_used,
                reason = "whom the pool hashes for is told that it is busy, and the server lives"
            )]
            let map = map(count * Block::SIZE).expect("there is memory to hash with");
            (self.map, self.blocks) = (Some(map), count);
        }
        let Some(map) = &mut self.map else { return &mut [] };
        let begin = map.as_ptr().align_offset(HUGE);
        &mut in_blocks(&mut map[begin..begin + self.blocks * Block::SIZE])[..count]
    }

    /// Gives back what an imported hash took beyond what our own take.
    pub(super) fn release_excess(&mut self) {
        if self.blocks > self.keep {
            self.release();
        }
    }

    /// Gives all of it back.
    pub(super) fn release(&mut self) {
        *self = Self::keeping(self.keep);
    }

    /// Whether there is any.
    pub(super) fn is_held(&self) -> bool {
        self.map.is_some()
    }

    #[cfg(test)]
    pub(super) fn kib(&self) -> usize {
        self.blocks
    }
}

/// Maps as much, and one huge page more.
fn map(bytes: usize) -> std::io::Result<MmapMut> {
    let map = MmapMut::map_anon(bytes + HUGE)?;
    #[cfg(target_os = "linux")]
    {
        // Whole ones only, so that no more is taken than is asked for. A system without them says so, and small ones do.
        let (begin, whole) = (map.as_ptr().align_offset(HUGE), bytes / HUGE * HUGE);
        if whole > 0
            && let Err(error) = map.advise_range(memmap2::Advice::HugePage, begin, whole)
        {
            tracing::debug!(%error, "no huge pages to hash in");
        }
    }
    Ok(map)
}

/// The bytes as blocks. The one place in Signet where the compiler takes our word: Argon2 wants a type of its own, and there is no
/// other way to it from mapped memory.
#[allow(unsafe_code, reason = "see SAFETY")]
fn in_blocks(bytes: &mut [u8]) -> &mut [Block] {
    const { assert!(size_of::<Block>() == Block::SIZE && !std::mem::needs_drop::<Block>()) };
    // SAFETY: `align_to_mut` sees to alignment, length and borrow, and asks that bytes be a block whatever they are, and a block
    // bytes. A block is 128 integers (`u64`) and, being of exactly their size, nothing else, not even padding.
    unsafe { bytes.align_to_mut().1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_begin_with_a_huge_page_and_are_as_many_as_were_asked_for() {
        let mut memory = Memory::keeping(64);
        for kib in [8, 19_456, 2_048, 4_096] {
            let blocks = memory.blocks(kib);
            assert_eq!((blocks.len(), blocks.as_ptr().align_offset(HUGE)), (kib as usize, 0));
            blocks.fill(Block::new());
        }
        memory.release_excess();
        assert!(!memory.is_held());
    }
}
