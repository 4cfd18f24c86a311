//! A TOTP secret (RFC 6238): generates it, seals it for its user, and compares codes. Knows nothing of attempts or
//! stores.

use std::ops::RangeInclusive;

use totp_rs::{Builder, Totp};
use zeroize::Zeroizing;

use crate::auth::Error;
use crate::auth::context::Context;
use crate::clock::Timestamp;
use crate::id::UserId;
use crate::store::accounts::SealedTotp;

/// 160 bits, as RFC 4226, 4 recommends.
const BYTES: usize = 20;

/// The only number of digits that every app supports.
const DIGITS: usize = 6;

/// Steps of thirty seconds by which the clock of a phone may be off.
const SKEW: u16 = 1;

/// Bytes of a secret of another system: 128 bits at least (RFC 4226, 4), and no more than a block of the hash, because
/// the algorithm hashes a longer one first (RFC 2104).
pub const SECRET_LENGTHS: RangeInclusive<usize> = 16..=64;

/// Why a secret of another system cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSecret {
    /// Too short to be safe, or too long.
    #[error(
        "the secret has {} bytes, and {} to {} are possible",
        .0,
        SECRET_LENGTHS.start(),
        SECRET_LENGTHS.end()
    )]
    Length(usize),
    /// Not base32 (RFC 4648).
    #[error("the secret is not base32")]
    NotBase32,
    /// It could not be sealed.
    #[error("the secret cannot be sealed")]
    Seal,
}

/// Seals a secret of another system for its user. It must be for six digits of SHA-1 that change every thirty seconds.
pub fn seal_imported_secret(ctx: &Context, user: UserId, secret: &[u8]) -> Result<SealedTotp, InvalidSecret> {
    if !SECRET_LENGTHS.contains(&secret.len()) {
        return Err(InvalidSecret::Length(secret.len()));
    }
    let secret = TotpSecret::new(secret, &ctx.node.config.second_factor.issuer, "").map_err(|_| InvalidSecret::Seal)?;
    secret.seal(ctx, user).map_err(|_| InvalidSecret::Seal)
}

/// A secret in memory. Zeroized when dropped, and not `Debug`.
pub(super) struct TotpSecret(Totp);

impl TotpSecret {
    /// Generates a secret. Apps show `account` beside it.
    pub(super) fn generate(ctx: &Context, account: &str) -> Result<Self, Error> {
        Self::new(&*Zeroizing::new(ctx.node.rng.bytes::<BYTES>()), &ctx.node.config.second_factor.issuer, account)
    }

    /// Unseals the secret of a user.
    pub(super) fn open(ctx: &Context, user: UserId, sealed: &SealedTotp) -> Result<Self, Error> {
        let bytes = ctx.node.secrets.open(&usage(user), &sealed.0);
        let bytes = bytes.map_err(|error| {
            tracing::error!(%user, %error, "cannot unseal a TOTP secret; was a secret removed too early?");
            Error::Internal("a TOTP secret cannot be unsealed")
        })?;
        Self::new(&bytes, &ctx.node.config.second_factor.issuer, "")
    }

    fn new(secret: &[u8], issuer: &str, account: &str) -> Result<Self, Error> {
        // A colon separates issuer and account in the label, so neither may contain one.
        let plain = |text: &str| text.replace(':', " ");
        Builder::new()
            .with_secret(secret)
            .with_skew(SKEW)
            .with_issuer(Some(plain(issuer)))
            .with_account_name(plain(account))
            .build()
            .map(Self)
            .map_err(|_| Error::Internal("a TOTP secret is not valid"))
    }

    /// The same secret with the account name that apps show.
    pub(super) fn for_account(&self, ctx: &Context, account: &str) -> Result<Self, Error> {
        Self::new(self.0.secret().as_ref(), &ctx.node.config.second_factor.issuer, account)
    }

    /// Seals the secret for its user. The user's id is authenticated, so it cannot be unsealed for another user.
    pub(super) fn seal(&self, ctx: &Context, user: UserId) -> Result<SealedTotp, Error> {
        let sealed = ctx.node.secrets.seal(&usage(user), self.0.secret().as_ref(), &ctx.node.rng);
        sealed.map(SealedTotp).map_err(|_| Error::Internal("a TOTP secret cannot be sealed"))
    }

    /// The time step of the code, if it is current. Ignores spaces, because apps show a code in two groups.
    pub(super) fn step_of(&self, code: &str, now: Timestamp) -> Option<i64> {
        let digits = code.chars().filter(|char| !char.is_whitespace()).take(DIGITS + 1).collect::<String>();
        let step = self.0.check(&digits, u64::try_from(now.secs()).ok()?)?;
        i64::try_from(step).ok()
    }

    /// The secret in base32, as people type it into an app.
    pub(super) fn key(&self) -> String {
        self.0.secret().to_base32()
    }

    /// The `otpauth://` URI that an app reads from a QR code.
    pub(super) fn uri(&self) -> Result<String, Error> {
        self.0.to_url().map_err(|_| Error::Internal("a TOTP secret has no URI"))
    }
}

fn usage(user: UserId) -> String {
    format!("second factor of {user}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step_of(code: &str, at: i64) -> Option<i64> {
        let secret = TotpSecret::new(b"12345678901234567890", "Signet", "ada@example.org").ok().unwrap();
        secret.step_of(code, Timestamp::from_secs(at))
    }

    /// RFC 6238, appendix B, SHA-1: its codes have eight digits; the last six are ours.
    const VECTORS: [(i64, &str); 6] = [
        (59, "287082"),
        (1_111_111_109, "081804"),
        (1_111_111_111, "050471"),
        (1_234_567_890, "005924"),
        (2_000_000_000, "279037"),
        (20_000_000_000, "353130"),
    ];

    #[test]
    fn codes_match_the_test_vectors_of_rfc_6238() {
        for (at, code) in VECTORS {
            assert_eq!(step_of(code, at), Some(at / 30), "{at}");
        }
    }

    #[test]
    fn clock_may_be_off_by_one_step_at_most() {
        for (at, code) in VECTORS.into_iter().skip(1) {
            let start = at / 30 * 30;
            assert_eq!(step_of(code, start - 31), None, "{at}");
            assert_eq!(step_of(code, start - 30), Some(at / 30), "{at}");
            assert_eq!(step_of(code, start + 59), Some(at / 30), "{at}");
            assert_eq!(step_of(code, start + 60), None, "{at}");
        }
        assert_eq!(step_of("287082", -1), None);
    }

    #[test]
    fn code_is_six_digits_with_optional_spaces() {
        assert_eq!(step_of(" 287 082 ", 59), Some(1));
        for invalid in ["", "28708", "2870822", "14287082", "+87082", "28708a", "２８７０８２", "287-082"] {
            assert_eq!(step_of(invalid, 59), None, "{invalid}");
        }
    }

    #[test]
    fn uri_names_issuer_and_account() {
        let secret = TotpSecret::new(b"12345678901234567890", "Our: house", "o'hara+1@bücher.example").ok().unwrap();
        assert_eq!(secret.key(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        let parsed = Totp::from_url(secret.uri().unwrap()).unwrap();
        assert_eq!((parsed.issuer(), parsed.account_name()), (Some("Our  house"), "o'hara+1@bücher.example"));
        assert_eq!((parsed.step(), parsed.digits(), parsed.secret()), (30, 6, secret.0.secret()));
    }
}
