//! A second factor's secret: drawn, sealed, told once, and compared with. Knows nothing of tries or of stores.

use totp_rs::{Builder, Totp};

use crate::app::App;
use crate::auth::Failure;
use crate::id::UserId;
use crate::store::accounts::SealedTotp;
use crate::time::Timestamp;

/// 160 bits, as RFC 4226, 4 recommends.
const BYTES: usize = 20;

/// By how many steps of thirty seconds a telephone's clock may be off.
const SKEW: u16 = 1;

/// An opened secret. Wiped when dropped; without a Debug form.
pub(super) struct Factor(Totp);

impl Factor {
    /// Draws one for `account`, which is what apps show.
    pub(super) fn draw(app: &App, account: &str) -> Result<Self, Failure> {
        Self::of(&app.node.chance.bytes::<BYTES>(), &app.node.config.second_factor.issuer, account)
    }

    /// Opens a user's.
    pub(super) fn open(app: &App, user: UserId, sealed: &SealedTotp) -> Result<Self, Failure> {
        let opened = app.node.secrets.open(&usage(user), &sealed.0);
        let bytes = opened.map_err(|error| {
            tracing::error!(%user, %error, "a second factor cannot be opened: its user cannot sign in");
            Failure::Internal("a second factor that does not open")
        })?;
        Self::of(&bytes, &app.node.config.second_factor.issuer, "")
    }

    fn of(secret: &[u8], issuer: &str, account: &str) -> Result<Self, Failure> {
        // A colon parts issuer and account in the label, and neither may hold one.
        let plain = |text: &str| text.replace(':', " ");
        Builder::new()
            .with_secret(secret)
            .with_skew(SKEW)
            .with_issuer(Some(plain(issuer)))
            .with_account_name(plain(account))
            .build()
            .map(Self)
            .map_err(|_| Failure::Internal("a second factor that cannot be used"))
    }

    /// The same, with the name that apps show.
    pub(super) fn for_account(&self, app: &App, account: &str) -> Result<Self, Failure> {
        Self::of(self.0.secret().as_ref(), &app.node.config.second_factor.issuer, account)
    }

    /// Seals it for its user, whose id is bound in: it opens for nobody else.
    pub(super) fn seal(&self, app: &App, user: UserId) -> Result<SealedTotp, Failure> {
        let sealed = app.node.secrets.seal(&usage(user), self.0.secret().as_ref(), &app.node.chance);
        sealed.map(SealedTotp).map_err(|_| Failure::Internal("a second factor that cannot be sealed"))
    }

    /// The step whose code it is, if it is one of now.
    pub(super) fn step_of(&self, code: &str, now: Timestamp) -> Option<i64> {
        let step = self.0.check(code, u64::try_from(now.secs()).ok()?)?;
        i64::try_from(step).ok()
    }

    /// The secret in the letters that people type into an app.
    pub(super) fn key(&self) -> String {
        self.0.secret().to_base32()
    }

    /// What an app reads from a QR code.
    pub(super) fn uri(&self) -> Result<String, Failure> {
        self.0.to_url().map_err(|_| Failure::Internal("a second factor without an address"))
    }
}

fn usage(user: UserId) -> String {
    format!("second factor of {user}")
}
