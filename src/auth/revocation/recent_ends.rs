//! The ends of sessions that this node has stored in the last minute and that no row records. A failover of the
//! ephemeral store can lose its last writes, and `lost_ends` then restores them from here. Knows no store.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::id::UserId;
use crate::store::ephemeral::Revocation;

/// How long an end is kept while the store can be read. A master of Redis that is cut off from its replicas accepts
/// writes that they do not have until another takes its place: a Sentinel takes it for down after 30 s by default, and
/// Redis gives up a silent link to a replica after 60 s (`repl-timeout`).
const KEEP: Duration = Duration::from_secs(60);

/// The most ends that are kept: 300 KB, and so many calls of the store to restore them. That is 68 sign-outs a second
/// on this node. Beyond that the oldest are dropped first, because replicas are most likely to have those.
const MAX_ENDS: usize = 4096;

/// The ends, oldest first.
#[derive(Default)]
pub struct RecentEnds(Mutex<VecDeque<RecentEnd>>);

struct RecentEnd {
    user: UserId,
    revocation: Revocation,
    /// By the monotonic clock.
    stored_at: Duration,
}

impl RecentEnds {
    /// Adds the revocations of sessions of `user` that the store has accepted.
    pub(super) fn add(&self, user: UserId, revocations: &[Revocation], now: Duration) {
        let mut ends = self.ends();
        for revocation in revocations {
            if ends.len() >= MAX_ENDS {
                ends.pop_front();
            }
            ends.push_back(RecentEnd { user, revocation: revocation.clone(), stored_at: now });
        }
    }

    /// Removes those that every replica has by now. Not to be called while a loss may still have to be restored.
    pub(super) fn remove_old(&self, now: Duration) {
        let mut ends = self.ends();
        while ends.front().is_some_and(|end| end.stored_at + KEEP <= now) {
            ends.pop_front();
        }
    }

    /// The revocations of each user. They stay, because a second failover can follow.
    pub(super) fn by_user(&self) -> HashMap<UserId, Vec<Revocation>> {
        let mut by_user: HashMap<UserId, Vec<Revocation>> = HashMap::new();
        for end in &*self.ends() {
            by_user.entry(end.user).or_default().push(end.revocation.clone());
        }
        by_user
    }

    fn ends(&self) -> MutexGuard<'_, VecDeque<RecentEnd>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::id::SessionId;
    use crate::rng::Rng;
    use crate::store::ephemeral::Target;

    const NOW: Timestamp = Timestamp::from_secs(1_763_130_320);
    const MILLISECOND: Duration = Duration::from_millis(1);

    fn revocations(count: usize) -> Vec<Revocation> {
        let session = || Target::Session(SessionId::new(NOW, &Rng::system()));
        (0..count).map(|_| Revocation { target: session(), expires_at: NOW }).collect()
    }

    #[test]
    fn end_is_kept_for_a_minute() {
        let (ends, user, revocations) = (RecentEnds::default(), UserId::new(NOW, &Rng::system()), revocations(2));
        ends.add(user, &revocations[..1], Duration::ZERO);
        ends.add(user, &revocations[1..], MILLISECOND);
        ends.remove_old(KEEP - MILLISECOND);
        assert_eq!(ends.by_user()[&user], revocations);
        ends.remove_old(KEEP);
        assert_eq!(ends.by_user()[&user], revocations[1..]);
        ends.remove_old(KEEP + MILLISECOND);
        assert!(ends.by_user().is_empty());
    }

    #[test]
    fn oldest_end_is_dropped_from_a_full_list() {
        let (ends, user, revocations) =
            (RecentEnds::default(), UserId::new(NOW, &Rng::system()), revocations(MAX_ENDS + 1));
        ends.add(user, &revocations, Duration::ZERO);
        assert_eq!(ends.by_user()[&user], revocations[1..]);
    }
}
