//! `POST /auth/create/otp`, `/auth/delete/otp` and `/auth/signin/otp`.

use serde_json::json;

use super::*;
use crate::support::outbox;
use crate::support::server::over_both_stores;
use crate::support::totp::{code, wrong_code};

over_both_stores!(
    documented;
    enabled_totp_is_required_by_every_sign_in,
    totp_code_works_once,
    backup_code_works_once,
    owner_is_notified_of_enabling_and_disabling,
    missing_totp_is_reported_with_the_right_password,
    totp_is_enabled_once_and_disabled_once,
    managing_totp_needs_a_user_session,
    deleted_user_differs_from_an_invalid_token,
);

async fn enabled_totp_is_required_by_every_sign_in(server: &TestServer) {
    let member = member(server, "ann").await;
    let tokens = sign_in(server, &member).await;
    let (key, backup) = create_otp(server, &tokens.access).await;
    assert!(key.len() == 32 && key.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()), "{key}");
    assert_eq!(backup.len(), 3);
    assert!(backup.iter().all(|code| code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit())), "{backup:?}");

    // The right password alone is a 200 with code 150; a wrong password does not reveal that TOTP is enabled.
    let response = try_sign_in(server, &member.email, PASSWORD).await;
    assert_eq!(response.has_code(200, "150").header("cache-control"), "no-store");
    try_sign_in(server, &member.email, "not the password").await.has_code(401, "128");
    server.try_sign_in(&member.email, PASSWORD).await.is_problem(401, "mfa_required");
    // Sessions opened before TOTP was enabled continue.
    call(server, "/auth/refresh", json!({"refresh_token": tokens.refresh})).await.is(200);

    let response = try_otp(server, &member, &code(&key, 0)).await;
    assert_eq!((response.is(200).header("cache-control"), &response.json()["user_name"]), ("no-store", &"ann".into()));
    server.verify(&response.issued_tokens().access).await.is(200);
    try_otp(server, &member, &wrong_code(&key)).await.has_code(401, "152");
    for no_code in ["", "abcdef", "12345"] {
        try_otp(server, &member, no_code).await.has_code(401, "152");
    }
    let body = json!({"email": member.email, "password": "not the password", "otp_code": code(&key, 1)});
    call(server, "/auth/signin/otp", body).await.has_code(401, "128");

    with_token(server, "/auth/delete/otp", &tokens.access).await.has_code(200, "0");
    sign_in(server, &member).await;
}

async fn totp_code_works_once(server: &TestServer) {
    let member = member(server, "bob").await;
    let (key, _) = create_otp(server, &sign_in(server, &member).await.access).await;
    let (first, second) = (code(&key, 0), code(&key, 1));
    try_otp(server, &member, &first).await.is(200);
    try_otp(server, &member, &first).await.has_code(401, "152");
    // Dialects share the used time steps: the native dialect refuses the code too.
    let native = async |code: &str| {
        let body = json!({"email": member.email, "password": PASSWORD, "totp_code": code});
        server.post("/sessions").json(&body).send_checked().await
    };
    native(&first).await.is_problem(401, "invalid_mfa_code");
    let in_groups = format!("{} {}", &second[..3], &second[3..]);
    native(&in_groups).await.is(201);
    try_otp(server, &member, &second).await.has_code(401, "152");
}

async fn backup_code_works_once(server: &TestServer) {
    let member = member(server, "cleo").await;
    let access = sign_in(server, &member).await.access;
    let (_, backup) = create_otp(server, &access).await;
    try_otp(server, &member, &backup[1]).await.is(200);
    try_otp(server, &member, &backup[1]).await.has_code(401, "152");
    let body = json!({"email": member.email, "password": PASSWORD, "totp_code": backup[0]});
    server.post("/sessions").json(&body).send_checked().await.is(201);
    try_otp(server, &member, &backup[0]).await.has_code(401, "152");
    // Backup codes of the previous enrollment are refused.
    with_token(server, "/auth/delete/otp", &access).await.has_code(200, "0");
    let (_, new_backup) = create_otp(server, &access).await;
    if !new_backup.contains(&backup[2]) {
        try_otp(server, &member, &backup[2]).await.has_code(401, "152");
    }
    try_otp(server, &member, &new_backup[2]).await.is(200);
}

async fn owner_is_notified_of_enabling_and_disabling(server: &TestServer) {
    let member = member(server, "dora").await;
    let access = sign_in(server, &member).await.access;
    let (key, backup) = create_otp(server, &access).await;
    let enabled = outbox::wait_for_mail(server, &member.email, 0).await;
    assert!(
        !enabled.source.contains(&key) && !backup.iter().any(|code| enabled.source.contains(code)),
        "{}",
        enabled.source
    );
    with_token(server, "/auth/delete/otp", &access).await.has_code(200, "0");
    let disabled = outbox::wait_for_mail(server, &member.email, 1).await;
    assert_ne!(enabled.header("subject"), disabled.header("subject"));
}

async fn missing_totp_is_reported_with_the_right_password(server: &TestServer) {
    let member = member(server, "emil").await;
    try_otp(server, &member, "123456").await.has_code(400, "151");
    let body = json!({"email": member.email, "password": "not the password", "otp_code": "123456"});
    call(server, "/auth/signin/otp", body).await.has_code(401, "128");
}

async fn totp_is_enabled_once_and_disabled_once(server: &TestServer) {
    let member = member(server, "fred").await;
    let access = sign_in(server, &member).await.access;
    with_token(server, "/auth/delete/otp", &access).await.has_code(400, "154");
    let (key, _) = create_otp(server, &access).await;
    with_token(server, "/auth/create/otp", &access).await.has_code(409, "153");
    try_otp(server, &member, &code(&key, 0)).await.is(200);
    with_token(server, "/auth/delete/otp", &access).await.has_code(200, "0");
    with_token(server, "/auth/delete/otp", &access).await.has_code(400, "154");
    let (another, _) = create_otp(server, &access).await;
    assert_ne!(another, key);
    // The first code of a new key may be of a time step that was used with the old key.
    try_otp(server, &member, &code(&another, 0)).await.is(200);
}

async fn managing_totp_needs_a_user_session(server: &TestServer) {
    let user = server.create_user(&[]);
    let (key, _) = server.api_key(&user, &[]);
    let refresh = server.sign_in(&user).await.refresh;
    for path in ["/auth/create/otp", "/auth/delete/otp"] {
        server.post(path).send_checked().await.has_code(400, "127");
        server.post(path).header("authorization", "Basic YTpi").send_checked().await.has_code(400, "127");
        server.post(path).header("x-api-key", &key).send_checked().await.has_code(400, "127");
        for bad in ["eyJhbGciOiJIUzI1NiJ9...", &key, &refresh] {
            let response = with_token(server, path, bad).await;
            assert_eq!(response.has_code(401, "126").header("www-authenticate"), r#"Bearer error="invalid_token""#);
        }
    }
    let signed_out = server.sign_in(&user).await;
    server.delete("/sessions").bearer_auth(&signed_out.access).send_checked().await.is(200);
    with_token(server, "/auth/create/otp", &signed_out.access).await.has_code(401, "126");
}

async fn deleted_user_differs_from_an_invalid_token(server: &TestServer) {
    let (deleted, removed_by_sql) = (member(server, "gone").await, member(server, "vanished").await);
    let (one, other) = (sign_in(server, &deleted).await, sign_in(server, &removed_by_sql).await);
    server.plan().json(&["users", "delete", &deleted.email], "");
    server.sql(&format!("DELETE FROM users WHERE email = '{}'", removed_by_sql.email)).await;
    for access in [&one.access, &other.access] {
        for path in ["/auth/create/otp", "/auth/delete/otp"] {
            with_token(server, path, access).await.has_code(401, "142");
        }
    }
    call(server, "/auth/refresh", json!({"refresh_token": one.refresh})).await.has_code(409, "132");
    try_sign_in(server, &deleted.email, PASSWORD).await.has_code(401, "128");
}
