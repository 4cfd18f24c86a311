//! `signup`, `oauth`, `refresh` and `revoke`: sign-up and sign-in with a password, and sign-out.

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    assert_error, assert_msg, expected, field_errors, me, member, new_address, post, request_as, sign_in, sign_up,
    tokens, try_sign_in,
};
use crate::support::server::{PASSWORD, SendRequest, TestServer, over_both_stores, tamper_signature};

over_both_stores!(
    |plan| plan;
    sign_up_returns_the_new_user,
    all_invalid_fields_are_reported_together,
    failed_sign_ins_do_not_reveal_accounts,
    form_may_be_urlencoded_or_multipart,
    tokens_are_valid_in_every_dialect,
    refresh_token_is_rotated_and_reuse_ends_the_session,
    refresh_token_revocation_ends_its_session,
    disabled_user_is_refused_everywhere,
);

const LOGIN_FAILED: &str = "Login failed; incorrect email or password.";

async fn sign_up_returns_the_new_user(server: &TestServer) {
    let email = new_address();
    let body = json!({"email": email.to_uppercase(), "password": PASSWORD, "full_name": "Zoe 譚"});
    let response = server.post("/auth/login/signup").json(&body).send_checked().await;
    let user = response.is(200).json();
    let expected = json!({
        "id": user["id"], "email": email, "full_name": "Zoe 譚", "role": "user", "roles": [],
        "email_validated": false, "is_verified": false, "is_active": true, "is_superuser": false,
        "password": true, "hashed_password": true, "totp": false, "totp_secret": false,
        "created": user["created"], "created_at": user["created"],
        "modified": user["created"], "updated_at": user["created"],
    });
    assert_eq!(user, expected);
    assert!(user["created"].as_str().unwrap().ends_with('Z'));
    assert!(uuid::Uuid::parse_str(user["id"].as_str().unwrap()).is_ok());
    for spelling in [email.clone(), email.to_uppercase(), format!(" {email} ")] {
        assert_error(&sign_up(server, &spelling).await, 400, "This username is not available.");
    }
    let zoe = sign_in(server, &email, PASSWORD).await;
    assert_eq!(zoe.id, user["id"]);
}

async fn all_invalid_fields_are_reported_together(server: &TestServer) {
    let sign_up_errors =
        async |body: Value| field_errors(&server.post("/auth/login/signup").json(&body).send_checked().await);
    let missing = expected(&[("body.email", "missing"), ("body.password", "missing")]);
    assert_eq!(sign_up_errors(json!({})).await, missing);
    assert_eq!(sign_up_errors(Value::Null).await, missing);
    assert_eq!(field_errors(&server.post("/auth/login/signup").send_checked().await), missing);
    let all = json!({"email": "nobody", "password": "short", "full_name": "x".repeat(256)});
    assert_eq!(
        sign_up_errors(all).await,
        expected(&[
            ("body.email", "value_error"),
            ("body.full_name", "string_too_long"),
            ("body.password", "string_too_short"),
        ])
    );
    let email = new_address();
    for (password, kind) in [
        (json!("1234567"), "string_too_short"),
        (json!("x".repeat(129)), "string_too_long"),
        (json!("Password1"), "value_error"),
        (json!(12_345_678), "string_type"),
    ] {
        let errors = sign_up_errors(json!({"email": email, "password": password})).await;
        assert_eq!(errors, expected(&[("body.password", kind)]), "{password}");
    }
    let nul = json!({"email": email, "password": PASSWORD, "full_name": "a\0b"});
    assert_eq!(sign_up_errors(nul).await, expected(&[("body.full_name", "value_error")]));
    // None of these requests created the account; passwords of the minimum and maximum length are accepted.
    let shortest = json!({"email": email, "password": "kq7#Zp2x"});
    server.post("/auth/login/signup").json(&shortest).send_checked().await.is(200);
    let longest = json!({"email": new_address(), "password": "é".repeat(128), "full_name": null});
    server.post("/auth/login/signup").json(&longest).send_checked().await.is(200);
}

async fn failed_sign_ins_do_not_reveal_accounts(server: &TestServer) {
    let zoe = member(server).await;
    for spelling in [zoe.email.to_uppercase(), format!(" {} ", zoe.email)] {
        tokens(&try_sign_in(server, &spelling, PASSWORD).await);
    }
    let disabled = member(server).await;
    server.plan().json(&["users", "disable", &disabled.email], "");
    let wrong = try_sign_in(server, &zoe.email, "not the password").await;
    let unknown = try_sign_in(server, &new_address(), PASSWORD).await;
    let refused = try_sign_in(server, &disabled.email, PASSWORD).await;
    assert_error(&wrong, 400, LOGIN_FAILED);
    assert_eq!(unknown.without_per_response_headers(), wrong.clone().without_per_response_headers());
    assert_eq!(refused.without_per_response_headers(), wrong.without_per_response_headers());
    assert_error(&try_sign_in(server, "no address", PASSWORD).await, 400, LOGIN_FAILED);
}

async fn form_may_be_urlencoded_or_multipart(server: &TestServer) {
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

    let missing = expected(&[("body.password", "missing"), ("body.username", "missing")]);
    assert_eq!(field_errors(&server.form("/auth/login/oauth", &[]).await), missing);
    assert_eq!(field_errors(&server.form("/auth/login/oauth", &[("username", ""), ("password", "")]).await), missing);
    let grant = async |kind: &str, more: &[(&str, &str)]| {
        field_errors(&server.form("/auth/login/oauth", &[&[("grant_type", kind)], more].concat()).await)
    };
    let credentials = [("username", zoe.email.as_str()), ("password", PASSWORD)];
    for kind in ["client_credentials", "Password", "password "] {
        let mismatch = [("body.grant_type", "string_pattern_mismatch")];
        assert_eq!(grant(kind, &credentials).await, expected(&mismatch), "{kind}");
        let all = [&mismatch[..], &[("body.password", "missing"), ("body.username", "missing")]].concat();
        assert_eq!(grant(kind, &[]).await, expected(&all), "{kind}");
    }
    let empty = [&[("grant_type", "")][..], &credentials].concat();
    tokens(&server.form("/auth/login/oauth", &empty).await);
    let json = server.post("/auth/login/oauth").json(&json!({"username": zoe.email, "password": PASSWORD}));
    assert_error(&json.send_checked().await, 415, "Unsupported Media Type");
}

async fn tokens_are_valid_in_every_dialect(server: &TestServer) {
    let zoe = member(server).await;
    let verified = server.verify(&zoe.access).await.is(200).json();
    let claims = &verified["claims"];
    assert_eq!((claims["sub"].as_str(), claims["email"].as_str()), (Some(&*zoe.id), Some(&*zoe.email)));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 30 * 60);
    assert!(claims.get("totp").is_none(), "{claims}");
    let sessions = request_as(server, Method::GET, "/sessions", &zoe.access).send_checked().await.is(200).json();
    let [session] = sessions["sessions"].as_array().unwrap().as_slice() else { panic!("{sessions}") };
    assert_eq!((session["dialect"].as_str(), session["current"].as_bool()), (Some("myauth"), Some(true)));
    let moment = |field: &str| parse_time(session[field].as_str().unwrap());
    assert_eq!(moment("expires_at") - moment("created_at"), time::Duration::days(30));
    // Tokens of the native dialect are valid here.
    let native = server.try_sign_in(&zoe.email, PASSWORD).await.is(201).tokens();
    assert_eq!(me(server, &native.access).await["id"], zoe.id);
    tokens(&request_as(server, Method::POST, "/auth/login/refresh", &native.refresh).send_checked().await);
}

fn parse_time(text: &str) -> time::OffsetDateTime {
    time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).unwrap()
}

async fn refresh_token_is_rotated_and_reuse_ends_the_session(server: &TestServer) {
    let zoe = member(server).await;
    let (access, refresh) =
        tokens(&request_as(server, Method::POST, "/auth/login/refresh", &zoe.refresh).send_checked().await);
    assert_ne!(refresh, zoe.refresh);
    assert_eq!(me(server, &access).await["id"], zoe.id);
    // The response may have been lost, so the predecessor returns the same successor again. Once that successor has
    // been rotated, the predecessor counts as stolen.
    let (_, again) =
        tokens(&request_as(server, Method::POST, "/auth/login/refresh", &zoe.refresh).send_checked().await);
    assert_eq!(again, refresh);
    let (_, third) = tokens(&request_as(server, Method::POST, "/auth/login/refresh", &refresh).send_checked().await);
    for reused in [&zoe.refresh, &third] {
        let response = request_as(server, Method::POST, "/auth/login/refresh", reused).send_checked().await;
        assert_error(&response, 401, "Could not validate credentials");
    }
    assert_eq!(server.rejection_reason(&access).await, "revoked");
    for path in ["/auth/login/refresh", "/auth/login/revoke"] {
        assert_error(&server.post(path).send_checked().await, 401, "Not authenticated");
        let other = member(server).await;
        for bad in ["garbage", &other.access, &tamper_signature(&other.refresh)] {
            assert_error(
                &request_as(server, Method::POST, path, bad).send_checked().await,
                401,
                "Could not validate credentials",
            );
        }
    }
}

async fn refresh_token_revocation_ends_its_session(server: &TestServer) {
    let zoe = member(server).await;
    let other = sign_in(server, &zoe.email, PASSWORD).await;
    let revoked = request_as(server, Method::POST, "/auth/login/revoke", &zoe.refresh).send_checked().await;
    assert_msg(&revoked, "Token revoked successfully.");
    for path in ["/auth/login/revoke", "/auth/login/refresh"] {
        assert_error(
            &request_as(server, Method::POST, path, &zoe.refresh).send_checked().await,
            401,
            "Could not validate credentials",
        );
    }
    assert_eq!(server.rejection_reason(&zoe.access).await, "revoked");
    assert_eq!(me(server, &other.access).await["id"], zoe.id, "the other session continues");
}

async fn disabled_user_is_refused_everywhere(server: &TestServer) {
    let zoe = member(server).await;
    server.plan().json(&["users", "disable", &zoe.email], "");
    for path in ["/auth/login/refresh", "/auth/login/revoke"] {
        assert_error(&request_as(server, Method::POST, path, &zoe.refresh).send_checked().await, 400, "Inactive user");
    }
    crate::support::until("the token is revoked", async || server.rejection_reason(&zoe.access).await == "revoked")
        .await;
    assert_error(
        &request_as(server, Method::GET, "/auth/users/me", &zoe.access).send_checked().await,
        400,
        "Inactive user",
    );
    let update = request_as(server, Method::PUT, "/auth/users/me", &zoe.access).json(&json!({"full_name": "x"}));
    assert_error(&update.send_checked().await, 400, "Inactive user");
    assert_error(
        &request_as(server, Method::DELETE, "/auth/users/me", &zoe.access).send_checked().await,
        400,
        "Inactive user",
    );
    assert_error(&post(server, "/auth/login/new-totp", &zoe.access, json!({})).await, 400, "Inactive user");
}
