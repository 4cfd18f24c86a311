//! Computing one block from two (RFC 9106, 3.5), for each instruction set.
//!
//! A kernel knows nothing of passes, lanes and addresses. The safe functions in this folder index blocks with bounds
//! checks. Unsafe are only loads and stores of vectors, prefetching, and calls that need a feature of the processor.

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512;
#[cfg(target_arch = "x86_64")]
mod memory;
#[cfg(test)]
pub(crate) mod scalar;

use argon2::Block;

/// The indices of the block to compute and of the two it is computed from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) previous: usize,
    pub(crate) reference: usize,
    /// The block to write, neither of the other two.
    pub(crate) block: usize,
    /// The result is XORed into the block instead of overwriting it.
    pub(crate) combine: bool,
}

/// An instruction set. A value exists only if the processor has it.
pub(crate) trait Kernel: Copy {
    /// Computes a block. As soon as its first word is known, `next` gives the index of the block that the next step
    /// refers to. It is returned, and its memory is fetched while the rest of this block is computed.
    fn fill(self, memory: &mut [Block], step: Step, scratch: &mut [Block; 2], next: impl FnOnce(u64) -> usize)
    -> usize;

    /// Fetches a block into the cache.
    fn prefetch(self, memory: &[Block], block: usize);
}
