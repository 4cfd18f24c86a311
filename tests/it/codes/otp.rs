//! `POST /auth/create/otp`, `/auth/delete/otp` and `/auth/signin/otp`.

use serde_json::json;

use super::*;
use crate::support::outbox;
use crate::support::server::over_both_stores;
use crate::support::totp::{code, wrong_code};

over_both_stores!(documented;
    it_is_on_at_once_and_every_way_in_asks_for_it,
    a_code_is_good_once,
    a_backup_code_is_good_once,
    it_is_told_to_its_owner,
    who_has_none_is_told_so_with_the_right_password,
    it_is_on_once_and_off_once,
    only_a_person_turns_it_on_or_off,
    a_user_who_is_gone_is_told_from_a_bad_token,
);

async fn it_is_on_at_once_and_every_way_in_asks_for_it(server: &TestServer) {
    let member = member(server, "ann").await;
    let signed = sign_in(server, &member).await;
    let (key, backup) = create_otp(server, &signed.access).await;
    assert!(key.len() == 32 && key.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()), "{key}");
    assert_eq!(backup.len(), 3);
    assert!(backup.iter().all(|code| code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit())), "{backup:?}");

    // The password alone: told with 200, and only with the right one.
    let due = try_sign_in(server, &member.email, PASSWORD).await;
    assert_eq!(due.tells(200, "150").header("cache-control"), "no-store");
    try_sign_in(server, &member.email, "not the password").await.tells(401, "128");
    server.try_sign_in(&member.email, PASSWORD).await.is_problem(401, "mfa_required");
    // What was there before it goes on.
    call(server, "/auth/refresh", json!({"refresh_token": signed.refresh})).await.is(200);

    let answer = try_otp(server, &member, &code(&key, 0)).await;
    assert_eq!((answer.is(200).header("cache-control"), &answer.json()["user_name"]), ("no-store", &"ann".into()));
    server.verify(&answer.signed().access).await.is(200);
    try_otp(server, &member, &wrong_code(&key)).await.tells(401, "152");
    for no_code in ["", "abcdef", "12345"] {
        try_otp(server, &member, no_code).await.tells(401, "152");
    }
    let body = json!({"email": member.email, "password": "not the password", "otp_code": code(&key, 1)});
    call(server, "/auth/signin/otp", body).await.tells(401, "128");

    with_token(server, "/auth/delete/otp", &signed.access).await.tells(200, "0");
    sign_in(server, &member).await;
}

async fn a_code_is_good_once(server: &TestServer) {
    let member = member(server, "bob").await;
    let (key, _) = create_otp(server, &sign_in(server, &member).await.access).await;
    let (first, second) = (code(&key, 0), code(&key, 1));
    try_otp(server, &member, &first).await.is(200);
    try_otp(server, &member, &first).await.tells(401, "152");
    // Nor in another dialect.
    let native = async |code: &str| {
        let body = json!({"email": member.email, "password": PASSWORD, "totp_code": code});
        server.post("/sessions").json(&body).send_checked().await
    };
    native(&first).await.is_problem(401, "invalid_mfa_code");
    let in_groups = format!("{} {}", &second[..3], &second[3..]);
    native(&in_groups).await.is(201);
    try_otp(server, &member, &second).await.tells(401, "152");
}

async fn a_backup_code_is_good_once(server: &TestServer) {
    let member = member(server, "cleo").await;
    let access = sign_in(server, &member).await.access;
    let (_, backup) = create_otp(server, &access).await;
    try_otp(server, &member, &backup[1]).await.is(200);
    try_otp(server, &member, &backup[1]).await.tells(401, "152");
    let body = json!({"email": member.email, "password": PASSWORD, "totp_code": backup[0]});
    server.post("/sessions").json(&body).send_checked().await.is(201);
    try_otp(server, &member, &backup[0]).await.tells(401, "152");
    // Those of another factor are of no use.
    with_token(server, "/auth/delete/otp", &access).await.tells(200, "0");
    let (_, others) = create_otp(server, &access).await;
    if !others.contains(&backup[2]) {
        try_otp(server, &member, &backup[2]).await.tells(401, "152");
    }
    try_otp(server, &member, &others[2]).await.is(200);
}

async fn it_is_told_to_its_owner(server: &TestServer) {
    let member = member(server, "dora").await;
    let access = sign_in(server, &member).await.access;
    let (key, backup) = create_otp(server, &access).await;
    let on = outbox::wait_for_mail(server, &member.email, 0).await;
    assert!(!on.source.contains(&key) && !backup.iter().any(|code| on.source.contains(code)), "{}", on.source);
    with_token(server, "/auth/delete/otp", &access).await.tells(200, "0");
    let off = outbox::wait_for_mail(server, &member.email, 1).await;
    assert_ne!(on.header("subject"), off.header("subject"));
}

async fn who_has_none_is_told_so_with_the_right_password(server: &TestServer) {
    let member = member(server, "emil").await;
    try_otp(server, &member, "123456").await.tells(400, "151");
    let body = json!({"email": member.email, "password": "not the password", "otp_code": "123456"});
    call(server, "/auth/signin/otp", body).await.tells(401, "128");
}

async fn it_is_on_once_and_off_once(server: &TestServer) {
    let member = member(server, "fred").await;
    let access = sign_in(server, &member).await.access;
    with_token(server, "/auth/delete/otp", &access).await.tells(400, "154");
    let (key, _) = create_otp(server, &access).await;
    with_token(server, "/auth/create/otp", &access).await.tells(409, "153");
    try_otp(server, &member, &code(&key, 0)).await.is(200);
    with_token(server, "/auth/delete/otp", &access).await.tells(200, "0");
    with_token(server, "/auth/delete/otp", &access).await.tells(400, "154");
    let (another, _) = create_otp(server, &access).await;
    assert_ne!(another, key);
    // The first code of a new key may be of the step that the old one's was.
    try_otp(server, &member, &code(&another, 0)).await.is(200);
}

async fn only_a_person_turns_it_on_or_off(server: &TestServer) {
    let person = server.create_user(&[]);
    let (key, _) = server.api_key(&person, &[]);
    let refresh = server.sign_in(&person).await.refresh;
    for path in ["/auth/create/otp", "/auth/delete/otp"] {
        server.post(path).send_checked().await.tells(400, "127");
        server.post(path).header("authorization", "Basic YTpi").send_checked().await.tells(400, "127");
        server.post(path).header("x-api-key", &key).send_checked().await.tells(400, "127");
        for bad in ["eyJhbGciOiJIUzI1NiJ9...", &key, &refresh] {
            let answer = with_token(server, path, bad).await;
            assert_eq!(answer.tells(401, "126").header("www-authenticate"), r#"Bearer error="invalid_token""#);
        }
    }
    let ended = server.sign_in(&person).await;
    server.delete("/sessions").bearer_auth(&ended.access).send_checked().await.is(200);
    with_token(server, "/auth/create/otp", &ended.access).await.tells(401, "126");
}

async fn a_user_who_is_gone_is_told_from_a_bad_token(server: &TestServer) {
    let (deleted, behind_our_back) = (member(server, "gone").await, member(server, "vanished").await);
    let (one, other) = (sign_in(server, &deleted).await, sign_in(server, &behind_our_back).await);
    server.plan().json(&["users", "delete", &deleted.email], "");
    server.sql(&format!("DELETE FROM users WHERE email = '{}'", behind_our_back.email)).await;
    for access in [&one.access, &other.access] {
        for path in ["/auth/create/otp", "/auth/delete/otp"] {
            with_token(server, path, access).await.tells(401, "142");
        }
    }
    call(server, "/auth/refresh", json!({"refresh_token": one.refresh})).await.tells(409, "132");
    try_sign_in(server, &deleted.email, PASSWORD).await.tells(401, "128");
}
