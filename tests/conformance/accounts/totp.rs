//! TOTP: the sealed secret, the time steps that were used, and the recovery codes.

use std::sync::Arc;

use uuid::Uuid;

use super::{MANY, ROUNDS, START, at, count, create, hash, key, new_user, row, run_concurrently, unknown_user};
use signet::id::UserId;
use signet::store::accounts::{Find, NewUser, RecoveryCode, SealedTotp, User};
use signet::store::{Accounts, Error};

fn sealed(what: &str) -> SealedTotp {
    SealedTotp(what.as_bytes().to_vec())
}

/// Recovery codes that depend on `series`, in the order of their ids.
fn codes(series: usize, count: usize) -> Vec<RecoveryCode> {
    let code = |number| RecoveryCode {
        id: Uuid::from_u128(((series as u128) << 64) + number as u128),
        hash: hash(&format!("{series}-{number}")),
    };
    (0..count).map(code).collect()
}

async fn create_with_totp(store: &dyn Accounts, name: &str, step: i64, recovery: &[RecoveryCode]) -> User {
    let user = create(store, &new_user(name)).await;
    assert!(store.enable_totp(user.id, &sealed(name), step, recovery, None, at(1)).await.unwrap());
    row(store, user.id).await
}

pub(super) async fn totp_is_read_back_as_enabled(store: Arc<dyn Accounts>) {
    let eve = create(&*store, &new_user("eve")).await;
    let every_byte = SealedTotp((0..=255).collect());
    for (number, secret) in [every_byte, sealed("")].into_iter().enumerate() {
        let given = new_user(&format!("ada{number}"));
        let ada = create(&*store, &given).await;
        let mut kept = codes(number, 10);
        kept[3].hash.0 = "'; -- \" \\u0041 \u{1F600}\t{}".to_owned();
        let shuffled: Vec<_> = kept.iter().rev().cloned().collect();
        assert!(store.enable_totp(ada.id, &secret, 7, &shuffled, None, at(10)).await.unwrap());
        let expected = User { totp: Some(secret), updated_at: at(10), ..ada };
        assert_eq!(row(&*store, expected.id).await, expected, "no session ends");
        assert_eq!(store.recovery_codes(expected.id).await.unwrap(), kept);
        assert!(!format!("{expected:?}").contains("254, 255"), "the secret is not in the debug output");

        // Every way to read the user returns the secret.
        let key = key(&given, &format!("sk_{number}"), START);
        assert!(store.create_api_key(&key, None).await.unwrap());
        assert_eq!(store.api_key(&key.prefix).await.unwrap(), Some((key, expected.clone())));
        assert_eq!(store.user(Find::Email(&expected.email)).await.unwrap().as_ref(), Some(&expected));
        assert_eq!(store.users(expected.number - 1, 1).await.unwrap(), [expected]);
    }
    assert_eq!(row(&*store, eve.id).await, eve);
    assert_eq!(store.recovery_codes(eve.id).await.unwrap(), []);
    assert!(
        store.enable_totp(eve.id, &sealed("eve"), 0, &[], None, at(1)).await.unwrap(),
        "recovery codes are optional"
    );
    assert_eq!(store.recovery_codes(eve.id).await.unwrap(), []);
}

pub(super) async fn one_of_many_concurrent_enables_wins(store: Arc<dyn Accounts>) {
    for round in 0..ROUNDS {
        let ada = create(&*store, &new_user(&format!("ada{round}"))).await;
        let results =
            run_concurrently(MANY, |number| {
                let store = store.clone();
                let secret = sealed(&number.to_string());
                async move {
                    store.enable_totp(ada.id, &secret, number as i64, &codes(number, 3), None, at(1)).await.unwrap()
                }
            })
            .await;
        assert_eq!(count(&results), 1);
        let winner = results.iter().position(|result| *result).unwrap();
        assert_eq!(row(&*store, ada.id).await.totp, Some(sealed(&winner.to_string())));
        assert_eq!(
            store.recovery_codes(ada.id).await.unwrap(),
            codes(winner, 3),
            "secret and codes come from one caller"
        );
        assert!(!store.spend_totp_step(ada.id, winner as i64).await.unwrap(), "and so is the step");
        assert!(store.spend_totp_step(ada.id, winner as i64 + 1).await.unwrap());
    }
    assert!(!store.enable_totp(unknown_user(), &sealed("x"), 0, &codes(0, 3), None, at(1)).await.unwrap());
    assert_eq!(store.recovery_codes(unknown_user()).await.unwrap(), []);
}

pub(super) async fn disabling_totp_deletes_steps_and_codes(store: Arc<dyn Accounts>) {
    let ada = create_with_totp(&*store, "ada", 100, &codes(1, 3)).await;
    let eve = create_with_totp(&*store, "eve", 100, &codes(2, 3)).await;
    assert!(store.disable_totp(ada.id, None, at(10)).await.unwrap());
    let expected = User { totp: None, updated_at: at(10), ..ada };
    assert_eq!(row(&*store, expected.id).await, expected);
    assert_eq!(store.recovery_codes(expected.id).await.unwrap(), []);
    assert!(!store.spend_recovery_code(expected.id, codes(1, 3)[0].id).await.unwrap());
    assert!(!store.spend_totp_step(expected.id, 101).await.unwrap());
    assert!(!store.disable_totp(expected.id, None, at(20)).await.unwrap());
    assert!(!store.disable_totp(unknown_user(), None, at(20)).await.unwrap());
    assert_eq!(row(&*store, expected.id).await, expected, "disabling again changes nothing");

    // Enabled again, it is a new factor: the old codes and steps stay deleted.
    assert!(store.enable_totp(expected.id, &sealed("new"), 50, &codes(3, 2), None, at(30)).await.unwrap());
    assert_eq!(store.recovery_codes(expected.id).await.unwrap(), codes(3, 2));
    assert!(store.spend_totp_step(expected.id, 51).await.unwrap());
    assert_eq!(row(&*store, eve.id).await, eve);
    assert_eq!(store.recovery_codes(eve.id).await.unwrap(), codes(2, 3));
}

pub(super) async fn one_of_many_concurrent_disables_wins(store: Arc<dyn Accounts>) {
    for round in 0..ROUNDS {
        let ada = create_with_totp(&*store, &format!("ada{round}"), 0, &codes(round, 3)).await;
        let results = run_concurrently(MANY, |_| {
            let store = store.clone();
            async move { store.disable_totp(ada.id, None, at(10)).await.unwrap() }
        })
        .await;
        assert_eq!(count(&results), 1);
    }
}

pub(super) async fn session_that_has_ended_disables_no_totp(store: Arc<dyn Accounts>) {
    let ada = create_with_totp(&*store, "ada", 0, &codes(1, 3)).await;
    let ended = store.end_sign_ins(ada.id, at(5)).await.unwrap().expect("the user is there");
    assert!(!store.disable_totp(ada.id, Some(ada.sessions_valid_after), at(10)).await.unwrap());
    assert_eq!(row(&*store, ada.id).await, ended);
    assert_eq!(store.recovery_codes(ada.id).await.unwrap(), codes(1, 3));
    assert!(store.disable_totp(ada.id, Some(ended.sessions_valid_after), at(10)).await.unwrap());
    assert_eq!(row(&*store, ada.id).await, User { totp: None, updated_at: at(10), ..ended });
}

/// A transaction that waited for a row sees it as it was before the wait, unless it reads again. Even so, no code may
/// outlive its factor.
pub(super) async fn concurrent_enable_and_disable_never_mix_codes(store: Arc<dyn Accounts>) {
    for round in 0..ROUNDS * 4 {
        let ada = create_with_totp(&*store, &format!("ada{round}"), 0, &codes(99, 3)).await;
        let results = run_concurrently(MANY, |number| {
            let store = store.clone();
            async move {
                if number % 2 == 0 {
                    store.disable_totp(ada.id, None, at(10)).await.unwrap()
                } else {
                    let secret = sealed(&number.to_string());
                    store.enable_totp(ada.id, &secret, 0, &codes(number, 3), None, at(10)).await.unwrap()
                }
            }
        })
        .await;
        let (off, on) = (0..MANY).filter(|number| results[*number]).partition::<Vec<_>, _>(|number| number % 2 == 0);
        let left = store.recovery_codes(ada.id).await.unwrap();
        match row(&*store, ada.id).await.totp {
            None => assert_eq!((left, off.len()), (Vec::new(), on.len() + 1)),
            Some(secret) => {
                assert_eq!(off.len(), on.len());
                let whose = on.into_iter().find(|number| secret == sealed(&number.to_string())).unwrap();
                assert_eq!(left, codes(whose, 3));
            }
        }
    }
}

pub(super) async fn totp_step_is_used_once_and_no_earlier_one_after(store: Arc<dyn Accounts>) {
    let off = create(&*store, &new_user("off")).await;
    let ada = create_with_totp(&*store, "ada", 100, &[]).await;
    let eve = create_with_totp(&*store, "eve", i64::MIN, &[]).await;
    for (step, used) in [
        (i64::MIN, false),
        (99, false),
        (100, false),
        (101, true),
        (101, false),
        (100, false),
        (103, true),
        (102, false),
        (i64::MAX, true),
        (i64::MAX, false),
    ] {
        assert_eq!(store.spend_totp_step(ada.id, step).await.unwrap(), used, "{step}");
    }
    assert_eq!(row(&*store, ada.id).await, ada);
    for (step, used) in [(i64::MIN, false), (-1, true), (0, true)] {
        assert_eq!(store.spend_totp_step(eve.id, step).await.unwrap(), used, "each has steps of its own: {step}");
    }
    for user in [off.id, unknown_user()] {
        assert!(!store.spend_totp_step(user, 200).await.unwrap());
    }
}

pub(super) async fn one_of_many_uses_a_totp_step(store: Arc<dyn Accounts>) {
    let ada = create_with_totp(&*store, "ada", 0, &[]).await;
    for step in 1..=ROUNDS as i64 {
        let results = run_concurrently(MANY, |_| {
            let store = store.clone();
            async move { store.spend_totp_step(ada.id, step).await.unwrap() }
        })
        .await;
        assert_eq!(count(&results), 1);
    }
}

pub(super) async fn concurrent_totp_steps_are_each_used_at_most_once(store: Arc<dyn Accounts>) {
    let ada = create_with_totp(&*store, "ada", -1, &[]).await;
    let steps = MANY / 5;
    let results = run_concurrently(MANY, |number| {
        let store = store.clone();
        async move { store.spend_totp_step(ada.id, (number % steps) as i64).await.unwrap() }
    })
    .await;
    for step in 0..steps {
        let times = (0..MANY).filter(|number| number % steps == step && results[*number]).count();
        assert!(times <= 1, "step {step} was used {times} times");
        assert!(times == 1 || step + 1 < steps, "no later step precludes the last one");
    }
    assert!(!store.spend_totp_step(ada.id, steps as i64 - 1).await.unwrap());
}

pub(super) async fn recovery_code_is_used_once(store: Arc<dyn Accounts>) {
    let ada = create_with_totp(&*store, "ada", 0, &codes(1, 3)).await;
    let eve = create_with_totp(&*store, "eve", 0, &codes(2, 3)).await;
    let second = codes(1, 3)[1].id;
    assert!(store.spend_recovery_code(ada.id, second).await.unwrap());
    assert!(!store.spend_recovery_code(ada.id, second).await.unwrap());
    let left: Vec<_> = codes(1, 3).into_iter().filter(|code| code.id != second).collect();
    assert_eq!(store.recovery_codes(ada.id).await.unwrap(), left);
    for (user, code) in [(ada.id, codes(2, 3)[0].id), (ada.id, Uuid::nil()), (unknown_user(), left[0].id)] {
        assert!(!store.spend_recovery_code(user, code).await.unwrap());
    }
    assert_eq!(store.recovery_codes(ada.id).await.unwrap(), left);
    assert_eq!(store.recovery_codes(eve.id).await.unwrap(), codes(2, 3));
    assert_eq!(row(&*store, ada.id).await, ada);
}

pub(super) async fn one_of_many_uses_each_recovery_code(store: Arc<dyn Accounts>) {
    for round in 0..ROUNDS {
        let given = codes(round, MANY / 5);
        let ada = create_with_totp(&*store, &format!("ada{round}"), 0, &given).await;
        let results = run_concurrently(MANY, |number| {
            let (store, code) = (store.clone(), given[number % given.len()].id);
            async move { store.spend_recovery_code(ada.id, code).await.unwrap() }
        })
        .await;
        for code in 0..given.len() {
            let times = (0..MANY).filter(|number| number % given.len() == code && results[*number]).count();
            assert_eq!(times, 1, "code {code}");
        }
        assert_eq!(store.recovery_codes(ada.id).await.unwrap(), [], "using one code restores no other");
    }
}

pub(super) async fn deleting_a_user_deletes_its_totp(store: Arc<dyn Accounts>) {
    let given = new_user("ada");
    create(&*store, &given).await;
    assert!(store.enable_totp(given.id, &sealed("ada"), 0, &codes(1, 3), None, at(1)).await.unwrap());
    let eve = create_with_totp(&*store, "eve", 0, &codes(2, 3)).await;
    assert!(store.delete_user(given.id, None, at(2), START).await.unwrap().is_some());
    for again in [false, true] {
        if again {
            assert_eq!(create(&*store, &given).await.totp, None, "a user created again has none");
        }
        assert_eq!(store.recovery_codes(given.id).await.unwrap(), []);
        assert!(!store.spend_recovery_code(given.id, codes(1, 3)[0].id).await.unwrap());
        assert!(!store.spend_totp_step(given.id, 1).await.unwrap());
        assert_eq!(store.sealed_totps(0, 10).await.unwrap(), [(eve.number, eve.id, sealed("eve"))]);
    }
    assert_eq!(store.recovery_codes(eve.id).await.unwrap(), codes(2, 3));
}

pub(super) async fn sealed_secrets_are_listed_in_pages(store: Arc<dyn Accounts>) {
    assert_eq!(store.sealed_totps(0, 10).await.unwrap(), []);
    let mut all = Vec::new();
    for number in 0..7 {
        create(&*store, &new_user(&format!("without{number}"))).await;
        let user = create_with_totp(&*store, &format!("with{number}"), 0, &[]).await;
        all.push((user.number, user.id, user.totp.unwrap()));
    }
    assert_eq!(store.sealed_totps(0, 3).await.unwrap(), all[..3]);
    assert_eq!(store.sealed_totps(all[2].0, 3).await.unwrap(), all[3..6]);
    assert_eq!(store.sealed_totps(all[5].0, 3).await.unwrap(), all[6..]);
    assert_eq!(store.sealed_totps(all[6].0, 3).await.unwrap(), []);
    assert_eq!(store.sealed_totps(all[0].0 - 1, 1).await.unwrap(), all[..1]);
    assert_eq!(store.sealed_totps(0, 0).await.unwrap(), []);
    assert!(store.disable_totp(all[1].1, None, at(2)).await.unwrap());
    assert!(store.delete_user(all[2].1, None, at(2), START).await.unwrap().is_some());
    assert_eq!(store.sealed_totps(all[0].0, 2).await.unwrap(), all[3..5]);
    // A resealed secret keeps its position.
    assert!(store.reseal_totp(all[3].1, &all[3].2, &sealed("new")).await.unwrap());
    all[3].2 = sealed("new");
    assert_eq!(store.sealed_totps(i64::MIN, u32::MAX).await.unwrap(), [&all[..1], &all[3..]].concat());
}

pub(super) async fn resealing_needs_the_current_secret(store: Arc<dyn Accounts>) {
    let off = create(&*store, &new_user("off")).await;
    let ada = create_with_totp(&*store, "ada", 100, &codes(1, 3)).await;
    let eve = create_with_totp(&*store, "eve", 100, &[]).await;
    for (user, old) in [(ada.id, "another"), (ada.id, "eve"), (off.id, ""), (unknown_user(), "ada")] {
        assert!(!store.reseal_totp(user, &sealed(old), &sealed("new")).await.unwrap());
    }
    assert_eq!(store.users(0, 10).await.unwrap(), [off, ada.clone(), eve.clone()]);

    assert!(store.reseal_totp(ada.id, &sealed("ada"), &sealed("new")).await.unwrap());
    let expected = User { totp: Some(sealed("new")), ..ada };
    assert_eq!(row(&*store, expected.id).await, expected, "nothing else changed");
    assert_eq!(store.recovery_codes(expected.id).await.unwrap(), codes(1, 3));
    assert!(!store.spend_totp_step(expected.id, 100).await.unwrap(), "used steps stay used");

    // A factor that was disabled after the old secret was read stays disabled.
    assert!(store.disable_totp(eve.id, None, at(2)).await.unwrap());
    assert!(!store.reseal_totp(eve.id, &sealed("eve"), &sealed("new")).await.unwrap());
    assert_eq!(row(&*store, eve.id).await.totp, None);
}

pub(super) async fn one_of_many_concurrent_reseals_wins(store: Arc<dyn Accounts>) {
    let ada = create_with_totp(&*store, "ada", 0, &[]).await;
    let results = run_concurrently(MANY, |number| {
        let store = store.clone();
        let new = sealed(&number.to_string());
        async move { store.reseal_totp(ada.id, &sealed("ada"), &new).await.unwrap() }
    })
    .await;
    assert_eq!(count(&results), 1);
    let winner = results.iter().position(|result| *result).unwrap();
    assert_eq!(row(&*store, ada.id).await.totp, Some(sealed(&winner.to_string())));
}

pub(super) async fn recovery_hash_with_a_nul_is_refused(store: Arc<dyn Accounts>) {
    let ada = create(&*store, &NewUser { password_hash: None, ..new_user("ada") }).await;
    let mut refused = codes(1, 3);
    refused[2].hash = hash("\0");
    let result = store.enable_totp(ada.id, &sealed("ada"), 0, &refused, None, at(1)).await;
    assert!(matches!(result, Err(Error::Corrupt { .. })));
    assert_eq!(row(&*store, ada.id).await, ada);
    assert_eq!(store.recovery_codes(ada.id).await.unwrap(), []);
}

pub(super) async fn replaced_recovery_codes_stop_working(store: Arc<dyn Accounts>) {
    let ada = create_with_totp(&*store, "ada", 100, &codes(1, 3)).await;
    let eve = create_with_totp(&*store, "eve", 100, &codes(2, 3)).await;
    let replace = |user: UserId, codes, valid_after| {
        let store = store.clone();
        async move { store.replace_recovery_codes(user, codes, valid_after, at(20)).await.unwrap() }
    };
    let new = codes(3, 2);
    assert!(!replace(ada.id, &new, at(1)).await, "the session has ended since");
    assert!(!replace(unknown_user(), &new, ada.sessions_valid_after).await);
    assert_eq!(store.recovery_codes(ada.id).await.unwrap(), codes(1, 3));
    assert!(replace(ada.id, &new, ada.sessions_valid_after).await);
    let expected = User { updated_at: at(20), ..ada };
    assert_eq!(row(&*store, expected.id).await, expected, "nothing else changes");
    assert_eq!(store.recovery_codes(expected.id).await.unwrap(), new);
    assert!(!store.spend_recovery_code(expected.id, codes(1, 3)[0].id).await.unwrap());
    assert!(store.spend_recovery_code(expected.id, new[0].id).await.unwrap());
    assert!(!store.spend_totp_step(expected.id, 100).await.unwrap(), "used steps stay used");
    assert!(store.disable_totp(expected.id, None, at(30)).await.unwrap());
    assert!(!replace(expected.id, &new, expected.sessions_valid_after).await, "the second factor is off");
    assert_eq!(store.recovery_codes(expected.id).await.unwrap(), []);
    assert_eq!(store.recovery_codes(eve.id).await.unwrap(), codes(2, 3));
}
