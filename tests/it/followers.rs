//! The Rust verifier (`crates/verify`) against a running server: what is revoked here is refused there.
//!
//! How it treats responses that are lost, old, cut off, out of order or forged is tested in the crate.

mod failover;
mod fleet;
mod frozen;

use std::time::Duration;

use signet_verify::TokenError;
use signet_verify::follow::{StalePolicy, Verifier, VerifyError};

use crate::support::ports::free_port;
use crate::support::server::{SendRequest, TestServer, TokenPair, over_both_stores};
use crate::support::signet::Plan;
use crate::support::until;

over_both_stores! {
    at_its_issuer;
    revocations_reach_a_follower,
    stale_follower_asks_the_server,
}

/// Verifiers find the server by its issuer, also after a restart.
fn at_its_issuer(plan: Plan) -> Plan {
    let address = format!("127.0.0.1:{}", free_port());
    plan.set("SIGNET_SERVER__LISTEN", &address).set("SIGNET_SERVER__PUBLIC_URL", &format!("http://{address}"))
}

async fn follower(server: &TestServer, policy: StalePolicy) -> Verifier {
    let issuer = server.signet.url_of("");
    let verifier = Verifier::builder(issuer.trim_end_matches('/')).audience("signet").policy(policy).start().unwrap();
    until_ready(&verifier).await;
    verifier
}

async fn until_ready(verifier: &Verifier) {
    let ready = tokio::time::timeout(Duration::from_secs(60), verifier.ready()).await;
    assert!(ready.is_ok(), "{:?}", verifier.last_error());
}

fn result(verifier: &Verifier, token: &str) -> Result<(), VerifyError> {
    verifier.verify_now(token).map(|_| ())
}

async fn sign_out(server: &TestServer, tokens: &TokenPair) {
    let path = format!("/sessions/{}", tokens.session);
    server.delete(&path).bearer_auth(&tokens.access).send_checked().await.is(204);
}

async fn until_refused(verifier: &Verifier, token: &str, error: VerifyError) {
    until("the follower refuses the token", async || result(verifier, token) == Err(error)).await;
}

async fn revocations_reach_a_follower(server: &TestServer) {
    let (user, other) = (server.create_user(&[]), server.create_user(&[]));
    let (key, prefix) = server.api_key(&other, &["read"]);
    let by_key = server.client_token(&key).await;
    let sessions = [server.sign_in(&user).await, server.sign_in(&user).await, server.sign_in(&user).await];
    let bystander = server.sign_in(&other).await;
    let verifier = follower(server, StalePolicy::Refuse).await;
    for token in sessions.iter().map(|session| &session.access).chain([&by_key, &bystander.access]) {
        assert_eq!(result(&verifier, token), Ok(()));
    }
    let verified = verifier.verify_now(&sessions[0].access).unwrap();
    assert_eq!((verified.subject(), verified.session_id()), (&*user.id, Some(&*sessions[0].session)));

    // One session.
    sign_out(server, &sessions[0]).await;
    until_refused(&verifier, &sessions[0].access, VerifyError::Revoked).await;
    assert_eq!(result(&verifier, &sessions[1].access), Ok(()));
    // All sessions.
    server.delete("/sessions").bearer_auth(&sessions[2].access).send_checked().await.is(200);
    for session in &sessions[1..] {
        until_refused(&verifier, &session.access, VerifyError::Revoked).await;
    }
    // Sessions that are opened afterwards are accepted.
    let again = server.sign_in(&user).await;
    assert_eq!(result(&verifier, &again.access), Ok(()));
    // An API key.
    server.plan().json(&["api-keys", "deactivate", &prefix], "");
    until_refused(&verifier, &by_key, VerifyError::Revoked).await;
    // A signing key: the follower knows the one that signs instead, and refuses what the revoked one signed.
    let listed = server.plan().json(&["keys", "list"], "");
    let signing = listed.as_array().unwrap().iter().find(|key| key["state"] == "signing").unwrap();
    server.plan().json(&["keys", "revoke", signing["kid"].as_str().unwrap()], "");
    until("what the revoked key signed is refused", async || {
        matches!(
            result(&verifier, &bystander.access),
            Err(VerifyError::Revoked | VerifyError::Token(TokenError::UnknownKey | TokenError::RevokedKey))
        )
    })
    .await;
    until("what the next key signs is accepted", async || {
        let session = server.sign_in(&user).await;
        verifier.verify(&session.access).await.is_ok()
    })
    .await;
}

/// With a limit of zero a follower is stale between any two frames, so it asks about nearly every token.
async fn stale_follower_asks_the_server(server: &TestServer) {
    let user = server.create_user(&[]);
    let (kept, ended) = (server.sign_in(&user).await, server.sign_in(&user).await);
    let issuer = server.signet.url_of("");
    let verifier = Verifier::builder(issuer.trim_end_matches('/'))
        .audience("signet")
        .policy(StalePolicy::Ask)
        .max_staleness(Duration::ZERO)
        .start()
        .unwrap();
    until_ready(&verifier).await;
    sign_out(server, &ended).await;
    until("the ended session is refused", async || {
        verifier.verify(&ended.access).await.map(|_| ()) == Err(VerifyError::Revoked)
    })
    .await;
    assert!(verifier.verify(&kept.access).await.is_ok());
}

#[tokio::test]
async fn restart_of_the_server_brings_nothing_back() {
    let mut server = TestServer::embedded(at_its_issuer);
    let user = server.create_user(&[]);
    let (kept, ended) = (server.sign_in(&user).await, server.sign_in(&user).await);
    let verifier = follower(&server, StalePolicy::Refuse).await;
    sign_out(&server, &ended).await;
    until_refused(&verifier, &ended.access, VerifyError::Revoked).await;
    server.signet.kill();
    until("the follower reports the outage", async || verifier.last_error().is_some()).await;
    assert_eq!(result(&verifier, &ended.access), Err(VerifyError::Revoked));
    assert_eq!(result(&verifier, &kept.access), Ok(()), "the outage is shorter than the limit");
    server.restart();
    until("the follower follows again", async || verifier.last_error().is_none()).await;
    assert_eq!(result(&verifier, &ended.access), Err(VerifyError::Revoked));
    assert_eq!(result(&verifier, &kept.access), Ok(()));
    sign_out(&server, &kept).await;
    until_refused(&verifier, &kept.access, VerifyError::Revoked).await;
    // Another follower learns both from the snapshot.
    let second = follower(&server, StalePolicy::Refuse).await;
    for token in [&ended.access, &kept.access] {
        assert_eq!(result(&second, token), Err(VerifyError::Revoked));
    }
}
