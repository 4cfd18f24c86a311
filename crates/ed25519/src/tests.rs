//! Compares the verifier with `ed25519-dalek`'s `verify_strict`, for valid, mangled and malicious signatures.

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

use super::*;

/// Repeatable bytes: a counter, hashed.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn bytes(&mut self) -> [u8; 64] {
        self.0 += 1;
        let mut bytes = [0; 64];
        bytes.copy_from_slice(aws_lc_rs::digest::digest(&SHA512, &self.0.to_le_bytes()).as_ref());
        bytes
    }

    pub(crate) fn scalar(&mut self) -> Scalar {
        Scalar::from_bytes_mod_order_wide(&self.bytes())
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::from(u16::from_le_bytes([self.bytes()[0], self.bytes()[1]])) % bound
    }
}

/// One key in both verifiers.
struct Both {
    ours: Verifier,
    theirs: VerifyingKey,
    good: u32,
    bad: u32,
}

impl Both {
    fn new(public: &[u8; 32]) -> Self {
        let (ours, theirs) = (Verifier::new(public).unwrap(), VerifyingKey::from_bytes(public).unwrap());
        Self { ours, theirs, good: 0, bad: 0 }
    }

    /// The result, on which the reference and every implementation must agree.
    fn verdict(&mut self, message: &[u8], signature: &[u8; 64]) -> bool {
        let theirs = self.theirs.verify_strict(message, &Signature::from_bytes(signature)).is_ok();
        for implementation in Implementation::available() {
            let ours = self.ours.verify_with(implementation, message, signature);
            assert_eq!(ours, theirs, "{implementation}: {message:?} {signature:?}");
        }
        *if theirs { &mut self.good } else { &mut self.bad } += 1;
        theirs
    }
}

fn whole(commitment: &CompressedEdwardsY, s: &[u8; 32]) -> [u8; 64] {
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&commitment.0);
    signature[32..].copy_from_slice(s);
    signature
}

/// `s` plus the group's order: the same scalar to a verifier that does not check the range.
fn beyond_the_order(s: &Scalar) -> [u8; 32] {
    let mut carry = 0;
    let order_less_one = (-Scalar::ONE).to_bytes();
    let sum: [u8; 32] = std::array::from_fn(|at| {
        let digit = u16::from(s.as_bytes()[at]) + u16::from(order_less_one[at]) + carry + u16::from(at == 0);
        carry = digit >> 8;
        digit as u8
    });
    assert_eq!(carry, 0);
    assert_eq!(Scalar::from_bytes_mod_order(sum), *s);
    sum
}

#[test]
fn signed_and_mangled_messages_agree_with_the_reference() {
    let mut dice = Dice(0);
    let mut seed = [0; 32];
    for _ in 0..4 {
        seed.copy_from_slice(&dice.bytes()[..32]);
        let key = SigningKey::from_bytes(&seed);
        let mut both = Both::new(key.verifying_key().as_bytes());
        for length in 0..400 {
            let message: Vec<u8> = std::iter::repeat_with(|| dice.bytes()[0]).take(length).collect();
            let signature = key.sign(&message).to_bytes();
            assert!(both.verdict(&message, &signature));
            for _ in 0..3 {
                let mut mangled = signature;
                mangled[dice.below(64)] ^= 1 << dice.below(8);
                assert!(!both.verdict(&message, &mangled));
            }
            both.verdict(&message, &dice.bytes());
            both.verdict(&message[..length / 2], &signature);
            let mut s = [0; 32];
            s.copy_from_slice(&signature[32..]);
            let s = Option::<Scalar>::from(Scalar::from_canonical_bytes(s)).unwrap();
            let mut twin = signature;
            twin[32..].copy_from_slice(&beyond_the_order(&s));
            assert!(!both.verdict(&message, &twin));
        }
        assert!(both.good >= 400 && both.bad >= 2_000);
    }
}

/// Signatures by a key, or with a commitment, that has a part of small order. The holder of the key chooses them so
/// that the equation holds only with the cofactor, or also without it.
#[test]
fn parts_of_small_order_agree_with_the_reference() {
    let mut dice = Dice(1 << 32);
    let (mut good, mut bad) = (0, 0);
    for torsion_of_key in EIGHT_TORSION {
        let secret = dice.scalar();
        let public = (EdwardsPoint::mul_base(&secret) + torsion_of_key).compress();
        let mut both = Both::new(&public.0);
        for number in 0..60u8 {
            for torsion in EIGHT_TORSION {
                let r = if number % 10 == 0 { Scalar::ZERO } else { dice.scalar() };
                let commitment = (EdwardsPoint::mul_base(&r) + torsion).compress();
                let message = [number; 5];
                let k = both.ours.challenge(&commitment.0, &message);
                let s = r + k * secret;
                both.verdict(&message, &whole(&commitment, s.as_bytes()));
                both.verdict(&message, &whole(&commitment, &beyond_the_order(&s)));
                both.verdict(&message, &whole(&commitment, (s + Scalar::ONE).as_bytes()));
            }
        }
        good += both.good;
        bad += both.bad;
    }
    // Without the cofactor one in eight of the well-formed ones is valid: the remainder of the key's part must equal
    // that of R.
    assert!(good > 200 && bad > 10_000, "{good} good, {bad} bad");
}

/// Every non-canonical encoding of a small y, with both signs, and the canonical ones.
fn encodings_of_small_y() -> impl Iterator<Item = [u8; 32]> {
    let prime_plus = |y: u8| {
        let mut bytes = [0xff; 32];
        (bytes[0], bytes[31]) = (0xed + y, 0x7f);
        bytes
    };
    let small = |y: u8| {
        let mut bytes = [0; 32];
        bytes[0] = y;
        bytes
    };
    (0..19).flat_map(move |y| [prime_plus(y), small(y)]).flat_map(|bytes| {
        let mut signed = bytes;
        signed[31] |= 0x80;
        [bytes, signed]
    })
}

/// As R, with an s for which sB − kA is the neutral element.
#[test]
fn non_canonical_encodings_agree_with_the_reference() {
    let mut dice = Dice(1 << 33);
    let secret = dice.scalar();
    let mut both = Both::new(&EdwardsPoint::mul_base(&secret).compress().0);
    for encoding in encodings_of_small_y().chain(CURVE.small_order.map(|point| point.0)) {
        let commitment = CompressedEdwardsY(encoding);
        for message in 0..=99u8 {
            let k = both.ours.challenge(&encoding, &[message]);
            assert!(!both.verdict(&[message], &whole(&commitment, (k * secret).as_bytes())));
        }
    }
    assert_eq!(both.bad, (19 * 4 + 8) * 100);
}

#[test]
fn non_canonical_keys_agree_with_the_reference() {
    let mut usable = 0;
    for encoding in encodings_of_small_y() {
        let ours = Verifier::new(&encoding);
        let theirs = VerifyingKey::from_bytes(&encoding).is_ok_and(|key| !key.is_weak());
        assert_eq!(ours.is_some(), theirs, "{encoding:?}");
        if let Some(ours) = ours {
            // The challenge is a hash of the bytes as they are.
            assert_eq!(ours.public(), &encoding);
            usable += 1;
        }
    }
    // y is 3, 4, 5, 6, 9, 10, 14, 15, 16 or 18.
    assert_eq!(usable, 10 * 4);
}

#[test]
fn keys_of_small_order_are_refused() {
    assert!(CURVE.small_order.iter().all(|point| Verifier::new(&point.0).is_none()));
    let mut dice = Dice(1 << 34);
    for _ in 0..100 {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(&dice.bytes()[..32]);
        assert_eq!(Verifier::new(&bytes).is_some(), VerifyingKey::from_bytes(&bytes).is_ok_and(|key| !key.is_weak()));
    }
}
