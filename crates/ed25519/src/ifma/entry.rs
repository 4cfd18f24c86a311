//! The multiples of a point as the kernel adds them: affine, in Niels's form.
//!
//! `curve25519-dalek` does not give the coordinates of a point. It encodes y, so y is known; and x is found from the y
//! of another point. T = (i, 0), where i² = −1, is a point of order 4, and P + T = (i·y, i·x). So x is −i times the y
//! of P + T. This is done for one point of each place. Their multiples are computed here, which takes a third of the
//! time.

use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::edwards::EdwardsPoint;

use super::field::Element;
use crate::digits::{HALF, LAST, MULTIPLES, PLACES, WIDTH};

/// y + x, y − x and 2dxy of a point, each of five limbs of at most 2^51, and an unused word. An entry is two lines of
/// the cache.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(align(128))]
pub(crate) struct Entry(pub(super) [[u64; 8]; 2]);

/// 2d, where d = −121665/121666 is the constant in the equation of the curve.
pub(super) const TWICE_D: [u64; 5] =
    [1859910466990425, 932731440258426, 1072319116312658, 1815898335770999, 633789495995903];

/// The even square root of −1.
const SQRT_MINUS_1: [u64; 5] = [1718705420411056, 234908883556509, 2233514472574048, 2117202627021982, 765476049583133];

/// The neutral element, and the multiples after it: for each place, those by 1 to [`HALF`], or [`LAST`], of the point
/// times 2^([`WIDTH`] × place).
pub(crate) fn entries(point: &EdwardsPoint) -> Box<[Entry]> {
    let mut next = *point;
    let points: [EdwardsPoint; PLACES] = std::array::from_fn(|_| {
        let point = next;
        for _ in 0..WIDTH {
            next = next + next;
        }
        point
    });
    let mut entries = Vec::with_capacity(1 + MULTIPLES);
    entries.push(Entry::new(&Affine::new(Element::ZERO, Element::ONE)));
    for (place, point) in affine(&points).iter().enumerate() {
        push_multiples(&mut entries, point, if place == PLACES - 1 { LAST } else { HALF });
    }
    entries.into()
}

/// The coordinates of points.
fn affine<const N: usize>(points: &[EdwardsPoint; N]) -> [Affine; N] {
    let torsion = EIGHT_TORSION[2];
    // Of the two points of order 4, the other one has −i in place of i.
    let is_even = torsion.compress().0[31] == 0;
    let root = Element::from_limbs(SQRT_MINUS_1);
    let minus_i = if is_even { Element::ZERO.subtract(root) } else { root };
    let encoded = EdwardsPoint::compress_batch(points);
    let shifted = EdwardsPoint::compress_batch(&points.map(|point| point + torsion));
    std::array::from_fn(|i| {
        Affine::new(Element::from_bytes(shifted[i].0).multiply(minus_i), Element::from_bytes(encoded[i].0))
    })
}

/// The multiples of a point by 1 to `count`, with one inversion for all.
fn push_multiples(entries: &mut Vec<Entry>, point: &Affine, count: usize) {
    let mut sum = Projective { x: point.x, y: point.y, z: Element::ONE, t: point.x.multiply(point.y) };
    // Each multiple, and the product of the z before it.
    let mut multiples = Vec::with_capacity(count);
    let mut product = Element::ONE;
    for _ in 0..count {
        multiples.push((sum, product));
        product = product.multiply(sum.z);
        sum = sum.add(point);
    }
    let mut inverse = product.invert();
    let start = entries.len();
    for (multiple, product) in multiples.iter().rev() {
        let inverse_z = inverse.multiply(*product);
        inverse = inverse.multiply(multiple.z);
        entries.push(Entry::new(&Affine::new(multiple.x.multiply(inverse_z), multiple.y.multiply(inverse_z))));
    }
    entries[start..].reverse();
}

/// A point (x, y), with the terms of an entry.
struct Affine {
    x: Element,
    y: Element,
    plus: Element,
    minus: Element,
    product: Element,
}

impl Affine {
    fn new(x: Element, y: Element) -> Self {
        let product = x.multiply(y).multiply(Element::from_limbs(TWICE_D));
        Self { x, y, plus: y.add(x), minus: y.subtract(x), product }
    }
}

/// A point (X : Y : Z) with T = XY/Z.
#[derive(Clone, Copy)]
struct Projective {
    x: Element,
    y: Element,
    z: Element,
    t: Element,
}

impl Projective {
    /// The formula that the kernel uses for eight points at a time.
    fn add(&self, other: &Affine) -> Self {
        let a = self.y.subtract(self.x).multiply(other.minus);
        let b = self.y.add(self.x).multiply(other.plus);
        let c = self.t.multiply(other.product);
        let d = self.z.add(self.z);
        let (e, f, g, h) = (b.subtract(a), d.subtract(c), d.add(c), b.add(a));
        Self { x: e.multiply(f), y: g.multiply(h), z: f.multiply(g), t: e.multiply(h) }
    }
}

impl Entry {
    fn new(point: &Affine) -> Self {
        let mut words = [0; 16];
        for (words, element) in words.chunks_exact_mut(5).zip([point.plus, point.minus, point.product]) {
            words.copy_from_slice(&element.limbs());
        }
        let (halves, _) = words.as_chunks();
        Self([halves[0], halves[1]])
    }
}
