//! A follower of the feed, with an issuer in this process and with responses that are lost, old, cut off, out of order
//! or forged.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "this crate contains tests only")]

mod support;

use std::time::Instant;

use ed25519_dalek::SigningKey;
use serde_json::json;
use signet_verify::feed::FrameError;
use signet_verify::follow::{BuildError, FollowError, StalePolicy, Verifier, VerifyError};
use signet_verify::{Subject, TokenError, UnixTime};
use support::{FakeIssuer, Fault, until};

fn result(verifier: &Verifier, token: &str) -> Result<(), VerifyError> {
    verifier.verify_now(token).map(|_| ())
}

#[tokio::test]
async fn revoked_session_is_refused() {
    let issuer = FakeIssuer::start().await;
    issuer.revoke("ended before");
    issuer.revoke("ended too");
    let verifier = issuer.ready(StalePolicy::Refuse).await;
    assert_eq!(verifier.revocations(), 2);
    assert_eq!(result(&verifier, &issuer.token("ended before")), Err(VerifyError::Revoked));
    assert_eq!(result(&verifier, &issuer.token("ended too")), Err(VerifyError::Revoked));
    let (mine, other) = (issuer.token("mine"), issuer.token("other"));
    assert_eq!((result(&verifier, &mine), result(&verifier, &other)), (Ok(()), Ok(())));
    issuer.revoke("mine");
    until("the token is refused", || result(&verifier, &mine) == Err(VerifyError::Revoked)).await;
    assert_eq!(result(&verifier, &other), Ok(()));
}

#[tokio::test]
async fn nothing_is_accepted_before_the_first_snapshot() {
    let issuer = FakeIssuer::start().await;
    issuer.change(|shared| shared.fault = Fault::Unavailable);
    let verifier = issuer.verifier().start().unwrap();
    let token = issuer.token("s");
    until("the keys are read", || result(&verifier, &token) != Err(VerifyError::Unavailable)).await;
    assert_eq!(result(&verifier, &token), Err(VerifyError::Stale));
    assert_eq!(verifier.staleness(), None);
    issuer.change(|shared| shared.fault = Fault::None);
    verifier.ready().await;
    assert_eq!(result(&verifier, &token), Ok(()));
}

/// It may come from a cache and lack the latest revocations.
#[tokio::test]
async fn snapshot_alone_proves_nothing() {
    let issuer = FakeIssuer::start().await;
    issuer.change(|shared| shared.fault = Fault::OnlySnapshot);
    issuer.revoke("ended");
    let verifier = issuer.verifier().start().unwrap();
    let unavailable = || matches!(verifier.last_error(), Some(FollowError::Status { status: 503, .. }));
    until("the head is not there", unavailable).await;
    assert_eq!(result(&verifier, &issuer.token("ended")), Err(VerifyError::Revoked));
    assert_eq!(result(&verifier, &issuer.token("other")), Err(VerifyError::Stale));
    assert_eq!(verifier.staleness(), None);
    issuer.change(|shared| shared.fault = Fault::None);
    verifier.ready().await;
    assert_eq!(result(&verifier, &issuer.token("other")), Ok(()));
}

#[tokio::test]
async fn silence_is_treated_as_the_policy_says() {
    let issuer = FakeIssuer::start().await;
    let refusing = issuer.ready_briefly(StalePolicy::Refuse).await;
    let allowing = issuer.ready_briefly(StalePolicy::Allow).await;
    let token = issuer.token("s");
    until("the token is accepted", || result(&refusing, &token) == Ok(())).await;
    assert_eq!(result(&allowing, &token), Ok(()));
    issuer.change(|shared| shared.fault = Fault::Unavailable);
    until("the token is refused", || result(&refusing, &token) == Err(VerifyError::Stale)).await;
    assert_eq!(result(&allowing, &token), Ok(()));
    let unavailable = || matches!(refusing.last_error(), Some(FollowError::Status { status: 503, .. }));
    until("the error is reported", unavailable).await;
    issuer.change(|shared| shared.fault = Fault::None);
    until("the token is accepted again", || result(&refusing, &token) == Ok(())).await;
    until("the error is over", || refusing.last_error().is_none()).await;
}

#[tokio::test]
async fn stale_follower_asks_the_server() {
    let issuer = FakeIssuer::start().await;
    let (good, revoked) = (issuer.token("good"), issuer.token("revoked"));
    let fresh = issuer.ready(StalePolicy::Ask).await;
    assert!(fresh.verify(&revoked).await.is_ok(), "the follower is fresh, so it asks nobody");
    assert_eq!(issuer.shared.lock().unwrap().batches.len(), 0);
    let verifier = issuer.ready_briefly(StalePolicy::Ask).await;
    issuer.change(|shared| (shared.fault, shared.batch) = (Fault::Unavailable, Some(vec![good.clone()])));
    until("the follower is stale", || result(&verifier, &good) == Err(VerifyError::Stale)).await;
    assert!(verifier.verify(&good).await.is_ok());
    assert_eq!(verifier.verify(&revoked).await.map(|_| ()), Err(VerifyError::Revoked));
    // Many at the same time take few calls, and each different token is sent once.
    issuer.change(|shared| shared.batches.clear());
    let many = (0..100).map(|at| {
        let (verifier, token) = (verifier.clone(), if at % 2 == 0 { good.clone() } else { revoked.clone() });
        tokio::spawn(async move { verifier.verify(&token).await.is_ok() })
    });
    for (at, task) in many.collect::<Vec<_>>().into_iter().enumerate() {
        assert_eq!(task.await.unwrap(), at % 2 == 0);
    }
    let batches = issuer.shared.lock().unwrap().batches.clone();
    assert!(batches.len() < 50 && batches.iter().all(|size| *size <= 2), "{batches:?}");
    issuer.change(|shared| shared.batch = None);
    assert_eq!(verifier.verify(&good).await.map(|_| ()), Err(VerifyError::Unavailable));
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let forged = format!("{signed}.{}", signature.chars().rev().collect::<String>());
    assert!(matches!(verifier.verify(&forged).await, Err(VerifyError::Token(_))));
}

#[tokio::test]
async fn forged_frames_are_discarded() {
    let issuer = FakeIssuer::start().await;
    let verifier = issuer.ready_briefly(StalePolicy::Refuse).await;
    let token = issuer.token("mine");
    issuer.change(|shared| {
        shared.fault = Fault::OtherSigner;
        shared.log.push("mine".to_owned());
    });
    until("the frame is refused", || verifier.last_error() == Some(FollowError::Frame(FrameError::BadSignature))).await;
    assert_eq!(verifier.revocations(), 0);
    until("the follower is stale", || result(&verifier, &token) == Err(VerifyError::Stale)).await;
    issuer.change(|shared| shared.fault = Fault::None);
    until("the token is refused", || result(&verifier, &token) == Err(VerifyError::Revoked)).await;
}

#[tokio::test]
async fn replayed_frames_do_not_hide_a_revocation() {
    let issuer = FakeIssuer::start().await;
    let verifier = issuer.ready_briefly(StalePolicy::Refuse).await;
    let token = issuer.token("mine");
    issuer.revoke("other");
    until("the revocation is applied", || verifier.revocations() == 1).await;
    issuer.change(|shared| {
        shared.fault = Fault::Replay(shared.last.clone());
        shared.log.push("mine".to_owned());
    });
    until("the follower is stale", || result(&verifier, &token) == Err(VerifyError::Stale)).await;
    issuer.change(|shared| shared.fault = Fault::None);
    until("the token is refused", || result(&verifier, &token) == Err(VerifyError::Revoked)).await;
}

#[tokio::test]
async fn truncated_frames_are_discarded() {
    let issuer = FakeIssuer::start().await;
    let verifier = issuer.ready_briefly(StalePolicy::Refuse).await;
    let token = issuer.token("mine");
    issuer.change(|shared| {
        shared.fault = Fault::Truncate;
        shared.log.push("mine".to_owned());
    });
    until("the follower is stale", || result(&verifier, &token) == Err(VerifyError::Stale)).await;
    assert_eq!(verifier.revocations(), 0);
    issuer.change(|shared| shared.fault = Fault::None);
    until("the token is refused", || result(&verifier, &token) == Err(VerifyError::Revoked)).await;
}

/// The frames after the lost one are applied, but prove nothing: the follower asks again from where it is.
#[tokio::test]
async fn lost_frame_is_read_again() {
    let issuer = FakeIssuer::start().await;
    let verifier = issuer.ready_briefly(StalePolicy::Refuse).await;
    let token = issuer.token("lost");
    issuer.change(|shared| {
        shared.fault = Fault::DropFirst;
        shared.log.extend(["lost".to_owned(), "later".to_owned()]);
    });
    until("the later one is applied", || verifier.revocations() == 1).await;
    until("the follower is stale", || result(&verifier, &token) == Err(VerifyError::Stale)).await;
    assert_eq!(result(&verifier, &issuer.token("later")), Err(VerifyError::Revoked));
    issuer.change(|shared| shared.fault = Fault::None);
    until("the token is refused", || result(&verifier, &token) == Err(VerifyError::Revoked)).await;
}

#[tokio::test]
async fn frames_out_of_order_are_all_applied() {
    let issuer = FakeIssuer::start().await;
    let verifier = issuer.ready(StalePolicy::Refuse).await;
    let tokens: Vec<String> = (0..5).map(|at| issuer.token(&format!("s{at}"))).collect();
    issuer.change(|shared| {
        shared.fault = Fault::Reverse;
        shared.log.extend((0..5).map(|at| format!("s{at}")));
    });
    until("all are refused", || tokens.iter().all(|token| result(&verifier, token) == Err(VerifyError::Revoked))).await;
    until("the follower is complete", || result(&verifier, &issuer.token("other")) == Ok(())).await;
}

#[tokio::test]
async fn new_epoch_keeps_earlier_revocations() {
    let issuer = FakeIssuer::start().await;
    issuer.revoke("before");
    let verifier = issuer.ready(StalePolicy::Refuse).await;
    // The server lost its store.
    issuer.change(|shared| {
        shared.epoch = "e2".to_owned();
        shared.log = vec!["after".to_owned()];
    });
    until("the snapshot is applied", || verifier.revocations() == 2).await;
    for session in ["before", "after"] {
        assert_eq!(result(&verifier, &issuer.token(session)), Err(VerifyError::Revoked));
    }
    issuer.revoke("live");
    until("the live feed is followed", || verifier.revocations() == 3).await;
    // A cache may still have the snapshot of the first epoch.
    let shared = issuer.shared.lock().unwrap();
    let snapshots = |paths: &[String]| paths.iter().filter(|path| *path == "/feed/snapshot").count();
    assert_eq!((snapshots(&shared.requests), snapshots(&shared.uncached)), (2, 1));
}

#[tokio::test]
async fn follower_that_fell_behind_takes_the_snapshot() {
    let issuer = FakeIssuer::start().await;
    let verifier = issuer.ready(StalePolicy::Refuse).await;
    issuer.change(|shared| {
        shared.log = (0..10).map(|at| format!("s{at}")).collect();
        shared.kept_from = 5;
    });
    until("the snapshot is applied", || verifier.revocations() == 10).await;
    until("the follower is complete", || result(&verifier, &issuer.token("other")) == Ok(())).await;
}

#[tokio::test]
async fn new_key_is_read_when_a_token_names_it() {
    let issuer = FakeIssuer::start().await;
    let verifier = issuer.ready(StalePolicy::Refuse).await;
    let old = issuer.token("s");
    assert!(verifier.verify(&old).await.is_ok());
    issuer.change(|shared| {
        let retired = (shared.kid.clone(), shared.key.clone());
        shared.more_keys.push(retired);
        (shared.kid, shared.key) = ("k2".to_owned(), SigningKey::from_bytes(&[8; 32]));
    });
    // The next frame names the new JWKS, and is signed by the new key.
    let new = issuer.token("s");
    until("the new key is known", || result(&verifier, &new) == Ok(())).await;
    assert_eq!(result(&verifier, &old), Ok(()));
    // A key that is removed from the JWKS is refused, also for tokens in the cache.
    issuer.change(|shared| shared.more_keys.clear());
    until("the old key is dropped", || result(&verifier, &old) == Err(TokenError::UnknownKey.into())).await;
    // Tokens with made-up keys cause no more than a reading every five seconds.
    let before = issuer.shared.lock().unwrap().requests.iter().filter(|path| *path == "/jwks").count();
    let odd = issuer.token_of_kid("made-up", json!({}));
    let began = Instant::now();
    for _ in 0..50 {
        assert!(matches!(verifier.verify(&odd).await, Err(VerifyError::Token(TokenError::UnknownKey))));
    }
    let after = issuer.shared.lock().unwrap().requests.iter().filter(|path| *path == "/jwks").count();
    let intervals = began.elapsed().as_secs() as usize / 5;
    assert!(after <= before + 1 + intervals, "{before} {after}");
}

#[tokio::test]
async fn revoked_key_signs_nothing_any_more() {
    let issuer = FakeIssuer::start().await;
    let verifier = issuer.ready(StalePolicy::Refuse).await;
    let token = issuer.token("s");
    assert_eq!(result(&verifier, &token), Ok(()));
    issuer.revoke("k1");
    until("the token is refused", || result(&verifier, &token) == Err(VerifyError::Revoked)).await;
    until("frames are refused", || verifier.last_error() == Some(FollowError::RevokedKey)).await;
}

#[tokio::test]
async fn wrong_settings_are_refused() {
    let start = |issuer: &str| Verifier::builder(issuer).audience("api").start().map(|_| ());
    for issuer in
        ["http://id.example.org", "id.example.org", "", "https://id.example.org?a", "https://a/#b", "file:///a"]
    {
        assert_eq!(start(issuer), Err(BuildError::InvalidIssuer), "{issuer}");
    }
    let none = Verifier::builder("https://id.example.org").start().map(|_| ());
    assert_eq!(none, Err(BuildError::NoAudience));
    assert!(start("http://localhost:1").is_ok() && start("http://[::1]:1").is_ok());
}

#[tokio::test]
async fn feed_is_read_through_a_cache() {
    let issuer = FakeIssuer::start().await;
    issuer.revoke("s0");
    let verifier = issuer.verifier().through_cache().start().unwrap();
    verifier.ready().await;
    issuer.change(|shared| shared.log.extend((1..6).map(|at| format!("s{at}"))));
    until("all are applied", || verifier.revocations() == 6).await;
    issuer.revoke("s6");
    until("the next one is applied", || verifier.revocations() == 7).await;
    for at in 0..7 {
        assert_eq!(result(&verifier, &issuer.token(&format!("s{at}"))), Err(VerifyError::Revoked));
    }
    let requests = issuer.shared.lock().unwrap().requests.clone();
    assert!(requests.iter().any(|path| path.starts_with("/feed/e1/segments/")), "{requests:?}");
    // Segments that are not kept any more, and another epoch.
    issuer.change(|shared| {
        shared.log.extend((7..20).map(|at| format!("s{at}")));
        shared.kept_from = 15;
    });
    until("the snapshot is applied", || verifier.revocations() == 20).await;
    issuer.change(|shared| (shared.epoch, shared.log, shared.kept_from) = ("e2".to_owned(), vec!["x".to_owned()], 0));
    until("the other epoch is applied", || verifier.revocations() == 21).await;
    assert!(result(&verifier, &issuer.token("good")).is_ok());
}

/// A position within a segment is in no list. The frames of one live response lead to one that is.
#[tokio::test]
async fn follower_through_a_cache_returns_to_segments() {
    let issuer = FakeIssuer::start().await;
    issuer.revoke("s0");
    let verifier = issuer.verifier().through_cache().start().unwrap();
    verifier.ready().await;
    for (until_revoked, name) in
        [(3, "the first are applied"), (5, "the next are applied"), (7, "the last are applied")]
    {
        issuer.change(|shared| shared.log.extend((shared.log.len()..until_revoked).map(|at| format!("s{at}"))));
        until(name, || verifier.revocations() == until_revoked).await;
    }
    let requests = issuer.shared.lock().unwrap().requests.clone();
    let count = |part: &str| requests.iter().filter(|path| path.contains(part)).count();
    assert_eq!((count("/after/1"), count("/after/")), (1, 1), "{requests:?}");
    assert!(count("/segments/") >= 4, "{requests:?}");
    assert!(count("/segments/0/") == 0, "nothing is read from the beginning: {requests:?}");
    // The snapshot and the segments.
    assert_eq!(issuer.shared.lock().unwrap().compressed, 1 + count("/segments/"));
}

#[tokio::test]
async fn follower_reports_its_position() {
    let issuer = FakeIssuer::start().await;
    issuer.revoke("s0");
    let verifier = issuer.verifier().report_as("reports-1:7", "sk_test").start().unwrap();
    let reports = || issuer.shared.lock().unwrap().reports.clone();
    until("the first report", || reports().len() == 1).await;
    let (authorization, report) = reports().remove(0);
    assert_eq!(authorization, "Bearer sk_test");
    let members = |report: &serde_json::Value| ["name", "epoch", "position"].map(|name| report[name].clone());
    assert_eq!(members(&report), ["reports-1:7", "e1", "1"].map(|text| json!(text)));
    let jwks = |report: &serde_json::Value| report["jwks"].as_str().unwrap().to_owned();
    assert_eq!(jwks(&report), signet_verify::feed::jwks_hash(issuer.shared.lock().unwrap().jwks().as_bytes()));
    let age = UnixTime::now().since(UnixTime::from_millis(report["time"].as_i64().unwrap()));
    assert!(age < std::time::Duration::from_secs(60), "{age:?}");
    // Other keys are reported soon.
    issuer.change(|shared| shared.more_keys.push(("k2".to_owned(), SigningKey::from_bytes(&[8; 32]))));
    until("the second report", || reports().len() == 2).await;
    assert_eq!(jwks(&reports()[1].1), signet_verify::feed::jwks_hash(issuer.shared.lock().unwrap().jwks().as_bytes()));
    assert!(result(&verifier, &issuer.token("good")).is_ok());
    let debug = format!("{:?}", issuer.verifier().report_as("reports-1:7", "sk_test"));
    assert!(debug.contains("reports-1:7") && !debug.contains("sk_test"), "{debug}");
    for (name, key) in [("", "key"), ("a b", "key"), ("a", ""), ("a", "a\nb")] {
        assert_eq!(issuer.verifier().report_as(name, key).start().err(), Some(BuildError::InvalidReporter));
    }
}

#[tokio::test]
async fn users_and_programs_are_told_apart() {
    let issuer = FakeIssuer::start().await;
    let (user, program) = (issuer.token("s"), issuer.token_with(json!({"client_id": "a key"})));
    for (subject, for_user, for_program) in [
        (Subject::User, Ok(()), Err(VerifyError::WrongSubject)),
        (Subject::Client, Err(VerifyError::WrongSubject), Ok(())),
    ] {
        let verifier = issuer.verifier().subject(subject).start().unwrap();
        verifier.ready().await;
        assert_eq!((result(&verifier, &user), result(&verifier, &program)), (for_user, for_program));
    }
}

#[tokio::test]
async fn metadata_of_another_issuer_is_refused() {
    let issuer = FakeIssuer::start().await;
    let other = issuer.url.replace("127.0.0.1", "localhost");
    let verifier = Verifier::builder(&other).audience("api").start().unwrap();
    until("the metadata is refused", || {
        verifier.last_error() == Some(FollowError::Metadata("they are of another issuer"))
    })
    .await;
    assert_eq!(result(&verifier, &issuer.token_with(json!({}))), Err(VerifyError::Unavailable));
}
