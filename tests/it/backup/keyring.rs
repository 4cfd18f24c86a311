//! A backup and a `keyring.sealed` of different ages: no signing key that was revoked comes back, and none that signed
//! a valid token is lost.

use std::fs;

use super::{refused, stop, with_issuer};
use crate::support::client::kid;
use crate::support::faketime::set_offset;
use crate::support::postgres::Database;
use crate::support::redis;
use crate::support::server::{PASSWORD, TestServer, TestUser, TokenPair};
use crate::support::signet::Plan;

const MIRROR: &str = "data/keyring.sealed";

const KEEP_ALL: [&str; 2] = ["--keep-sessions", "--keep-api-keys"];

/// Revokes the key that signs, and signs in with the next one.
async fn revoke_signer(server: &TestServer, user: &TestUser) -> TokenPair {
    let signer = server.plan().json(&["keys", "list"], "")[0]["kid"].clone();
    server.plan().json(&["keys", "revoke", signer.as_str().unwrap()], "");
    let tokens = server.sign_in(user).await;
    assert_ne!(kid(&tokens.access), signer, "another key signs");
    tokens
}

/// Asserts that the key of `valid` signs, and that those of `revoked` verify nothing.
async fn assert_keys(server: &TestServer, user: &TestUser, valid: &TokenPair, revoked: &[&TokenPair]) {
    for tokens in revoked {
        assert_eq!(server.rejection_reason(&tokens.access).await, "revoked_key");
    }
    let again = server.sign_in(user).await;
    assert_eq!(kid(&again.access), kid(&valid.access));
    server.verify(&again.access).await.is(200);
}

#[tokio::test]
async fn a_newer_keyring_outlives_an_older_backup() {
    let mut server = TestServer::embedded(with_issuer);
    let plan = server.plan().clone();
    let user = server.create_user(&[]);
    let first = server.sign_in(&user).await;
    let saved = plan.dir().join("saved").to_str().unwrap().to_owned();
    plan.json(&["backup", &saved], "");
    // The backup has this key as the standby, and the next one not at all.
    let second = revoke_signer(&server, &user).await;
    let third = revoke_signer(&server, &user).await;

    stop(&server);
    plan.json(&[&["restore", &saved, "--force"][..], &KEEP_ALL].concat(), "");
    server.restart();
    assert_keys(&server, &user, &third, &[&first, &second]).await;
    server.verify(&third.access).await.is(200);
}

#[tokio::test]
async fn an_older_keyring_yields_to_a_newer_backup() {
    let mut server = TestServer::embedded(with_issuer);
    let plan = server.plan().clone();
    let user = server.create_user(&[]);
    let first = server.sign_in(&user).await;
    let older = fs::read(plan.dir().join(MIRROR)).unwrap();
    let second = revoke_signer(&server, &user).await;
    let saved = plan.dir().join("saved").to_str().unwrap().to_owned();

    stop(&server);
    plan.json(&["backup", &saved], "");
    fs::write(plan.dir().join(MIRROR), older).unwrap();
    plan.json(&[&["restore", &saved, "--force"][..], &KEEP_ALL].concat(), "");
    server.restart();
    assert_keys(&server, &user, &second, &[&first]).await;
    server.verify(&second.access).await.is(200);
}

/// All keys of the backup were revoked since, and forgotten once their last tokens had expired.
#[test]
fn keys_revoked_long_ago_stay_out_with_a_backup() {
    let folder = tempfile::tempdir().unwrap();
    let clock = folder.path().join("clock");
    set_offset(&clock, 0);
    let plan = Plan::embedded().with_clock_offset(&clock);
    plan.create_user("a@example.org", PASSWORD, &[]);
    let saved = folder.path().join("saved").to_str().unwrap().to_owned();
    plan.json(&["backup", &saved], "");
    let kids = || {
        let keys = plan.json(&["keys", "list"], "");
        keys.as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let of_backup = kids();
    assert_eq!(of_backup.len(), 2);
    for kid in &of_backup {
        plan.json(&["keys", "revoke", kid], "");
    }
    set_offset(&clock, 7 * 86_400);
    let newer = kids();
    assert!(newer.iter().all(|kid| !of_backup.contains(kid)), "{newer:?}");
    plan.json(&["restore", &saved, "--force"], "");
    assert_eq!(kids(), newer);
}

/// A secret tells fleets apart.
#[test]
fn a_backup_with_another_secret_is_refused() {
    let (fleet, other) = (Plan::embedded(), Plan::embedded());
    for plan in [&fleet, &other] {
        plan.create_user("a@example.org", PASSWORD, &[]);
    }
    let saved = fleet.dir().join("saved").to_str().unwrap().to_owned();
    fleet.json(&["backup", &saved], "");
    for name in ["signet.db", "signet.db-wal", "signet.db-shm"] {
        let _ = fs::remove_file(other.dir().join("data").join(name));
    }
    assert!(refused(&other, &["restore", &saved], 1).contains("is not the secret of the backup"));
    other.json(&["restore", &saved, "--force"], "");
    assert_eq!(other.json(&["keys", "list"], ""), fleet.json(&["keys", "list"], ""));
}

#[tokio::test]
async fn keyrings_of_different_ages_meet_on_redis() {
    let (mut redis, postgres) = (redis::Server::start(), Database::create());
    let mut server = TestServer::start(with_issuer(Plan::on(&redis, &postgres).with_patient_stores()));
    let plan = server.plan().clone();
    let user = server.create_user(&[]);
    let first = server.sign_in(&user).await;
    assert_eq!(redis.cli(&["SAVE"]), "OK");
    let snapshot = fs::read(redis.folder().join("dump.rdb")).unwrap();
    let older = fs::read(plan.dir().join(MIRROR)).unwrap();
    let second = revoke_signer(&server, &user).await;

    // Redis is older than the node's keyring.
    stop(&server);
    redis.kill();
    fs::write(redis.folder().join("dump.rdb"), snapshot).unwrap();
    redis.restart();
    server.restart();
    assert_keys(&server, &user, &second, &[&first]).await;

    // The node's keyring is older than Redis.
    stop(&server);
    fs::write(plan.dir().join(MIRROR), &older).unwrap();
    server.restart();
    assert_keys(&server, &user, &second, &[&first]).await;

    // Redis is empty, and the node that starts first has the older keyring.
    stop(&server);
    assert_eq!(redis.cli(&["FLUSHALL"]), "OK");
    let elsewhere = plan.another_node();
    fs::create_dir(elsewhere.dir().join("data")).unwrap();
    fs::write(elsewhere.dir().join(MIRROR), older).unwrap();
    let node = TestServer::start(elsewhere);
    server.restart();
    assert_keys(&server, &user, &second, &[&first]).await;
    crate::support::until("the other node refuses it too", async || {
        node.rejection_reason(&first.access).await == "revoked_key"
    })
    .await;
}
