//! What is handed down to every operation: a [`Node`], which all workers share, and an [`Context`], a worker's view of it with
//! connections of its own.
//!
//! Holds things and does nothing with them. Knows nothing of HTTP, nor of which stores it was given.

use std::sync::Arc;
use std::time::Duration;

use crate::auth::api_keys::{KnownKeys, REMEMBERED};
use crate::auth::passwords::{Hasher, Policy};
use crate::auth::revocation::set::RevocationSet;
use crate::auth::tokens::verify::VerifyCache;
use crate::clock::{Clock, MAX_CLOCK_SKEW, Timestamp};
use crate::config::Config;
use crate::mail::Mailer;
use crate::rng::Rng;
use crate::store::{Accounts, Ephemeral};
use crate::telemetry::{Metrics, Readiness};
use crate::token::access::Issuer;
use crate::token::keyring::Keyring;
use crate::token::keyring::ring::KeyLifetimes;
use crate::token::secret::Secrets;

/// A worker's view of the node, to be handed to each request: one count up and down, which no other worker shares.
#[derive(Clone)]
pub struct Context(Arc<View>);

/// The node, and stores whose connections live on the worker's own runtime.
pub struct View {
    /// What all workers share.
    pub node: Arc<Node>,
    /// The store of what lasts.
    pub accounts: Arc<dyn Accounts>,
    /// The store of what expires.
    pub ephemeral: Arc<dyn Ephemeral>,
}

/// What the workers of one process share.
pub struct Node {
    /// The settings.
    pub config: Config,
    /// The time.
    pub clock: Clock,
    /// Randomness.
    pub rng: Rng,
    /// What seals and proves.
    pub secrets: Secrets,
    /// The signing keys.
    pub keyring: Keyring,
    /// For how long an access token can be good after it was made: known, since every verification asks.
    pub max_access_lifetime: Duration,
    /// What every access token says, and is checked for.
    pub issuer: Issuer,
    /// What is no longer believed.
    pub revocations: RevocationSet,
    /// Tokens that were checked before.
    pub verify_cache: VerifyCache,
    /// API keys that were looked up before.
    pub known_keys: KnownKeys,
    /// The threads that hash passwords.
    pub hasher: Hasher,
    /// Which passwords are accepted.
    pub password_policy: Policy,
    /// The way to the mail room.
    pub mailer: Mailer,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Whether this node should be sent requests.
    pub readiness: Readiness,
}

impl std::ops::Deref for Context {
    type Target = View;
    fn deref(&self) -> &View {
        &self.0
    }
}

impl Context {
    /// A view.
    pub fn new(node: Arc<Node>, accounts: Arc<dyn Accounts>, ephemeral: Arc<dyn Ephemeral>) -> Self {
        Self(Arc::new(View { node, accounts, ephemeral }))
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.node.clock.now()
    }
}

impl Node {
    /// How long a revocation must be remembered: as long as any access token lives that a node may still make of an API key it
    /// remembers, by the clocks of three nodes: whose token it is, who revokes it and who forgets that.
    pub fn revocation_ttl(&self) -> Duration {
        REMEMBERED + self.max_access_lifetime + 2 * self.max_clock_skew()
    }

    /// The moment to stamp on what is made now: the floor, where another node has raised it by a clock that is ahead of this one's by
    /// no more than clocks may differ, or it was raised before this clock was set back. What is stamped below the floor is dead when
    /// it is born.
    pub fn stamp(&self, now: Timestamp) -> Timestamp {
        let floor = self.revocations.global_not_before();
        if floor.since(now) <= self.max_not_before_lead() { now.max(floor) } else { now }
    }

    /// How far ahead of this clock the floor may be: it is raised beyond what any clock may say that is behind by so much.
    pub fn max_not_before_lead(&self) -> Duration {
        2 * self.max_clock_skew()
    }

    fn max_clock_skew(&self) -> Duration {
        MAX_CLOCK_SKEW.max(self.config.tokens.leeway)
    }

    /// How long it must be remembered that a user's sessions were ended for good: as long as one of them, had the store of what
    /// expires lost its end, could still be refreshed or its last access token be good, by the clocks of two nodes.
    pub fn durable_revocation_ttl(&self) -> Duration {
        let longest = self.config.api.all().map(|(_, dialect)| dialect.absolute).into_iter().max();
        longest.unwrap_or_default() + 2 * self.max_clock_skew()
    }

    /// How long signing keys live. A key verifies as long as anything that it signed may still come back.
    pub fn key_lifetimes(&self) -> KeyLifetimes {
        Self::key_lifetimes_of(&self.config)
    }

    /// The same, before there is a node.
    pub fn key_lifetimes_of(config: &Config) -> KeyLifetimes {
        let keys = &config.keys;
        let mailed = &config.mailed;
        let longest_link = mailed.magic.max(mailed.reset).max(mailed.confirm);
        let retain = max_access_lifetime(config).max(longest_link) + keys.jwks_max_age;
        KeyLifetimes { sign: keys.rotate_every, announce: keys.announce, retain }
    }
}

/// How long an access token can be good after it was made.
pub fn max_access_lifetime(config: &Config) -> Duration {
    let longest = config.api.all().map(|(_, dialect)| dialect.access).into_iter().max();
    longest.unwrap_or_default() + config.tokens.leeway
}
