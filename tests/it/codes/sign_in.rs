//! `POST /auth/signin` and `POST /auth/refresh`.

use serde_json::json;

use super::*;
use crate::support::desk::over_both_stores;

over_both_stores!(documented;
    who_has_the_password_gets_tokens,
    nothing_tells_a_known_address_from_an_unknown_one,
    who_comes_from_another_dialect_has_a_name_too,
    a_disabled_user_is_told_so_with_the_right_password,
    a_refresh_token_of_another_dialect_is_not_rotated_here,
    what_is_no_refresh_token_is_told,
);

async fn who_has_the_password_gets_tokens(desk: &TestServer) {
    let member = member(desk, "ann").await;
    let answer = try_sign_in(desk, "ANN@example.org", PASSWORD).await;
    assert_eq!(answer.is(200).header("cache-control"), "no-store");
    let body = answer.json();
    assert_eq!((&body["user_name"], body.as_object().unwrap().len()), (&"ann".into(), 3), "{body}");
    let claims = desk.verify(&answer.signed().access).await.is(200).json()["claims"].clone();
    assert_eq!((&claims["sub"], &claims["email"]), (&member.id.into(), &member.email.into()));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 15 * 60);
}

async fn nothing_tells_a_known_address_from_an_unknown_one(desk: &TestServer) {
    let member = member(desk, "known").await;
    let wrong = try_sign_in(desk, &member.email, "not the password").await.without_names();
    wrong.tells(401, "128");
    for (email, password) in [("nobody@example.org", PASSWORD), ("nobody@example.org", ""), (&*member.email, "")] {
        assert_eq!(try_sign_in(desk, email, password).await.without_names(), wrong, "{email} {password:?}");
        let body = json!({"email": email, "password": password, "otp_code": "123456"});
        assert_eq!(call(desk, "/auth/signin/otp", body).await.without_names(), wrong, "{email} {password:?}");
    }
    // A username is none here, whoever has it.
    let person = desk.person(&[]);
    for no_address in [&*person.username, "", "a@b", "@", "a b@example.org"] {
        try_sign_in(desk, no_address, PASSWORD).await.tells(400, "124");
        let body = json!({"email": no_address, "password": PASSWORD, "otp_code": "123456"});
        call(desk, "/auth/signin/otp", body).await.tells(400, "124");
    }
    call(desk, "/auth/signin", json!({"email": member.email})).await.tells(401, "128");
}

async fn who_comes_from_another_dialect_has_a_name_too(desk: &TestServer) {
    use crate::support::desk::PASSWORD;
    let person = desk.person(&[]);
    let signed = try_sign_in(desk, &person.email, PASSWORD).await.is(200).json();
    assert_eq!(signed["user_name"], person.username);
    desk.plan().user("no-name@example.org", PASSWORD, &[]);
    assert_eq!(try_sign_in(desk, "no-name@example.org", PASSWORD).await.is(200).json()["user_name"], "no-name");
}

async fn a_disabled_user_is_told_so_with_the_right_password(desk: &TestServer) {
    let member = member(desk, "disabled").await;
    let signed = sign_in(desk, &member).await;
    desk.plan().json(&["users", "disable", &member.email], "");
    try_sign_in(desk, &member.email, PASSWORD).await.tells(403, "USER_DISABLED");
    try_sign_in(desk, &member.email, "not the password").await.tells(401, "128");
    with_token(desk, "/auth/create/otp", &signed.access).await.tells(403, "USER_DISABLED");
    call(desk, "/auth/refresh", json!({"refresh_token": signed.refresh})).await.tells(409, "132");
}

/// Sessions that a refresh would prolong, and no grace for a refresh token that was rotated.
mod kept {
    use super::*;

    fn plan(plan: Plan) -> Plan {
        documented(plan).set("SIGNET_API__CODES__IDLE", "1d").set("SIGNET_TOKENS__GRACE", "0s")
    }

    over_both_stores!(plan; a_refresh_gives_an_access_token_and_nothing_moves);
}

async fn a_refresh_gives_an_access_token_and_nothing_moves(desk: &TestServer) {
    let member = member(desk, "bob").await;
    let signed = sign_in(desk, &member).await;
    let sessions = async || {
        let listed = desk.get("/sessions").bearer_auth(&signed.access).send_checked().await.is(200).json();
        (listed["sessions"][0]["expires_at"].clone(), listed["sessions"].as_array().unwrap().len())
    };
    let before = sessions().await;
    for _ in 0..3 {
        let answer = call(desk, "/auth/refresh", json!({"refresh_token": signed.refresh})).await;
        assert_eq!(answer.is(200).header("cache-control"), "no-store");
        let body = answer.json();
        assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
        desk.verify(&text(&body, "access_token")).await.is(200);
    }
    assert_eq!(sessions().await, before, "its lifetime is not extended");
}

async fn a_refresh_token_of_another_dialect_is_not_rotated_here(desk: &TestServer) {
    let native = desk.sign_in(&desk.person(&[])).await;
    let refreshed = call(desk, "/auth/refresh", json!({"refresh_token": native.refresh})).await.is(200).json();
    desk.verify(&text(&refreshed, "access_token")).await.is(200);
    let next = desk.refresh(&native.refresh).await.is(200).tokens();
    assert_ne!(next.refresh, native.refresh, "there it is");
    call(desk, "/auth/refresh", json!({"refresh_token": next.refresh})).await.is(200);
    // And one of here is good there, where it is rotated.
    let mine = sign_in(desk, &member(desk, "eve").await).await;
    let next = desk.refresh(&mine.refresh).await.is(200).tokens();
    call(desk, "/auth/refresh", json!({"refresh_token": next.refresh})).await.is(200);
}

async fn what_is_no_refresh_token_is_told(desk: &TestServer) {
    for body in [json!({}), json!({"refresh_token": ""}), json!({"refresh_token": " "}), json!({"refresh_token": null})]
    {
        call(desk, "/auth/refresh", body).await.tells(400, "137");
    }
    let member = member(desk, "cleo").await;
    let signed = sign_in(desk, &member).await;
    for bad in ["rFT4nq9J...", &signed.access, &format!("{}x", signed.refresh)] {
        call(desk, "/auth/refresh", json!({"refresh_token": bad})).await.tells(409, "132");
    }
    desk.delete("/sessions").bearer_auth(&signed.access).send_checked().await.is(200);
    call(desk, "/auth/refresh", json!({"refresh_token": signed.refresh})).await.tells(409, "132");
}
