//! The sum of eight points, one in each lane: three rounds add halves of the lanes to each other.
//!
//! The fewer points are left, the more of their coordinates fit into one vector. So the rounds have five, three and
//! three multiplications instead of nine each.

use super::Points;
use super::entry::TWICE_D;
use super::lanes::{Factor, Wide};

const ONE: [u64; 5] = [1, 0, 0, 0, 0];
const TWO: [u64; 5] = [2, 0, 0, 0, 0];

/// X, Y and Z of the sum.
///
/// The formula for two points (X : Y : Z) with T = XY/Z is, in the order in which it is computed here:
/// - A, B, C, D = (Y₁ − X₁)(Y₂ − X₂), (Y₁ + X₁)(Y₂ + X₂), T₁ · 2dT₂, Z₁ · 2Z₂
/// - E, H, F, G = B − A, B + A, D − C, D + C
/// - X, Y, T, Z = EF, HG, EH, FG
///
/// Every product has factors below 2^51 + 2^16, so its limbs are below 2^59.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
pub(super) fn total(points: Points) -> [[u64; 5]; 3] {
    // Eight points, then four. A vector has two coordinates of four points: AB, CD, EH, FG, XY, TZ.
    let z = points.z.carry();
    let twice_d_and_2 = Factor::splat(TWICE_D).or(0xf0, Factor::splat(TWO));
    let ab = points.minus.low(points.plus).multiply(points.minus.high(points.plus));
    let scaled = points.t.high(z).multiply(twice_d_and_2).carry();
    let cd = points.t.low(z).multiply(scaled);
    let (eh, fg) = (ab.combine::<4>(0x0f, 0xf0), cd.combine::<4>(0x0f, 0xf0));
    let xy = eh.multiply(fg);
    let tz = eh.low(fg).multiply(eh.high(fg)).carry();

    // Four points, then two. A vector has all coordinates of two points.
    let minus_plus = xy.combine::<4>(0x0f, 0xf0);
    let scaled = tz.multiply(twice_d_and_2).carry();
    let abcd = minus_plus.pairs::<0b10_00_10_00>(tz).multiply(minus_plus.pairs::<0b11_01_11_01>(scaled));
    let xytz = coordinates(abcd);

    // Two points, then one. Both lanes of a pair multiply with the scaled coordinate of the other.
    let points = xytz.combine::<2>(0x03, 0x0c);
    let scaled =
        points.multiply(Factor::splat(ONE).or(0x30, Factor::splat(TWICE_D)).or(0xc0, Factor::splat(TWO))).carry();
    let xytz = coordinates(points.multiply(scaled.other::<1>())).carry();
    [xytz.first_lane(), xytz.other::<2>().first_lane(), xytz.other::<4>().other::<2>().first_lane()]
}

/// XYTZ from ABCD, with two lanes for each.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn coordinates(abcd: Wide) -> Wide {
    let ehfg = abcd.combine::<2>(0x33, 0xcc);
    // EHEF · FGHG
    ehfg.pairs::<0b10_00_01_00>(ehfg).multiply(ehfg.pairs::<0b11_01_11_10>(ehfg))
}
