//! Whose sign-ins were ended, and when: what must outlive the sessions themselves.

use std::sync::Arc;

use super::{at, hash, made, nobody, row, set_disabled, set_password, somebody, together};
use crate::clock::Timestamp;
use crate::id::UserId;
use crate::store::Accounts;
use crate::store::accounts::NewUser;

const ALL: u32 = 1000;
const LONG_AGO: Timestamp = Timestamp::from_millis(0);

/// A deletion that forgets nothing.
async fn delete(store: &dyn Accounts, user: UserId, now: Timestamp) {
    assert!(store.delete_user(user, now, LONG_AGO).await.unwrap());
}

async fn since(store: &dyn Accounts, since: Timestamp) -> Vec<(UserId, Timestamp)> {
    store.ended_since(since, None, ALL).await.unwrap()
}

/// Every ending, read in pages of that size.
async fn in_pages(store: &dyn Accounts, since: Timestamp, limit: u32) -> Vec<(UserId, Timestamp)> {
    let (mut all, mut from, mut after) = (Vec::new(), since, None);
    loop {
        let page = store.ended_since(from, after, limit).await.unwrap();
        assert!(page.len() <= limit as usize);
        match page.last() {
            Some((user, moment)) => (from, after) = (*moment, Some(*user)),
            None => return all,
        }
        all.extend(page);
    }
}

pub(super) async fn who_was_never_ended_is_not_told(store: Arc<dyn Accounts>) {
    let ada = made(&*store, &somebody("ada")).await;
    made(&*store, &NewUser { disabled: true, ..somebody("eve") }).await;
    store.rehash(ada.id, &hash("ada"), &hash("new")).await.unwrap();
    set_disabled(&*store, ada.id, false, at(1)).await;
    assert!(!store.delete_user(nobody(), at(1), LONG_AGO).await.unwrap());
    assert_eq!(since(&*store, LONG_AGO).await, []);
}

pub(super) async fn whatever_ends_sign_ins_is_told(store: Arc<dyn Accounts>) {
    let (ada, bob, eve) = (somebody("ada"), somebody("bob"), somebody("eve"));
    for user in [&ada, &bob, &eve] {
        made(&*store, user).await;
    }
    set_disabled(&*store, eve.id, true, at(30)).await;
    set_password(&*store, ada.id, &hash("new"), at(10)).await;
    store.end_sign_ins(bob.id, at(20)).await.unwrap();
    let expected = [(ada.id, at(10)), (bob.id, at(20)), (eve.id, at(30))];
    assert_eq!(since(&*store, LONG_AGO).await, expected, "the oldest first");
    assert_eq!(since(&*store, at(10)).await, expected, "those of the moment itself are told");
    assert_eq!(since(&*store, at(11)).await, expected[1..]);
    assert_eq!(since(&*store, at(31)).await, []);

    // Ended again, it is told once, and later.
    set_password(&*store, ada.id, &hash("newer"), at(40)).await;
    assert_eq!(since(&*store, LONG_AGO).await, [expected[1], expected[2], (ada.id, at(40))]);
    // The moment is the row's, also where the clock was set back.
    store.end_sign_ins(ada.id, at(-1000)).await.unwrap();
    let ended = row(&*store, ada.id).await.sessions_valid_after;
    assert_eq!(ended, at(41));
    assert_eq!(since(&*store, at(41)).await, [(ada.id, ended)]);
    // Enabling takes nothing back.
    set_disabled(&*store, eve.id, false, at(50)).await;
    assert_eq!(since(&*store, LONG_AGO).await, [expected[1], expected[2], (ada.id, at(41))]);
}

pub(super) async fn a_user_who_is_gone_is_told(store: Arc<dyn Accounts>) {
    let (ada, bob, eve) = (somebody("ada"), somebody("bob"), somebody("eve"));
    for user in [&ada, &bob, &eve] {
        made(&*store, user).await;
    }
    set_disabled(&*store, ada.id, true, at(10)).await;
    delete(&*store, ada.id, at(20)).await;
    delete(&*store, bob.id, at(15)).await;
    // By a clock that is behind: not before what the row had said.
    store.end_sign_ins(eve.id, at(100)).await.unwrap();
    delete(&*store, eve.id, at(30)).await;
    assert_eq!(since(&*store, LONG_AGO).await, [(bob.id, at(15)), (ada.id, at(20)), (eve.id, at(100))]);
    assert_eq!(since(&*store, at(16)).await, [(ada.id, at(20)), (eve.id, at(100))]);
}

pub(super) async fn who_is_made_again_and_goes_again_is_told_once(store: Arc<dyn Accounts>) {
    let ada = somebody("ada");
    for moment in [20, 30, 25] {
        made(&*store, &ada).await;
        delete(&*store, ada.id, at(moment)).await;
    }
    assert_eq!(since(&*store, LONG_AGO).await, [(ada.id, at(30))]);
    // An import may bring back the same id: what was ended before stays ended.
    made(&*store, &ada).await;
    assert_eq!(since(&*store, LONG_AGO).await, [(ada.id, at(30))]);
    // Its own old note is not what a deletion forgets.
    assert!(store.delete_user(ada.id, at(40), at(35)).await.unwrap());
    assert_eq!(since(&*store, LONG_AGO).await, [(ada.id, at(40))]);
}

pub(super) async fn endings_come_in_pages(store: Arc<dyn Accounts>) {
    let mut expected = Vec::new();
    for number in 0..23 {
        let user = somebody(&format!("user{number}"));
        made(&*store, &user).await;
        // Some of each kind at one moment, some alone.
        let moment = at(1 + number / 3);
        match number % 2 {
            0 => delete(&*store, user.id, moment).await,
            _ => _ = store.end_sign_ins(user.id, moment).await.unwrap(),
        }
        expected.push((user.id, moment));
    }
    expected.sort_by_key(|(user, moment)| (*moment, *user));
    for limit in [1, 2, 3, 7, 23, ALL] {
        assert_eq!(in_pages(&*store, LONG_AGO, limit).await, expected, "{limit} at once");
    }
    assert_eq!(in_pages(&*store, at(4), 2).await, expected[9..]);
}

pub(super) async fn endings_of_one_moment_come_in_pages(store: Arc<dyn Accounts>) {
    let mut expected = Vec::new();
    for number in 0..12 {
        let user = somebody(&format!("user{number}"));
        made(&*store, &user).await;
        match number % 2 {
            0 => delete(&*store, user.id, at(1)).await,
            _ => _ = store.end_sign_ins(user.id, at(1)).await.unwrap(),
        }
        expected.push((user.id, at(1)));
    }
    expected.sort();
    assert_eq!(in_pages(&*store, at(1), 5).await, expected);
    let rest = store.ended_since(at(1), Some(expected[4].0), ALL).await.unwrap();
    assert_eq!(rest, expected[5..]);
}

pub(super) async fn old_deletions_are_forgotten(store: Arc<dyn Accounts>) {
    let users: Vec<_> = (0..4).map(|number| somebody(&format!("user{number}"))).collect();
    for user in &users {
        made(&*store, user).await;
    }
    store.end_sign_ins(users[3].id, at(1)).await.unwrap();
    delete(&*store, users[0].id, at(10)).await;
    delete(&*store, users[1].id, at(20)).await;
    assert!(store.delete_user(users[2].id, at(30), at(20)).await.unwrap());
    let kept = [(users[3].id, at(1)), (users[1].id, at(20)), (users[2].id, at(30))];
    assert_eq!(since(&*store, LONG_AGO).await, kept, "a row is no note: what it says stays");
}

pub(super) async fn a_deletion_is_told_once_it_is_seen(store: Arc<dyn Accounts>) {
    let mut users = Vec::new();
    for number in 0..30 {
        users.push(made(&*store, &somebody(&format!("user{number}"))).await.id);
    }
    let (deleted, forget) = (users.clone(), at(-1));
    let told = together(30, |which| {
        let (store, user) = (store.clone(), deleted[which]);
        async move {
            assert!(store.delete_user(user, at(which as i64), forget).await.unwrap());
            store.ended_since(LONG_AGO, None, ALL).await.unwrap().contains(&(user, at(which as i64)))
        }
    })
    .await;
    assert!(told.into_iter().all(|told| told));
    let mut told: Vec<_> = since(&*store, LONG_AGO).await.into_iter().map(|(user, _)| user).collect();
    told.sort();
    users.sort();
    assert_eq!(told, users);
}
