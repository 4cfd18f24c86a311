//! A table of multiples of one point, from which every other multiple is a sum.
//!
//! A scalar is written in signed digits of seven bits. For each digit position the table has the multiple of every
//! digit, so that a multiplication is one addition per position and no doubling. Not for secrets: the memory accesses
//! depend on the scalar.

use std::sync::OnceLock;

use curve25519_dalek::edwards::EdwardsPoint;

use crate::digits::{Digits, HALF, LAST, MULTIPLES, PLACES};
#[cfg(target_arch = "x86_64")]
use crate::ifma::{Entry, entries};

/// The multiples of a point, in the form of each implementation. They are computed when they are first needed: a key
/// that is announced, or that no token names any more, takes no memory for them.
pub(crate) struct Comb {
    point: EdwardsPoint,
    points: OnceLock<Box<[EdwardsPoint]>>,
    #[cfg(target_arch = "x86_64")]
    entries: OnceLock<Box<[Entry]>>,
}

impl Comb {
    pub(crate) fn new(point: &EdwardsPoint) -> Self {
        Self {
            point: *point,
            points: OnceLock::new(),
            #[cfg(target_arch = "x86_64")]
            entries: OnceLock::new(),
        }
    }

    /// `sum` plus the multiple of the point by the number with these digits.
    pub(crate) fn add_multiple(&self, mut sum: EdwardsPoint, digits: &Digits) -> EdwardsPoint {
        let points = self.points.get_or_init(|| self.multiples().into());
        for (place, digit) in digits.iter().enumerate() {
            let size = usize::from(digit.unsigned_abs());
            if *digit > 0 {
                sum += &points[place * HALF + size - 1];
            } else if *digit < 0 {
                sum -= &points[place * HALF + size - 1];
            }
        }
        sum
    }

    /// The neutral element, and the multiples after it.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn entries(&self) -> &[Entry] {
        self.entries.get_or_init(|| entries(&self.point))
    }

    /// For each position, the multiples by 1 to [`HALF`], or [`LAST`], of the point times 2^(7 × position).
    fn multiples(&self) -> Vec<EdwardsPoint> {
        let mut multiples = Vec::with_capacity(MULTIPLES);
        let mut one = self.point;
        for place in 0..PLACES {
            let mut multiple = one;
            multiples.push(multiple);
            for _ in 1..if place == PLACES - 1 { LAST } else { HALF } {
                multiple += &one;
                multiples.push(multiple);
            }
            one = multiple + multiple;
        }
        multiples
    }
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
    use curve25519_dalek::scalar::Scalar;
    use curve25519_dalek::traits::Identity;

    use super::*;
    use crate::digits::digits;
    use crate::digits::tests::hard_scalars;

    #[test]
    fn a_table_is_computed_at_the_first_multiplication() {
        let comb = Comb::new(&ED25519_BASEPOINT_POINT);
        assert!(comb.points.get().is_none());
        comb.add_multiple(EdwardsPoint::identity(), &digits(&Scalar::ONE));
        assert_eq!(comb.points.get().unwrap().len(), MULTIPLES);
        #[cfg(target_arch = "x86_64")]
        {
            assert!(comb.entries.get().is_none());
            assert_eq!(comb.entries().len(), 1 + MULTIPLES);
        }
    }

    #[test]
    fn multiples_equal_those_of_the_library() {
        for point in [ED25519_BASEPOINT_POINT, ED25519_BASEPOINT_POINT + EIGHT_TORSION[1]] {
            let comb = Comb::new(&point);
            for scalar in hard_scalars().step_by(7) {
                assert_eq!(comb.add_multiple(EdwardsPoint::identity(), &digits(&scalar)), point * scalar);
            }
            assert_eq!(comb.add_multiple(point, &digits(&Scalar::ONE)), point + point);
        }
    }
}
