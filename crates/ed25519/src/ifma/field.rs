//! One element of the field modulo p = 2^255 − 19: what is computed once per signature, or for a table. The arithmetic
//! is that of `fiat-crypto`, which is generated with a proof.

use fiat_crypto::curve25519_64 as fiat;

use super::inverse;

/// A limb has 51 bits.
pub(super) const MASK: u64 = (1 << 51) - 1;

/// The limbs of p.
pub(super) const P: [u64; 5] = [MASK - 18, MASK, MASK, MASK, MASK];

#[derive(Clone, Copy)]
pub(super) struct Element(fiat::fiat_25519_tight_field_element);

impl Element {
    pub(super) const ZERO: Self = Self(fiat::fiat_25519_tight_field_element([0; 5]));
    pub(super) const ONE: Self = Self(fiat::fiat_25519_tight_field_element([1, 0, 0, 0, 0]));

    /// From limbs of at most 1.5 · 2^52, which is the bound of `fiat_25519_carry`.
    #[inline]
    pub(super) fn from_limbs(limbs: [u64; 5]) -> Self {
        Self::write(|out| fiat::fiat_25519_carry(out, &fiat::fiat_25519_loose_field_element(limbs)))
    }

    /// From the y of an encoded point, whose highest bit is the sign of x.
    pub(super) fn from_bytes(mut bytes: [u8; 32]) -> Self {
        bytes[31] &= 0x7f;
        Self::write(|out| fiat::fiat_25519_from_bytes(out, &bytes))
    }

    /// The canonical encoding: the number below p.
    pub(super) fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        fiat::fiat_25519_to_bytes(&mut bytes, &self.0);
        bytes
    }

    /// Limbs of at most 2^51.
    #[inline]
    pub(super) fn limbs(self) -> [u64; 5] {
        self.0.0
    }

    #[inline]
    pub(super) fn add(self, other: Self) -> Self {
        Self::write(|out| {
            let mut sum = fiat::fiat_25519_loose_field_element([0; 5]);
            fiat::fiat_25519_add(&mut sum, &self.0, &other.0);
            fiat::fiat_25519_carry(out, &sum);
        })
    }

    #[inline]
    pub(super) fn subtract(self, other: Self) -> Self {
        Self::write(|out| {
            let mut difference = fiat::fiat_25519_loose_field_element([0; 5]);
            fiat::fiat_25519_sub(&mut difference, &self.0, &other.0);
            fiat::fiat_25519_carry(out, &difference);
        })
    }

    #[inline]
    pub(super) fn multiply(self, other: Self) -> Self {
        Self::write(|out| fiat::fiat_25519_carry_mul(out, &self.loose(), &other.loose()))
    }

    /// The element to the power of 2^`times`.
    #[inline]
    fn square(self, times: u32) -> Self {
        (0..times).fold(self, |x, _| Self::write(|out| fiat::fiat_25519_carry_square(out, &x.loose())))
    }

    /// The inverse. Of zero, it is zero.
    pub(super) fn invert(self) -> Self {
        let inverse = self.invert_by_division_steps();
        if self.multiply(inverse).to_bytes() == Self::ONE.to_bytes() { inverse } else { self.power_of_p_minus_2() }
    }

    fn invert_by_division_steps(self) -> Self {
        let mut words = [0; 4];
        for (word, bytes) in words.iter_mut().zip(self.to_bytes().as_chunks().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        let [a, b, c, d] = inverse::invert(words);
        // The number has 256 bits, so the last limb has 52, as `from_limbs` takes.
        let [a, b, c, d, e] = [a, a >> 51 | b << 13, b >> 38 | c << 26, c >> 25 | d << 39, d >> 12];
        Self::from_limbs([a & MASK, b & MASK, c & MASK, d & MASK, e])
    }

    /// The inverse by Fermat's theorem. p − 2 is 2^255 − 21.
    fn power_of_p_minus_2(self) -> Self {
        // Named by exponents. 2^a_b is 2^a − 2^b.
        let x2 = self.square(1);
        let x9 = x2.square(2).multiply(self);
        let x11 = x9.multiply(x2);
        let x5_0 = x11.square(1).multiply(x9);
        let x10_0 = x5_0.square(5).multiply(x5_0);
        let x20_0 = x10_0.square(10).multiply(x10_0);
        let x40_0 = x20_0.square(20).multiply(x20_0);
        let x50_0 = x40_0.square(10).multiply(x10_0);
        let x100_0 = x50_0.square(50).multiply(x50_0);
        let x200_0 = x100_0.square(100).multiply(x100_0);
        let x250_0 = x200_0.square(50).multiply(x50_0);
        x250_0.square(5).multiply(x11)
    }

    #[inline]
    fn loose(&self) -> fiat::fiat_25519_loose_field_element {
        // Tight bounds are within the loose ones.
        fiat::fiat_25519_loose_field_element(self.0.0)
    }

    #[inline]
    fn write(compute: impl FnOnce(&mut fiat::fiat_25519_tight_field_element)) -> Self {
        let mut out = fiat::fiat_25519_tight_field_element([0; 5]);
        compute(&mut out);
        Self(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_inverses_are_equal() {
        let small = (0..200u64).map(|limb| Element::from_limbs([limb, 0, 0, 0, 0]));
        let powers = (0..255).map(|bit| {
            let mut limbs = [0; 5];
            limbs[bit / 51] = 1 << (bit % 51);
            Element::from_limbs(limbs)
        });
        let large = [P, [MASK; 5], [MASK - 19, MASK, MASK, MASK, MASK], [0, MASK, 0, MASK, 0]].map(Element::from_limbs);
        let all: Vec<Element> = small.chain(powers).chain(large).collect();
        for (i, element) in all.iter().enumerate() {
            for element in [*element, element.multiply(all[(i * 7 + 3) % all.len()]), Element::ZERO.subtract(*element)]
            {
                let expected = element.power_of_p_minus_2().to_bytes();
                assert_eq!(element.invert_by_division_steps().to_bytes(), expected);
                assert_eq!(element.invert().to_bytes(), expected);
            }
        }
    }
}
