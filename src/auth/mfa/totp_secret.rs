//! A second factor's secret: drawn, sealed, told once, and compared with. Knows nothing of tries or of stores.

use totp_rs::{Builder, Totp};
use zeroize::Zeroizing;

use crate::auth::Error;
use crate::auth::context::Context;
use crate::clock::Timestamp;
use crate::id::UserId;
use crate::store::accounts::SealedTotp;

/// 160 bits, as RFC 4226, 4 recommends.
const BYTES: usize = 20;

/// As many as every app shows.
const DIGITS: usize = 6;

/// By how many steps of thirty seconds a telephone's clock may be off.
const SKEW: u16 = 1;

/// An opened secret. Wiped when dropped; without a Debug form.
pub(super) struct TotpSecret(Totp);

impl TotpSecret {
    /// Draws one for `account`, which is what apps show.
    pub(super) fn generate(ctx: &Context, account: &str) -> Result<Self, Error> {
        Self::of(&*Zeroizing::new(ctx.node.rng.bytes::<BYTES>()), &ctx.node.config.second_factor.issuer, account)
    }

    /// Opens a user's.
    pub(super) fn open(ctx: &Context, user: UserId, sealed: &SealedTotp) -> Result<Self, Error> {
        let opened = ctx.node.secrets.open(&usage(user), &sealed.0);
        let bytes = opened.map_err(|error| {
            tracing::error!(%user, %error, "a second factor cannot be opened: its user cannot sign in");
            Error::Internal("a second factor that does not open")
        })?;
        Self::of(&bytes, &ctx.node.config.second_factor.issuer, "")
    }

    fn of(secret: &[u8], issuer: &str, account: &str) -> Result<Self, Error> {
        // A colon parts issuer and account in the label, and neither may hold one.
        let plain = |text: &str| text.replace(':', " ");
        Builder::new()
            .with_secret(secret)
            .with_skew(SKEW)
            .with_issuer(Some(plain(issuer)))
            .with_account_name(plain(account))
            .build()
            .map(Self)
            .map_err(|_| Error::Internal("a second factor that cannot be used"))
    }

    /// The same, with the name that apps show.
    pub(super) fn for_account(&self, ctx: &Context, account: &str) -> Result<Self, Error> {
        Self::of(self.0.secret().as_ref(), &ctx.node.config.second_factor.issuer, account)
    }

    /// Seals it for its user, whose id is bound in: it opens for nobody else.
    pub(super) fn seal(&self, ctx: &Context, user: UserId) -> Result<SealedTotp, Error> {
        let sealed = ctx.node.secrets.seal(&usage(user), self.0.secret().as_ref(), &ctx.node.rng);
        sealed.map(SealedTotp).map_err(|_| Error::Internal("a second factor that cannot be sealed"))
    }

    /// The step whose code it is, if it is one of now. Apps show a code in two groups, and so people type it.
    pub(super) fn step_of(&self, code: &str, now: Timestamp) -> Option<i64> {
        let digits = code.chars().filter(|char| !char.is_whitespace()).take(DIGITS + 1).collect::<String>();
        let step = self.0.check(&digits, u64::try_from(now.secs()).ok()?)?;
        i64::try_from(step).ok()
    }

    /// The secret in the letters that people type into an app.
    pub(super) fn key(&self) -> String {
        self.0.secret().to_base32()
    }

    /// What an app reads from a QR code.
    pub(super) fn uri(&self) -> Result<String, Error> {
        self.0.to_url().map_err(|_| Error::Internal("a second factor without an address"))
    }
}

fn usage(user: UserId) -> String {
    format!("second factor of {user}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step_of(code: &str, at: i64) -> Option<i64> {
        let factor = TotpSecret::of(b"12345678901234567890", "Signet", "ada@example.org").ok().unwrap();
        factor.step_of(code, Timestamp::from_secs(at))
    }

    /// RFC 6238, appendix B, SHA-1: its codes have eight digits, of which ours are the last six.
    const VECTORS: [(i64, &str); 6] = [
        (59, "287082"),
        (1_111_111_109, "081804"),
        (1_111_111_111, "050471"),
        (1_234_567_890, "005924"),
        (2_000_000_000, "279037"),
        (20_000_000_000, "353130"),
    ];

    #[test]
    fn the_vectors_of_the_rfc_hold() {
        for (at, code) in VECTORS {
            assert_eq!(step_of(code, at), Some(at / 30), "{at}");
        }
    }

    #[test]
    fn a_clock_may_be_one_step_off_and_no_more() {
        for (at, code) in VECTORS.into_iter().skip(1) {
            let begin = at / 30 * 30;
            assert_eq!(step_of(code, begin - 31), None, "{at}");
            assert_eq!(step_of(code, begin - 30), Some(at / 30), "{at}");
            assert_eq!(step_of(code, begin + 59), Some(at / 30), "{at}");
            assert_eq!(step_of(code, begin + 60), None, "{at}");
        }
        assert_eq!(step_of("287082", -1), None);
    }

    #[test]
    fn a_code_is_six_digits_in_whatever_groups() {
        assert_eq!(step_of(" 287 082 ", 59), Some(1));
        for no_code in ["", "28708", "2870822", "14287082", "+87082", "28708a", "２８７０８２", "287-082"] {
            assert_eq!(step_of(no_code, 59), None, "{no_code}");
        }
    }

    #[test]
    fn what_an_app_reads_names_issuer_and_account() {
        let factor = TotpSecret::of(b"12345678901234567890", "Our: house", "o'hara+1@bücher.example").ok().unwrap();
        assert_eq!(factor.key(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        let again = Totp::from_url(factor.uri().unwrap()).unwrap();
        assert_eq!((again.issuer(), again.account_name()), (Some("Our  house"), "o'hara+1@bücher.example"));
        assert_eq!((again.step(), again.digits(), again.secret()), (30, 6, factor.0.secret()));
    }
}
