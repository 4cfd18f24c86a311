//! Verifying a credential: an access token from the keys alone, or an API key.
//!
//! The hot path. Budget of an access token seen before: one look-up in the cache, one in the keys, one load of the floor and,
//! while anything is revoked, up to four look-ups in memory; no allocation, no lock across an await, no round trip. Of one
//! never seen: one Ed25519 verification and the parsing of its claims besides. A token that was found good is
//! remembered whole, text for text, and on each hit its time, its key and its revocation are asked for again, so the cache never
//! answers better than the check would.

mod cache;

use std::borrow::Cow;
use std::sync::Arc;

use moka::sync::Cache;

use crate::auth::api_keys::KnownKey;
use crate::auth::context::{Context, Node};
use crate::config;
use crate::rng::Rng;
use crate::telemetry::metrics::Lookup;

pub use crate::token::access::{TokenError, Verified};

/// Tokens that were checked before.
pub struct VerifyCache {
    good: cache::Good,
    forged: Cache<Box<str>, ()>,
}

/// Tokens longer than ours usually are are not remembered: forged ones are whatever size their maker likes, and good ones of an API key as
/// large as the scopes that its owner gave it.
const LONGEST: usize = 2048;

/// Why a credential is not good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The token is not good in itself.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// It was good, and has been revoked.
    #[error("revoked")]
    Revoked,
    /// Good, but not for an audience that was demanded.
    #[error("not for this audience")]
    OtherAudience,
    /// Good, but without a scope that was demanded.
    #[error("insufficient scope")]
    InsufficientScope,
    /// Not an API key of ours, or no longer one.
    #[error("unknown API key")]
    UnknownKey,
    /// An API key whose time is over.
    #[error("expired API key")]
    ExpiredKey,
    /// Nothing can be said: this node may be behind with revocations, and is set not to answer then.
    #[error("revocations may be out of date")]
    Behind,
}

/// A credential that is good.
#[derive(Clone)]
pub enum Credential {
    /// An access token.
    Token(Arc<Verified>),
    /// An API key.
    ApiKey(Arc<KnownKey>),
}

/// What a caller demands of a credential beside being good.
#[derive(Clone, Copy, Debug, Default)]
pub struct Demand<'a> {
    /// An audience that the token must be meant for.
    pub audience: Option<&'a str>,
    /// Scopes, separated by spaces, each of which it must have.
    pub scope: Option<&'a str>,
}

impl VerifyCache {
    /// Empty caches of the sizes that the settings name.
    pub fn new(settings: &config::Verify, rng: &Rng) -> Self {
        Self { good: cache::Good::new(settings.cache, rng), forged: Cache::new(settings.negative_cache) }
    }
}

/// Whether this node may be behind with revocations and is set not to answer then.
pub(in crate::auth) fn is_stale(node: &Node) -> bool {
    let settings = &node.config.revocation;
    settings.when_stale == config::WhenStale::Refuse
        && node.revocations.staleness(node.clock.running()) > settings.stale_after
}

/// Verifies an access token.
pub fn verify_access_token(ctx: &Context, token: &str) -> Result<Arc<Verified>, VerifyError> {
    let node = &ctx.node;
    let now = ctx.now();
    if is_stale(node) {
        return Err(VerifyError::Behind);
    }
    let keys = node.keyring.keys();
    let verified = match node.verify_cache.good.get(token) {
        Some(verified) => {
            node.metrics.looked_up(Lookup::Hit);
            verified.check_time(now, node.issuer.leeway())?;
            match keys.by_kid(&verified.key.kid) {
                None => return Err(TokenError::UnknownKey.into()),
                Some(key) if key.revoked => return Err(TokenError::RevokedKey.into()),
                Some(_) => verified,
            }
        }
        None if node.verify_cache.forged.contains_key(token) => {
            node.metrics.looked_up(Lookup::KnownBad);
            return Err(TokenError::BadSignature.into());
        }
        None => match node.issuer.check(token, &keys, now) {
            Ok(verified) => {
                node.metrics.looked_up(Lookup::Miss);
                let verified = Arc::new(verified);
                if token.len() <= LONGEST {
                    node.verify_cache.good.insert(token, &verified, now);
                }
                verified
            }
            Err(fault) => {
                // Only a bad signature stays bad whatever becomes of the ring and the time, and is dear to find again.
                if fault == TokenError::BadSignature && token.len() <= LONGEST {
                    node.verify_cache.forged.insert(token.into(), ());
                }
                return Err(fault.into());
            }
        },
    };
    // What is revoked is remembered for as long as tokens live by the settings of now: one from a time when they lived longer
    // must not outlast what revoked it.
    if verified.issued_at + node.revocation_ttl() <= now {
        return Err(TokenError::Expired.into());
    }
    if node.revocations.is_revoked(&verified) {
        return Err(VerifyError::Revoked);
    }
    Ok(verified)
}

/// Verifies a credential of either kind, and what is demanded of it. An API key that is not known yet costs a query.
pub async fn verify(ctx: &Context, credential: &str, demand: Demand<'_>) -> Result<Credential, crate::auth::Error> {
    let verified = if crate::auth::api_keys::looks_like_one(credential) {
        Credential::ApiKey(crate::auth::api_keys::known(ctx, credential).await?)
    } else {
        Credential::Token(verify_access_token(ctx, credential)?)
    };
    verified.check_demand(demand)?;
    Ok(verified)
}

/// Verifies credentials of either kind, and what is demanded of each. API keys that are not known yet cost one query together.
pub async fn verify_batch(
    ctx: &Context,
    credentials: &[Cow<'_, str>],
    demand: Demand<'_>,
) -> Result<Vec<Result<Credential, VerifyError>>, crate::auth::Error> {
    let api_keys: Vec<&str> =
        credentials.iter().map(|text| &**text).filter(|text| crate::auth::api_keys::looks_like_one(text)).collect();
    let mut known = crate::auth::api_keys::known_of_many(ctx, &api_keys).await?.into_iter();
    let mut verdicts = Vec::with_capacity(credentials.len());
    for (at, credential) in credentials.iter().enumerate() {
        // A worker has others to serve: a signature takes 13 µs, and there can be a thousand.
        if at % 16 == 15 {
            tokio::task::yield_now().await;
        }
        let credential = if crate::auth::api_keys::looks_like_one(credential) {
            known.next().unwrap_or(Err(VerifyError::UnknownKey)).map(Credential::ApiKey)
        } else {
            verify_access_token(ctx, credential).map(Credential::Token)
        };
        verdicts.push(credential.and_then(|credential| credential.check_demand(demand).map(|()| credential)));
    }
    Ok(verdicts)
}

impl Credential {
    /// Whether the credential meets what is demanded.
    pub fn check_demand(&self, demand: Demand<'_>) -> Result<(), VerifyError> {
        let (audience, scope) = match self {
            Self::Token(token) => (
                demand.audience.is_none_or(|audience| token.is_for(audience)),
                demand.scope.is_none_or(|scopes| token.allows(scopes)),
            ),
            // An API key is meant for whoever asks Signet about it.
            Self::ApiKey(key) => (true, demand.scope.is_none_or(|scopes| key.allows(scopes))),
        };
        match (audience, scope) {
            (false, _) => Err(VerifyError::OtherAudience),
            (_, false) => Err(VerifyError::InsufficientScope),
            (true, true) => Ok(()),
        }
    }
}
