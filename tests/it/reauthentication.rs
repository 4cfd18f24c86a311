//! Sensitive changes need the password or a recent sign-in, so that a stolen access token does not take over an
//! account; and what a token alone suffices for is reported to the owner by mail.

use std::collections::BTreeSet;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use signet::clock::Clock;

use crate::support::client::sid;
use crate::support::document::operations;
use crate::support::outbox::{mails, wait_for_mail, wait_until_queue_is_empty};
use crate::support::server::{HttpResponse, PASSWORD, SendRequest, TestServer, TestUser, over_both_stores};
use crate::support::totp::code;

over_both_stores!(
    |plan| plan;
    stolen_token_does_not_take_over_a_passwordless_account,
    stolen_token_does_not_change_a_second_factor,
    refreshing_keeps_the_auth_time,
    password_stays_required_after_a_recent_sign_in,
    reserved_scopes_need_the_password_or_a_recent_sign_in,
    administrators_reauthenticate_to_change_themselves,
    owner_is_told_of_a_new_api_key,
    owner_is_told_of_the_deletion,
);

/// Longer than `tokens.recent_sign_in`.
const ELEVEN_MINUTES: i64 = 11 * 60;

/// An access and a refresh token.
pub(crate) struct Session {
    pub(crate) access: String,
    refresh: String,
}

/// Signs in by a mailed code. Creates an account without a password if there is none.
async fn sign_in_by_code(server: &TestServer, email: &str) -> Session {
    let before = mails(server, email).len();
    let body = json!({"email": email});
    server.post("/auth/verification/send-code").json(&body).send_checked().await.is(202);
    let code = wait_for_mail(server, email, before).await.code();
    let body = json!({"email": email, "code": code});
    let data = server.post("/auth/verification/verify-code").json(&body).send_checked().await.is(200).json();
    let text = |field: &str| data["data"][field].as_str().unwrap().to_owned();
    Session { access: text("access_token"), refresh: text("refresh_token") }
}

async fn claims(server: &TestServer, access: &str) -> Value {
    server.verify(access).await.is(200).json()["claims"].clone()
}

/// Moves the sign-in of the session into the past, and refreshes it: the token that a thief of the session has.
pub(crate) async fn grow_old(server: &TestServer, access: &str, refresh: &str) -> Session {
    let (id, millis) = (sid(access), ELEVEN_MINUTES * 1000);
    match server.redis() {
        Some(redis) => {
            let keys = redis.cli(&["KEYS", &format!("*:s:{id}")]);
            redis.cli(&["HINCRBY", keys.trim(), "t", &format!("-{millis}")]);
        }
        None => {
            let id = id.replace('-', "");
            let sql = format!("UPDATE sessions SET auth_time = auth_time - {millis} WHERE lower(hex(id)) = '{id}'");
            server.sql(&sql).await;
        }
    }
    let tokens = server.refresh(refresh).await.is(200).tokens();
    Session { access: tokens.access, refresh: tokens.refresh }
}

fn send(server: &TestServer, method: Method, path: &str, access: &str, body: &Value) -> RequestBuilder {
    server.request(method, path).bearer_auth(access).json(body)
}

async fn update_me(server: &TestServer, access: &str, body: Value) -> HttpResponse {
    send(server, Method::PUT, "/auth/users/me", access, &body).send_checked().await
}

/// Asserts that the call asks for another sign-in, as RFC 9470 has it.
#[track_caller]
fn assert_recent_sign_in_required(response: &HttpResponse) {
    let challenge = response.is(401).header("www-authenticate");
    assert!(challenge.contains(r#"error="insufficient_user_authentication""#), "{response:?}");
}

async fn stolen_token_does_not_take_over_a_passwordless_account(server: &TestServer) {
    let email = "by-code@example.org";
    let session = sign_in_by_code(server, email).await;
    let stolen = grow_old(server, &session.access, &session.refresh).await;
    for change in [
        json!({"email": "thief@example.org"}),
        json!({"password": "the thief's own password"}),
        json!({"email": "thief@example.org", "password": "the thief's own password"}),
        json!({"password": "the thief's own password", "original": "a guess"}),
    ] {
        let response = update_me(server, &stolen.access, change).await;
        assert_recent_sign_in_required(&response);
        assert_eq!(response.json(), json!({"detail": "Could not validate credentials"}));
    }
    update_me(server, &stolen.access, json!({"full_name": "Not sensitive"})).await.is(200);
    wait_until_queue_is_empty(server).await;
    assert_eq!(mails(server, "thief@example.org").len(), 0);

    let owner = sign_in_by_code(server, email).await;
    let before = mails(server, email).len();
    let changed = update_me(server, &owner.access, json!({"email": "moved@example.org"})).await;
    assert_eq!(changed.is(200).json()["email"], "moved@example.org");
    let notice = wait_for_mail(server, email, before).await;
    assert_eq!(notice.header("subject"), "Your Signet email address was changed");
    update_me(server, &owner.access, json!({"password": PASSWORD})).await.is(200);
    server.try_sign_in("moved@example.org", PASSWORD).await.is(201);
}

async fn stolen_token_does_not_change_a_second_factor(server: &TestServer) {
    let session = sign_in_by_code(server, "factor@example.org").await;
    let enroll = async |access: &str| {
        let enrollment = server.post("/totp").bearer_auth(access).send_checked().await.is(201).json();
        enrollment["key"].as_str().unwrap().to_owned()
    };
    let key = enroll(&session.access).await;
    let stolen = grow_old(server, &session.access, &session.refresh).await;
    let enable = async |access: &str, key: &str| {
        send(server, Method::PUT, "/totp", access, &json!({"code": code(key, 0)})).send_checked().await
    };
    let response = enable(&stolen.access, &key).await;
    assert_recent_sign_in_required(response.is_problem(401, "insufficient_user_authentication"));
    let body = json!({"claim": code(&key, 0), "uri": "otpauth://totp/x"});
    let response = send(server, Method::PUT, "/auth/login/totp", &stolen.access, &body).send_checked().await;
    assert_eq!(response.is(400).json(), json!({"detail": "Unable to authenticate or activate TOTP."}));
    let owner = sign_in_by_code(server, "factor@example.org").await;
    let key = enroll(&owner.access).await;
    enable(&owner.access, &key).await.is(200);

    let response = server.delete("/totp").bearer_auth(&stolen.access).send_checked().await;
    assert_recent_sign_in_required(response.is_problem(401, "insufficient_user_authentication"));
    let response = server.delete("/auth/login/totp").bearer_auth(&stolen.access).send_checked().await;
    assert_eq!(response.is(400).json(), json!({"detail": "Unable to authenticate or deactivate TOTP."}));
    server.delete("/totp").bearer_auth(&owner.access).send_checked().await.is(204);
}

async fn refreshing_keeps_the_auth_time(server: &TestServer) {
    let user = server.create_user(&[]);
    let clock = Clock::system();
    let before = clock.now().secs();
    let first = server.sign_in(&user).await;
    let after = clock.now().secs();
    let signed_in = claims(server, &first.access).await;
    let auth_time = signed_in["auth_time"].as_i64().unwrap();
    assert!((before..=after).contains(&auth_time), "{before} to {after}: {signed_in}");
    let old = grow_old(server, &first.access, &first.refresh).await;
    let next = server.refresh(&old.refresh).await.is(200).tokens();
    for access in [&old.access, &next.access] {
        let refreshed = claims(server, access).await;
        assert_eq!(refreshed["auth_time"], auth_time - ELEVEN_MINUTES, "{refreshed}");
        assert!(refreshed["iat"].as_i64().unwrap() >= auth_time, "{refreshed}");
    }
    let again = claims(server, &server.sign_in(&user).await.access).await;
    assert!(again["auth_time"].as_i64().unwrap() >= auth_time, "{again}");
    // A client is nobody who could sign in.
    let (key, _) = server.api_key(&user, &[]);
    let client = claims(server, &server.client_token(&key).await).await;
    assert_eq!(client.get("auth_time"), None, "{client}");
}

async fn password_stays_required_after_a_recent_sign_in(server: &TestServer) {
    let access = server.sign_in(&server.create_user(&[])).await.access;
    let response = update_me(server, &access, json!({"email": "elsewhere@example.org"})).await;
    assert_eq!(response.is(400).json(), json!({"detail": "Unable to authenticate this update."}));
}

/// The user's personal project.
async fn project(server: &TestServer, access: &str) -> String {
    let projects = server.get("/projects").bearer_auth(access).send_checked().await.is(200).json();
    projects["projects"][0]["id"].as_str().unwrap().to_owned()
}

async fn create_key(server: &TestServer, access: &str, project: &str, body: Value) -> HttpResponse {
    let request = server.post("/auth/api-keys/").bearer_auth(access).header("x-project-id", project);
    request.json(&body).send_checked().await
}

async fn reserved_scopes_need_the_password_or_a_recent_sign_in(server: &TestServer) {
    let root = server.create_user(&["--superuser"]);
    let session = server.sign_in(&root).await;
    let project = project(server, &session.access).await;
    let stolen = grow_old(server, &session.access, &session.refresh).await;
    // The last three reach the tokens of all users, because the owner of the key is a superuser.
    for scope in ["admin", "billing:write", "feed:report", "introspect", "revoke", "tokens:exchange"] {
        let body = json!({"name": "a key", "scopes": ["read", scope]});
        let response = create_key(server, &stolen.access, &project, body).await;
        assert_recent_sign_in_required(&response);
        assert_eq!(response.json()["error"]["code"], "insufficient_user_authentication", "{response:?}");
        let body = json!({"name": "a key", "scopes": ["read", scope], "password": "a guess"});
        let response = create_key(server, &stolen.access, &project, body).await;
        assert_eq!(response.is(400).json()["error"]["code"], "wrong_password", "{response:?}");
        let body = json!({"name": "a key", "scopes": ["read", scope], "password": PASSWORD});
        create_key(server, &stolen.access, &project, body).await.is(201);
        let fresh = server.sign_in(&root).await.access;
        create_key(server, &fresh, &project, json!({"name": "a key", "scopes": ["read", scope]})).await.is(201);
    }
    create_key(server, &stolen.access, &project, json!({"name": "a key", "scopes": ["read"]})).await.is(201);
}

async fn administrators_reauthenticate_to_change_themselves(server: &TestServer) {
    let (admin, other) = (server.create_user(&["--role", "admin"]), server.create_user(&[]));
    let session = server.sign_in(&admin).await;
    let stolen = grow_old(server, &session.access, &session.refresh).await;
    let update = async |user: &TestUser, body: Value| {
        send(server, Method::POST, &format!("/auth/users/{}", user.id), &stolen.access, &body).send_checked().await
    };
    for change in [json!({"password": "the thief's own password"}), json!({"email": "thief@example.org"})] {
        assert_recent_sign_in_required(&update(&admin, change).await);
    }
    let wrong = json!({"password": "the thief's own password", "original": "a guess"});
    assert_eq!(update(&admin, wrong).await.is(400).json(), json!({"detail": "Unable to authenticate this update."}));
    update(&admin, json!({"full_name": "Not sensitive"})).await.is(200);
    update(&other, json!({"password": "chosen by the administrator"})).await.is(200);
    update(&admin, json!({"password": "a louder harbour at dawn", "original": PASSWORD})).await.is(200);
    server.try_sign_in(&admin.email, "a louder harbour at dawn").await.is(201);
}

async fn owner_is_told_of_a_new_api_key(server: &TestServer) {
    let user = server.create_user(&[]);
    let access = server.sign_in(&user).await.access;
    let project = project(server, &access).await;
    let name = "see https://thief.example.org";
    let created = create_key(server, &access, &project, json!({"name": name})).await.is(201).json();
    let notice = wait_for_mail(server, &user.email, 0).await;
    assert_eq!(notice.header("subject"), "A new API key for your Signet account");
    let text = notice.lines().join("\n");
    assert!(text.contains(created["data"]["prefix"].as_str().unwrap()), "{text}");
    // The name is chosen by whoever has the token.
    assert!(!text.contains("thief.example.org") && !text.contains(created["data"]["full_key"].as_str().unwrap()));
}

async fn owner_is_told_of_the_deletion(server: &TestServer) {
    let (user, other) = (server.create_user(&[]), server.create_user(&[]));
    let (access, admin) =
        (server.sign_in(&user).await.access, server.sign_in(&server.create_user(&["--role", "admin"])).await.access);
    server.delete("/auth/users/me").bearer_auth(&access).send_checked().await.is(200);
    server.delete(&format!("/auth/users/{}", other.id)).bearer_auth(&admin).send_checked().await.is(200);
    for email in [&user.email, &other.email] {
        let notice = wait_for_mail(server, email, 0).await;
        assert_eq!(notice.header("subject"), "Your Signet account was deleted");
    }
}

/// Calls with an access token that give nobody access, or only take it away.
const HARMLESS: &[&str] = &[
    "DELETE /auth/api-keys/{key_id}",
    "DELETE /projects/{id}/api-keys/{key}",
    "DELETE /sessions",
    "DELETE /sessions/{id}",
    "PATCH /me",
    "POST /.well-known/signet-revocations/followers",
    "POST /api/v1/authorized/logout",
    "POST /api/v1/logout",
    "POST /auth/login/new-totp",
    "POST /email-confirmations",
    "POST /oauth/introspect",
    "POST /oauth/revoke",
    "POST /projects",
    "POST /totp",
];

/// So that a new call is a decision: what it needs besides the token, or what a thief of the token can do with it.
#[tokio::test]
async fn security_md_names_every_change_that_a_token_allows() {
    let server = TestServer::embedded(|plan| plan);
    let (_, text) = include_str!("../../docs/security.md").split_once("\n## Sensitive changes\n").unwrap();
    let (text, _) = text.split_once("\n### Reserved scopes\n").unwrap();
    let listed = text.split('`').skip(1).step_by(2).chain(HARMLESS.iter().copied());
    let listed: BTreeSet<String> = listed.map(|name| name.trim_end_matches('/').to_owned()).collect();
    let mut changing = BTreeSet::new();
    for operation in operations(&server).await {
        let takes_token = operation.schemes.iter().any(|scheme| scheme == "access_token");
        // The calls of administration have a rule of their own.
        if takes_token && operation.method != Method::GET && !operation.path.starts_with("/admin/") {
            changing.insert(operation.name().trim_end_matches('/').to_owned());
        }
    }
    let missing: Vec<_> = changing.difference(&listed).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let gone: Vec<_> = HARMLESS.iter().filter(|name| !changing.contains(**name)).collect();
    assert!(gone.is_empty(), "{gone:?}");
}
