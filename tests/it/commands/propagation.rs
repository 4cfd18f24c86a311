//! A command that ends sessions, users or keys returns when every running server has applied the change.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use signet::auth::revocation::propagation::wait_until_applied;
use signet::store::ephemeral::Cursor;

use super::*;
use crate::support::fleet::TestFleet;

/// Enough repetitions that a command which returned too early would be found: the embedded store's servers look for
/// changes of other processes only every 50 ms.
const ROUNDS: usize = 10;

async fn disabled_users_are_refused_at_once(server: &TestServer) {
    for _ in 0..ROUNDS {
        let person = server.create_user(&[]);
        let (key, _) = server.api_key(&person, &[]);
        let tokens = server.sign_in(&person).await;
        for credential in [&tokens.access, &key] {
            server.verify(credential).await.is(200);
        }
        done(server.plan(), &["users", "disable", &person.email], "");
        for credential in [&tokens.access, &key] {
            server.verify(credential).await.is(401);
        }
    }
}

#[tokio::test]
async fn disabled_users_are_refused_at_once_embedded() {
    disabled_users_are_refused_at_once(&TestServer::embedded(|plan| plan)).await;
}

#[tokio::test]
async fn disabled_users_are_refused_at_once_redis_and_postgres() {
    disabled_users_are_refused_at_once(&TestServer::redis_and_postgres(|plan| plan)).await;
}

async fn deactivated_keys_are_refused_at_once(server: &TestServer) {
    let person = server.create_user(&[]);
    for _ in 0..ROUNDS {
        let (key, prefix) = server.api_key(&person, &[]);
        server.verify(&key).await.is(200);
        done(server.plan(), &["api-keys", "deactivate", &prefix], "");
        server.verify(&key).await.is(401);
    }
}

#[tokio::test]
async fn deactivated_keys_are_refused_at_once_embedded() {
    deactivated_keys_are_refused_at_once(&TestServer::embedded(|plan| plan)).await;
}

#[tokio::test]
async fn deactivated_keys_are_refused_at_once_redis_and_postgres() {
    deactivated_keys_are_refused_at_once(&TestServer::redis_and_postgres(|plan| plan)).await;
}

async fn tokens_of_a_revoked_key_are_refused_at_once(server: &TestServer) {
    let tokens = server.sign_in(&server.create_user(&[])).await;
    server.verify(&tokens.access).await.is(200);
    let kid = server.plan().json(&["keys", "list"], "")[0]["kid"].as_str().unwrap().to_owned();
    done(server.plan(), &["keys", "revoke", &kid], "");
    assert_eq!(server.rejection_reason(&tokens.access).await, "revoked_key");
}

#[tokio::test]
async fn tokens_of_a_revoked_key_are_refused_embedded() {
    tokens_of_a_revoked_key_are_refused_at_once(&TestServer::embedded(|plan| plan)).await;
}

#[tokio::test]
async fn tokens_of_a_revoked_key_are_refused_redis_and_postgres() {
    tokens_of_a_revoked_key_are_refused_at_once(&TestServer::redis_and_postgres(|plan| plan)).await;
}

#[tokio::test]
async fn every_node_of_a_fleet_is_waited_for() {
    let (redis, postgres) = (redis::Server::start(), postgres::Database::create());
    let plan = Plan::on(&redis, &postgres).with_patient_stores();
    let nodes = [TestServer::start(plan.clone()), TestServer::start(plan.another_node())];
    for _ in 0..ROUNDS {
        let person = nodes[0].create_user(&[]);
        let tokens = nodes[0].sign_in(&person).await;
        for node in &nodes {
            node.verify(&tokens.access).await.is(200);
        }
        done(&plan, &["users", "delete", &person.email], "");
        for node in &nodes {
            node.verify(&tokens.access).await.is(401);
        }
    }
}

#[tokio::test]
async fn a_frozen_server_is_named_in_a_warning() {
    let server = TestServer::embedded(|plan| plan.set("SIGNET_REVOCATION__CONFIRM_WITHIN", "2s"));
    let person = server.create_user(&[]);
    let pid = Pid::from_raw(server.signet.pid() as i32).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    let start = Instant::now();
    let output = server.plan().run(&["users", "disable", &person.email], "");
    kill_process(pid, Signal::CONT).unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(start.elapsed() >= Duration::from_secs(2), "{:?}", start.elapsed());
    let warning = text(&output.stderr);
    let pid = server.signet.pid().to_string();
    assert!(warning.contains("have not applied it: ") && warning.contains(&pid), "{warning}");
}

/// Its report lapses, so that nothing is left to wait for. It may go on later, so it must be named.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_falls_silent_meanwhile_is_named() {
    let fleet = TestFleet::new(Some((redis::Server::start(), postgres::Database::create()))).await;
    let node = fleet.node().await;
    node.ephemeral.raise_global_not_before(fleet.clock.now() + Duration::from_secs(3600)).await.unwrap();
    node.ephemeral.report_node("silent", &Cursor::start()).await.unwrap();
    assert_eq!(wait_until_applied(&node, Duration::from_secs(3600)).await.unwrap(), ["silent"]);
}

#[tokio::test]
async fn a_killed_server_is_not_waited_for() {
    let mut server = TestServer::embedded(|plan| plan);
    let person = server.create_user(&[]);
    server.signet.kill();
    done(server.plan(), &["users", "disable", &person.email], "");
}

/// It has reported how far it has applied the revocations, but answers nothing.
#[tokio::test]
async fn a_server_that_could_not_listen_is_not_waited_for() {
    let server = TestServer::redis_and_postgres(|plan| plan);
    let person = server.create_user(&[]);
    let taken = server.signet.url_of("").replace("http://", "");
    let other = server.plan().another_node().set("SIGNET_SERVER__LISTEN", &taken).try_start();
    assert!(!other.has_url() && !other.wait_for_exit().success());
    done(server.plan(), &["users", "disable", &person.email], "");
}

#[tokio::test]
async fn a_stopped_server_is_not_waited_for() {
    let server = TestServer::redis_and_postgres(|plan| plan);
    let person = server.create_user(&[]);
    server.signet.terminate();
    server.signet.wait_for_exit();
    done(server.plan(), &["users", "disable", &person.email], "");
}
