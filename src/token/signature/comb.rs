//! Multiples of one point, from which any other is a sum.
//!
//! A scalar is written in digits of seven bits with a sign, and for each place the table has every digit's
//! multiple, so that a multiplication is one addition a place and no doubling. Not for secrets: where it looks depends on the scalar.

use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;

/// Bits a digit. A signature costs 19.4 µs with 4, 16.8 with 5, 14.8 with 6, 13.7 with 7, 12.9 with 8, 12.4 with 9, while a
/// table grows from 80 KiB (4) over 215 (6), 370 (7) and 640 (8) to 1,160 (9). Where other work has had the cache it is some
/// 15 to 18 µs with any from 6 to 9. Seven leaves room for a ring of four keys beside everything else.
const WIDTH: usize = 7;

/// Digits of a scalar, which has 253 bits.
const PLACES: usize = 37;

/// Digits lie between one more than −`HALF` and `HALF`.
const HALF: usize = 1 << (WIDTH - 1);

/// The multiples of a point.
pub(super) struct Comb {
    /// For each place, the multiples by 1 to [`HALF`] of the point times two to the place.
    multiples: Box<[EdwardsPoint]>,
}

impl Comb {
    pub(super) fn new(point: &EdwardsPoint) -> Self {
        let mut multiples = Vec::with_capacity(PLACES * HALF);
        let mut one = *point;
        for _ in 0..PLACES {
            let mut multiple = one;
            multiples.push(multiple);
            for _ in 1..HALF {
                multiple += &one;
                multiples.push(multiple);
            }
            one = multiple + multiple;
        }
        Self { multiples: multiples.into() }
    }

    /// `sum` and `scalar` times the point, the scalar taken as a whole number, so that it also holds for a point whose
    /// order is not prime.
    pub(super) fn add_multiple(&self, mut sum: EdwardsPoint, scalar: &Scalar) -> EdwardsPoint {
        for (place, digit) in self.multiples.chunks_exact(HALF).zip(digits(scalar)) {
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

/// The scalar's digits, the least first.
fn digits(scalar: &Scalar) -> [i8; PLACES] {
    let mut words = [0; 5];
    for (word, bytes) in words.iter_mut().zip(scalar.as_bytes().as_chunks().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    let mut carry = 0;
    std::array::from_fn(|place| {
        let (word, bit) = (place * WIDTH / 64, place * WIDTH % 64);
        let both = u128::from(words[word]) | u128::from(words[word + 1]) << 64;
        // At most 128, so it is no larger than what is kept of it; and so is the digit, once the carry is taken.
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
    fn digits_are_small_and_make_up_the_scalar() {
        for scalar in hard_scalars() {
            let digits = digits(&scalar);
            let back = digits.iter().rev().fold(Scalar::ZERO, |sum, digit| {
                let size = Scalar::from(digit.unsigned_abs());
                sum * Scalar::from(1u8 << WIDTH) + if *digit < 0 { -size } else { size }
            });
            assert_eq!(back, scalar);
            assert!(digits.iter().all(|digit| usize::from(digit.unsigned_abs()) <= HALF), "{digits:?}");
            // No more than the whole number itself, or a point of mixed order would tell.
            assert!((0..=2).contains(&digits[PLACES - 1]));
        }
    }

    #[test]
    fn multiples_are_those_of_the_library_whatever_the_order_of_the_point() {
        for point in [ED25519_BASEPOINT_POINT, ED25519_BASEPOINT_POINT + EIGHT_TORSION[1]] {
            let comb = Comb::new(&point);
            for scalar in hard_scalars().step_by(7) {
                assert_eq!(comb.add_multiple(EdwardsPoint::identity(), &scalar), point * scalar);
            }
            assert_eq!(comb.add_multiple(point, &Scalar::ONE), point + point);
        }
    }
}
