//! Making users, one by one and many at once, and reading them.

use std::collections::HashSet;
use std::sync::Arc;

use super::{MANY, ROUNDS, START, at, hash, key, made, nobody, row, somebody, together};
use crate::clock::Timestamp;
use crate::id::ProjectId;
use crate::store::accounts::{Billing, Created, Find, NewUser, User};
use crate::store::{Accounts, Error};

pub(super) async fn a_user_is_kept_as_it_was_given(store: Arc<dyn Accounts>) {
    let given = NewUser { disabled: true, superuser: true, ..somebody("ada") };
    let user = made(&*store, &given).await;
    let expected = User {
        id: given.id,
        number: user.number,
        email: "ada@example.org".to_owned(),
        username: Some("ADA".to_owned()),
        full_name: Some("ada of Example".to_owned()),
        password_hash: Some(hash("ada")),
        verified: true,
        disabled: true,
        superuser: true,
        roles: vec!["user".to_owned(), "editor".to_owned()],
        totp: None,
        billing: Billing::default(),
        sessions_valid_after: START,
        created_at: START,
        updated_at: START,
    };
    assert_eq!(user, expected);
    made(&*store, &somebody("eve")).await;
    for by in [Find::Id(given.id), Find::Email("ada@example.org"), Find::UsernameKey("ada")] {
        assert_eq!(store.user(by).await.unwrap().as_ref(), Some(&expected), "{by:?}");
    }
    for by in [Find::Id(nobody()), Find::Email("ada@example.com"), Find::Email("ada"), Find::UsernameKey("ADA")] {
        assert_eq!(store.user(by).await.unwrap(), None, "{by:?}");
    }
}

pub(super) async fn a_user_without_the_optional_parts_is_kept_too(store: Arc<dyn Accounts>) {
    for name in ["ada", "eve"] {
        let given = NewUser {
            username: None,
            username_key: None,
            full_name: None,
            password_hash: None,
            verified: false,
            roles: Vec::new(),
            ..somebody(name)
        };
        let user = made(&*store, &given).await;
        assert_eq!((&user.username, &user.full_name, &user.password_hash), (&None, &None, &None));
        assert!(user.roles.is_empty() && !user.verified && !user.disabled && !user.superuser);
        assert_eq!(row(&*store, given.id).await, user);
    }
}

pub(super) async fn an_address_has_one_user(store: Arc<dyn Accounts>) {
    for round in 0..ROUNDS {
        let answers = together(MANY, |which| {
            let store = store.clone();
            let user = NewUser { email: format!("{round}@example.org"), ..somebody(&format!("{round}-{which}")) };
            async move { store.create_user(&user).await.unwrap() }
        })
        .await;
        one_made_the_rest(&*store, &answers, &Created::EmailTaken).await;
    }
}

pub(super) async fn a_username_has_one_user(store: Arc<dyn Accounts>) {
    for round in 0..ROUNDS {
        let answers = together(MANY, |which| {
            let store = store.clone();
            let user = NewUser { username_key: Some(round.to_string()), ..somebody(&format!("{round}-{which}")) };
            async move { store.create_user(&user).await.unwrap() }
        })
        .await;
        one_made_the_rest(&*store, &answers, &Created::UsernameTaken).await;
    }
}

async fn one_made_the_rest(store: &dyn Accounts, answers: &[Created], rest: &Created) {
    let winners: Vec<_> = answers.iter().filter(|answer| matches!(answer, Created::Created(_))).collect();
    assert_eq!(answers.iter().filter(|answer| *answer == rest).count(), answers.len() - 1);
    let [Created::Created(winner)] = winners[..] else { panic!("not one winner: {winners:?}") };
    assert_eq!(store.users(winner.number - 1, 100).await.unwrap(), [(**winner).clone()], "and nobody after");
}

pub(super) async fn an_address_goes_before_a_username(store: Arc<dyn Accounts>) {
    made(&*store, &somebody("ada")).await;
    made(&*store, &somebody("eve")).await;
    let both = somebody("ada");
    assert_eq!(store.create_user(&both).await.unwrap(), Created::EmailTaken, "both are one user's");
    let both = NewUser { username_key: Some("eve".to_owned()), ..somebody("ada") };
    assert_eq!(store.create_user(&both).await.unwrap(), Created::EmailTaken, "they are two users'");
    let name = NewUser { username_key: Some("eve".to_owned()), ..somebody("bob") };
    assert_eq!(store.create_user(&name).await.unwrap(), Created::UsernameTaken);

    let answers = together(MANY, |_| {
        let store = store.clone();
        async move { store.create_user(&somebody("mallory")).await.unwrap() }
    })
    .await;
    let taken = answers.iter().filter(|answer| **answer == Created::EmailTaken).count();
    assert_eq!(taken, MANY - 1, "also when both become taken at that moment");
}

pub(super) async fn what_was_taken_leaves_nothing_behind(store: Arc<dyn Accounts>) {
    let ada = made(&*store, &somebody("ada")).await;
    for refused in [
        NewUser { email: "ada@example.org".to_owned(), ..somebody("eve") },
        NewUser { username_key: Some("ada".to_owned()), ..somebody("eve") },
    ] {
        assert!(!matches!(store.create_user(&refused).await.unwrap(), Created::Created(_)));
        assert_eq!(store.user(Find::Id(refused.id)).await.unwrap(), None);
        assert_eq!(store.projects(refused.id).await.unwrap(), Vec::new());
        assert!(!store.create_api_key(&key(&NewUser { id: ada.id, ..refused }, "sk_1", START)).await.unwrap());
    }
    assert_eq!(store.users(0, 10).await.unwrap(), [ada]);
    made(&*store, &somebody("eve")).await;
}

pub(super) async fn a_user_has_a_personal_project_from_the_start(store: Arc<dyn Accounts>) {
    let (ada, eve) = (somebody("ada"), somebody("eve"));
    made(&*store, &ada).await;
    store.import_users(std::slice::from_ref(&eve)).await.unwrap();
    for user in [ada, eve] {
        assert_eq!(store.projects(user.id).await.unwrap(), [(user.project, "Personal".to_owned())]);
    }
    assert_eq!(store.projects(nobody()).await.unwrap(), Vec::<(ProjectId, String)>::new());
}

pub(super) async fn numbers_rise_and_are_unique(store: Arc<dyn Accounts>) {
    let first = made(&*store, &somebody("first")).await;
    assert!(first.number > 0, "a page that begins after 0 leaves nobody out");
    let answers = together(MANY, |which| {
        let store = store.clone();
        async move { made(&*store, &somebody(&format!("user{which}"))).await.number }
    })
    .await;
    assert_eq!(answers.iter().collect::<HashSet<_>>().len(), MANY);
    assert!(answers.iter().all(|number| *number > first.number));
    let last = made(&*store, &somebody("last")).await;
    assert!(answers.iter().all(|number| *number < last.number));
}

pub(super) async fn numbers_are_not_used_again(store: Arc<dyn Accounts>) {
    let mut highest = 0;
    for round in 0..3 {
        let user = made(&*store, &somebody(&format!("user{round}"))).await;
        assert!(user.number > highest, "a number came back after its user was deleted");
        highest = user.number;
        assert!(store.delete_user(user.id, at(1), START).await.unwrap());
    }
}

pub(super) async fn an_import_leaves_out_what_is_taken(store: Arc<dyn Accounts>) {
    let ada = made(&*store, &somebody("ada")).await;
    let mut users = vec![
        somebody("bob"),
        NewUser { email: ada.email.clone(), ..somebody("cid") },
        NewUser { username_key: Some("bob".to_owned()), ..somebody("dan") },
        NewUser { created_at: at(-86_400_000), ..somebody("cid") },
        NewUser { username_key: Some("ada".to_owned()), email: "bob@example.org".to_owned(), ..somebody("eve") },
    ];
    users.extend((0..300).map(|which| somebody(&format!("user{which}"))));
    let answers = store.import_users(&users).await.unwrap();
    assert_eq!(answers.len(), users.len());
    assert_eq!(answers[1..3], [Created::EmailTaken, Created::UsernameTaken]);
    assert_eq!(answers[4], Created::EmailTaken, "both are taken, one of them by this import");

    let mut there = vec![ada];
    for (user, answer) in users.iter().zip(answers) {
        if let Created::Created(row) = answer {
            assert_eq!((row.id, &row.email, row.created_at), (user.id, &user.email, user.created_at));
            assert_eq!(store.projects(row.id).await.unwrap().len(), 1);
            there.push(*row);
        }
    }
    assert_eq!(there.len(), users.len() - 3 + 1);
    assert_eq!(store.users(0, 1000).await.unwrap(), there, "numbered in the order in which they were given");
}

pub(super) async fn an_import_of_nobody_makes_nobody(store: Arc<dyn Accounts>) {
    assert_eq!(store.import_users(&[]).await.unwrap(), Vec::new());
    assert_eq!(store.users(0, 10).await.unwrap(), Vec::new());
}

pub(super) async fn two_imports_at_once_make_each_user_once(store: Arc<dyn Accounts>) {
    let answers = together(2, |which| {
        let store = store.clone();
        let mut users: Vec<_> = (0..200).map(|which| somebody(&format!("user{which}"))).collect();
        // In opposite orders: what each waits for the other holds.
        if which == 1 {
            users.reverse();
        }
        async move { store.import_users(&users).await.unwrap() }
    })
    .await;
    let made = answers.iter().flatten().filter(|answer| matches!(answer, Created::Created(_))).count();
    assert_eq!(made, 200);
    assert_eq!(store.users(0, 1000).await.unwrap().len(), 200);
}

pub(super) async fn users_come_in_pages(store: Arc<dyn Accounts>) {
    assert_eq!(store.users(0, 10).await.unwrap(), Vec::new());
    let mut all = Vec::new();
    for which in 0..7 {
        all.push(made(&*store, &somebody(&format!("user{which}"))).await);
    }
    assert_eq!(store.users(0, 3).await.unwrap(), all[..3]);
    assert_eq!(store.users(all[2].number, 3).await.unwrap(), all[3..6]);
    assert_eq!(store.users(all[5].number, 3).await.unwrap(), all[6..]);
    assert_eq!(store.users(all[6].number, 3).await.unwrap(), Vec::new());
    assert_eq!(store.users(0, 0).await.unwrap(), Vec::new());
    assert_eq!(store.users(i64::MIN, u32::MAX).await.unwrap(), all);
    assert!(store.delete_user(all[3].id, at(1), START).await.unwrap());
    assert_eq!(store.users(all[2].number, 2).await.unwrap(), all[4..6], "a deleted user leaves no gap in a page");
}

pub(super) async fn odd_text_comes_back_as_it_was(store: Arc<dyn Accounts>) {
    let long = "naïve \u{1F600} ".repeat(1000);
    assert!(long.len() > 10_000);
    let odd = [
        "",
        "  \t\r\n",
        "'; DROP TABLE users; --",
        "{\"a\",NULL}",
        "\\x00 \\000 %_",
        "\u{1F468}\u{200D}\u{1F469}\u{200D}\u{1F467} \u{202E}rtl\u{0301} \u{FFFD}\u{10FFFF}",
        long.as_str(),
    ];
    for (which, text) in odd.into_iter().enumerate() {
        let given = NewUser {
            username: Some(text.to_owned()),
            full_name: Some(text.to_owned()),
            roles: vec![text.to_owned(), String::new(), "NULL".to_owned(), text.to_owned()],
            ..somebody(&format!("user{which}"))
        };
        let user = made(&*store, &given).await;
        assert_eq!((user.username.as_deref(), user.full_name.as_deref()), (Some(text), Some(text)));
        assert_eq!(user.roles, given.roles);
        assert_eq!(row(&*store, given.id).await, user);

        let mut odd_key = key(&given, &format!("sk_{which}"), START);
        odd_key.name = text.to_owned();
        odd_key.scopes = given.roles;
        assert!(store.create_api_key(&odd_key).await.unwrap());
        assert_eq!(store.api_key(&odd_key.prefix).await.unwrap(), Some((odd_key, user)));
        assert_eq!(store.api_key(text).await.unwrap(), None);
        assert_eq!(store.user(Find::Email(text)).await.unwrap(), None);
    }
    // The two forms of é are two addresses: what is canonical is not the store's affair.
    for email in ["\u{e9}@example.org", "e\u{301}@example.org", "E\u{301}@example.org"] {
        let user = made(&*store, &NewUser { email: email.to_owned(), ..somebody(&format!("by {email}")) }).await;
        assert_eq!(store.user(Find::Email(email)).await.unwrap(), Some(user));
    }
}

/// Postgres cannot keep a NUL in a text. What cannot be there is absent when it is looked for, and an error when it is to be
/// kept, whatever the engine.
pub(super) async fn text_with_a_nul_is_refused(store: Arc<dyn Accounts>) {
    for by in [Find::Email("ada\0@example.org"), Find::UsernameKey("a\0")] {
        assert_eq!(store.user(by).await.unwrap(), None);
    }
    assert_eq!(store.api_key("sk\0").await.unwrap(), None);
    let refused = NewUser { full_name: Some("a\0da".to_owned()), ..somebody("ada") };
    assert!(matches!(store.create_user(&refused).await, Err(Error::Corrupt { .. })));
    assert!(matches!(store.import_users(&[somebody("eve"), refused]).await, Err(Error::Corrupt { .. })));
    assert_eq!(store.users(0, 10).await.unwrap(), Vec::new(), "an import is one transaction");
    let ada = somebody("ada");
    made(&*store, &ada).await;
    let mut refused = key(&ada, "sk_1", START);
    refused.name = "\0".to_owned();
    assert!(matches!(store.create_api_key(&refused).await, Err(Error::Corrupt { .. })));
    assert_eq!(store.api_key("sk_1").await.unwrap(), None);
}

pub(super) async fn moments_are_kept_to_the_millisecond(store: Arc<dyn Accounts>) {
    // Before 1970, the ends of what Postgres or RFC 3339 can write, and every remainder that a float would lose.
    let far = [i64::MIN / 2, -62_135_596_800_001, -1, 0, 1, 253_402_300_799_999, i64::MAX / 2];
    for (which, millis) in far.into_iter().chain((0..10).map(|step| START.millis() + step * 111)).enumerate() {
        let moment = Timestamp::from_millis(millis);
        let given = NewUser { created_at: moment, ..somebody(&format!("user{which}")) };
        let user = made(&*store, &given).await;
        assert_eq!((user.created_at, user.updated_at), (moment, moment));
        assert_eq!(row(&*store, given.id).await, user);
        let mut dated = key(&given, &format!("sk_{which}"), START);
        dated.created_at = moment;
        dated.updated_at = moment;
        dated.expires_at = Some(moment);
        dated.last_used_at = Some(moment);
        dated.deactivated_at = Some(moment);
        assert!(store.create_api_key(&dated).await.unwrap());
        assert_eq!(store.api_key(&dated.prefix).await.unwrap().unwrap().0, dated);
    }
}
