//! Listing the users whose sign-ins were ended, and when, which must outlive the sessions themselves.

use std::sync::Arc;

use super::{at, create, hash, new_user, row, run_concurrently, set_disabled, set_password, unknown_user};
use signet::clock::Timestamp;
use signet::id::UserId;
use signet::store::Accounts;
use signet::store::accounts::NewUser;

const ALL: u32 = 1000;
const LONG_AGO: Timestamp = Timestamp::from_millis(0);

/// Deletes a user without forgetting older deletions.
async fn delete(store: &dyn Accounts, user: UserId, now: Timestamp) {
    assert!(store.delete_user(user, None, now, LONG_AGO).await.unwrap().is_some());
}

async fn since(store: &dyn Accounts, since: Timestamp) -> Vec<(UserId, Timestamp)> {
    store.revocations_since(since, None, ALL).await.unwrap()
}

/// Lists all ended users in pages of `limit`.
async fn list_in_pages(store: &dyn Accounts, since: Timestamp, limit: u32) -> Vec<(UserId, Timestamp)> {
    let (mut all, mut from, mut after) = (Vec::new(), since, None);
    loop {
        let page = store.revocations_since(from, after, limit).await.unwrap();
        assert!(page.len() <= limit as usize);
        match page.last() {
            Some((user, moment)) => (from, after) = (*moment, Some(*user)),
            None => return all,
        }
        all.extend(page);
    }
}

pub(super) async fn user_never_ended_is_not_listed(store: Arc<dyn Accounts>) {
    let ada = create(&*store, &new_user("ada")).await;
    create(&*store, &NewUser { disabled: true, ..new_user("eve") }).await;
    store.upgrade_hash(ada.id, &hash("ada"), &hash("new")).await.unwrap();
    set_disabled(&*store, ada.id, false, at(1)).await;
    assert_eq!(store.delete_user(unknown_user(), None, at(1), LONG_AGO).await.unwrap(), None);
    assert_eq!(since(&*store, LONG_AGO).await, []);
}

pub(super) async fn every_end_of_sign_ins_is_listed(store: Arc<dyn Accounts>) {
    let (ada, bob, eve) = (new_user("ada"), new_user("bob"), new_user("eve"));
    for user in [&ada, &bob, &eve] {
        create(&*store, user).await;
    }
    set_disabled(&*store, eve.id, true, at(30)).await;
    set_password(&*store, ada.id, &hash("new"), at(10)).await;
    store.end_sign_ins(bob.id, at(20)).await.unwrap();
    let expected = [(ada.id, at(10)), (bob.id, at(20)), (eve.id, at(30))];
    assert_eq!(since(&*store, LONG_AGO).await, expected, "oldest first");
    assert_eq!(since(&*store, at(10)).await, expected, "users of the moment itself are listed");
    assert_eq!(since(&*store, at(11)).await, expected[1..]);
    assert_eq!(since(&*store, at(31)).await, []);

    // A user ended again is listed once, with the later timestamp.
    set_password(&*store, ada.id, &hash("newer"), at(40)).await;
    assert_eq!(since(&*store, LONG_AGO).await, [expected[1], expected[2], (ada.id, at(40))]);
    // The timestamp is that of the row, even if the clock was set back.
    store.end_sign_ins(ada.id, at(-1000)).await.unwrap();
    let ended = row(&*store, ada.id).await.sessions_valid_after;
    assert_eq!(ended, at(41));
    assert_eq!(since(&*store, at(41)).await, [(ada.id, ended)]);
    // Enabling a user does not remove it from the list.
    set_disabled(&*store, eve.id, false, at(50)).await;
    assert_eq!(since(&*store, LONG_AGO).await, [expected[1], expected[2], (ada.id, at(41))]);
}

pub(super) async fn deleted_user_is_listed(store: Arc<dyn Accounts>) {
    let (ada, bob, eve) = (new_user("ada"), new_user("bob"), new_user("eve"));
    for user in [&ada, &bob, &eve] {
        create(&*store, user).await;
    }
    set_disabled(&*store, ada.id, true, at(10)).await;
    delete(&*store, ada.id, at(20)).await;
    delete(&*store, bob.id, at(15)).await;
    // Deleted by a clock that is behind: later than the value in the row, which a sign-in may have read.
    store.end_sign_ins(eve.id, at(100)).await.unwrap();
    assert_eq!(store.delete_user(eve.id, None, at(30), LONG_AGO).await.unwrap(), Some(at(101)));
    assert_eq!(since(&*store, LONG_AGO).await, [(bob.id, at(15)), (ada.id, at(20)), (eve.id, at(101))]);
    assert_eq!(since(&*store, at(16)).await, [(ada.id, at(20)), (eve.id, at(101))]);
}

pub(super) async fn user_deleted_twice_is_listed_once(store: Arc<dyn Accounts>) {
    let ada = new_user("ada");
    for moment in [20, 30, 25] {
        create(&*store, &ada).await;
        delete(&*store, ada.id, at(moment)).await;
    }
    assert_eq!(since(&*store, LONG_AGO).await, [(ada.id, at(30))]);
    // An import may create the same id again. The earlier end stays listed.
    create(&*store, &ada).await;
    assert_eq!(since(&*store, LONG_AGO).await, [(ada.id, at(30))]);
    // A deletion does not forget the earlier deletion of the same user.
    assert!(store.delete_user(ada.id, None, at(40), at(35)).await.unwrap().is_some());
    assert_eq!(since(&*store, LONG_AGO).await, [(ada.id, at(40))]);
}

pub(super) async fn ended_users_are_listed_in_pages(store: Arc<dyn Accounts>) {
    let mut expected = Vec::new();
    for number in 0..23 {
        let user = new_user(&format!("user{number}"));
        create(&*store, &user).await;
        // Deleted and ended users, some at the same moment.
        let moment = at(1 + number / 3);
        match number % 2 {
            0 => delete(&*store, user.id, moment).await,
            _ => _ = store.end_sign_ins(user.id, moment).await.unwrap(),
        }
        expected.push((user.id, moment));
    }
    expected.sort_by_key(|(user, moment)| (*moment, *user));
    for limit in [1, 2, 3, 7, 23, ALL] {
        assert_eq!(list_in_pages(&*store, LONG_AGO, limit).await, expected, "{limit} at once");
    }
    assert_eq!(list_in_pages(&*store, at(4), 2).await, expected[9..]);
}

pub(super) async fn users_ended_at_one_moment_are_listed_in_pages(store: Arc<dyn Accounts>) {
    let mut expected = Vec::new();
    for number in 0..12 {
        let user = new_user(&format!("user{number}"));
        create(&*store, &user).await;
        match number % 2 {
            0 => delete(&*store, user.id, at(1)).await,
            _ => _ = store.end_sign_ins(user.id, at(1)).await.unwrap(),
        }
        expected.push((user.id, at(1)));
    }
    expected.sort();
    assert_eq!(list_in_pages(&*store, at(1), 5).await, expected);
    let rest = store.revocations_since(at(1), Some(expected[4].0), ALL).await.unwrap();
    assert_eq!(rest, expected[5..]);
}

pub(super) async fn old_deletions_are_forgotten(store: Arc<dyn Accounts>) {
    let users: Vec<_> = (0..4).map(|number| new_user(&format!("user{number}"))).collect();
    for user in &users {
        create(&*store, user).await;
    }
    store.end_sign_ins(users[3].id, at(1)).await.unwrap();
    delete(&*store, users[0].id, at(10)).await;
    delete(&*store, users[1].id, at(20)).await;
    assert!(store.delete_user(users[2].id, None, at(30), at(20)).await.unwrap().is_some());
    let kept = [(users[3].id, at(1)), (users[1].id, at(20)), (users[2].id, at(30))];
    assert_eq!(since(&*store, LONG_AGO).await, kept, "a row is no note: what it says stays");
}

pub(super) async fn deletion_is_listed_as_soon_as_it_returns(store: Arc<dyn Accounts>) {
    let mut users = Vec::new();
    for number in 0..30 {
        users.push(create(&*store, &new_user(&format!("user{number}"))).await.id);
    }
    let (deleted, forget) = (users.clone(), at(-1));
    let listed = run_concurrently(30, |number| {
        let (store, user) = (store.clone(), deleted[number]);
        async move {
            let ended_at = store.delete_user(user, None, at(number as i64), forget).await.unwrap().unwrap();
            store.revocations_since(LONG_AGO, None, ALL).await.unwrap().contains(&(user, ended_at))
        }
    })
    .await;
    assert!(listed.into_iter().all(|listed| listed));
    let mut listed: Vec<_> = since(&*store, LONG_AGO).await.into_iter().map(|(user, _)| user).collect();
    listed.sort();
    users.sort();
    assert_eq!(listed, users);
}
