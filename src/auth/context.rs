//! The state that every operation is given: a [`Context`] per worker, and the [`Node`] that all workers of a process
//! share.
//!
//! Holds state and does nothing with it. Knows nothing of HTTP, nor of which stores are in use.

use std::sync::Arc;

use crate::auth::audit::recorder::Recorder;
use crate::auth::passwords::Hasher;
use crate::auth::retention::Retention;
use crate::auth::revocation::publication::Publication;
use crate::auth::revocation::recent_ends::RecentEnds;
use crate::auth::revocation::set::RevocationSet;
use crate::auth::tokens::verify::api_key_cache::ApiKeyCache;
use crate::auth::tokens::verify::cache::VerifyCache;
use crate::clock::{Clock, Timestamp};
use crate::config::{Config, WhenStale};
use crate::mail::Mailer;
use crate::rng::Rng;
use crate::store::{Accounts, Ephemeral};
use crate::telemetry::{Metrics, Readiness};
use crate::token::access::Issuer;
use crate::token::keyring::Keyring;
use crate::token::secret::Secrets;

/// One worker's handle: the shared node, and store handles whose connections live on the worker's own runtime.
///
/// Every request clones it. A clone raises a single reference count, which no other worker uses, so cores do not
/// contend for it.
#[derive(Clone)]
pub struct Context(Arc<Inner>);

/// The fields of a [`Context`].
pub struct Inner {
    /// The state that all workers share.
    pub node: Arc<Node>,
    /// The durable store: users, projects, API keys.
    pub accounts: Arc<dyn Accounts>,
    /// The store of short-lived state: sessions, codes, limits, revocations.
    pub ephemeral: Arc<dyn Ephemeral>,
}

/// The state that all workers of one process share.
pub struct Node {
    /// A name that no other process has, for logs and warnings.
    pub name: String,
    /// The settings.
    pub config: Config,
    /// The clock.
    pub clock: Clock,
    /// The source of random bytes.
    pub rng: Rng,
    /// Seals records, and authenticates refresh tokens.
    pub secrets: Secrets,
    /// The signing keys.
    pub keyring: Keyring,
    /// Retention times of revocations, for these settings.
    pub retention: Retention,
    /// Issues and checks access tokens.
    pub issuer: Issuer,
    /// The revocations that this node has applied.
    pub revocations: RevocationSet,
    /// The ends of sessions that this node has stored in the last minute.
    pub recent_ends: RecentEnds,
    /// The feed of revocations that this node publishes to services which verify tokens themselves.
    pub publication: Publication,
    /// Access tokens that were verified before.
    pub verify_cache: VerifyCache,
    /// API keys that were verified before.
    pub api_key_cache: ApiKeyCache,
    /// The threads that hash passwords.
    pub hasher: Hasher,
    /// Queues security events.
    pub audit: Recorder,
    /// Queues mails.
    pub mailer: Mailer,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// Conditions under which a load balancer may send requests to this node.
    pub readiness: Readiness,
}

impl std::ops::Deref for Context {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Context {
    /// A worker's handle.
    pub fn new(node: Arc<Node>, accounts: Arc<dyn Accounts>, ephemeral: Arc<dyn Ephemeral>) -> Self {
        Self(Arc::new(Inner { node, accounts, ephemeral }))
    }

    /// The current time.
    pub fn now(&self) -> Timestamp {
        self.node.clock.now()
    }
}

impl Node {
    /// The timestamp for a session or token issued now, which no applied global sign-out covers: see
    /// [`Retention::issue_time`].
    pub fn issue_time(&self, now: Timestamp) -> Timestamp {
        self.retention.issue_time(now, self.revocations.global_not_before())
    }

    /// Returns true if this node is stale, so that it may have missed revocations, and is configured to refuse
    /// credentials then.
    pub fn must_refuse_as_stale(&self) -> bool {
        let settings = &self.config.revocation;
        settings.when_stale == WhenStale::Refuse
            && self.revocations.staleness(self.clock.monotonic()) > settings.stale_after
    }
}
