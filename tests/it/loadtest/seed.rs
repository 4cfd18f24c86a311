//! `signet seed`: what it makes, whom it leaves alone, and that it takes everything away again.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use super::agreed;
use crate::support::server::{SendRequest, TestServer, over_both_stores};
use crate::support::signet::Plan;

over_both_stores!(agreed; what_is_seeded_is_good_beside_a_running_server);

async fn what_is_seeded_is_good_beside_a_running_server(server: &TestServer) {
    let plan = server.plan();
    let file = plan.dir().join("data.json");
    let path = file.to_str().unwrap();
    let seed = |users: &str, sessions: &str, keys: &str| {
        let words = ["seed", "--users", users, "--sessions", sessions, "--api-keys", keys, "--out", path];
        let done = plan.json(&words, "");
        assert_eq!(done["file"], path);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(plan.dir()).unwrap().filter(|it| it.as_ref().unwrap().path() != file).count(), 1);
        serde_json::from_slice::<Value>(&std::fs::read(&file).unwrap()).unwrap()
    };
    let text = |value: &Value| value.as_str().unwrap().to_owned();

    // More sessions than users, more users than fit in one page, and a last round that is not full.
    let set = seed("701", "740", "2");
    assert_eq!(set["users"].as_array().unwrap().len(), 701);
    assert_eq!(
        (&set["users"][0], &set["users"][700]),
        (&"seeded-00000000@load.test".into(), &"seeded-00000700@load.test".into())
    );
    let sessions = set["sessions"].as_array().unwrap();
    assert_eq!(
        sessions.iter().map(|session| session["user"].as_u64().unwrap()).collect::<Vec<_>>(),
        (0..701).chain(0..39).collect::<Vec<_>>()
    );
    let [first, last] = [&sessions[0], &sessions[739]];
    for session in [first, last] {
        let claims = server.verify(session["access_token"].as_str().unwrap()).await.is(200).json()["claims"].clone();
        assert_eq!((&claims["sub"], &claims["sid"]), (&session["user_id"], &session["session_id"]));
        assert_eq!(claims["email"], set["users"][session["user"].as_u64().unwrap() as usize]);
        let next = server.refresh(session["refresh_token"].as_str().unwrap()).await.is(200).tokens();
        assert_eq!(session["session_id"], next.session);
    }
    server.try_sign_in("seeded-00000700@load.test", &text(&set["password"])).await.is(201);
    for key in set["api_keys"].as_array().unwrap() {
        server.get("/verify").header("x-api-key", key.as_str().unwrap()).send_checked().await.is(200);
    }

    // Again: the same people, another password, and what was handed out stays good.
    let again = seed("3", "1", "1");
    assert_eq!(again["sessions"][0]["user_id"], first["user_id"]);
    assert_ne!((&again["password"], &again["sessions"][0]["session_id"]), (&set["password"], &first["session_id"]));
    server.try_sign_in("seeded-00000002@load.test", &text(&again["password"])).await.is(201);
    server.try_sign_in("seeded-00000002@load.test", &text(&set["password"])).await.is(401);
    server.verify(&text(&last["access_token"])).await.is(200);
    server.verify(&text(&again["sessions"][0]["access_token"])).await.is(200);

    // Somebody who was not seeded, though the name looks like it.
    let zoe = plan.user("seeded-1@load.test", "a quiet harbour at dusk", &[]);
    let before = std::fs::read(&file).unwrap();
    let refused = plan.run(&["seed", "--users", "3", "--sessions", "1", "--out", path], "");
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(
        refused.status.code() == Some(1) && said.contains("who were not seeded") && said.contains("--among-others"),
        "{said}"
    );
    assert_eq!(std::fs::read(&file).unwrap(), before, "what was there is left as it was");
    plan.json(&["seed", "--users", "3", "--sessions", "1", "--among-others", "--out", path], "");

    assert_eq!(plan.json(&["seed", "--remove"], "")["users"], 701);
    assert_eq!(plan.json(&["users", "list"], ""), json!([zoe]));
    assert_eq!(plan.json(&["seed", "--remove"], "")["users"], 0);
    crate::support::until("nothing of it is good any more", async || {
        server.verify(&text(&last["access_token"])).await.status == 401
    })
    .await;
    server.refresh(&text(&again["sessions"][0]["refresh_token"])).await.is(400);
    server.get("/verify").header("x-api-key", text(&again["api_keys"][0])).send_checked().await.is(401);
}

#[test]
fn what_cannot_be_seeded_is_told_before_anybody_is_made() {
    let plan = Plan::embedded().set("SIGNET_TOKENS__SESSIONS_PER_USER", "2");
    let refused = |words: &[&str], code: i32, why: &str| {
        let output = plan.run(&[&["seed"], words].concat(), "");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(code) && said.contains(why), "{words:?}: {said}");
    };
    refused(&[], 2, "--out");
    refused(&["--remove", "--users", "3"], 2, "cannot be used with");
    refused(&["--users", "0", "--out", "data.json"], 2, "--users");
    refused(&["--users", "2", "--sessions", "5", "--out", "data.json"], 2, "2 is the most for each");
    refused(&["--out", "nowhere/data.json"], 1, "nowhere/data.json");
    assert_eq!(plan.json(&["users", "list"], ""), json!([]));
    plan.json(&["seed", "--users", "2", "--sessions", "4", "--out", "data.json"], "");
}
