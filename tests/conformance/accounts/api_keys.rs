//! Creating, finding, listing and deactivating API keys, and recording their last use.

use std::collections::HashSet;
use std::sync::Arc;

use super::{START, at, create, key, new_user, row, run_concurrently, set_disabled, unknown_project, unknown_user};
use signet::id::{ApiKeyId, ProjectId};
use signet::rng::Rng;
use signet::store::Accounts;
use signet::store::accounts::{ApiKey, ApiKeyOrder, NewUser};

pub(super) async fn api_key_is_read_back_as_created(store: Arc<dyn Accounts>) {
    let ada = new_user("ada");
    let owner = create(&*store, &ada).await;
    let full = ApiKey {
        last_used_at: Some(at(3)),
        expires_at: Some(at(4)),
        deactivated_at: Some(at(5)),
        updated_at: at(6),
        ..key(&ada, "sk_full", at(2))
    };
    let bare = ApiKey { scopes: Vec::new(), expires_at: None, name: String::new(), ..key(&ada, "sk_bare", at(1)) };
    for given in [&full, &bare] {
        assert!(store.create_api_key(given, None).await.unwrap());
        assert_eq!(store.api_key(&given.prefix).await.unwrap(), Some((given.clone(), owner.clone())));
    }
    assert_eq!(store.api_keys(ada.project, 0, 10).await.unwrap(), (vec![full, bare], 2));
    for absent in ["", "sk", "SK_FULL", "sk_full "] {
        assert_eq!(store.api_key(absent).await.unwrap(), None, "{absent:?}");
    }
}

pub(super) async fn api_key_comes_with_its_current_owner(store: Arc<dyn Accounts>) {
    let (ada, eve) = (new_user("ada"), new_user("eve"));
    create(&*store, &ada).await;
    create(&*store, &eve).await;
    // A key of Ada in Eve's project acts as Ada.
    let key = key(&NewUser { project: eve.project, ..ada.clone() }, "sk_1", START);
    assert!(store.create_api_key(&key, None).await.unwrap());
    let disabled = set_disabled(&*store, ada.id, true, at(10)).await;
    assert!(disabled.disabled);
    assert_eq!(store.api_key("sk_1").await.unwrap(), Some((key, disabled)));
}

pub(super) async fn many_api_keys_are_found_in_one_call(store: Arc<dyn Accounts>) {
    let (ada, eve) = (new_user("ada"), new_user("eve"));
    let owners = [create(&*store, &ada).await, create(&*store, &eve).await];
    let mut expected = Vec::new();
    for number in 0..100 {
        let owner = number % 2;
        let key = key([&ada, &eve][owner], &format!("sk_{number:03}"), at(number as i64));
        assert!(store.create_api_key(&key, None).await.unwrap());
        expected.push((key, owners[owner].clone()));
    }
    assert_eq!(store.api_keys_by_prefix(&[]).await.unwrap(), []);
    assert_eq!(store.api_keys_by_prefix(&["sk_absent", "", "sk_\0"]).await.unwrap(), []);
    // Existing and unknown prefixes, some of them twice.
    let names: Vec<_> = (20..120).chain(0..40).map(|number| format!("sk_{number:03}")).collect();
    let prefixes: Vec<_> = names.iter().map(String::as_str).chain(["sk_\0", "SK_001", "sk_001 "]).collect();
    let mut found = store.api_keys_by_prefix(&prefixes).await.unwrap();
    found.sort_by(|one, other| one.0.prefix.cmp(&other.0.prefix));
    assert_eq!(found, expected);
}

pub(super) async fn prefix_has_one_api_key(store: Arc<dyn Accounts>) {
    let (ada, eve) = (new_user("ada"), new_user("eve"));
    create(&*store, &ada).await;
    create(&*store, &eve).await;
    let results = run_concurrently(50, |number| {
        let store = store.clone();
        let key = key(if number % 2 == 0 { &ada } else { &eve }, "sk_1", at(number as i64));
        async move { store.create_api_key(&key, None).await.unwrap().then_some(key) }
    })
    .await;
    let stored: Vec<_> = results.into_iter().flatten().collect();
    assert_eq!(stored.len(), 1);
    assert_eq!(store.api_key("sk_1").await.unwrap().map(|(key, _)| key).as_ref(), stored.first());
    let (of_ada, of_eve) =
        (store.api_keys(ada.project, 0, 10).await.unwrap(), store.api_keys(eve.project, 0, 10).await.unwrap());
    assert_eq!(of_ada.1 + of_eve.1, 1);

    let after = ApiKey { deactivated_at: Some(at(1)), ..key(&ada, "sk_2", START) };
    assert!(store.create_api_key(&after, None).await.unwrap());
    assert!(
        !store.create_api_key(&key(&ada, "sk_2", START), None).await.unwrap(),
        "a deactivated key keeps its prefix"
    );
}

pub(super) async fn api_key_needs_its_user_and_project(store: Arc<dyn Accounts>) {
    let (ada, eve) = (new_user("ada"), new_user("eve"));
    create(&*store, &ada).await;
    create(&*store, &eve).await;
    for refused in [
        NewUser { id: unknown_user(), ..ada.clone() },
        NewUser { project: unknown_project(), ..ada.clone() },
        NewUser { id: unknown_user(), project: unknown_project(), ..ada.clone() },
    ] {
        assert!(!store.create_api_key(&key(&refused, "sk_1", START), None).await.unwrap());
        assert_eq!(store.api_key("sk_1").await.unwrap(), None);
    }
    assert!(store.delete_user(eve.id, None, at(1), START).await.unwrap().is_some());
    assert!(!store.create_api_key(&key(&eve, "sk_1", START), None).await.unwrap());

    // During the deletion of the user: a key that was created is deleted with it, and no caller gets an error.
    run_concurrently(50, |number| {
        let (store, ada) = (store.clone(), ada.clone());
        async move {
            if number == 25 {
                assert!(store.delete_user(ada.id, None, at(1), START).await.unwrap().is_some());
            } else {
                store.create_api_key(&key(&ada, &format!("sk_{number}"), START), None).await.unwrap();
            }
        }
    })
    .await;
    assert_eq!(store.api_keys(ada.project, 0, 100).await.unwrap(), (Vec::new(), 0));
}

pub(super) async fn api_keys_of_a_user_are_listed_newest_first(store: Arc<dyn Accounts>) {
    let (ada, eve) = (new_user("ada"), new_user("eve"));
    create(&*store, &ada).await;
    create(&*store, &eve).await;
    let other = ProjectId::new(START, &Rng::system());
    assert!(store.create_project(ada.id, other, "Other", START).await.unwrap());
    let stored = [
        key(&ada, "sk_one", at(1)),
        ApiKey { project: other, ..key(&ada, "sk_three", at(3)) },
        ApiKey { deactivated_at: Some(at(9)), ..key(&ada, "sk_two", at(2)) },
    ];
    for key in stored.iter().chain([&key(&eve, "sk_eve", at(4))]) {
        assert!(store.create_api_key(key, None).await.unwrap());
    }
    let newest_first = [stored[1].clone(), stored[2].clone(), stored[0].clone()];
    assert_eq!(store.api_keys_of_user(ada.id, 10).await.unwrap(), newest_first);
    assert_eq!(store.api_keys_of_user(ada.id, 2).await.unwrap(), newest_first[..2]);
    assert_eq!(store.api_keys_of_user(unknown_user(), 10).await.unwrap(), []);
    for (user, count) in [(ada.id, 2), (eve.id, 1), (unknown_user(), 0)] {
        assert_eq!(store.count_api_keys_of_user(user).await.unwrap(), count, "without those that are deactivated");
    }
}

pub(super) async fn all_api_keys_are_listed_in_both_orders(store: Arc<dyn Accounts>) {
    let (ada, eve) = (new_user("ada"), new_user("eve"));
    let owners = [create(&*store, &ada).await, create(&*store, &eve).await];
    let mut stored = Vec::new();
    for (owner, millis, used) in
        [(0, 1, None), (1, 2, Some(at(7))), (0, 3, Some(at(5))), (1, 4, None), (0, 5, Some(at(7)))]
    {
        let owner_row = [&ada, &eve][owner];
        let row = ApiKey { last_used_at: used, ..key(owner_row, &format!("sk_{millis}"), at(millis)) };
        assert!(store.create_api_key(&row, None).await.unwrap());
        stored.push((row, owners[owner].clone()));
    }
    for (order, expected) in [(ApiKeyOrder::Created, [4, 3, 2, 1, 0]), (ApiKeyOrder::LastUsed, [4, 1, 2, 3, 0])] {
        let expected: Vec<_> = expected.into_iter().map(|index| stored[index].clone()).collect();
        for limit in [1, 2, 5, 100] {
            let (mut listed, mut after) = (Vec::new(), None);
            loop {
                let page = store.all_api_keys(order, after, limit).await.unwrap();
                assert!(page.len() <= limit as usize);
                after = page.last().map(|(key, _)| order.position(key));
                listed.extend(page);
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(listed, expected, "{order:?}, {limit}");
        }
    }
}

pub(super) async fn api_key_is_found_by_its_id(store: Arc<dyn Accounts>) {
    let ada = new_user("ada");
    let owner = create(&*store, &ada).await;
    let stored = key(&ada, "sk_ada", at(1));
    assert!(store.create_api_key(&stored, None).await.unwrap());
    assert_eq!(store.api_key_by_id(stored.id).await.unwrap(), Some((stored.clone(), owner)));
    assert_eq!(store.api_key_by_id(ApiKeyId(stored.project.0)).await.unwrap(), None);
}

pub(super) async fn api_keys_are_listed_newest_first_in_pages(store: Arc<dyn Accounts>) {
    let (ada, eve) = (new_user("ada"), new_user("eve"));
    create(&*store, &ada).await;
    create(&*store, &eve).await;
    assert!(store.create_api_key(&key(&eve, "sk_eve", at(3)), None).await.unwrap());
    let mut newest_first = Vec::new();
    // Created in an order that is not that of their timestamps.
    for millis in [3, 1, 7, 5, 2, 6, 4] {
        let mut stored = key(&ada, &format!("sk_{millis}"), at(millis));
        stored.deactivated_at = (millis == 4).then(|| at(100));
        assert!(store.create_api_key(&stored, None).await.unwrap());
        newest_first.push(stored);
    }
    newest_first.sort_by_key(|key| std::cmp::Reverse(key.created_at));
    let page = async |skip, limit| store.api_keys(ada.project, skip, limit).await.unwrap();
    assert_eq!(page(0, 100).await, (newest_first.clone(), 7));
    assert_eq!(page(0, 3).await, (newest_first[..3].to_vec(), 7));
    assert_eq!(page(3, 3).await, (newest_first[3..6].to_vec(), 7));
    assert_eq!(page(6, 3).await, (newest_first[6..].to_vec(), 7));
    for (skip, limit) in [(7, 3), (u32::MAX, u32::MAX), (0, 0), (3, 0)] {
        assert_eq!(page(skip, limit).await, (Vec::new(), 7), "skip {skip}, limit {limit}: the number stays");
    }
    assert_eq!(page(0, u32::MAX).await.0.len(), 7);
    assert_eq!(store.api_keys(unknown_project(), 0, 10).await.unwrap(), (Vec::new(), 0));
}

pub(super) async fn api_keys_of_one_moment_are_each_listed_once(store: Arc<dyn Accounts>) {
    let ada = new_user("ada");
    create(&*store, &ada).await;
    for number in 0..20 {
        assert!(store.create_api_key(&key(&ada, &format!("sk_{number}"), START), None).await.unwrap());
    }
    let mut seen = HashSet::new();
    for page in 0..7 {
        for key in store.api_keys(ada.project, page * 3, 3).await.unwrap().0 {
            assert!(seen.insert(key.id), "{} came twice", key.prefix);
        }
    }
    assert_eq!(seen.len(), 20);
}

pub(super) async fn api_key_is_deactivated_once(store: Arc<dyn Accounts>) {
    let ada = new_user("ada");
    let owner = create(&*store, &ada).await;
    let given = key(&ada, "sk_1", START);
    assert!(store.create_api_key(&given, None).await.unwrap());
    let deactivated = ApiKey { deactivated_at: Some(at(10)), updated_at: at(10), ..given.clone() };
    for millis in [10, 20, 5] {
        let result = store.deactivate_api_key(ada.project, given.id, at(millis)).await.unwrap();
        assert_eq!(result.as_ref(), Some(&deactivated), "the first timestamp stays");
    }
    assert_eq!(store.api_key("sk_1").await.unwrap(), Some((deactivated.clone(), owner)));
    assert_eq!(store.api_keys(ada.project, 0, 10).await.unwrap(), (vec![deactivated], 1));

    let raced = key(&ada, "sk_2", START);
    assert!(store.create_api_key(&raced, None).await.unwrap());
    let results = run_concurrently(50, |number| {
        let (store, project, id) = (store.clone(), ada.project, raced.id);
        async move { store.deactivate_api_key(project, id, at(number as i64)).await.unwrap().unwrap() }
    })
    .await;
    assert!(results.iter().all(|result| *result == results[0]), "all callers get the same timestamp");
}

pub(super) async fn api_key_is_deactivated_only_by_its_project(store: Arc<dyn Accounts>) {
    let (ada, eve) = (new_user("ada"), new_user("eve"));
    let owner = create(&*store, &ada).await;
    create(&*store, &eve).await;
    let given = key(&ada, "sk_1", START);
    assert!(store.create_api_key(&given, None).await.unwrap());
    assert_eq!(store.deactivate_api_key(eve.project, given.id, at(1)).await.unwrap(), None);
    assert_eq!(store.deactivate_api_key(unknown_project(), given.id, at(1)).await.unwrap(), None);
    let unknown = ApiKeyId(unknown_user().0);
    assert_eq!(store.deactivate_api_key(ada.project, unknown, at(1)).await.unwrap(), None);
    assert_eq!(store.api_key("sk_1").await.unwrap(), Some((given, owner)));
}

pub(super) async fn oldest_deactivated_api_keys_are_forgotten(store: Arc<dyn Accounts>) {
    let (ada, eve) = (new_user("ada"), new_user("eve"));
    create(&*store, &ada).await;
    create(&*store, &eve).await;
    let other = ProjectId::new(START, &Rng::system());
    assert!(store.create_project(ada.id, other, "Other", START).await.unwrap());
    // In another order than the one in which they are created, and in two projects.
    let mut stored = vec![key(&ada, "sk_active", at(0)), key(&eve, "sk_eve", at(0))];
    stored[1].deactivated_at = Some(at(1));
    for (number, millis) in [3, 1, 5, 2, 4, 9].into_iter().enumerate() {
        let project = if millis % 2 == 0 { other } else { ada.project };
        let deactivated_at = Some(at(millis));
        stored.push(ApiKey { project, deactivated_at, ..key(&ada, &format!("sk_{millis}"), at(number as i64)) });
    }
    for key in &stored {
        assert!(store.create_api_key(key, None).await.unwrap());
    }
    let left = async || {
        let mut keys = store.api_keys_of_user(ada.id, 100).await.unwrap();
        keys.sort_by_key(|key| key.deactivated_at);
        keys.into_iter().map(|key| key.prefix).collect::<Vec<_>>()
    };
    let all = ["sk_active", "sk_1", "sk_2", "sk_3", "sk_4", "sk_5", "sk_9"];
    assert_eq!(left().await, all);
    for (before, keep) in [(at(1), 0), (at(9), 5), (at(9), u32::MAX)] {
        assert_eq!(store.forget_api_keys(ada.id, before, keep).await.unwrap(), 0);
    }
    assert_eq!(store.forget_api_keys(unknown_user(), at(100), 0).await.unwrap(), 0);
    assert_eq!(store.forget_api_keys(ada.id, at(9), 2).await.unwrap(), 3, "five were deactivated before, two stay");
    assert_eq!(left().await, ["sk_active", "sk_4", "sk_5", "sk_9"]);
    assert_eq!(store.forget_api_keys(ada.id, at(100), 0).await.unwrap(), 3);
    assert_eq!(left().await, ["sk_active"]);
    assert_eq!(store.api_keys_of_user(eve.id, 100).await.unwrap(), stored[1..2]);

    let results = run_concurrently(50, |number| {
        let (store, ada) = (store.clone(), ada.clone());
        let row = ApiKey { deactivated_at: Some(at(1)), ..key(&ada, &format!("sk_raced_{number}"), START) };
        async move {
            assert!(store.create_api_key(&row, None).await.unwrap());
            store.forget_api_keys(ada.id, at(2), 0).await.unwrap()
        }
    })
    .await;
    let rest = store.forget_api_keys(ada.id, at(2), 0).await.unwrap();
    assert_eq!(results.iter().sum::<u64>() + rest, 50, "each is deleted by one caller");
    assert_eq!(left().await, ["sk_active"]);
}

pub(super) async fn deactivated_api_keys_are_listed_in_pages(store: Arc<dyn Accounts>) {
    let (ada, eve) = (new_user("ada"), new_user("eve"));
    create(&*store, &ada).await;
    create(&*store, &eve).await;
    let mut expected = Vec::new();
    for number in 0..23 {
        let owner = if number % 2 == 0 { &ada } else { &eve };
        let key = key(owner, &format!("sk_{number}"), START);
        assert!(store.create_api_key(&key, None).await.unwrap());
        // Of four keys, three are deactivated at one moment and one stays active.
        if number % 4 != 3 {
            let moment = at(i64::from(number / 4));
            store.deactivate_api_key(owner.project, key.id, moment).await.unwrap().unwrap();
            store.deactivate_api_key(owner.project, key.id, at(99)).await.unwrap().unwrap();
            expected.push((key.id, moment, owner.id));
        }
    }
    expected.sort_by_key(|(key, moment, _)| (*moment, *key));
    let list = async |since, limit| {
        let (mut all, mut from, mut after) = (Vec::new(), since, None);
        loop {
            let page = store.deactivated_since(from, after, limit).await.unwrap();
            assert!(page.len() <= limit as usize);
            match page.last() {
                Some((key, moment)) => (from, after) = (*moment, Some(*key)),
                None => return all,
            }
            all.extend(page);
        }
    };
    let pairs = |from: usize| expected[from..].iter().map(|(key, moment, _)| (*key, *moment)).collect::<Vec<_>>();
    for limit in [1, 2, 3, 7, 100] {
        assert_eq!(list(at(-1000), limit).await, pairs(0), "{limit} at once");
    }
    assert_eq!(list(at(2), 2).await, pairs(6), "keys of the moment itself are listed");
    assert_eq!(list(at(99), 2).await, []);
    assert_eq!(store.deactivated_since(at(0), Some(expected[1].0), 100).await.unwrap(), pairs(2));

    // Keys that are deleted with their user are no longer listed.
    assert!(store.delete_user(eve.id, None, at(50), START).await.unwrap().is_some());
    expected.retain(|(.., owner)| *owner == ada.id);
    assert_eq!(list(at(0), 100).await, expected.iter().map(|(key, moment, _)| (*key, *moment)).collect::<Vec<_>>());
}

pub(super) async fn last_use_never_goes_back(store: Arc<dyn Accounts>) {
    let ada = new_user("ada");
    let owner = create(&*store, &ada).await;
    let (first, second, third) = (key(&ada, "sk_1", START), key(&ada, "sk_2", START), key(&ada, "sk_3", START));
    for key in [&first, &second, &third] {
        assert!(store.create_api_key(key, None).await.unwrap());
    }
    let last_used = async |key: &ApiKey| store.api_key(&key.prefix).await.unwrap().unwrap().0.last_used_at;

    store.touch_api_keys(&[]).await.unwrap();
    store
        .touch_api_keys(&[(first.id, at(10)), (ApiKeyId(unknown_user().0), at(10)), (second.id, at(20))])
        .await
        .unwrap();
    assert_eq!((last_used(&first).await, last_used(&second).await), (Some(at(10)), Some(at(20))));
    store.touch_api_keys(&[(second.id, at(19)), (first.id, at(11))]).await.unwrap();
    assert_eq!((last_used(&first).await, last_used(&second).await), (Some(at(11)), Some(at(20))));
    store.touch_api_keys(&[(first.id, at(12)), (first.id, at(40)), (first.id, at(30))]).await.unwrap();
    assert_eq!(last_used(&first).await, Some(at(40)), "the latest of several");
    let expected = ApiKey { last_used_at: Some(at(40)), ..first };
    assert_eq!(store.api_key("sk_1").await.unwrap(), Some((expected, owner.clone())), "use does not change updated_at");
    assert_eq!(store.api_key("sk_3").await.unwrap(), Some((third, owner)));
    assert_eq!(row(&*store, ada.id).await.updated_at, START);
}

pub(super) async fn concurrent_uses_are_recorded_without_deadlock(store: Arc<dyn Accounts>) {
    let ada = new_user("ada");
    create(&*store, &ada).await;
    let mut ids = Vec::new();
    for number in 0..20 {
        let key = key(&ada, &format!("sk_{number}"), START);
        assert!(store.create_api_key(&key, None).await.unwrap());
        ids.push(key.id);
    }
    // Each node records the same keys in its own order. The transactions must not deadlock.
    run_concurrently(50, |number| {
        let store = store.clone();
        let mut used: Vec<_> = ids.iter().map(|id| (*id, at(number as i64))).collect();
        used.rotate_left(number % 20);
        if number % 2 == 1 {
            used.reverse();
        }
        async move { store.touch_api_keys(&used).await.unwrap() }
    })
    .await;
    let (keys, total) = store.api_keys(ada.project, 0, 100).await.unwrap();
    assert_eq!(total, 20);
    assert!(keys.iter().all(|key| key.last_used_at == Some(at(49))));
}
