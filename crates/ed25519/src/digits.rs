//! A scalar in signed digits, as the tables of multiples are laid out.

use curve25519_dalek::scalar::Scalar;

/// Bits per digit. With the reference a signature costs 19.4 µs with 4, 16.8 with 5, 14.8 with 6, 13.7 with 7, 12.9
/// with 8, 12.4 with 9, while the table grows from 80 KiB (4) to 215 (6), 370 (7), 640 (8) and 1,160 (9). If other work
/// has used the cache meanwhile, it is 15 to 18 µs with any width from 6 to 9. Width 7 leaves cache for a ring of four
/// keys beside everything else.
pub(crate) const WIDTH: usize = 7;

/// Number of digits. A scalar is below the group's order, which is 2^252 and a little more. So the last digit needs no
/// sign, and may be [`LAST`], but no further place.
pub(crate) const PLACES: usize = 36;

/// Digits are at least −`HALF` and less than `HALF`, except for the last.
pub(crate) const HALF: usize = 1 << (WIDTH - 1);

/// The last digit is not negative and at most this.
pub(crate) const LAST: usize = 1 << WIDTH;

/// Number of multiples in a table: for each place but the last those by 1 to [`HALF`], for the last by 1 to [`LAST`].
pub(crate) const MULTIPLES: usize = (PLACES - 1) * HALF + LAST;

/// The digits of a scalar, least significant first.
pub(crate) type Digits = [i16; PLACES];

/// [`HALF`] in each place but the last.
const OFFSET: [u64; 4] = {
    let mut words = [0; 4];
    let mut place = 0;
    while place < PLACES - 1 {
        let bit = place * WIDTH + WIDTH - 1;
        words[bit / 64] |= 1 << (bit % 64);
        place += 1;
    }
    words
};

/// The digits whose sum, each times 2^([`WIDTH`] × place), is the scalar, as an integer and not only modulo the group's
/// order: otherwise a multiple would be wrong for a point of mixed order.
///
/// [`OFFSET`] is added to the scalar, and [`HALF`] subtracted from each digit of the sum.
pub(crate) fn digits(scalar: &Scalar) -> Digits {
    let mut sum = [0; 32];
    let mut carry = 0;
    let words = scalar.as_bytes().as_chunks().0.iter().zip(OFFSET);
    for (out, (word, offset)) in sum.as_chunks_mut().0.iter_mut().zip(words) {
        carry += u128::from(u64::from_le_bytes(*word)) + u128::from(offset);
        *out = (carry as u64).to_le_bytes();
        carry >>= 64;
    }
    std::array::from_fn(|place| {
        let (byte, bit) = (place * WIDTH / 8, place * WIDTH % 8);
        let bits = u16::from_le_bytes([sum[byte], sum[byte + 1]]) >> bit;
        if place == PLACES - 1 { bits.cast_signed() } else { (bits % LAST as u16).cast_signed() - HALF as i16 }
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn hard_scalars() -> impl Iterator<Item = Scalar> {
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
            let (last, others) = digits.split_last().unwrap();
            assert!(others.iter().all(|digit| usize::from(digit.unsigned_abs()) <= HALF), "{digits:?}");
            // Exactly the integer itself: otherwise the result would be wrong for a point of mixed order.
            assert!((0..=LAST as i16).contains(last), "{digits:?}");
        }
    }

    #[test]
    fn the_greatest_scalar_has_the_greatest_last_digit() {
        assert_eq!(digits(&-Scalar::ONE)[PLACES - 1], LAST as i16);
    }
}
