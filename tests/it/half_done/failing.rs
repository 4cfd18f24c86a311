//! What comes of operations whose second half Redis refuses: it is made up for, by the same node or by what every node reads.

use signet::auth::revocation::durable::reapply;
use signet::auth::tokens::client_credentials::issue_for_api_key;
use signet::auth::tokens::verify::{VerifyError, verify_access_token};

use super::*;
use crate::support::{postgres, redis};

const HOUR: Duration = Duration::from_secs(3600);

async fn on_servers() -> TestFleet {
    TestFleet::over(Some((redis::Server::start(), postgres::Server::start()))).await
}

/// Does something while Redis refuses whatever would be written.
async fn refused<T>(fleet: &TestFleet, work: impl Future<Output = Result<T, Error>>) {
    assert_eq!(fleet.redis().cli(&["CONFIG", "SET", "maxmemory", "1"]), "OK");
    let answer = work.await;
    assert!(matches!(answer, Err(Error::Unavailable(_))), "it was not refused");
    assert_eq!(fleet.redis().cli(&["CONFIG", "SET", "maxmemory", "0"]), "OK");
}

#[track_caller]
fn is_revoked(ctx: &Context, token: &str) {
    assert_eq!(verify_access_token(ctx, token).err(), Some(VerifyError::Revoked));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_over_though_redis_refuses_to_tell() {
    let fleet = on_servers().await;
    let [a, b] = [fleet.node().await, fleet.node().await];
    let user = user(&a, "holder").await;
    let (key, new) = key(&a, &user).await;
    let made = issue_for_api_key(&b, new.reveal(), None, HOUR).await.unwrap().access;
    refused(&fleet, api_keys::deactivate(&a, key.project, key.id)).await;
    is_revoked(&a, &made);
    assert!(verify_access_token(&b, &made).is_ok(), "it has heard of nothing");
    let c = fleet.node().await;
    for node in [&b, &c] {
        reapply(node).await.unwrap();
        is_revoked(node, &made);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_over_though_redis_has_forgotten_it() {
    let fleet = on_servers().await;
    let a = fleet.node().await;
    let user = user(&a, "holder").await;
    let mut made = Vec::new();
    for _ in 0..2 {
        let (key, new) = key(&a, &user).await;
        made.push((key, issue_for_api_key(&a, new.reveal(), None, HOUR).await.unwrap().access));
    }
    let [(ended, ended_token), (_, other_token)] = &made[..] else { unreachable!("there are two") };
    api_keys::deactivate(&a, ended.project, ended.id).await.unwrap();
    // A server takes its place that has the floor and not what was published last.
    fleet.redis().cli(&["DEL", "signet:{fleet}:revocations", "signet:{fleet}:born"]);
    let b = fleet.node().await;
    reapply(&b).await.unwrap();
    is_revoked(&b, ended_token);
    assert!(verify_access_token(&b, other_token).is_ok());
}

/// Whether every node hears that the user's sessions were ended at that moment.
async fn is_ended(ctx: &Context, user: &User) -> bool {
    is_published(ctx, &Target::User { user: user.id, before: user.sessions_valid_after }).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_sign_in_outlives_a_change_of_password_that_redis_refused_to_hear_of() {
    let fleet = on_servers().await;
    let [a, b] = [fleet.node().await, fleet.node().await];
    let by = user(&a, "by").await;
    // As a sign-in has read it that is still hashing.
    let before = user(&a, "changes").await;
    let old = open_session(&b, &before, None, request_ctx(&b)).await.unwrap();
    fleet.clock.advance(Duration::from_secs(1));
    let wanted =
        UpdateUser { password: Some(Password::new("another harbour at dawn".to_owned())), ..UpdateUser::default() };
    refused(&fleet, update_user(&a, &by, before.id, wanted, request_ctx(&a))).await;
    let now = row(&a, before.id).await;
    assert_ne!(now.password_hash, before.password_hash);

    // Where it was changed, from then on; elsewhere, as soon as Redis has heard of it.
    let late = async |at| open_session(at, &before, None, request_ctx(at)).await;
    assert!(matches!(late(&a).await, Err(Error::WrongPassword)));
    let fresh = open_session(&b, &now, None, request_ctx(&b)).await.unwrap();
    until("the old password opens nothing", async || matches!(late(&b).await, Err(Error::WrongPassword))).await;
    until("it is told", async || is_ended(&b, &now).await).await;
    assert!(matches!(late(&a).await, Err(Error::WrongPassword)));

    let open: Vec<_> = list_sessions(&b, now.id).await.unwrap().iter().map(|session| session.id).collect();
    assert!(!open.contains(&old.session.id), "it is over in Redis too");
    assert!(open.contains(&fresh.session.id), "the new password opened it");
    assert!(verify_access_token(&b, &fresh.access).is_ok());
    open_session(&a, &now, None, request_ctx(&a)).await.unwrap();
}
