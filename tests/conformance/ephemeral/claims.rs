//! Redeeming claims, and limits on guessing them.

use std::collections::BTreeSet;

use super::*;
use signet::store::ephemeral::{Claim, ClaimKey, OnMatch, RedeemRequest, Redemption};

pub(super) const RIGHT: [u8; 32] = [7; 32];
pub(super) const WRONG: [u8; 32] = [8; 32];
const MANY: u32 = 1000;

pub(super) fn claim(purpose: &'static str) -> Claim {
    Claim {
        key: ClaimKey { subject: "subject-1".into(), purpose, id: String::new() },
        digest: RIGHT,
        payload: (0..=255).collect(),
        attempts: 5,
        expires_at: START + MINUTE * 10,
    }
}

/// A claim that differs only by its key.
fn with_key(claim: &Claim, subject: &str, purpose: &'static str, id: &str) -> Claim {
    Claim { key: ClaimKey { subject: subject.into(), purpose, id: id.into() }, ..claim.clone() }
}

/// Claims with keys that each differ in one part from that of a claim made by [`claim`] for a code.
fn others(code: &Claim) -> [Claim; 3] {
    let other = |subject, purpose, id| with_key(code, subject, purpose, id);
    [other("subject-1", "reset", ""), other("subject-1", "code", "2"), other("subject-2", "code", "")]
}

pub(super) fn redeem(claim: &Claim, digest: [u8; 32]) -> RedeemRequest<'_> {
    RedeemRequest { key: &claim.key, digest, daily_attempts: MANY, on_match: OnMatch::Hold }
}

pub(super) async fn put(store: &Store, claim: &Claim) {
    store.store_claim(claim, START).await.unwrap();
}

/// Makes that many concurrent attempts.
async fn attack(store: &Store, claim: &Claim, digest: [u8; 32], daily_tries: u32, times: usize) -> Vec<Redemption> {
    run_concurrently(times, |_| {
        let (store, claim) = (store.clone(), claim.clone());
        async move {
            store.redeem(RedeemRequest { daily_attempts: daily_tries, ..redeem(&claim, digest) }, START).await.unwrap()
        }
    })
    .await
}

fn compared(results: &[Redemption]) -> usize {
    results.iter().filter(|result| matches!(result, Redemption::Wrong { .. })).count()
}

pub(super) async fn correct_secret_redeems_a_claim_once(store: Store) {
    let code = claim("code");
    put(&store, &code).await;
    let results = attack(&store, &code, RIGHT, MANY, 50).await;
    let redeemed = Redemption::Redeemed(code.payload.clone());
    assert_eq!(results.iter().filter(|result| **result == redeemed).count(), 1);
    assert_eq!(results.iter().filter(|result| **result == Redemption::NotFound).count(), 49);

    let empty = Claim { payload: vec![], ..code };
    put(&store, &empty).await;
    assert_eq!(store.redeem(redeem(&empty, RIGHT), START).await.unwrap(), Redemption::Redeemed(vec![]));
}

pub(super) async fn wrong_attempts_use_up_a_claim(store: Store) {
    let code = claim("code");
    put(&store, &code).await;
    for attempts_left in [4, 3, 2, 1, 0] {
        let result = store.redeem(redeem(&code, WRONG), START).await.unwrap();
        assert_eq!(result, Redemption::Wrong { attempts_left });
    }
    for digest in [WRONG, RIGHT] {
        assert_eq!(store.redeem(redeem(&code, digest), START).await.unwrap(), Redemption::NotFound);
    }

    put(&store, &code).await;
    for _ in 0..4 {
        store.redeem(redeem(&code, WRONG), START).await.unwrap();
    }
    let last = store.redeem(redeem(&code, RIGHT), START).await.unwrap();
    assert_eq!(last, Redemption::Redeemed(code.payload), "the fifth attempt is compared");
}

pub(super) async fn concurrent_guesses_are_counted_before_comparison(store: Store) {
    let code = claim("code");
    put(&store, &code).await;
    let results = attack(&store, &code, WRONG, MANY, 50).await;
    let left: BTreeSet<_> = results
        .iter()
        .filter_map(|result| match result {
            Redemption::Wrong { attempts_left: tries_left } => Some(*tries_left),
            _ => None,
        })
        .collect();
    assert_eq!(compared(&results), 5);
    assert_eq!(left, BTreeSet::from([0, 1, 2, 3, 4]));
    assert_eq!(results.iter().filter(|result| **result == Redemption::NotFound).count(), 45);
    assert_eq!(store.redeem(redeem(&code, RIGHT), START).await.unwrap(), Redemption::NotFound);
}

pub(super) async fn daily_cap_spans_purposes(store: Store) {
    let life = START + DAY * 3;
    let (code, reset) = (Claim { expires_at: life, ..claim("code") }, Claim { expires_at: life, ..claim("reset") });
    put(&store, &code).await;
    put(&store, &reset).await;
    let try_at = |claim: Claim, digest, now| {
        let store = store.clone();
        async move { store.redeem(RedeemRequest { daily_attempts: 3, ..redeem(&claim, digest) }, now).await.unwrap() }
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
    let other = with_key(&reset, "subject-2", "reset", "");
    put(&store, &other).await;
    assert!(matches!(try_at(other, RIGHT, just_before).await, Redemption::Redeemed(_)));

    let then = now + retry_after;
    assert!(
        matches!(try_at(reset, RIGHT, then).await, Redemption::Redeemed(_)),
        "a capped attempt does not use up the claim"
    );
    assert_eq!(try_at(code, WRONG, then).await, Redemption::Wrong { attempts_left: 2 });
}

pub(super) async fn concurrent_guesses_stay_under_the_daily_cap(store: Store) {
    let claims: Vec<_> = (0..10).map(|n| with_key(&claim("code"), "subject-1", "code", &n.to_string())).collect();
    for claim in &claims {
        put(&store, claim).await;
    }
    let results = run_concurrently(50, |number| {
        let (store, claim) = (store.clone(), claims[number % 10].clone());
        async move { store.redeem(RedeemRequest { daily_attempts: 7, ..redeem(&claim, WRONG) }, START).await.unwrap() }
    })
    .await;
    assert_eq!(compared(&results), 7);
    assert_eq!(results.iter().filter(|result| matches!(result, Redemption::Capped { .. })).count(), 43);
}

pub(super) async fn correct_attempt_does_not_count_against_the_day(store: Store) {
    let code = claim("code");
    for _ in 0..3 {
        put(&store, &code).await;
        let right = RedeemRequest { daily_attempts: 1, ..redeem(&code, RIGHT) };
        assert!(matches!(store.redeem(right, START).await.unwrap(), Redemption::Redeemed(_)));
        // An attempt at a claim that is held or does not exist does not count either, because nothing was compared.
        assert_eq!(store.redeem(right, START).await.unwrap(), Redemption::NotFound);
        delete(&store, &code).await;
        assert_eq!(store.redeem(right, START).await.unwrap(), Redemption::NotFound);
    }
    put(&store, &code).await;
    let wrong = RedeemRequest { daily_attempts: 1, ..redeem(&code, WRONG) };
    assert_eq!(store.redeem(wrong, START).await.unwrap(), Redemption::Wrong { attempts_left: 4 });
    assert!(matches!(store.redeem(wrong, START).await.unwrap(), Redemption::Capped { .. }));
}

pub(super) async fn replacing_a_claim_resets_its_attempts(store: Store) {
    let old = claim("code");
    put(&store, &old).await;
    for _ in 0..3 {
        store.redeem(redeem(&old, WRONG), START).await.unwrap();
    }
    let new = Claim { digest: [9; 32], payload: b"new".to_vec(), attempts: 2, ..old.clone() };
    put(&store, &new).await;
    assert_eq!(store.redeem(redeem(&old, RIGHT), START).await.unwrap(), Redemption::Wrong { attempts_left: 1 });
    assert_eq!(store.redeem(redeem(&new, [9; 32]), START).await.unwrap(), Redemption::Redeemed(b"new".to_vec()));

    put(&store, &new).await;
    let shorter = Claim { expires_at: START + SECOND, ..new };
    put(&store, &shorter).await;
    assert_eq!(store.redeem(redeem(&shorter, [9; 32]), START + SECOND).await.unwrap(), Redemption::NotFound);
}

pub(super) async fn claims_are_independent(store: Store) {
    let keyed = |subject, purpose, id| with_key(&claim("code"), subject, purpose, id);
    let kept = keyed("subject-1", "code", "1");
    put(&store, &kept).await;
    let others = [
        keyed("subject-1", "reset", "1"),
        keyed("subject-1", "code", "2"),
        keyed("subject-1", "code", ""),
        keyed("subject-2", "code", "1"),
        // Joined without escaping, these parts would be the same key.
        keyed("subject-1", "code:1", ""),
        keyed("subject-1", "cod", "e1"),
        keyed("subject-1}", "code", "1"),
    ];
    for other in &others {
        let result = store.redeem(redeem(other, RIGHT), START).await.unwrap();
        assert_eq!(result, Redemption::NotFound, "{:?}", other.key);
    }
    for other in &others {
        put(&store, &Claim { payload: b"other".to_vec(), ..other.clone() }).await;
    }
    assert_eq!(store.redeem(redeem(&kept, RIGHT), START).await.unwrap(), Redemption::Redeemed(kept.payload.clone()));
    for other in &others {
        assert_eq!(store.redeem(redeem(other, RIGHT), START).await.unwrap(), Redemption::Redeemed(b"other".to_vec()));
    }
}

pub(super) async fn claim_expires(store: Store) {
    let code = claim("code");
    put(&store, &code).await;
    assert_eq!(store.redeem(redeem(&code, RIGHT), code.expires_at).await.unwrap(), Redemption::NotFound);
    put(&store, &code).await;
    let last = code.expires_at - MILLISECOND;
    assert!(matches!(store.redeem(redeem(&code, RIGHT), last).await.unwrap(), Redemption::Redeemed(_)));
}

fn check(claim: &Claim, digest: [u8; 32]) -> RedeemRequest<'_> {
    RedeemRequest { on_match: OnMatch::Keep, ..redeem(claim, digest) }
}

pub(super) async fn peek(store: &Store, claim: &Claim, now: Timestamp) -> Option<Vec<u8>> {
    store.peek_claim(&claim.key, now).await.unwrap()
}

pub(super) async fn delete(store: &Store, claim: &Claim) {
    store.delete_claim(&claim.key).await.unwrap();
}

pub(super) async fn checked_claim_can_still_be_consumed(store: Store) {
    let code = claim("code");
    let redeemed = Redemption::Redeemed(code.payload.clone());
    put(&store, &code).await;
    for _ in 0..2 {
        assert_eq!(store.redeem(check(&code, RIGHT), START).await.unwrap(), redeemed);
    }
    assert_eq!(store.redeem(redeem(&code, RIGHT), START).await.unwrap(), redeemed);
    for again in [check(&code, RIGHT), redeem(&code, RIGHT)] {
        assert_eq!(store.redeem(again, START).await.unwrap(), Redemption::NotFound);
    }
    put(&store, &code).await;
    assert_eq!(store.redeem(check(&code, RIGHT), code.expires_at).await.unwrap(), Redemption::NotFound);
}

pub(super) async fn checking_costs_neither_claim_nor_day(store: Store) {
    let code = claim("code");
    let redeemed = Redemption::Redeemed(code.payload.clone());
    put(&store, &code).await;
    for attempts_left in [4, 3, 2, 1] {
        // A wrong check counts like any wrong attempt.
        let wrong = store.redeem(check(&code, WRONG), START).await.unwrap();
        assert_eq!(wrong, Redemption::Wrong { attempts_left });
        for _ in 0..2 {
            let right = RedeemRequest { daily_attempts: 5, ..check(&code, RIGHT) };
            assert_eq!(store.redeem(right, START).await.unwrap(), redeemed, "{attempts_left} left");
        }
    }
    let last = RedeemRequest { daily_attempts: 5, ..check(&code, WRONG) };
    assert_eq!(store.redeem(last, START).await.unwrap(), Redemption::Wrong { attempts_left: 0 });
    put(&store, &code).await;
    let capped = RedeemRequest { daily_attempts: 5, ..check(&code, RIGHT) };
    assert!(matches!(store.redeem(capped, START).await.unwrap(), Redemption::Capped { .. }));
}

pub(super) async fn one_of_many_concurrent_consumers_wins(store: Store) {
    let code = claim("code");
    put(&store, &code).await;
    let results = run_concurrently(50, |number| {
        let (store, code) = (store.clone(), code.clone());
        let on_match = [OnMatch::Hold, OnMatch::Keep][number % 2];
        async move {
            let request = RedeemRequest { on_match, ..redeem(&code, RIGHT) };
            (on_match != OnMatch::Keep, store.redeem(request, START).await.unwrap())
        }
    })
    .await;
    let consumed = results.iter().filter(|(consumes, result)| *consumes && *result != Redemption::NotFound);
    assert_eq!(consumed.collect::<Vec<_>>(), [&(true, Redemption::Redeemed(code.payload.clone()))]);
    assert_eq!(peek(&store, &code, START).await, None, "no check restored the claim");

    put(&store, &code).await;
    let wrong = run_concurrently(50, |_| {
        let (store, code) = (store.clone(), code.clone());
        async move { store.redeem(check(&code, WRONG), START).await.unwrap() }
    })
    .await;
    assert_eq!(compared(&wrong), 5);
}

pub(super) async fn peeking_is_not_an_attempt(store: Store) {
    let code = claim("code");
    assert_eq!(peek(&store, &code, START).await, None);
    put(&store, &code).await;
    for attempts_left in [4, 3, 2, 1] {
        for _ in 0..3 {
            assert_eq!(peek(&store, &code, START).await, Some(code.payload.clone()));
        }
        let wrong = RedeemRequest { daily_attempts: 4, ..redeem(&code, WRONG) };
        assert_eq!(store.redeem(wrong, START).await.unwrap(), Redemption::Wrong { attempts_left });
    }
    assert_eq!(peek(&store, &code, START).await, Some(code.payload.clone()), "peeking uses no attempt");
    for payload in [vec![], b"17".to_vec()] {
        let next = Claim { payload, ..code.clone() };
        put(&store, &next).await;
        assert_eq!(peek(&store, &next, START).await, Some(next.payload.clone()));
    }
    for other in others(&code) {
        assert_eq!(peek(&store, &other, START).await, None);
    }
}

pub(super) async fn peeking_finds_no_dead_claim(store: Store) {
    let code = claim("code");
    put(&store, &code).await;
    assert_eq!(peek(&store, &code, code.expires_at - MILLISECOND).await, Some(code.payload.clone()));
    assert_eq!(peek(&store, &code, code.expires_at).await, None, "expired");

    put(&store, &code).await;
    store.redeem(redeem(&code, RIGHT), START).await.unwrap();
    assert_eq!(peek(&store, &code, START).await, None, "used");

    put(&store, &code).await;
    for _ in 0..5 {
        assert!(peek(&store, &code, START).await.is_some());
        store.redeem(redeem(&code, WRONG), START).await.unwrap();
    }
    assert_eq!(peek(&store, &code, START).await, None, "no attempts left");
    put(&store, &Claim { attempts: 0, ..code.clone() }).await;
    assert_eq!(peek(&store, &code, START).await, None, "created without attempts");
}

pub(super) async fn deleting_a_claim_keeps_its_wrong_attempts(store: Store) {
    let code = claim("code");
    let others = others(&code);
    delete(&store, &code).await;
    for claim in others.iter().chain([&code]) {
        put(&store, claim).await;
    }
    let wrong = RedeemRequest { daily_attempts: 2, ..redeem(&code, WRONG) };
    store.redeem(wrong, START).await.unwrap();
    for _ in 0..2 {
        delete(&store, &code).await;
        assert_eq!(peek(&store, &code, START).await, None);
        assert_eq!(store.redeem(redeem(&code, RIGHT), START).await.unwrap(), Redemption::NotFound);
    }
    for other in &others {
        assert!(peek(&store, other, START).await.is_some(), "{:?}", other.key);
    }
    put(&store, &code).await;
    assert_eq!(store.redeem(wrong, START).await.unwrap(), Redemption::Wrong { attempts_left: 4 });
    assert!(matches!(store.redeem(wrong, START).await.unwrap(), Redemption::Capped { .. }));
}
