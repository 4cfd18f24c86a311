//! Publishing, following and forgetting revocations.

use std::collections::HashSet;
use std::time::Instant;

use super::*;
use crate::conformance::Follow;
use signet::id::{ApiKeyId, TokenId};

/// The real time in which a waiting follower must return. Nothing else depends on real time.
const SOON: Duration = MINUTE;

fn revocation(number: u128) -> Revocation {
    Revocation { target: Target::Session(session_id(number)), expires_at: START + HOUR }
}

async fn publish(store: &Store, numbers: impl Iterator<Item = u128>, now: Timestamp) {
    for number in numbers {
        store.revoke(&revocation(number), now).await.unwrap();
    }
}

pub(super) async fn every_target_is_read_back_as_published(store: Store) {
    let targets = [
        Target::Token(TokenId(Uuid::from_u128(1))),
        Target::Session(session_id(2)),
        Target::User { user: user(3), before: START - MILLISECOND },
        Target::ApiKey(ApiKeyId(Uuid::from_u128(4))),
        Target::Keyring,
        Target::GlobalNotBefore,
    ];
    let published: Vec<_> = (0..)
        .zip(targets)
        .map(|(number, target)| Revocation { target, expires_at: START + Duration::from_millis(number) })
        .collect();
    for revocation in &published {
        store.revoke(revocation, START).await.unwrap();
    }
    assert_eq!(read_all(&store, &Cursor::start()).await.0, published);
}

pub(super) async fn each_follower_has_its_own_cursor(store: Store) {
    publish(&store, 0..10, START).await;
    let (first, middle) = store.follow(&Cursor::start(), Duration::ZERO).await.unwrap();
    assert_eq!(first, (0..10).map(revocation).collect::<Vec<_>>());
    publish(&store, 10..15, START).await;

    for _ in 0..2 {
        let (rest, _) = store.follow(&middle, SOON).await.unwrap();
        assert_eq!(rest, (10..15).map(revocation).collect::<Vec<_>>(), "following moves no other cursor");
        let (all, end) = store.follow(&Cursor::start(), SOON).await.unwrap();
        assert_eq!(all, (0..15).map(revocation).collect::<Vec<_>>());
        assert_eq!(store.follow(&end, Duration::ZERO).await.unwrap(), (vec![], end));
    }
}

pub(super) async fn all_followers_see_one_order(store: Store) {
    const EACH: u128 = 25;
    let followers = tokio::spawn(run_concurrently(4, {
        let store = store.clone();
        move |_| {
            let store = store.clone();
            async move {
                let (mut seen, mut cursor) = (Vec::new(), Cursor::start());
                let began = Instant::now();
                while seen.len() < 8 * EACH as usize && began.elapsed() < SOON {
                    let (found, next) = store.follow(&cursor, SECOND).await.unwrap();
                    seen.extend(found);
                    cursor = next;
                }
                seen
            }
        }
    }));
    run_concurrently(8, |publisher| {
        let store = store.clone();
        let first = publisher as u128 * EACH;
        async move { publish(&store, first..first + EACH, START).await }
    })
    .await;

    let seen = followers.await.unwrap();
    let once: HashSet<_> = seen[0].iter().cloned().collect();
    assert_eq!(once, (0..8 * EACH).map(revocation).collect());
    assert_eq!(seen[0].len(), once.len(), "no entry is returned twice");
    assert!(seen.iter().all(|other| *other == seen[0]), "all followers see one order");
    for publisher in 0..8 {
        let own = publisher * EACH..(publisher + 1) * EACH;
        let order: Vec<_> = seen[0].iter().filter(|seen| own.clone().any(|n| revocation(n) == **seen)).collect();
        assert_eq!(order, own.map(revocation).collect::<Vec<_>>().iter().collect::<Vec<_>>());
    }
}

pub(super) async fn follow_returns_at_most_a_thousand(store: Store) {
    run_concurrently(10, |publisher| {
        let store = store.clone();
        let first = publisher as u128 * 110;
        async move { publish(&store, first..first + 110, START).await }
    })
    .await;
    let (first, cursor) = store.follow(&Cursor::start(), Duration::ZERO).await.unwrap();
    assert_eq!(first.len(), 1000);
    let (rest, cursor) = store.follow(&cursor, Duration::ZERO).await.unwrap();
    assert_eq!(rest.len(), 100);
    assert_eq!(store.follow(&cursor, Duration::ZERO).await.unwrap().0, []);
    let once: HashSet<_> = first.into_iter().chain(rest).collect();
    assert_eq!(once, (0..1100).map(revocation).collect());
}

pub(super) async fn waiting_follower_wakes_on_publish(store: Store) {
    publish(&store, 0..1, START).await;
    let (_, cursor) = read_all(&store, &Cursor::start()).await;
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let (store, cursor) = (store.clone(), cursor.clone());
            tokio::spawn(async move { store.follow(&cursor, HOUR).await.unwrap() })
        })
        .collect();
    // Other calls are answered during the wait, and no follower has returned.
    for number in 1..20 {
        open(&store, &session(number)).await;
        assert!(waiting.iter().all(|follower| !follower.is_finished()));
    }
    publish(&store, 1..2, START).await;
    for follower in waiting {
        let found = tokio::time::timeout(MINUTE, follower).await.expect("the follower is woken");
        assert_eq!(found.unwrap().0, [revocation(1)]);
    }
}

pub(super) async fn follow_returns_after_its_maximum_wait(store: Store) {
    let patience = Duration::from_millis(300);
    let mut cursor = Cursor::start();
    for number in 0..2 {
        let began = Instant::now();
        let (found, next) = store.follow(&cursor, patience).await.unwrap();
        assert_eq!(found, []);
        assert!(began.elapsed() >= patience - Duration::from_millis(20), "waited only {:?}", began.elapsed());
        assert!(began.elapsed() < SOON, "waited {:?}", began.elapsed());
        publish(&store, number..number + 1, START).await;
        let (found, after) = store.follow(&next, patience).await.unwrap();
        assert_eq!(found, [revocation(number)]);
        cursor = after;
    }
}

pub(super) async fn forgotten_revocations_are_not_followed(store: Store) {
    publish(&store, 0..5, START).await;
    publish(&store, 5..8, START + MINUTE).await;
    store.forget_revocations(START).await.unwrap();
    assert_eq!(targets(&store).await.len(), 8);
    store.forget_revocations(START + MINUTE).await.unwrap();
    let (kept, _) = read_all(&store, &Cursor::start()).await;
    assert_eq!(kept, (5..8).map(revocation).collect::<Vec<_>>());
}

pub(super) async fn follower_continues_after_its_entries_are_forgotten(store: Store) {
    publish(&store, 0..5, START).await;
    let (_, early) = read_all(&store, &Cursor::start()).await;
    publish(&store, 5..8, START + MINUTE).await;
    let (_, end) = read_all(&store, &early).await;

    store.forget_revocations(START + MINUTE).await.unwrap();
    let (rest, _) = read_all(&store, &early).await;
    assert_eq!(rest, (5..8).map(revocation).collect::<Vec<_>>());

    store.forget_revocations(START + HOUR).await.unwrap();
    assert_eq!(targets(&store).await, []);
    assert_eq!(store.follow(&end, Duration::ZERO).await.unwrap().0, [], "forgetting publishes nothing");
    publish(&store, 8..9, START + HOUR).await;
    for cursor in [Cursor::start(), early, end] {
        assert_eq!(read_all(&store, &cursor).await.0, [revocation(8)]);
    }
}

pub(super) async fn nodes_report_what_they_have_applied(store: Store) {
    let nodes = async |newest: &Cursor| {
        let mut nodes = store.nodes(newest).await.unwrap();
        nodes.sort_by(|one, other| one.name.cmp(&other.name));
        nodes.into_iter().map(|node| (node.name, node.has_applied)).collect::<Vec<_>>()
    };
    let report = |name: &str, has_applied: bool| (name.to_owned(), has_applied);
    let nothing = store.newest_revocation().await.unwrap();
    assert_eq!(nodes(&nothing).await, []);
    store.report_node("one", &Cursor::start()).await.unwrap();
    assert_eq!(nodes(&nothing).await, [report("one", true)], "there is nothing to apply");

    publish(&store, 0..3, START).await;
    let newest = store.newest_revocation().await.unwrap();
    let (_, read) = read_all(&store, &Cursor::start()).await;
    store.report_node("two", &read).await.unwrap();
    assert_eq!(nodes(&newest).await, [report("one", false), report("two", true)]);
    publish(&store, 3..4, START).await;
    assert_eq!(nodes(&newest).await, [report("one", false), report("two", true)], "later ones are not asked for");
    let newest = store.newest_revocation().await.unwrap();
    assert_eq!(nodes(&newest).await, [report("one", false), report("two", false)]);

    let (_, read) = read_all(&store, &read).await;
    store.report_node("one", &read).await.unwrap();
    store.withdraw_node("two").await.unwrap();
    store.withdraw_node("two").await.unwrap();
    assert_eq!(nodes(&newest).await, [report("one", true)]);
    store.forget_revocations(START + HOUR).await.unwrap();
    let nothing = store.newest_revocation().await.unwrap();
    assert_eq!(nodes(&nothing).await, [report("one", true)], "what is forgotten is waited for by nobody");

    let described = async || {
        let mut descriptions = store.node_descriptions().await.unwrap();
        descriptions.sort();
        descriptions
    };
    assert_eq!(described().await, []);
    for (node, text) in [("one", r#"{"ready":false}"#), ("two", "1 2 3"), ("one", r#"{"reasons":["a b"]}"#)] {
        store.describe_node(node, text).await.unwrap();
    }
    let description = |node: &str, text: &str| (node.to_owned(), text.to_owned());
    assert_eq!(described().await, [description("one", r#"{"reasons":["a b"]}"#), description("two", "1 2 3")]);
    assert_eq!(nodes(&nothing).await, [report("one", true)], "a description is no report");
}

pub(super) async fn positions_increase_and_stay_the_same(store: Store) {
    publish(&store, 0..5, START).await;
    // A clock that is behind.
    publish(&store, 5..1005, START - HOUR).await;
    let mut pages = Vec::new();
    let mut cursor = Cursor::start();
    loop {
        let page = store.read_stream(&cursor, Duration::ZERO).await.unwrap();
        if page.entries.is_empty() {
            break;
        }
        cursor = page.cursor.clone();
        pages.push(page);
    }
    assert_eq!(pages.iter().map(|page| page.has_more).collect::<Vec<_>>(), [true, false]);
    assert!(pages.iter().all(|page| page.epoch == pages[0].epoch && !page.epoch.is_empty()));
    assert!(pages.iter().all(|page| Some(page.end) == page.entries.last().and_then(|entry| entry.position)));
    let entries = pages.into_iter().flat_map(|page| page.entries).collect::<Vec<_>>();
    assert!(entries.is_sorted_by(|one, other| one.position.is_some() && one.position < other.position));

    let other = store.read_stream(&Cursor::start(), Duration::ZERO).await.unwrap();
    assert_eq!(other.entries, entries[..1000], "every follower gets the same positions");
    assert_eq!(other.entries[0].published_at, START);
}

pub(super) async fn position_after_forgetting_is_that_of_the_last_entry(store: Store) {
    publish(&store, 0..3, START).await;
    let before = store.read_stream(&Cursor::start(), Duration::ZERO).await.unwrap();
    store.forget_revocations(START + HOUR).await.unwrap();
    let after = store.read_stream(&Cursor::start(), Duration::ZERO).await.unwrap();
    assert_eq!((after.entries.len(), after.epoch, after.end.major), (0, before.epoch, before.end.major));
    publish(&store, 3..4, START).await;
    let next = store.read_stream(&after.cursor, Duration::ZERO).await.unwrap();
    assert!(next.entries.iter().all(|entry| entry.position > Some(before.end)) && next.entries.len() == 1);
}

/// [`START`] is ahead of every clock of this machine.
pub(super) async fn time_of_a_store_is_no_callers_time(store: Store) {
    let empty = store.read_stream(&Cursor::start(), Duration::ZERO).await.unwrap();
    publish(&store, 0..1, START).await;
    let page = store.read_stream(&empty.cursor, Duration::ZERO).await.unwrap();
    let after_a_wait = store.read_stream(&page.cursor, Duration::from_millis(10)).await.unwrap();
    for time in [empty.store_time, page.store_time, after_a_wait.store_time] {
        assert!(time.is_none_or(|time| time > Timestamp::default() && time < START), "{time:?}");
    }
    assert!(empty.store_time <= page.store_time && page.store_time <= after_a_wait.store_time);
}
