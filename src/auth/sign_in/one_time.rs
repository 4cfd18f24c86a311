//! What is handed in once: codes, the halves of links. Wrong tries are counted by person, in one counter whatever the dialect and
//! the spelling of the address. There are three, by who is able to try: at mailed codes anybody is, who only needs to know the
//! address; at links, who has read the mail; at second factors, who knows the password. In one counter, any passer-by could use up
//! the day of somebody who signs in with password and app, and the links by which to recover besides.
//!
//! The store compares digests, so that what it holds is of no use to who reads it. A six-digit code's plain digest could be
//! turned back by trying all of them, so it is keyed with the fleet's secret: while the secret is being replaced, a code that
//! was mailed just before may have to be asked for again.

use std::borrow::Cow;

use crate::auth::Error;
use crate::auth::accounts::identity::Email;
use crate::auth::context::Context;
use crate::clock::Timestamp;
use crate::store::ephemeral::{Claim, RedeemRequest, Redemption};

use aws_lc_rs::digest::{SHA256, digest as sha256};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// How many wrong tries one code or link bears.
const TRIES: u32 = 5;

/// What can be handed in once, and for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::auth) enum Kind {
    /// A mailed code, to sign in.
    SignInCode,
    /// A mailed code, to confirm an address.
    ConfirmCode,
    /// The device's half of a magic link.
    Magic,
    /// The device's half of a reset, or its token alone.
    Reset,
    /// A second factor that is to be turned on.
    PendingFactor,
}

impl Kind {
    pub(in crate::auth) fn name(self) -> &'static str {
        match self {
            Self::SignInCode => "sign-in-code",
            Self::ConfirmCode => "confirm-code",
            Self::Magic => "magic",
            Self::Reset => "reset",
            Self::PendingFactor => "pending-factor",
        }
    }
}

/// By what a person's claims and tries are kept: a digest of the address, so that it is the same before there is an account,
/// and no address stands in the store.
pub fn subject(email: &Email) -> String {
    subject_of(email.as_str())
}

/// The same of an address that is canonical already, from a user's row.
pub fn subject_of(canonical: &str) -> String {
    URL_SAFE_NO_PAD.encode(&sha256(&SHA256, canonical.as_bytes()).as_ref()[..16])
}

/// By what the tries at a person's second factors are kept.
pub(in crate::auth) fn mfa_subject(canonical: &str) -> String {
    format!("{}/factor", subject_of(canonical))
}

/// By what the tries at one kind are kept.
fn counted_under(kind: Kind, subject: &str) -> Cow<'_, str> {
    match kind {
        Kind::SignInCode | Kind::ConfirmCode | Kind::PendingFactor => Cow::Borrowed(subject),
        Kind::Magic | Kind::Reset => Cow::Owned(format!("{subject}/link")),
    }
}

/// Six digits, each number as likely as any other.
pub(in crate::auth) fn generate_code(ctx: &Context) -> String {
    // 2^32 is no multiple of a million: the numbers past the last whole million are drawn again.
    loop {
        let number = u32::from_le_bytes(ctx.node.rng.bytes());
        if number < u32::MAX / 1_000_000 * 1_000_000 {
            return format!("{:06}", number % 1_000_000);
        }
    }
}

/// A device's half of a link: 160 random bits.
pub(in crate::auth) fn generate_device_secret(ctx: &Context) -> String {
    URL_SAFE_NO_PAD.encode(ctx.node.rng.bytes::<20>())
}

/// What the store compares. The parts are told apart by their lengths being fixed or by a separator none of them holds.
fn digest(ctx: &Context, (kind, subject, id): (Kind, &str, &str), secret: &str) -> [u8; 32] {
    let text = format!("{}\n{subject}\n{id}\n{secret}", kind.name());
    let hashed = match kind {
        Kind::SignInCode | Kind::ConfirmCode => sha256(&SHA256, &ctx.node.secrets.mac(text.as_bytes())),
        Kind::Magic | Kind::Reset | Kind::PendingFactor => sha256(&SHA256, text.as_bytes()),
    };
    let mut bytes = [0; 32];
    bytes.copy_from_slice(hashed.as_ref());
    bytes
}

/// Keeps what must be handed in, in place of what was kept before for the same `id`.
pub(in crate::auth) async fn store(
    ctx: &Context,
    (kind, subject, id): (Kind, &str, &str),
    secret: &str,
    payload: Vec<u8>,
    until: Timestamp,
) -> Result<(), Error> {
    let claim = Claim {
        subject: counted_under(kind, subject).into_owned(),
        purpose: kind.name(),
        id: id.to_owned(),
        digest: digest(ctx, (kind, subject, id), secret),
        payload,
        attempts: TRIES,
        expires_at: until,
    };
    Ok(ctx.ephemeral.store_claim(&claim, ctx.now()).await?)
}

/// Tries what was handed in, using it up if it is right and `spend` says so; gives what was kept with it, or `None`.
pub(in crate::auth) async fn redeem(
    ctx: &Context,
    (kind, subject, id): (Kind, &str, &str),
    secret: &str,
    spend: bool,
) -> Result<Option<Vec<u8>>, Error> {
    let counted = counted_under(kind, subject);
    let redeem = RedeemRequest {
        subject: &counted,
        purpose: kind.name(),
        id,
        digest: digest(ctx, (kind, subject, id), secret),
        daily_attempts: ctx.node.config.mailed.daily_tries,
        consume: spend,
    };
    match ctx.ephemeral.redeem(redeem, ctx.now()).await? {
        Redemption::Redeemed(payload) => Ok(Some(payload)),
        Redemption::Wrong { .. } | Redemption::NotFound => Ok(None),
        Redemption::Capped { retry_after } => Err(Error::RateLimited { retry_after }),
    }
}
