//! Building a verifier and starting the tasks behind it.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use url::Url;

use super::ask::{self, Asker};
use super::endpoints::metadata_url;
use super::error::BuildError;
use super::feed::Follower;
use super::http::{Client, is_allowed};
use super::key_source::KeySource;
use super::report::Reporter;
use super::state::State;
use super::{Inner, StalePolicy, Verifier};
use crate::cache::TokenCache;
use crate::verified::{Expectations, Subject};

/// The number of tokens in the cache, unless another is set: about 20 MB.
const DEFAULT_CACHE: usize = 10_000;

/// The staleness from which the policy applies, unless another is set.
const DEFAULT_MAX_STALENESS: Duration = Duration::from_secs(10);

/// The settings of a verifier. [`Verifier::builder`] makes one.
#[derive(Clone, Debug)]
#[must_use]
pub struct VerifierBuilder {
    expectations: Expectations,
    subject: Option<Subject>,
    policy: StalePolicy,
    max_staleness: Duration,
    cache: usize,
    is_cached: bool,
    reporter: Option<Result<Reporter, BuildError>>,
}

/// Tasks that end with the last verifier that needs them.
pub(super) struct Tasks(Vec<JoinHandle<()>>);

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

impl VerifierBuilder {
    pub(super) fn new(issuer: &str) -> Self {
        let mut expectations = Expectations::new(issuer, "");
        expectations.audiences.clear();
        let (policy, max_staleness) = (StalePolicy::default(), DEFAULT_MAX_STALENESS);
        let (cache, is_cached) = (DEFAULT_CACHE, false);
        Self { expectations, subject: None, policy, max_staleness, cache, is_cached, reporter: None }
    }

    /// Accepts tokens for this audience: the name of this service. At least one is needed.
    pub fn audience(mut self, audience: &str) -> Self {
        self.expectations.audiences.push(audience.into());
        self
    }

    /// Accepts only tokens that were issued to users who signed in, or only those of programs. By default both are
    /// accepted: set it to [`Subject::User`] where a program with somebody's API key must not act as that person.
    pub fn subject(mut self, subject: Subject) -> Self {
        self.subject = Some(subject);
        self
    }

    /// Sets the treatment of tokens when revocations may have been missed. By default they are refused.
    pub fn policy(mut self, policy: StalePolicy) -> Self {
        self.policy = policy;
        self
    }

    /// For how long revocations may have been missed before the policy applies: ten seconds by default.
    pub fn max_staleness(mut self, limit: Duration) -> Self {
        self.max_staleness = limit;
        self
    }

    /// The tolerated clock difference for `exp` and `nbf`: five seconds by default.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.expectations.leeway = leeway;
        self
    }

    /// The number of verified tokens that are kept: 10,000 by default, for about 20 MB. With 0 each use of a token
    /// costs a signature.
    pub fn cache(mut self, tokens: usize) -> Self {
        self.cache = tokens;
        self
    }

    /// Reads the feed as documents that a cache in front of the server can answer, once a second, instead of by long
    /// polls: for many followers behind one cache. A revocation then takes up to three seconds to arrive.
    pub fn through_cache(mut self) -> Self {
        self.is_cached = true;
        self
    }

    /// Reports to the issuer once a minute what was read of the feed, under this name, so that its operator sees which
    /// followers lag. The API key must have the scope `feed:report`. Each process needs a name of its own, of letters,
    /// digits and `-_.:/@`: that of the host and the number of the process, for example.
    pub fn report_as(mut self, name: &str, api_key: &str) -> Self {
        self.reporter = Some(Reporter::new(name, api_key));
        self
    }

    /// Starts the verifier on the current tokio runtime, and returns at once: [`Verifier::ready`] waits until it can
    /// verify tokens.
    pub fn start(self) -> Result<Verifier, BuildError> {
        let issuer = &*self.expectations.issuer;
        let url = Url::parse(issuer).map_err(|_| BuildError::InvalidIssuer)?;
        if !is_allowed(&url) || url.query().is_some() || url.fragment().is_some() {
            return Err(BuildError::InvalidIssuer);
        }
        if self.expectations.audiences.is_empty() {
            return Err(BuildError::NoAudience);
        }
        let reporter = self.reporter.transpose()?;
        let runtime = Handle::try_current().map_err(|_| BuildError::NoRuntime)?;
        let mut secret = [0; 16];
        aws_lc_rs::rand::fill(&mut secret).map_err(|_| BuildError::NoRandomness)?;
        let secret = u128::from_le_bytes(secret);
        let cache = TokenCache::new(self.cache, [secret as u64, (secret >> 64) as u64]);

        let client = Client::new()?;
        let state = Arc::new(State::new(issuer));
        let keys = Arc::new(KeySource::new(client.clone(), state.clone()));
        let follower = Follower::new(client.clone(), state.clone(), keys.clone(), metadata_url(&url), self.is_cached);
        let (asker, asking) = Asker::new(client.clone(), state.clone(), ask::DEADLINE);
        let mut tasks = vec![runtime.spawn(follower.run())];
        let key_task = keys.clone();
        tasks.push(runtime.spawn(async move { key_task.run().await }));
        if self.policy == StalePolicy::Ask {
            tasks.push(runtime.spawn(asking));
        }
        if let Some(reporter) = reporter {
            tasks.push(runtime.spawn(reporter.run(client, state.clone())));
        }
        let inner = Inner {
            expectations: self.expectations,
            subject: self.subject,
            policy: self.policy,
            max_staleness: self.max_staleness,
            cache,
            state,
            keys,
            asker,
            _tasks: Tasks(tasks),
        };
        Ok(Verifier { inner: Arc::new(inner) })
    }
}
