//! The kernel for AVX2: vectors of four words.

use std::arch::x86_64::*;

use argon2::Block;

use super::memory::{prefetch, vectors, vectors_mut};
use super::{Kernel, Step};

/// Proof that the processor has AVX2.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx2(());

impl Avx2 {
    pub(crate) fn detect() -> Option<Self> {
        is_x86_feature_detected!("avx2").then_some(Self(()))
    }
}

impl Kernel for Avx2 {
    #[inline]
    #[allow(unsafe_code, reason = "see SAFETY")]
    fn fill(
        self,
        memory: &mut [Block],
        step: Step,
        scratch: &mut [Block; 2],
        next: impl FnOnce(u64) -> usize,
    ) -> usize {
        // SAFETY: `self` exists, so `detect` has found AVX2, the only feature that the function needs.
        unsafe { fill(memory, step, scratch, next) }
    }

    #[inline]
    fn prefetch(self, memory: &[Block], block: usize) {
        prefetch(&memory[block]);
    }
}

/// A block is 32 vectors: vector `4 * row + quarter` is a quarter of a row.
type Words = [u64; 4];

#[target_feature(enable = "avx2")]
fn fill(memory: &mut [Block], step: Step, scratch: &mut [Block; 2], next: impl FnOnce(u64) -> usize) -> usize {
    let [sum, mixed] = scratch;
    let (sum, mixed) = (vectors_mut::<4, 32>(sum), vectors_mut::<4, 32>(mixed));
    let (previous, reference) = (vectors::<4, 32>(&memory[step.previous]), vectors::<4, 32>(&memory[step.reference]));
    // Two rows at a time, because one alone would wait for its own results.
    for rows in 0..4 {
        let mut state = [_mm256_setzero_si256(); 8];
        for (i, vector) in state.iter_mut().enumerate() {
            let at = 8 * rows + i;
            *vector = _mm256_xor_si256(load(&previous[at]), load(&reference[at]));
            store(&mut sum[at], *vector);
        }
        round_of_rows(&mut state);
        for (i, vector) in state.iter().enumerate() {
            store(&mut mixed[8 * rows + i], *vector);
        }
    }
    let state = columns(mixed, 0);
    let first = {
        let mut first = _mm256_xor_si256(state[0], load(&sum[0]));
        if step.combine {
            first = _mm256_xor_si256(first, load(&vectors::<4, 32>(&memory[step.block])[0]));
        }
        _mm256_extract_epi64::<0>(first).cast_unsigned()
    };
    let next = next(first);
    prefetch(&memory[next]);
    let block = vectors_mut::<4, 32>(&mut memory[step.block]);
    write(block, sum, &state, 0, step.combine);
    for quarter in 1..4 {
        let state = columns(mixed, quarter);
        write(block, sum, &state, quarter, step.combine);
    }
    next
}

/// The round on four columns of words, which a quarter of each row contains in pairs of columns.
#[inline]
#[target_feature(enable = "avx2")]
fn columns(mixed: &[Words; 32], quarter: usize) -> [__m256i; 8] {
    let mut state = [_mm256_setzero_si256(); 8];
    for (row, vector) in state.iter_mut().enumerate() {
        *vector = load(&mixed[4 * row + quarter]);
    }
    round_of_columns(&mut state);
    state
}

#[inline]
#[target_feature(enable = "avx2")]
fn write(block: &mut [Words; 32], sum: &[Words; 32], state: &[__m256i; 8], quarter: usize, combine: bool) {
    for (row, vector) in state.iter().enumerate() {
        let at = 4 * row + quarter;
        let mut result = _mm256_xor_si256(*vector, load(&sum[at]));
        if combine {
            result = _mm256_xor_si256(result, load(&block[at]));
        }
        store(&mut block[at], result);
    }
}

/// The round on two rows: of each, the vectors are the rows a, b, c, d of BLAKE2's matrix.
#[inline]
#[target_feature(enable = "avx2")]
fn round_of_rows(v: &mut [__m256i; 8]) {
    let [mut a, mut b, mut c, mut d] = [[v[0], v[4]], [v[1], v[5]], [v[2], v[6]], [v[3], v[7]]];
    mix(&mut a, &mut b, &mut c, &mut d);
    // The diagonals. Usually b, c and d are rotated. Here b is not, because the next step waits for it.
    a = [_mm256_permute4x64_epi64::<0b10_01_00_11>(a[0]), _mm256_permute4x64_epi64::<0b10_01_00_11>(a[1])];
    c = [_mm256_permute4x64_epi64::<0b00_11_10_01>(c[0]), _mm256_permute4x64_epi64::<0b00_11_10_01>(c[1])];
    d = [_mm256_permute4x64_epi64::<0b01_00_11_10>(d[0]), _mm256_permute4x64_epi64::<0b01_00_11_10>(d[1])];
    mix(&mut a, &mut b, &mut c, &mut d);
    a = [_mm256_permute4x64_epi64::<0b00_11_10_01>(a[0]), _mm256_permute4x64_epi64::<0b00_11_10_01>(a[1])];
    c = [_mm256_permute4x64_epi64::<0b10_01_00_11>(c[0]), _mm256_permute4x64_epi64::<0b10_01_00_11>(c[1])];
    d = [_mm256_permute4x64_epi64::<0b01_00_11_10>(d[0]), _mm256_permute4x64_epi64::<0b01_00_11_10>(d[1])];
    *v = [a[0], b[0], c[0], d[0], a[1], b[1], c[1], d[1]];
}

/// The round on two pairs of columns, one in each half of the vectors. Two vectors are a row of BLAKE2's matrix.
#[inline]
#[target_feature(enable = "avx2")]
fn round_of_columns(v: &mut [__m256i; 8]) {
    let [mut a, mut b, mut c, mut d] = [[v[0], v[1]], [v[2], v[3]], [v[4], v[5]], [v[6], v[7]]];
    mix(&mut a, &mut b, &mut c, &mut d);
    a = [_mm256_alignr_epi8::<8>(a[0], a[1]), _mm256_alignr_epi8::<8>(a[1], a[0])];
    c = [_mm256_alignr_epi8::<8>(c[1], c[0]), _mm256_alignr_epi8::<8>(c[0], c[1])];
    d = [d[1], d[0]];
    mix(&mut a, &mut b, &mut c, &mut d);
    a = [_mm256_alignr_epi8::<8>(a[1], a[0]), _mm256_alignr_epi8::<8>(a[0], a[1])];
    c = [_mm256_alignr_epi8::<8>(c[0], c[1]), _mm256_alignr_epi8::<8>(c[1], c[0])];
    *v = [a[0], a[1], b[0], b[1], c[0], c[1], d[1], d[0]];
}

/// The function GB (RFC 9106, 3.6) on each word.
#[inline]
#[target_feature(enable = "avx2")]
fn mix(a: &mut [__m256i; 2], b: &mut [__m256i; 2], c: &mut [__m256i; 2], d: &mut [__m256i; 2]) {
    let by_24 = _mm256_setr_epi8(
        3, 4, 5, 6, 7, 0, 1, 2, 11, 12, 13, 14, 15, 8, 9, 10, 3, 4, 5, 6, 7, 0, 1, 2, 11, 12, 13, 14, 15, 8, 9, 10,
    );
    let by_16 = _mm256_setr_epi8(
        2, 3, 4, 5, 6, 7, 0, 1, 10, 11, 12, 13, 14, 15, 8, 9, 2, 3, 4, 5, 6, 7, 0, 1, 10, 11, 12, 13, 14, 15, 8, 9,
    );
    for i in 0..2 {
        a[i] = multiply_add(a[i], b[i]);
        d[i] = _mm256_shuffle_epi32::<0b10_11_00_01>(_mm256_xor_si256(d[i], a[i]));
    }
    for i in 0..2 {
        c[i] = multiply_add(c[i], d[i]);
        b[i] = _mm256_shuffle_epi8(_mm256_xor_si256(b[i], c[i]), by_24);
    }
    for i in 0..2 {
        a[i] = multiply_add(a[i], b[i]);
        d[i] = _mm256_shuffle_epi8(_mm256_xor_si256(d[i], a[i]), by_16);
    }
    for i in 0..2 {
        c[i] = multiply_add(c[i], d[i]);
        let b_xor_c = _mm256_xor_si256(b[i], c[i]);
        b[i] = _mm256_or_si256(_mm256_srli_epi64::<63>(b_xor_c), _mm256_add_epi64(b_xor_c, b_xor_c));
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn multiply_add(a: __m256i, b: __m256i) -> __m256i {
    let product = _mm256_mul_epu32(a, b);
    _mm256_add_epi64(_mm256_add_epi64(a, b), _mm256_add_epi64(product, product))
}

#[inline]
#[target_feature(enable = "avx2")]
#[allow(unsafe_code, reason = "see SAFETY")]
fn load(words: &Words) -> __m256i {
    // SAFETY: the reference is to 32 bytes that can be read. The instruction requires no alignment.
    unsafe { _mm256_loadu_si256(words.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
#[allow(unsafe_code, reason = "see SAFETY")]
fn store(words: &mut Words, vector: __m256i) {
    // SAFETY: the reference is to 32 bytes that can be written, and nothing else refers to them. The instruction
    // requires no alignment, and any bits are valid words.
    unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), vector) }
}
