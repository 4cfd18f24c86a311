//! The code that adds up multiples, chosen at run time.

use std::fmt;
use std::sync::LazyLock;

use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::Identity;

use crate::CURVE;
use crate::comb::Comb;
use crate::digits::digits;
#[cfg(target_arch = "x86_64")]
use crate::ifma::{Ifma, Term};

/// The code that adds up multiples of points.
#[derive(Clone, Copy, Debug)]
pub struct Implementation(Kind);

#[derive(Clone, Copy, Debug)]
enum Kind {
    Reference,
    #[cfg(target_arch = "x86_64")]
    Ifma(Ifma),
    /// Computes something else.
    #[cfg(test)]
    Faulty,
}

impl Implementation {
    /// The crate `curve25519-dalek`.
    pub const REFERENCE: Self = Self(Kind::Reference);

    /// The implementations that this processor can run, the fastest first. The last one is the reference.
    pub fn available() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let kernel = Ifma::detect().map(|kernel| Self(Kind::Ifma(kernel)));
        #[cfg(not(target_arch = "x86_64"))]
        let kernel = None;
        kernel.into_iter().chain([Self::REFERENCE])
    }

    /// The implementation that this process uses: the fastest one that agrees with the reference. Chosen, and logged
    /// with the feature `tracing`, at the first signature: the comparison needs a table that a process without
    /// signatures does not.
    pub fn in_use() -> Self {
        static IN_USE: LazyLock<Implementation> = LazyLock::new(|| {
            let in_use = choose(Implementation::available());
            #[cfg(feature = "tracing")]
            log_choice(in_use, Implementation::available().next());
            in_use
        });
        *IN_USE
    }

    /// The fastest implementation that this processor can run, if this process does not use it because it computes
    /// something else than the reference.
    pub fn rejected() -> Option<Self> {
        Self::available().next().filter(|fastest| fastest.is_rejected_for(Self::in_use()))
    }

    fn is_rejected_for(self, in_use: Self) -> bool {
        in_use.is_reference() && !self.is_reference()
    }

    /// Returns true if this implementation is the reference.
    pub fn is_reference(self) -> bool {
        matches!(self.0, Kind::Reference)
    }

    /// Compares a few sums with those of `curve25519-dalek`, in about a millisecond, most of which is the table that
    /// the first signature needs anyway: a fault of this processor or this build must not make correct signatures
    /// invalid.
    pub fn agrees_with_reference(self) -> bool {
        let scalars = [0, 1, 0x3f, 0x40, 0x55, 0x81, 0xaa, 0xff].map(|byte| Scalar::from_bytes_mod_order([byte; 32]));
        let others = [Scalar::ZERO, -Scalar::ONE, Scalar::from(u64::MAX), -Scalar::from(u128::MAX)];
        scalars.iter().zip(others.iter().cycle()).all(|(first, second)| {
            let sum = self.encode_sum((&CURVE.base, first), &CURVE.base, || *second);
            sum == EdwardsPoint::mul_base(&(first + second)).compress().0
        })
    }

    /// The encoding of the sum of a multiple of `base` and one of `key`. The scalars are used as integers, so the
    /// result is also right for points whose order is not prime. While `key_scalar` is computed, the multiples of
    /// `base` are fetched.
    pub(crate) fn encode_sum(
        self,
        (base, base_scalar): (&Comb, &Scalar),
        key: &Comb,
        key_scalar: impl FnOnce() -> Scalar,
    ) -> [u8; 32] {
        let base_digits = digits(base_scalar);
        match self.0 {
            Kind::Reference => {
                let sum = base.add_multiple(EdwardsPoint::identity(), &base_digits);
                key.add_multiple(sum, &digits(&key_scalar())).compress().0
            }
            #[cfg(target_arch = "x86_64")]
            Kind::Ifma(kernel) => {
                let base = Term { entries: base.entries(), digits: &base_digits };
                kernel.prefetch(base);
                let key = Term { entries: key.entries(), digits: &digits(&key_scalar()) };
                kernel.prefetch(key);
                kernel.encode_sum([base, key])
            }
            #[cfg(test)]
            Kind::Faulty => key.add_multiple(EdwardsPoint::identity(), &base_digits).compress().0,
        }
    }
}

fn choose(mut available: impl Iterator<Item = Implementation>) -> Implementation {
    available
        .find(|implementation| implementation.is_reference() || implementation.agrees_with_reference())
        .unwrap_or(Implementation::REFERENCE)
}

/// A rejection leaves correct signatures valid and makes each verification slower, so it would otherwise go unnoticed.
#[cfg(feature = "tracing")]
fn log_choice(in_use: Implementation, fastest: Option<Implementation>) {
    match fastest.filter(|fastest| fastest.is_rejected_for(in_use)) {
        Some(rejected) => tracing::error!(
            implementation = %rejected,
            "Ed25519 computes wrong sums: the slower reference is used instead"
        ),
        None => tracing::debug!(implementation = %in_use, "implementation of Ed25519"),
    }
}

impl fmt::Display for Implementation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Reference => "reference",
            #[cfg(target_arch = "x86_64")]
            Kind::Ifma(_) => "AVX-512 IFMA",
            #[cfg(test)]
            Kind::Faulty => "faulty",
        })
    }
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};

    use super::*;
    use crate::digits::tests::hard_scalars;

    #[test]
    fn every_available_implementation_agrees() {
        assert!(Implementation::available().all(Implementation::agrees_with_reference));
        assert_eq!(Implementation::in_use().to_string(), Implementation::available().next().unwrap().to_string());
        assert!(Implementation::rejected().is_none());
    }

    #[test]
    fn a_faulty_implementation_is_not_used() {
        let faulty = Implementation(Kind::Faulty);
        assert!(!faulty.agrees_with_reference());
        let chosen = choose([faulty, Implementation::REFERENCE].into_iter());
        assert!(chosen.is_reference() && faulty.is_rejected_for(chosen));
        assert!(!chosen.is_rejected_for(chosen));
        assert!(choose([faulty].into_iter()).is_reference());
    }

    #[cfg(feature = "tracing")]
    #[test]
    fn choice_of_an_implementation_is_logged() {
        let logged = |in_use, fastest| {
            let (log, writer) = std::io::pipe().unwrap();
            let subscriber = tracing_subscriber::fmt()
                .without_time()
                .with_target(false)
                .with_ansi(false)
                .with_max_level(tracing::Level::DEBUG)
                .with_writer(std::sync::Mutex::new(writer));
            // The subscriber has the only end to write to, so the log ends with it.
            tracing::subscriber::with_default(subscriber.finish(), || log_choice(in_use, fastest));
            std::io::read_to_string(log).unwrap().trim().to_owned()
        };
        let faulty = Implementation(Kind::Faulty);
        assert_eq!(
            logged(Implementation::REFERENCE, Some(faulty)),
            "ERROR Ed25519 computes wrong sums: the slower reference is used instead implementation=faulty"
        );
        let reference = "DEBUG implementation of Ed25519 implementation=reference";
        assert_eq!(logged(Implementation::REFERENCE, Some(Implementation::REFERENCE)), reference);
        assert_eq!(logged(faulty, Some(faulty)), "DEBUG implementation of Ed25519 implementation=faulty");
    }

    /// The integers themselves count: the second point has a part of order 8.
    #[test]
    fn sums_equal_those_of_the_library() {
        let points = [ED25519_BASEPOINT_POINT, -ED25519_BASEPOINT_POINT + EIGHT_TORSION[1]];
        let [first, second] = points.each_ref().map(Comb::new);
        let scalars: Vec<Scalar> = hard_scalars().step_by(5).collect();
        for (i, a) in scalars.iter().enumerate() {
            for b in [*a, -a, scalars[(i * 31 + 7) % scalars.len()], Scalar::ZERO] {
                let expected = (points[0] * a + points[1] * b).compress().0;
                let opposite = (points[0] * (a - b)).compress().0;
                for implementation in Implementation::available() {
                    assert_eq!(implementation.encode_sum((&first, a), &second, || b), expected, "{implementation}");
                    let sum = implementation.encode_sum((&first, a), &first, || -b);
                    assert_eq!(sum, opposite, "{implementation}");
                }
            }
        }
    }
}
