//! Attempts at secrets that are compared elsewhere: counted together with wrong attempts at claims, and refunded.

use super::*;
use signet::store::ephemeral::{Allowance, Claim, ClaimKey, OnMatch, RedeemRequest, Redemption};

const SUBJECT: &str = "subject-1";

async fn attempt(store: &Store, daily_attempts: u32, now: Timestamp) -> Allowance {
    store.count_attempt(SUBJECT, daily_attempts, now).await.unwrap()
}

async fn refund(store: &Store, now: Timestamp) {
    store.refund_attempt(SUBJECT, now).await.unwrap();
}

/// Uses up a limit of five attempts a day, and returns how many were left.
async fn count_left(store: &Store, now: Timestamp) -> usize {
    let results = run_concurrently(50, |_| {
        let store = store.clone();
        async move { attempt(&store, 5, now).await }
    })
    .await;
    results.into_iter().filter(|result| *result == Allowance::Allowed).count()
}

fn limited(retry_after: Duration) -> Allowance {
    Allowance::Limited { retry_after }
}

pub(super) async fn concurrent_attempts_stay_within_the_daily_limit(store: Store) {
    assert_eq!(count_left(&store, START).await, 5);
    assert_eq!(count_left(&store, START).await, 0);
    assert_eq!(store.count_attempt("subject-2", 5, START).await.unwrap(), Allowance::Allowed);
    assert_eq!(store.count_attempt("subject-3", 0, START).await.unwrap(), limited(DAY));
}

pub(super) async fn attempts_and_wrong_claims_share_the_day(store: Store) {
    let key = ClaimKey { subject: SUBJECT.into(), purpose: "code", id: String::new() };
    let code = Claim { key: key.clone(), digest: [7; 32], payload: vec![], attempts: 5, expires_at: START + HOUR };
    let redeem = |digest, daily_attempts| {
        store.redeem(RedeemRequest { key: &key, digest, daily_attempts, on_match: OnMatch::Hold }, START)
    };
    store.store_claim(&code, START).await.unwrap();
    assert_eq!(redeem([8; 32], 3).await.unwrap(), Redemption::Wrong { attempts_left: 4 });
    assert_eq!(attempt(&store, 3, START).await, Allowance::Allowed);
    assert_eq!(redeem([8; 32], 3).await.unwrap(), Redemption::Wrong { attempts_left: 3 });
    assert_eq!(attempt(&store, 3, START).await, limited(DAY));
    assert_eq!(redeem([7; 32], 3).await.unwrap(), Redemption::Capped { retry_after: DAY });
    // A refund takes back one attempt, whatever was attempted.
    refund(&store, START).await;
    assert_eq!(redeem([7; 32], 3).await.unwrap(), Redemption::Redeemed(vec![]));
    assert_eq!(attempt(&store, 3, START).await, Allowance::Allowed);
    assert_eq!(attempt(&store, 3, START).await, limited(DAY));
}

pub(super) async fn each_refunded_attempt_allows_one_more(store: Store) {
    // A client that is always correct is never limited.
    for _ in 0..10 {
        assert_eq!(attempt(&store, 1, START).await, Allowance::Allowed);
        assert_eq!(attempt(&store, 1, START).await, limited(DAY));
        refund(&store, START).await;
    }
    assert_eq!(count_left(&store, START).await, 5);
    for _ in 0..3 {
        refund(&store, START).await;
    }
    assert_eq!(count_left(&store, START).await, 3);
}

pub(super) async fn refunds_never_go_below_zero(store: Store) {
    refund(&store, START).await;
    assert_eq!(count_left(&store, START).await, 5);
    run_concurrently(50, |_| {
        let store = store.clone();
        async move { refund(&store, START).await }
    })
    .await;
    assert_eq!(count_left(&store, START).await, 5);
}

pub(super) async fn attempt_day_lasts_24_hours_from_the_first_attempt(store: Store) {
    assert_eq!(attempt(&store, 2, START).await, Allowance::Allowed);
    let later = START + HOUR * 5;
    assert_eq!(attempt(&store, 2, later).await, Allowance::Allowed);
    // A refused attempt does not extend the day.
    for now in [later, later + HOUR, START + DAY - MILLISECOND] {
        assert_eq!(attempt(&store, 2, now).await, limited((START + DAY).since(now)));
    }
    let next = START + DAY;
    refund(&store, next).await;
    assert_eq!(count_left(&store, next).await, 5, "attempts of a day that has ended are not refunded");
    assert_eq!(attempt(&store, 5, next).await, limited(DAY));
}

pub(super) async fn refund_does_not_extend_the_day(store: Store) {
    for _ in 0..3 {
        assert_eq!(attempt(&store, 2, START).await, Allowance::Allowed);
        assert_eq!(attempt(&store, 2, START + HOUR).await, Allowance::Allowed);
        assert_eq!(attempt(&store, 2, START + HOUR).await, limited(DAY - HOUR));
        refund(&store, START + HOUR).await;
        assert_eq!(attempt(&store, 2, START + HOUR).await, Allowance::Allowed);
        assert_eq!(attempt(&store, 2, START + HOUR).await, limited(DAY - HOUR));
        // Refunding the last attempt ends the day.
        refund(&store, START + HOUR).await;
        refund(&store, START + HOUR).await;
    }
}
