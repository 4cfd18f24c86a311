//! Blocks as the kernels for x86-64 use them: as vectors, and fetched before they are used. Knows nothing of the width
//! of a vector.

use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

use argon2::Block;

/// Fetches a block into the first cache.
#[inline]
#[allow(unsafe_code, reason = "see SAFETY")]
pub(super) fn prefetch(block: &Block) {
    // A line of the cache is eight words.
    for line in block.as_ref().as_chunks::<8>().0 {
        // SAFETY: every processor with x86-64 has SSE. The instruction changes no memory and ignores invalid
        // addresses; this one is valid.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) }
    }
}

/// The `COUNT` vectors of `WORDS` words that a block consists of.
#[inline]
pub(super) fn vectors<const WORDS: usize, const COUNT: usize>(block: &Block) -> &[[u64; WORDS]; COUNT] {
    const { assert!(WORDS * COUNT == 128, "a block has 128 words") };
    let Some(words) = block.as_ref().as_chunks().0.first_chunk() else { unreachable!("the counts were compared") };
    words
}

/// The same, to be written.
#[inline]
pub(super) fn vectors_mut<const WORDS: usize, const COUNT: usize>(block: &mut Block) -> &mut [[u64; WORDS]; COUNT] {
    const { assert!(WORDS * COUNT == 128, "a block has 128 words") };
    let Some(words) = block.as_mut().as_chunks_mut().0.first_chunk_mut() else {
        unreachable!("the counts were compared")
    };
    words
}
