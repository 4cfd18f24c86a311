//! `/sessions`: opened, looked at, ended.

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::support::server::{PASSWORD, SendRequest, TestServer, over_both_stores};

over_both_stores!(|plan| plan.set("SIGNET_TOKENS__SESSIONS_PER_USER", &MOST.to_string());
    a_session_is_opened, nothing_tells_a_known_name_from_an_unknown_one, a_disabled_user_is_told_so_with_the_right_password,
    requests_that_will_not_do, sessions_are_listed, one_session_ends, the_others_end, all_end, the_oldest_beyond_the_most_ends,
    another_users_session_is_not_there, an_api_key_has_no_sessions);

/// As many sessions as a user may have here.
const MOST: usize = 5;

async fn a_session_is_opened(server: &TestServer) {
    let person = server.person(&[]);
    let spelt = format!(" {} ", person.email.to_uppercase());
    for body in [
        json!({"email": person.email, "password": PASSWORD}),
        json!({"email": spelt, "password": PASSWORD}),
        json!({"username": person.username, "password": PASSWORD}),
        json!({"username": person.username.to_uppercase(), "password": PASSWORD, "unknown": {"field": []}}),
        json!({"email": null, "username": person.username, "password": PASSWORD}),
    ] {
        let answer = server.post("/sessions").json(&body).send_checked().await;
        assert_eq!(answer.is(201).header("cache-control"), "no-store", "{body}");
        let given = answer.json();
        assert_eq!((&given["token_type"], &given["expires_in"]), (&"Bearer".into(), &900.into()));
        assert_eq!(given["user_id"], person.id);
        let lives = given["refresh_expires_in"].as_i64().unwrap();
        assert!((30 * 86_400 - 5..=30 * 86_400).contains(&lives), "{lives}");
        let tokens = answer.tokens();
        assert_eq!(server.verify(&tokens.access).await.is(200).json()["claims"]["sid"], tokens.session);
    }
}

async fn nothing_tells_a_known_name_from_an_unknown_one(server: &TestServer) {
    let person = server.person(&[]);
    // Somebody without a password is nobody to whoever guesses.
    let bare = server.plan().json(&["users", "create", "--email", "bare@example.org"], "");
    assert_eq!(bare["has_password"], false);
    let ask = async |field: &str, name: &str, password: &str| {
        server.post("/sessions").json(&json!({field: name, "password": password})).send_checked().await.without_names()
    };
    let wrong = ask("email", &person.email, "not the password").await;
    assert_eq!(wrong.is_problem(401, "wrong-password").header("www-authenticate"), "Bearer");
    for (field, name) in [
        ("email", "nobody@example.org"),
        ("email", "bare@example.org"),
        ("email", "no address"),
        ("email", ""),
        ("email", "@"),
        ("username", &person.username),
        ("username", "nobody"),
        ("username", "\u{0}"),
    ] {
        assert_eq!(ask(field, name, "not the password").await, wrong, "{name:?}");
    }
    for password in ["", "\u{0}", &PASSWORD.to_uppercase(), &format!("{PASSWORD} "), &"x".repeat(10_000)] {
        assert_eq!(ask("email", &person.email, password).await, wrong, "{password:?}");
    }
    assert_eq!(ask("email", "bare@example.org", "").await, wrong);
}

async fn a_disabled_user_is_told_so_with_the_right_password(server: &TestServer) {
    let (person, other) = (server.person(&[]), server.person(&[]));
    server.plan().json(&["users", "disable", &person.email], "");
    server.try_sign_in(&person.email, PASSWORD).await.is_problem(403, "disabled");
    let wrong = server.try_sign_in(&person.email, "not the password").await.without_names();
    assert_eq!(wrong, server.try_sign_in(&other.email, "not the password").await.without_names());
    server.plan().json(&["users", "enable", &person.email], "");
    server.sign_in(&person).await;
}

async fn requests_that_will_not_do(server: &TestServer) {
    let post = |body: &'static str| server.post("/sessions").header("content-type", "application/json").body(body);
    for body in
        ["{}", r#"{"email":"a@example.org"}"#, r#"{"password":"x"}"#, r#"{"email":7,"password":"x"}"#, "[]", "7"]
    {
        let answer = post(body).send_checked().await;
        assert!(!answer.is_problem(400, "fields").json()["errors"].as_array().unwrap().is_empty(), "{body}");
    }
    for body in ["", "{", "{\"email\":\"\\ud800\"}"] {
        let answer = post(body).send_checked().await;
        assert!(matches!(answer.status, 400), "{body}: {answer:?}");
    }
    post("{}").header("content-type", "text/plain").send_checked().await.is_problem(415, "unsupported-media-type");
    let deep = server.post("/sessions").header("content-type", "application/json");
    deep.body("[".repeat(10_000)).send_checked().await.is_problem(400, "unreadable");
    server.get("/sessions").send_checked().await.is_problem(401, "no-credentials");
    server.delete("/sessions").send_checked().await.is_problem(401, "no-credentials");
    server.delete("/sessions/x").send_checked().await.is_problem(401, "no-credentials");
}

async fn sessions_are_listed(server: &TestServer) {
    let person = server.person(&[]);
    let mut all = Vec::new();
    for agent in ["one/1", "two/2", "three/3"] {
        let body = json!({"email": person.email, "password": PASSWORD});
        all.push(
            server.post("/sessions").json(&body).header("user-agent", agent).send_checked().await.is(201).tokens(),
        );
    }
    let answer = server.get("/sessions").bearer_auth(&all[1].access).send_checked().await;
    assert_eq!(answer.is(200).header("cache-control"), "no-store");
    let body = answer.json();
    let sessions = body["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 3);
    // Two may have been opened in one millisecond.
    assert!(sessions.is_sorted_by(|one, next| made(one) >= made(next)), "the newest first: {sessions:?}");
    for (tokens, agent) in all.iter().zip(["one/1", "two/2", "three/3"]) {
        let session = sessions.iter().find(|session| session["id"] == tokens.session).unwrap();
        assert_eq!(session["current"], tokens.session == all[1].session);
        assert_eq!((&session["agent"], &session["dialect"]), (&agent.into(), &"native".into()));
        assert_eq!(session["address"], "127.0.0.1");
        for time in ["created_at", "last_used_at", "expires_at"] {
            assert!(session[time].as_str().unwrap().ends_with('Z'), "{session}");
        }
    }
    assert!(!answer.text.contains(&all[0].refresh));
}

fn made(session: &Value) -> OffsetDateTime {
    OffsetDateTime::parse(session["created_at"].as_str().unwrap(), &Rfc3339).unwrap()
}

async fn one_session_ends(server: &TestServer) {
    let person = server.person(&[]);
    let (mine, other) = (server.sign_in(&person).await, server.sign_in(&person).await);
    let end = async |session: &str| {
        server.delete(&format!("/sessions/{session}")).bearer_auth(&mine.access).send_checked().await
    };
    assert_eq!(end(&other.session).await.is(204).text, "");
    assert_eq!(server.reason(&other.access).await, "revoked");
    server.refresh(&other.refresh).await.is_oauth_error(400, "invalid_grant");
    end(&other.session).await.is_problem(404, "absent");
    for strange in ["x", "00000000-0000-0000-0000-000000000000", "%00", "%ff"] {
        end(strange).await.is_problem(404, if strange == "%ff" { "not-found" } else { "absent" });
    }
    end(&mine.session).await.is(204);
    end(&mine.session).await.is_problem(401, "bad-credentials");
}

async fn the_others_end(server: &TestServer) {
    let person = server.person(&[]);
    let mine = server.sign_in(&person).await;
    let others = [server.sign_in(&person).await, server.sign_in(&person).await];
    for other in &others {
        server.verify(&other.access).await.is(200);
    }
    let refused = server.delete("/sessions?except=me").bearer_auth(&mine.access).send_checked().await;
    refused.is_problem(400, "fields");
    let answer = server.delete("/sessions?except=current").bearer_auth(&mine.access).send_checked().await;
    assert_eq!(answer.is(200).json(), json!({"ended": 2}));
    server.verify(&mine.access).await.is(200);
    for other in &others {
        server.refresh(&other.refresh).await.is_oauth_error(400, "invalid_grant");
        assert_eq!(server.reason(&other.access).await, "revoked", "on the same node, at once");
    }
    server.refresh(&mine.refresh).await.is(200);
}

async fn all_end(server: &TestServer) {
    let person = server.person(&[]);
    let all = [server.sign_in(&person).await, server.sign_in(&person).await];
    let bystander = server.sign_in(&server.person(&[])).await;
    let answer = server.delete("/sessions").bearer_auth(&all[0].access).send_checked().await;
    assert_eq!(answer.is(200).json(), json!({"ended": 2}));
    for tokens in &all {
        assert_eq!(server.reason(&tokens.access).await, "revoked");
        server.refresh(&tokens.refresh).await.is_oauth_error(400, "invalid_grant");
        server.get("/sessions").bearer_auth(&tokens.access).send_checked().await.is_problem(401, "bad-credentials");
    }
    server.verify(&bystander.access).await.is(200);
    let again = server.sign_in(&person).await;
    server.verify(&again.access).await.is(200);
    let listed = server.get("/sessions").bearer_auth(&again.access).send_checked().await.json();
    assert_eq!(listed["sessions"].as_array().unwrap().len(), 1);
}

async fn the_oldest_beyond_the_most_ends(server: &TestServer) {
    let person = server.person(&[]);
    let bystander = server.sign_in(&server.person(&[])).await;
    let mut all = Vec::new();
    for _ in 0..MOST {
        all.push(server.sign_in(&person).await);
    }
    for tokens in &all {
        server.verify(&tokens.access).await.is(200);
    }
    let refreshed = server.refresh(&all[0].refresh).await.is(200).tokens();
    server.verify(&refreshed.access).await.is(200);

    let newest = server.sign_in(&person).await;
    for access in [&all[0].access, &refreshed.access] {
        assert_eq!(server.reason(access).await, "revoked", "on the same node, at once");
    }
    server.refresh(&refreshed.refresh).await.is_oauth_error(400, "invalid_grant");
    for tokens in all[1..].iter().chain([&newest, &bystander]) {
        server.verify(&tokens.access).await.is(200);
        server.refresh(&tokens.refresh).await.is(200);
    }
    let listed = server.get("/sessions").bearer_auth(&newest.access).send_checked().await.json();
    let ids: Vec<_> = listed["sessions"].as_array().unwrap().iter().map(|session| session["id"].clone()).collect();
    assert_eq!(ids.len(), MOST);
    assert!(!ids.contains(&all[0].session.as_str().into()), "{ids:?}");
}

async fn another_users_session_is_not_there(server: &TestServer) {
    let (mine, theirs) = (server.sign_in(&server.person(&[])).await, server.sign_in(&server.person(&[])).await);
    let path = format!("/sessions/{}", theirs.session);
    server.delete(&path).bearer_auth(&mine.access).send_checked().await.is_problem(404, "absent");
    server.verify(&theirs.access).await.is(200);
    server.refresh(&theirs.refresh).await.is(200);
}

async fn an_api_key_has_no_sessions(server: &TestServer) {
    let person = server.person(&["--superuser"]);
    let session = server.sign_in(&person).await.session;
    let (key, _) = server.api_key(&person, &["admin"]);
    let grant = [("grant_type", "client_credentials"), ("client_secret", key.as_str())];
    let made = server.form("/oauth/token", &grant).await.is(200).json();
    for bearer in [key.as_str(), made["access_token"].as_str().unwrap()] {
        server.get("/sessions").bearer_auth(bearer).send_checked().await.is_problem(403, "not-permitted");
        server.delete("/sessions").bearer_auth(bearer).send_checked().await.is_problem(403, "not-permitted");
        let path = format!("/sessions/{session}");
        server.delete(&path).bearer_auth(bearer).send_checked().await.is_problem(403, "not-permitted");
    }
}
