//! Eight elements of the field modulo p = 2^255 − 19 at a time, one in each lane of a vector.
//!
//! An element is five limbs of 51 bits: Σ limb\[i\] · 2^(51·i). IFMA multiplies the lower 52 bits of two words and
//! ignores the others, so every bound matters:
//!
//! - [`Factor`]: limbs below 2^52, as IFMA takes them. Those of [`Wide::carry`] are below 2^51 + 2^16.
//! - [`Wide`]: limbs below 2^62: a product, or a sum of a few.

use std::arch::x86_64::*;

use super::field::{MASK, P};

/// Limbs below 2^52.
#[derive(Clone, Copy)]
pub(super) struct Factor(pub(super) [__m512i; 5]);

/// Limbs below 2^62.
#[derive(Clone, Copy)]
pub(super) struct Wide(pub(super) [__m512i; 5]);

impl Factor {
    /// The same element in each lane.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub(super) fn splat(limbs: [u64; 5]) -> Self {
        let mut vectors = [_mm512_setzero_si512(); 5];
        for (vector, limb) in vectors.iter_mut().zip(limbs) {
            *vector = _mm512_set1_epi64(limb.cast_signed());
        }
        Self(vectors)
    }

    /// The product. Its limbs are below 2^59 if those of both factors are below 2^51 + 2^16, and below 2^60 − 2^14 if
    /// this is true of one of them.
    ///
    /// The reason: the lower half of a product of two limbs is below 2^52. The upper half is below 2^50 if both limbs
    /// have 51 bits, and below 2^51 if one has 52. It weighs 2^52, which is twice the weight of the next column. So if
    /// n products belong to a column, and m to the one before, the column is below (n + m/2) · 2^52, or (n + m) · 2^52
    /// with 52 bits. The columns have 1, 2, 3, 4, 5, 4, 3, 2, 1 and 0 products. Columns 5 to 9 are added 19 times to
    /// columns 0 to 4, because 2^255 is 19 modulo p. The greatest sum is that of columns 0 and 5: (1 + 19 · 6.5) ·
    /// 2^52, which is 124.5 · 2^52, or (1 + 19 · 9) · 2^52, which is 172 · 2^52. The additional 2^16 of a limb are a
    /// part in 2^35, which does not make it 128 · 2^52 = 2^59, or 2^60 − 2^14.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub(super) fn multiply(self, other: Self) -> Wide {
        // The upper halves first, so that one set of registers is enough.
        let mut columns = [_mm512_setzero_si512(); 10];
        for i in 0..5 {
            for j in 0..5 {
                columns[i + j + 1] = _mm512_madd52hi_epu64(columns[i + j + 1], self.0[i], other.0[j]);
            }
        }
        for column in &mut columns {
            *column = _mm512_add_epi64(*column, *column);
        }
        for i in 0..5 {
            for j in 0..5 {
                columns[i + j] = _mm512_madd52lo_epu64(columns[i + j], self.0[i], other.0[j]);
            }
        }
        // 2^255 is 19.
        let [c0, c1, c2, c3, c4, c5, c6, c7, c8, c9] = columns;
        Wide([
            _mm512_add_epi64(c0, times_19(c5)),
            _mm512_add_epi64(c1, times_19(c6)),
            _mm512_add_epi64(c2, times_19(c7)),
            _mm512_add_epi64(c3, times_19(c8)),
            _mm512_add_epi64(c4, times_19(c9)),
        ])
    }

    /// In the lanes of `mask`, 2p − `self`. The limbs must be at most 2^51, as those of entries are. So none of the
    /// result is negative, and all are below 2^52.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub(super) fn negate(self, mask: __mmask8) -> Self {
        let mut result = self.0;
        for (limb, p) in result.iter_mut().zip(P) {
            let twice = _mm512_set1_epi64((2 * p).cast_signed());
            *limb = _mm512_mask_sub_epi64(*limb, mask, twice, *limb);
        }
        Self(result)
    }

    /// `self`, in the lanes of `mask` the other.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub(super) fn or(self, mask: __mmask8, other: Self) -> Self {
        let mut result = self.0;
        for (limb, other) in result.iter_mut().zip(other.0) {
            *limb = _mm512_mask_mov_epi64(*limb, mask, other);
        }
        Self(result)
    }

    /// In each lane, the element of the lane whose index differs by `DISTANCE`: 4, 2 or 1.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub(super) fn other<const DISTANCE: usize>(self) -> Self {
        Self(other::<DISTANCE>(self.0))
    }

    /// Two of the four pairs of lanes of `self`, and two of the other's. `PAIRS` has two bits for each.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub(super) fn pairs<const PAIRS: i32>(self, other: Self) -> Self {
        let mut result = self.0;
        for (limb, other) in result.iter_mut().zip(other.0) {
            *limb = _mm512_shuffle_i64x2::<PAIRS>(*limb, other);
        }
        Self(result)
    }

    /// The lower four lanes of both.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub(super) fn low(self, other: Self) -> Self {
        self.pairs::<0b01_00_01_00>(other)
    }

    /// The upper four lanes of both.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub(super) fn high(self, other: Self) -> Self {
        self.pairs::<0b11_10_11_10>(other)
    }

    /// The limbs of the element in the first lane.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub(super) fn first_lane(self) -> [u64; 5] {
        let mut limbs = [0; 5];
        for (limb, vector) in limbs.iter_mut().zip(self.0) {
            *limb = _mm_cvtsi128_si64(_mm512_castsi512_si128(vector)).cast_unsigned();
        }
        limbs
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub(super) fn widen(self) -> Wide {
        Wide(self.0)
    }
}

impl Wide {
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub(super) fn add(self, other: Self) -> Self {
        let mut sum = self.0;
        for (limb, other) in sum.iter_mut().zip(other.0) {
            *limb = _mm512_add_epi64(*limb, other);
        }
        Self(sum)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub(super) fn double(self) -> Self {
        self.add(self)
    }

    /// The difference plus 512p, whose limbs are between 2^60 − 2^14 and 2^60. The limbs of `other` must be below
    /// 2^60 − 2^14, so that none of the result is negative.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub(super) fn subtract(self, other: Self) -> Self {
        let mut difference = self.0;
        for ((limb, other), p) in difference.iter_mut().zip(other.0).zip(P) {
            let bias = _mm512_set1_epi64((p << 9).cast_signed());
            *limb = _mm512_add_epi64(*limb, _mm512_sub_epi64(bias, other));
        }
        Self(difference)
    }

    /// In the lanes of `difference`, the lane whose index differs by `DISTANCE` less this one, with the bounds of
    /// `subtract`; in the lanes of `sum`, both lanes' sum; in the others, this one.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub(super) fn combine<const DISTANCE: usize>(self, difference: __mmask8, sum: __mmask8) -> Factor {
        let other = Self(other::<DISTANCE>(self.0));
        let differences = other.subtract(self);
        let mut result = self.0;
        for ((limb, other), less) in result.iter_mut().zip(other.0).zip(differences.0) {
            let sums = _mm512_mask_add_epi64(*limb, sum, *limb, other);
            *limb = _mm512_mask_mov_epi64(sums, difference, less);
        }
        Self(result).carry()
    }

    /// The same element with limbs below 2^51 + 2^16. A carry is below 2^(62 − 51) = 2^11. That of the last limb
    /// returns to the first 19 times, which is below 2^16.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub(super) fn carry(self) -> Factor {
        let mask = _mm512_set1_epi64(MASK.cast_signed());
        let [a, b, c, d, e] = self.0;
        let mut result = self.0;
        for limb in &mut result {
            *limb = _mm512_and_si512(*limb, mask);
        }
        result[0] = _mm512_madd52lo_epu64(result[0], _mm512_srli_epi64::<51>(e), _mm512_set1_epi64(19));
        for (limb, lower) in result[1..].iter_mut().zip([a, b, c, d]) {
            *limb = _mm512_add_epi64(*limb, _mm512_srli_epi64::<51>(lower));
        }
        Factor(result)
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn other<const DISTANCE: usize>(mut limbs: [__m512i; 5]) -> [__m512i; 5] {
    const { assert!(matches!(DISTANCE, 4 | 2 | 1)) }
    for limb in &mut limbs {
        *limb = match DISTANCE {
            4 => _mm512_shuffle_i64x2::<0b01_00_11_10>(*limb, *limb),
            2 => _mm512_shuffle_i64x2::<0b10_11_00_01>(*limb, *limb),
            _ => _mm512_permutex_epi64::<0b10_11_00_01>(*limb),
        };
    }
    limbs
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn times_19(x: __m512i) -> __m512i {
    _mm512_mullo_epi64(x, _mm512_set1_epi64(19))
}
