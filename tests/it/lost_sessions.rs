//! Signing out of a session whose record the store has lost, for example in a failover: an acknowledged sign-out holds,
//! and repeating it adds no further revocation.

use reqwest::RequestBuilder;
use serde_json::json;

use crate::support::server::{SendRequest, TestServer, TokenPair, over_both_stores};

over_both_stores!(
    |plan| plan;
    sign_out_of_a_lost_session_holds,
    revoking_the_refresh_token_of_a_lost_session_holds,
    lost_session_is_not_listed_and_ends_with_all_others,
    id_of_a_lost_session_proves_nothing,
);

/// Deletes all sessions from the store.
pub(crate) async fn lose_sessions(server: &TestServer) {
    let Some(redis) = server.redis() else { return server.sql("DELETE FROM sessions").await };
    let keys = redis.cli(&["KEYS", "signet:{*}:[si]*"]);
    let deleted = redis.cli(&[&["DEL"], &keys.lines().collect::<Vec<_>>()[..]].concat());
    assert_eq!(deleted, keys.lines().count().to_string());
    assert!(keys.contains(":s:"), "{keys}");
}

/// The number of published revocations.
fn published_count(server: &TestServer) -> i64 {
    if let Some(redis) = server.redis() {
        return redis.cli(&["XLEN", "signet:{fleet}:revocations"]).parse().unwrap();
    }
    let database = rusqlite::Connection::open(server.signet.data_dir().join("signet.db")).unwrap();
    database.query_row("SELECT count(*) FROM revocations", [], |row| row.get(0)).unwrap()
}

/// Signs a new user in and deletes the session's record.
async fn lost_session(server: &TestServer) -> TokenPair {
    let tokens = server.sign_in(&server.create_user(&[])).await;
    lose_sessions(server).await;
    server.verify(&tokens.access).await.is(200);
    tokens
}

async fn assert_ended(server: &TestServer, tokens: &TokenPair) {
    assert_eq!(server.rejection_reason(&tokens.access).await, "revoked");
    server.refresh(&tokens.refresh).await.is_oauth_error(400, "invalid_grant");
}

async fn sign_out_of_a_lost_session_holds(server: &TestServer) {
    let tokens = lost_session(server).await;
    let logout = async || server.post("/api/v1/logout").bearer_auth(&tokens.access).send_checked().await;
    let before = published_count(server);
    assert_eq!(logout().await.is(200).json(), json!({"message": "logout successful"}));
    assert_ended(server, &tokens).await;
    logout().await.is(401);
    assert_eq!(published_count(server), before + 1);
}

async fn revoking_the_refresh_token_of_a_lost_session_holds(server: &TestServer) {
    let service = server.api_key(&server.create_user(&["--superuser"]), &["revoke"]).0;
    for path in ["/auth/verification/revoke-token", "/oauth/revoke"] {
        let tokens = lost_session(server).await;
        let before = published_count(server);
        for _ in 0..3 {
            let request = match path {
                "/oauth/revoke" => server.post(path).header("x-api-key", &service).form(&[("token", &tokens.refresh)]),
                _ => server.post(path).json(&json!({"refresh_token": tokens.refresh})),
            };
            request.send_checked().await.is(200);
            assert_ended(server, &tokens).await;
        }
        assert_eq!(published_count(server), before + 1, "{path}");
    }
}

/// The accepted limit in `docs/security.md`.
async fn lost_session_is_not_listed_and_ends_with_all_others(server: &TestServer) {
    let user = server.create_user(&[]);
    let lost = server.sign_in(&user).await;
    lose_sessions(server).await;
    let current = server.sign_in(&user).await;
    let send = async |request: RequestBuilder| request.bearer_auth(&current.access).send_checked().await;
    let listed = send(server.get("/sessions")).await.is(200).json();
    let ids = listed["sessions"].as_array().unwrap().iter().map(|session| &session["id"]).collect::<Vec<_>>();
    assert_eq!(ids, [&json!(current.session)]);
    send(server.delete(&format!("/sessions/{}", lost.session))).await.is_problem(404, "not_found");
    assert_eq!(send(server.delete("/sessions?except=current")).await.is(200).json(), json!({"ended": 0}));
    server.verify(&lost.access).await.is(200);
    send(server.delete("/sessions")).await.is(200);
    assert_ended(server, &lost).await;
}

/// Naming the id of another user's session does not end it.
async fn id_of_a_lost_session_proves_nothing(server: &TestServer) {
    let bystander = server.sign_in(&server.create_user(&[])).await;
    lose_sessions(server).await;
    let tokens = server.sign_in(&server.create_user(&[])).await;
    let before = published_count(server);
    let foreign = format!("/sessions/{}", bystander.session);
    server.delete(&foreign).bearer_auth(&tokens.access).send_checked().await.is_problem(404, "not_found");
    assert_eq!(published_count(server), before);
    server.verify(&bystander.access).await.is(200);
}
