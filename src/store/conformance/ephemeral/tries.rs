//! Tries at what is compared elsewhere: counted before, with the wrong tries of claims, and forgiven after.

use super::*;
use crate::store::ephemeral::{Allowance, Claim, Redeem, Redemption};

const SUBJECT: &str = "subject-1";

async fn count(store: &Store, daily_tries: u32, now: Timestamp) -> Allowance {
    store.count_try(SUBJECT, daily_tries, now).await.unwrap()
}

async fn forgive(store: &Store, now: Timestamp) {
    store.forgive_try(SUBJECT, now).await.unwrap();
}

/// How many tries of five a day are left.
async fn left(store: &Store, now: Timestamp) -> usize {
    let answers = together(50, |_| {
        let store = store.clone();
        async move { count(&store, 5, now).await }
    })
    .await;
    answers.into_iter().filter(|answer| *answer == Allowance::Allowed).count()
}

fn limited(retry_after: Duration) -> Allowance {
    Allowance::Limited { retry_after }
}

pub(super) async fn of_many_tries_at_once_as_many_as_a_day_has_are_allowed(store: Store) {
    assert_eq!(left(&store, START).await, 5);
    assert_eq!(left(&store, START).await, 0);
    assert_eq!(store.count_try("subject-2", 5, START).await.unwrap(), Allowance::Allowed);
    assert_eq!(store.count_try("subject-3", 0, START).await.unwrap(), limited(DAY));
}

pub(super) async fn tries_and_wrong_claims_share_the_day(store: Store) {
    let code = Claim {
        subject: SUBJECT.into(),
        purpose: "code",
        id: String::new(),
        digest: [7; 32],
        payload: vec![],
        tries: 5,
        expires_at: START + HOUR,
    };
    let redeem = |digest, daily_tries| {
        let redeem = Redeem { subject: SUBJECT, purpose: "code", id: "", digest, daily_tries, spend: true };
        store.redeem(redeem, START)
    };
    store.put_claim(&code, START).await.unwrap();
    assert_eq!(redeem([8; 32], 3).await.unwrap(), Redemption::Wrong { tries_left: 4 });
    assert_eq!(count(&store, 3, START).await, Allowance::Allowed);
    assert_eq!(redeem([8; 32], 3).await.unwrap(), Redemption::Wrong { tries_left: 3 });
    assert_eq!(count(&store, 3, START).await, limited(DAY));
    assert_eq!(redeem([7; 32], 3).await.unwrap(), Redemption::Capped { retry_after: DAY });
    // A right try of the one kind takes back nothing of the other's.
    forgive(&store, START).await;
    assert_eq!(redeem([7; 32], 3).await.unwrap(), Redemption::Redeemed(vec![]));
    assert_eq!(count(&store, 3, START).await, Allowance::Allowed);
    assert_eq!(count(&store, 3, START).await, limited(DAY));
}

pub(super) async fn each_forgiven_try_is_one_more(store: Store) {
    // Whoever is always right is never limited.
    for _ in 0..10 {
        assert_eq!(count(&store, 1, START).await, Allowance::Allowed);
        assert_eq!(count(&store, 1, START).await, limited(DAY));
        forgive(&store, START).await;
    }
    assert_eq!(left(&store, START).await, 5);
    for _ in 0..3 {
        forgive(&store, START).await;
    }
    assert_eq!(left(&store, START).await, 3);
}

pub(super) async fn what_is_forgiven_never_sinks_below_none(store: Store) {
    forgive(&store, START).await;
    assert_eq!(left(&store, START).await, 5);
    together(50, |_| {
        let store = store.clone();
        async move { forgive(&store, START).await }
    })
    .await;
    assert_eq!(left(&store, START).await, 5);
}

pub(super) async fn a_day_of_tries_begins_with_the_first_and_ends_by_the_callers_clock(store: Store) {
    assert_eq!(count(&store, 2, START).await, Allowance::Allowed);
    let later = START + HOUR * 5;
    assert_eq!(count(&store, 2, later).await, Allowance::Allowed);
    // To be refused does not put the end off.
    for now in [later, later + HOUR, START + DAY - MILLISECOND] {
        assert_eq!(count(&store, 2, now).await, limited((START + DAY).since(now)));
    }
    let next = START + DAY;
    forgive(&store, next).await;
    assert_eq!(left(&store, next).await, 5, "what is over is not there to be forgiven");
    assert_eq!(count(&store, 5, next).await, limited(DAY));
}

pub(super) async fn forgiving_does_not_put_the_end_of_the_day_off(store: Store) {
    for _ in 0..3 {
        assert_eq!(count(&store, 2, START).await, Allowance::Allowed);
        assert_eq!(count(&store, 2, START + HOUR).await, Allowance::Allowed);
        assert_eq!(count(&store, 2, START + HOUR).await, limited(DAY - HOUR));
        forgive(&store, START + HOUR).await;
        assert_eq!(count(&store, 2, START + HOUR).await, Allowance::Allowed);
        assert_eq!(count(&store, 2, START + HOUR).await, limited(DAY - HOUR));
        // The last that is forgiven takes the day with it.
        forgive(&store, START + HOUR).await;
        forgive(&store, START + HOUR).await;
    }
}
