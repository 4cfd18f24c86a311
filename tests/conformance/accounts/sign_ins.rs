//! Changes that end a user's sign-ins, hash upgrades, and deletion.

use std::collections::HashSet;
use std::sync::Arc;

use super::{START, at, create, hash, key, new_user, row, run_concurrently, set_disabled, set_password, unknown_user};
use signet::id::UserId;
use signet::store::Accounts;
use signet::store::accounts::{Created, Find, NewUser, User};

pub(super) async fn hash_upgrade_needs_the_current_hash(store: Arc<dyn Accounts>) {
    let ada = create(&*store, &new_user("ada")).await;
    let eve = create(&*store, &new_user("eve")).await;
    let none = create(&*store, &NewUser { password_hash: None, ..new_user("bob") }).await;

    assert!(!store.upgrade_hash(ada.id, &hash("another"), &hash("new")).await.unwrap());
    assert!(!store.upgrade_hash(none.id, &hash("bob"), &hash("new")).await.unwrap());
    assert!(!store.upgrade_hash(unknown_user(), &hash("ada"), &hash("new")).await.unwrap());
    assert_eq!(row(&*store, ada.id).await, ada);
    assert_eq!(row(&*store, none.id).await, none);

    assert!(store.upgrade_hash(ada.id, &hash("ada"), &hash("new")).await.unwrap());
    let expected = User { password_hash: Some(hash("new")), ..ada };
    assert_eq!(row(&*store, expected.id).await, expected, "nothing else changed: no session ends");
    assert!(!store.upgrade_hash(expected.id, &hash("ada"), &hash("newer")).await.unwrap());
    assert_eq!(row(&*store, eve.id).await, eve);

    // A password that was changed after the old hash was read stays.
    set_password(&*store, eve.id, &hash("changed"), at(1)).await;
    assert!(!store.upgrade_hash(eve.id, &hash("eve"), &hash("upgraded")).await.unwrap());
    assert_eq!(row(&*store, eve.id).await.password_hash, Some(hash("changed")));
}

pub(super) async fn one_of_many_concurrent_hash_upgrades_wins(store: Arc<dyn Accounts>) {
    let ada = create(&*store, &new_user("ada")).await;
    let results = run_concurrently(50, |number| {
        let store = store.clone();
        let new = hash(&format!("new{number}"));
        async move { store.upgrade_hash(ada.id, &hash("ada"), &new).await.unwrap() }
    })
    .await;
    let winners: Vec<_> = (0..50).filter(|number| results[*number]).collect();
    assert_eq!(winners.len(), 1);
    assert_eq!(row(&*store, ada.id).await.password_hash, Some(hash(&format!("new{}", winners[0]))));
}

pub(super) async fn setting_a_password_ends_sign_ins(store: Arc<dyn Accounts>) {
    let ada = create(&*store, &NewUser { password_hash: None, ..new_user("ada") }).await;
    let eve = create(&*store, &new_user("eve")).await;
    for (step, millis) in [1, 2, 1000, 86_400_000].into_iter().enumerate() {
        let new = hash(&format!("password {step}"));
        let changed = set_password(&*store, ada.id, &new, at(millis)).await;
        let expected =
            User { password_hash: Some(new), sessions_valid_after: at(millis), updated_at: at(millis), ..ada.clone() };
        assert_eq!(changed, expected);
        assert_eq!(row(&*store, ada.id).await, expected);
    }
    assert_eq!(row(&*store, eve.id).await, eve);
}

pub(super) async fn disabling_ends_sign_ins_and_enabling_does_not(store: Arc<dyn Accounts>) {
    let ada = create(&*store, &new_user("ada")).await;
    let eve = create(&*store, &new_user("eve")).await;
    let disabled = set_disabled(&*store, ada.id, true, at(10)).await;
    let expected = User { disabled: true, sessions_valid_after: at(10), updated_at: at(10), ..ada };
    assert_eq!(disabled, expected);
    assert_eq!(row(&*store, ada.id).await, expected);

    let enabled = set_disabled(&*store, ada.id, false, at(20)).await;
    let expected = User { disabled: false, updated_at: at(20), ..expected };
    assert_eq!(enabled, expected, "enabling neither restores nor ends sign-ins");

    set_disabled(&*store, ada.id, true, at(30)).await;
    let again = set_disabled(&*store, ada.id, true, at(30)).await;
    assert_eq!((again.disabled, again.sessions_valid_after), (true, at(31)), "disabling always ends sign-ins");
    assert_eq!(row(&*store, eve.id).await, eve);
}

pub(super) async fn ending_sign_ins_changes_nothing_else(store: Arc<dyn Accounts>) {
    let ada = create(&*store, &new_user("ada")).await;
    let eve = create(&*store, &new_user("eve")).await;
    let ended = store.end_sign_ins(ada.id, at(10)).await.unwrap().unwrap();
    assert_eq!(ended, User { sessions_valid_after: at(10), updated_at: at(10), ..ada });
    assert_eq!(row(&*store, ended.id).await, ended);
    assert_eq!(row(&*store, eve.id).await, eve);
}

pub(super) async fn sign_ins_end_although_the_clock_was_set_back(store: Arc<dyn Accounts>) {
    let ada = create(&*store, &new_user("ada")).await;
    let mut before = ada.sessions_valid_after;
    // At the same moment as the previous change, a little earlier, and far earlier.
    for millis in [0, 0, -1, -3_600_000, -3_600_000, i64::MIN / 4] {
        for way in 0..3 {
            let row = match way {
                0 => set_password(&*store, ada.id, &hash("new"), at(millis)).await,
                1 => set_disabled(&*store, ada.id, true, at(millis)).await,
                _ => store.end_sign_ins(ada.id, at(millis)).await.unwrap().unwrap(),
            };
            let after = row.sessions_valid_after;
            assert_eq!(after.millis(), before.millis() + 1, "{millis} ms, way {way}");
            before = after;
        }
    }
    assert_eq!(store.end_sign_ins(ada.id, at(1000)).await.unwrap().unwrap().sessions_valid_after, at(1000));
}

pub(super) async fn concurrent_changes_get_distinct_valid_after_values(store: Arc<dyn Accounts>) {
    let ada = create(&*store, &new_user("ada")).await;
    let results = run_concurrently(50, |number| {
        let store = store.clone();
        async move {
            let row = match number % 3 {
                0 => set_password(&*store, ada.id, &hash("new"), at(10)).await,
                1 => set_disabled(&*store, ada.id, true, at(10)).await,
                _ => store.end_sign_ins(ada.id, at(10)).await.unwrap().unwrap(),
            };
            row.sessions_valid_after
        }
    })
    .await;
    assert_eq!(results.iter().collect::<HashSet<_>>().len(), 50, "every change gets a value of its own");
    assert_eq!(results.iter().max(), Some(&at(10 + 49)));
    assert_eq!(row(&*store, ada.id).await.sessions_valid_after, at(10 + 49));
}

pub(super) async fn unknown_user_is_not_ended_or_deleted(store: Arc<dyn Accounts>) {
    create(&*store, &new_user("ada")).await;
    assert_eq!(store.end_sign_ins(unknown_user(), at(1)).await.unwrap(), None);
    assert_eq!(store.delete_user(unknown_user(), None, at(1), START).await.unwrap(), None);
    assert_eq!(store.users(0, 10).await.unwrap().len(), 1);
}

pub(super) async fn deleting_a_user_deletes_everything_it_owns(store: Arc<dyn Accounts>) {
    let (ada, eve) = (new_user("ada"), new_user("eve"));
    create(&*store, &ada).await;
    let eve_row = create(&*store, &eve).await;
    let kept = key(&eve, "sk_kept", START);
    assert!(store.create_api_key(&kept, None).await.unwrap());
    // Ada's keys in her own project and in Eve's are deleted with Ada …
    assert!(store.create_api_key(&key(&ada, "sk_1", START), None).await.unwrap());
    assert!(
        store
            .create_api_key(&key(&NewUser { project: eve.project, ..ada.clone() }, "sk_2", START), None)
            .await
            .unwrap()
    );
    // … and Eve's key in Ada's project is deleted with the project.
    assert!(
        store
            .create_api_key(&key(&NewUser { project: ada.project, ..eve.clone() }, "sk_3", START), None)
            .await
            .unwrap()
    );

    assert!(store.delete_user(ada.id, None, at(1), START).await.unwrap().is_some());
    for by in [Find::Id(ada.id), Find::Email(&ada.email), Find::UsernameKey("ada")] {
        assert_eq!(store.user(by).await.unwrap(), None, "{by:?}");
    }
    assert_eq!(store.projects(ada.id).await.unwrap(), Vec::new());
    for prefix in ["sk_1", "sk_2", "sk_3"] {
        assert_eq!(store.api_key(prefix).await.unwrap(), None, "{prefix}");
    }
    assert_eq!(store.api_keys(ada.project, 0, 10).await.unwrap(), (Vec::new(), 0));
    assert_eq!(store.api_keys(eve.project, 0, 10).await.unwrap(), (vec![kept.clone()], 1));
    assert_eq!(store.api_key("sk_kept").await.unwrap(), Some((kept, eve_row)));

    assert_eq!(store.delete_user(ada.id, None, at(1), START).await.unwrap(), None);
    let again = new_user("ada");
    create(&*store, &again).await;
    assert_eq!(
        store.api_keys(again.project, 0, 10).await.unwrap(),
        (Vec::new(), 0),
        "a new user with the name inherits nothing"
    );
}

pub(super) async fn user_is_deleted_once(store: Arc<dyn Accounts>) {
    let ada = create(&*store, &new_user("ada")).await;
    let results = run_concurrently(50, |_| {
        let store = store.clone();
        async move { store.delete_user(ada.id, None, at(1), START).await.unwrap() }
    })
    .await;
    assert_eq!(results.into_iter().flatten().count(), 1);

    // Creation and deletion race: a caller that gets `Created` has a row, the others get the reason.
    let results = run_concurrently(50, |_| {
        let store = store.clone();
        async move {
            match store.create_user(&new_user("eve")).await.unwrap() {
                Created::Created(user) => {
                    usize::from(store.delete_user(user.id, None, at(1), START).await.unwrap().is_some())
                }
                Created::EmailTaken => 0,
                Created::UsernameTaken => panic!("a taken address is reported first"),
            }
        }
    })
    .await;
    assert!(results.iter().sum::<usize>() >= 1);
    assert_eq!(store.users(0, 10).await.unwrap(), Vec::new());
}

/// A user whose sign-ins end at the same moment is deleted before that or not at all.
pub(super) async fn session_that_has_ended_deletes_no_user(store: Arc<dyn Accounts>) {
    let ada = create(&*store, &new_user("ada")).await;
    let ended = store.end_sign_ins(ada.id, at(1)).await.unwrap().expect("the user is there");
    let delete = |user: UserId, valid_after| {
        let store = store.clone();
        async move { store.delete_user(user, Some(valid_after), at(2), START).await.unwrap() }
    };
    assert_eq!(delete(ada.id, ada.sessions_valid_after).await, None);
    assert_eq!(row(&*store, ada.id).await, ended);
    assert_eq!(store.revocations_since(START, None, 10).await.unwrap(), [(ada.id, at(1))]);
    assert_eq!(delete(unknown_user(), ended.sessions_valid_after).await, None);
    assert_eq!(delete(ada.id, ended.sessions_valid_after).await, Some(at(2)));

    let users = run_concurrently(50, |number| {
        let store = store.clone();
        async move {
            let user = create(&*store, &new_user(&format!("eve{number}"))).await;
            let delete = store.delete_user(user.id, Some(user.sessions_valid_after), at(3), START);
            let (deleted, ended) = futures_util::future::join(delete, store.end_sign_ins(user.id, at(3))).await;
            (deleted.unwrap().is_some(), ended.unwrap().is_some())
        }
    })
    .await;
    assert!(users.iter().all(|(deleted, ended)| deleted != ended), "{users:?}");
}

pub(super) async fn check_succeeds(store: Arc<dyn Accounts>) {
    store.check().await.unwrap();
}
