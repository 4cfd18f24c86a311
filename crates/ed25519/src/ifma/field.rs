//! One element of the field modulo p = 2^255 − 19: what is computed once per signature, or for a table. The arithmetic
//! is that of `fiat-crypto`, which is generated with a proof.

use fiat_crypto::curve25519_64 as fiat;

/// A limb has 51 bits.
pub(super) const MASK: u64 = (1 << 51) - 1;

/// The limbs of p.
pub(super) const P: [u64; 5] = [MASK - 18, MASK, MASK, MASK, MASK];

#[derive(Clone, Copy)]
pub(super) struct Element(fiat::fiat_25519_tight_field_element);

impl Element {
    /// From limbs below 1.5 · 2^52, which is the bound of `carry`.
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

    /// The limbs of the number below p.
    pub(super) fn canonical_limbs(self) -> [u64; 5] {
        Self::from_bytes(self.to_bytes()).0.0
    }

    pub(super) fn add(self, other: Self) -> Self {
        Self::write(|out| {
            let mut sum = fiat::fiat_25519_loose_field_element([0; 5]);
            fiat::fiat_25519_add(&mut sum, &self.0, &other.0);
            fiat::fiat_25519_carry(out, &sum);
        })
    }

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

    /// The inverse: the power of p − 2 = 2^255 − 21. Zero becomes zero.
    pub(super) fn invert(self) -> Self {
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
