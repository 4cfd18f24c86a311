//! Verifying a credential: an access token from the keys alone, or an API key.
//!
//! The hot path. Budget of an access token in the cache: one lookup in the cache, one in the keys, one load of
//! `global_not_before` and, while anything is revoked, up to four lookups in memory; no allocation, no lock across an
//! await, no round trip. Of a token that is not in the cache: one Ed25519 verification and the parsing of its claims
//! besides. A valid token is cached whole, by its exact text. Each hit checks its time, its key and its revocation
//! again, so the cache never accepts a token that the full check would refuse.

pub mod api_key;
pub mod api_key_cache;
pub mod cache;

use std::collections::HashMap;
use std::sync::Arc;

use crate::auth::Error;
use crate::auth::context::Context;
use crate::telemetry::metrics::Counter;
use crate::token::access::MAX_LENGTH;
use crate::token::api_key::has_api_key_prefix;
use crate::token::cache::MAX_CACHED_LENGTH;
use crate::token::scopes::ScopeSet;

pub use crate::auth::error::VerifyError;
pub use crate::token::access::{TokenError, VerifiedToken};
pub use crate::token::scopes::{RequiredScopes, ScopesError};
pub use api_key::{flush_api_key_usage, verify_api_key};
pub use api_key_cache::VerifiedApiKey;

use api_key::verify_api_keys;

/// A valid credential.
#[derive(Clone)]
pub enum Credential {
    /// An access token.
    Token(Arc<VerifiedToken>),
    /// An API key.
    ApiKey(Arc<VerifiedApiKey>),
}

/// Requirements of a caller for a credential, besides being valid.
#[derive(Clone, Copy, Debug, Default)]
pub struct Requirements<'a> {
    /// An audience that the token must be issued for.
    pub audience: Option<&'a str>,
    /// Scopes, all of which it must have.
    pub scopes: Option<&'a RequiredScopes<'a>>,
    /// The kind of subject that it must have been issued to.
    pub subject: Option<Subject>,
}

/// The kind of subject that a credential was issued to. Its `sub` does not show it: that of an API key is the id of its
/// owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A user who signed in: the token belongs to a session.
    User,
    /// A program: the credential is an API key, or a token issued from one.
    Client,
}

/// Verifies an access token.
pub fn verify_access_token(ctx: &Context, token: &str) -> Result<Arc<VerifiedToken>, VerifyError> {
    let node = &ctx.node;
    let now = ctx.now();
    if node.must_refuse_as_stale() {
        return Err(VerifyError::Stale);
    }
    let keys = node.keyring.keys();
    let verified = match node.verify_cache.tokens.get(token) {
        Some(verified) => {
            node.metrics.count(Counter::VerifyHit);
            verified.check_time(now, node.issuer.leeway())?;
            match keys.by_kid(&verified.key.kid) {
                None => return Err(TokenError::UnknownKey.into()),
                Some(key) if key.revoked => return Err(TokenError::RevokedKey.into()),
                Some(_) => verified,
            }
        }
        // Longer tokens are not stored there, and looking one up would hash all of it.
        None if token.len() <= MAX_CACHED_LENGTH && node.verify_cache.negative.contains_key(token) => {
            node.metrics.count(Counter::VerifyKnownBad);
            return Err(TokenError::BadSignature.into());
        }
        None => match node.issuer.check(token, &keys, now) {
            Ok(verified) => {
                node.metrics.count(Counter::VerifyMiss);
                let verified = Arc::new(verified);
                node.verify_cache.tokens.insert(token, &verified, now);
                verified
            }
            Err(error) => {
                // Only a bad signature stays bad whatever becomes of the keyring and the time, and it is expensive to
                // detect. An attacker chooses the size of forged tokens.
                if error == TokenError::BadSignature && token.len() <= MAX_CACHED_LENGTH {
                    node.verify_cache.negative.insert(token.into(), ());
                }
                return Err(error.into());
            }
        },
    };
    // Revocations are kept for as long as tokens live by the current settings. A token that was issued under settings
    // with a longer lifetime must not outlast its revocation.
    if verified.issued_at + node.retention.revocation_ttl() <= now {
        return Err(TokenError::Expired.into());
    }
    if node.revocations.is_revoked(&verified) {
        return Err(VerifyError::Revoked);
    }
    Ok(verified)
}

/// Verifies a credential of either kind and checks the requirements. An API key that is not in the cache costs a query.
pub async fn verify(ctx: &Context, credential: &str, requirements: Requirements<'_>) -> Result<Credential, Error> {
    let verified = if has_api_key_prefix(credential) {
        // Boxed, because the future of every access token would carry the size of this one.
        Credential::ApiKey(Box::pin(verify_api_key(ctx, credential)).await?)
    } else {
        Credential::Token(verify_access_token(ctx, credential)?)
    };
    verified.check_requirements(requirements)?;
    Ok(verified)
}

/// After so many credentials of a batch, the worker serves other requests: a signature takes 13 µs, and up to
/// [`MAX_LENGTH`] bytes of each credential are hashed.
const YIELD_AFTER: usize = 16;

/// The results of a batch. A credential that occurs in it more than once has one result, unless it is longer than
/// [`MAX_LENGTH`].
pub struct BatchResults {
    distinct: Vec<Result<Credential, VerifyError>>,
    order: Vec<usize>,
}

impl BatchResults {
    /// The results of the different credentials.
    pub fn distinct(&self) -> &[Result<Credential, VerifyError>] {
        &self.distinct
    }

    /// For each credential of the batch the position of its result in [`distinct`](Self::distinct).
    pub fn order(&self) -> &[usize] {
        &self.order
    }

    /// The results in the order of the batch.
    pub fn iter(&self) -> impl Iterator<Item = &Result<Credential, VerifyError>> {
        self.order.iter().map(|at| &self.distinct[*at])
    }
}

/// The different credentials of a batch.
#[derive(Default)]
struct Distinct<'c> {
    positions: HashMap<&'c str, usize>,
    credentials: Vec<&'c str>,
    /// For each credential of the batch its position in `credentials`.
    order: Vec<usize>,
}

impl<'c> Distinct<'c> {
    /// A credential that is too long to be valid is not hashed, so each occurrence counts as a different one.
    fn add(&mut self, credential: &'c str) {
        let next = self.credentials.len();
        let is_too_long = credential.len() > MAX_LENGTH;
        let position = if is_too_long { next } else { *self.positions.entry(credential).or_insert(next) };
        if position == next {
            self.credentials.push(credential);
        }
        self.order.push(position);
    }
}

/// Verifies credentials of either kind and checks the requirements of each. Each different credential is verified once,
/// and API keys that are not in the cache cost one query together. Yields to other requests of this worker.
///
/// # Errors
/// [`Error::Stale`] for the whole batch where [`verify`] would return it for one of the credentials.
pub async fn verify_batch(
    ctx: &Context,
    credentials: &[impl AsRef<str>],
    requirements: Requirements<'_>,
) -> Result<BatchResults, Error> {
    let mut batch = Distinct::default();
    // Growing the map later would hash all credentials in it again.
    batch.positions.reserve(credentials.len());
    for (at, credential) in credentials.iter().map(AsRef::as_ref).enumerate() {
        if at % YIELD_AFTER == YIELD_AFTER - 1 {
            tokio::task::yield_now().await;
        }
        batch.add(credential);
    }
    let Distinct { credentials: different, order, .. } = batch;
    let api_keys: Vec<&str> = different.iter().copied().filter(|text| has_api_key_prefix(text)).collect();
    let mut api_keys = verify_api_keys(ctx, &api_keys).await?.into_iter();
    let mut distinct = Vec::with_capacity(different.len());
    for (at, credential) in different.into_iter().enumerate() {
        if at % YIELD_AFTER == YIELD_AFTER - 1 {
            tokio::task::yield_now().await;
        }
        let credential = if has_api_key_prefix(credential) {
            api_keys.next().unwrap_or(Err(VerifyError::UnknownKey)).map(Credential::ApiKey)
        } else {
            verify_access_token(ctx, credential).map(Credential::Token)
        };
        let result = credential.and_then(|credential| credential.check_requirements(requirements).map(|()| credential));
        if let Err(VerifyError::Stale) = result {
            return Err(Error::Stale);
        }
        distinct.push(result);
    }
    Ok(BatchResults { distinct, order })
}

impl Credential {
    /// The kind of subject. `None` for a token with neither a session nor an API key: Signet issues none, but another
    /// issuer whose key was imported may.
    fn subject(&self) -> Option<Subject> {
        match self {
            Self::Token(token) if token.api_key.is_some() => Some(Subject::Client),
            Self::Token(token) => token.session.map(|_| Subject::User),
            Self::ApiKey(_) => Some(Subject::Client),
        }
    }

    /// The scopes that it has.
    pub fn scopes(&self) -> &ScopeSet {
        match self {
            Self::Token(token) => &token.scopes,
            Self::ApiKey(key) => &key.scopes,
        }
    }

    /// Checks the requirements.
    pub fn check_requirements(&self, requirements: Requirements<'_>) -> Result<(), VerifyError> {
        let (audience, scope) = match self {
            Self::Token(token) => (
                requirements.audience.is_none_or(|audience| token.is_for(audience)),
                requirements.scopes.is_none_or(|required| token.scopes.contains_all(required)),
            ),
            // API keys are not issued for an audience.
            Self::ApiKey(key) => (true, requirements.scopes.is_none_or(|required| key.scopes.contains_all(required))),
        };
        let subject = requirements.subject.is_none_or(|subject| self.subject() == Some(subject));
        match (audience, subject, scope) {
            (false, _, _) => Err(VerifyError::OtherAudience),
            (_, false, _) => Err(VerifyError::OtherSubject),
            (_, _, false) => Err(VerifyError::InsufficientScope),
            (true, true, true) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlong_credentials_are_not_hashed() {
        let (longest, overlong) = ("a".repeat(MAX_LENGTH), "a".repeat(MAX_LENGTH + 1));
        let batch = [&*longest, &overlong, "b", &overlong, &longest, "b"];
        let mut distinct = Distinct::default();
        batch.into_iter().for_each(|credential| distinct.add(credential));
        assert_eq!(distinct.order, [0, 1, 2, 3, 0, 2]);
        assert_eq!(distinct.credentials, batch[..4]);
        assert!(distinct.positions.keys().all(|hashed| hashed.len() <= MAX_LENGTH));
    }
}
