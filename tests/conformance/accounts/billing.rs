//! The billing fields of users, and projects.

use std::sync::Arc;

use super::{
    MANY, ROUNDS, START, at, changed, create, key, new_user, row, run_concurrently, unknown_project, unknown_user,
};
use signet::id::{ProjectId, UserId};
use signet::rng::Rng;
use signet::store::accounts::{Billed, Billing, BillingChange, Changes, NewUser, User};
use signet::store::{Accounts, Error};

fn change(token_balance: i64, tokens_used: i64) -> BillingChange {
    BillingChange { token_balance, tokens_used, subscription_tier: None }
}

fn tier(tier: Option<&str>) -> BillingChange {
    BillingChange { subscription_tier: Some(tier.map(str::to_owned)), ..BillingChange::default() }
}

async fn billed(store: &dyn Accounts, user: UserId, change: &BillingChange) -> User {
    match store.change_billing(user, change, at(10)).await.unwrap() {
        Billed::Billed(user) => *user,
        not => panic!("{change:?}: {not:?}"),
    }
}

pub(super) async fn billing_starts_at_zero_and_adds_up(store: Arc<dyn Accounts>) {
    let eve = create(&*store, &new_user("eve")).await;
    let ada = create(&*store, &new_user("ada")).await;
    assert_eq!(ada.billing, Billing { token_balance: 0, tokens_used: 0, subscription_tier: None });
    let mut expected = User { updated_at: at(10), ..ada };
    for (change, balance, used, tier) in [
        (BillingChange::default(), 0, 0, None),
        (change(100, 0), 100, 0, None),
        (change(-30, 30), 70, 30, None),
        (tier(Some("pro")), 70, 30, Some("pro")),
        (change(-70, 70), 0, 100, Some("pro")),
        (change(5, -100), 5, 0, Some("pro")),
        (
            BillingChange { subscription_tier: Some(Some(String::new())), ..change(i64::MAX - 5, 1) },
            i64::MAX,
            1,
            Some(""),
        ),
        (change(-i64::MAX, i64::MAX - 1), 0, i64::MAX, Some("")),
        (tier(None), 0, i64::MAX, None),
    ] {
        expected.billing =
            Billing { token_balance: balance, tokens_used: used, subscription_tier: tier.map(str::to_owned) };
        assert_eq!(billed(&*store, expected.id, &change).await, expected, "{change:?}");
        assert_eq!(row(&*store, expected.id).await, expected, "{change:?}");
    }
    let other = changed(&*store, expected.id, &Changes { superuser: Some(true), ..Changes::default() }, at(10)).await;
    assert_eq!(other, User { superuser: true, ..expected }, "other changes do not touch billing");
    assert_eq!(row(&*store, eve.id).await, eve);
}

pub(super) async fn out_of_range_billing_changes_nothing(store: Arc<dyn Accounts>) {
    let ada = create(&*store, &new_user("ada")).await;
    let ada = billed(&*store, ada.id, &change(10, i64::MAX)).await;
    for refused in [
        change(-11, 0),
        change(i64::MIN, 0),
        change(i64::MAX, 0),
        change(i64::MAX - 9, 0),
        change(0, 1),
        change(0, i64::MAX),
        change(0, i64::MIN),
        change(-11, -1),
        change(5, 1),
        change(-11, 1),
        BillingChange { subscription_tier: Some(Some("pro".to_owned())), ..change(-11, 0) },
    ] {
        assert_eq!(store.change_billing(ada.id, &refused, at(20)).await.unwrap(), Billed::OutOfRange, "{refused:?}");
        assert_eq!(row(&*store, ada.id).await, ada, "{refused:?}");
    }
}

pub(super) async fn concurrent_debits_never_go_below_zero(store: Arc<dyn Accounts>) {
    for round in 0..ROUNDS {
        let ada = create(&*store, &new_user(&format!("ada{round}"))).await;
        billed(&*store, ada.id, &change(41, 0)).await;
        let results = run_concurrently(MANY, |_| {
            let store = store.clone();
            async move { store.change_billing(ada.id, &change(-2, 2), at(20)).await.unwrap() }
        })
        .await;
        let mut seen: Vec<_> = results
            .iter()
            .filter_map(|result| match result {
                Billed::Billed(user) => Some(user.billing.token_balance),
                Billed::OutOfRange => None,
                Billed::NotFound => panic!("the user exists"),
            })
            .collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..20).map(|left| left * 2 + 1).collect::<Vec<_>>(), "each caller got its own balance");
        let billing = row(&*store, ada.id).await.billing;
        assert_eq!((billing.token_balance, billing.tokens_used), (1, 40));
    }
}

pub(super) async fn concurrent_credits_and_debits_all_count(store: Arc<dyn Accounts>) {
    let ada = create(&*store, &new_user("ada")).await;
    let results = run_concurrently(MANY, |number| {
        let store = store.clone();
        let change = if number % 2 == 0 { change(10, 0) } else { change(-7, 7) };
        async move { matches!(store.change_billing(ada.id, &change, at(20)).await.unwrap(), Billed::Billed(_)) }
    })
    .await;
    assert!((0..MANY).step_by(2).all(|number| results[number]), "a credit is never refused");
    let debits = (1..MANY).step_by(2).filter(|number| results[*number]).count() as i64;
    let billing = row(&*store, ada.id).await.billing;
    assert_eq!((billing.token_balance, billing.tokens_used), (MANY as i64 / 2 * 10 - debits * 7, debits * 7));
}

pub(super) async fn unknown_user_is_not_billed(store: Arc<dyn Accounts>) {
    let ada = create(&*store, &new_user("ada")).await;
    for change in [BillingChange::default(), change(1, 1), change(-1, 0), tier(Some("pro"))] {
        assert_eq!(store.change_billing(unknown_user(), &change, at(1)).await.unwrap(), Billed::NotFound);
    }
    assert_eq!(store.users(0, 10).await.unwrap(), [ada]);
}

pub(super) async fn subscription_tier_with_a_nul_is_refused(store: Arc<dyn Accounts>) {
    let ada = create(&*store, &new_user("ada")).await;
    let refused = BillingChange { subscription_tier: Some(Some("\0".to_owned())), ..change(1, 1) };
    assert!(matches!(store.change_billing(ada.id, &refused, at(1)).await, Err(Error::Corrupt { .. })));
    assert_eq!(row(&*store, ada.id).await, ada);
}

fn project(millis: i64) -> ProjectId {
    ProjectId::new(at(millis), &Rng::system())
}

pub(super) async fn projects_are_listed_after_the_personal_one(store: Arc<dyn Accounts>) {
    let (ada, eve) = (new_user("ada"), new_user("eve"));
    create(&*store, &ada).await;
    create(&*store, &eve).await;
    let (old, new) = (project(-1), project(1));
    // The personal project comes first although another one is older. Two projects may have one name.
    assert!(store.create_project(ada.id, new, "Personal", at(1)).await.unwrap());
    assert!(store.create_project(ada.id, old, "'; -- \u{1F600}", at(-1)).await.unwrap());
    let named = |project, name: &str| (project, name.to_owned());
    let expected = [named(ada.project, "Personal"), named(old, "'; -- \u{1F600}"), named(new, "Personal")];
    assert_eq!(store.projects(ada.id).await.unwrap(), expected);
    assert_eq!(store.projects(eve.id).await.unwrap(), [named(eve.project, "Personal")]);
    assert!(store.create_api_key(&key(&NewUser { project: new, ..ada.clone() }, "sk_1", START), None).await.unwrap());

    assert!(!store.create_project(unknown_user(), unknown_project(), "nobody's", at(1)).await.unwrap());
    assert!(matches!(store.create_project(ada.id, unknown_project(), "\0", at(1)).await, Err(Error::Corrupt { .. })));
    assert!(matches!(store.create_project(eve.id, new, "taken", at(1)).await, Err(Error::Corrupt { .. })));
    assert_eq!(store.projects(ada.id).await.unwrap(), expected);
}

pub(super) async fn deleting_a_user_deletes_its_projects(store: Arc<dyn Accounts>) {
    let ada = new_user("ada");
    create(&*store, &ada).await;
    let second = project(1);
    assert!(store.create_project(ada.id, second, "second", at(1)).await.unwrap());
    let key = key(&NewUser { project: second, ..ada.clone() }, "sk_1", START);
    assert!(store.create_api_key(&key, None).await.unwrap());
    assert!(store.delete_user(ada.id, None, at(2), START).await.unwrap().is_some());
    assert_eq!(store.projects(ada.id).await.unwrap(), []);
    assert_eq!(store.api_key("sk_1").await.unwrap(), None);
    assert!(!store.create_project(ada.id, second, "second", at(3)).await.unwrap());
}

pub(super) async fn concurrent_deletion_leaves_no_project(store: Arc<dyn Accounts>) {
    for round in 0..ROUNDS {
        let ada = create(&*store, &new_user(&format!("ada{round}"))).await;
        let results = run_concurrently(MANY, |number| {
            let store = store.clone();
            async move {
                if number == MANY / 2 {
                    store.delete_user(ada.id, None, at(2), START).await.unwrap().is_some()
                } else {
                    store.create_project(ada.id, project(1), "one", at(1)).await.unwrap()
                }
            }
        })
        .await;
        assert!(results[MANY / 2]);
        assert_eq!(store.projects(ada.id).await.unwrap(), []);
    }
}
