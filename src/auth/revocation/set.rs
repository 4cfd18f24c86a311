//! What this node no longer believes, in memory, so that a check costs no round trip.
//!
//! Fed by [`crate::auth::revocation::feed`], by [`crate::auth::revocation::durable`] and, for what was done on this very node, by the operation itself, so that its own caller sees it
//! at once. Forgets what no token can be concerned by any more. Ids are UUIDs, so one map holds tokens, sessions, users
//! and API keys without a clash. Knows nothing of where revocations are kept.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::clock::{MAX_CLOCK_SKEW, Timestamp};
use crate::id::{ApiKeyId, SessionId, UserId};
use crate::store::ephemeral::{Revocation, Target};
use crate::token::access::Verified;

/// The revocations that still matter.
#[derive(Default)]
pub struct RevocationSet {
    marks: papaya::HashMap<[u8; 16], Mark>,
    /// How many marks there are, so that where there are none it costs one load to know.
    count: AtomicUsize,
    /// The row's `sessions_valid_after` of users of whose ending the store has not heard yet.
    unheard: papaya::HashMap<UserId, Timestamp>,
    /// The moment before which nothing counts.
    floor: AtomicI64,
    /// When the store was last heard, found empty or not: milliseconds of [`Clock::running`](crate::clock::Clock::running).
    heard: AtomicU64,
    /// When the endings that outlive that store were last read.
    recalled: AtomicI64,
    /// Whether reading them failed the last time.
    recalling_failed: AtomicBool,
}

#[derive(Clone, Copy)]
struct Mark {
    /// The last moment of making that is concerned.
    before: Timestamp,
    until: Timestamp,
}

const EVER: Timestamp = Timestamp::from_millis(i64::MAX);

/// What is marked, and the last moment of making that is concerned.
fn marking(target: &Target) -> Option<([u8; 16], Timestamp)> {
    Some(match target {
        Target::Token(id) => (*id.as_bytes(), EVER),
        Target::Session(id) => (*id.as_bytes(), EVER),
        Target::ApiKey(id) => (*id.as_bytes(), EVER),
        Target::User { user, before } => (*user.as_bytes(), *before),
        Target::Ring | Target::Floor => return None,
    })
}

impl RevocationSet {
    /// Whether the token is no longer to be believed.
    pub fn is_revoked(&self, token: &Verified) -> bool {
        // By the session's age too: a refresh on a node that had not heard yet, or whose clock is ahead, makes a token that is
        // younger than what ended its session.
        let began = token.session.and_then(|session| session.made_at()).unwrap_or(token.issued_at);
        if began < self.global_not_before() {
            return true;
        }
        if self.count.load(Ordering::Acquire) == 0 {
            return false;
        }
        let ids = [
            token.session.as_ref().map(|id| id.as_bytes()),
            token.token.as_ref().map(|id| id.as_bytes()),
            token.api_key.as_ref().map(|id| id.as_bytes()),
        ];
        // An ending of a user's sessions says when the last of them was opened, by whatever clock. Of what has no session it
        // cannot know.
        let by_user = if token.session.is_some() { began } else { began - MAX_CLOCK_SKEW };
        ids.into_iter().flatten().any(|id| self.marked(id, began))
            || token.user.as_ref().is_some_and(|user| self.marked(user.as_bytes(), by_user))
    }

    /// Whether a session that the store still has was ended.
    pub fn is_session_ended(&self, user: UserId, session: SessionId, opened_at: Timestamp) -> bool {
        opened_at < self.global_not_before()
            || self.count.load(Ordering::Acquire) != 0
                && (self.marked(user.as_bytes(), opened_at) || self.marked(session.as_bytes(), opened_at))
    }

    /// Whether what was read of an API key at `read_at` is no longer to be believed. What was read before the floor is not: the
    /// revocations that it escaped may be lost, and a token made of it would be refused.
    pub fn is_api_key_revoked(&self, key: ApiKeyId, user: UserId, read_at: Timestamp) -> bool {
        read_at < self.global_not_before()
            || self.count.load(Ordering::Acquire) != 0
                && (self.marked(key.as_bytes(), read_at) || self.marked(user.as_bytes(), read_at - MAX_CLOCK_SKEW))
    }

    /// The first moment at which a session of the user can be opened that no ending known here concerns.
    pub fn sessions_after(&self, user: UserId) -> Timestamp {
        let before = self.marks.pin().get(user.as_bytes()).map(|mark| mark.before);
        before.map_or(Timestamp::default(), |before| before + Duration::from_millis(1))
    }

    /// The same of what has no session: it is stamped so if it was read when the ending was known already.
    pub fn keys_after(&self, user: UserId) -> Timestamp {
        match self.sessions_after(user) {
            never if never == Timestamp::default() => never,
            after => after + MAX_CLOCK_SKEW,
        }
    }

    /// Notes that the user's row says so by now, and that the store is to hear of it.
    pub fn expect_durable(&self, user: UserId, valid_after: Timestamp) {
        self.unheard.pin().update_or_insert(user, |known| valid_after.max(*known), valid_after);
    }

    /// Notes that the store has heard of it, or that no sign-in from before it is under way any more.
    pub fn durable_applied(&self, user: UserId, valid_after: Timestamp) {
        let _ = self.unheard.pin().remove_if(&user, |_, newest| *newest <= valid_after);
    }

    /// Whether a sign-in that has read this value from the user's row has read it before a change of which the store may not
    /// have heard.
    pub fn is_superseded(&self, user: UserId, valid_after: Timestamp) -> bool {
        self.unheard.pin().get(&user).is_some_and(|newest| *newest > valid_after)
    }

    fn marked(&self, id: &[u8; 16], made_at: Timestamp) -> bool {
        self.marks.pin().get(id).is_some_and(|mark| made_at <= mark.before)
    }

    /// Whether it is known that this is over, whenever it was made.
    pub fn contains(&self, target: &Target) -> bool {
        marking(target).is_some_and(|(id, before)| {
            before == EVER && self.marks.pin().get(&id).is_some_and(|mark| mark.before == EVER)
        })
    }

    /// Takes in a revocation; one that is known already changes nothing.
    pub fn apply(&self, revocation: &Revocation) {
        let Some((id, before)) = marking(&revocation.target) else { return };
        let mark = Mark { before, until: revocation.until };
        let marks = self.marks.pin();
        let merge = |old: &Mark| Mark { before: old.before.max(before), until: old.until.max(mark.until) };
        marks.update_or_insert(id, merge, mark);
        self.recount();
    }

    /// Forgets what has run out.
    pub fn remove_expired(&self, now: Timestamp) {
        let marks = self.marks.pin();
        marks.retain(|_, mark| mark.until > now);
        self.recount();
    }

    /// Counts until nothing came in between: a count of none that was taken just before another thread learnt something, and
    /// written just after, would hide what it learnt.
    fn recount(&self) {
        loop {
            let count = self.marks.len();
            self.count.swap(count, Ordering::AcqRel);
            if self.marks.len() == count {
                return;
            }
        }
    }

    /// Raises the floor; it never sinks.
    pub fn raise_global_not_before(&self, floor: Timestamp) {
        self.floor.fetch_max(floor.millis(), Ordering::Relaxed);
    }

    /// The moment before which nothing counts.
    pub fn global_not_before(&self) -> Timestamp {
        Timestamp::from_millis(self.floor.load(Ordering::Relaxed))
    }

    /// Notes that the store was heard. A wall clock that is set back must not pass for news, so it is told by one that is not.
    pub fn mark_fresh(&self, running: Duration) {
        self.heard.store(running.as_millis() as u64, Ordering::Relaxed);
    }

    /// How long the store has not been heard.
    pub fn staleness(&self, running: Duration) -> Duration {
        running.saturating_sub(Duration::from_millis(self.heard.load(Ordering::Relaxed)))
    }

    /// Notes that the endings that outlive the store were read.
    pub fn mark_reapplied(&self, now: Timestamp) {
        self.recalled.store(now.millis(), Ordering::Relaxed);
    }

    /// When they were last read.
    pub fn reapplied_at(&self) -> Timestamp {
        Timestamp::from_millis(self.recalled.load(Ordering::Relaxed))
    }

    /// Notes whether reading them failed, and says whether it did the time before.
    pub fn set_reapply_failed(&self, failed: bool) -> bool {
        self.recalling_failed.swap(failed, Ordering::Relaxed)
    }

    /// How many revocations are remembered.
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    const NOW: Timestamp = Timestamp::from_secs(1_763_130_320);

    #[test]
    fn what_was_read_of_a_key_before_the_floor_is_read_again() {
        let (revocations, rng) = (RevocationSet::default(), Rng::system());
        let (key, user) = (ApiKeyId::new(NOW, &rng), UserId::new(NOW, &rng));
        revocations.raise_global_not_before(NOW);
        assert!(revocations.is_api_key_revoked(key, user, NOW - Duration::from_millis(1)));
        assert!(!revocations.is_api_key_revoked(key, user, NOW));
    }

    #[test]
    fn what_is_learnt_while_others_forget_is_counted() {
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
                revocations.apply(&Revocation { target, until: NOW + Duration::from_secs(1) });
            });
            assert_eq!(revocations.len(), 1);
        }
    }
}
