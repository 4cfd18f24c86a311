//! What can be handed in once, and how often it may be guessed at.

use std::collections::BTreeSet;

use super::*;
use crate::store::ephemeral::{Claim, Redeem, Redemption};

const RIGHT: [u8; 32] = [7; 32];
const WRONG: [u8; 32] = [8; 32];
const MANY: u32 = 1000;

fn claim(purpose: &'static str) -> Claim {
    Claim {
        subject: "subject-1".into(),
        purpose,
        id: String::new(),
        digest: RIGHT,
        payload: (0..=255).collect(),
        tries: 5,
        expires_at: START + MINUTE * 10,
    }
}

fn redeem<'a>(claim: &'a Claim, digest: [u8; 32]) -> Redeem<'a> {
    let Claim { subject, purpose, id, .. } = claim;
    Redeem { subject, purpose, id, digest, daily_tries: MANY, spend: true }
}

async fn put(store: &Store, claim: &Claim) {
    store.put_claim(claim, START).await.unwrap();
}

/// Tries that many times at once.
async fn attack(store: &Store, claim: &Claim, digest: [u8; 32], daily_tries: u32, times: usize) -> Vec<Redemption> {
    together(times, |_| {
        let (store, claim) = (store.clone(), claim.clone());
        async move { store.redeem(Redeem { daily_tries, ..redeem(&claim, digest) }, START).await.unwrap() }
    })
    .await
}

fn compared(answers: &[Redemption]) -> usize {
    answers.iter().filter(|answer| matches!(answer, Redemption::Wrong { .. })).count()
}

pub(super) async fn a_right_claim_is_redeemed_once(store: Store) {
    let code = claim("code");
    put(&store, &code).await;
    let answers = attack(&store, &code, RIGHT, MANY, 50).await;
    let redeemed = Redemption::Redeemed(code.payload.clone());
    assert_eq!(answers.iter().filter(|answer| **answer == redeemed).count(), 1);
    assert_eq!(answers.iter().filter(|answer| **answer == Redemption::Absent).count(), 49);

    let empty = Claim { payload: vec![], ..code };
    put(&store, &empty).await;
    assert_eq!(store.redeem(redeem(&empty, RIGHT), START).await.unwrap(), Redemption::Redeemed(vec![]));
}

pub(super) async fn wrong_tries_use_a_claim_up(store: Store) {
    let code = claim("code");
    put(&store, &code).await;
    for tries_left in [4, 3, 2, 1, 0] {
        let answer = store.redeem(redeem(&code, WRONG), START).await.unwrap();
        assert_eq!(answer, Redemption::Wrong { tries_left });
    }
    for digest in [WRONG, RIGHT] {
        assert_eq!(store.redeem(redeem(&code, digest), START).await.unwrap(), Redemption::Absent);
    }

    put(&store, &code).await;
    for _ in 0..4 {
        store.redeem(redeem(&code, WRONG), START).await.unwrap();
    }
    let last = store.redeem(redeem(&code, RIGHT), START).await.unwrap();
    assert_eq!(last, Redemption::Redeemed(code.payload), "the fifth try counts too");
}

pub(super) async fn parallel_guesses_are_counted_before_they_are_compared(store: Store) {
    let code = claim("code");
    put(&store, &code).await;
    let answers = attack(&store, &code, WRONG, MANY, 50).await;
    let left: BTreeSet<_> = answers
        .iter()
        .filter_map(|answer| match answer {
            Redemption::Wrong { tries_left } => Some(*tries_left),
            _ => None,
        })
        .collect();
    assert_eq!(compared(&answers), 5);
    assert_eq!(left, BTreeSet::from([0, 1, 2, 3, 4]));
    assert_eq!(answers.iter().filter(|answer| **answer == Redemption::Absent).count(), 45);
    assert_eq!(store.redeem(redeem(&code, RIGHT), START).await.unwrap(), Redemption::Absent);
}

pub(super) async fn the_day_has_a_cap_across_purposes(store: Store) {
    let life = START + DAY * 3;
    let (code, reset) = (Claim { expires_at: life, ..claim("code") }, Claim { expires_at: life, ..claim("reset") });
    put(&store, &code).await;
    put(&store, &reset).await;
    let try_at = |claim: Claim, digest, now| {
        let store = store.clone();
        async move { store.redeem(Redeem { daily_tries: 3, ..redeem(&claim, digest) }, now).await.unwrap() }
    };
    for claim in [&code, &reset, &code] {
        assert!(matches!(try_at(claim.clone(), WRONG, START).await, Redemption::Wrong { .. }));
    }
    let now = START + HOUR;
    let Redemption::Capped { retry_after } = try_at(reset.clone(), RIGHT, now).await else {
        panic!("the fourth was compared")
    };
    assert!(retry_after > Duration::ZERO && retry_after <= DAY, "{retry_after:?}");
    let just_before = now + retry_after - MILLISECOND;
    assert!(matches!(try_at(reset.clone(), RIGHT, just_before).await, Redemption::Capped { .. }));
    let other = Claim { subject: "subject-2".into(), ..reset.clone() };
    put(&store, &other).await;
    assert!(matches!(try_at(other, RIGHT, just_before).await, Redemption::Redeemed(_)));

    let then = now + retry_after;
    assert!(matches!(try_at(reset, RIGHT, then).await, Redemption::Redeemed(_)), "what was capped was not used up");
    assert_eq!(try_at(code, WRONG, then).await, Redemption::Wrong { tries_left: 2 });
}

pub(super) async fn parallel_guesses_stay_under_the_cap(store: Store) {
    let claims: Vec<_> = (0..10).map(|n| Claim { id: n.to_string(), ..claim("code") }).collect();
    for claim in &claims {
        put(&store, claim).await;
    }
    let answers = together(50, |number| {
        let (store, claim) = (store.clone(), claims[number % 10].clone());
        async move { store.redeem(Redeem { daily_tries: 7, ..redeem(&claim, WRONG) }, START).await.unwrap() }
    })
    .await;
    assert_eq!(compared(&answers), 7);
    assert_eq!(answers.iter().filter(|answer| matches!(answer, Redemption::Capped { .. })).count(), 43);
}

pub(super) async fn a_right_try_costs_the_day_nothing(store: Store) {
    let code = claim("code");
    for _ in 0..3 {
        put(&store, &code).await;
        let right = Redeem { daily_tries: 1, ..redeem(&code, RIGHT) };
        assert!(matches!(store.redeem(right, START).await.unwrap(), Redemption::Redeemed(_)));
        // Nor does a try at what is not there: nothing was compared.
        assert_eq!(store.redeem(right, START).await.unwrap(), Redemption::Absent);
    }
    put(&store, &code).await;
    let wrong = Redeem { daily_tries: 1, ..redeem(&code, WRONG) };
    assert_eq!(store.redeem(wrong, START).await.unwrap(), Redemption::Wrong { tries_left: 4 });
    assert!(matches!(store.redeem(wrong, START).await.unwrap(), Redemption::Capped { .. }));
}

pub(super) async fn a_claim_in_place_of_another_begins_anew(store: Store) {
    let old = claim("code");
    put(&store, &old).await;
    for _ in 0..3 {
        store.redeem(redeem(&old, WRONG), START).await.unwrap();
    }
    let new = Claim { digest: [9; 32], payload: b"new".to_vec(), tries: 2, ..old.clone() };
    put(&store, &new).await;
    assert_eq!(store.redeem(redeem(&old, RIGHT), START).await.unwrap(), Redemption::Wrong { tries_left: 1 });
    assert_eq!(store.redeem(redeem(&new, [9; 32]), START).await.unwrap(), Redemption::Redeemed(b"new".to_vec()));

    put(&store, &new).await;
    let shorter = Claim { expires_at: START + SECOND, ..new };
    put(&store, &shorter).await;
    assert_eq!(store.redeem(redeem(&shorter, [9; 32]), START + SECOND).await.unwrap(), Redemption::Absent);
}

pub(super) async fn claims_are_kept_apart(store: Store) {
    let kept = Claim { id: "1".into(), ..claim("code") };
    put(&store, &kept).await;
    let others = [
        Claim { purpose: "reset", ..kept.clone() },
        Claim { id: "2".into(), ..kept.clone() },
        Claim { id: String::new(), ..kept.clone() },
        Claim { subject: "subject-2".into(), ..kept.clone() },
        // Joined without care, these would be the same words.
        Claim { purpose: "code:1", id: String::new(), ..kept.clone() },
        Claim { purpose: "cod", id: "e1".into(), ..kept.clone() },
        Claim { subject: "subject-1}".into(), ..kept.clone() },
    ];
    for other in &others {
        assert_eq!(
            store.redeem(redeem(other, RIGHT), START).await.unwrap(),
            Redemption::Absent,
            "{} {}",
            other.purpose,
            other.id
        );
    }
    for other in &others {
        put(&store, &Claim { payload: b"other".to_vec(), ..other.clone() }).await;
    }
    assert_eq!(store.redeem(redeem(&kept, RIGHT), START).await.unwrap(), Redemption::Redeemed(kept.payload.clone()));
    for other in &others {
        assert_eq!(store.redeem(redeem(other, RIGHT), START).await.unwrap(), Redemption::Redeemed(b"other".to_vec()));
    }
}

pub(super) async fn a_claim_expires(store: Store) {
    let code = claim("code");
    put(&store, &code).await;
    assert_eq!(store.redeem(redeem(&code, RIGHT), code.expires_at).await.unwrap(), Redemption::Absent);
    put(&store, &code).await;
    let last = code.expires_at - MILLISECOND;
    assert!(matches!(store.redeem(redeem(&code, RIGHT), last).await.unwrap(), Redemption::Redeemed(_)));
}

fn proving(claim: &Claim, digest: [u8; 32]) -> Redeem<'_> {
    Redeem { spend: false, ..redeem(claim, digest) }
}

async fn held(store: &Store, claim: &Claim, now: Timestamp) -> Option<Vec<u8>> {
    store.claim(&claim.subject, claim.purpose, &claim.id, now).await.unwrap()
}

async fn drop_claim(store: &Store, claim: &Claim) {
    store.drop_claim(&claim.subject, claim.purpose, &claim.id).await.unwrap();
}

pub(super) async fn what_is_proved_is_there_to_be_spent(store: Store) {
    let code = claim("code");
    let redeemed = Redemption::Redeemed(code.payload.clone());
    put(&store, &code).await;
    for _ in 0..2 {
        assert_eq!(store.redeem(proving(&code, RIGHT), START).await.unwrap(), redeemed);
    }
    assert_eq!(store.redeem(redeem(&code, RIGHT), START).await.unwrap(), redeemed);
    for again in [proving(&code, RIGHT), redeem(&code, RIGHT)] {
        assert_eq!(store.redeem(again, START).await.unwrap(), Redemption::Absent);
    }
    put(&store, &code).await;
    assert_eq!(store.redeem(proving(&code, RIGHT), code.expires_at).await.unwrap(), Redemption::Absent);
}

pub(super) async fn proving_costs_neither_the_claim_nor_the_day(store: Store) {
    let code = claim("code");
    let redeemed = Redemption::Redeemed(code.payload.clone());
    put(&store, &code).await;
    for tries_left in [4, 3, 2, 1] {
        // A wrong one is as wrong as any other.
        let wrong = store.redeem(proving(&code, WRONG), START).await.unwrap();
        assert_eq!(wrong, Redemption::Wrong { tries_left });
        for _ in 0..2 {
            let right = Redeem { daily_tries: 5, ..proving(&code, RIGHT) };
            assert_eq!(store.redeem(right, START).await.unwrap(), redeemed, "{tries_left} left");
        }
    }
    let last = Redeem { daily_tries: 5, ..proving(&code, WRONG) };
    assert_eq!(store.redeem(last, START).await.unwrap(), Redemption::Wrong { tries_left: 0 });
    put(&store, &code).await;
    let capped = Redeem { daily_tries: 5, ..proving(&code, RIGHT) };
    assert!(matches!(store.redeem(capped, START).await.unwrap(), Redemption::Capped { .. }));
}

pub(super) async fn of_many_who_prove_and_spend_one_spends(store: Store) {
    let code = claim("code");
    put(&store, &code).await;
    let answers = together(50, |number| {
        let (store, code) = (store.clone(), code.clone());
        let spend = number % 2 == 0;
        async move { (spend, store.redeem(Redeem { spend, ..redeem(&code, RIGHT) }, START).await.unwrap()) }
    })
    .await;
    let spent = answers.iter().filter(|(spend, answer)| *spend && *answer != Redemption::Absent);
    assert_eq!(spent.collect::<Vec<_>>(), [&(true, Redemption::Redeemed(code.payload.clone()))]);
    assert_eq!(held(&store, &code, START).await, None, "nobody who proved brought it back");

    put(&store, &code).await;
    let wrong = together(50, |_| {
        let (store, code) = (store.clone(), code.clone());
        async move { store.redeem(proving(&code, WRONG), START).await.unwrap() }
    })
    .await;
    assert_eq!(compared(&wrong), 5);
}

pub(super) async fn to_look_at_a_claim_is_not_to_try_it(store: Store) {
    let code = claim("code");
    assert_eq!(held(&store, &code, START).await, None);
    put(&store, &code).await;
    for tries_left in [4, 3, 2, 1] {
        for _ in 0..3 {
            assert_eq!(held(&store, &code, START).await, Some(code.payload.clone()));
        }
        let wrong = Redeem { daily_tries: 4, ..redeem(&code, WRONG) };
        assert_eq!(store.redeem(wrong, START).await.unwrap(), Redemption::Wrong { tries_left });
    }
    assert_eq!(held(&store, &code, START).await, Some(code.payload.clone()), "nothing is guessed by looking");
    for payload in [vec![], b"17".to_vec()] {
        let next = Claim { payload, ..code.clone() };
        put(&store, &next).await;
        assert_eq!(held(&store, &next, START).await, Some(next.payload.clone()));
    }
    for other in [
        Claim { purpose: "reset", ..code.clone() },
        Claim { id: "2".into(), ..code.clone() },
        Claim { subject: "subject-2".into(), ..code.clone() },
    ] {
        assert_eq!(held(&store, &other, START).await, None);
    }
}

pub(super) async fn nothing_is_seen_of_a_claim_that_is_over(store: Store) {
    let code = claim("code");
    put(&store, &code).await;
    assert_eq!(held(&store, &code, code.expires_at - MILLISECOND).await, Some(code.payload.clone()));
    assert_eq!(held(&store, &code, code.expires_at).await, None, "expired");

    put(&store, &code).await;
    store.redeem(redeem(&code, RIGHT), START).await.unwrap();
    assert_eq!(held(&store, &code, START).await, None, "used");

    put(&store, &code).await;
    for _ in 0..5 {
        assert!(held(&store, &code, START).await.is_some());
        store.redeem(redeem(&code, WRONG), START).await.unwrap();
    }
    assert_eq!(held(&store, &code, START).await, None, "out of tries");
    put(&store, &Claim { tries: 0, ..code.clone() }).await;
    assert_eq!(held(&store, &code, START).await, None, "without a try from the start");
}

pub(super) async fn a_dropped_claim_is_gone_and_its_wrong_tries_are_not(store: Store) {
    let code = claim("code");
    let others = [
        Claim { purpose: "reset", ..code.clone() },
        Claim { id: "2".into(), ..code.clone() },
        Claim { subject: "subject-2".into(), ..code.clone() },
    ];
    drop_claim(&store, &code).await;
    for claim in others.iter().chain([&code]) {
        put(&store, claim).await;
    }
    let wrong = Redeem { daily_tries: 2, ..redeem(&code, WRONG) };
    store.redeem(wrong, START).await.unwrap();
    for _ in 0..2 {
        drop_claim(&store, &code).await;
        assert_eq!(held(&store, &code, START).await, None);
        assert_eq!(store.redeem(redeem(&code, RIGHT), START).await.unwrap(), Redemption::Absent);
    }
    for other in &others {
        assert!(held(&store, other, START).await.is_some(), "{} {}", other.purpose, other.id);
    }
    put(&store, &code).await;
    assert_eq!(store.redeem(wrong, START).await.unwrap(), Redemption::Wrong { tries_left: 4 });
    assert!(matches!(store.redeem(wrong, START).await.unwrap(), Redemption::Capped { .. }));
}
