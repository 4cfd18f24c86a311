//! Holding a claim while a step in another store is under way, and releasing it if that step fails.

use super::claims::{RIGHT, WRONG, claim, delete, peek, put, redeem};
use super::*;
use signet::store::ephemeral::{Claim, OnMatch, RedeemRequest, Redemption};

async fn hold(store: &Store, claim: &Claim) -> Redemption {
    store.redeem(redeem(claim, claim.digest), START).await.unwrap()
}

async fn release(store: &Store, claim: &Claim) {
    store.release_claim(&claim.key, claim.digest, START).await.unwrap();
}

pub(super) async fn held_claim_is_not_found_until_it_is_released(store: Store) {
    let code = claim("code");
    put(&store, &code).await;
    for _ in 0..2 {
        assert_eq!(hold(&store, &code).await, Redemption::Redeemed(code.payload.clone()));
        for on_match in [OnMatch::Keep, OnMatch::Hold] {
            for digest in [RIGHT, WRONG] {
                let request = RedeemRequest { on_match, daily_attempts: 1, ..redeem(&code, digest) };
                assert_eq!(store.redeem(request, START).await.unwrap(), Redemption::NotFound);
            }
        }
        assert_eq!(peek(&store, &code, START).await, None);
        release(&store, &code).await;
        assert_eq!(peek(&store, &code, START).await, Some(code.payload.clone()));
    }
}

pub(super) async fn one_of_many_concurrent_callers_holds_a_claim(store: Store) {
    let code = claim("code");
    put(&store, &code).await;
    for _ in 0..3 {
        let results = run_concurrently(50, |_| {
            let (store, code) = (store.clone(), code.clone());
            async move { hold(&store, &code).await }
        })
        .await;
        assert_eq!(results.iter().filter(|result| **result != Redemption::NotFound).count(), 1);
        release(&store, &code).await;
    }
}

pub(super) async fn released_claim_has_the_attempts_and_time_it_had_left(store: Store) {
    let code = claim("code");
    put(&store, &code).await;
    for attempts_left in [4, 3, 2, 1, 0] {
        assert!(matches!(hold(&store, &code).await, Redemption::Redeemed(_)));
        release(&store, &code).await;
        let wrong = store.redeem(redeem(&code, WRONG), START).await.unwrap();
        assert_eq!(wrong, Redemption::Wrong { attempts_left });
    }
    release(&store, &code).await;
    assert_eq!(hold(&store, &code).await, Redemption::NotFound, "it has no attempts left");

    put(&store, &code).await;
    hold(&store, &code).await;
    release(&store, &code).await;
    assert!(peek(&store, &code, code.expires_at - MILLISECOND).await.is_some());
    assert_eq!(peek(&store, &code, code.expires_at).await, None);
}

pub(super) async fn released_claim_does_not_replace_a_newer_one(store: Store) {
    let old = claim("code");
    let new = Claim { digest: [9; 32], payload: b"new".to_vec(), ..old.clone() };
    put(&store, &old).await;
    hold(&store, &old).await;
    put(&store, &new).await;
    release(&store, &old).await;
    assert_eq!(peek(&store, &new, START).await, Some(new.payload.clone()));
    hold(&store, &new).await;
    release(&store, &old).await;
    assert_eq!(peek(&store, &new, START).await, None, "the newer one is held by somebody else");
}

pub(super) async fn only_held_claims_are_released(store: Store) {
    let code = claim("code");
    release(&store, &code).await;
    assert_eq!(peek(&store, &code, START).await, None);
    put(&store, &code).await;
    release(&store, &code).await;
    assert_eq!(hold(&store, &code).await, Redemption::Redeemed(code.payload.clone()));
    delete(&store, &code).await;
    release(&store, &code).await;
    assert_eq!(hold(&store, &code).await, Redemption::NotFound, "it was deleted");
}
