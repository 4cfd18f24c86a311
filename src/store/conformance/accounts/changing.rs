//! What changes a user, above all what ends its sign-ins, and what deletes one.

use std::collections::HashSet;
use std::sync::Arc;

use super::{START, at, hash, key, made, nobody, row, set_disabled, set_password, somebody, together};
use crate::store::Accounts;
use crate::store::accounts::{Created, Find, NewUser, User};

pub(super) async fn a_hash_is_replaced_if_it_still_is_the_old_one(store: Arc<dyn Accounts>) {
    let ada = made(&*store, &somebody("ada")).await;
    let eve = made(&*store, &somebody("eve")).await;
    let none = made(&*store, &NewUser { password_hash: None, ..somebody("bob") }).await;

    assert!(!store.rehash(ada.id, &hash("another"), &hash("new")).await.unwrap());
    assert!(!store.rehash(none.id, &hash("bob"), &hash("new")).await.unwrap());
    assert!(!store.rehash(nobody(), &hash("ada"), &hash("new")).await.unwrap());
    assert_eq!(row(&*store, ada.id).await, ada);
    assert_eq!(row(&*store, none.id).await, none);

    assert!(store.rehash(ada.id, &hash("ada"), &hash("new")).await.unwrap());
    let expected = User { password_hash: Some(hash("new")), ..ada };
    assert_eq!(row(&*store, expected.id).await, expected, "nothing else changed: no session ends");
    assert!(!store.rehash(expected.id, &hash("ada"), &hash("newer")).await.unwrap());
    assert_eq!(row(&*store, eve.id).await, eve);

    // A password that was changed between the look at the old hash and the upgrade stays.
    set_password(&*store, eve.id, &hash("changed"), at(1)).await;
    assert!(!store.rehash(eve.id, &hash("eve"), &hash("upgraded")).await.unwrap());
    assert_eq!(row(&*store, eve.id).await.password_hash, Some(hash("changed")));
}

pub(super) async fn a_hash_is_replaced_by_one_of_many(store: Arc<dyn Accounts>) {
    let ada = made(&*store, &somebody("ada")).await;
    let answers = together(50, |which| {
        let store = store.clone();
        let new = hash(&format!("new{which}"));
        async move { store.rehash(ada.id, &hash("ada"), &new).await.unwrap() }
    })
    .await;
    let winners: Vec<_> = (0..50).filter(|which| answers[*which]).collect();
    assert_eq!(winners.len(), 1);
    assert_eq!(row(&*store, ada.id).await.password_hash, Some(hash(&format!("new{}", winners[0]))));
}

pub(super) async fn a_password_is_set_and_ends_the_sign_ins(store: Arc<dyn Accounts>) {
    let ada = made(&*store, &NewUser { password_hash: None, ..somebody("ada") }).await;
    let eve = made(&*store, &somebody("eve")).await;
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

pub(super) async fn disabling_ends_the_sign_ins_and_enabling_does_not(store: Arc<dyn Accounts>) {
    let ada = made(&*store, &somebody("ada")).await;
    let eve = made(&*store, &somebody("eve")).await;
    let disabled = set_disabled(&*store, ada.id, true, at(10)).await;
    let expected = User { disabled: true, sessions_valid_after: at(10), updated_at: at(10), ..ada };
    assert_eq!(disabled, expected);
    assert_eq!(row(&*store, ada.id).await, expected);

    let enabled = set_disabled(&*store, ada.id, false, at(20)).await;
    let expected = User { disabled: false, updated_at: at(20), ..expected };
    assert_eq!(enabled, expected, "what was ended stays ended, and nothing more ends");

    set_disabled(&*store, ada.id, true, at(30)).await;
    let again = set_disabled(&*store, ada.id, true, at(30)).await;
    assert_eq!((again.disabled, again.sessions_valid_after), (true, at(31)), "disabling always ends what there is");
    assert_eq!(row(&*store, eve.id).await, eve);
}

pub(super) async fn sign_ins_are_ended_alone(store: Arc<dyn Accounts>) {
    let ada = made(&*store, &somebody("ada")).await;
    let eve = made(&*store, &somebody("eve")).await;
    let ended = store.end_sign_ins(ada.id, at(10)).await.unwrap().unwrap();
    assert_eq!(ended, User { sessions_valid_after: at(10), updated_at: at(10), ..ada });
    assert_eq!(row(&*store, ended.id).await, ended);
    assert_eq!(row(&*store, eve.id).await, eve);
}

pub(super) async fn a_clock_that_steps_back_ends_sign_ins_too(store: Arc<dyn Accounts>) {
    let ada = made(&*store, &somebody("ada")).await;
    let mut before = ada.sessions_valid_after;
    // At the same moment as the one before, a little back, and far back.
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

pub(super) async fn every_change_at_once_ends_sign_ins_of_its_own(store: Arc<dyn Accounts>) {
    let ada = made(&*store, &somebody("ada")).await;
    let answers = together(50, |which| {
        let store = store.clone();
        async move {
            let row = match which % 3 {
                0 => set_password(&*store, ada.id, &hash("new"), at(10)).await,
                1 => set_disabled(&*store, ada.id, true, at(10)).await,
                _ => store.end_sign_ins(ada.id, at(10)).await.unwrap().unwrap(),
            };
            row.sessions_valid_after
        }
    })
    .await;
    assert_eq!(answers.iter().collect::<HashSet<_>>().len(), 50, "no two changes share a value");
    assert_eq!(answers.iter().max(), Some(&at(10 + 49)));
    assert_eq!(row(&*store, ada.id).await.sessions_valid_after, at(10 + 49));
}

pub(super) async fn what_is_not_there_is_not_changed(store: Arc<dyn Accounts>) {
    made(&*store, &somebody("ada")).await;
    assert_eq!(store.end_sign_ins(nobody(), at(1)).await.unwrap(), None);
    assert!(!store.delete_user(nobody(), at(1), START).await.unwrap());
    assert_eq!(store.users(0, 10).await.unwrap().len(), 1);
}

pub(super) async fn a_user_goes_with_all_it_had(store: Arc<dyn Accounts>) {
    let (ada, eve) = (somebody("ada"), somebody("eve"));
    made(&*store, &ada).await;
    let eve_row = made(&*store, &eve).await;
    let kept = key(&eve, "sk_kept", START);
    assert!(store.create_api_key(&kept).await.unwrap());
    // Ada's key in her own project, hers in Eve's, and Eve's in Ada's: only the first two are of what Ada had…
    assert!(store.create_api_key(&key(&ada, "sk_1", START)).await.unwrap());
    assert!(store.create_api_key(&key(&NewUser { project: eve.project, ..ada.clone() }, "sk_2", START)).await.unwrap());
    // … and the third goes with the project it belongs to.
    assert!(store.create_api_key(&key(&NewUser { project: ada.project, ..eve.clone() }, "sk_3", START)).await.unwrap());

    assert!(store.delete_user(ada.id, at(1), START).await.unwrap());
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

    assert!(!store.delete_user(ada.id, at(1), START).await.unwrap());
    let again = somebody("ada");
    made(&*store, &again).await;
    assert_eq!(store.api_keys(again.project, 0, 10).await.unwrap(), (Vec::new(), 0), "nothing is inherited by name");
}

pub(super) async fn a_user_goes_once(store: Arc<dyn Accounts>) {
    let ada = made(&*store, &somebody("ada")).await;
    let answers = together(50, |_| {
        let store = store.clone();
        async move { store.delete_user(ada.id, at(1), START).await.unwrap() }
    })
    .await;
    assert_eq!(answers.into_iter().filter(|gone| *gone).count(), 1);

    // Making and deleting at once: whoever is told `Created` has a row, whoever is not can be told why.
    let answers = together(50, |_| {
        let store = store.clone();
        async move {
            match store.create_user(&somebody("eve")).await.unwrap() {
                Created::Created(user) => usize::from(store.delete_user(user.id, at(1), START).await.unwrap()),
                Created::EmailTaken => 0,
                Created::UsernameTaken => panic!("the address goes before the username"),
            }
        }
    })
    .await;
    assert!(answers.iter().sum::<usize>() >= 1);
    assert_eq!(store.users(0, 10).await.unwrap(), Vec::new());
}

pub(super) async fn the_store_answers(store: Arc<dyn Accounts>) {
    store.check().await.unwrap();
}
