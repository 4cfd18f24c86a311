//! A table of multiples of one point, from which every other multiple is a sum.
//!
//! A scalar is written in signed digits of seven bits. For each digit position the table has the multiple of every
//! digit, so that a multiplication is one addition per position and no doubling. Not for secrets: the memory accesses
//! depend on the scalar.

use std::sync::OnceLock;

use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;

/// Bits per digit. A signature costs 19.4 µs with 4, 16.8 with 5, 14.8 with 6, 13.7 with 7, 12.9 with 8, 12.4 with 9,
/// while the table grows from 80 KiB (4) to 215 (6), 370 (7), 640 (8) and 1,160 (9). If other work has used the cache
/// meanwhile, it is 15 to 18 µs with any width from 6 to 9. Width 7 leaves cache for a ring of four keys beside
/// everything else.
const WIDTH: usize = 7;

/// Number of digits of a scalar, which has 253 bits.
const PLACES: usize = 37;

/// Digits are greater than −`HALF` and at most `HALF`.
const HALF: usize = 1 << (WIDTH - 1);

/// The multiples of a point.
pub(super) struct Comb {
    point: EdwardsPoint,
    /// For each position, the multiples by 1 to [`HALF`] of the point times 2^([`WIDTH`] × position). Computed when they
    /// are first needed: a key that is announced, or that no token names any more, takes no memory for them.
    multiples: OnceLock<Box<[EdwardsPoint]>>,
}

impl Comb {
    pub(super) fn new(point: &EdwardsPoint) -> Self {
        Self { point: *point, multiples: OnceLock::new() }
    }

    fn multiples(&self) -> &[EdwardsPoint] {
        self.multiples.get_or_init(|| {
            let mut multiples = Vec::with_capacity(PLACES * HALF);
            let mut one = self.point;
            for _ in 0..PLACES {
                let mut multiple = one;
                multiples.push(multiple);
                for _ in 1..HALF {
                    multiple += &one;
                    multiples.push(multiple);
                }
                one = multiple + multiple;
            }
            multiples.into()
        })
    }

    /// `sum` plus `scalar` times the point. The scalar is used as an integer, so the result is also right for a point
    /// whose order is not prime.
    pub(super) fn add_multiple(&self, mut sum: EdwardsPoint, scalar: &Scalar) -> EdwardsPoint {
        for (place, digit) in self.multiples().chunks_exact(HALF).zip(digits(scalar)) {
            let size = usize::from(digit.unsigned_abs());
            if digit > 0 {
                sum += &place[size - 1];
            } else if digit < 0 {
                sum -= &place[size - 1];
            }
        }
        sum
    }
}

/// The digits of the scalar, least significant first.
fn digits(scalar: &Scalar) -> [i8; PLACES] {
    let mut words = [0; 5];
    for (word, bytes) in words.iter_mut().zip(scalar.as_bytes().as_chunks().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    let mut carry = 0;
    std::array::from_fn(|place| {
        let (word, bit) = (place * WIDTH / 64, place * WIDTH % 64);
        let both = u128::from(words[word]) | u128::from(words[word + 1]) << 64;
        // At most 128, so it fits into the type; and so does the digit after the carry is subtracted.
        let digit = (both >> bit) as u8 % (1 << WIDTH) + carry;
        carry = u8::from(usize::from(digit) > HALF);
        digit.wrapping_sub(carry << WIDTH) as i8
    })
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
    use curve25519_dalek::traits::Identity;

    use super::*;

    fn hard_scalars() -> impl Iterator<Item = Scalar> {
        let small = (0..300u32).map(Scalar::from);
        let powers = std::iter::successors(Some(Scalar::ONE), |power| Some(power + power)).take(252);
        let halves = (0..=u8::MAX).map(|byte| Scalar::from_bytes_mod_order([byte; 32]));
        small.chain(powers).chain(halves).flat_map(|scalar| [scalar, -scalar, scalar - Scalar::ONE])
    }

    #[test]
    fn digits_are_small_and_sum_up_to_the_scalar() {
        for scalar in hard_scalars() {
            let digits = digits(&scalar);
            let back = digits.iter().rev().fold(Scalar::ZERO, |sum, digit| {
                let size = Scalar::from(digit.unsigned_abs());
                sum * Scalar::from(1u8 << WIDTH) + if *digit < 0 { -size } else { size }
            });
            assert_eq!(back, scalar);
            assert!(digits.iter().all(|digit| usize::from(digit.unsigned_abs()) <= HALF), "{digits:?}");
            // Exactly the integer itself: otherwise the result would be wrong for a point of mixed order.
            assert!((0..=2).contains(&digits[PLACES - 1]));
        }
    }

    #[test]
    fn a_table_is_computed_at_the_first_multiplication() {
        let comb = Comb::new(&ED25519_BASEPOINT_POINT);
        assert!(comb.multiples.get().is_none());
        comb.add_multiple(EdwardsPoint::identity(), &Scalar::ONE);
        assert!(comb.multiples.get().is_some());
    }

    #[test]
    fn multiples_equal_those_of_the_library() {
        for point in [ED25519_BASEPOINT_POINT, ED25519_BASEPOINT_POINT + EIGHT_TORSION[1]] {
            let comb = Comb::new(&point);
            for scalar in hard_scalars().step_by(7) {
                assert_eq!(comb.add_multiple(EdwardsPoint::identity(), &scalar), point * scalar);
            }
            assert_eq!(comb.add_multiple(point, &Scalar::ONE), point + point);
        }
    }
}
