//! The sum of the multiples of two points with AVX-512 IFMA: eight additions at a time.
//!
//! Both scalars have 36 digits, which are 72 points to add, and nine for each lane. Lanes 0 to 3 add multiples of the
//! first point, lanes 4 to 7 of the second. Then the eight sums are added (`fold`). The formula of all additions is
//! complete, so that no point is a special case (Hisil, Wong, Carter, Dawson: "Twisted Edwards Curves Revisited", 2008,
//! 3.1).

mod entry;
mod field;
mod fold;
mod inverse;
mod lanes;
mod load;

use crate::digits::{Digits, HALF, PLACES};
pub(crate) use entry::{Entry, entries};
use field::Element;
use lanes::{Factor, Wide};

/// Proof that the processor has AVX-512 with the extensions F, DQ and IFMA. All processors with IFMA have the others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ifma(());

/// The multiples of a point, and the digits of a scalar.
#[derive(Clone, Copy)]
pub(crate) struct Term<'a> {
    pub(crate) entries: &'a [Entry],
    pub(crate) digits: &'a Digits,
}

impl Ifma {
    pub(crate) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512ifma"))
        .then_some(Self(()))
    }

    /// Fetches what `encode_sum` is going to read.
    pub(crate) fn prefetch(self, term: Term<'_>) {
        for place in 0..PLACES {
            load::prefetch(term.entry(place));
        }
    }

    /// The encoding of the sum of two multiples.
    #[allow(unsafe_code, reason = "see SAFETY")]
    pub(crate) fn encode_sum(self, terms: [Term<'_>; 2]) -> [u8; 32] {
        // SAFETY: `self` exists, so `detect` has found AVX-512 F, DQ and IFMA, the only features that the
        // function needs.
        let [x, y, z] = unsafe { sum(terms) };
        let [x, y, z] = [x, y, z].map(Element::from_limbs);
        let inverse = z.invert();
        let mut bytes = y.multiply(inverse).to_bytes();
        bytes[31] |= x.multiply(inverse).to_bytes()[0] << 7;
        bytes
    }
}

impl<'a> Term<'a> {
    /// The multiple for a digit, without its sign.
    #[inline]
    fn entry(self, place: usize) -> &'a Entry {
        let size = usize::from(self.digits[place].unsigned_abs());
        &self.entries[if size == 0 { 0 } else { place * HALF + size }]
    }
}

/// X, Y and Z of the sum.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn sum(terms: [Term<'_>; 2]) -> [[u64; 5]; 3] {
    const { assert!(PLACES.is_multiple_of(4), "the lanes have equal numbers of places") }
    let mut points = Points::new(addends(terms, 0));
    for round in 1..PLACES / 4 {
        points = points.add(addends(terms, round)).points();
    }
    fold::total(points)
}

/// The points that each lane adds in a round.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn addends(terms: [Term<'_>; 2], round: usize) -> Addends {
    let [first, second] = terms;
    let mut rows = [first.entry(0); 8];
    let mut negative = 0;
    for lane in 0..4 {
        let place = 4 * round + lane;
        rows[lane] = first.entry(place);
        rows[lane + 4] = second.entry(place);
        negative |= u8::from(first.digits[place] < 0) << lane | u8::from(second.digits[place] < 0) << (lane + 4);
    }
    let [[a0, a1, a2, a3, a4, b0, b1, b2], [b3, b4, c0, c1, c2, c3, c4, _]] = load::columns(rows);
    let (plus, minus) = (Factor([a0, a1, a2, a3, a4]), Factor([b0, b1, b2, b3, b4]));
    // −(x, y) is (−x, y).
    Addends {
        plus: plus.or(negative, minus),
        minus: minus.or(negative, plus),
        product: Factor([c0, c1, c2, c3, c4]).negate(negative),
    }
}

/// A point (X : Y : Z) in each lane, and T = XY/Z.
#[derive(Clone, Copy)]
struct Points {
    /// Y + X.
    plus: Factor,
    /// Y − X.
    minus: Factor,
    z: Wide,
    t: Factor,
}

/// A point that is added, in each lane: y + x, y − x and 2dxy.
#[derive(Clone, Copy)]
struct Addends {
    plus: Factor,
    minus: Factor,
    product: Factor,
}

/// A point (E/G, H/F) in each lane.
#[derive(Clone, Copy)]
struct Ratios {
    e: Factor,
    f: Factor,
    g: Factor,
    h: Factor,
}

impl Points {
    /// The points (x, y) as (4x : 4y : 4), because the addends give 2x and 2y.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn new(addends: Addends) -> Self {
        let (plus, minus) = (addends.plus.widen(), addends.minus.widen());
        Self {
            plus: plus.double().double().carry(),
            minus: minus.double().double().carry(),
            z: Factor::splat([4, 0, 0, 0, 0]).widen(),
            // 2x · 2y · 4 / 4
            t: plus.subtract(minus).carry().multiply(plus.add(minus).carry()).carry(),
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn add(self, addends: Addends) -> Ratios {
        Ratios::new(
            self.minus.multiply(addends.minus),
            self.plus.multiply(addends.plus),
            self.t.multiply(addends.product),
            self.z.double(),
        )
    }
}

impl Ratios {
    /// The sum from the four products A, B, C, D of the formula. `a` and `b` have limbs below 2^59, `c` below 2^60 −
    /// 2^14, as `subtract` demands, and `d` below 2^60. So no sum is above 2^60 + 2^60.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn new(a: Wide, b: Wide, c: Wide, d: Wide) -> Self {
        Self { e: b.subtract(a).carry(), f: d.subtract(c).carry(), g: d.add(c).carry(), h: b.add(a).carry() }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn points(self) -> Points {
        let (x, y) = (self.e.multiply(self.f), self.g.multiply(self.h));
        Points {
            plus: y.add(x).carry(),
            minus: y.subtract(x).carry(),
            z: self.f.multiply(self.g),
            t: self.e.multiply(self.h).carry(),
        }
    }
}

#[cfg(test)]
mod tests;
