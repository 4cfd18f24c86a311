//! A verifier that finds the keys of an issuer and follows its revocation feed.
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use signet_verify::follow::{StalePolicy, Verifier};
//!
//! let verifier = Verifier::builder("https://id.example.org")
//!     .audience("reports")
//!     .policy(StalePolicy::Refuse)
//!     .start()?;
//! let token = verifier.verify("eyJhbGciOiJFZERTQSJ9…").await?;
//! println!("{} may {}", token.subject(), token.scopes().as_str());
//! # Ok(())
//! # }
//! ```
//!
//! The tasks behind a verifier read the metadata (RFC 8414), the keys and the feed, and repeat what fails with
//! increasing, random pauses. A verification reads memory. It waits for the network in two cases only: if a token names
//! a key that is not known yet, and, with [`StalePolicy::Ask`], while the feed is stale.

mod ask;
mod backoff;
mod builder;
mod endpoints;
mod error;
mod feed;
mod gzip;
mod http;
mod key_source;
#[cfg(feature = "metrics")]
mod metrics;
mod report;
mod state;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

pub use builder::VerifierBuilder;
pub use error::{BuildError, FollowError, VerifyError};

use crate::cache::TokenCache;
use crate::error::TokenError;
use crate::time::UnixTime;
use crate::verified::{Expectations, Subject, VerifiedToken};
use ask::Asker;
use key_source::{AFTER_TOKEN, KeySource};
use state::State;

/// The longest wait of a verification for keys that are being read.
const KEYS_DEADLINE: Duration = Duration::from_secs(2);

/// The treatment of tokens when revocations may have been missed for longer than the limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StalePolicy {
    /// Tokens are still accepted from signature, claims and the known revocations.
    Allow,
    /// All tokens are refused until the feed is reachable again.
    #[default]
    Refuse,
    /// The server is asked about each token (`POST /verify/batch`); if that fails, the token is refused.
    Ask,
}

/// Verifies the tokens of an issuer. Cheap to clone; the tasks behind it end with the last clone.
#[derive(Clone)]
pub struct Verifier {
    inner: Arc<Inner>,
}

struct Inner {
    expectations: Expectations,
    subject: Option<Subject>,
    policy: StalePolicy,
    max_staleness: Duration,
    cache: TokenCache<VerifiedToken>,
    state: Arc<State>,
    keys: Arc<KeySource>,
    asker: Asker,
    _tasks: builder::Tasks,
}

impl Verifier {
    /// Begins to build a verifier for the tokens of `issuer`: the URL in their `iss`.
    pub fn builder(issuer: &str) -> VerifierBuilder {
        VerifierBuilder::new(issuer)
    }

    /// Verifies a token. Waits for the network only if the token names an unknown key, or the feed is stale and the
    /// policy is [`StalePolicy::Ask`]. If the keys cannot be read, a token that names an unknown key is refused as
    /// [`VerifyError::Unavailable`].
    pub async fn verify(&self, token: &str) -> Result<Arc<VerifiedToken>, VerifyError> {
        let result = match self.check(token) {
            Err(VerifyError::Token(TokenError::UnknownKey)) => self.check_after_reading(token).await,
            result => result,
        };
        self.settle(token, result).await
    }

    /// Verifies a token without waiting. With [`StalePolicy::Ask`] a token is refused as stale while the feed is. If a
    /// token names an unknown key and the keys were not read within the last five seconds, they are read in the
    /// background, and the token is refused as [`VerifyError::Unavailable`].
    pub fn verify_now(&self, token: &str) -> Result<Arc<VerifiedToken>, VerifyError> {
        let result = match self.check(token) {
            Ok((_, true)) => Err(VerifyError::Stale),
            Ok((verified, false)) => Ok(verified),
            Err(VerifyError::Token(TokenError::UnknownKey)) => Err(self.refuse_unknown_key_now()),
            Err(error) => Err(error),
        };
        self.count(&result);
        result
    }

    /// The result of [`verify`](Self::verify), if that needs no network. Otherwise `None`, and nothing is counted.
    #[cfg(feature = "tower")]
    pub(crate) fn verify_from_memory(&self, token: &str) -> Option<Result<Arc<VerifiedToken>, VerifyError>> {
        let result = match self.check(token) {
            Ok((_, true)) | Err(VerifyError::Token(TokenError::UnknownKey)) => return None,
            Ok((verified, false)) => Ok(verified),
            Err(error) => Err(error),
        };
        self.count(&result);
        Some(result)
    }

    /// Verifies a token again after the keys have been read, unless that was done less than [`AFTER_TOKEN`] ago. A key
    /// that could not be looked for may exist, and its token be valid.
    async fn check_after_reading(&self, token: &str) -> Result<(Arc<VerifiedToken>, bool), VerifyError> {
        match tokio::time::timeout(KEYS_DEADLINE, self.inner.keys.read(AFTER_TOKEN)).await {
            Ok(Ok(())) => match self.check(token) {
                // The last reading failed, and it is too early for another one.
                Err(VerifyError::Token(TokenError::UnknownKey)) if self.inner.state.keys_age().is_none() => {
                    Err(VerifyError::Unavailable)
                }
                result => result,
            },
            Ok(Err(error)) => {
                self.inner.state.record_error(error);
                Err(VerifyError::Unavailable)
            }
            Err(_) => Err(VerifyError::Unavailable),
        }
    }

    /// Has the keys read in the background, and returns why a token with an unknown key is refused meanwhile.
    fn refuse_unknown_key_now(&self) -> VerifyError {
        let state = &*self.inner.state;
        let is_current = state.keys_age().is_some_and(|age| age < AFTER_TOKEN);
        state.keys_wanted_by_token.store(true, Ordering::Relaxed);
        state.keys_wanted.notify_one();
        if is_current { TokenError::UnknownKey.into() } else { VerifyError::Unavailable }
    }

    /// Asks the server about a token that is valid but for revocations that may have been missed.
    async fn settle(
        &self,
        token: &str,
        result: Result<(Arc<VerifiedToken>, bool), VerifyError>,
    ) -> Result<Arc<VerifiedToken>, VerifyError> {
        let result = match result {
            Ok((verified, true)) => self.inner.asker.ask(token).await.map(|()| verified),
            Ok((verified, false)) => Ok(verified),
            Err(error) => Err(error),
        };
        self.count(&result);
        result
    }

    /// Verifies a token from memory. The result's second part is true if the server must be asked too.
    fn check(&self, token: &str) -> Result<(Arc<VerifiedToken>, bool), VerifyError> {
        let inner = &*self.inner;
        let now = UnixTime::now();
        let keys = inner.state.keys.load();
        // A key may have been revoked or replaced since the token was cached.
        let cached = inner.cache.get(token).filter(|verified| keys.contains(verified.key()));
        let verified = match cached {
            Some(verified) => {
                verified.validity().check(now, inner.expectations.leeway)?;
                verified
            }
            None if keys.keys().is_empty() => return Err(VerifyError::Unavailable),
            None => {
                let verified = Arc::new(inner.expectations.verify(token, keys.keys(), now)?);
                inner.cache.insert(token, &verified, now);
                verified
            }
        };
        if inner.subject.is_some_and(|subject| subject != verified.subject_kind()) {
            return Err(VerifyError::WrongSubject);
        }
        // Before the revocations are looked at: a frame that arrives in between would make the state look fresh.
        let is_fresh = inner.state.freshness.is_fresh(inner.state.monotonic(), now, inner.max_staleness);
        if inner.state.revocations.is_revoked(verified.ids()) {
            return Err(VerifyError::Revoked);
        }
        if is_fresh {
            return Ok((verified, false));
        }
        match inner.policy {
            StalePolicy::Allow => Ok((verified, false)),
            StalePolicy::Refuse => Err(VerifyError::Stale),
            StalePolicy::Ask => Ok((verified, true)),
        }
    }

    /// Waits until the keys and the revocations have been read for the first time. It may never end: use a timeout.
    pub async fn ready(&self) {
        let mut ready = self.inner.state.ready.subscribe();
        // The sender lives as long as this verifier.
        let _ = ready.wait_for(|ready| *ready).await;
    }

    /// For how long revocations may have been missed; `None` if the feed has never been read.
    pub fn staleness(&self) -> Option<Duration> {
        self.inner.state.staleness()
    }

    /// The number of revocations in memory.
    pub fn revocations(&self) -> usize {
        self.inner.state.revocations.len()
    }

    /// Why the feed cannot be followed at the moment.
    pub fn last_error(&self) -> Option<FollowError> {
        self.inner.state.last_error()
    }

    /// The issuer.
    pub fn issuer(&self) -> &str {
        &self.inner.expectations.issuer
    }

    #[cfg(feature = "metrics")]
    fn count<T>(&self, result: &Result<T, VerifyError>) {
        self.inner.state.metrics.verified(result);
    }

    #[cfg(not(feature = "metrics"))]
    fn count<T>(&self, _result: &Result<T, VerifyError>) {}
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier").field("expectations", &self.inner.expectations).finish_non_exhaustive()
    }
}
