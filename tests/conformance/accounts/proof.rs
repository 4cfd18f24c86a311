//! The proof of an address: what the first one removes, and what a later one leaves.

use std::sync::Arc;

use uuid::Uuid;

use super::details::to_email;
use super::{MANY, ROUNDS, START, at, changed, create, hash, key, new_user, row, run_concurrently, unknown_user};
use signet::clock::Timestamp;
use signet::id::ProjectId;
use signet::rng::Rng;
use signet::store::Accounts;
use signet::store::accounts::{
    ApiKey, Changed, Changes, EmailProved, NewPassword, NewUser, RecoveryCode, RemovedCredentials, SealedTotp, User,
};

const NOTHING: RemovedCredentials = RemovedCredentials { password: false, second_factor: false, api_keys: 0 };

fn new_password(text: &str) -> NewPassword {
    NewPassword { hash: hash(text), ends_api_keys_with: &["admin", "billing:write"] }
}

/// A user with a second factor and two API keys, one of them with a scope that a new password ends.
async fn create_with_everything(store: &dyn Accounts, name: &str, verified: bool) -> (NewUser, User, [ApiKey; 2]) {
    let given = NewUser { verified, ..new_user(name) };
    let user = create(store, &given).await;
    let recovery = [RecoveryCode { id: Uuid::from_u128(1), hash: hash("recovery") }];
    assert!(store.enable_totp(user.id, &SealedTotp(vec![1]), 1, &recovery, None, at(1)).await.unwrap());
    let plain = ApiKey { scopes: Vec::new(), ..key(&given, &format!("sk_{name}_plain"), START) };
    let keys = [key(&given, &format!("sk_{name}"), START), plain];
    for key in &keys {
        assert!(store.create_api_key(key, None).await.unwrap());
    }
    (given, row(store, user.id).await, keys)
}

/// Proves the address of a user whose row was read before.
async fn prove(store: &dyn Accounts, user: &User, password: Option<&NewPassword>, now: Timestamp) -> EmailProved {
    store.prove_email(user.id, &user.email, user.sessions_valid_after, password, now).await.unwrap()
}

async fn is_active(store: &dyn Accounts, key: &ApiKey) -> bool {
    store.api_key(&key.prefix).await.unwrap().expect("the key is there").0.deactivated_at.is_none()
}

pub(super) async fn first_proof_removes_earlier_credentials(store: Arc<dyn Accounts>) {
    let (given, ada, keys) = create_with_everything(&*store, "ada", false).await;
    let (_, eve, of_eve) = create_with_everything(&*store, "eve", false).await;
    let second_project = ProjectId::new(START, &Rng::system());
    assert!(store.create_project(ada.id, second_project, "second", at(1)).await.unwrap());
    let elsewhere = key(&NewUser { project: second_project, ..given.clone() }, "sk_elsewhere", START);
    let ended_before = ApiKey { deactivated_at: Some(at(2)), ..key(&given, "sk_ended", START) };
    for key in [&elsewhere, &ended_before] {
        assert!(store.create_api_key(key, None).await.unwrap());
    }

    let proved = prove(&*store, &ada, None, at(10)).await;
    let after = User {
        verified: true,
        password_hash: None,
        totp: None,
        sessions_valid_after: at(10),
        updated_at: at(10),
        ..ada.clone()
    };
    let removed = RemovedCredentials { password: true, second_factor: true, api_keys: 3 };
    assert_eq!(proved, EmailProved::First { user: Box::new(after.clone()), removed });
    assert_eq!(row(&*store, ada.id).await, after);
    assert_eq!(store.recovery_codes(ada.id).await.unwrap(), []);
    assert!(!store.spend_totp_step(ada.id, 100).await.unwrap());
    for key in keys.iter().chain([&elsewhere]) {
        let found = store.api_key(&key.prefix).await.unwrap().unwrap().0;
        assert_eq!(found, ApiKey { deactivated_at: Some(at(10)), updated_at: at(10), ..key.clone() });
    }
    assert_eq!(store.api_key("sk_ended").await.unwrap().unwrap().0, ended_before, "its time of deactivation stays");
    let ended = store.deactivated_since(at(10), None, 10).await.unwrap();
    assert_eq!(ended.len(), 3, "every node reads them: {ended:?}");
    assert_eq!(store.revocations_since(at(10), None, 10).await.unwrap(), [(ada.id, at(10))]);

    assert_eq!(row(&*store, eve.id).await, eve);
    assert!(is_active(&*store, &of_eve[0]).await && is_active(&*store, &of_eve[1]).await);
}

pub(super) async fn first_proof_of_an_account_without_credentials_verifies_it(store: Arc<dyn Accounts>) {
    let given = NewUser { verified: false, password_hash: None, ..new_user("ada") };
    let ada = create(&*store, &given).await;
    let proved = prove(&*store, &ada, None, START).await;
    // Later than the sign-ins before, although the clock stands still.
    let after = User { verified: true, sessions_valid_after: at(1), ..ada };
    assert_eq!(proved, EmailProved::First { user: Box::new(after.clone()), removed: NOTHING });
    assert_eq!(row(&*store, after.id).await, after);
}

pub(super) async fn proof_of_a_verified_address_changes_nothing(store: Arc<dyn Accounts>) {
    let (_, ada, keys) = create_with_everything(&*store, "ada", true).await;
    let proved = prove(&*store, &ada, None, at(10)).await;
    assert_eq!(proved, EmailProved::AlreadyVerified(Box::new(ada.clone())));
    assert_eq!(row(&*store, ada.id).await, ada);
    assert_eq!(store.recovery_codes(ada.id).await.unwrap().len(), 1);
    assert!(is_active(&*store, &keys[0]).await && is_active(&*store, &keys[1]).await);
}

pub(super) async fn password_of_a_proof_stays(store: Arc<dyn Accounts>) {
    let (_, ada, keys) = create_with_everything(&*store, "ada", false).await;
    let proved = prove(&*store, &ada, Some(&new_password("new")), at(10)).await;
    let after = User {
        verified: true,
        password_hash: Some(hash("new")),
        totp: None,
        sessions_valid_after: at(10),
        updated_at: at(10),
        ..ada
    };
    let removed = RemovedCredentials { password: true, second_factor: true, api_keys: 2 };
    assert_eq!(proved, EmailProved::First { user: Box::new(after), removed });
    assert!(!is_active(&*store, &keys[0]).await && !is_active(&*store, &keys[1]).await);
}

pub(super) async fn password_of_a_later_proof_ends_sign_ins(store: Arc<dyn Accounts>) {
    let (_, ada, keys) = create_with_everything(&*store, "ada", true).await;
    let proved = prove(&*store, &ada, Some(&new_password("new")), at(10)).await;
    let after =
        User { password_hash: Some(hash("new")), sessions_valid_after: at(10), updated_at: at(10), ..ada.clone() };
    assert_eq!(proved, EmailProved::AlreadyVerified(Box::new(after.clone())));
    assert_eq!(row(&*store, ada.id).await, after, "the second factor stays");
    assert_eq!(store.recovery_codes(ada.id).await.unwrap().len(), 1);
    assert!(!is_active(&*store, &keys[0]).await, "it has a scope that a new password ends");
    assert!(is_active(&*store, &keys[1]).await);
}

pub(super) async fn one_of_many_proofs_is_the_first(store: Arc<dyn Accounts>) {
    for round in 0..ROUNDS {
        let (_, ada, _) = create_with_everything(&*store, &format!("ada{round}"), false).await;
        let results = run_concurrently(MANY, |_| {
            let (store, ada) = (store.clone(), ada.clone());
            async move { prove(&*store, &ada, None, at(10)).await }
        })
        .await;
        let after = Box::new(row(&*store, ada.id).await);
        assert_eq!(after.sessions_valid_after, at(10), "sign-ins end once");
        let removed = RemovedCredentials { password: true, second_factor: true, api_keys: 2 };
        let first = EmailProved::First { user: after, removed };
        assert_eq!(results.iter().filter(|result| **result == first).count(), 1, "{results:?}");
        let later = results.iter().filter(|result| **result == EmailProved::NotFound).count();
        assert_eq!(later, MANY - 1, "{results:?}");
    }
}

/// The code or link was issued before. Of several passwords that are set concurrently, one is.
pub(super) async fn proof_of_ended_sign_ins_changes_nothing(store: Arc<dyn Accounts>) {
    for (name, verified) in [("ada", false), ("eve", true)] {
        let (_, before, keys) = create_with_everything(&*store, name, verified).await;
        let ended = store.end_sign_ins(before.id, at(5)).await.unwrap().expect("the user is there");
        for password in [None, Some(&new_password("new"))] {
            assert_eq!(prove(&*store, &before, password, at(10)).await, EmailProved::NotFound, "{name}");
        }
        assert_eq!(row(&*store, before.id).await, ended);
        assert!(is_active(&*store, &keys[0]).await && is_active(&*store, &keys[1]).await);

        let results = run_concurrently(MANY, |number| {
            let (store, ended) = (store.clone(), ended.clone());
            async move {
                let new = new_password(&number.to_string());
                prove(&*store, &ended, Some(&new), at(10)).await
            }
        })
        .await;
        let refused = results.iter().filter(|result| **result == EmailProved::NotFound).count();
        assert_eq!(refused, MANY - 1, "{name}: {results:?}");
    }
}

pub(super) async fn former_email_is_not_proved(store: Arc<dyn Accounts>) {
    let (_, ada, keys) = create_with_everything(&*store, "ada", false).await;
    let moved = changed(&*store, ada.id, &to_email("new@example.org"), at(2)).await;
    for email in ["ada@example.org", "NEW@example.org", "new\0@example.org", ""] {
        let former = User { email: email.to_owned(), ..moved.clone() };
        for password in [None, Some(&new_password("new"))] {
            assert_eq!(prove(&*store, &former, password, at(10)).await, EmailProved::NotFound, "{email}");
        }
    }
    let unknown = User { id: unknown_user(), ..moved.clone() };
    assert_eq!(prove(&*store, &unknown, None, at(10)).await, EmailProved::NotFound);
    assert_eq!(row(&*store, ada.id).await, moved);
    assert!(is_active(&*store, &keys[0]).await && is_active(&*store, &keys[1]).await);
}

/// Credentials that are being set while the address is proved are removed too, or are not set.
pub(super) async fn no_credential_survives_the_first_proof(store: Arc<dyn Accounts>) {
    for round in 0..ROUNDS {
        let given = NewUser { verified: false, ..new_user(&format!("ada{round}")) };
        let ada = create(&*store, &given).await;
        run_concurrently(MANY, |number| {
            let (store, ada) = (store.clone(), ada.clone());
            let key = key(&given, &format!("sk_{round}_{number}"), START);
            async move {
                // The sign-ins that the session of each caller needs.
                let valid_after = Some(ada.sessions_valid_after);
                match number % 3 {
                    _ if number == MANY / 2 => drop(prove(&*store, &ada, None, at(10)).await),
                    0 => drop(store.create_api_key(&key, valid_after).await.unwrap()),
                    1 => {
                        let secret = SealedTotp(vec![1]);
                        store.enable_totp(ada.id, &secret, 1, &[], valid_after, at(1)).await.unwrap();
                    }
                    _ => {
                        let (full_name, only_if_valid_after) = (Some(Some(number.to_string())), valid_after);
                        let changes = Changes { full_name, only_if_valid_after, ..Changes::default() };
                        store.change_user(ada.id, &changes, at(1)).await.unwrap();
                    }
                }
            }
        })
        .await;
        let user = row(&*store, ada.id).await;
        assert_eq!((user.verified, &user.password_hash, &user.totp), (true, &None, &None));
        let (found, _) = store.api_keys(given.project, 0, MANY as u32).await.unwrap();
        assert!(found.iter().all(|key| key.deactivated_at == Some(at(10))), "{found:?}");
    }
}

pub(super) async fn session_that_has_ended_sets_no_credentials(store: Arc<dyn Accounts>) {
    let given = NewUser { verified: false, ..new_user("ada") };
    let ada = create(&*store, &given).await;
    prove(&*store, &ada, None, at(10)).await;
    let after = row(&*store, ada.id).await;
    let (before, now) = (Some(ada.sessions_valid_after), Some(after.sessions_valid_after));
    let change = |only_if_valid_after| Changes {
        password_hash: Some(hash("of the thief")),
        only_if_valid_after,
        ..Changes::default()
    };
    let secret = SealedTotp(vec![1]);
    assert_eq!(store.change_user(ada.id, &change(before), at(11)).await.unwrap(), Changed::NotFound);
    assert!(!store.enable_totp(ada.id, &secret, 1, &[], before, at(11)).await.unwrap());
    assert!(!store.create_api_key(&key(&given, "sk_before", START), before).await.unwrap());
    assert_eq!(row(&*store, ada.id).await, after);

    assert!(store.create_api_key(&key(&given, "sk_now", START), now).await.unwrap());
    assert!(store.enable_totp(ada.id, &secret, 1, &[], now, at(12)).await.unwrap());
    changed(&*store, ada.id, &change(now), at(12)).await;
}
