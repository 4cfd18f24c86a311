//! The multiples of a point as the kernel adds them: affine, in Niels's form.
//!
//! `curve25519-dalek` does not tell the coordinates of a point. It encodes y, so y is known; and x is found from the y of
//! another point. T = (i, 0), where i² = −1, is a point of order 4, and P + T = (i·y, i·x). So x is −i times the y of
//! P + T.

use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::edwards::EdwardsPoint;

use super::field::Element;
use crate::digits::{HALF, MULTIPLES};

/// y + x, y − x and 2dxy of a point, each of five limbs of 51 bits of the number below p, and an unused word. An entry is
/// two lines of the cache.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(align(128))]
pub(crate) struct Entry(pub(super) [[u64; 8]; 2]);

/// 2d, where d = −121665/121666 is the constant in the equation of the curve.
pub(super) const TWICE_D: [u64; 5] =
    [1859910466990425, 932731440258426, 1072319116312658, 1815898335770999, 633789495995903];

/// The square root of −1 that is even, and so is the x of the point of order 4 without a sign.
const SQRT_MINUS_1: [u64; 5] = [1718705420411056, 234908883556509, 2233514472574048, 2117202627021982, 765476049583133];

impl Entry {
    fn new(x: Element, y: Element) -> Self {
        let plus = y.add(x).canonical_limbs();
        let minus = y.subtract(x).canonical_limbs();
        let product = x.multiply(y).multiply(Element::from_limbs(TWICE_D)).canonical_limbs();
        let mut words = [0; 16];
        for (words, limbs) in words.chunks_exact_mut(5).zip([plus, minus, product]) {
            words.copy_from_slice(&limbs);
        }
        let (halves, _) = words.as_chunks();
        Self([halves[0], halves[1]])
    }
}

/// The neutral element, and the points after it.
pub(crate) fn entries(points: &[EdwardsPoint]) -> Box<[Entry]> {
    const { assert!(MULTIPLES.is_multiple_of(HALF), "a batch is full") };
    let (zero, one) = (Element::from_limbs([0; 5]), Element::from_limbs([1, 0, 0, 0, 0]));
    let torsion = EIGHT_TORSION[2];
    // Of the two points of order 4, the other one has −i in place of i.
    let has_even_root = torsion.compress().0[31] == 0;
    let root = Element::from_limbs(SQRT_MINUS_1);
    let minus_i = if has_even_root { zero.subtract(root) } else { root };
    let mut entries = Vec::with_capacity(1 + points.len());
    entries.push(Entry::new(zero, one));
    for batch in points.as_chunks::<HALF>().0 {
        let encoded = EdwardsPoint::compress_batch(batch);
        let shifted = EdwardsPoint::compress_batch(&batch.map(|point| point + torsion));
        entries.extend(encoded.iter().zip(&shifted).map(|(point, shifted)| {
            Entry::new(Element::from_bytes(shifted.0).multiply(minus_i), Element::from_bytes(point.0))
        }));
    }
    entries.into()
}
