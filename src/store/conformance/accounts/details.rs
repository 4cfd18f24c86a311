//! Changing a user's details, confirming its address, and reading users by their place.

use std::sync::Arc;

use super::{MANY, ROUNDS, START, at, changed, hash, made, nobody, row, somebody, together};
use crate::store::accounts::{Changed, Changes, Confirmed, Created, Find, NewUser, User};
use crate::store::{Accounts, Error};

fn to_email(email: &str) -> Changes {
    Changes { email: Some(email.to_owned()), ..Changes::default() }
}

pub(super) async fn a_detail_is_changed_alone(store: Arc<dyn Accounts>) {
    let eve = made(&*store, &somebody("eve")).await;
    let ada = made(&*store, &somebody("ada")).await;
    let ends = |user: User| User { sessions_valid_after: at(10), ..user };
    let none = Changes::default;
    for (changes, expected) in [
        (none(), ada.clone()),
        (
            Changes { full_name: Some(Some("Ada".to_owned())), ..none() },
            User { full_name: Some("Ada".to_owned()), ..ada.clone() },
        ),
        (Changes { full_name: Some(None), ..none() }, User { full_name: None, ..ada.clone() }),
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
            Changes { roles: Some(Vec::new()), ends_sign_ins: true, ..none() },
            ends(User { roles: Vec::new(), ..ada.clone() }),
        ),
    ] {
        let name = format!("{changes:?}");
        // Each from the same beginning: a user who is made anew, with the same id.
        assert!(store.delete_user(ada.id, at(1), START).await.unwrap());
        let number = made(&*store, &NewUser { id: ada.id, ..somebody("ada") }).await.number;
        let expected = User { number, updated_at: at(10), ..expected };
        assert_eq!(changed(&*store, ada.id, &changes, at(10)).await, expected, "{name}");
        assert_eq!(row(&*store, ada.id).await, expected, "{name}");
    }
    assert_eq!(row(&*store, eve.id).await, eve);
}

pub(super) async fn many_details_change_in_one_step(store: Arc<dyn Accounts>) {
    let ada = made(&*store, &somebody("ada")).await;
    let changes = Changes {
        full_name: Some(Some("Ada\u{301} '; --".to_owned())),
        email: Some("ada@example.com".to_owned()),
        verified: Some(true),
        password_hash: Some(hash("new")),
        disabled: Some(true),
        superuser: Some(true),
        roles: Some(vec![String::new(), "a,b \"{}".to_owned()]),
        ends_sign_ins: false,
    };
    let expected = User {
        full_name: Some("Ada\u{301} '; --".to_owned()),
        email: "ada@example.com".to_owned(),
        verified: true,
        password_hash: Some(hash("new")),
        disabled: true,
        superuser: true,
        roles: vec![String::new(), "a,b \"{}".to_owned()],
        sessions_valid_after: at(10),
        updated_at: at(10),
        ..ada
    };
    assert_eq!(changed(&*store, expected.id, &changes, at(10)).await, expected);
    assert_eq!(store.user(Find::Email("ada@example.com")).await.unwrap(), Some(expected.clone()));
    let again = changed(&*store, expected.id, &changes, at(10)).await;
    assert_eq!(again, User { sessions_valid_after: at(11), ..expected }, "one change ends the sign-ins once");
}

pub(super) async fn changes_at_once_undo_nothing_of_each_other(store: Arc<dyn Accounts>) {
    let ada = made(&*store, &NewUser { verified: false, ..somebody("ada") }).await;
    together(MANY, |which| {
        let store = store.clone();
        let changes = match which % 5 {
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

pub(super) async fn an_address_that_changes_is_unverified(store: Arc<dyn Accounts>) {
    let id = made(&*store, &somebody("ada")).await.id;
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

pub(super) async fn an_address_that_is_taken_changes_nothing(store: Arc<dyn Accounts>) {
    let ada = made(&*store, &somebody("ada")).await;
    let eve = made(&*store, &somebody("eve")).await;
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
    assert_eq!(store.change_user(nobody(), &changes, at(1)).await.unwrap(), Changed::Absent, "whoever has the address");
    assert_eq!(store.users(0, 10).await.unwrap(), [ada, eve]);
}

pub(super) async fn an_address_that_was_left_is_free(store: Arc<dyn Accounts>) {
    let ada = made(&*store, &somebody("ada")).await;
    changed(&*store, ada.id, &to_email("new@example.org"), at(1)).await;
    assert_eq!(store.user(Find::Email("ada@example.org")).await.unwrap(), None);
    let other = NewUser { email: ada.email.clone(), ..somebody("other") };
    made(&*store, &other).await;
    assert_eq!(store.change_user(ada.id, &to_email(&ada.email), at(2)).await.unwrap(), Changed::EmailTaken);
    assert!(store.delete_user(other.id, at(3), START).await.unwrap());
    assert_eq!(changed(&*store, ada.id, &to_email(&ada.email), at(4)).await.email, ada.email);
}

/// Half of them make a user with the address, the others have one and change to it.
pub(super) async fn an_address_goes_to_one_of_many(store: Arc<dyn Accounts>) {
    let mut users = Vec::new();
    for which in 0..MANY {
        users.push(made(&*store, &somebody(&format!("user{which}"))).await);
    }
    for round in 0..ROUNDS {
        let email = format!("{round}@example.com");
        let answers = together(MANY, |which| {
            let (store, email, user) = (store.clone(), email.clone(), users[which].id);
            async move {
                if which % 2 == 0 {
                    match store.change_user(user, &to_email(&email), at(1)).await.unwrap() {
                        Changed::Changed(user) => Some(*user),
                        Changed::EmailTaken => None,
                        Changed::Absent => panic!("nobody was deleted"),
                    }
                } else {
                    let user = NewUser { email, ..somebody(&format!("{round}-{which}")) };
                    match store.create_user(&user).await.unwrap() {
                        Created::Created(user) => Some(*user),
                        Created::EmailTaken => None,
                        Created::UsernameTaken => panic!("the names differ"),
                    }
                }
            }
        })
        .await;
        let winners: Vec<_> = answers.into_iter().flatten().collect();
        assert_eq!(winners.len(), 1, "{winners:?}");
        assert_eq!(store.user(Find::Email(&email)).await.unwrap().as_ref(), winners.first());
    }
}

/// Neither waits for the other for ever.
pub(super) async fn two_who_want_each_others_address_keep_their_own(store: Arc<dyn Accounts>) {
    let users = [made(&*store, &somebody("ada")).await, made(&*store, &somebody("eve")).await];
    let answers = together(MANY, |which| {
        let (store, user, wanted) = (store.clone(), users[which % 2].id, to_email(&users[(which + 1) % 2].email));
        async move { store.change_user(user, &wanted, at(1)).await.unwrap() }
    })
    .await;
    assert!(answers.iter().all(|answer| *answer == Changed::EmailTaken), "{answers:?}");
    assert_eq!(store.users(0, 10).await.unwrap(), users);
}

pub(super) async fn who_is_not_there_is_not_changed(store: Arc<dyn Accounts>) {
    let ada = made(&*store, &somebody("ada")).await;
    for changes in [
        Changes::default(),
        to_email("free@example.org"),
        Changes { password_hash: Some(hash("new")), ..Changes::default() },
        Changes { disabled: Some(true), ..Changes::default() },
    ] {
        assert_eq!(store.change_user(nobody(), &changes, at(1)).await.unwrap(), Changed::Absent);
    }
    assert_eq!(store.confirm_email(nobody(), &ada.email, at(1)).await.unwrap(), Confirmed::Absent);
    assert_eq!(store.users(0, 10).await.unwrap(), [ada]);
}

pub(super) async fn a_change_to_text_with_a_nul_is_refused(store: Arc<dyn Accounts>) {
    let ada = made(&*store, &somebody("ada")).await;
    for changes in [
        Changes { full_name: Some(Some("\0".to_owned())), ..Changes::default() },
        to_email("a\0da@example.org"),
        Changes { password_hash: Some(hash("\0")), ..Changes::default() },
        Changes { roles: Some(vec!["\0".to_owned()]), ..Changes::default() },
    ] {
        let answer = store.change_user(ada.id, &changes, at(1)).await;
        assert!(matches!(answer, Err(Error::Corrupt { .. })), "{changes:?}");
    }
    assert_eq!(store.confirm_email(ada.id, "ada\0@example.org", at(1)).await.unwrap(), Confirmed::Absent);
    assert_eq!(row(&*store, ada.id).await, ada);
}

pub(super) async fn an_address_is_confirmed_by_one_of_many(store: Arc<dyn Accounts>) {
    for round in 0..ROUNDS {
        let ada = made(&*store, &NewUser { verified: false, ..somebody(&format!("ada{round}")) }).await;
        let answers = together(MANY, |_| {
            let (store, email) = (store.clone(), ada.email.clone());
            async move { store.confirm_email(ada.id, &email, at(10)).await.unwrap() }
        })
        .await;
        assert_eq!(answers.iter().filter(|answer| **answer == Confirmed::Confirmed).count(), 1);
        assert_eq!(answers.iter().filter(|answer| **answer == Confirmed::Already).count(), MANY - 1);
        let expected = User { verified: true, updated_at: at(10), ..ada };
        assert_eq!(row(&*store, expected.id).await, expected);
        assert_eq!(store.confirm_email(expected.id, &expected.email, at(20)).await.unwrap(), Confirmed::Already);
        assert_eq!(row(&*store, expected.id).await, expected, "nothing is noted twice");
    }
}

pub(super) async fn an_address_that_is_another_by_now_is_not_confirmed(store: Arc<dyn Accounts>) {
    let ada = made(&*store, &NewUser { verified: false, ..somebody("ada") }).await;
    let eve = made(&*store, &NewUser { verified: false, ..somebody("eve") }).await;
    let moved = changed(&*store, ada.id, &to_email("new@example.org"), at(1)).await;
    for email in ["ada@example.org", "eve@example.org", "NEW@example.org", ""] {
        assert_eq!(store.confirm_email(ada.id, email, at(2)).await.unwrap(), Confirmed::Absent, "{email}");
    }
    assert_eq!(store.users(0, 10).await.unwrap(), [moved, eve]);
    assert_eq!(store.confirm_email(ada.id, "new@example.org", at(3)).await.unwrap(), Confirmed::Confirmed);
}

pub(super) async fn confirming_the_old_address_never_verifies_the_new(store: Arc<dyn Accounts>) {
    let mut users = Vec::new();
    for which in 0..MANY / 2 {
        users.push(made(&*store, &NewUser { verified: false, ..somebody(&format!("user{which}")) }).await);
    }
    together(MANY, |which| {
        let (store, user) = (store.clone(), users[which / 2].clone());
        async move {
            if which % 2 == 0 {
                store.confirm_email(user.id, &user.email, at(1)).await.unwrap();
            } else {
                changed(&*store, user.id, &to_email(&format!("new-{}", user.email)), at(1)).await;
            }
        }
    })
    .await;
    for user in store.users(0, 100).await.unwrap() {
        assert!(user.email.starts_with("new-") && !user.verified, "{user:?}");
    }
}

pub(super) async fn users_come_by_their_place(store: Arc<dyn Accounts>) {
    assert_eq!(store.users_page(0, 10).await.unwrap(), Vec::new());
    let mut all = Vec::new();
    for which in 0..7 {
        all.push(made(&*store, &somebody(&format!("user{which}"))).await);
    }
    // A row that was changed may lie elsewhere by now; its place is where it was.
    all[0] = changed(&*store, all[0].id, &Changes { full_name: Some(None), ..Changes::default() }, at(1)).await;
    for (skip, limit, expected) in
        [(0, 3, &all[..3]), (3, 3, &all[3..6]), (6, 3, &all[6..]), (7, 3, &[]), (2, 0, &[]), (1, u32::MAX, &all[1..])]
    {
        assert_eq!(store.users_page(skip, limit).await.unwrap(), expected, "{limit} after {skip}");
    }
    for skip in [1 << 40, i64::MAX as u64, u64::MAX] {
        assert_eq!(store.users_page(skip, u32::MAX).await.unwrap(), Vec::new(), "after {skip}");
    }
    assert!(store.delete_user(all[3].id, at(1), START).await.unwrap());
    assert_eq!(store.users_page(3, 2).await.unwrap(), all[4..6], "a deleted user has no place");
}
