//! `signet seed`: what it creates, that it spares other users, and that it removes everything again.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use super::shared_settings;
use crate::support::server::{PASSWORD, SendRequest, TestServer, over_both_stores};
use crate::support::signet::Plan;
use crate::support::until;

over_both_stores!(shared_settings; seeded_data_is_valid_beside_a_running_server, seeding_again_keeps_old_sessions,
    seed_needs_a_flag_beside_other_users, remove_deletes_only_seeded_users);

/// Runs `signet seed` and returns the data set, which must be a complete file that only its owner can read.
fn seed(plan: &Plan, users: &str, sessions: &str, keys: &str) -> Value {
    let file = plan.dir().join("data.json");
    let path = file.to_str().unwrap();
    let words = ["seed", "--users", users, "--sessions", sessions, "--api-keys", keys, "--out", path];
    let report = plan.json(&words, "");
    assert_eq!(report["file"], path);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let other_files = std::fs::read_dir(plan.dir()).unwrap().filter(|entry| entry.as_ref().unwrap().path() != file);
    assert_eq!(other_files.count(), 1);
    serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// More sessions than users, more users than fit into one page, and an incomplete last round.
async fn seeded_data_is_valid_beside_a_running_server(server: &TestServer) {
    let data = seed(server.plan(), "701", "740", "2");
    assert_eq!(data["users"].as_array().unwrap().len(), 701);
    assert_eq!(
        (&data["users"][0], &data["users"][700]),
        (&"seeded-00000000@load.test".into(), &"seeded-00000700@load.test".into())
    );
    let sessions = data["sessions"].as_array().unwrap();
    assert_eq!(
        sessions.iter().map(|session| session["user"].as_u64().unwrap()).collect::<Vec<_>>(),
        (0..701).chain(0..39).collect::<Vec<_>>()
    );
    for session in [&sessions[0], &sessions[739]] {
        let claims = server.verify(session["access_token"].as_str().unwrap()).await.is(200).json()["claims"].clone();
        assert_eq!((&claims["sub"], &claims["sid"]), (&session["user_id"], &session["session_id"]));
        assert_eq!(claims["email"], data["users"][session["user"].as_u64().unwrap() as usize]);
        let next = server.refresh(session["refresh_token"].as_str().unwrap()).await.is(200).tokens();
        assert_eq!(session["session_id"], next.session);
    }
    server.try_sign_in("seeded-00000700@load.test", &text(&data["password"])).await.is(201);
    for key in data["api_keys"].as_array().unwrap() {
        server.get("/verify").header("x-api-key", key.as_str().unwrap()).send_checked().await.is(200);
    }
}

/// A server refuses everything that is older than its store.
#[tokio::test]
async fn data_seeded_before_the_first_start_is_valid() {
    let plan = shared_settings(Plan::embedded());
    let data = seed(&plan, "2", "2", "0");
    let server = TestServer::start(plan);
    for session in data["sessions"].as_array().unwrap() {
        server.verify(&text(&session["access_token"])).await.is(200);
    }
}

/// The users stay the same and get another password.
async fn seeding_again_keeps_old_sessions(server: &TestServer) {
    let data = seed(server.plan(), "5", "7", "2");
    let (first, last) = (&data["sessions"][0], &data["sessions"][6]);
    let again = seed(server.plan(), "3", "1", "1");
    assert_eq!(again["sessions"][0]["user_id"], first["user_id"]);
    assert_ne!((&again["password"], &again["sessions"][0]["session_id"]), (&data["password"], &first["session_id"]));
    server.try_sign_in("seeded-00000002@load.test", &text(&again["password"])).await.is(201);
    server.try_sign_in("seeded-00000002@load.test", &text(&data["password"])).await.is(401);
    server.verify(&text(&last["access_token"])).await.is(200);
    server.verify(&text(&again["sessions"][0]["access_token"])).await.is(200);
}

/// The other user was not seeded, although the address looks like it.
async fn seed_needs_a_flag_beside_other_users(server: &TestServer) {
    let plan = server.plan();
    seed(plan, "3", "1", "1");
    plan.create_user("seeded-1@load.test", PASSWORD, &[]);
    let file = plan.dir().join("data.json");
    let path = file.to_str().unwrap();
    let before = std::fs::read(&file).unwrap();
    let refused = plan.run(&["seed", "--users", "3", "--sessions", "1", "--out", path], "");
    let stderr = String::from_utf8(refused.stderr).unwrap();
    assert!(
        refused.status.code() == Some(1) && stderr.contains("who were not seeded") && stderr.contains("--among-others"),
        "{stderr}"
    );
    assert_eq!(std::fs::read(&file).unwrap(), before, "the file is unchanged");
    plan.json(&["seed", "--users", "3", "--sessions", "1", "--among-others", "--out", path], "");
}

async fn remove_deletes_only_seeded_users(server: &TestServer) {
    let plan = server.plan();
    let data = seed(plan, "701", "740", "2");
    let again = seed(plan, "3", "1", "1");
    let other = plan.create_user("seeded-1@load.test", PASSWORD, &[]);
    assert_eq!(plan.json(&["seed", "--remove"], "")["users"], 701);
    assert_eq!(plan.json(&["users", "list"], ""), json!([other]));
    assert_eq!(plan.json(&["seed", "--remove"], "")["users"], 0);
    until("the tokens are revoked", async || {
        server.verify(&text(&data["sessions"][739]["access_token"])).await.status == 401
    })
    .await;
    server.refresh(&text(&again["sessions"][0]["refresh_token"])).await.is(400);
    server.get("/verify").header("x-api-key", text(&again["api_keys"][0])).send_checked().await.is(401);
}

#[test]
fn invalid_arguments_create_no_user() {
    let plan = Plan::embedded().set("SIGNET_TOKENS__SESSIONS_PER_USER", "2");
    let assert_refused = |words: &[&str], code: i32, reason: &str| {
        let output = plan.run(&[&["seed"], words].concat(), "");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(code) && stderr.contains(reason), "{words:?}: {stderr}");
    };
    assert_refused(&[], 2, "--out");
    assert_refused(&["--remove", "--users", "3"], 2, "cannot be used with");
    assert_refused(&["--users", "0", "--out", "data.json"], 2, "--users");
    assert_refused(&["--users", "2", "--sessions", "5", "--out", "data.json"], 2, "the limit is 2 each");
    assert_refused(&["--out", "nowhere/data.json"], 1, "nowhere/data.json");
    assert!(!plan.dir().join("data").exists(), "a store was created");
    plan.json(&["seed", "--users", "2", "--sessions", "4", "--out", "data.json"], "");
}
