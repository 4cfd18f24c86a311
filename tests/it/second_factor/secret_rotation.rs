//! Sealed secrets of second factors when the secret of the fleet is replaced.

use serde_json::json;
use signet::auth::mfa::reseal_secrets;
use signet::config::Secret;
use zeroize::Zeroizing;

use super::{assert_wrong_code, create_user_with_totp, reload, sign_in};
use crate::support::fleet::{TestFleet, over_both_stores_in_process};
use crate::support::server::{self, SendRequest, TestServer};
use crate::support::signet::SECRET;
use crate::support::totp;

over_both_stores_in_process!(totp_secrets_are_resealed_with_the_new_secret);

async fn totp_secrets_are_resealed_with_the_new_secret(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    let (user, key, backup) = create_user_with_totp(&ctx, "resealed").await;
    assert_eq!(reseal_secrets(&ctx).await.unwrap(), 0, "it was sealed with the first secret");
    let old = fleet.config.secrets.clone().unwrap();
    let new = Secret(Zeroizing::new([7; 32]));
    let secrets = [vec![new.clone()], old].concat();
    let both = fleet.node_with(|config| config.secrets = Some(secrets)).await;
    sign_in(&both, &user, &fleet.code(&key, -1)).await.unwrap();
    assert!(reseal_secrets(&both).await.unwrap() >= 1);
    assert_eq!(reseal_secrets(&both).await.unwrap(), 0, "it is resealed once");
    let resealed = reload(&both, &user).await;
    assert_ne!(resealed.totp, user.totp);
    // The keyring was resealed at the start, so a node with only the new secret starts.
    let alone = fleet.node_with(|config| config.secrets = Some(vec![new.clone()])).await;
    sign_in(&alone, &resealed, &fleet.code(&key, 0)).await.unwrap();
    sign_in(&alone, &resealed, &backup[0]).await.unwrap();
    assert_wrong_code(sign_in(&alone, &resealed, &fleet.code(&key, -1)).await);
    // The secrets can be rotated back.
    let back = fleet.node_with(|config| {
        let old = config.secrets.clone().unwrap();
        config.secrets = Some([old, vec![new.clone()]].concat());
    });
    assert!(reseal_secrets(&back.await).await.unwrap() >= 1);
    sign_in(&fleet.node().await, &reload(&ctx, &user).await, &fleet.code(&key, 1)).await.unwrap();
}

/// The procedure in `config.toml`, with the real program.
#[tokio::test]
async fn secret_rotation_locks_nobody_out() {
    const NEW: &str = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";
    let server = TestServer::embedded(|plan| plan.set("SIGNET_SECRET", SECRET));
    let person = server.create_user(&[]);
    let access = server.sign_in(&person).await.access;
    let response = server.post("/auth/create/otp").bearer_auth(access).send_checked().await.is(200).json();
    let key = response["otp_key"].as_str().unwrap();
    let restart_with = |server: &TestServer, secrets: &str| {
        server.signet.terminate();
        assert!(server.signet.wait_for_exit().success());
        TestServer::start(server.plan().clone().set("SIGNET_SECRET", secrets))
    };
    let server = restart_with(&server, &format!("{NEW},{SECRET}"));
    server.signet.wait_for_log("TOTP secrets re-sealed with the first secret");
    let server = restart_with(&server, NEW);
    let body = json!({"email": person.email, "password": server::PASSWORD, "totp_code": totp::code(key, 0)});
    server.post("/sessions").json(&body).send_checked().await.is(201);
}
