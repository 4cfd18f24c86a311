//! Clock skew and retention: how far the clocks of two nodes may differ, and how long revocations and signing keys are
//! kept because of it. All of that arithmetic is here.
//!
//! One clock-skew limit serves every calculation: the larger of [`MAX_CLOCK_SKEW`] and `tokens.leeway`. A token is
//! issued by one node, revoked by another and checked by a third, so a revocation is kept for two skews beyond the
//! lifetime of what it revokes. Knows nothing of stores or requests.

use std::time::Duration;

use crate::clock::{MAX_CLOCK_SKEW, Timestamp};
use crate::config::{Config, SigningAlgorithm};
use crate::token::keyring::ring::KeyPolicy;

/// Time after which a node reads the row of a cached API key again.
pub const API_KEY_CACHE_TTL: Duration = Duration::from_secs(60);

/// Overlap of each reading of durable revocations with the one before it: a node's clock may be a minute behind,
/// and a row that a transaction wrote is not visible before it commits. Applying a row twice changes nothing.
pub(in crate::auth) const DURABLE_OVERLAP: Duration = Duration::from_secs(120);

/// The smallest difference between two moments.
pub(in crate::auth) const MILLISECOND: Duration = Duration::from_millis(1);

/// The durations that follow from the settings. Computed once: every verification needs one of them.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    revocation_ttl: Duration,
    durable_revocation_ttl: Duration,
    max_not_before_lead: Duration,
}

impl Retention {
    /// Computes the durations for these settings.
    pub fn new(config: &Config) -> Self {
        let two_skews = 2 * clock_skew(config);
        let longest_session = config.api.all().map(|(_, dialect)| dialect.absolute).into_iter().max();
        Self {
            revocation_ttl: API_KEY_CACHE_TTL + max_access_lifetime(config) + two_skews,
            durable_revocation_ttl: longest_session.unwrap_or_default() + two_skews,
            max_not_before_lead: two_skews,
        }
    }

    /// Retention time of a revocation: until the last access token has expired that a node may still issue from an API
    /// key in its cache. Includes the differences between the clocks of three nodes: the one that issues the token, the
    /// one that revokes, and the one that drops the revocation.
    pub fn revocation_ttl(&self) -> Duration {
        self.revocation_ttl
    }

    /// Retention time of the durable revocation of a user's sessions. If the ephemeral store lost it, one of these
    /// sessions could be refreshed until its absolute end, and its last access token could be valid, by the clocks of
    /// two nodes.
    pub fn durable_revocation_ttl(&self) -> Duration {
        self.durable_revocation_ttl
    }

    /// Largest lead of `global_not_before` over this node's clock: another node sets it beyond the time of every
    /// clock that is behind by at most the clock skew.
    pub fn max_not_before_lead(&self) -> Duration {
        self.max_not_before_lead
    }

    /// The timestamp for a session or token issued now. Usually `now`. It is `global_not_before` if that is ahead of
    /// this clock by no more than [`max_not_before_lead`](Self::max_not_before_lead): another node's clock is ahead, or
    /// this clock was set back after the global sign-out. With a timestamp before `global_not_before`, the new session
    /// or token would be revoked already.
    pub fn issue_time(&self, now: Timestamp, global_not_before: Timestamp) -> Timestamp {
        if global_not_before.since(now) <= self.max_not_before_lead { now.max(global_not_before) } else { now }
    }
}

/// Longest time for which an access token is accepted after it was issued: the longest lifetime of any dialect, and the
/// leeway. Audiences have no part in it: their lifetimes only shorten that of the dialect (`Audience::lifetime`).
pub fn max_access_lifetime(config: &Config) -> Duration {
    let longest = config.api.all().map(|(_, dialect)| dialect.access).into_iter().max();
    longest.unwrap_or_default() + config.tokens.leeway
}

/// The settings of the keyring. A key verifies until the last access token that it signed
/// has expired by every clock. The token may be stamped two skews ahead of the clock of its node (see
/// [`Retention::issue_time`]), and the clock of the service that verifies it may be one skew behind. Action tokens are
/// signed with another key and do not count.
pub fn key_policy(config: &Config) -> KeyPolicy {
    let keys = &config.keys;
    let retain = max_access_lifetime(config) + 3 * clock_skew(config);
    let es256 = config.audiences.iter().any(|audience| audience.algorithm == SigningAlgorithm::Es256);
    KeyPolicy { sign: keys.rotate_every, announce: keys.announce, retain, es256 }
}

/// The largest difference between two clocks that every calculation allows for.
fn clock_skew(config: &Config) -> Duration {
    MAX_CLOCK_SKEW.max(config.tokens.leeway)
}

/// The new `global_not_before` of a global sign-out. It also covers tokens that were issued a moment ago by a node
/// whose clock is ahead. Tokens issued after the previous global sign-out carry `current` as their timestamp, so the
/// new value exceeds it.
pub(in crate::auth) fn next_global_not_before(now: Timestamp, current: Timestamp) -> Timestamp {
    (now + MAX_CLOCK_SKEW).max(current + MILLISECOND)
}

/// The earliest timestamp of a new session that a revocation up to and including `before` does not cover.
pub(in crate::auth) fn first_session_after(before: Timestamp) -> Timestamp {
    before + MILLISECOND
}

/// The time of issue that is compared with a user's revocation, for a credential without a session. The revocation
/// covers the user's newest session, even if a clock that is ahead opened it, but does not consider API keys. The clock
/// that stamped an API key may be ahead too, so the clock skew is subtracted.
pub(in crate::auth) fn comparable_issue_time(issued_at: Timestamp) -> Timestamp {
    issued_at - MAX_CLOCK_SKEW
}

/// The timestamp at which an API key is read so that a user's revocation does not cover it: the inverse of
/// [`comparable_issue_time`].
pub(in crate::auth) fn first_api_key_read_after(first_session: Timestamp) -> Timestamp {
    first_session + MAX_CLOCK_SKEW
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_763_130_320);

    #[test]
    fn issue_time_follows_a_near_global_not_before() {
        let retention = Retention::new(&Config::default());
        let lead = retention.max_not_before_lead();
        assert_eq!(retention.issue_time(NOW, NOW - lead), NOW);
        assert_eq!(retention.issue_time(NOW, NOW + lead), NOW + lead);
        assert_eq!(retention.issue_time(NOW, NOW + lead + MILLISECOND), NOW);
    }

    #[test]
    fn tokens_of_every_audience_expire_within_the_longest_lifetime() {
        let config =
            Config::from_toml("[api.v1]\naccess = \"2h\"\n[audiences.a]\nlifetime = \"2h\"\n[audiences.b]").unwrap();
        let longest = max_access_lifetime(&config) - config.tokens.leeway;
        for (_, dialect) in config.api.all() {
            assert!(config.audiences.iter().all(|audience| audience.lifetime(dialect.access) <= longest));
        }
        assert_eq!(longest, config.audiences[0].lifetime(config.api.v1.access));
    }

    #[test]
    fn global_sign_out_always_raises_the_limit() {
        assert_eq!(next_global_not_before(NOW, Timestamp::default()), NOW + MAX_CLOCK_SKEW);
        let ahead = NOW + 2 * MAX_CLOCK_SKEW;
        assert_eq!(next_global_not_before(NOW, ahead), ahead + MILLISECOND);
    }

    /// `keys.jwks_max_age` has no part in it: it is the time for which verifiers cache a key, not the lifetime of
    /// tokens.
    #[test]
    fn key_outlives_tokens_that_are_stamped_ahead() {
        let mut config = Config::default();
        config.keys.jwks_max_age = Duration::ZERO;
        let lead = Retention::new(&config).max_not_before_lead();
        let policy = key_policy(&config);
        assert_eq!(policy.retain, max_access_lifetime(&config) + lead + MAX_CLOCK_SKEW);
        assert!(!policy.es256);
    }
}
