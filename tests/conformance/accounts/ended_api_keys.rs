//! API keys that end with a change of their owner, and new ones that must not outlive it.

use std::sync::Arc;

use super::{MANY, ROUNDS, START, at, create, hash, key, new_user, run_concurrently, set_password, unknown_user};
use signet::store::Accounts;
use signet::store::accounts::{ApiKey, Changed, Changes, NewUser};

pub(super) async fn api_key_needs_its_owner_unchanged(store: Arc<dyn Accounts>) {
    let (ada, eve) = (new_user("ada"), new_user("eve"));
    let before = create(&*store, &ada).await.sessions_valid_after;
    create(&*store, &eve).await;
    assert!(store.create_api_key(&key(&ada, "sk_1", START), Some(before)).await.unwrap());
    let after = set_password(&*store, ada.id, &hash("new"), at(1)).await.sessions_valid_after;
    assert!(!store.create_api_key(&key(&ada, "sk_2", START), Some(before)).await.unwrap());
    assert_eq!(store.api_key("sk_2").await.unwrap(), None);
    assert!(store.create_api_key(&key(&ada, "sk_2", START), Some(after)).await.unwrap());
    assert!(store.create_api_key(&key(&ada, "sk_3", START), None).await.unwrap());
}

/// [`key`] with these scopes.
fn key_with(owner: &NewUser, prefix: &str, scopes: &[&str]) -> ApiKey {
    ApiKey { scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(), ..key(owner, prefix, START) }
}

pub(super) async fn change_ends_api_keys_with_its_scopes(store: Arc<dyn Accounts>) {
    let (ada, eve) = (new_user("ada"), new_user("eve"));
    create(&*store, &ada).await;
    create(&*store, &eve).await;
    let ended = [key_with(&ada, "sk_1", &["read", "one"]), key_with(&ada, "sk_2", &["two", "one"])];
    let kept = [
        key_with(&ada, "sk_3", &[]),
        key_with(&ada, "sk_4", &["on", "one two", "[\"one\"]"]),
        key_with(&eve, "sk_5", &["one"]),
    ];
    for key in ended.iter().chain(&kept) {
        assert!(store.create_api_key(key, None).await.unwrap());
    }
    let project = |key: &ApiKey| key.project;
    let before = key_with(&ada, "sk_0", &["one"]);
    assert!(store.create_api_key(&before, None).await.unwrap());
    store.deactivate_api_key(project(&before), before.id, at(5)).await.unwrap().unwrap();
    let changes = Changes { superuser: Some(false), ends_api_keys_with: &["one", "three"], ..Changes::default() };
    let taken = Changes { email: Some(eve.email.clone()), ..changes.clone() };
    assert_eq!(store.change_user(ada.id, &taken, at(9)).await.unwrap(), Changed::EmailTaken);
    assert!(matches!(store.change_user(ada.id, &changes, at(10)).await.unwrap(), Changed::Changed(_)));
    for key in ended {
        let row = store.api_key(&key.prefix).await.unwrap().unwrap().0;
        assert_eq!(row, ApiKey { deactivated_at: Some(at(10)), updated_at: at(10), ..key });
    }
    for key in kept {
        assert_eq!(store.api_key(&key.prefix).await.unwrap().unwrap().0, key);
    }
    let row = store.api_key("sk_0").await.unwrap().unwrap().0;
    assert_eq!(row.deactivated_at, Some(at(5)), "a key that was deactivated before is not changed");
    let unknown = store.change_user(unknown_user(), &changes, at(11)).await.unwrap();
    assert_eq!(unknown, Changed::NotFound);
}

/// A key is created before the change and ends with it, or it is refused.
pub(super) async fn no_concurrent_api_key_survives_the_change(store: Arc<dyn Accounts>) {
    for round in 0..ROUNDS {
        let ada = new_user(&format!("ada{round}"));
        let valid_after = create(&*store, &ada).await.sessions_valid_after;
        let keys: Vec<_> = (0..MANY).map(|number| key_with(&ada, &format!("sk_{round}_{number}"), &["one"])).collect();
        let created = run_concurrently(MANY, |number| {
            let (store, key, user) = (store.clone(), keys[number].clone(), ada.id);
            async move {
                if number == MANY / 2 {
                    let changes = Changes {
                        password_hash: Some(hash("new")),
                        ends_api_keys_with: &["one"],
                        ..Changes::default()
                    };
                    matches!(store.change_user(user, &changes, at(10)).await.unwrap(), Changed::Changed(_))
                } else {
                    store.create_api_key(&key, Some(valid_after)).await.unwrap()
                }
            }
        })
        .await;
        assert!(created[MANY / 2]);
        for (key, _) in
            keys.iter().zip(created).filter(|(key, created)| *created && key.prefix != keys[MANY / 2].prefix)
        {
            let row = store.api_key(&key.prefix).await.unwrap().unwrap().0;
            assert_eq!(row.deactivated_at, Some(at(10)), "{}", key.prefix);
        }
    }
}
