//! `/sessions`: sign-in, list and sign-out.

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::support::server::{PASSWORD, SendRequest, TestServer, over_both_stores};

over_both_stores!(|plan| plan.set("SIGNET_TOKENS__SESSIONS_PER_USER", &MAX_SESSIONS.to_string());
    sign_in_accepts_any_spelling_of_the_login, unknown_login_and_wrong_password_look_alike,
    disabled_account_is_reported_after_the_password, invalid_requests_are_rejected,
    calls_without_credentials_are_refused, sessions_are_listed, one_session_ends, all_other_sessions_end,
    all_sessions_end, empty_session_id_is_not_found, oldest_session_ends_beyond_the_maximum,
    session_of_another_user_is_not_found, api_key_has_no_sessions);

/// The maximum number of sessions per user.
const MAX_SESSIONS: usize = 5;

async fn sign_in_accepts_any_spelling_of_the_login(server: &TestServer) {
    let user = server.create_user(&[]);
    let other_spelling = format!(" {} ", user.email.to_uppercase());
    for body in [
        json!({"email": user.email, "password": PASSWORD}),
        json!({"email": other_spelling, "password": PASSWORD}),
        json!({"username": user.username, "password": PASSWORD}),
        json!({"username": user.username.to_uppercase(), "password": PASSWORD, "unknown": {"field": []}}),
        json!({"email": null, "username": user.username, "password": PASSWORD}),
    ] {
        let response = server.post("/sessions").json(&body).send_checked().await;
        assert_eq!(response.is(201).header("cache-control"), "no-store", "{body}");
        let body = response.json();
        assert_eq!((&body["token_type"], &body["expires_in"]), (&"Bearer".into(), &900.into()));
        assert_eq!(body["user_id"], user.id);
        let lifetime = body["refresh_expires_in"].as_i64().unwrap();
        // Less than 30 days by the time that it took to store the session.
        assert!((30 * 86_400 - 60..=30 * 86_400).contains(&lifetime), "{lifetime}");
        let tokens = response.tokens();
        assert_eq!(server.verify(&tokens.access).await.is(200).json()["claims"]["sid"], tokens.session);
    }
}

async fn unknown_login_and_wrong_password_look_alike(server: &TestServer) {
    let user = server.create_user(&[]);
    // An account without a password must look like an unknown account.
    let passwordless = server.plan().json(&["users", "create", "--email", "passwordless@example.org"], "");
    assert_eq!(passwordless["has_password"], false);
    let sign_in = async |field: &str, name: &str, password: &str| {
        server
            .post("/sessions")
            .json(&json!({field: name, "password": password}))
            .send_checked()
            .await
            .without_per_response_headers()
    };
    let wrong = sign_in("email", &user.email, "not the password").await;
    assert_eq!(wrong.is_problem(401, "invalid_credentials").header("www-authenticate"), "Bearer");
    for (field, name) in [
        ("email", "nobody@example.org"),
        ("email", "passwordless@example.org"),
        ("email", "no address"),
        ("email", ""),
        ("email", "@"),
        ("username", &user.username),
        ("username", "nobody"),
        ("username", "\u{0}"),
    ] {
        assert_eq!(sign_in(field, name, "not the password").await, wrong, "{name:?}");
    }
    for password in ["", "\u{0}", &PASSWORD.to_uppercase(), &format!("{PASSWORD} "), &"x".repeat(10_000)] {
        assert_eq!(sign_in("email", &user.email, password).await, wrong, "{password:?}");
    }
    assert_eq!(sign_in("email", "passwordless@example.org", "").await, wrong);
}

async fn disabled_account_is_reported_after_the_password(server: &TestServer) {
    let (user, other) = (server.create_user(&[]), server.create_user(&[]));
    server.plan().json(&["users", "disable", &user.email], "");
    server.try_sign_in(&user.email, PASSWORD).await.is_problem(403, "account_disabled");
    let wrong = server.try_sign_in(&user.email, "not the password").await.without_per_response_headers();
    assert_eq!(wrong, server.try_sign_in(&other.email, "not the password").await.without_per_response_headers());
    server.plan().json(&["users", "enable", &user.email], "");
    server.sign_in(&user).await;
}

async fn invalid_requests_are_rejected(server: &TestServer) {
    let post = |body: &'static str| server.post("/sessions").header("content-type", "application/json").body(body);
    for body in
        ["{}", r#"{"email":"a@example.org"}"#, r#"{"password":"x"}"#, r#"{"email":7,"password":"x"}"#, "[]", "7"]
    {
        let response = post(body).send_checked().await;
        assert!(!response.is_problem(400, "invalid_fields").json()["errors"].as_array().unwrap().is_empty(), "{body}");
    }
    for body in ["", "{", "{\"email\":\"\\ud800\"}"] {
        let response = post(body).send_checked().await;
        assert!(matches!(response.status, 400), "{body}: {response:?}");
    }
    post("{}").header("content-type", "text/plain").send_checked().await.is_problem(415, "unsupported_media_type");
    let deep = server.post("/sessions").header("content-type", "application/json");
    deep.body("[".repeat(10_000)).send_checked().await.is_problem(400, "malformed_body");
}

async fn calls_without_credentials_are_refused(server: &TestServer) {
    server.get("/sessions").send_checked().await.is_problem(401, "missing_credentials");
    server.delete("/sessions").send_checked().await.is_problem(401, "missing_credentials");
    server.delete("/sessions/x").send_checked().await.is_problem(401, "missing_credentials");
}

async fn sessions_are_listed(server: &TestServer) {
    let user = server.create_user(&[]);
    let mut all = Vec::new();
    for agent in ["one/1", "two/2", "three/3"] {
        let body = json!({"email": user.email, "password": PASSWORD});
        all.push(
            server.post("/sessions").json(&body).header("user-agent", agent).send_checked().await.is(201).tokens(),
        );
    }
    let response = server.get("/sessions").bearer_auth(&all[1].access).send_checked().await;
    assert_eq!(response.is(200).header("cache-control"), "no-store");
    let body = response.json();
    let sessions = body["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 3);
    // Two sessions may have been created in the same millisecond.
    assert!(sessions.is_sorted_by(|one, next| created_at(one) >= created_at(next)), "the newest first: {sessions:?}");
    for (tokens, agent) in all.iter().zip(["one/1", "two/2", "three/3"]) {
        let session = sessions.iter().find(|session| session["id"] == tokens.session).unwrap();
        assert_eq!(session["current"], tokens.session == all[1].session);
        assert_eq!((&session["agent"], &session["dialect"]), (&agent.into(), &"native".into()));
        assert_eq!(session["address"], "127.0.0.1");
        for time in ["created_at", "last_used_at", "expires_at"] {
            assert!(session[time].as_str().unwrap().ends_with('Z'), "{session}");
        }
    }
    assert!(!response.text.contains(&all[0].refresh));
}

fn created_at(session: &Value) -> OffsetDateTime {
    OffsetDateTime::parse(session["created_at"].as_str().unwrap(), &Rfc3339).unwrap()
}

async fn one_session_ends(server: &TestServer) {
    let user = server.create_user(&[]);
    let (mine, other) = (server.sign_in(&user).await, server.sign_in(&user).await);
    let end = async |session: &str| {
        server.delete(&format!("/sessions/{session}")).bearer_auth(&mine.access).send_checked().await
    };
    assert_eq!(end(&other.session).await.is(204).text, "");
    assert_eq!(server.rejection_reason(&other.access).await, "revoked");
    server.refresh(&other.refresh).await.is_oauth_error(400, "invalid_grant");
    end(&other.session).await.is_problem(404, "not_found");
    for unknown in ["x", "00000000-0000-0000-0000-000000000000", "%00", "%ff"] {
        end(unknown).await.is_problem(404, if unknown == "%ff" { "path_not_found" } else { "not_found" });
    }
    end(&mine.session).await.is(204);
    end(&mine.session).await.is_problem(401, "invalid_token");
}

async fn all_other_sessions_end(server: &TestServer) {
    let user = server.create_user(&[]);
    let mine = server.sign_in(&user).await;
    let others = [server.sign_in(&user).await, server.sign_in(&user).await];
    for other in &others {
        server.verify(&other.access).await.is(200);
    }
    let refused = server.delete("/sessions?except=me").bearer_auth(&mine.access).send_checked().await;
    refused.is_problem(400, "invalid_fields");
    let response = server.delete("/sessions?except=current").bearer_auth(&mine.access).send_checked().await;
    assert_eq!(response.is(200).json(), json!({"ended": 2}));
    server.verify(&mine.access).await.is(200);
    for other in &others {
        server.refresh(&other.refresh).await.is_oauth_error(400, "invalid_grant");
        assert_eq!(server.rejection_reason(&other.access).await, "revoked", "immediately on the same node");
    }
    server.refresh(&mine.refresh).await.is(200);
}

async fn all_sessions_end(server: &TestServer) {
    let user = server.create_user(&[]);
    let all = [server.sign_in(&user).await, server.sign_in(&user).await];
    let bystander = server.sign_in(&server.create_user(&[])).await;
    let response = server.delete("/sessions").bearer_auth(&all[0].access).send_checked().await;
    assert_eq!(response.is(200).json(), json!({"ended": 2}));
    for tokens in &all {
        assert_eq!(server.rejection_reason(&tokens.access).await, "revoked");
        server.refresh(&tokens.refresh).await.is_oauth_error(400, "invalid_grant");
        server.get("/sessions").bearer_auth(&tokens.access).send_checked().await.is_problem(401, "invalid_token");
    }
    server.verify(&bystander.access).await.is(200);
    let again = server.sign_in(&user).await;
    server.verify(&again.access).await.is(200);
    let listed = server.get("/sessions").bearer_auth(&again.access).send_checked().await.json();
    assert_eq!(listed["sessions"].as_array().unwrap().len(), 1);
}

/// An empty path segment is not a session id, and the call must not become `DELETE /sessions`.
async fn empty_session_id_is_not_found(server: &TestServer) {
    let user = server.create_user(&[]);
    let all = [server.sign_in(&user).await, server.sign_in(&user).await];
    for path in ["/sessions/", "/sessions/?except=current"] {
        server.delete(path).bearer_auth(&all[0].access).send_checked().await.is_problem(404, "path_not_found");
        server.delete(path).send_checked().await.is_problem(404, "path_not_found");
    }
    let listed = server.get("/sessions").bearer_auth(&all[0].access).send_checked().await.is(200).json();
    assert_eq!(listed["sessions"].as_array().unwrap().len(), 2);
    for tokens in &all {
        server.verify(&tokens.access).await.is(200);
        server.refresh(&tokens.refresh).await.is(200);
    }
    let response = server.delete("/sessions").bearer_auth(&all[0].access).send_checked().await;
    assert_eq!(response.is(200).json(), json!({"ended": 2}), "without the slash, all sessions end");
    for tokens in &all {
        assert_eq!(server.rejection_reason(&tokens.access).await, "revoked");
        server.refresh(&tokens.refresh).await.is_oauth_error(400, "invalid_grant");
    }
}

async fn oldest_session_ends_beyond_the_maximum(server: &TestServer) {
    let user = server.create_user(&[]);
    let bystander = server.sign_in(&server.create_user(&[])).await;
    let mut all = Vec::new();
    for _ in 0..MAX_SESSIONS {
        all.push(server.sign_in(&user).await);
    }
    for tokens in &all {
        server.verify(&tokens.access).await.is(200);
    }
    let refreshed = server.refresh(&all[0].refresh).await.is(200).tokens();
    server.verify(&refreshed.access).await.is(200);

    let newest = server.sign_in(&user).await;
    for access in [&all[0].access, &refreshed.access] {
        assert_eq!(server.rejection_reason(access).await, "revoked", "immediately on the same node");
    }
    server.refresh(&refreshed.refresh).await.is_oauth_error(400, "invalid_grant");
    for tokens in all[1..].iter().chain([&newest, &bystander]) {
        server.verify(&tokens.access).await.is(200);
        server.refresh(&tokens.refresh).await.is(200);
    }
    let listed = server.get("/sessions").bearer_auth(&newest.access).send_checked().await.json();
    let ids: Vec<_> = listed["sessions"].as_array().unwrap().iter().map(|session| session["id"].clone()).collect();
    assert_eq!(ids.len(), MAX_SESSIONS);
    assert!(!ids.contains(&all[0].session.as_str().into()), "{ids:?}");
}

async fn session_of_another_user_is_not_found(server: &TestServer) {
    let (mine, theirs) =
        (server.sign_in(&server.create_user(&[])).await, server.sign_in(&server.create_user(&[])).await);
    let path = format!("/sessions/{}", theirs.session);
    server.delete(&path).bearer_auth(&mine.access).send_checked().await.is_problem(404, "not_found");
    server.verify(&theirs.access).await.is(200);
    server.refresh(&theirs.refresh).await.is(200);
}

async fn api_key_has_no_sessions(server: &TestServer) {
    let user = server.create_user(&["--superuser"]);
    let session = server.sign_in(&user).await.session;
    let (key, _) = server.api_key(&user, &["admin"]);
    let issued = server.client_token(&key).await;
    for bearer in [&key, &issued] {
        server.get("/sessions").bearer_auth(bearer).send_checked().await.is_problem(403, "forbidden");
        server.delete("/sessions").bearer_auth(bearer).send_checked().await.is_problem(403, "forbidden");
        let path = format!("/sessions/{session}");
        let response = server.delete(&path).bearer_auth(bearer).send_checked().await;
        let title = response.is_problem(403, "forbidden").json()["title"].clone();
        assert_eq!(title, "An API key, or a token of one, cannot do this. Sign in.");
    }
    let response = server.get("/sessions").header("x-api-key", &key).send_checked().await;
    let title = response.is_problem(401, "missing_credentials").json()["title"].clone();
    assert_eq!(title, "An API key cannot do this. Sign in, and send Authorization: Bearer …");
}
