//! Publishing, following and forgetting.

use std::collections::HashSet;
use std::time::Instant;

use super::*;
use crate::id::{ApiKeyId, TokenId};

/// No promise is about real time but that one is woken, not left to wait: that must be seen well within this.
const SOON: Duration = Duration::from_secs(5);

fn revocation(number: u128) -> Revocation {
    Revocation { target: Target::Session(session_id(number)), until: START + HOUR }
}

async fn publish(store: &Store, numbers: impl Iterator<Item = u128>, now: Timestamp) {
    for number in numbers {
        store.revoke(&revocation(number), now).await.unwrap();
    }
}

pub(super) async fn every_target_comes_back_as_published(store: Store) {
    let targets = [
        Target::Token(TokenId(Uuid::from_u128(1))),
        Target::Session(session_id(2)),
        Target::User { user: user(3), before: START - MILLISECOND },
        Target::ApiKey(ApiKeyId(Uuid::from_u128(4))),
        Target::Ring,
        Target::Floor,
    ];
    let published: Vec<_> = (0..)
        .zip(targets)
        .map(|(number, target)| Revocation { target, until: START + Duration::from_millis(number) })
        .collect();
    for revocation in &published {
        store.revoke(revocation, START).await.unwrap();
    }
    assert_eq!(read_on(&store, &Cursor::start()).await.0, published);
}

pub(super) async fn followers_have_each_their_place(store: Store) {
    publish(&store, 0..10, START).await;
    let (first, middle) = store.follow(&Cursor::start(), Duration::ZERO).await.unwrap();
    assert_eq!(first, (0..10).map(revocation).collect::<Vec<_>>());
    publish(&store, 10..15, START).await;

    for _ in 0..2 {
        let (rest, _) = store.follow(&middle, SOON).await.unwrap();
        assert_eq!(rest, (10..15).map(revocation).collect::<Vec<_>>(), "reading moves no other's place");
        let (all, end) = store.follow(&Cursor::start(), SOON).await.unwrap();
        assert_eq!(all, (0..15).map(revocation).collect::<Vec<_>>());
        assert_eq!(store.follow(&end, Duration::ZERO).await.unwrap(), (vec![], end));
    }
}

pub(super) async fn all_followers_see_all_in_one_order(store: Store) {
    const EACH: u128 = 25;
    let followers = tokio::spawn(together(4, {
        let store = store.clone();
        move |_| {
            let store = store.clone();
            async move {
                let (mut seen, mut place) = (Vec::new(), Cursor::start());
                let began = Instant::now();
                while seen.len() < 8 * EACH as usize && began.elapsed() < SOON * 4 {
                    let (found, next) = store.follow(&place, SECOND).await.unwrap();
                    seen.extend(found);
                    place = next;
                }
                seen
            }
        }
    }));
    together(8, |publisher| {
        let store = store.clone();
        let first = publisher as u128 * EACH;
        async move { publish(&store, first..first + EACH, START).await }
    })
    .await;

    let seen = followers.await.unwrap();
    let once: HashSet<_> = seen[0].iter().cloned().collect();
    assert_eq!(once, (0..8 * EACH).map(revocation).collect());
    assert_eq!(seen[0].len(), once.len(), "none twice");
    assert!(seen.iter().all(|other| *other == seen[0]), "one order for all");
    for publisher in 0..8 {
        let own = publisher * EACH..(publisher + 1) * EACH;
        let order: Vec<_> = seen[0].iter().filter(|seen| own.clone().any(|n| revocation(n) == **seen)).collect();
        assert_eq!(order, own.map(revocation).collect::<Vec<_>>().iter().collect::<Vec<_>>());
    }
}

pub(super) async fn a_thousand_at_once_and_no_more(store: Store) {
    together(10, |publisher| {
        let store = store.clone();
        let first = publisher as u128 * 110;
        async move { publish(&store, first..first + 110, START).await }
    })
    .await;
    let (first, place) = store.follow(&Cursor::start(), Duration::ZERO).await.unwrap();
    assert_eq!(first.len(), 1000);
    let (rest, place) = store.follow(&place, Duration::ZERO).await.unwrap();
    assert_eq!(rest.len(), 100);
    assert_eq!(store.follow(&place, Duration::ZERO).await.unwrap().0, []);
    let once: HashSet<_> = first.into_iter().chain(rest).collect();
    assert_eq!(once, (0..1100).map(revocation).collect());
}

pub(super) async fn a_waiting_follower_is_woken(store: Store) {
    publish(&store, 0..1, START).await;
    let (_, place) = read_on(&store, &Cursor::start()).await;
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let (store, place) = (store.clone(), place.clone());
            tokio::spawn(async move { store.follow(&place, SOON * 4).await.unwrap() })
        })
        .collect();
    // Other calls are answered while they wait, and none of them has been answered.
    for number in 1..20 {
        open(&store, &session(number)).await;
        assert!(waiting.iter().all(|follower| !follower.is_finished()));
    }
    let began = Instant::now();
    publish(&store, 1..2, START).await;
    for follower in waiting {
        assert_eq!(follower.await.unwrap().0, [revocation(1)]);
    }
    assert!(began.elapsed() < SOON, "woken after {:?}", began.elapsed());
}

pub(super) async fn patience_ends(store: Store) {
    let patience = Duration::from_millis(300);
    let mut place = Cursor::start();
    for number in 0..2 {
        let began = Instant::now();
        let (found, next) = store.follow(&place, patience).await.unwrap();
        assert_eq!(found, []);
        assert!(began.elapsed() >= patience - Duration::from_millis(20), "waited only {:?}", began.elapsed());
        assert!(began.elapsed() < SOON, "waited {:?}", began.elapsed());
        publish(&store, number..number + 1, START).await;
        let (found, after) = store.follow(&next, patience).await.unwrap();
        assert_eq!(found, [revocation(number)]);
        place = after;
    }
}

pub(super) async fn what_is_forgotten_is_not_followed(store: Store) {
    publish(&store, 0..5, START).await;
    publish(&store, 5..8, START + MINUTE).await;
    store.forget_revocations(START).await.unwrap();
    assert_eq!(targets(&store).await.len(), 8);
    store.forget_revocations(START + MINUTE).await.unwrap();
    let (kept, _) = read_on(&store, &Cursor::start()).await;
    assert_eq!(kept, (5..8).map(revocation).collect::<Vec<_>>());
}

pub(super) async fn a_follower_outlives_what_it_has_read(store: Store) {
    publish(&store, 0..5, START).await;
    let (_, early) = read_on(&store, &Cursor::start()).await;
    publish(&store, 5..8, START + MINUTE).await;
    let (_, end) = read_on(&store, &early).await;

    store.forget_revocations(START + MINUTE).await.unwrap();
    let (rest, _) = read_on(&store, &early).await;
    assert_eq!(rest, (5..8).map(revocation).collect::<Vec<_>>());

    store.forget_revocations(START + HOUR).await.unwrap();
    assert_eq!(targets(&store).await, []);
    assert_eq!(store.follow(&end, Duration::ZERO).await.unwrap().0, [], "to forget is no news");
    publish(&store, 8..9, START + HOUR).await;
    for place in [Cursor::start(), early, end] {
        assert_eq!(read_on(&store, &place).await.0, [revocation(8)]);
    }
}
