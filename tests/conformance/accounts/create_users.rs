//! Creating users, one by one and in imports, and reading them.

use std::collections::HashSet;
use std::sync::Arc;

use super::{MANY, ROUNDS, START, at, create, created_user, key, new_user, row, run_concurrently, unknown_user};
use signet::clock::Timestamp;
use signet::id::ProjectId;
use signet::store::accounts::{Billing, Created, Find, NewUser, SealedTotp, User};
use signet::store::{Accounts, Error};

pub(super) async fn user_is_read_back_as_created(store: Arc<dyn Accounts>) {
    let given = NewUser { disabled: true, superuser: true, ..new_user("ada") };
    let user = create(&*store, &given).await;
    let expected = User { disabled: true, superuser: true, ..created_user(&given, user.number) };
    assert_eq!(user, expected);
    create(&*store, &new_user("eve")).await;
    for by in [Find::Id(given.id), Find::Email("ada@example.org"), Find::UsernameKey("ada")] {
        assert_eq!(store.user(by).await.unwrap().as_ref(), Some(&expected), "{by:?}");
    }
    for by in [Find::Id(unknown_user()), Find::Email("ada@example.com"), Find::Email("ada"), Find::UsernameKey("ADA")] {
        assert_eq!(store.user(by).await.unwrap(), None, "{by:?}");
    }
}

pub(super) async fn user_without_optional_fields_is_created(store: Arc<dyn Accounts>) {
    for name in ["ada", "eve"] {
        let given = NewUser {
            username: None,
            username_key: None,
            full_name: None,
            password_hash: None,
            verified: false,
            roles: Vec::new(),
            ..new_user(name)
        };
        let user = create(&*store, &given).await;
        assert_eq!((&user.username, &user.full_name, &user.password_hash), (&None, &None, &None));
        assert!(user.roles.is_empty() && !user.verified && !user.disabled && !user.superuser);
        assert_eq!(row(&*store, given.id).await, user);
    }
}

pub(super) async fn email_address_has_one_user(store: Arc<dyn Accounts>) {
    for round in 0..ROUNDS {
        let results = run_concurrently(MANY, |number| {
            let store = store.clone();
            let user = NewUser { email: format!("{round}@example.org"), ..new_user(&format!("{round}-{number}")) };
            async move { store.create_user(&user).await.unwrap() }
        })
        .await;
        one_made_the_rest(&*store, &results, &Created::EmailTaken).await;
    }
}

pub(super) async fn username_has_one_user(store: Arc<dyn Accounts>) {
    for round in 0..ROUNDS {
        let results = run_concurrently(MANY, |number| {
            let store = store.clone();
            let user = NewUser { username_key: Some(round.to_string()), ..new_user(&format!("{round}-{number}")) };
            async move { store.create_user(&user).await.unwrap() }
        })
        .await;
        one_made_the_rest(&*store, &results, &Created::UsernameTaken).await;
    }
}

async fn one_made_the_rest(store: &dyn Accounts, results: &[Created], rest: &Created) {
    let winners: Vec<_> = results.iter().filter(|result| matches!(result, Created::Created(_))).collect();
    assert_eq!(results.iter().filter(|result| *result == rest).count(), results.len() - 1);
    let [Created::Created(winner)] = winners[..] else { panic!("not one winner: {winners:?}") };
    assert_eq!(store.users(winner.number - 1, 100).await.unwrap(), [(**winner).clone()], "no later user exists");
}

pub(super) async fn taken_email_is_reported_before_taken_username(store: Arc<dyn Accounts>) {
    create(&*store, &new_user("ada")).await;
    create(&*store, &new_user("eve")).await;
    let both = new_user("ada");
    assert_eq!(store.create_user(&both).await.unwrap(), Created::EmailTaken, "both belong to one user");
    let both = NewUser { username_key: Some("eve".to_owned()), ..new_user("ada") };
    assert_eq!(store.create_user(&both).await.unwrap(), Created::EmailTaken, "they belong to two users");
    let name = NewUser { username_key: Some("eve".to_owned()), ..new_user("bob") };
    assert_eq!(store.create_user(&name).await.unwrap(), Created::UsernameTaken);

    let results = run_concurrently(MANY, |_| {
        let store = store.clone();
        async move { store.create_user(&new_user("mallory")).await.unwrap() }
    })
    .await;
    let taken = results.iter().filter(|result| **result == Created::EmailTaken).count();
    assert_eq!(taken, MANY - 1, "also if both become taken at that moment");
}

pub(super) async fn refused_user_leaves_nothing_behind(store: Arc<dyn Accounts>) {
    let ada = create(&*store, &new_user("ada")).await;
    for refused in [
        NewUser { email: "ada@example.org".to_owned(), ..new_user("eve") },
        NewUser { username_key: Some("ada".to_owned()), ..new_user("eve") },
    ] {
        assert!(!matches!(store.create_user(&refused).await.unwrap(), Created::Created(_)));
        assert_eq!(store.user(Find::Id(refused.id)).await.unwrap(), None);
        assert_eq!(store.projects(refused.id).await.unwrap(), Vec::new());
        assert!(!store.create_api_key(&key(&NewUser { id: ada.id, ..refused }, "sk_1", START), None).await.unwrap());
    }
    assert_eq!(store.users(0, 10).await.unwrap(), [ada]);
    create(&*store, &new_user("eve")).await;
}

pub(super) async fn new_user_has_a_personal_project(store: Arc<dyn Accounts>) {
    let (ada, eve) = (new_user("ada"), new_user("eve"));
    create(&*store, &ada).await;
    store.import_users(std::slice::from_ref(&eve)).await.unwrap();
    for user in [ada, eve] {
        assert_eq!(store.projects(user.id).await.unwrap(), [(user.project, "Personal".to_owned())]);
    }
    assert_eq!(store.projects(unknown_user()).await.unwrap(), Vec::<(ProjectId, String)>::new());
}

pub(super) async fn new_user_may_have_a_second_factor(store: Arc<dyn Accounts>) {
    let secret = Some(SealedTotp(b"sealed".to_vec()));
    let ada = create(&*store, &NewUser { totp: secret.clone(), ..new_user("ada") }).await;
    let eve = NewUser { totp: secret.clone(), ..new_user("eve") };
    store.import_users(&[eve.clone(), new_user("bob")]).await.unwrap();
    for user in [ada.id, eve.id] {
        assert_eq!(store.user(Find::Id(user)).await.unwrap().unwrap().totp, secret);
        assert_eq!(store.recovery_codes(user).await.unwrap(), Vec::new());
        assert!(!store.enable_totp(user, &SealedTotp(vec![1]), 1, &[], None, START).await.unwrap(), "it is on");
        assert!(store.spend_totp_step(user, 1).await.unwrap(), "no step is used up");
        assert!(!store.spend_totp_step(user, 1).await.unwrap());
    }
    let sealed = store.sealed_totps(0, 10).await.unwrap();
    assert_eq!(sealed.iter().map(|(_, user, _)| *user).collect::<Vec<_>>(), [ada.id, eve.id]);
}

pub(super) async fn new_user_may_have_a_balance_and_a_tier(store: Arc<dyn Accounts>) {
    let billing = Billing { token_balance: 70, tokens_used: i64::MAX, subscription_tier: Some("pro".to_owned()) };
    let ada = create(&*store, &NewUser { billing: billing.clone(), ..new_user("ada") }).await;
    assert_eq!(ada.billing, billing);
    let eve = NewUser { billing: billing.clone(), ..new_user("eve") };
    let bob = new_user("bob");
    store.import_users(&[eve.clone(), bob.clone()]).await.unwrap();
    assert_eq!(row(&*store, eve.id).await.billing, billing);
    assert_eq!(row(&*store, bob.id).await.billing, Billing::default());
}

pub(super) async fn user_numbers_increase_and_are_unique(store: Arc<dyn Accounts>) {
    let first = create(&*store, &new_user("first")).await;
    assert!(first.number > 0, "a page that begins after 0 contains every user");
    let results = run_concurrently(MANY, |number| {
        let store = store.clone();
        async move { create(&*store, &new_user(&format!("user{number}"))).await.number }
    })
    .await;
    assert_eq!(results.iter().collect::<HashSet<_>>().len(), MANY);
    assert!(results.iter().all(|number| *number > first.number));
    let last = create(&*store, &new_user("last")).await;
    assert!(results.iter().all(|number| *number < last.number));
}

pub(super) async fn user_numbers_are_not_reused(store: Arc<dyn Accounts>) {
    let mut highest = 0;
    for round in 0..3 {
        let user = create(&*store, &new_user(&format!("user{round}"))).await;
        assert!(user.number > highest, "the number of a deleted user was reused");
        highest = user.number;
        assert!(store.delete_user(user.id, None, at(1), START).await.unwrap().is_some());
    }
}

pub(super) async fn import_skips_taken_emails_and_usernames(store: Arc<dyn Accounts>) {
    let ada = create(&*store, &new_user("ada")).await;
    let mut users = vec![
        new_user("bob"),
        NewUser { email: ada.email.clone(), ..new_user("cid") },
        NewUser { username_key: Some("bob".to_owned()), ..new_user("dan") },
        NewUser { created_at: at(-86_400_000), ..new_user("cid") },
        NewUser { username_key: Some("ada".to_owned()), email: "bob@example.org".to_owned(), ..new_user("eve") },
    ];
    users.extend((0..300).map(|number| new_user(&format!("user{number}"))));
    let results = store.import_users(&users).await.unwrap();
    assert_eq!(results.len(), users.len());
    assert_eq!(results[1..3], [Created::EmailTaken, Created::UsernameTaken]);
    assert_eq!(results[4], Created::EmailTaken, "both are taken, one of them by this import");

    let mut there = vec![ada];
    for (user, result) in users.iter().zip(results) {
        if let Created::Created(row) = result {
            assert_eq!((row.id, &row.email, row.created_at), (user.id, &user.email, user.created_at));
            assert_eq!(store.projects(row.id).await.unwrap().len(), 1);
            there.push(*row);
        }
    }
    assert_eq!(there.len(), users.len() - 3 + 1);
    assert_eq!(store.users(0, 1000).await.unwrap(), there, "numbered in the order of the import");
}

pub(super) async fn empty_import_creates_no_user(store: Arc<dyn Accounts>) {
    assert_eq!(store.import_users(&[]).await.unwrap(), Vec::new());
    assert_eq!(store.users(0, 10).await.unwrap(), Vec::new());
}

pub(super) async fn concurrent_imports_create_each_user_once(store: Arc<dyn Accounts>) {
    let results = run_concurrently(2, |number| {
        let store = store.clone();
        let mut users: Vec<_> = (0..200).map(|number| new_user(&format!("user{number}"))).collect();
        // In opposite orders, so that each import waits for rows that the other one holds.
        if number == 1 {
            users.reverse();
        }
        async move { store.import_users(&users).await.unwrap() }
    })
    .await;
    let made = results.iter().flatten().filter(|result| matches!(result, Created::Created(_))).count();
    assert_eq!(made, 200);
    assert_eq!(store.users(0, 1000).await.unwrap().len(), 200);
}

pub(super) async fn users_are_listed_in_pages(store: Arc<dyn Accounts>) {
    assert_eq!(store.users(0, 10).await.unwrap(), Vec::new());
    let mut all = Vec::new();
    for number in 0..7 {
        all.push(create(&*store, &new_user(&format!("user{number}"))).await);
    }
    assert_eq!(store.users(0, 3).await.unwrap(), all[..3]);
    assert_eq!(store.users(all[2].number, 3).await.unwrap(), all[3..6]);
    assert_eq!(store.users(all[5].number, 3).await.unwrap(), all[6..]);
    assert_eq!(store.users(all[6].number, 3).await.unwrap(), Vec::new());
    assert_eq!(store.users(0, 0).await.unwrap(), Vec::new());
    assert_eq!(store.users(i64::MIN, u32::MAX).await.unwrap(), all);
    assert!(store.delete_user(all[3].id, None, at(1), START).await.unwrap().is_some());
    assert_eq!(store.users(all[2].number, 2).await.unwrap(), all[4..6], "a deleted user leaves no gap in a page");
}

pub(super) async fn unusual_text_is_read_back_unchanged(store: Arc<dyn Accounts>) {
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
    for (number, text) in odd.into_iter().enumerate() {
        let given = NewUser {
            username: Some(text.to_owned()),
            full_name: Some(text.to_owned()),
            roles: vec![text.to_owned(), String::new(), "NULL".to_owned(), text.to_owned()],
            ..new_user(&format!("user{number}"))
        };
        let user = create(&*store, &given).await;
        assert_eq!((user.username.as_deref(), user.full_name.as_deref()), (Some(text), Some(text)));
        assert_eq!(user.roles, given.roles);
        assert_eq!(row(&*store, given.id).await, user);

        let mut odd_key = key(&given, &format!("sk_{number}"), START);
        odd_key.name = text.to_owned();
        odd_key.scopes = given.roles;
        assert!(store.create_api_key(&odd_key, None).await.unwrap());
        assert_eq!(store.api_key(&odd_key.prefix).await.unwrap(), Some((odd_key, user)));
        assert_eq!(store.api_key(text).await.unwrap(), None);
        assert_eq!(store.user(Find::Email(text)).await.unwrap(), None);
    }
    // The two forms of é are two addresses: the store does not normalize them.
    for email in ["\u{e9}@example.org", "e\u{301}@example.org", "E\u{301}@example.org"] {
        let user = create(&*store, &NewUser { email: email.to_owned(), ..new_user(&format!("by {email}")) }).await;
        assert_eq!(store.user(Find::Email(email)).await.unwrap(), Some(user));
    }
}

/// Postgres cannot store a NUL in a text. With every engine, a text with a NUL is not found when it is searched for,
/// and an error when it is to be stored.
pub(super) async fn text_with_a_nul_is_refused(store: Arc<dyn Accounts>) {
    for by in [Find::Email("ada\0@example.org"), Find::UsernameKey("a\0")] {
        assert_eq!(store.user(by).await.unwrap(), None);
    }
    assert_eq!(store.api_key("sk\0").await.unwrap(), None);
    let refused = NewUser { full_name: Some("a\0da".to_owned()), ..new_user("ada") };
    assert!(matches!(store.create_user(&refused).await, Err(Error::Corrupt { .. })));
    assert!(matches!(store.import_users(&[new_user("eve"), refused]).await, Err(Error::Corrupt { .. })));
    assert_eq!(store.users(0, 10).await.unwrap(), Vec::new(), "an import is one transaction");
    let ada = new_user("ada");
    create(&*store, &ada).await;
    let mut refused = key(&ada, "sk_1", START);
    refused.name = "\0".to_owned();
    assert!(matches!(store.create_api_key(&refused, None).await, Err(Error::Corrupt { .. })));
    assert_eq!(store.api_key("sk_1").await.unwrap(), None);
}

pub(super) async fn timestamps_keep_milliseconds(store: Arc<dyn Accounts>) {
    // Before 1970, the limits of what Postgres or RFC 3339 can represent, and every remainder that a float would lose.
    let far = [i64::MIN / 2, -62_135_596_800_001, -1, 0, 1, 253_402_300_799_999, i64::MAX / 2];
    for (number, millis) in far.into_iter().chain((0..10).map(|step| START.millis() + step * 111)).enumerate() {
        let moment = Timestamp::from_millis(millis);
        let given = NewUser { created_at: moment, ..new_user(&format!("user{number}")) };
        let user = create(&*store, &given).await;
        assert_eq!((user.created_at, user.updated_at), (moment, moment));
        assert_eq!(row(&*store, given.id).await, user);
        let mut dated = key(&given, &format!("sk_{number}"), START);
        dated.created_at = moment;
        dated.updated_at = moment;
        dated.expires_at = Some(moment);
        dated.last_used_at = Some(moment);
        dated.deactivated_at = Some(moment);
        assert!(store.create_api_key(&dated, None).await.unwrap());
        assert_eq!(store.api_key(&dated.prefix).await.unwrap().unwrap().0, dated);
    }
}
