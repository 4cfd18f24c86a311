//! API keys: making, finding, listing, deactivating them, and noting their use.

use std::collections::HashSet;
use std::sync::Arc;

use super::{START, at, key, made, no_project, nobody, row, set_disabled, somebody, together};
use crate::id::ApiKeyId;
use crate::store::Accounts;
use crate::store::accounts::{ApiKey, NewUser};

pub(super) async fn a_key_is_kept_as_it_was_given(store: Arc<dyn Accounts>) {
    let ada = somebody("ada");
    let owner = made(&*store, &ada).await;
    let full = ApiKey {
        last_used_at: Some(at(3)),
        expires_at: Some(at(4)),
        deactivated_at: Some(at(5)),
        updated_at: at(6),
        ..key(&ada, "sk_full", at(2))
    };
    let bare = ApiKey { scopes: Vec::new(), expires_at: None, name: String::new(), ..key(&ada, "sk_bare", at(1)) };
    for given in [&full, &bare] {
        assert!(store.create_api_key(given).await.unwrap());
        assert_eq!(store.api_key(&given.prefix).await.unwrap(), Some((given.clone(), owner.clone())));
    }
    assert_eq!(store.api_keys(ada.project, 0, 10).await.unwrap(), (vec![full, bare], 2));
    for absent in ["", "sk", "SK_FULL", "sk_full "] {
        assert_eq!(store.api_key(absent).await.unwrap(), None, "{absent:?}");
    }
}

pub(super) async fn a_key_comes_with_its_owner_as_it_now_is(store: Arc<dyn Accounts>) {
    let (ada, eve) = (somebody("ada"), somebody("eve"));
    made(&*store, &ada).await;
    made(&*store, &eve).await;
    // A key of Ada's in Eve's project acts in Ada's name.
    let key = key(&NewUser { project: eve.project, ..ada.clone() }, "sk_1", START);
    assert!(store.create_api_key(&key).await.unwrap());
    let disabled = set_disabled(&*store, ada.id, true, at(10)).await;
    assert!(disabled.disabled);
    assert_eq!(store.api_key("sk_1").await.unwrap(), Some((key, disabled)));
}

pub(super) async fn many_keys_are_found_at_once(store: Arc<dyn Accounts>) {
    let (ada, eve) = (somebody("ada"), somebody("eve"));
    let owners = [made(&*store, &ada).await, made(&*store, &eve).await];
    let mut expected = Vec::new();
    for which in 0..100 {
        let owner = which % 2;
        let key = key([&ada, &eve][owner], &format!("sk_{which:03}"), at(which as i64));
        assert!(store.create_api_key(&key).await.unwrap());
        expected.push((key, owners[owner].clone()));
    }
    assert_eq!(store.api_keys_by_prefix(&[]).await.unwrap(), []);
    assert_eq!(store.api_keys_by_prefix(&["sk_absent", "", "sk_\0"]).await.unwrap(), []);
    // Those that are there among those that are not, and some of them twice.
    let names: Vec<_> = (20..120).chain(0..40).map(|which| format!("sk_{which:03}")).collect();
    let asked: Vec<_> = names.iter().map(String::as_str).chain(["sk_\0", "SK_001", "sk_001 "]).collect();
    let mut found = store.api_keys_by_prefix(&asked).await.unwrap();
    found.sort_by(|one, other| one.0.prefix.cmp(&other.0.prefix));
    assert_eq!(found, expected);
}

pub(super) async fn a_prefix_has_one_key(store: Arc<dyn Accounts>) {
    let (ada, eve) = (somebody("ada"), somebody("eve"));
    made(&*store, &ada).await;
    made(&*store, &eve).await;
    let answers = together(50, |which| {
        let store = store.clone();
        let key = key(if which % 2 == 0 { &ada } else { &eve }, "sk_1", at(which as i64));
        async move { store.create_api_key(&key).await.unwrap().then_some(key) }
    })
    .await;
    let kept: Vec<_> = answers.into_iter().flatten().collect();
    assert_eq!(kept.len(), 1);
    assert_eq!(store.api_key("sk_1").await.unwrap().map(|(key, _)| key).as_ref(), kept.first());
    let (of_ada, of_eve) =
        (store.api_keys(ada.project, 0, 10).await.unwrap(), store.api_keys(eve.project, 0, 10).await.unwrap());
    assert_eq!(of_ada.1 + of_eve.1, 1);

    let after = ApiKey { deactivated_at: Some(at(1)), ..key(&ada, "sk_2", START) };
    assert!(store.create_api_key(&after).await.unwrap());
    assert!(!store.create_api_key(&key(&ada, "sk_2", START)).await.unwrap(), "a deactivated key keeps its prefix");
}

pub(super) async fn a_key_needs_its_user_and_its_project(store: Arc<dyn Accounts>) {
    let (ada, eve) = (somebody("ada"), somebody("eve"));
    made(&*store, &ada).await;
    made(&*store, &eve).await;
    for refused in [
        NewUser { id: nobody(), ..ada.clone() },
        NewUser { project: no_project(), ..ada.clone() },
        NewUser { id: nobody(), project: no_project(), ..ada.clone() },
    ] {
        assert!(!store.create_api_key(&key(&refused, "sk_1", START)).await.unwrap());
        assert_eq!(store.api_key("sk_1").await.unwrap(), None);
    }
    assert!(store.delete_user(eve.id, at(1), START).await.unwrap());
    assert!(!store.create_api_key(&key(&eve, "sk_1", START)).await.unwrap());

    // While the user goes: a key that was kept is gone with it, and no caller sees an error.
    together(50, |which| {
        let (store, ada) = (store.clone(), ada.clone());
        async move {
            if which == 25 {
                assert!(store.delete_user(ada.id, at(1), START).await.unwrap());
            } else {
                store.create_api_key(&key(&ada, &format!("sk_{which}"), START)).await.unwrap();
            }
        }
    })
    .await;
    assert_eq!(store.api_keys(ada.project, 0, 100).await.unwrap(), (Vec::new(), 0));
}

pub(super) async fn keys_come_newest_first_and_in_pages(store: Arc<dyn Accounts>) {
    let (ada, eve) = (somebody("ada"), somebody("eve"));
    made(&*store, &ada).await;
    made(&*store, &eve).await;
    assert!(store.create_api_key(&key(&eve, "sk_eve", at(3))).await.unwrap());
    let mut newest_first = Vec::new();
    // Kept in an order that is not the order of their moments.
    for millis in [3, 1, 7, 5, 2, 6, 4] {
        let mut kept = key(&ada, &format!("sk_{millis}"), at(millis));
        kept.deactivated_at = (millis == 4).then(|| at(100));
        assert!(store.create_api_key(&kept).await.unwrap());
        newest_first.push(kept);
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
    assert_eq!(store.api_keys(no_project(), 0, 10).await.unwrap(), (Vec::new(), 0));
}

pub(super) async fn keys_made_at_one_moment_are_each_listed_once(store: Arc<dyn Accounts>) {
    let ada = somebody("ada");
    made(&*store, &ada).await;
    for which in 0..20 {
        assert!(store.create_api_key(&key(&ada, &format!("sk_{which}"), START)).await.unwrap());
    }
    let mut seen = HashSet::new();
    for page in 0..7 {
        for key in store.api_keys(ada.project, page * 3, 3).await.unwrap().0 {
            assert!(seen.insert(key.id), "{} came twice", key.prefix);
        }
    }
    assert_eq!(seen.len(), 20);
}

pub(super) async fn a_key_is_deactivated_once(store: Arc<dyn Accounts>) {
    let ada = somebody("ada");
    let owner = made(&*store, &ada).await;
    let given = key(&ada, "sk_1", START);
    assert!(store.create_api_key(&given).await.unwrap());
    let deactivated = ApiKey { deactivated_at: Some(at(10)), updated_at: at(10), ..given.clone() };
    for millis in [10, 20, 5] {
        let answer = store.deactivate_api_key(ada.project, given.id, at(millis)).await.unwrap();
        assert_eq!(answer.as_ref(), Some(&deactivated), "the first moment stays");
    }
    assert_eq!(store.api_key("sk_1").await.unwrap(), Some((deactivated.clone(), owner)));
    assert_eq!(store.api_keys(ada.project, 0, 10).await.unwrap(), (vec![deactivated], 1));

    let raced = key(&ada, "sk_2", START);
    assert!(store.create_api_key(&raced).await.unwrap());
    let answers = together(50, |which| {
        let (store, project, id) = (store.clone(), ada.project, raced.id);
        async move { store.deactivate_api_key(project, id, at(which as i64)).await.unwrap().unwrap() }
    })
    .await;
    assert!(answers.iter().all(|answer| *answer == answers[0]), "all are told the same moment");
}

pub(super) async fn a_key_is_deactivated_by_its_own_project_alone(store: Arc<dyn Accounts>) {
    let (ada, eve) = (somebody("ada"), somebody("eve"));
    let owner = made(&*store, &ada).await;
    made(&*store, &eve).await;
    let given = key(&ada, "sk_1", START);
    assert!(store.create_api_key(&given).await.unwrap());
    assert_eq!(store.deactivate_api_key(eve.project, given.id, at(1)).await.unwrap(), None);
    assert_eq!(store.deactivate_api_key(no_project(), given.id, at(1)).await.unwrap(), None);
    let unknown = ApiKeyId(nobody().0);
    assert_eq!(store.deactivate_api_key(ada.project, unknown, at(1)).await.unwrap(), None);
    assert_eq!(store.api_key("sk_1").await.unwrap(), Some((given, owner)));
}

pub(super) async fn keys_that_were_deactivated_come_in_pages(store: Arc<dyn Accounts>) {
    let (ada, eve) = (somebody("ada"), somebody("eve"));
    made(&*store, &ada).await;
    made(&*store, &eve).await;
    let mut expected = Vec::new();
    for number in 0..23 {
        let owner = if number % 2 == 0 { &ada } else { &eve };
        let key = key(owner, &format!("sk_{number}"), START);
        assert!(store.create_api_key(&key).await.unwrap());
        // Three at one moment, and the fourth of them works.
        if number % 4 != 3 {
            let moment = at(i64::from(number / 4));
            store.deactivate_api_key(owner.project, key.id, moment).await.unwrap().unwrap();
            store.deactivate_api_key(owner.project, key.id, at(99)).await.unwrap().unwrap();
            expected.push((key.id, moment, owner.id));
        }
    }
    expected.sort_by_key(|(key, moment, _)| (*moment, *key));
    let told = async |since, limit| {
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
        assert_eq!(told(at(-1000), limit).await, pairs(0), "{limit} at once");
    }
    assert_eq!(told(at(2), 2).await, pairs(6), "those of the moment itself are told");
    assert_eq!(told(at(99), 2).await, []);
    assert_eq!(store.deactivated_since(at(0), Some(expected[1].0), 100).await.unwrap(), pairs(2));

    // What goes with its user is told of the user.
    assert!(store.delete_user(eve.id, at(50), START).await.unwrap());
    expected.retain(|(.., owner)| *owner == ada.id);
    assert_eq!(told(at(0), 100).await, expected.iter().map(|(key, moment, _)| (*key, *moment)).collect::<Vec<_>>());
}

pub(super) async fn use_is_noted_and_never_goes_back(store: Arc<dyn Accounts>) {
    let ada = somebody("ada");
    let owner = made(&*store, &ada).await;
    let (first, second, third) = (key(&ada, "sk_1", START), key(&ada, "sk_2", START), key(&ada, "sk_3", START));
    for key in [&first, &second, &third] {
        assert!(store.create_api_key(key).await.unwrap());
    }
    let last_used = async |key: &ApiKey| store.api_key(&key.prefix).await.unwrap().unwrap().0.last_used_at;

    store.touch_api_keys(&[]).await.unwrap();
    store.touch_api_keys(&[(first.id, at(10)), (ApiKeyId(nobody().0), at(10)), (second.id, at(20))]).await.unwrap();
    assert_eq!((last_used(&first).await, last_used(&second).await), (Some(at(10)), Some(at(20))));
    store.touch_api_keys(&[(second.id, at(19)), (first.id, at(11))]).await.unwrap();
    assert_eq!((last_used(&first).await, last_used(&second).await), (Some(at(11)), Some(at(20))));
    store.touch_api_keys(&[(first.id, at(12)), (first.id, at(40)), (first.id, at(30))]).await.unwrap();
    assert_eq!(last_used(&first).await, Some(at(40)), "the latest of several");
    let expected = ApiKey { last_used_at: Some(at(40)), ..first };
    assert_eq!(store.api_key("sk_1").await.unwrap(), Some((expected, owner.clone())), "use is not a change");
    assert_eq!(store.api_key("sk_3").await.unwrap(), Some((third, owner)));
    assert_eq!(row(&*store, ada.id).await.updated_at, START);
}

pub(super) async fn use_is_noted_by_many_at_once(store: Arc<dyn Accounts>) {
    let ada = somebody("ada");
    made(&*store, &ada).await;
    let mut ids = Vec::new();
    for which in 0..20 {
        let key = key(&ada, &format!("sk_{which}"), START);
        assert!(store.create_api_key(&key).await.unwrap());
        ids.push(key.id);
    }
    // Each node notes the same keys in an order of its own: none may wait for the other for ever.
    together(50, |which| {
        let store = store.clone();
        let mut used: Vec<_> = ids.iter().map(|id| (*id, at(which as i64))).collect();
        used.rotate_left(which % 20);
        if which % 2 == 1 {
            used.reverse();
        }
        async move { store.touch_api_keys(&used).await.unwrap() }
    })
    .await;
    let (keys, total) = store.api_keys(ada.project, 0, 100).await.unwrap();
    assert_eq!(total, 20);
    assert!(keys.iter().all(|key| key.last_used_at == Some(at(49))));
}
