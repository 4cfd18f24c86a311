//! Reading entries: eight of them become vectors that have a word of each entry.

use std::arch::x86_64::*;

use super::entry::Entry;

/// Fetches an entry into the first cache.
#[inline]
#[allow(unsafe_code, reason = "see SAFETY")]
pub(super) fn prefetch(entry: &Entry) {
    for line in &entry.0 {
        // SAFETY: every processor with x86-64 has SSE. The instruction changes no memory and ignores invalid
        // addresses; this one is valid.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) }
    }
}

/// For each of the 16 words of an entry, a vector of it with one entry in each lane.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
pub(super) fn columns(entries: [&Entry; 8]) -> [[__m512i; 8]; 2] {
    [transpose(entries, 0), transpose(entries, 1)]
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn transpose(entries: [&Entry; 8], half: usize) -> [__m512i; 8] {
    let mut rows = [_mm512_setzero_si512(); 8];
    for (row, entry) in rows.iter_mut().zip(entries) {
        *row = load(&entry.0[half]);
    }
    // Pairs of words: of two rows, the even and the odd words.
    let [r0, r1, r2, r3, r4, r5, r6, r7] = rows;
    let even = [
        _mm512_unpacklo_epi64(r0, r1),
        _mm512_unpacklo_epi64(r2, r3),
        _mm512_unpacklo_epi64(r4, r5),
        _mm512_unpacklo_epi64(r6, r7),
    ];
    let odd = [
        _mm512_unpackhi_epi64(r0, r1),
        _mm512_unpackhi_epi64(r2, r3),
        _mm512_unpackhi_epi64(r4, r5),
        _mm512_unpackhi_epi64(r6, r7),
    ];
    let ([c0, c2, c4, c6], [c1, c3, c5, c7]) = (transpose_pairs(even), transpose_pairs(odd));
    [c0, c1, c2, c3, c4, c5, c6, c7]
}

/// A matrix of four rows of four pairs.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn transpose_pairs([a, b, c, d]: [__m512i; 4]) -> [__m512i; 4] {
    const EVEN: i32 = 0b10_00_10_00;
    const ODD: i32 = 0b11_01_11_01;
    let (ab_even, ab_odd) = (_mm512_shuffle_i64x2::<EVEN>(a, b), _mm512_shuffle_i64x2::<ODD>(a, b));
    let (cd_even, cd_odd) = (_mm512_shuffle_i64x2::<EVEN>(c, d), _mm512_shuffle_i64x2::<ODD>(c, d));
    [
        _mm512_shuffle_i64x2::<EVEN>(ab_even, cd_even),
        _mm512_shuffle_i64x2::<EVEN>(ab_odd, cd_odd),
        _mm512_shuffle_i64x2::<ODD>(ab_even, cd_even),
        _mm512_shuffle_i64x2::<ODD>(ab_odd, cd_odd),
    ]
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
#[allow(unsafe_code, reason = "see SAFETY")]
fn load(words: &[u64; 8]) -> __m512i {
    // SAFETY: the reference is to 64 bytes that can be read. The instruction requires no alignment.
    unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
}
