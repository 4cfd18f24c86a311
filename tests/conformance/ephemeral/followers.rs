//! Reports of followers of the published feed.

use futures_util::future::join_all;
use signet::store::ephemeral::{FOLLOWER_REPORT_TTL, FollowerReport, MAX_FOLLOWERS};

use super::*;

fn report(name: &str, reported_at: Timestamp) -> FollowerReport {
    FollowerReport {
        name: name.to_owned(),
        epoch: "019a8b1c".to_owned(),
        position: "1763130320123-7".to_owned(),
        jwks: "n4bQgYhMfWWaL-qg".to_owned(),
        complete_at: reported_at - SECOND,
        reported_at,
    }
}

async fn followers(store: &Store, now: Timestamp) -> Vec<FollowerReport> {
    let mut followers = store.followers(now).await.unwrap();
    followers.sort_by(|one, other| one.name.cmp(&other.name));
    followers
}

pub(super) async fn last_report_of_each_follower_is_kept(store: Store) {
    assert_eq!(followers(&store, START).await, []);
    let (one, two) = (report("orders-1:7", START), report("reports.example/2@eu", START + SECOND));
    for report in [&one, &two, &one] {
        assert!(store.report_follower(report).await.unwrap());
    }
    assert_eq!(followers(&store, START + SECOND).await, [one, two.clone()]);
    let later = FollowerReport { position: "9-0".to_owned(), ..report("orders-1:7", START + MINUTE) };
    assert!(store.report_follower(&later).await.unwrap());
    assert_eq!(followers(&store, START + MINUTE).await, [later, two]);
}

pub(super) async fn old_reports_do_not_count(store: Store) {
    store.report_follower(&report("one", START)).await.unwrap();
    store.report_follower(&report("two", START + MINUTE)).await.unwrap();
    let last = START + FOLLOWER_REPORT_TTL - MILLISECOND;
    assert_eq!(followers(&store, last).await.len(), 2);
    assert_eq!(followers(&store, last + MILLISECOND).await, [report("two", START + MINUTE)]);
}

pub(super) async fn number_of_followers_is_bounded(store: Store) {
    let names: Vec<String> = (0..MAX_FOLLOWERS).map(|number| format!("follower-{number}")).collect();
    for names in names.chunks(64) {
        let reports = names.iter().map(|name| {
            let (store, report) = (store.clone(), report(name, START));
            async move { store.report_follower(&report).await.unwrap() }
        });
        assert!(join_all(reports).await.into_iter().all(|kept| kept));
    }
    assert!(!store.report_follower(&report("another", START + SECOND)).await.unwrap());
    assert!(store.report_follower(&report("follower-7", START + SECOND)).await.unwrap(), "it has its place");
    assert_eq!(followers(&store, START + SECOND).await.len(), MAX_FOLLOWERS);
    // A place is free once a report does not count any more.
    let later = START + FOLLOWER_REPORT_TTL;
    assert!(store.report_follower(&report("another", later)).await.unwrap());
    let left = followers(&store, later).await;
    assert_eq!(left, [report("another", later), report("follower-7", START + SECOND)]);
}
