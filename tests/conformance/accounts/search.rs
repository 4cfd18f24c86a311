//! Searching users by text and status, in pages.

use std::sync::Arc;

use signet::store::Accounts;
use signet::store::accounts::{NewUser, SEARCH_SCAN, User, UserPage, UserSearch, UserStatus};

use super::{create, new_user};

fn for_text(text: &str) -> UserSearch {
    UserSearch { text: Some(text.to_owned()), limit: 100, ..UserSearch::default() }
}

async fn found(store: &dyn Accounts, search: &UserSearch) -> Vec<String> {
    let page = store.search_users(search).await.unwrap();
    assert_eq!(page.next, None, "{search:?}");
    page.users.into_iter().map(|user| user.email.split('@').next().unwrap_or_default().to_owned()).collect()
}

pub(super) async fn users_are_searched_by_text(store: Arc<dyn Accounts>) {
    assert_eq!(found(&*store, &for_text("a")).await, [""; 0]);
    let eve = NewUser { username: Some("Ann".to_owned()), username_key: Some("ann".to_owned()), ..new_user("eve") };
    for user in [new_user("ada"), eve, NewUser { full_name: Some("Zoé ANNEX".to_owned()), ..new_user("zoe") }] {
        create(&*store, &user).await;
    }
    let bare = NewUser { username: None, username_key: None, full_name: None, ..new_user("bare") };
    create(&*store, &bare).await;
    for (text, expected) in [
        ("ada@example.org", &["ada"][..]),
        ("ad", &["ada"]),
        ("ann", &["zoe", "eve"]),
        ("annex", &["zoe"]),
        ("zoé", &["zoe"]),
        ("@example.org", &["bare", "zoe", "eve", "ada"]),
        ("", &["bare", "zoe", "eve", "ada"]),
        ("nobody", &[]),
        // No characters have a meaning.
        ("%", &[]),
        ("_", &[]),
        ("*", &[]),
        ("\\", &[]),
        ("' OR '1'='1", &[]),
        ("a\0", &[]),
    ] {
        assert_eq!(found(&*store, &for_text(text)).await, expected, "{text}");
    }
}

/// SQLite's `lower` changes ASCII only, so the text must not lose more than that for a full name.
pub(super) async fn full_name_is_found_as_written(store: Arc<dyn Accounts>) {
    create(&*store, &NewUser { full_name: Some("Özlem ÇELİK".to_owned()), ..new_user("cay") }).await;
    for text in ["Özlem", "ÖZLEM", "ÇELİK", "Çelİk"] {
        assert_eq!(found(&*store, &for_text(text)).await, ["cay"], "{text}");
    }
}

pub(super) async fn users_are_searched_by_status(store: Arc<dyn Accounts>) {
    for (name, disabled, verified) in
        [("ada", false, true), ("bob", true, true), ("cay", true, false), ("dan", false, false)]
    {
        create(&*store, &NewUser { disabled, verified, ..new_user(name) }).await;
    }
    for (status, expected) in [
        (None, &["dan", "cay", "bob", "ada"][..]),
        (Some(UserStatus::Active), &["dan", "ada"]),
        (Some(UserStatus::Disabled), &["cay", "bob"]),
        (Some(UserStatus::Unverified), &["dan", "cay"]),
    ] {
        let search = UserSearch { status, limit: 100, ..UserSearch::default() };
        assert_eq!(found(&*store, &search).await, expected, "{status:?}");
        let search = UserSearch { text: Some("da".to_owned()), ..search };
        let expected: Vec<_> = expected.iter().filter(|name| name.contains("da")).collect();
        assert_eq!(found(&*store, &search).await.iter().collect::<Vec<_>>(), expected, "{status:?}");
    }
}

pub(super) async fn users_are_searched_in_pages(store: Arc<dyn Accounts>) {
    let mut all = Vec::new();
    for number in 0..7 {
        all.push(create(&*store, &NewUser { disabled: number % 2 == 0, ..new_user(&format!("user{number}")) }).await);
    }
    all.reverse();
    for status in [None, Some(UserStatus::Active), Some(UserStatus::Disabled)] {
        for text in [None, Some("user".to_owned())] {
            for limit in [1, 2, 3, 7, 8, u32::MAX] {
                let mut search = UserSearch { text: text.clone(), status, before: None, limit };
                let mut users: Vec<User> = Vec::new();
                loop {
                    let UserPage { users: page, next } = store.search_users(&search).await.unwrap();
                    assert!(page.len() <= limit as usize);
                    users.extend(page);
                    search.before = next;
                    if next.is_none() {
                        break;
                    }
                }
                let is_expected = |user: &&User| status.is_none_or(|it| user.disabled == (it == UserStatus::Disabled));
                let expected: Vec<User> = all.iter().filter(is_expected).cloned().collect();
                assert_eq!(users, expected, "{search:?}");
            }
        }
    }
    // The last page of a list without a search is known to be the last.
    let last = UserSearch { limit: 7, ..UserSearch::default() };
    assert_eq!(store.search_users(&last).await.unwrap().next, None);
}

pub(super) async fn search_reads_a_bounded_number_of_rows(store: Arc<dyn Accounts>) {
    let needle = create(&*store, &new_user("needle")).await;
    let others: Vec<NewUser> = (0..=SEARCH_SCAN).map(|number| new_user(&format!("user{number}"))).collect();
    store.import_users(&others).await.unwrap();
    let first = store.search_users(&for_text("needle")).await.unwrap();
    assert_eq!(first.users, []);
    let second = store.search_users(&UserSearch { before: first.next, ..for_text("needle") }).await.unwrap();
    assert_eq!(second, UserPage { users: vec![needle], next: None });
}
