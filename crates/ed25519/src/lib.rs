//! Verifying Ed25519 signatures of long-lived keys: each key is expanded once, at its first signature, which makes
//! every other verification cheaper.
//!
//! A signature (R, s) of a message M by the key A is valid if R is the encoding of sB − kA, where k = SHA-512(R ‖ A ‖
//! M). The cost is in the two multiplications. A general verifier starts them from nothing each time: 256 doublings,
//! and a table of multiples of a key that it has never seen. The keys of a ring live for weeks, so tables of their
//! multiples and of B's are kept (`comb`), and 72 additions remain.
//!
//! Exactly those signatures are accepted that `ed25519-dalek`'s `verify_strict` accepts, which the tests check: s below
//! the group's order, R in its canonical form, neither R nor A of small order, and no multiplication by the cofactor. R
//! itself is never decoded: bytes that equal the encoding of a point are the encoding of that point. All inputs are
//! public, so nothing here runs in constant time; signing is not done here.
//!
//! # The kernel
//! The additions are those of `curve25519-dalek`, the reference, or of a kernel for AVX-512 IFMA (`ifma`), which makes
//! eight at a time. Then one point is encoded, which needs an inversion; the kernel's takes a third of the time of a
//! power (`ifma::inverse`). A verification takes 4.5 µs with the kernel, 19.3 with the reference and 35.5 with
//! `verify_strict`: 0.23 and 0.13 of their times. These are medians of one run of `cargo bench -p signet-ed25519`, for
//! messages of 400 bytes, on an AMD EPYC (virtual), 2026-11-30; the minima are 4.4, 18.6 and 35.3.
//!
//! The kernel is chosen at run time, if the processor has the instructions and if a few sums equal those of the
//! reference ([`Implementation::in_use`]). The tests run with every implementation that the processor has. This is a
//! crate of its own so that `signet-verify` can forbid unsafe code. Unsafe are the loads of vectors, prefetches, and
//! the call from a function without the features, each in one small function.
//!
//! # Why signatures are not verified in batches
//! The known method is one equation with random weights for many signatures. Time per signature, in one run on one core
//! of another machine: dalek's `verify_strict` 33.6 µs, AWS-LC 30.2, this check with the reference 13.3; the equation
//! for 2 signatures 21.9, for 8 11.4, for 64 8.9, for 256 8.3. So it loses for few signatures, and takes 0.62 of the
//! reference's time at best, where the kernel takes 0.23 for each signature alone. It also costs randomness, a search
//! for the invalid signature whenever one fails, which any client can cause, and exactness: it must multiply by the
//! cofactor, or be wrong about mixed orders by chance. Sharing the inversion at the end of an encoding is exact and
//! would save 2.4 of the 13.3 µs from 8 signatures on, but would split the check into phases. The simpler code is
//! preferred.

mod comb;
mod digits;
#[cfg(target_arch = "x86_64")]
mod ifma;
mod implementation;

use std::sync::LazyLock;

use aws_lc_rs::digest::{Context, SHA512};
use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;

use comb::Comb;
pub use implementation::Implementation;

/// A public key that verifies many signatures.
pub struct Verifier {
    public: [u8; 32],
    /// Multiples of −A, so that only additions remain.
    minus_key: Comb,
}

/// Tables that all keys share.
struct Curve {
    base: Comb,
    small_order: [CompressedEdwardsY; 8],
}

static CURVE: LazyLock<Curve> = LazyLock::new(|| Curve {
    base: Comb::new(&ED25519_BASEPOINT_POINT),
    small_order: EdwardsPoint::compress_batch(&EIGHT_TORSION),
});

impl Verifier {
    /// Decodes a key. Its first signature expands it, which takes about a millisecond, and 296 KiB with the kernel or
    /// 370 with the reference. `None` if it is not a point of the curve, or a point of small order, whose signatures
    /// anyone can forge.
    pub fn new(public: &[u8; 32]) -> Option<Self> {
        let point = CompressedEdwardsY(*public).decompress().filter(|point| !point.is_small_order())?;
        Some(Self { public: *public, minus_key: Comb::new(&-point) })
    }

    /// The key's 32 bytes.
    pub fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// Returns true if `signature` is a valid signature of `message` by this key.
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.verify_with(Implementation::in_use(), message, signature)
    }

    /// The same with the given code, to compare implementations.
    pub fn verify_with(&self, implementation: Implementation, message: &[u8], signature: &[u8; 64]) -> bool {
        let (mut commitment, mut s) = ([0; 32], [0; 32]);
        commitment.copy_from_slice(&signature[..32]);
        s.copy_from_slice(&signature[32..]);
        let Some(s) = Option::<Scalar>::from(Scalar::from_canonical_bytes(s)) else { return false };
        let challenge = || self.challenge(&commitment, message);
        let expected = implementation.encode_sum((&CURVE.base, &s), &self.minus_key, challenge);
        expected == commitment && !CURVE.small_order.contains(&CompressedEdwardsY(expected))
    }

    fn challenge(&self, commitment: &[u8; 32], message: &[u8]) -> Scalar {
        let mut hash = Context::new(&SHA512);
        hash.update(commitment);
        hash.update(&self.public);
        hash.update(message);
        let mut wide = [0; 64];
        wide.copy_from_slice(hash.finish().as_ref());
        Scalar::from_bytes_mod_order_wide(&wide)
    }
}

#[cfg(test)]
mod tests;
