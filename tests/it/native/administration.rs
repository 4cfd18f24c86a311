//! The calls of administrators that are not about users: credentials, sessions, keys, settings.

use reqwest::Method;
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use crate::reauthentication::grow_old;
use crate::support::document::{operations, plausible_value};
use crate::support::outbox::{mails, wait_for_mail, wait_until_queue_is_empty};
use crate::support::server::{PASSWORD, SendRequest, TestServer, over_both_stores, tamper_signature};
use crate::support::{smtp, totp};

over_both_stores!(|plan| plan;
    credentials_are_inspected, session_that_ended_alone_is_inspected, sessions_that_ended_together_are_inspected,
    sessions_of_a_user_are_ended,
    second_factor_and_password_are_reset,
    api_keys_are_listed_by_last_use, signing_keys_are_rotated_and_revoked, settings_are_listed_with_their_source,
    mail_is_tested_listed_and_read, sensitive_calls_need_a_recent_sign_in, plain_users_are_forbidden);

async fn get(server: &TestServer, bearer: &str, path: &str) -> Value {
    let response = server.get(path).bearer_auth(bearer).send_checked().await;
    assert_eq!(response.is(200).header("cache-control"), "no-store");
    response.json()
}

async fn credentials_are_inspected(server: &TestServer) {
    let root = server.sign_in(&server.create_user(&["--superuser"])).await.access;
    let user = server.create_user(&["--verified"]);
    let tokens = server.sign_in(&user).await;
    let (key, prefix) = server.api_key(&user, &["read"]);
    let inspect = async |token: &str| {
        let body = json!({"token": token});
        server.post("/admin/inspect").bearer_auth(&root).json(&body).send_checked().await.is(200).json()
    };
    let seen = inspect(&tokens.access).await;
    assert_eq!((&seen["kind"], &seen["valid"], &seen["reason"]), (&json!("access_token"), &json!(true), &Value::Null));
    assert_eq!((&seen["header"]["typ"], &seen["key"]["state"]), (&json!("at+jwt"), &json!("signing")));
    assert_eq!((&seen["claims"]["sub"], &seen["session"]["id"]), (&json!(user.id), &json!(tokens.session)));
    assert_eq!(seen["user"]["email"], user.email);
    let seen = inspect(&tamper_signature(&tokens.access)).await;
    assert_eq!(
        (&seen["reason"], &seen["session"], &seen["user"]),
        (&json!("bad_signature"), &Value::Null, &Value::Null)
    );
    assert_eq!(seen["claims"]["sub"], user.id);

    let seen = inspect(&tokens.refresh).await;
    assert_eq!((&seen["kind"], &seen["valid"]), (&json!("refresh_token"), &json!(true)));
    let next = server.refresh(&tokens.refresh).await.is(200).tokens();
    assert_eq!(inspect(&tokens.refresh).await["reason"], "rotated");
    // It was not used by that, which would have ended the session.
    assert_eq!(inspect(&next.refresh).await["valid"], true);

    let seen = inspect(&key).await;
    assert_eq!((&seen["kind"], &seen["valid"]), (&json!("api_key"), &json!(true)));
    assert_eq!((&seen["claims"]["prefix"], &seen["claims"]["scope"]), (&json!(prefix), &json!("read")));
    let key_id = seen["claims"]["client_id"].as_str().unwrap();
    server
        .request(Method::DELETE, &format!("/admin/api-keys/{key_id}"))
        .bearer_auth(&root)
        .send_checked()
        .await
        .is(204);
    let seen = inspect(&key).await;
    assert_eq!((&seen["reason"], &seen["revoked"]["what"]), (&json!("revoked"), &json!("api_key")));
    assert!(seen["revoked"]["at"].is_string());

    server.post(&format!("/admin/users/{}/sign-out", user.id)).bearer_auth(&root).send_checked().await.is(200);
    for (token, reason) in [(&next.access, "revoked"), (&next.refresh, "session_ended")] {
        let seen = inspect(token).await;
        assert_eq!((&seen["valid"], &seen["reason"]), (&json!(false), &json!(reason)), "{seen}");
        assert_eq!((&seen["revoked"]["what"], &seen["session"]), (&json!("user"), &Value::Null), "{seen}");
        assert!(seen["explanation"].as_str().is_some_and(|text| text.ends_with('.')));
    }
    for (token, reason) in
        [("", "malformed"), ("sk_x", "malformed"), ("a.b.c", "malformed"), (&*"a".repeat(9000), "malformed")]
    {
        assert_eq!(inspect(token).await["reason"], reason, "{token}");
    }
}

async fn session_that_ended_alone_is_inspected(server: &TestServer) {
    let root = server.sign_in(&server.create_user(&["--superuser"])).await.access;
    let tokens = server.sign_in(&server.create_user(&[])).await;
    let before = OffsetDateTime::now_utc();
    let sign_out = server.delete(&format!("/sessions/{}", tokens.session)).bearer_auth(&tokens.access);
    sign_out.send_checked().await.is(204);
    for (token, reason) in [(&tokens.refresh, "session_ended"), (&tokens.access, "revoked")] {
        let body = json!({"token": token});
        let seen = server.post("/admin/inspect").bearer_auth(&root).json(&body).send_checked().await.is(200).json();
        assert_eq!((&seen["reason"], &seen["revoked"]["what"]), (&json!(reason), &json!("session")), "{seen}");
        let at = seen["revoked"]["at"].as_str().unwrap_or_else(|| panic!("when? {seen}"));
        let at = OffsetDateTime::parse(at, &Rfc3339).unwrap();
        // A timestamp has whole milliseconds.
        assert!((before - Duration::MILLISECOND..=OffsetDateTime::now_utc()).contains(&at), "{before} {at}");
    }
}

async fn sessions_that_ended_together_are_inspected(server: &TestServer) {
    let root = server.sign_in(&server.create_user(&["--superuser"])).await.access;
    let tokens = server.sign_in(&server.create_user(&[])).await;
    server.delete("/sessions").bearer_auth(&tokens.access).send_checked().await.is(200);
    for (token, reason) in [(&tokens.refresh, "session_ended"), (&tokens.access, "revoked")] {
        let body = json!({"token": token});
        let seen = server.post("/admin/inspect").bearer_auth(&root).json(&body).send_checked().await.is(200).json();
        assert_eq!((&seen["reason"], &seen["revoked"]["what"]), (&json!(reason), &json!("user")), "{seen}");
        assert!(seen["revoked"]["at"].is_string(), "{seen}");
    }
}

async fn sessions_of_a_user_are_ended(server: &TestServer) {
    let root = server.sign_in(&server.create_user(&["--superuser"])).await.access;
    let user = server.create_user(&[]);
    let (one, other) = (server.sign_in(&user).await, server.sign_in(&user).await);
    let path = format!("/admin/users/{}/sessions", user.id);
    let ids = async || {
        let listed = get(server, &root, &path).await;
        let sessions = listed["sessions"].as_array().unwrap().iter();
        sessions.map(|session| session["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ids().await, [other.session.clone(), one.session.clone()]);
    let end = async |session: &str| server.delete(&format!("{path}/{session}")).bearer_auth(&root).send_checked().await;
    end(&one.session).await.is(204);
    assert_eq!(ids().await, std::slice::from_ref(&other.session));
    assert_eq!(server.rejection_reason(&one.access).await, "revoked");
    server.verify(&other.access).await.is(200);
    for unknown in [&one.session, "x"] {
        end(unknown).await.is_problem(404, "not_found");
    }
    let unknown = "/admin/users/00000000-0000-7000-8000-000000000000/sessions";
    server.get(unknown).bearer_auth(&root).send_checked().await.is_problem(404, "not_found");
}

async fn second_factor_and_password_are_reset(server: &TestServer) {
    let root = server.sign_in(&server.create_user(&["--superuser"])).await.access;
    let user = server.create_user(&["--verified"]);
    let act = async |action: &str| {
        let path = format!("/admin/users/{}/{action}", user.id);
        server.post(&path).bearer_auth(&root).send_checked().await
    };
    totp::enable_totp(server, &server.sign_in(&user).await.access, PASSWORD).await;
    server.try_sign_in(&user.email, PASSWORD).await.is_problem(401, "mfa_required");
    // Repeating it changes nothing.
    for _ in 0..2 {
        act("reset-mfa").await.is(204);
    }
    server.try_sign_in(&user.email, PASSWORD).await.is(201);
    // The notices of the reset, which would be taken for the mail that follows.
    wait_until_queue_is_empty(server).await;
    let before = mails(server, &user.email).len();
    act("password-reset").await.is(202);
    let token = wait_for_mail(server, &user.email, before).await.token();
    let other = "another harbour at dawn";
    let body = json!({"token": token, "new_password": other});
    let status = server.post("/password-resets/redeem").json(&body).send_checked().await.status;
    assert!((200..300).contains(&status), "{status}");
    server.try_sign_in(&user.email, other).await.is(201);
    server.plan().json(&["users", "disable", &user.email], "");
    act("password-reset").await.is_problem(403, "account_disabled");
    for action in ["reset-mfa", "password-reset"] {
        let path = format!("/admin/users/00000000-0000-7000-8000-000000000000/{action}");
        server.post(&path).bearer_auth(&root).send_checked().await.is_problem(404, "not_found");
    }
}

mod limited {
    use super::*;

    over_both_stores!(|plan| plan.limits(&["MAIL_ACCOUNT"], "1 per 1h"); mails_of_administrators_are_limited);

    async fn mails_of_administrators_are_limited(server: &TestServer) {
        let root = server.sign_in(&server.create_user(&["--superuser"])).await.access;
        let user = server.create_user(&["--verified"]);
        let reset = format!("/admin/users/{}/password-reset", user.id);
        for (path, body) in [(reset.as_str(), json!({})), ("/admin/mail/test", json!({"to": "one@example.org"}))] {
            let send = async || server.post(path).bearer_auth(&root).json(&body).send_checked().await;
            let status = send().await.status;
            assert!((200..300).contains(&status), "{path}: {status}");
            send().await.is_problem(429, "rate_limited");
        }
    }
}

async fn api_keys_are_listed_by_last_use(server: &TestServer) {
    let root = server.sign_in(&server.create_user(&["--superuser"])).await.access;
    let user = server.create_user(&[]);
    let keys: Vec<String> = (0..3).map(|_| server.api_key(&user, &["read"]).1).collect();
    server.sql(&format!("UPDATE api_keys SET last_used_at = 1795233600000 WHERE prefix = '{}'", keys[1])).await;
    for (sort, expected) in [("created", [2, 1, 0]), ("last_used", [1, 2, 0])] {
        let (mut listed, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = get(server, &root, &format!("/admin/api-keys?sort={sort}&limit=2{cursor}")).await;
            for key in page["api_keys"].as_array().unwrap() {
                assert_eq!((&key["owner"]["email"], &key["active"]), (&json!(user.email), &json!(true)));
                assert!(key.get("digest").is_none());
                listed.push(key["prefix"].as_str().unwrap().to_owned());
            }
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(listed, expected.map(|index| keys[index].clone()), "{sort}");
    }
    for query in ["sort=name", "cursor=x", "cursor=1_x", "limit=0"] {
        let response = server.get(&format!("/admin/api-keys?{query}")).bearer_auth(&root).send_checked().await;
        response.is_problem(400, "invalid_fields");
    }
    let unknown = "/admin/api-keys/00000000-0000-7000-8000-000000000000";
    server.delete(unknown).bearer_auth(&root).send_checked().await.is_problem(404, "not_found");
}

async fn signing_keys_are_rotated_and_revoked(server: &TestServer) {
    let user = server.create_user(&["--superuser"]);
    let (key, _) = server.api_key(&user, &["admin"]);
    let access = server.sign_in(&user).await.access;
    let state_of = |keys: &Value, state: &str| {
        let keys = keys["keys"].as_array().unwrap().iter();
        keys.filter(|key| key["state"] == state).map(|key| key["kid"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let before = get(server, &key, "/admin/keys").await;
    let (signing, announced) = (state_of(&before, "signing"), state_of(&before, "announced"));
    assert_eq!((signing.len(), announced.len()), (1, 1), "{before}");
    assert!(before["next_rotation"].is_string());
    let printed = server.plan().json(&["keys", "list"], "");
    for (shown, row) in before["keys"].as_array().unwrap().iter().zip(printed.as_array().unwrap()) {
        assert_eq!((&shown["kid"], &shown["algorithm"]), (&row["kid"], &row["algorithm"]));
    }
    let rotate = server.post("/admin/keys/rotate?algorithm=ES256").bearer_auth(&key).send_checked().await;
    rotate.is_problem(400, "invalid_fields");
    server.post("/admin/keys/rotate").bearer_auth(&key).send_checked().await.is(200);
    server.verify(&access).await.is(200);

    let revoke =
        async |kid: &str| server.post(&format!("/admin/keys/{kid}/revoke")).bearer_auth(&key).send_checked().await;
    let after = revoke(&signing[0]).await.is(200).json();
    assert_eq!(state_of(&after, "revoked"), signing);
    assert_eq!(state_of(&after, "signing"), announced);
    assert_eq!(server.rejection_reason(&access).await, "revoked_key");
    revoke("unknown").await.is_problem(404, "not_found");
}

async fn settings_are_listed_with_their_source(server: &TestServer) {
    let root = server.sign_in(&server.create_user(&["--superuser"])).await.access;
    let listed = get(server, &root, "/admin/settings").await;
    let find = |name: &str| {
        let settings = listed["settings"].as_array().unwrap();
        settings.iter().find(|setting| setting["name"] == name).unwrap_or_else(|| panic!("{name}")).clone()
    };
    let listen = find("server.listen");
    assert_eq!((&listen["source"], &listen["from"]), (&json!("environment"), &json!("SIGNET_SERVER__LISTEN")));
    assert!(listen["description"].as_str().unwrap().contains("Address"));
    assert_eq!(listen["changed"], true);
    assert_eq!((&find("verify.cache")["source"], &find("verify.cache")["changed"]), (&json!("default"), &json!(false)));
    if server.redis().is_some() {
        assert_eq!((&find("redis.url")["value"], &find("redis.url")["secret"]), (&json!("…"), &json!(true)));
    }
    let printed = server.plan().json(&["config", "show"], "");
    for (shown, row) in listed["settings"].as_array().unwrap().iter().zip(printed.as_array().unwrap()) {
        assert_eq!(shown["name"], row["name"]);
        assert_eq!((&shown["secret"], &shown["description"]), (&row["secret"], &row["description"]));
    }
}

async fn mail_is_tested_listed_and_read(server: &TestServer) {
    let root = server.sign_in(&server.create_user(&["--superuser"])).await.access;
    let send = async |to: &str| {
        server.post("/admin/mail/test").bearer_auth(&root).json(&json!({"to": to})).send_checked().await
    };
    let outbox = server.signet.data_dir().join("outbox").display().to_string();
    let sent = send("Ä.Zoë@example.org").await.is(200).json();
    assert_eq!(
        (&sent["accepted"], &sent["reason"], &sent["destination"]),
        (&json!(true), &Value::Null, &json!(outbox))
    );
    assert!(sent["took_ms"].is_u64());
    send("no address").await.is_problem(400, "invalid_email");

    let user = server.create_user(&["--verified"]);
    server.post("/codes").json(&json!({"email": user.email})).send_checked().await.is(202);
    let code = wait_for_mail(server, &user.email, 0).await.code();
    let state = get(server, &root, "/admin/mail").await;
    assert_eq!(
        (&state["outbox"], &state["destination"], &state["capacity"]),
        (&json!(true), &json!(outbox), &json!(1000))
    );
    assert!(state["queue"].is_array() && state["failed"] == 0 && state["sent"].as_u64().is_some_and(|sent| sent >= 1));

    // The newest first, in pages, and without the code.
    let first = get(server, &root, "/admin/mail/outbox?limit=1").await;
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = get(server, &root, &format!("/admin/mail/outbox?limit=1&cursor={cursor}")).await;
    assert_eq!(second["next_cursor"], Value::Null);
    assert_eq!(first["letters"][0]["subject"], "•••••• is your Signet sign-in code");
    assert_eq!(second["letters"][0]["to"], "ä.zoë@example.org");
    let read = async |letter: &Value| {
        let path = format!("/admin/mail/outbox/{}", letter["name"].as_str().unwrap());
        get(server, &root, &path).await
    };
    let letter = read(&first["letters"][0]).await;
    assert_eq!(letter["subject"], format!("{code} is your Signet sign-in code"));
    assert_eq!(letter["from"], "Signet <signet@localhost>");
    assert!(letter["text"].as_str().unwrap().lines().any(|line| line == code), "{letter}");
    assert!(letter["html"].as_str().unwrap().starts_with("<!doctype html>"), "{letter}");
    let letter = read(&second["letters"][0]).await;
    assert!(letter["text"].as_str().unwrap().contains("can send emails to ä.zoë@example.org.\n"), "{letter}");
    assert!(letter["html"].as_str().unwrap().contains("can send emails to ä.zoë@example.org.</p>"), "{letter}");
    for name in ["x", "20261121T040000.250Z-000000-00000000.eml", "..%2Fsignet.db", "%2Fetc%2Fpasswd"] {
        let response = server.get(&format!("/admin/mail/outbox/{name}")).bearer_auth(&root).send_checked().await;
        response.is_problem(404, "not_found");
    }
    let bad = server.get("/admin/mail/outbox?limit=0").bearer_auth(&root).send_checked().await;
    bad.is_problem(400, "invalid_fields");
}

#[tokio::test]
async fn server_that_sends_mails_has_no_outbox() {
    let receiver = smtp::Server::start();
    let server = TestServer::embedded(|plan| plan.set("SMTP_URL", &receiver.url()));
    let root = server.sign_in(&server.create_user(&["--superuser"])).await.access;
    assert_eq!(get(&server, &root, "/admin/mail").await["outbox"], false);
    for path in ["/admin/mail/outbox", "/admin/mail/outbox/x"] {
        server.get(path).bearer_auth(&root).send_checked().await.is_problem(404, "not_found");
    }
}

/// Those that change users are tested in `native/users`. An API key of the scope `admin` needs none.
async fn sensitive_calls_need_a_recent_sign_in(server: &TestServer) {
    let root = server.create_user(&["--superuser"]);
    let (key, _) = server.api_key(&root, &["admin"]);
    let user = server.create_user(&[]);
    server.post("/codes").json(&json!({"email": user.email})).send_checked().await.is(202);
    wait_for_mail(server, &user.email, 0).await;
    let letters = get(server, &key, "/admin/mail/outbox?limit=1").await;
    let letter = letters["letters"][0]["name"].as_str().unwrap();
    let keys = get(server, &key, "/admin/keys").await;
    let signing = keys["keys"].as_array().unwrap().iter().find(|key| key["state"] == "signing").unwrap();
    let calls = [
        (Method::GET, format!("/admin/mail/outbox/{letter}")),
        (Method::POST, format!("/admin/users/{}/reset-mfa", user.id)),
        (Method::POST, "/admin/keys/rotate".to_owned()),
        (Method::POST, format!("/admin/keys/{}/revoke", signing["kid"].as_str().unwrap())),
    ];
    let tokens = server.sign_in(&root).await;
    let stolen = grow_old(server, &tokens.access, &tokens.refresh).await.access;
    for (method, path) in &calls {
        let response = server.request(method.clone(), path).bearer_auth(&stolen).send_checked().await;
        response.is_problem(401, "insufficient_user_authentication");
    }
    for path in ["/admin/mail/outbox", "/admin/keys"] {
        get(server, &stolen, path).await;
    }
    for (method, path) in calls {
        let status = server.request(method, &path).bearer_auth(&key).send_checked().await.status;
        assert!((200..300).contains(&status), "{path}: {status}");
    }
}

/// Each call of administration in the document, so that none is forgotten.
async fn plain_users_are_forbidden(server: &TestServer) {
    let user = server.create_user(&["--role", "admin"]);
    let (access, (key, _)) = (server.sign_in(&user).await.access, server.api_key(&user, &["admin"]));
    let (narrow, _) = server.api_key(&server.create_user(&["--superuser"]), &["billing:write"]);
    let mut calls = 0;
    for operation in operations(server).await.into_iter().filter(|it| it.path.starts_with("/admin/")) {
        let request = || operation.request(server, &plausible_value);
        let allows_narrow = operation.path.ends_with("/billing");
        for bearer in [&access, &key, &narrow].into_iter().take(if allows_narrow { 2 } else { 3 }) {
            let response = request().bearer_auth(bearer).send_checked().await;
            assert_eq!((response.status, &response.json()["type"]), (403, &json!("forbidden")), "{}", operation.name());
        }
        request().send_checked().await.is_problem(401, "missing_credentials");
        calls += 1;
    }
    assert!(calls > 20, "{calls}");
    server.verify(&access).await.is(200);
    server.verify(&key).await.is(200);
}
