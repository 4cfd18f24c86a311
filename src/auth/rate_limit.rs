//! Applies the rate limits of [`LimitedAction`]. An account has one counter, in all dialects and by all its names.
//!
//! **Nobody can lock an owner out.** Anyone who knows a login can exhaust the counters of its account. A network from
//! which the owner signed in has budgets of its own, used when the shared counter is exhausted: a right attempt is
//! accepted, a wrong one gets the 429 of any other network. So the response reveals neither account nor network.
//!
//! **Networks** are IPv4 addresses and IPv6 /64s. One customer of a provider can have 65,536 of the latter, so each
//! limit of a network also counts its site ([`site_of`]), which gets more. A known network is a /64, never a site.
//!
//! **Mails** are limited by requester and in total. A requester over its own limit gets 429. Over the total, the
//! response is that of a mail that was sent.
//!
//! **A store that fails.** Limits that protect secrets and costs fail closed. Otherwise an attacker could guess without
//! limit. The others fail open and are counted: see [`OnFailure`].

mod daily_counter;
mod mail;

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::Error;
use crate::auth::audit::{self, Event};
use crate::auth::context::Context;
use crate::auth::identity::LoginName;
use crate::auth::request_context::{Client, RequestContext};
pub use crate::config::LimitedAction;
use crate::config::{DAILY_TRIES, OnFailure, Rate, site_of};
use crate::encoding::short_sha256;
use crate::id::UserId;
use crate::store;
use crate::store::accounts::User;
use crate::store::ephemeral::{Allowance, Limit, NetworkPermit, RequesterAllowance, RequesterPermit};
use crate::telemetry::metrics::Counter;
pub(in crate::auth) use daily_counter::DailyCounter;
pub use mail::{MailKind, MailPermit, check_mail, check_notice, check_sign_up_mail};

/// The period of [`DAILY_TRIES`].
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// True while the store fails, so that limits that fail open are logged once for each outage and not for each request.
static IS_SKIPPING: AtomicBool = AtomicBool::new(false);

/// Permission to compare one attempt at a secret of an account.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub enum AttemptPermit {
    /// From the counter that all clients share.
    Shared,
    /// From the budget of a network that the user signed in from, because the counter that all share is exhausted.
    KnownNetwork {
        /// The time until the counter that all share allows one more, as other networks are told.
        retry_after: Duration,
    },
}

impl AttemptPermit {
    /// The error for an attempt that turned out to be wrong: `wrong`, or from a known network the 429 that other
    /// networks get.
    pub fn refusal(self, wrong: Error) -> Error {
        match self {
            Self::Shared => wrong,
            Self::KnownNetwork { retry_after } => Error::RateLimited { retry_after },
        }
    }
}

/// Counts one sign-in from the client. Call it before [`check_account`], so that a client that has exhausted its own
/// limit cannot exhaust those of the accounts it names.
pub async fn check_sign_in(ctx: &Context, request_ctx: RequestContext<'_>) -> Result<(), Error> {
    check_client(ctx, LimitedAction::SignInClient, request_ctx).await
}

/// Counts one sign-in to an account, or to a login that no account has: the response must not reveal which.
pub async fn check_account(
    ctx: &Context,
    user: Option<UserId>,
    login: Option<&LoginName>,
    request_ctx: RequestContext<'_>,
) -> Result<AttemptPermit, Error> {
    let subject = match (user, login) {
        (Some(user), _) => user.to_string(),
        // A digest, because an address is personal data.
        (None, Some(login)) => short_sha256(login.limit_subject().as_bytes(), 16),
        (None, None) => return Ok(AttemptPermit::Shared),
    };
    check_attempt_at(ctx, LimitedAction::SignInAccount, &subject, user, request_ctx).await
}

/// Counts one attempt at the current password of a user who is signed in. It has a counter of its own, which strangers
/// cannot exhaust because they have no token.
pub async fn check_reauthentication(
    ctx: &Context,
    user: UserId,
    request_ctx: RequestContext<'_>,
) -> Result<AttemptPermit, Error> {
    check_attempt_at(ctx, LimitedAction::ReauthenticationAccount, &user.to_string(), Some(user), request_ctx).await
}

/// Counts one attempt of the client at a code, a link or a second factor.
pub async fn check_attempt(ctx: &Context, request_ctx: RequestContext<'_>) -> Result<(), Error> {
    check_client(ctx, LimitedAction::CodeClient, request_ctx).await
}

/// Counts one attempt at a user's second factor. `subject`: from `crate::auth::one_time::mfa_subject`.
pub async fn check_mfa(
    ctx: &Context,
    user: &User,
    subject: &str,
    request_ctx: RequestContext<'_>,
) -> Result<AttemptPermit, Error> {
    check_attempt(ctx, request_ctx).await?;
    check_attempt_at(ctx, LimitedAction::CodeAccount, subject, Some(user.id), request_ctx).await
}

/// Decides on an attempt after the attempts of a subject's day are used up. `counter`: the one that is used up. Applies
/// also if rates are not limited, because the attempts of a day are not a rate.
pub(in crate::auth) async fn check_day(
    ctx: &Context,
    user: Option<UserId>,
    counter: DailyCounter,
    retry_after: Duration,
    client: Client,
) -> Result<AttemptPermit, Error> {
    let rate = Rate { burst: ctx.node.config.mailed.daily_tries, per: DAY };
    let counter = counter.name();
    if let Some(user) = user
        && take_of_network(ctx, user, &format!("tries:{counter}"), rate, client).await?
    {
        return Ok(AttemptPermit::KnownNetwork { retry_after });
    }
    let event = Event::limit_exceeded(DAILY_TRIES, user, retry_after, audit::Origin::client(client));
    audit::record(ctx, event.detail("counter", counter));
    Err(Error::RateLimited { retry_after })
}

/// Makes the client's network a known one of the user, who has just proved to be the owner without signing in. A
/// failure is logged and not returned, because the next sign-in makes the network known.
pub(in crate::auth) async fn remember_network(ctx: &Context, user: UserId, client: Client) {
    let network = client.rate_limit_ip.to_string();
    if let Err(error) = ctx.ephemeral.remember_network(user, &network, ctx.now()).await {
        tracing::warn!(%user, %error, "cannot remember the network of a user");
    }
}

/// Counts one revocation that every node must remember, of an access token or of a session that the store does not
/// know: against the account, and against the network where owners revoke their own. A superuser's client that revokes
/// the tokens of others serves many users from one network. `subject`: the token's `sub`.
pub(in crate::auth) async fn check_revocation(
    ctx: &Context,
    user: Option<UserId>,
    subject: &str,
    origin: &audit::Origin,
) -> Result<(), Error> {
    if origin.is_of(user)
        && let Some(network) = origin.network()
    {
        check_network(ctx, LimitedAction::RevokeClient, "", network, || origin.clone()).await?;
    }
    check(ctx, LimitedAction::RevokeAccount, subject, user, audit::Origin::process).await
}

/// Counts one action of a user who is authenticated.
pub async fn check_user(ctx: &Context, action: LimitedAction, user: UserId) -> Result<(), Error> {
    check(ctx, action, &user.to_string(), Some(user), audit::Origin::process).await
}

/// Counts one call that costs far more than its size: it reads or writes up to a hundred rows of an account, or draws
/// an image. Over HTTP/2 a client repeats a request in some twenty bytes. Counts against the network too, because
/// anyone can have many accounts.
pub(in crate::auth) async fn check_costly(
    ctx: &Context,
    user: UserId,
    request_ctx: RequestContext<'_>,
) -> Result<(), Error> {
    check_client(ctx, LimitedAction::CostlyClient, request_ctx).await?;
    check_user(ctx, LimitedAction::CostlyAccount, user).await
}

/// Counts one action of the client's network.
pub async fn check_client(ctx: &Context, action: LimitedAction, request_ctx: RequestContext<'_>) -> Result<(), Error> {
    check_network(ctx, action, "", request_ctx.rate_limit_ip, || audit::Origin::request(request_ctx)).await
}

/// Counts one action of a network. `prefix`: of the subject, for a counter of its own with the limit of the action.
async fn check_network(
    ctx: &Context,
    action: LimitedAction,
    prefix: &str,
    network: IpAddr,
    origin: impl FnOnce() -> audit::Origin,
) -> Result<(), Error> {
    match take_of_client(ctx, action, prefix, network).await? {
        None => Ok(()),
        Some(retry_after) => Err(exceeded(ctx, action, retry_after, None, origin())),
    }
}

/// Takes one permit of a network and one of its site, in one step of the store. An IPv4 address has no site to count. A
/// network over its own limit takes nothing from that of the site, so one /64 alone cannot exhaust it.
async fn take_of_client(
    ctx: &Context,
    action: LimitedAction,
    prefix: &str,
    network: IpAddr,
) -> Result<Option<Duration>, Error> {
    let limits = &ctx.node.config.limits;
    if network.is_ipv4() || !limits.enabled {
        return take(ctx, action, &format!("{prefix}{network}")).await;
    }
    let permit = RequesterPermit {
        key: &format!("{}:{prefix}{}/48", action.key(), site_of(network)),
        requester: &network.to_string(),
        by_requester: limit(limits[action]),
        total: limit(limits[action].of_site()),
    };
    let taken = ctx.ephemeral.take_requester_permit(permit, ctx.now()).await.map(|allowance| match allowance {
        RequesterAllowance::Allowed => Allowance::Allowed,
        RequesterAllowance::Limited { retry_after } | RequesterAllowance::TotalLimited { retry_after } => {
            Allowance::Limited { retry_after }
        }
    });
    wait_after(ctx, action, taken)
}

/// Takes from the counter that all clients share and, if it is exhausted, from the budget of a network that `user`
/// signed in from.
async fn check_attempt_at(
    ctx: &Context,
    action: LimitedAction,
    subject: &str,
    user: Option<UserId>,
    request_ctx: RequestContext<'_>,
) -> Result<AttemptPermit, Error> {
    let Some(retry_after) = take(ctx, action, subject).await? else { return Ok(AttemptPermit::Shared) };
    if let Some(user) = user
        && take_of_network(ctx, user, action.key(), ctx.node.config.limits[action], request_ctx.client()).await?
    {
        return Ok(AttemptPermit::KnownNetwork { retry_after });
    }
    Err(exceeded(ctx, action, retry_after, user, audit::Origin::request(request_ctx)))
}

async fn take_of_network(ctx: &Context, user: UserId, name: &str, rate: Rate, client: Client) -> Result<bool, Error> {
    let network = client.rate_limit_ip.to_string();
    let permit = NetworkPermit { user, network: &network, name, limit: limit(rate) };
    Ok(ctx.ephemeral.take_network_permit(permit, ctx.now()).await?)
}

async fn check(
    ctx: &Context,
    action: LimitedAction,
    subject: &str,
    user: Option<UserId>,
    origin: impl FnOnce() -> audit::Origin,
) -> Result<(), Error> {
    match take(ctx, action, subject).await? {
        None => Ok(()),
        Some(retry_after) => Err(exceeded(ctx, action, retry_after, user, origin())),
    }
}

/// Takes one permit. Returns the time until the next one if there is none.
async fn take(ctx: &Context, action: LimitedAction, subject: &str) -> Result<Option<Duration>, Error> {
    let limits = &ctx.node.config.limits;
    if !limits.enabled {
        return Ok(None);
    }
    let key = format!("{}:{subject}", action.key());
    wait_after(ctx, action, ctx.ephemeral.take_permit(&key, limit(limits[action]), ctx.now()).await)
}

/// The time until the next permit by the store's decision. `None`: the action is allowed, or the store failed and the
/// limit is skipped then.
fn wait_after(
    ctx: &Context,
    action: LimitedAction,
    taken: store::Result<Allowance>,
) -> Result<Option<Duration>, Error> {
    match taken {
        Ok(allowance) => {
            IS_SKIPPING.store(false, Ordering::Relaxed);
            Ok(match allowance {
                Allowance::Allowed => None,
                Allowance::Limited { retry_after } => Some(retry_after),
            })
        }
        Err(error) => match action.on_failure() {
            OnFailure::Refuse => Err(error.into()),
            OnFailure::Skip => {
                skip(ctx, action);
                Ok(None)
            }
        },
    }
}

/// Counts a limit that is not applied because the store fails, and logs the first of an outage.
fn skip(ctx: &Context, action: LimitedAction) {
    ctx.node.metrics.count(Counter::RateLimitsSkipped);
    if !IS_SKIPPING.swap(true, Ordering::Relaxed) {
        tracing::warn!(limit = action.setting(), "the store is unavailable; limits that protect no secret are skipped");
    }
}

fn limit(Rate { burst, per }: Rate) -> Limit {
    Limit { burst, per }
}

/// Records that a limit is exceeded, and returns the error.
fn exceeded(
    ctx: &Context,
    action: LimitedAction,
    retry_after: Duration,
    user: Option<UserId>,
    origin: audit::Origin,
) -> Error {
    let event = Event::limit_exceeded(action.setting(), user, retry_after, origin);
    audit::record(ctx, event.reason(action.message()));
    Error::RateLimited { retry_after }
}
