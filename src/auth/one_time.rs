//! One-time secrets: mailed codes, the device secrets of mailed links, and pending TOTP enrollments.
//!
//! Wrong attempts are counted per person, over all dialects and all spellings of the address. Each person has three
//! counters, one for each group that can make attempts: mailed codes (anyone who knows the address), links (a reader of
//! the mail), and second factors (someone who knows the password). With a single counter, any stranger could use up the
//! day's attempts of a user who signs in with password and app, and those of the links for recovery as well.
//!
//! The store compares digests, so that its contents are useless to a reader. The plain digest of a six-digit code could
//! be reversed by trying all codes, so it is keyed with the fleet's secret. So while the secret is being replaced, a
//! code mailed just before may have to be requested again.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::time::Instant;

use crate::auth::context::Context;
use crate::auth::identity::Email;
use crate::auth::rate_limit::DailyCounter;
use crate::auth::request_context::Client;
use crate::auth::timing::delay_limited;
use crate::auth::{Error, rate_limit};
use crate::clock::Timestamp;
use crate::encoding::{sha256, short_sha256};
use crate::id::UserId;
use crate::store::accounts::Find;
use crate::store::ephemeral::{Claim, ClaimKey, OnMatch, RedeemRequest, Redemption};

/// Wrong attempts that one code or link allows.
const MAX_ATTEMPTS: u32 = 5;

/// Purpose of a one-time secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::auth) enum SecretKind {
    /// A mailed code that signs in.
    SignInCode,
    /// A mailed code that verifies an address.
    EmailCode,
    /// The device secret of a magic link.
    MagicLink,
    /// The device secret of a password reset; empty if the token alone is enough.
    PasswordReset,
    /// A TOTP secret that is not confirmed yet.
    TotpEnrollment,
    /// A new address that is not confirmed yet.
    EmailChange,
}

impl SecretKind {
    /// The name in the store.
    fn name(self) -> &'static str {
        match self {
            Self::SignInCode => "sign-in-code",
            Self::EmailCode => "confirm-code",
            Self::MagicLink => "magic",
            Self::PasswordReset => "reset",
            Self::TotpEnrollment => "pending-factor",
            Self::EmailChange => "email-change",
        }
    }

    /// The counter of wrong attempts at this kind.
    fn counter(self) -> DailyCounter {
        match self {
            Self::SignInCode | Self::EmailCode | Self::TotpEnrollment | Self::EmailChange => DailyCounter::Code,
            Self::MagicLink | Self::PasswordReset => DailyCounter::Link,
        }
    }
}

/// Identifies a stored secret.
#[derive(Clone, Copy)]
pub(in crate::auth) struct SecretKey<'a> {
    /// Its purpose.
    pub(in crate::auth) kind: SecretKind,
    /// The person, by [`subject`].
    pub(in crate::auth) subject: &'a str,
    /// Distinguishes the person's secrets of this kind; empty if there can be only one.
    pub(in crate::auth) id: &'a str,
}

impl SecretKey<'_> {
    /// The key in the store. Its subject is the one whose counter the attempts at this kind use.
    pub(in crate::auth) fn claim(self) -> ClaimKey {
        let subject = match self.kind.counter() {
            DailyCounter::Code => self.subject.to_owned(),
            counter => format!("{}/{}", self.subject, counter.name()),
        };
        ClaimKey { subject, purpose: self.kind.name(), id: self.id.to_owned() }
    }
}

/// The key for a person's secrets and attempts: a digest of the address, so that it is the same before there is an
/// account, and no address is in the store.
pub fn subject(email: &Email) -> String {
    subject_of(email.as_str())
}

/// Like [`subject`], for an address that is canonical already, such as that of a user's row.
pub fn subject_of(canonical: &str) -> String {
    short_sha256(canonical.as_bytes(), 16)
}

/// The key for the attempts at a person's second factor.
pub(in crate::auth) fn mfa_subject(canonical: &str) -> String {
    format!("{}/{}", subject_of(canonical), DailyCounter::SecondFactor.name())
}

/// Generates a code of six digits, uniformly distributed.
pub(in crate::auth) fn generate_code(ctx: &Context) -> String {
    // 2^32 is not a multiple of a million: numbers beyond the last whole million are drawn again.
    loop {
        let number = u32::from_le_bytes(ctx.node.rng.bytes());
        if number < u32::MAX / 1_000_000 * 1_000_000 {
            return format!("{:06}", number % 1_000_000);
        }
    }
}

/// Generates the secret that stays with the device that requested a link: 160 random bits.
pub(in crate::auth) fn generate_device_secret(ctx: &Context) -> String {
    URL_SAFE_NO_PAD.encode(ctx.node.rng.bytes::<20>())
}

/// The digest that the store compares. No two combinations of fields give the same input: each has a fixed length or
/// contains no separator.
fn digest(ctx: &Context, key: SecretKey<'_>, secret: &str) -> [u8; 32] {
    let text = format!("{}\n{}\n{}\n{secret}", key.kind.name(), key.subject, key.id);
    match key.kind {
        SecretKind::SignInCode | SecretKind::EmailCode => sha256(&ctx.node.secrets.mac(text.as_bytes())),
        SecretKind::MagicLink | SecretKind::PasswordReset | SecretKind::TotpEnrollment | SecretKind::EmailChange => {
            sha256(text.as_bytes())
        }
    }
}

/// Stores the digest of a secret, in place of an earlier one with the same key.
pub(in crate::auth) async fn store(
    ctx: &Context,
    key: SecretKey<'_>,
    secret: &str,
    payload: Vec<u8>,
    expires_at: Timestamp,
) -> Result<(), Error> {
    let claim =
        Claim { key: key.claim(), digest: digest(ctx, key, secret), payload, attempts: MAX_ATTEMPTS, expires_at };
    Ok(ctx.ephemeral.store_claim(&claim, ctx.now()).await?)
}

/// The owner of the address that a secret was mailed to.
#[derive(Clone, Copy, Debug)]
pub(in crate::auth) enum Owner<'a> {
    /// This user.
    User(UserId),
    /// The user who has this canonical address, if there is one. Looked up only if the attempts of the day are used up,
    /// so that an attempt takes the same time whether there is one or not.
    Address(&'a str),
}

impl Owner<'_> {
    async fn find(self, ctx: &Context) -> Result<Option<UserId>, Error> {
        match self {
            Self::User(user) => Ok(Some(user)),
            Self::Address(email) => Ok(ctx.accounts.user(Find::Email(email)).await?.map(|user| user.id)),
        }
    }
}

/// A secret that was right when it was compared. It is not used up.
pub(in crate::auth) struct CheckedSecret {
    key: ClaimKey,
    digest: [u8; 32],
    payload: Vec<u8>,
}

impl CheckedSecret {
    /// The data that was stored with the secret.
    pub(in crate::auth) fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Holds the secret until its step is taken. `None` if another request has used it up meanwhile. Ignores the
    /// attempts of the day, which were counted when it was compared.
    pub(in crate::auth) async fn hold(self, ctx: &Context) -> Result<Option<HeldSecret>, Error> {
        let Self { key, digest, .. } = self;
        let request = RedeemRequest { key: &key, digest, daily_attempts: u32::MAX, on_match: OnMatch::Hold };
        let redemption = ctx.ephemeral.redeem(request, ctx.now()).await?;
        Ok(matches!(redemption, Redemption::Redeemed(_)).then_some(HeldSecret { key, digest }))
    }
}

/// A secret that was right, and that nobody else can redeem. Used up unless the step that it allows fails.
#[must_use]
pub(in crate::auth) struct HeldSecret {
    key: ClaimKey,
    digest: [u8; 32],
}

impl HeldSecret {
    /// Takes the step that the secret allows, in the accounts store. If it fails, as while Postgres is read-only
    /// during a failover, the secret works again, with the attempts and the time that it had left.
    ///
    /// The step may have taken effect although it failed, because the response was lost. So it must be one after which
    /// the secret is void by itself, or allows nothing that the step has not done.
    ///
    /// Call it in [`run_to_completion`](crate::auth::run_to_completion::run_to_completion): otherwise a client that
    /// disconnects uses up the secret.
    pub(in crate::auth) async fn spend<T>(
        self,
        ctx: &Context,
        step: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let result = step.await;
        if result.is_err() {
            // The user is told of the first error, and requests another mail if this secret stays used up.
            let _ = ctx.ephemeral.release_claim(&self.key, self.digest, ctx.now()).await;
        }
        result
    }
}

/// As [`check`], and holds the secret until its step is taken.
pub(in crate::auth) async fn hold(
    ctx: &Context,
    key: SecretKey<'_>,
    secret: &str,
    owner: Owner<'_>,
    client: Client,
) -> Result<Option<HeldSecret>, Error> {
    let held = HeldSecret { key: key.claim(), digest: digest(ctx, key, secret) };
    let request = redeem_request(ctx, &held.key, held.digest, OnMatch::Hold);
    let redeemed = redeem(ctx, key.kind, request, owner, client).await?;
    Ok(redeemed.map(|_| held))
}

/// Counts an attempt and compares the secret. `None` if it is wrong.
///
/// Once the attempts of the day are used up, only those from a network that the owner signed in from are compared. A
/// right one succeeds; a wrong one gets the 429 that any other network gets: see [`rate_limit`].
pub(in crate::auth) async fn check(
    ctx: &Context,
    key: SecretKey<'_>,
    secret: &str,
    owner: Owner<'_>,
    client: Client,
) -> Result<Option<CheckedSecret>, Error> {
    let (claim, digest) = (key.claim(), digest(ctx, key, secret));
    let request = redeem_request(ctx, &claim, digest, OnMatch::Keep);
    let payload = redeem(ctx, key.kind, request, owner, client).await?;
    Ok(payload.map(|payload| CheckedSecret { key: claim, digest, payload }))
}

fn redeem_request<'a>(ctx: &Context, key: &'a ClaimKey, digest: [u8; 32], on_match: OnMatch) -> RedeemRequest<'a> {
    RedeemRequest { key, digest, daily_attempts: ctx.node.config.mailed.daily_tries, on_match }
}

async fn redeem(
    ctx: &Context,
    kind: SecretKind,
    request: RedeemRequest<'_>,
    owner: Owner<'_>,
    client: Client,
) -> Result<Option<Vec<u8>>, Error> {
    let start = Instant::now();
    let retry_after = match ctx.ephemeral.redeem(request, ctx.now()).await? {
        Redemption::Redeemed(payload) => return Ok(Some(payload)),
        Redemption::Wrong { .. } | Redemption::NotFound => return Ok(None),
        Redemption::Capped { retry_after } => retry_after,
    };
    let redeemed = redeem_from_known_network(ctx, kind, request, retry_after, owner, client).await;
    if redeemed.is_err() {
        delay_limited(start).await;
    }
    redeemed.map(Some)
}

async fn redeem_from_known_network(
    ctx: &Context,
    kind: SecretKind,
    request: RedeemRequest<'_>,
    retry_after: Duration,
    owner: Owner<'_>,
    client: Client,
) -> Result<Vec<u8>, Error> {
    let owner = owner.find(ctx).await?;
    let permit = rate_limit::check_day(ctx, owner, kind.counter(), retry_after, client).await?;
    // The budget of the network bounds these attempts. Each secret still allows only `MAX_ATTEMPTS` wrong ones.
    let request = RedeemRequest { daily_attempts: u32::MAX, ..request };
    match ctx.ephemeral.redeem(request, ctx.now()).await? {
        Redemption::Redeemed(payload) => Ok(payload),
        Redemption::Wrong { .. } | Redemption::NotFound | Redemption::Capped { .. } => {
            Err(permit.refusal(Error::RateLimited { retry_after }))
        }
    }
}
