//! Sealed secrets of second factors when the secret of the fleet is replaced.

use serde_json::json;
use signet::auth::context::Context;
use signet::auth::mfa::reseal_secrets;
use signet::config::Secret;
use zeroize::Zeroizing;

use super::{assert_wrong_code, create_user_with_totp, reload, sign_in};
use crate::support::fleet::{TestFleet, over_both_stores_in_process};
use crate::support::server::{self, SendRequest, TestServer};
use crate::support::signet::SECRET;
use crate::support::{postgres, redis, totp};

over_both_stores_in_process!(totp_secrets_are_resealed_with_the_new_secret);

/// Seals the secrets again, and returns how many there were.
async fn reseal(ctx: &Context) -> u64 {
    let mut resealed = 0;
    reseal_secrets(ctx, &mut resealed).await.unwrap();
    resealed
}

async fn totp_secrets_are_resealed_with_the_new_secret(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    let (user, key, backup) = create_user_with_totp(&ctx, "resealed").await;
    assert_eq!(reseal(&ctx).await, 0, "it was sealed with the first secret");
    let old = fleet.config.secrets.clone().unwrap();
    let new = Secret(Zeroizing::new([7; 32]));
    let secrets = [vec![new.clone()], old].concat();
    let both = fleet.node_with(|config| config.secrets = Some(secrets)).await;
    sign_in(&both, &user, &fleet.code(&key, -1)).await.unwrap();
    assert!(reseal(&both).await >= 1);
    assert_eq!(reseal(&both).await, 0, "it is resealed once");
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
    assert!(reseal(&back.await).await >= 1);
    sign_in(&fleet.node().await, &reload(&ctx, &user).await, &fleet.code(&key, 1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resealed_secrets_count_though_the_store_fails() {
    let fleet = TestFleet::new(Some((redis::Server::start(), postgres::Database::create()))).await;
    let ctx = fleet.node().await;
    for name in ["first", "second"] {
        create_user_with_totp(&ctx, name).await;
    }
    let secrets = [vec![Secret(Zeroizing::new([7; 32]))], fleet.config.secrets.clone().unwrap()].concat();
    let both = fleet.node_with(|config| config.secrets = Some(secrets)).await;
    let postgres = fleet.postgres().client().await;
    let refuse = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'refused'; END $$;
        CREATE TRIGGER refused BEFORE UPDATE ON users FOR EACH ROW
            WHEN (OLD.email LIKE 'second%') EXECUTE FUNCTION refuse()";
    postgres.batch_execute(refuse).await.unwrap();
    let mut resealed = 0;
    assert!(reseal_secrets(&both, &mut resealed).await.is_err(), "Postgres did not refuse it");
    assert_eq!(resealed, 1);
    postgres.batch_execute("DROP FUNCTION refuse CASCADE").await.unwrap();
    reseal_secrets(&both, &mut resealed).await.unwrap();
    assert_eq!(resealed, 2);
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
