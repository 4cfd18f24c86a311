//! The second factor: its sealed secret, the time steps that were used, and the recovery codes.

use std::sync::Arc;

use uuid::Uuid;

use super::{MANY, ROUNDS, START, at, count, hash, key, made, nobody, row, somebody, together};
use crate::store::accounts::{Find, NewUser, RecoveryCode, SealedTotp, User};
use crate::store::{Accounts, Error};

fn sealed(what: &str) -> SealedTotp {
    SealedTotp(what.as_bytes().to_vec())
}

/// Codes of that series, in the order of their ids.
fn codes(series: usize, many: usize) -> Vec<RecoveryCode> {
    let code = |which| RecoveryCode {
        id: Uuid::from_u128(((series as u128) << 64) + which as u128),
        hash: hash(&format!("{series}-{which}")),
    };
    (0..many).map(code).collect()
}

async fn enabled(store: &dyn Accounts, name: &str, step: i64, recovery: &[RecoveryCode]) -> User {
    let user = made(store, &somebody(name)).await;
    assert!(store.enable_totp(user.id, &sealed(name), step, recovery, at(1)).await.unwrap());
    row(store, user.id).await
}

pub(super) async fn a_factor_is_kept_as_it_was_given(store: Arc<dyn Accounts>) {
    let eve = made(&*store, &somebody("eve")).await;
    let every_byte = SealedTotp((0..=255).collect());
    for (which, secret) in [every_byte, sealed("")].into_iter().enumerate() {
        let given = somebody(&format!("ada{which}"));
        let ada = made(&*store, &given).await;
        let mut kept = codes(which, 10);
        kept[3].hash.0 = "'; -- \" \\u0041 \u{1F600}\t{}".to_owned();
        let shuffled: Vec<_> = kept.iter().rev().cloned().collect();
        assert!(store.enable_totp(ada.id, &secret, 7, &shuffled, at(10)).await.unwrap());
        let expected = User { totp: Some(secret), updated_at: at(10), ..ada };
        assert_eq!(row(&*store, expected.id).await, expected, "no session ends");
        assert_eq!(store.recovery_codes(expected.id).await.unwrap(), kept);
        assert!(!format!("{expected:?}").contains("255"), "what is sealed is not shown");

        // Wherever the user is read.
        let key = key(&given, &format!("sk_{which}"), START);
        assert!(store.create_api_key(&key).await.unwrap());
        assert_eq!(store.api_key(&key.prefix).await.unwrap(), Some((key, expected.clone())));
        assert_eq!(store.user(Find::Email(&expected.email)).await.unwrap().as_ref(), Some(&expected));
        assert_eq!(store.users(expected.number - 1, 1).await.unwrap(), [expected]);
    }
    assert_eq!(row(&*store, eve.id).await, eve);
    assert_eq!(store.recovery_codes(eve.id).await.unwrap(), []);
    assert!(store.enable_totp(eve.id, &sealed("eve"), 0, &[], at(1)).await.unwrap(), "codes need not be");
    assert_eq!(store.recovery_codes(eve.id).await.unwrap(), []);
}

pub(super) async fn a_factor_is_turned_on_by_one_of_many(store: Arc<dyn Accounts>) {
    for round in 0..ROUNDS {
        let ada = made(&*store, &somebody(&format!("ada{round}"))).await;
        let answers = together(MANY, |which| {
            let store = store.clone();
            let secret = sealed(&which.to_string());
            async move { store.enable_totp(ada.id, &secret, which as i64, &codes(which, 3), at(1)).await.unwrap() }
        })
        .await;
        assert_eq!(count(&answers), 1);
        let winner = answers.iter().position(|answer| *answer).unwrap();
        assert_eq!(row(&*store, ada.id).await.totp, Some(sealed(&winner.to_string())));
        assert_eq!(store.recovery_codes(ada.id).await.unwrap(), codes(winner, 3), "secret and codes are one caller's");
        assert!(!store.spend_totp_step(ada.id, winner as i64).await.unwrap(), "and so is the step");
        assert!(store.spend_totp_step(ada.id, winner as i64 + 1).await.unwrap());
    }
    assert!(!store.enable_totp(nobody(), &sealed("x"), 0, &codes(0, 3), at(1)).await.unwrap());
    assert_eq!(store.recovery_codes(nobody()).await.unwrap(), []);
}

pub(super) async fn a_factor_is_turned_off_with_all_it_had(store: Arc<dyn Accounts>) {
    let ada = enabled(&*store, "ada", 100, &codes(1, 3)).await;
    let eve = enabled(&*store, "eve", 100, &codes(2, 3)).await;
    assert!(store.disable_totp(ada.id, at(10)).await.unwrap());
    let expected = User { totp: None, updated_at: at(10), ..ada };
    assert_eq!(row(&*store, expected.id).await, expected);
    assert_eq!(store.recovery_codes(expected.id).await.unwrap(), []);
    assert!(!store.spend_recovery_code(expected.id, codes(1, 3)[0].id).await.unwrap());
    assert!(!store.spend_totp_step(expected.id, 101).await.unwrap());
    assert!(!store.disable_totp(expected.id, at(20)).await.unwrap());
    assert!(!store.disable_totp(nobody(), at(20)).await.unwrap());
    assert_eq!(row(&*store, expected.id).await, expected, "what is off is not turned off again");

    // On again, it is another one: the old codes stay gone, and so do the old steps.
    assert!(store.enable_totp(expected.id, &sealed("new"), 50, &codes(3, 2), at(30)).await.unwrap());
    assert_eq!(store.recovery_codes(expected.id).await.unwrap(), codes(3, 2));
    assert!(store.spend_totp_step(expected.id, 51).await.unwrap());
    assert_eq!(row(&*store, eve.id).await, eve);
    assert_eq!(store.recovery_codes(eve.id).await.unwrap(), codes(2, 3));
}

pub(super) async fn a_factor_is_turned_off_by_one_of_many(store: Arc<dyn Accounts>) {
    for round in 0..ROUNDS {
        let ada = enabled(&*store, &format!("ada{round}"), 0, &codes(round, 3)).await;
        let answers = together(MANY, |_| {
            let store = store.clone();
            async move { store.disable_totp(ada.id, at(10)).await.unwrap() }
        })
        .await;
        assert_eq!(count(&answers), 1);
    }
}

/// Who waits for a row reads it as it was when the waiting began, unless it looks again: another's codes must not outlive
/// their factor for that.
pub(super) async fn on_and_off_at_once_leave_no_codes_of_another(store: Arc<dyn Accounts>) {
    for round in 0..ROUNDS * 4 {
        let ada = enabled(&*store, &format!("ada{round}"), 0, &codes(99, 3)).await;
        let answers = together(MANY, |which| {
            let store = store.clone();
            async move {
                if which % 2 == 0 {
                    store.disable_totp(ada.id, at(10)).await.unwrap()
                } else {
                    let secret = sealed(&which.to_string());
                    store.enable_totp(ada.id, &secret, 0, &codes(which, 3), at(10)).await.unwrap()
                }
            }
        })
        .await;
        let (off, on) = (0..MANY).filter(|which| answers[*which]).partition::<Vec<_>, _>(|which| which % 2 == 0);
        let left = store.recovery_codes(ada.id).await.unwrap();
        match row(&*store, ada.id).await.totp {
            None => assert_eq!((left, off.len()), (Vec::new(), on.len() + 1)),
            Some(secret) => {
                assert_eq!(off.len(), on.len());
                let whose = on.into_iter().find(|which| secret == sealed(&which.to_string())).unwrap();
                assert_eq!(left, codes(whose, 3));
            }
        }
    }
}

pub(super) async fn a_step_is_used_once_and_none_before_it_after(store: Arc<dyn Accounts>) {
    let off = made(&*store, &somebody("off")).await;
    let ada = enabled(&*store, "ada", 100, &[]).await;
    let eve = enabled(&*store, "eve", i64::MIN, &[]).await;
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
    for user in [off.id, nobody()] {
        assert!(!store.spend_totp_step(user, 200).await.unwrap());
    }
}

pub(super) async fn a_step_is_used_by_one_of_many(store: Arc<dyn Accounts>) {
    let ada = enabled(&*store, "ada", 0, &[]).await;
    for step in 1..=ROUNDS as i64 {
        let answers = together(MANY, |_| {
            let store = store.clone();
            async move { store.spend_totp_step(ada.id, step).await.unwrap() }
        })
        .await;
        assert_eq!(count(&answers), 1);
    }
}

pub(super) async fn steps_at_once_are_each_used_at_most_once(store: Arc<dyn Accounts>) {
    let ada = enabled(&*store, "ada", -1, &[]).await;
    let steps = MANY / 5;
    let answers = together(MANY, |which| {
        let store = store.clone();
        async move { store.spend_totp_step(ada.id, (which % steps) as i64).await.unwrap() }
    })
    .await;
    for step in 0..steps {
        let times = (0..MANY).filter(|which| which % steps == step && answers[*which]).count();
        assert!(times <= 1, "step {step} was used {times} times");
        assert!(times == 1 || step + 1 < steps, "the last one is before none");
    }
    assert!(!store.spend_totp_step(ada.id, steps as i64 - 1).await.unwrap());
}

pub(super) async fn a_recovery_code_is_used_once(store: Arc<dyn Accounts>) {
    let ada = enabled(&*store, "ada", 0, &codes(1, 3)).await;
    let eve = enabled(&*store, "eve", 0, &codes(2, 3)).await;
    let second = codes(1, 3)[1].id;
    assert!(store.spend_recovery_code(ada.id, second).await.unwrap());
    assert!(!store.spend_recovery_code(ada.id, second).await.unwrap());
    let left: Vec<_> = codes(1, 3).into_iter().filter(|code| code.id != second).collect();
    assert_eq!(store.recovery_codes(ada.id).await.unwrap(), left);
    for (user, code) in [(ada.id, codes(2, 3)[0].id), (ada.id, Uuid::nil()), (nobody(), left[0].id)] {
        assert!(!store.spend_recovery_code(user, code).await.unwrap());
    }
    assert_eq!(store.recovery_codes(ada.id).await.unwrap(), left);
    assert_eq!(store.recovery_codes(eve.id).await.unwrap(), codes(2, 3));
    assert_eq!(row(&*store, ada.id).await, ada);
}

pub(super) async fn recovery_codes_are_each_used_by_one_of_many(store: Arc<dyn Accounts>) {
    for round in 0..ROUNDS {
        let given = codes(round, MANY / 5);
        let ada = enabled(&*store, &format!("ada{round}"), 0, &given).await;
        let answers = together(MANY, |which| {
            let (store, code) = (store.clone(), given[which % given.len()].id);
            async move { store.spend_recovery_code(ada.id, code).await.unwrap() }
        })
        .await;
        for code in 0..given.len() {
            let times = (0..MANY).filter(|which| which % given.len() == code && answers[*which]).count();
            assert_eq!(times, 1, "code {code}");
        }
        assert_eq!(store.recovery_codes(ada.id).await.unwrap(), [], "none comes back by the use of another");
    }
}

pub(super) async fn a_factor_goes_with_its_user(store: Arc<dyn Accounts>) {
    let given = somebody("ada");
    made(&*store, &given).await;
    assert!(store.enable_totp(given.id, &sealed("ada"), 0, &codes(1, 3), at(1)).await.unwrap());
    let eve = enabled(&*store, "eve", 0, &codes(2, 3)).await;
    assert!(store.delete_user(given.id, at(2), START).await.unwrap());
    for again in [false, true] {
        if again {
            assert_eq!(made(&*store, &given).await.totp, None, "who comes back has none");
        }
        assert_eq!(store.recovery_codes(given.id).await.unwrap(), []);
        assert!(!store.spend_recovery_code(given.id, codes(1, 3)[0].id).await.unwrap());
        assert!(!store.spend_totp_step(given.id, 1).await.unwrap());
        assert_eq!(store.sealed_totps(0, 10).await.unwrap(), [(eve.number, eve.id, sealed("eve"))]);
    }
    assert_eq!(store.recovery_codes(eve.id).await.unwrap(), codes(2, 3));
}

pub(super) async fn sealed_secrets_come_in_pages(store: Arc<dyn Accounts>) {
    assert_eq!(store.sealed_totps(0, 10).await.unwrap(), []);
    let mut all = Vec::new();
    for which in 0..7 {
        made(&*store, &somebody(&format!("without{which}"))).await;
        let user = enabled(&*store, &format!("with{which}"), 0, &[]).await;
        all.push((user.number, user.id, user.totp.unwrap()));
    }
    assert_eq!(store.sealed_totps(0, 3).await.unwrap(), all[..3]);
    assert_eq!(store.sealed_totps(all[2].0, 3).await.unwrap(), all[3..6]);
    assert_eq!(store.sealed_totps(all[5].0, 3).await.unwrap(), all[6..]);
    assert_eq!(store.sealed_totps(all[6].0, 3).await.unwrap(), []);
    assert_eq!(store.sealed_totps(all[0].0 - 1, 1).await.unwrap(), all[..1]);
    assert_eq!(store.sealed_totps(0, 0).await.unwrap(), []);
    assert!(store.disable_totp(all[1].1, at(2)).await.unwrap());
    assert!(store.delete_user(all[2].1, at(2), START).await.unwrap());
    assert_eq!(store.sealed_totps(all[0].0, 2).await.unwrap(), all[3..5]);
    // Who is sealed anew keeps its place.
    assert!(store.reseal_totp(all[3].1, &all[3].2, &sealed("new")).await.unwrap());
    all[3].2 = sealed("new");
    assert_eq!(store.sealed_totps(i64::MIN, u32::MAX).await.unwrap(), [&all[..1], &all[3..]].concat());
}

pub(super) async fn a_secret_is_sealed_anew_if_it_still_is_the_old_one(store: Arc<dyn Accounts>) {
    let off = made(&*store, &somebody("off")).await;
    let ada = enabled(&*store, "ada", 100, &codes(1, 3)).await;
    let eve = enabled(&*store, "eve", 100, &[]).await;
    for (user, old) in [(ada.id, "another"), (ada.id, "eve"), (off.id, ""), (nobody(), "ada")] {
        assert!(!store.reseal_totp(user, &sealed(old), &sealed("new")).await.unwrap());
    }
    assert_eq!(store.users(0, 10).await.unwrap(), [off, ada.clone(), eve.clone()]);

    assert!(store.reseal_totp(ada.id, &sealed("ada"), &sealed("new")).await.unwrap());
    let expected = User { totp: Some(sealed("new")), ..ada };
    assert_eq!(row(&*store, expected.id).await, expected, "nothing else changed");
    assert_eq!(store.recovery_codes(expected.id).await.unwrap(), codes(1, 3));
    assert!(!store.spend_totp_step(expected.id, 100).await.unwrap(), "what was used stays used");

    // A factor that was turned off between the look at the old secret and the new seal stays off.
    assert!(store.disable_totp(eve.id, at(2)).await.unwrap());
    assert!(!store.reseal_totp(eve.id, &sealed("eve"), &sealed("new")).await.unwrap());
    assert_eq!(row(&*store, eve.id).await.totp, None);
}

pub(super) async fn a_secret_is_sealed_anew_by_one_of_many(store: Arc<dyn Accounts>) {
    let ada = enabled(&*store, "ada", 0, &[]).await;
    let answers = together(MANY, |which| {
        let store = store.clone();
        let new = sealed(&which.to_string());
        async move { store.reseal_totp(ada.id, &sealed("ada"), &new).await.unwrap() }
    })
    .await;
    assert_eq!(count(&answers), 1);
    let winner = answers.iter().position(|answer| *answer).unwrap();
    assert_eq!(row(&*store, ada.id).await.totp, Some(sealed(&winner.to_string())));
}

pub(super) async fn a_recovery_hash_with_a_nul_is_refused(store: Arc<dyn Accounts>) {
    let ada = made(&*store, &NewUser { password_hash: None, ..somebody("ada") }).await;
    let mut refused = codes(1, 3);
    refused[2].hash = hash("\0");
    let answer = store.enable_totp(ada.id, &sealed("ada"), 0, &refused, at(1)).await;
    assert!(matches!(answer, Err(Error::Corrupt { .. })));
    assert_eq!(row(&*store, ada.id).await, ada);
    assert_eq!(store.recovery_codes(ada.id).await.unwrap(), []);
}
