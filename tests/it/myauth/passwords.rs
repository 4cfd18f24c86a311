//! `signup`, `oauth`, `refresh`, `revoke`: in and out with a password.

use reqwest::Method;
use serde_json::{Value, json};

use super::{address, by, done, faults, me, member, of, post, refused, sign_in, sign_up, signed_in, tokens};
use crate::support::server::{PASSWORD, SendRequest, TestServer, over_both_stores, tamper_signature};

over_both_stores!(
    |plan| plan;
    who_signs_up_is_a_user,
    what_will_not_do_is_said_all_at_once,
    a_form_signs_in_and_nothing_tells_who_is_there,
    a_form_may_be_of_either_kind,
    tokens_are_those_of_every_dialect,
    a_refresh_token_is_replaced,
    a_session_is_revoked,
    who_is_disabled_is_told_so,
);

const NO_SIGN_IN: &str = "Login failed; incorrect email or password.";

async fn who_signs_up_is_a_user(server: &TestServer) {
    let email = address();
    let body = json!({"email": email.to_uppercase(), "password": PASSWORD, "full_name": "Zoe 譚"});
    let answer = server.post("/auth/login/signup").json(&body).send_checked().await;
    let user = answer.is(200).json();
    let expected = json!({
        "id": user["id"], "email": email, "full_name": "Zoe 譚", "role": "user", "roles": [],
        "email_validated": false, "is_verified": false, "is_active": true, "is_superuser": false,
        "password": true, "hashed_password": true, "totp": false,
        "created": user["created"], "created_at": user["created"],
        "modified": user["created"], "updated_at": user["created"],
    });
    assert_eq!(user, expected);
    assert!(user["created"].as_str().unwrap().ends_with('Z'));
    assert!(uuid::Uuid::parse_str(user["id"].as_str().unwrap()).is_ok());
    for spelling in [email.clone(), email.to_uppercase(), format!(" {email} ")] {
        refused(&sign_up(server, &spelling).await, 400, "This username is not available.");
    }
    let zoe = signed_in(server, &email, PASSWORD).await;
    assert_eq!(zoe.id, user["id"]);
}

async fn what_will_not_do_is_said_all_at_once(server: &TestServer) {
    let signing_up = async |body: Value| faults(&server.post("/auth/login/signup").json(&body).send_checked().await);
    assert_eq!(signing_up(json!({})).await, of(&[("body.email", "missing"), ("body.password", "missing")]));
    let all = json!({"email": "nobody", "password": "short", "full_name": "x".repeat(256)});
    assert_eq!(
        signing_up(all).await,
        of(&[
            ("body.email", "value_error"),
            ("body.full_name", "string_too_long"),
            ("body.password", "string_too_short"),
        ])
    );
    let email = address();
    for (password, kind) in [
        (json!("1234567"), "string_too_short"),
        (json!("x".repeat(129)), "string_too_long"),
        (json!("Password1"), "value_error"),
        (json!(12_345_678), "string_type"),
    ] {
        let found = signing_up(json!({"email": email, "password": password})).await;
        assert_eq!(found, of(&[("body.password", kind)]), "{password}");
    }
    let nul = json!({"email": email, "password": PASSWORD, "full_name": "a\0b"});
    assert_eq!(signing_up(nul).await, of(&[("body.full_name", "value_error")]));
    // None of these has made it; and the longest and shortest passwords will do.
    let shortest = json!({"email": email, "password": "kq7#Zp2x"});
    server.post("/auth/login/signup").json(&shortest).send_checked().await.is(200);
    let longest = json!({"email": address(), "password": "é".repeat(128), "full_name": null});
    server.post("/auth/login/signup").json(&longest).send_checked().await.is(200);
}

async fn a_form_signs_in_and_nothing_tells_who_is_there(server: &TestServer) {
    let zoe = member(server).await;
    for spelling in [zoe.email.to_uppercase(), format!(" {} ", zoe.email)] {
        tokens(&sign_in(server, &spelling, PASSWORD).await);
    }
    let disabled = member(server).await;
    server.plan().json(&["users", "disable", &disabled.email], "");
    let wrong = sign_in(server, &zoe.email, "not the password").await;
    let unknown = sign_in(server, &address(), PASSWORD).await;
    let out = sign_in(server, &disabled.email, PASSWORD).await;
    refused(&wrong, 400, NO_SIGN_IN);
    assert_eq!(unknown.without_per_response_headers(), wrong.clone().without_per_response_headers());
    assert_eq!(out.without_per_response_headers(), wrong.without_per_response_headers());
    refused(&sign_in(server, "no address", PASSWORD).await, 400, NO_SIGN_IN);
}

async fn a_form_may_be_of_either_kind(server: &TestServer) {
    let zoe = member(server).await;
    let fields = [
        ("grant_type", "password"),
        ("username", &zoe.email),
        ("password", PASSWORD),
        ("scope", "me items"),
        ("client_id", "web"),
        ("client_secret", "none"),
    ];
    tokens(&server.form("/auth/login/oauth", &fields).await);
    let multipart = fields
        .iter()
        .map(|(name, value)| format!("--edge\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"));
    let multipart = format!("{}--edge--\r\n", multipart.collect::<String>());
    let request = server.post("/auth/login/oauth").header("content-type", "multipart/form-data; boundary=edge");
    tokens(&request.body(multipart).send_checked().await);

    let missing = of(&[("body.password", "missing"), ("body.username", "missing")]);
    assert_eq!(faults(&server.form("/auth/login/oauth", &[]).await), missing);
    assert_eq!(faults(&server.form("/auth/login/oauth", &[("username", ""), ("password", "")]).await), missing);
    let json = server.post("/auth/login/oauth").json(&json!({"username": zoe.email, "password": PASSWORD}));
    refused(&json.send_checked().await, 415, "Unsupported Media Type");
}

async fn tokens_are_those_of_every_dialect(server: &TestServer) {
    let zoe = member(server).await;
    let verified = server.verify(&zoe.access).await.is(200).json();
    let claims = &verified["claims"];
    assert_eq!((claims["sub"].as_str(), claims["email"].as_str()), (Some(&*zoe.id), Some(&*zoe.email)));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 30 * 60);
    assert!(claims.get("totp").is_none(), "{claims}");
    let sessions = by(server, Method::GET, "/sessions", &zoe.access).send_checked().await.is(200).json();
    let [session] = sessions["sessions"].as_array().unwrap().as_slice() else { panic!("{sessions}") };
    assert_eq!((session["dialect"].as_str(), session["current"].as_bool()), (Some("myauth"), Some(true)));
    let moment = |field: &str| time_of(session[field].as_str().unwrap());
    assert_eq!(moment("expires_at") - moment("created_at"), time::Duration::days(30));
    // And the other way round.
    let native = server.try_sign_in(&zoe.email, PASSWORD).await.is(201).tokens();
    assert_eq!(me(server, &native.access).await["id"], zoe.id);
    tokens(&by(server, Method::POST, "/auth/login/refresh", &native.refresh).send_checked().await);
}

fn time_of(text: &str) -> time::OffsetDateTime {
    time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).unwrap()
}

async fn a_refresh_token_is_replaced(server: &TestServer) {
    let zoe = member(server).await;
    let (access, refresh) = tokens(&by(server, Method::POST, "/auth/login/refresh", &zoe.refresh).send_checked().await);
    assert_ne!(refresh, zoe.refresh);
    assert_eq!(me(server, &access).await["id"], zoe.id);
    // The reply may have been lost: the same successor once more. After another one, the first is somebody else's.
    let (_, again) = tokens(&by(server, Method::POST, "/auth/login/refresh", &zoe.refresh).send_checked().await);
    assert_eq!(again, refresh);
    let (_, third) = tokens(&by(server, Method::POST, "/auth/login/refresh", &refresh).send_checked().await);
    for stolen in [&zoe.refresh, &third] {
        let answer = by(server, Method::POST, "/auth/login/refresh", stolen).send_checked().await;
        refused(&answer, 401, "Could not validate credentials");
    }
    assert_eq!(server.rejection_reason(&access).await, "revoked");
    for path in ["/auth/login/refresh", "/auth/login/revoke"] {
        refused(&server.post(path).send_checked().await, 401, "Not authenticated");
        let other = member(server).await;
        for bad in ["garbage", &other.access, &tamper_signature(&other.refresh)] {
            refused(&by(server, Method::POST, path, bad).send_checked().await, 401, "Could not validate credentials");
        }
    }
}

async fn a_session_is_revoked(server: &TestServer) {
    let zoe = member(server).await;
    let other = signed_in(server, &zoe.email, PASSWORD).await;
    let revoked = by(server, Method::POST, "/auth/login/revoke", &zoe.refresh).send_checked().await;
    done(&revoked, "Token revoked successfully.");
    for path in ["/auth/login/revoke", "/auth/login/refresh"] {
        refused(
            &by(server, Method::POST, path, &zoe.refresh).send_checked().await,
            401,
            "Could not validate credentials",
        );
    }
    assert_eq!(server.rejection_reason(&zoe.access).await, "revoked");
    assert_eq!(me(server, &other.access).await["id"], zoe.id, "the other session goes on");
}

async fn who_is_disabled_is_told_so(server: &TestServer) {
    let zoe = member(server).await;
    server.plan().json(&["users", "disable", &zoe.email], "");
    for path in ["/auth/login/refresh", "/auth/login/revoke"] {
        refused(&by(server, Method::POST, path, &zoe.refresh).send_checked().await, 400, "Inactive user");
    }
    // The command line is another process: the server hears of it, but not at once.
    crate::support::until("the token is refused", async || server.rejection_reason(&zoe.access).await == "revoked")
        .await;
    refused(&by(server, Method::GET, "/auth/users/me", &zoe.access).send_checked().await, 400, "Inactive user");
    let update = by(server, Method::PUT, "/auth/users/me", &zoe.access).json(&json!({"full_name": "x"}));
    refused(&update.send_checked().await, 400, "Inactive user");
    refused(&by(server, Method::DELETE, "/auth/users/me", &zoe.access).send_checked().await, 400, "Inactive user");
    refused(&post(server, "/auth/login/new-totp", &zoe.access, json!({})).await, 400, "Inactive user");
}
