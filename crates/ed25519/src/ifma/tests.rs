//! Compares the lanes with `fiat-crypto`, and the tables with `curve25519-dalek`.

use std::arch::x86_64::*;

use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
use curve25519_dalek::scalar::Scalar;

use super::entry::TWICE_D;
use super::field::{MASK, P};
use super::*;
use crate::comb::Comb;
use crate::digits::{MULTIPLES, digits};
use crate::tests::Dice;

type Limbs = [u64; 5];

/// The greatest limb that the carry leaves.
const CARRIED: u64 = (1 << 51) + (1 << 16) - 1;

#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn to_lanes(elements: [Limbs; 8]) -> Factor {
    let mut limbs = Factor::splat([0; 5]);
    for (i, vector) in limbs.0.iter_mut().enumerate() {
        let [a, b, c, d, e, f, g, h] = elements.map(|limbs| limbs[i].cast_signed());
        *vector = _mm512_set_epi64(h, g, f, e, d, c, b, a);
    }
    limbs
}

#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn from_lanes(limbs: Factor) -> [Limbs; 8] {
    let mut elements = [[0; 5]; 8];
    for (lane, element) in (0..).zip(&mut elements) {
        let mut first = limbs;
        for vector in &mut first.0 {
            *vector = _mm512_permutexvar_epi64(_mm512_set1_epi64(lane), *vector);
        }
        *element = first.first_lane();
    }
    elements
}

/// The results of the lanes from two elements each.
struct Results {
    product: [Limbs; 8],
    carried_product: [Limbs; 8],
    sum: [Limbs; 8],
    difference: [Limbs; 8],
    /// The first element less the product.
    less_product: [Limbs; 8],
    /// In lanes 0 and 1 the difference from lanes 4 and 5, in lanes 2 and 3 the sum with lanes 6 and 7.
    combined: [Limbs; 8],
    others: [[Limbs; 8]; 3],
    /// Of the first element, in lanes 4 to 7.
    negated: [Limbs; 8],
}

#[allow(unsafe_code, reason = "see SAFETY")]
fn compute(_proof: Ifma, a: [Limbs; 8], b: [Limbs; 8]) -> Results {
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn compute(a: [Limbs; 8], b: [Limbs; 8]) -> Results {
        let (a, b) = (to_lanes(a), to_lanes(b));
        let product = a.multiply(b);
        Results {
            product: from_lanes(Factor(product.0)),
            carried_product: from_lanes(product.carry()),
            sum: from_lanes(a.widen().add(b.widen()).carry()),
            difference: from_lanes(a.widen().subtract(b.widen()).carry()),
            less_product: from_lanes(a.widen().subtract(product).carry()),
            combined: from_lanes(a.widen().combine::<4>(0x03, 0x0c)),
            others: [from_lanes(a.other::<4>()), from_lanes(a.other::<2>()), from_lanes(a.other::<1>())],
            negated: from_lanes(a.negate(0xf0)),
        }
    }
    // SAFETY: the proof exists, so the processor has AVX-512 F, DQ and IFMA, the only features that the function needs.
    unsafe { compute(a, b) }
}

fn bytes(limbs: Limbs) -> [u8; 32] {
    Element::from_limbs(limbs).to_bytes()
}

/// Extreme and random limbs below 2^52.
fn elements() -> Vec<Limbs> {
    let all_ones = (1 << 52) - 1;
    let mut elements = vec![
        [0; 5],
        [1, 0, 0, 0, 0],
        [all_ones; 5],
        [CARRIED; 5],
        [MASK; 5],
        [1 << 51; 5],
        P,
        [P[0] - 1, P[1], P[2], P[3], P[4]],
        [P[0] + 1, P[1], P[2], P[3], P[4]],
        P.map(|limb| 2 * limb),
        [all_ones, 0, 0, 0, 0],
        [0, 0, 0, 0, all_ones],
        [0, all_ones, 0, all_ones, 0],
    ];
    let mut dice = Dice(1 << 40);
    for _ in 0..100 {
        let (bytes, others) = (dice.bytes(), dice.bytes());
        let (words, others) = (bytes.as_chunks().0, others.as_chunks().0);
        elements.push(std::array::from_fn(|i| u64::from_le_bytes(words[i]) & all_ones));
        elements
            .push(std::array::from_fn(|i| (u64::from_le_bytes(words[i]) | u64::from_le_bytes(others[i])) & all_ones));
        elements.push(std::array::from_fn(|i| u64::from_le_bytes(words[i]) & u64::from_le_bytes(others[i]) & MASK));
    }
    elements
}

#[test]
fn lanes_compute_what_the_proven_code_computes() {
    let Some(kernel) = Ifma::detect() else { return };
    let elements = elements();
    for distance in 0..elements.len() {
        let pick = |start: usize| std::array::from_fn(|lane| elements[(start + lane) % elements.len()]);
        for start in (0..elements.len()).step_by(if distance < 16 { 8 } else { 64 }) {
            let (a, b): ([Limbs; 8], [Limbs; 8]) = (pick(start), pick(start + distance));
            let results = compute(kernel, a, b);
            for lane in 0..8 {
                let (x, y) = (Element::from_limbs(a[lane]), Element::from_limbs(b[lane]));
                let case = || format!("{:x?} {:x?}", a[lane], b[lane]);
                assert_eq!(bytes(results.carried_product[lane]), x.multiply(y).to_bytes(), "{}", case());
                assert_eq!(bytes(results.sum[lane]), x.add(y).to_bytes(), "{}", case());
                assert_eq!(bytes(results.difference[lane]), x.subtract(y).to_bytes(), "{}", case());
                let other = Element::from_limbs(a[lane ^ 4]);
                let combined = [other.subtract(x), x.add(other), x, x][lane / 2].to_bytes();
                assert_eq!(bytes(results.combined[lane]), combined, "{}", case());
                assert_eq!(results.others.map(|lanes| lanes[lane]), [4, 2, 1].map(|distance| a[lane ^ distance]));
                if a[lane].iter().all(|limb| *limb <= CARRIED) {
                    let less = x.subtract(x.multiply(y)).to_bytes();
                    assert_eq!(bytes(results.less_product[lane]), less, "{}", case());
                }
                if a[lane].iter().all(|limb| *limb <= 1 << 51) {
                    let negated = if lane < 4 { x } else { Element::ZERO.subtract(x) };
                    assert_eq!(bytes(results.negated[lane]), negated.to_bytes(), "{}", case());
                    assert!(results.negated[lane].iter().all(|limb| *limb < 1 << 52), "{}", case());
                }
                let carried = [results.carried_product, results.sum, results.difference, results.combined];
                assert!(carried.as_flattened().as_flattened().iter().all(|limb| *limb <= CARRIED), "{}", case());
            }
        }
    }
}

#[test]
fn products_of_the_greatest_limbs_keep_their_bounds() {
    let Some(kernel) = Ifma::detect() else { return };
    let [carried, all_ones] = [[CARRIED; 5], [(1 << 52) - 1; 5]];
    let products = |a: Limbs, b: Limbs| compute(kernel, [a; 8], [b; 8]).product;
    assert!(products(carried, carried).as_flattened().iter().all(|limb| *limb < 1 << 59));
    assert!(products(carried, all_ones).as_flattened().iter().all(|limb| *limb < (1 << 60) - (1 << 14)));
}

/// The three elements of an entry.
fn parts(entry: &Entry) -> [Element; 3] {
    let words = entry.0.as_flattened();
    [0, 5, 10].map(|at| {
        let limbs: Limbs = std::array::from_fn(|i| words[at + i]);
        assert!(limbs.iter().all(|limb| *limb <= 1 << 51));
        Element::from_limbs(limbs)
    })
}

fn encode_affine(x: Element, y: Element) -> [u8; 32] {
    let mut bytes = y.to_bytes();
    bytes[31] |= x.to_bytes()[0] << 7;
    bytes
}

/// The point of an entry, encoded, if its third part is 2dxy.
fn encode(entry: &Entry) -> Option<[u8; 32]> {
    let [plus, minus, product] = parts(entry);
    let small = |number| Element::from_limbs([number, 0, 0, 0, 0]);
    let half = small(2).invert();
    let (x, y) = (plus.subtract(minus).multiply(half), plus.add(minus).multiply(half));
    let d = small(0).subtract(small(121_665)).multiply(small(121_666).invert());
    let expected = d.multiply(x).multiply(y).multiply(small(2));
    (product.to_bytes() == expected.to_bytes()).then(|| encode_affine(x, y))
}

#[test]
fn entries_are_the_multiples_of_the_library() {
    let mut dice = Dice(1 << 41);
    for point in [ED25519_BASEPOINT_POINT, ED25519_BASEPOINT_POINT * dice.scalar() + EIGHT_TORSION[3]] {
        let comb = Comb::new(&point);
        let entries = comb.entries();
        assert_eq!(entries.len(), 1 + MULTIPLES);
        assert_eq!(encode(&entries[0]), Some(EIGHT_TORSION[0].compress().0));
        let mut one = point;
        for place in 0..PLACES {
            let mut multiple = one;
            let last = if place == PLACES - 1 { 2 * HALF } else { HALF };
            for entry in &entries[1 + place * HALF..][..last] {
                assert_eq!(encode(entry), Some(multiple.compress().0));
                multiple += one;
            }
            one *= Scalar::from(1u8 << 7);
        }
        let scalar = Scalar::from(1u64 << 42);
        assert_eq!(encode(&entries[6 * HALF + 1]), Some((point * scalar).compress().0));
    }
}

/// Y + X, Y − X, Z and T of one lane, computed with `fiat-crypto`.
#[derive(Clone, Copy)]
struct Point {
    plus: Element,
    minus: Element,
    z: Element,
    t: Element,
}

impl Point {
    fn new([plus, minus, _]: [Element; 3]) -> Self {
        let four = Element::from_limbs([4, 0, 0, 0, 0]);
        let t = plus.subtract(minus).multiply(plus.add(minus));
        Self { plus: plus.multiply(four), minus: minus.multiply(four), z: four, t }
    }

    /// `product` is 2dT of the other, and `twice_z` its 2Z.
    fn add(self, [plus, minus, product]: [Element; 3], twice_z: Element) -> Self {
        let (a, b) = (self.minus.multiply(minus), self.plus.multiply(plus));
        let (c, d) = (self.t.multiply(product), self.z.multiply(twice_z));
        let (e, f, g, h) = (b.subtract(a), d.subtract(c), d.add(c), b.add(a));
        let (x, y) = (e.multiply(f), g.multiply(h));
        Self { plus: y.add(x), minus: y.subtract(x), z: f.multiply(g), t: e.multiply(h) }
    }
}

/// The result of `encode_sum`, computed in the same order.
fn expected_sum(terms: [Term<'_>; 2]) -> [u8; 32] {
    let addend = |lane: usize, round: usize| {
        let (term, place) = (terms[lane / 4], 4 * round + lane % 4);
        let [plus, minus, product] = parts(term.entry(place));
        match term.digits[place] {
            ..0 => [minus, plus, Element::ZERO.subtract(product)],
            0.. => [plus, minus, product],
        }
    };
    let two = Element::from_limbs([2, 0, 0, 0, 0]);
    let mut points: [Point; 8] = std::array::from_fn(|lane| {
        (1..PLACES / 4).fold(Point::new(addend(lane, 0)), |sum, round| sum.add(addend(lane, round), two))
    });
    for distance in [4, 2, 1] {
        let (sums, others) = points.split_at_mut(distance);
        for (sum, other) in sums.iter_mut().zip(others) {
            let product = other.t.multiply(Element::from_limbs(TWICE_D));
            *sum = sum.add([other.plus, other.minus, product], other.z.add(other.z));
        }
    }
    let [Point { plus, minus, z, .. }, ..] = points;
    let inverse = z.add(z).invert();
    encode_affine(plus.subtract(minus).multiply(inverse), plus.add(minus).multiply(inverse))
}

/// Entries with all limbs at their limits, which those of a point have once in 2^51. They need not be points, because
/// the result is a quotient of polynomials.
#[test]
fn sums_of_entries_with_extreme_limbs_are_right() {
    let Some(kernel) = Ifma::detect() else { return };
    let mut dice = Dice(1 << 42);
    let limits = [0, 1, MASK - 18, MASK, 1 << 51];
    for choice in 0..16usize {
        let entries: Vec<Entry> = std::iter::repeat_with(|| {
            let bytes = dice.bytes();
            // The same limit everywhere, or any; in the last tables none in 2dxy, whose opposite then has 52 bits.
            let limb = |at: usize| match limits.get(choice) {
                Some(limit) => *limit,
                None if choice >= 12 && at >= 10 => 0,
                None => limits[usize::from(bytes[at]) % limits.len()],
            };
            Entry([std::array::from_fn(limb), std::array::from_fn(|i| limb(8 + i))])
        })
        .take(1 + MULTIPLES)
        .collect();
        for _ in 0..40 {
            let [first, second] = [dice.scalar(), dice.scalar()].map(|scalar| digits(&scalar));
            let terms = [&first, &second].map(|digits| Term { entries: &entries, digits });
            assert_eq!(kernel.encode_sum(terms), expected_sum(terms), "choice {choice}, {first:?}, {second:?}");
        }
    }
}
