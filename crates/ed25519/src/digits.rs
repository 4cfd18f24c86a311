//! A scalar in signed digits, as the tables of multiples are laid out.

use curve25519_dalek::scalar::Scalar;

/// Bits per digit. With the reference a signature costs 19.4 µs with 4, 16.8 with 5, 14.8 with 6, 13.7 with 7, 12.9
/// with 8, 12.4 with 9, while the table grows from 80 KiB (4) to 215 (6), 370 (7), 640 (8) and 1,160 (9). If other work
/// has used the cache meanwhile, it is 15 to 18 µs with any width from 6 to 9. Width 7 leaves cache for a ring of four
/// keys beside everything else.
pub(crate) const WIDTH: usize = 7;

/// Number of digits. A scalar is below the group's order, which is 2^252 and a little more. So the last digit is not
/// signed and may be [`LAST`], but needs no further place for its carry.
pub(crate) const PLACES: usize = 36;

/// Digits are greater than −`HALF` and at most `HALF`, except for the last.
pub(crate) const HALF: usize = 1 << (WIDTH - 1);

/// The last digit is not negative and at most this.
pub(crate) const LAST: usize = 1 << WIDTH;

/// Number of multiples in a table: for each place but the last those by 1 to [`HALF`], for the last by 1 to [`LAST`].
pub(crate) const MULTIPLES: usize = (PLACES - 1) * HALF + LAST;

/// The digits of a scalar, least significant first.
pub(crate) type Digits = [i16; PLACES];

/// The digits whose sum, each times 2^([`WIDTH`] × place), is the scalar, as an integer and not only modulo the group's
/// order: otherwise a multiple would be wrong for a point of mixed order.
pub(crate) fn digits(scalar: &Scalar) -> Digits {
    let mut words = [0; 5];
    for (word, bytes) in words.iter_mut().zip(scalar.as_bytes().as_chunks().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    let mut carry = 0;
    std::array::from_fn(|place| {
        let (word, bit) = (place * WIDTH / 64, place * WIDTH % 64);
        let both = u128::from(words[word]) | u128::from(words[word + 1]) << 64;
        // The last place takes all remaining bits. They are eight, and the eighth is set only if those below are so few
        // that there is no carry.
        let bits = if place == PLACES - 1 { WIDTH + 1 } else { WIDTH };
        let digit = (both >> bit) as i16 & ((1 << bits) - 1);
        let digit = digit + carry;
        carry = i16::from(place < PLACES - 1 && digit > HALF as i16);
        digit - (carry << WIDTH)
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
