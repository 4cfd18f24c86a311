//! `POST /auth/signin` and `POST /auth/refresh`.

use serde_json::json;

use super::*;
use crate::support::server::over_both_stores;

over_both_stores!(documented;
    who_has_the_password_gets_tokens,
    nothing_tells_a_known_address_from_an_unknown_one,
    who_comes_from_another_dialect_has_a_name_too,
    a_disabled_user_is_told_so_with_the_right_password,
    a_refresh_token_of_another_dialect_is_not_rotated_here,
    what_is_no_refresh_token_is_told,
);

async fn who_has_the_password_gets_tokens(server: &TestServer) {
    let member = member(server, "ann").await;
    let answer = try_sign_in(server, "ANN@example.org", PASSWORD).await;
    assert_eq!(answer.is(200).header("cache-control"), "no-store");
    let body = answer.json();
    assert_eq!((&body["user_name"], body.as_object().unwrap().len()), (&"ann".into(), 3), "{body}");
    let claims = server.verify(&answer.signed().access).await.is(200).json()["claims"].clone();
    assert_eq!((&claims["sub"], &claims["email"]), (&member.id.into(), &member.email.into()));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 15 * 60);
}

async fn nothing_tells_a_known_address_from_an_unknown_one(server: &TestServer) {
    let member = member(server, "known").await;
    let wrong = try_sign_in(server, &member.email, "not the password").await.without_per_response_headers();
    wrong.tells(401, "128");
    for (email, password) in [("nobody@example.org", PASSWORD), ("nobody@example.org", ""), (&*member.email, "")] {
        assert_eq!(
            try_sign_in(server, email, password).await.without_per_response_headers(),
            wrong,
            "{email} {password:?}"
        );
        let body = json!({"email": email, "password": password, "otp_code": "123456"});
        assert_eq!(
            call(server, "/auth/signin/otp", body).await.without_per_response_headers(),
            wrong,
            "{email} {password:?}"
        );
    }
    // A username is none here, whoever has it.
    let person = server.create_user(&[]);
    for no_address in [&*person.username, "", "a@b", "@", "a b@example.org"] {
        try_sign_in(server, no_address, PASSWORD).await.tells(400, "124");
        let body = json!({"email": no_address, "password": PASSWORD, "otp_code": "123456"});
        call(server, "/auth/signin/otp", body).await.tells(400, "124");
    }
    call(server, "/auth/signin", json!({"email": member.email})).await.tells(401, "128");
}

async fn who_comes_from_another_dialect_has_a_name_too(server: &TestServer) {
    use crate::support::server::PASSWORD;
    let person = server.create_user(&[]);
    let signed = try_sign_in(server, &person.email, PASSWORD).await.is(200).json();
    assert_eq!(signed["user_name"], person.username);
    server.plan().create_user("no-name@example.org", PASSWORD, &[]);
    assert_eq!(try_sign_in(server, "no-name@example.org", PASSWORD).await.is(200).json()["user_name"], "no-name");
}

async fn a_disabled_user_is_told_so_with_the_right_password(server: &TestServer) {
    let member = member(server, "disabled").await;
    let signed = sign_in(server, &member).await;
    server.plan().json(&["users", "disable", &member.email], "");
    try_sign_in(server, &member.email, PASSWORD).await.tells(403, "USER_DISABLED");
    try_sign_in(server, &member.email, "not the password").await.tells(401, "128");
    with_token(server, "/auth/create/otp", &signed.access).await.tells(403, "USER_DISABLED");
    call(server, "/auth/refresh", json!({"refresh_token": signed.refresh})).await.tells(409, "132");
}

/// Sessions that a refresh would prolong, and no grace for a refresh token that was rotated.
mod kept {
    use super::*;

    fn plan(plan: Plan) -> Plan {
        documented(plan).set("SIGNET_API__CODES__IDLE", "1d").set("SIGNET_TOKENS__GRACE", "0s")
    }

    over_both_stores!(plan; a_refresh_gives_an_access_token_and_nothing_moves);
}

async fn a_refresh_gives_an_access_token_and_nothing_moves(server: &TestServer) {
    let member = member(server, "bob").await;
    let signed = sign_in(server, &member).await;
    let sessions = async || {
        let listed = server.get("/sessions").bearer_auth(&signed.access).send_checked().await.is(200).json();
        (listed["sessions"][0]["expires_at"].clone(), listed["sessions"].as_array().unwrap().len())
    };
    let before = sessions().await;
    for _ in 0..3 {
        let answer = call(server, "/auth/refresh", json!({"refresh_token": signed.refresh})).await;
        assert_eq!(answer.is(200).header("cache-control"), "no-store");
        let body = answer.json();
        assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
        server.verify(&text(&body, "access_token")).await.is(200);
    }
    assert_eq!(sessions().await, before, "its lifetime is not extended");
}

async fn a_refresh_token_of_another_dialect_is_not_rotated_here(server: &TestServer) {
    let native = server.sign_in(&server.create_user(&[])).await;
    let refreshed = call(server, "/auth/refresh", json!({"refresh_token": native.refresh})).await.is(200).json();
    server.verify(&text(&refreshed, "access_token")).await.is(200);
    let next = server.refresh(&native.refresh).await.is(200).tokens();
    assert_ne!(next.refresh, native.refresh, "there it is");
    call(server, "/auth/refresh", json!({"refresh_token": next.refresh})).await.is(200);
    // And one of here is good there, where it is rotated.
    let mine = sign_in(server, &member(server, "eve").await).await;
    let next = server.refresh(&mine.refresh).await.is(200).tokens();
    call(server, "/auth/refresh", json!({"refresh_token": next.refresh})).await.is(200);
}

async fn what_is_no_refresh_token_is_told(server: &TestServer) {
    for body in [json!({}), json!({"refresh_token": ""}), json!({"refresh_token": " "}), json!({"refresh_token": null})]
    {
        call(server, "/auth/refresh", body).await.tells(400, "137");
    }
    let member = member(server, "cleo").await;
    let signed = sign_in(server, &member).await;
    for bad in ["rFT4nq9J...", &signed.access, &format!("{}x", signed.refresh)] {
        call(server, "/auth/refresh", json!({"refresh_token": bad})).await.tells(409, "132");
    }
    server.delete("/sessions").bearer_auth(&signed.access).send_checked().await.is(200);
    call(server, "/auth/refresh", json!({"refresh_token": signed.refresh})).await.tells(409, "132");
}
