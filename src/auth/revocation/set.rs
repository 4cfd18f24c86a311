//! The revocations that this node has applied, in memory, so that checking a credential costs no round trip.
//!
//! Filled by [`super::stream`], by [`super::durable`] and, for what this node revokes itself, by the operation, so that
//! its own caller sees the effect immediately. Entries that no token can match any more are removed. Ids are UUIDs, so
//! one map holds tokens, sessions, users and API keys without a clash. Knows nothing of where revocations are stored.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::steady_time::SteadyTime;
use crate::auth::retention::{comparable_issue_time, first_api_key_read_after, first_session_after};
use crate::clock::{Clock, Timestamp};
use crate::id::{ApiKeyId, SessionId, UserId};
use crate::store::ephemeral::{Revocation, Target};
use crate::token::access::VerifiedToken;

/// The revocations that are not expired, and how fresh they are.
#[derive(Default)]
pub struct RevocationSet {
    entries: papaya::HashMap<[u8; 16], Entry>,
    /// The number of entries, so that checking against an empty set costs one load.
    count: AtomicUsize,
    /// The row's `sessions_valid_after` of users whose sessions the ephemeral store has not ended yet.
    pending_durable: papaya::HashMap<UserId, Timestamp>,
    /// Everything issued before this is revoked.
    global_not_before: AtomicI64,
    /// When the stream was last read, empty or not: milliseconds of [`Clock::monotonic`].
    fresh_at: AtomicU64,
    /// When durable revocations were last read.
    reapplied_at: AtomicI64,
    /// Set if the last reading of durable revocations failed.
    reapply_failed: AtomicBool,
    /// Durable revocations that the stream did not have and that could not be published in it yet.
    unpublished: Mutex<Vec<Revocation>>,
    steady_time: Mutex<SteadyTime>,
    /// The store's time when the stream was last read, in milliseconds; 0 if that is not known.
    store_time: AtomicI64,
}

#[derive(Clone, Copy)]
struct Entry {
    /// Revokes what was issued up to and including this moment.
    before: Timestamp,
    expires_at: Timestamp,
}

/// The revocation that covers a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevokedBy {
    /// Everyone was signed out: everything that was issued before this moment.
    Everyone {
        /// The moment, which is not revoked itself.
        not_before: Timestamp,
    },
    /// The user was signed out: everything that was issued up to this moment.
    User {
        /// The moment, which is revoked too.
        before: Timestamp,
    },
    /// Its session has ended.
    Session {
        /// Until when the revocation is kept.
        until: Timestamp,
    },
    /// The token was revoked, by its own id.
    Token,
    /// The API key that it was issued from was deactivated.
    ApiKey {
        /// Until when the revocation is kept.
        until: Timestamp,
    },
}

const FOREVER: Timestamp = Timestamp::from_millis(i64::MAX);

/// The revoked id, and the last moment of issue that is revoked.
fn key_and_limit(target: &Target) -> Option<([u8; 16], Timestamp)> {
    Some(match target {
        Target::Token(id) => (*id.as_bytes(), FOREVER),
        Target::Session(id) => (*id.as_bytes(), FOREVER),
        Target::ApiKey(id) => (*id.as_bytes(), FOREVER),
        Target::User { user, before } => (*user.as_bytes(), *before),
        Target::Keyring | Target::GlobalNotBefore => return None,
    })
}

/// The times of a token that are compared with revocations of its ids, and with that of its user. The time of the
/// session counts, not that of the token: a refresh on a node that had not applied the revocation yet, or whose clock
/// is ahead, issues a token that is younger than the revocation of its session.
fn compared_times(token: &VerifiedToken) -> (Timestamp, Timestamp) {
    let began = token.session.and_then(|session| session.created_at()).unwrap_or(token.issued_at);
    (began, if token.session.is_some() { began } else { comparable_issue_time(began) })
}

impl RevocationSet {
    /// Checks whether the token is revoked, by its own id, its session, its API key, its user or globally.
    pub fn is_revoked(&self, token: &VerifiedToken) -> bool {
        let (began, by_user) = compared_times(token);
        if began < self.global_not_before() {
            return true;
        }
        if self.count.load(Ordering::Acquire) == 0 {
            return false;
        }
        let ids = [
            token.session.as_ref().map(|id| id.as_bytes()),
            token.token_id.as_ref().map(|id| id.as_bytes()),
            token.api_key.as_ref().map(|id| id.as_bytes()),
        ];
        ids.into_iter().flatten().any(|id| self.covers(id, began))
            || token.user.as_ref().is_some_and(|user| self.covers(user.as_bytes(), by_user))
    }

    /// The revocation that covers the token: the same checks as [`is_revoked`](Self::is_revoked), to be shown to
    /// people. Not for the hot path.
    pub fn cause(&self, token: &VerifiedToken) -> Option<RevokedBy> {
        let (began, by_user) = compared_times(token);
        let covering = |id: Option<&[u8; 16]>| self.covering(id?, began);
        if began < self.global_not_before() {
            Some(RevokedBy::Everyone { not_before: self.global_not_before() })
        } else if let Some(entry) = covering(token.session.as_ref().map(|id| id.as_bytes())) {
            Some(RevokedBy::Session { until: entry.expires_at })
        } else if covering(token.token_id.as_ref().map(|id| id.as_bytes())).is_some() {
            Some(RevokedBy::Token)
        } else if let Some(entry) = covering(token.api_key.as_ref().map(|id| id.as_bytes())) {
            Some(RevokedBy::ApiKey { until: entry.expires_at })
        } else {
            self.user_cause(token.user?, by_user)
        }
    }

    /// The revocation that ended a session: the same checks as [`is_session_ended`](Self::is_session_ended), to be
    /// shown to people.
    pub fn session_cause(&self, user: UserId, session: SessionId, opened_at: Timestamp) -> Option<RevokedBy> {
        if opened_at < self.global_not_before() {
            Some(RevokedBy::Everyone { not_before: self.global_not_before() })
        } else if let Some(entry) = self.covering(session.as_bytes(), opened_at) {
            Some(RevokedBy::Session { until: entry.expires_at })
        } else {
            self.user_cause(user, opened_at)
        }
    }

    fn user_cause(&self, user: UserId, issued_at: Timestamp) -> Option<RevokedBy> {
        let entry = self.covering(user.as_bytes(), issued_at)?;
        Some(RevokedBy::User { before: entry.before })
    }

    /// Checks whether a session that the store still has was ended.
    pub fn is_session_ended(&self, user: UserId, session: SessionId, opened_at: Timestamp) -> bool {
        opened_at < self.global_not_before()
            || self.count.load(Ordering::Acquire) != 0
                && (self.covers(user.as_bytes(), opened_at) || self.covers(session.as_bytes(), opened_at))
    }

    /// Checks whether an API key that was read at `read_at` must be read again: because the key or its user was revoked
    /// since, or because it was read before `global_not_before`. In the latter case, revocations of it may be lost, and
    /// a token issued from it would be refused.
    pub fn must_reread_api_key(&self, key: ApiKeyId, user: UserId, read_at: Timestamp) -> bool {
        read_at < self.global_not_before()
            || self.count.load(Ordering::Acquire) != 0
                && (self.covers(key.as_bytes(), read_at)
                    || self.covers(user.as_bytes(), comparable_issue_time(read_at)))
    }

    /// The earliest opening time of a session of the user that no applied revocation covers.
    pub fn first_session_after(&self, user: UserId) -> Timestamp {
        self.user_revoked_until(user).map_or(Timestamp::default(), first_session_after)
    }

    /// The earliest time at which an API key of the user can have been read so that no applied revocation of the user
    /// covers it.
    pub fn first_api_key_read_after(&self, user: UserId) -> Timestamp {
        let before = self.user_revoked_until(user);
        before.map_or(Timestamp::default(), |before| first_api_key_read_after(first_session_after(before)))
    }

    /// The last moment of issue that the user's revocation covers.
    fn user_revoked_until(&self, user: UserId) -> Option<Timestamp> {
        self.entries.pin().get(user.as_bytes()).map(|entry| entry.before)
    }

    /// Records that the user's row has this `sessions_valid_after`, before the ephemeral store has ended the sessions.
    pub fn add_pending_durable(&self, user: UserId, valid_after: Timestamp) {
        self.pending_durable.pin().update_or_insert(user, |known| valid_after.max(*known), valid_after);
    }

    /// Forgets this `sessions_valid_after`, because the ephemeral store has it, or because no sign-in that began before
    /// it is still in progress.
    pub fn remove_pending_durable(&self, user: UserId, valid_after: Timestamp) {
        let _ = self.pending_durable.pin().remove_if(&user, |_, newest| *newest <= valid_after);
    }

    /// Checks whether a sign-in read the user's row before a change that the ephemeral store may not have yet.
    pub fn is_superseded(&self, user: UserId, valid_after: Timestamp) -> bool {
        self.pending_durable.pin().get(&user).is_some_and(|newest| *newest > valid_after)
    }

    fn covers(&self, id: &[u8; 16], issued_at: Timestamp) -> bool {
        self.covering(id, issued_at).is_some()
    }

    fn covering(&self, id: &[u8; 16], issued_at: Timestamp) -> Option<Entry> {
        self.entries.pin().get(id).filter(|entry| issued_at <= entry.before).copied()
    }

    /// Checks whether the target is revoked whenever it was issued.
    pub fn contains(&self, target: &Target) -> bool {
        key_and_limit(target).is_some_and(|(id, before)| {
            before == FOREVER && self.entries.pin().get(&id).is_some_and(|entry| entry.before == FOREVER)
        })
    }

    /// Applies a revocation. Idempotent. Returns true if it revokes something that was not revoked before.
    pub fn apply(&self, revocation: &Revocation) -> bool {
        let Some((id, before)) = key_and_limit(&revocation.target) else { return false };
        let entry = Entry { before, expires_at: revocation.expires_at };
        let is_new = self.entries.pin().get(&id).is_none_or(|old| old.before < before);
        let merge = |old: &Entry| Entry {
            before: old.before.max(entry.before),
            expires_at: old.expires_at.max(entry.expires_at),
        };
        self.entries.pin().update_or_insert(id, merge, entry);
        self.update_count();
        is_new
    }

    /// Calls `visit` for each revocation: with the revoked id, the last moment of issue that is revoked (`None` if
    /// every one is), and its expiry.
    pub fn for_each(&self, mut visit: impl FnMut(&[u8; 16], Option<Timestamp>, Timestamp)) {
        for (id, entry) in &self.entries.pin() {
            visit(id, Some(entry.before).filter(|before| *before != FOREVER), entry.expires_at);
        }
    }

    /// Takes the durable revocations that are still to be published.
    pub fn take_unpublished(&self) -> Vec<Revocation> {
        std::mem::take(&mut *self.unpublished.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds durable revocations that are still to be published.
    pub fn add_unpublished(&self, revocations: impl IntoIterator<Item = Revocation>) {
        self.unpublished.lock().unwrap_or_else(PoisonError::into_inner).extend(revocations);
    }

    /// Removes expired entries.
    pub fn remove_expired(&self, now: Timestamp) {
        self.entries.pin().retain(|_, entry| entry.expires_at > now);
        self.update_count();
    }

    /// Repeats until the count did not change meanwhile: a count of 0 that was taken just before another thread applied
    /// a revocation, and stored just after, would hide that revocation.
    fn update_count(&self) {
        loop {
            let count = self.entries.len();
            self.count.swap(count, Ordering::AcqRel);
            if self.entries.len() == count {
                return;
            }
        }
    }

    /// Raises `global_not_before`; a lower value changes nothing.
    pub fn raise_global_not_before(&self, not_before: Timestamp) {
        self.global_not_before.fetch_max(not_before.millis(), Ordering::Relaxed);
    }

    /// Everything issued before this is revoked.
    pub fn global_not_before(&self) -> Timestamp {
        Timestamp::from_millis(self.global_not_before.load(Ordering::Relaxed))
    }

    /// Records that the stream was read. `now` is monotonic: setting the wall clock back must not make this node look
    /// fresh.
    pub fn mark_fresh(&self, now: Duration) {
        self.fresh_at.store(now.as_millis() as u64, Ordering::Relaxed);
    }

    /// The time since the stream was last read.
    pub fn staleness(&self, now: Duration) -> Duration {
        now.saturating_sub(Duration::from_millis(self.fresh_at.load(Ordering::Relaxed)))
    }

    /// The time by which entries are removed or left out, and durable revocations are read. It follows a jump of the
    /// clock ahead only after `delay`, and is never ahead of the store's clock. So a node whose clock is wrong, however
    /// long, takes nothing from others that is in force. While the store cannot be read, it stands still.
    pub fn steady_time(&self, clock: &Clock, delay: Duration) -> Timestamp {
        let mut steady_time = self.steady_time.lock().unwrap_or_else(PoisonError::into_inner);
        let steady = steady_time.read(clock.monotonic(), clock.now(), delay);
        match self.store_time.load(Ordering::Relaxed) {
            0 => steady,
            store_time => steady.min(Timestamp::from_millis(store_time)),
        }
    }

    /// Records the store's time at a reading of the stream.
    pub fn record_store_time(&self, now: Timestamp) {
        self.store_time.store(now.millis(), Ordering::Relaxed);
    }

    /// Records that durable revocations were read.
    pub fn mark_reapplied(&self, now: Timestamp) {
        self.reapplied_at.store(now.millis(), Ordering::Relaxed);
    }

    /// When durable revocations were last read.
    pub fn reapplied_at(&self) -> Timestamp {
        Timestamp::from_millis(self.reapplied_at.load(Ordering::Relaxed))
    }

    /// Records the outcome of reading durable revocations. Returns true if the reading before failed.
    pub fn set_reapply_failed(&self, failed: bool) -> bool {
        self.reapply_failed.swap(failed, Ordering::Relaxed)
    }

    /// The number of revocations.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    const NOW: Timestamp = Timestamp::from_secs(1_763_130_320);

    #[test]
    fn api_key_read_before_global_not_before_is_read_again() {
        let (revocations, rng) = (RevocationSet::default(), Rng::system());
        let (key, user) = (ApiKeyId::new(NOW, &rng), UserId::new(NOW, &rng));
        revocations.raise_global_not_before(NOW);
        assert!(revocations.must_reread_api_key(key, user, NOW - Duration::from_millis(1)));
        assert!(!revocations.must_reread_api_key(key, user, NOW));
    }

    #[test]
    fn revocation_is_removed_once_it_has_expired() {
        let (revocations, rng) = (RevocationSet::default(), Rng::system());
        let target = Target::Session(SessionId::new(NOW, &rng));
        revocations.apply(&Revocation { target: target.clone(), expires_at: NOW });
        revocations.remove_expired(NOW - Duration::from_millis(1));
        assert!(revocations.contains(&target));
        revocations.remove_expired(NOW);
        assert_eq!((revocations.contains(&target), revocations.count()), (false, 0));
    }

    #[test]
    fn steady_time_is_not_ahead_of_the_store() {
        let (revocations, clock) = (RevocationSet::default(), Clock::manual(NOW));
        let (delay, hour) = (Duration::from_secs(900), Duration::from_secs(3600));
        assert_eq!(revocations.steady_time(&clock, delay), NOW);
        revocations.record_store_time(NOW - hour);
        assert_eq!(revocations.steady_time(&clock, delay), NOW - hour);
        clock.advance(hour);
        assert_eq!(revocations.steady_time(&clock, delay), NOW - hour, "the store was not read since");
        // The store may be on another server now, whose clock is ahead.
        revocations.record_store_time(NOW + 2 * hour);
        assert_eq!(revocations.steady_time(&clock, delay), NOW + hour);
    }

    #[test]
    fn revocation_applied_during_removal_is_counted() {
        let rng = Rng::system();
        for _ in 0..20_000 {
            let revocations = RevocationSet::default();
            let target = Target::Session(SessionId::new(NOW, &rng));
            let started = std::sync::Barrier::new(2);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    started.wait();
                    revocations.remove_expired(NOW);
                });
                started.wait();
                revocations.apply(&Revocation { target, expires_at: NOW + Duration::from_secs(1) });
            });
            assert_eq!(revocations.count(), 1);
        }
    }
}
