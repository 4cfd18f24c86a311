//! The kernel for AVX-512: vectors of eight words, so that the 32 registers hold a whole block and what is computed.

use std::arch::x86_64::*;

use argon2::Block;

use super::memory::{prefetch, vectors, vectors_mut};
use super::{Kernel, Step};

/// Proof that the processor has AVX-512 with the extensions F and BW, which every server processor with AVX-512 has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx512(());

impl Avx512 {
    pub(crate) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw")).then_some(Self(()))
    }
}

impl Kernel for Avx512 {
    #[inline]
    #[allow(unsafe_code, reason = "see SAFETY")]
    fn fill(
        self,
        memory: &mut [Block],
        step: Step,
        scratch: &mut [Block; 2],
        next: impl FnOnce(u64) -> usize,
    ) -> usize {
        // SAFETY: `self` exists, so `detect` has found AVX-512 F and BW, the only features that the function needs.
        unsafe { fill(memory, step, scratch, next) }
    }

    #[inline]
    fn prefetch(self, memory: &[Block], block: usize) {
        prefetch(&memory[block]);
    }
}

/// A block is 16 vectors: vector `2 * row + half` is a half of a row.
type Words = [u64; 8];

#[target_feature(enable = "avx512f,avx512bw")]
fn fill(memory: &mut [Block], step: Step, scratch: &mut [Block; 2], next: impl FnOnce(u64) -> usize) -> usize {
    let sum = vectors_mut::<8, 16>(&mut scratch[0]);
    let (previous, reference) = (vectors::<8, 16>(&memory[step.previous]), vectors::<8, 16>(&memory[step.reference]));
    let mut state = [_mm512_setzero_si512(); 16];
    for (i, vector) in state.iter_mut().enumerate() {
        *vector = _mm512_xor_si512(load(&previous[i]), load(&reference[i]));
        store(&mut sum[i], *vector);
    }
    // Four rows at a time, because one alone would wait for its own results.
    let (rows, _) = state.as_chunks_mut();
    for rows in rows {
        round_of_rows(rows);
    }
    round_of_columns(&mut state, 0);
    let first = {
        let mut first = _mm512_xor_si512(state[0], load(&sum[0]));
        if step.combine {
            first = _mm512_xor_si512(first, load(&vectors::<8, 16>(&memory[step.block])[0]));
        }
        _mm_cvtsi128_si64(_mm512_castsi512_si128(first)).cast_unsigned()
    };
    let next = next(first);
    prefetch(&memory[next]);
    round_of_columns(&mut state, 1);
    let block = vectors_mut::<8, 16>(&mut memory[step.block]);
    for (i, vector) in state.iter().enumerate() {
        let mut result = _mm512_xor_si512(*vector, load(&sum[i]));
        if step.combine {
            result = _mm512_xor_si512(result, load(&block[i]));
        }
        store(&mut block[i], result);
    }
    next
}

/// The round on four rows. Two rows of words form the rows a, b, c, d of two of BLAKE2's matrices, each in a half of
/// the vectors.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn round_of_rows(v: &mut [__m512i; 8]) {
    let mut a = [low(v[0], v[2]), low(v[4], v[6])];
    let mut b = [high(v[0], v[2]), high(v[4], v[6])];
    let mut c = [low(v[1], v[3]), low(v[5], v[7])];
    let mut d = [high(v[1], v[3]), high(v[5], v[7])];
    mix(&mut a, &mut b, &mut c, &mut d);
    // The diagonals. Usually b, c and d are rotated. Here b is not, because the next step waits for it.
    a = [_mm512_permutex_epi64::<0b10_01_00_11>(a[0]), _mm512_permutex_epi64::<0b10_01_00_11>(a[1])];
    c = [_mm512_permutex_epi64::<0b00_11_10_01>(c[0]), _mm512_permutex_epi64::<0b00_11_10_01>(c[1])];
    d = [_mm512_permutex_epi64::<0b01_00_11_10>(d[0]), _mm512_permutex_epi64::<0b01_00_11_10>(d[1])];
    mix(&mut a, &mut b, &mut c, &mut d);
    a = [_mm512_permutex_epi64::<0b00_11_10_01>(a[0]), _mm512_permutex_epi64::<0b00_11_10_01>(a[1])];
    c = [_mm512_permutex_epi64::<0b10_01_00_11>(c[0]), _mm512_permutex_epi64::<0b10_01_00_11>(c[1])];
    d = [_mm512_permutex_epi64::<0b01_00_11_10>(d[0]), _mm512_permutex_epi64::<0b01_00_11_10>(d[1])];
    for i in 0..2 {
        v[4 * i] = low(a[i], b[i]);
        v[4 * i + 1] = low(c[i], d[i]);
        v[4 * i + 2] = high(a[i], b[i]);
        v[4 * i + 3] = high(c[i], d[i]);
    }
}

/// The lower halves of two vectors.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn low(a: __m512i, b: __m512i) -> __m512i {
    _mm512_shuffle_i64x2::<0b01_00_01_00>(a, b)
}

/// The upper halves of two vectors.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn high(a: __m512i, b: __m512i) -> __m512i {
    _mm512_shuffle_i64x2::<0b11_10_11_10>(a, b)
}

/// The round on four pairs of columns, one in each quarter of the vectors. Two vectors are a row of BLAKE2's matrix.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn round_of_columns(v: &mut [__m512i; 16], half: usize) {
    let mut a = [v[half], v[2 + half]];
    let mut b = [v[4 + half], v[6 + half]];
    let mut c = [v[8 + half], v[10 + half]];
    let mut d = [v[12 + half], v[14 + half]];
    mix(&mut a, &mut b, &mut c, &mut d);
    a = [_mm512_alignr_epi8::<8>(a[0], a[1]), _mm512_alignr_epi8::<8>(a[1], a[0])];
    c = [_mm512_alignr_epi8::<8>(c[1], c[0]), _mm512_alignr_epi8::<8>(c[0], c[1])];
    d = [d[1], d[0]];
    mix(&mut a, &mut b, &mut c, &mut d);
    a = [_mm512_alignr_epi8::<8>(a[1], a[0]), _mm512_alignr_epi8::<8>(a[0], a[1])];
    c = [_mm512_alignr_epi8::<8>(c[0], c[1]), _mm512_alignr_epi8::<8>(c[1], c[0])];
    for (row, vector) in [a[0], a[1], b[0], b[1], c[0], c[1], d[1], d[0]].into_iter().enumerate() {
        v[2 * row + half] = vector;
    }
}

/// The function GB (RFC 9106, 3.6) on each word.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn mix(a: &mut [__m512i; 2], b: &mut [__m512i; 2], c: &mut [__m512i; 2], d: &mut [__m512i; 2]) {
    for i in 0..2 {
        a[i] = multiply_add(a[i], b[i]);
        d[i] = _mm512_ror_epi64::<32>(_mm512_xor_si512(d[i], a[i]));
    }
    for i in 0..2 {
        c[i] = multiply_add(c[i], d[i]);
        b[i] = _mm512_ror_epi64::<24>(_mm512_xor_si512(b[i], c[i]));
    }
    for i in 0..2 {
        a[i] = multiply_add(a[i], b[i]);
        d[i] = _mm512_ror_epi64::<16>(_mm512_xor_si512(d[i], a[i]));
    }
    for i in 0..2 {
        c[i] = multiply_add(c[i], d[i]);
        b[i] = _mm512_ror_epi64::<63>(_mm512_xor_si512(b[i], c[i]));
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn multiply_add(a: __m512i, b: __m512i) -> __m512i {
    let product = _mm512_mul_epu32(a, b);
    _mm512_add_epi64(_mm512_add_epi64(a, b), _mm512_add_epi64(product, product))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
#[allow(unsafe_code, reason = "see SAFETY")]
fn load(words: &Words) -> __m512i {
    // SAFETY: the reference is to 64 bytes that can be read. The instruction requires no alignment.
    unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
#[allow(unsafe_code, reason = "see SAFETY")]
fn store(words: &mut Words, vector: __m512i) {
    // SAFETY: the reference is to 64 bytes that can be written, and nothing else refers to them. The instruction
    // requires no alignment, and any bits are valid words.
    unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), vector) }
}
