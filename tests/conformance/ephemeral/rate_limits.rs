//! Rate limits.

use super::*;
use signet::store::ephemeral::{Allowance, Limit, RequesterAllowance, RequesterPermit};

const LIMIT: Limit = Limit { burst: 5, per: Duration::from_secs(10) };
const APART: Duration = Duration::from_secs(2);

async fn allowed(store: &Store, key: &str, now: Timestamp) -> bool {
    store.take_permit(key, LIMIT, now).await.unwrap() == Allowance::Allowed
}

async fn retry_after(store: &Store, key: &str, now: Timestamp) -> Duration {
    match store.take_permit(key, LIMIT, now).await.unwrap() {
        Allowance::Limited { retry_after } => retry_after,
        Allowance::Allowed => panic!("the limit is not enforced"),
    }
}

pub(super) async fn burst_is_allowed_and_the_next_waits(store: Store) {
    for _ in 0..5 {
        assert!(allowed(&store, "key", START).await);
    }
    assert_eq!(retry_after(&store, "key", START).await, APART);
    // A refusal costs nothing, so a client that keeps trying does not lock itself out.
    for _ in 0..20 {
        assert_eq!(retry_after(&store, "key", START + SECOND).await, SECOND);
    }
    assert_eq!(retry_after(&store, "key", START + APART - MILLISECOND).await, MILLISECOND);
    assert!(allowed(&store, "key", START + APART).await);
    assert_eq!(retry_after(&store, "key", START + APART).await, APART);
}

pub(super) async fn permits_refill_evenly(store: Store) {
    for _ in 0..5 {
        assert!(allowed(&store, "key", START).await);
    }
    let mut now = START;
    for _ in 0..20 {
        now = now + APART;
        assert!(allowed(&store, "key", now).await);
        assert!(!allowed(&store, "key", now).await);
    }
    now = now + APART * 2;
    assert!(allowed(&store, "key", now).await);
    assert!(allowed(&store, "key", now).await);
    assert!(!allowed(&store, "key", now).await);
}

pub(super) async fn idle_key_accumulates_one_burst_at_most(store: Store) {
    assert!(allowed(&store, "key", START).await);
    for now in [START + LIMIT.per, START + DAY] {
        for _ in 0..5 {
            assert!(allowed(&store, "key", now).await);
        }
        assert!(!allowed(&store, "key", now).await);
    }
}

pub(super) async fn concurrent_callers_share_one_burst(store: Store) {
    let results = run_concurrently(50, |_| {
        let store = store.clone();
        async move { allowed(&store, "key", START).await }
    })
    .await;
    assert_eq!(results.into_iter().filter(|allowed| *allowed).count(), 5);
}

pub(super) async fn keys_are_limited_separately(store: Store) {
    for key in ["sign-in:address:2001:db8::/64", "sign-in:address:2001:db8::", "sign-in:{odd}", "sign-in:{odd"] {
        for _ in 0..5 {
            assert!(allowed(&store, key, START).await, "{key}");
        }
        assert!(!allowed(&store, key, START).await, "{key}");
    }
}

/// Takes a permit of a requester, who has five, and of all requesters, who have seven together.
async fn request(store: &Store, key: &str, requester: &str, now: Timestamp) -> RequesterAllowance {
    let total = Limit { burst: 7, per: Duration::from_secs(70) };
    store.take_requester_permit(RequesterPermit { key, requester, by_requester: LIMIT, total }, now).await.unwrap()
}

fn limited(retry_after: Duration) -> RequesterAllowance {
    RequesterAllowance::Limited { retry_after }
}

fn total_limited(retry_after: Duration) -> RequesterAllowance {
    RequesterAllowance::TotalLimited { retry_after }
}

pub(super) async fn requester_and_total_are_limited_together(store: Store) {
    for _ in 0..5 {
        assert_eq!(request(&store, "key", "one", START).await, RequesterAllowance::Allowed);
    }
    assert_eq!(request(&store, "key", "one", START).await, limited(APART));
    for _ in 0..2 {
        assert_eq!(request(&store, "key", "other", START).await, RequesterAllowance::Allowed);
    }
    assert_eq!(request(&store, "key", "other", START).await, total_limited(SECOND * 10));
    assert_eq!(request(&store, "key", "third", START).await, total_limited(SECOND * 10));
    assert_eq!(request(&store, "key", "third", START + SECOND * 10).await, RequesterAllowance::Allowed);
    assert_eq!(request(&store, "key", "third", START + SECOND * 10).await, total_limited(SECOND * 10));
    // Another key is not affected, and a requester is not confused with a key.
    for key in ["key:one", "key:l:one", "{key}", "another"] {
        assert_eq!(request(&store, key, "one", START).await, RequesterAllowance::Allowed, "{key}");
    }
}

pub(super) async fn requester_over_its_limit_takes_nothing_from_the_total(store: Store) {
    for _ in 0..5 {
        assert_eq!(request(&store, "key", "one", START).await, RequesterAllowance::Allowed);
    }
    for _ in 0..20 {
        assert_eq!(request(&store, "key", "one", START).await, limited(APART));
    }
    for _ in 0..2 {
        assert_eq!(request(&store, "key", "other", START).await, RequesterAllowance::Allowed);
    }
    assert_eq!(request(&store, "key", "other", START).await, total_limited(SECOND * 10));
}

pub(super) async fn requesters_over_the_total_do_not_grow_it(store: Store) {
    for number in 0..200 {
        request(&store, "key", &format!("requester {number}"), START).await;
    }
    assert_eq!(request(&store, "key", "one more", START).await, total_limited(SECOND * 10));
    // The total's requests cost the requester's permits.
    for _ in 0..4 {
        assert_eq!(request(&store, "key", "one more", START).await, total_limited(SECOND * 10));
    }
    assert_eq!(request(&store, "key", "one more", START).await, limited(APART));
}

pub(super) async fn concurrent_requesters_share_one_total(store: Store) {
    let results = run_concurrently(50, |number| {
        let store = store.clone();
        async move { request(&store, "key", &format!("requester {}", number % 25), START).await }
    })
    .await;
    assert_eq!(results.into_iter().filter(|result| *result == RequesterAllowance::Allowed).count(), 7);
}
