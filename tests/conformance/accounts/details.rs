//! Changing fields of a user, verifying its email address, and reading users by offset.

use std::sync::Arc;

use super::{MANY, ROUNDS, START, at, changed, create, hash, new_user, row, run_concurrently, unknown_user};
use signet::store::accounts::{Changed, Changes, Created, EmailVerified, Find, NewUser, NewUsername, User};
use signet::store::{Accounts, Error};

pub(super) fn to_email(email: &str) -> Changes {
    Changes { email: Some(email.to_owned()), ..Changes::default() }
}

pub(super) fn to_username(username: &str) -> Changes {
    let username = NewUsername { username: username.to_owned(), key: username.to_lowercase() };
    Changes { username: Some(Some(username)), ..Changes::default() }
}

pub(super) async fn one_field_changes_alone(store: Arc<dyn Accounts>) {
    let eve = create(&*store, &new_user("eve")).await;
    let ada = create(&*store, &new_user("ada")).await;
    let ends = |user: User| User { sessions_valid_after: at(10), ..user };
    let none = Changes::default;
    for (changes, expected) in [
        (none(), ada.clone()),
        (
            Changes { full_name: Some(Some("Ada".to_owned())), ..none() },
            User { full_name: Some("Ada".to_owned()), ..ada.clone() },
        ),
        (Changes { full_name: Some(None), ..none() }, User { full_name: None, ..ada.clone() }),
        (to_username("Countess"), User { username: Some("Countess".to_owned()), ..ada.clone() }),
        (to_username("aDA"), User { username: Some("aDA".to_owned()), ..ada.clone() }),
        (Changes { username: Some(None), ..none() }, User { username: None, ..ada.clone() }),
        (to_email("new@example.org"), User { email: "new@example.org".to_owned(), verified: false, ..ada.clone() }),
        (Changes { verified: Some(false), ..none() }, User { verified: false, ..ada.clone() }),
        (
            Changes { password_hash: Some(hash("new")), ..none() },
            ends(User { password_hash: Some(hash("new")), ..ada.clone() }),
        ),
        (Changes { disabled: Some(true), ..none() }, ends(User { disabled: true, ..ada.clone() })),
        (Changes { disabled: Some(false), ..none() }, ada.clone()),
        (Changes { superuser: Some(true), ..none() }, User { superuser: true, ..ada.clone() }),
        (
            Changes { roles: Some(vec!["admin".to_owned()]), ..none() },
            User { roles: vec!["admin".to_owned()], ..ada.clone() },
        ),
        (Changes { roles: Some(Vec::new()), ..none() }, User { roles: Vec::new(), ..ada.clone() }),
        (
            Changes { custom_claims: Some(Some("{\"a\": 1}".to_owned())), ..none() },
            User { custom_claims: Some("{\"a\": 1}".to_owned()), ..ada.clone() },
        ),
        (Changes { custom_claims: Some(None), ..none() }, User { custom_claims: None, ..ada.clone() }),
        (
            Changes { roles: Some(Vec::new()), ends_sign_ins: true, ..none() },
            ends(User { roles: Vec::new(), ..ada.clone() }),
        ),
    ] {
        let name = format!("{changes:?}");
        // Each change starts from the same state: a user created again with the same id.
        assert!(store.delete_user(ada.id, None, at(1), START).await.unwrap().is_some());
        let number = create(&*store, &NewUser { id: ada.id, ..new_user("ada") }).await.number;
        let expected = User { number, updated_at: at(10), ..expected };
        assert_eq!(changed(&*store, ada.id, &changes, at(10)).await, expected, "{name}");
        assert_eq!(row(&*store, ada.id).await, expected, "{name}");
    }
    assert_eq!(row(&*store, eve.id).await, eve);
}

pub(super) async fn many_fields_change_in_one_step(store: Arc<dyn Accounts>) {
    let ada = create(&*store, &new_user("ada")).await;
    let changes = Changes {
        username: Some(Some(NewUsername { username: "Countess".to_owned(), key: "countess".to_owned() })),
        full_name: Some(Some("Ada\u{301} '; --".to_owned())),
        email: Some("ada@example.com".to_owned()),
        verified: Some(true),
        password_hash: Some(hash("new")),
        disabled: Some(true),
        superuser: Some(true),
        roles: Some(vec![String::new(), "a,b \"{}".to_owned()]),
        custom_claims: Some(None),
        ends_sign_ins: false,
        only_if_valid_after: None,
        only_if_email: None,
        ends_api_keys_with: &[],
    };
    let expected = User {
        username: Some("Countess".to_owned()),
        full_name: Some("Ada\u{301} '; --".to_owned()),
        email: "ada@example.com".to_owned(),
        verified: true,
        password_hash: Some(hash("new")),
        disabled: true,
        superuser: true,
        roles: vec![String::new(), "a,b \"{}".to_owned()],
        custom_claims: None,
        sessions_valid_after: at(10),
        updated_at: at(10),
        ..ada
    };
    assert_eq!(changed(&*store, expected.id, &changes, at(10)).await, expected);
    assert_eq!(store.user(Find::Email("ada@example.com")).await.unwrap(), Some(expected.clone()));
    assert_eq!(store.user(Find::UsernameKey("countess")).await.unwrap(), Some(expected.clone()));
    assert_eq!(store.user(Find::UsernameKey("ada")).await.unwrap(), None);
    let again = changed(&*store, expected.id, &changes, at(10)).await;
    assert_eq!(again, User { sessions_valid_after: at(11), ..expected }, "one change ends the sign-ins once");
}

pub(super) async fn concurrent_changes_do_not_undo_each_other(store: Arc<dyn Accounts>) {
    let ada = create(&*store, &NewUser { verified: false, ..new_user("ada") }).await;
    run_concurrently(MANY, |number| {
        let store = store.clone();
        let changes = match number % 5 {
            0 => Changes { full_name: Some(None), ..Changes::default() },
            1 => to_email("ada@example.com"),
            2 => Changes { superuser: Some(true), ..Changes::default() },
            3 => Changes { roles: Some(Vec::new()), ..Changes::default() },
            _ => Changes { password_hash: Some(hash("new")), ..Changes::default() },
        };
        async move { changed(&*store, ada.id, &changes, at(10)).await }
    })
    .await;
    let expected = User {
        full_name: None,
        email: "ada@example.com".to_owned(),
        superuser: true,
        roles: Vec::new(),
        password_hash: Some(hash("new")),
        sessions_valid_after: at(10 + 9),
        updated_at: at(10),
        ..ada
    };
    assert_eq!(row(&*store, expected.id).await, expected);
}

pub(super) async fn changed_email_is_unverified(store: Arc<dyn Accounts>) {
    let id = create(&*store, &new_user("ada")).await.id;
    let (same, other) = ("ada@example.org", "ada@example.com");
    for (before, email, said, after) in [
        (true, same, None, true),
        (false, same, None, false),
        (true, other, None, false),
        (false, other, None, false),
        (true, other, Some(true), true),
        (false, other, Some(true), true),
        (true, other, Some(false), false),
        (true, same, Some(false), false),
        (false, same, Some(true), true),
    ] {
        changed(&*store, id, &Changes { verified: Some(before), ..to_email(same) }, at(1)).await;
        let user = changed(&*store, id, &Changes { verified: said, ..to_email(email) }, at(2)).await;
        assert_eq!((user.email.as_str(), user.verified), (email, after), "{before}, then {email} and {said:?}");
    }
}

pub(super) async fn taken_email_changes_nothing(store: Arc<dyn Accounts>) {
    let ada = create(&*store, &new_user("ada")).await;
    let eve = create(&*store, &new_user("eve")).await;
    let changes = Changes {
        full_name: Some(None),
        verified: Some(false),
        password_hash: Some(hash("new")),
        disabled: Some(true),
        superuser: Some(true),
        roles: Some(Vec::new()),
        ..to_email(&eve.email)
    };
    assert_eq!(store.change_user(ada.id, &changes, at(1)).await.unwrap(), Changed::EmailTaken);
    assert_eq!(
        store.change_user(unknown_user(), &changes, at(1)).await.unwrap(),
        Changed::NotFound,
        "even if the address is taken"
    );
    assert_eq!(store.users(0, 10).await.unwrap(), [ada, eve]);
}

pub(super) async fn taken_username_changes_nothing(store: Arc<dyn Accounts>) {
    let ada = create(&*store, &new_user("ada")).await;
    let eve = create(&*store, &new_user("eve")).await;
    let changes = Changes { full_name: Some(None), superuser: Some(true), ..to_username("Eve") };
    assert_eq!(store.change_user(ada.id, &changes, at(1)).await.unwrap(), Changed::UsernameTaken);
    let both = Changes { email: Some(eve.email.clone()), ..changes.clone() };
    assert_eq!(store.change_user(ada.id, &both, at(1)).await.unwrap(), Changed::EmailTaken);
    assert_eq!(
        store.change_user(unknown_user(), &changes, at(1)).await.unwrap(),
        Changed::NotFound,
        "even if the username is taken"
    );
    assert_eq!(store.users(0, 10).await.unwrap(), [ada.clone(), eve.clone()]);
    // A username that its owner has given up is free.
    changed(&*store, eve.id, &Changes { username: Some(None), ..Changes::default() }, at(2)).await;
    assert_eq!(changed(&*store, ada.id, &to_username("Eve"), at(3)).await.username.as_deref(), Some("Eve"));
    changed(&*store, eve.id, &to_username("Ada"), at(4)).await;
}

pub(super) async fn one_of_many_gets_a_username(store: Arc<dyn Accounts>) {
    let mut users = Vec::new();
    for number in 0..MANY {
        users.push(create(&*store, &new_user(&format!("user{number}"))).await.id);
    }
    for round in 0..ROUNDS {
        let results = run_concurrently(MANY, |number| {
            let (store, user) = (store.clone(), users[number]);
            async move { store.change_user(user, &to_username(&format!("wanted {round}")), at(1)).await.unwrap() }
        })
        .await;
        let changed = results.iter().filter(|result| matches!(result, Changed::Changed(_))).count();
        let taken = results.iter().filter(|result| **result == Changed::UsernameTaken).count();
        assert_eq!((changed, taken), (1, MANY - 1));
    }
}

pub(super) async fn former_email_can_be_used_again(store: Arc<dyn Accounts>) {
    let ada = create(&*store, &new_user("ada")).await;
    changed(&*store, ada.id, &to_email("new@example.org"), at(1)).await;
    assert_eq!(store.user(Find::Email("ada@example.org")).await.unwrap(), None);
    let other = NewUser { email: ada.email.clone(), ..new_user("other") };
    create(&*store, &other).await;
    assert_eq!(store.change_user(ada.id, &to_email(&ada.email), at(2)).await.unwrap(), Changed::EmailTaken);
    assert!(store.delete_user(other.id, None, at(3), START).await.unwrap().is_some());
    assert_eq!(changed(&*store, ada.id, &to_email(&ada.email), at(4)).await.email, ada.email);
}

/// Half of the callers create a user with the address; the others change an existing user to it.
pub(super) async fn one_of_many_gets_an_email_address(store: Arc<dyn Accounts>) {
    let mut users = Vec::new();
    for number in 0..MANY {
        users.push(create(&*store, &new_user(&format!("user{number}"))).await);
    }
    for round in 0..ROUNDS {
        let email = format!("{round}@example.com");
        let results = run_concurrently(MANY, |number| {
            let (store, email, user) = (store.clone(), email.clone(), users[number].id);
            async move {
                if number % 2 == 0 {
                    match store.change_user(user, &to_email(&email), at(1)).await.unwrap() {
                        Changed::Changed(user) => Some(*user),
                        Changed::EmailTaken => None,
                        Changed::UsernameTaken => panic!("the names differ"),
                        Changed::NotFound => panic!("nobody was deleted"),
                    }
                } else {
                    let user = NewUser { email, ..new_user(&format!("{round}-{number}")) };
                    match store.create_user(&user).await.unwrap() {
                        Created::Created(user) => Some(*user),
                        Created::EmailTaken => None,
                        Created::UsernameTaken => panic!("the names differ"),
                    }
                }
            }
        })
        .await;
        let winners: Vec<_> = results.into_iter().flatten().collect();
        assert_eq!(winners.len(), 1, "{winners:?}");
        assert_eq!(store.user(Find::Email(&email)).await.unwrap().as_ref(), winners.first());
    }
}

/// The transactions must not deadlock.
pub(super) async fn users_cannot_swap_email_addresses(store: Arc<dyn Accounts>) {
    let users = [create(&*store, &new_user("ada")).await, create(&*store, &new_user("eve")).await];
    let results = run_concurrently(MANY, |number| {
        let (store, user, wanted) = (store.clone(), users[number % 2].id, to_email(&users[(number + 1) % 2].email));
        async move { store.change_user(user, &wanted, at(1)).await.unwrap() }
    })
    .await;
    assert!(results.iter().all(|result| *result == Changed::EmailTaken), "{results:?}");
    assert_eq!(store.users(0, 10).await.unwrap(), users);
}

pub(super) async fn unknown_user_is_not_changed(store: Arc<dyn Accounts>) {
    let ada = create(&*store, &new_user("ada")).await;
    for changes in [
        Changes::default(),
        to_email("free@example.org"),
        Changes { password_hash: Some(hash("new")), ..Changes::default() },
        Changes { disabled: Some(true), ..Changes::default() },
    ] {
        assert_eq!(store.change_user(unknown_user(), &changes, at(1)).await.unwrap(), Changed::NotFound);
    }
    assert_eq!(store.verify_email(unknown_user(), &ada.email, at(1)).await.unwrap(), EmailVerified::NotFound);
    assert_eq!(store.users(0, 10).await.unwrap(), [ada]);
}

pub(super) async fn change_to_text_with_a_nul_is_refused(store: Arc<dyn Accounts>) {
    let ada = create(&*store, &new_user("ada")).await;
    for changes in [
        Changes { full_name: Some(Some("\0".to_owned())), ..Changes::default() },
        to_email("a\0da@example.org"),
        to_username("a\0da"),
        Changes { password_hash: Some(hash("\0")), ..Changes::default() },
        Changes { roles: Some(vec!["\0".to_owned()]), ..Changes::default() },
    ] {
        let result = store.change_user(ada.id, &changes, at(1)).await;
        assert!(matches!(result, Err(Error::Corrupt { .. })), "{changes:?}");
    }
    assert_eq!(store.verify_email(ada.id, "ada\0@example.org", at(1)).await.unwrap(), EmailVerified::NotFound);
    assert_eq!(row(&*store, ada.id).await, ada);
}

pub(super) async fn one_of_many_verifies_an_email(store: Arc<dyn Accounts>) {
    for round in 0..ROUNDS {
        let ada = create(&*store, &NewUser { verified: false, ..new_user(&format!("ada{round}")) }).await;
        let results = run_concurrently(MANY, |_| {
            let (store, email) = (store.clone(), ada.email.clone());
            async move { store.verify_email(ada.id, &email, at(10)).await.unwrap() }
        })
        .await;
        assert_eq!(results.iter().filter(|result| **result == EmailVerified::Verified).count(), 1);
        assert_eq!(results.iter().filter(|result| **result == EmailVerified::AlreadyVerified).count(), MANY - 1);
        let expected = User { verified: true, updated_at: at(10), ..ada };
        assert_eq!(row(&*store, expected.id).await, expected);
        assert_eq!(
            store.verify_email(expected.id, &expected.email, at(20)).await.unwrap(),
            EmailVerified::AlreadyVerified
        );
        assert_eq!(row(&*store, expected.id).await, expected, "the second verification changes nothing");
    }
}

pub(super) async fn former_email_is_not_verified(store: Arc<dyn Accounts>) {
    let ada = create(&*store, &NewUser { verified: false, ..new_user("ada") }).await;
    let eve = create(&*store, &NewUser { verified: false, ..new_user("eve") }).await;
    let moved = changed(&*store, ada.id, &to_email("new@example.org"), at(1)).await;
    for email in ["ada@example.org", "eve@example.org", "NEW@example.org", ""] {
        assert_eq!(store.verify_email(ada.id, email, at(2)).await.unwrap(), EmailVerified::NotFound, "{email}");
    }
    assert_eq!(store.users(0, 10).await.unwrap(), [moved, eve]);
    assert_eq!(store.verify_email(ada.id, "new@example.org", at(3)).await.unwrap(), EmailVerified::Verified);
}

pub(super) async fn verifying_the_old_email_never_verifies_the_new(store: Arc<dyn Accounts>) {
    let mut users = Vec::new();
    for number in 0..MANY / 2 {
        users.push(create(&*store, &NewUser { verified: false, ..new_user(&format!("user{number}")) }).await);
    }
    run_concurrently(MANY, |number| {
        let (store, user) = (store.clone(), users[number / 2].clone());
        async move {
            match number % 4 {
                0 => drop(store.verify_email(user.id, &user.email, at(1)).await.unwrap()),
                2 => drop(store.change_user(user.id, &verified_as(&user.email), at(1)).await.unwrap()),
                _ => drop(changed(&*store, user.id, &to_email(&format!("new-{}", user.email)), at(1)).await),
            }
        }
    })
    .await;
    for user in store.users(0, 100).await.unwrap() {
        assert!(user.email.starts_with("new-") && !user.verified, "{user:?}");
    }
}

fn verified_as(email: &str) -> Changes {
    Changes { verified: Some(true), only_if_email: Some(email.to_owned()), ..Changes::default() }
}

pub(super) async fn change_for_another_email_changes_nothing(store: Arc<dyn Accounts>) {
    let ada = create(&*store, &NewUser { verified: false, ..new_user("ada") }).await;
    let moved = changed(&*store, ada.id, &to_email("new@example.org"), at(1)).await;
    assert_eq!(store.change_user(ada.id, &verified_as(&ada.email), at(2)).await.unwrap(), Changed::NotFound);
    assert_eq!(row(&*store, ada.id).await, moved);
    let expected = User { verified: true, updated_at: at(2), ..moved.clone() };
    assert_eq!(changed(&*store, ada.id, &verified_as(&moved.email), at(2)).await, expected);
    let away = Changes { email: Some(ada.email.clone()), ..verified_as(&moved.email) };
    assert_eq!(changed(&*store, ada.id, &away, at(3)).await.email, ada.email, "the address as it was before");
}

pub(super) async fn users_are_paged_by_offset(store: Arc<dyn Accounts>) {
    assert_eq!(store.users_page(0, 10).await.unwrap(), Vec::new());
    let mut all = Vec::new();
    for number in 0..7 {
        all.push(create(&*store, &new_user(&format!("user{number}"))).await);
    }
    // Postgres may have moved a changed row; its offset stays the same.
    all[0] = changed(&*store, all[0].id, &Changes { full_name: Some(None), ..Changes::default() }, at(1)).await;
    for (skip, limit, expected) in
        [(0, 3, &all[..3]), (3, 3, &all[3..6]), (6, 3, &all[6..]), (7, 3, &[]), (2, 0, &[]), (1, u32::MAX, &all[1..])]
    {
        assert_eq!(store.users_page(skip, limit).await.unwrap(), expected, "{limit} after {skip}");
    }
    for skip in [1 << 40, i64::MAX as u64, u64::MAX] {
        assert_eq!(store.users_page(skip, u32::MAX).await.unwrap(), Vec::new(), "after {skip}");
    }
    assert!(store.delete_user(all[3].id, None, at(1), START).await.unwrap().is_some());
    assert_eq!(store.users_page(3, 2).await.unwrap(), all[4..6], "a deleted user has no offset");
}
