//! `POST /auth/signin` and `POST /auth/refresh`.

use serde_json::json;

use super::*;
use crate::support::server::over_both_stores;

over_both_stores!(
    documented;
    password_signs_in,
    failed_sign_ins_do_not_reveal_accounts,
    user_of_another_dialect_has_a_user_name,
    disabled_account_is_reported_with_the_right_password,
    sessions_of_rotating_dialects_are_not_refreshed_here,
    invalid_refresh_tokens_are_refused,
);

async fn password_signs_in(server: &TestServer) {
    let member = member(server, "ann").await;
    let response = try_sign_in(server, "ANN@example.org", PASSWORD).await;
    assert_eq!(response.is(200).header("cache-control"), "no-store");
    let body = response.json();
    assert_eq!((&body["user_name"], body.as_object().unwrap().len()), (&"ann".into(), 3), "{body}");
    let claims = server.verify(&response.issued_tokens().access).await.is(200).json()["claims"].clone();
    assert_eq!((&claims["sub"], &claims["email"]), (&member.id.into(), &member.email.into()));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 15 * 60);
}

async fn failed_sign_ins_do_not_reveal_accounts(server: &TestServer) {
    let member = member(server, "known").await;
    let wrong = try_sign_in(server, &member.email, "not the password").await.without_per_response_headers();
    wrong.has_code(401, "128");
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
    // A username is not accepted as an address, even if it exists.
    let user = server.create_user(&[]);
    for invalid in [&*user.username, "", "a@b", "@", "a b@example.org"] {
        try_sign_in(server, invalid, PASSWORD).await.has_code(400, "124");
        let body = json!({"email": invalid, "password": PASSWORD, "otp_code": "123456"});
        call(server, "/auth/signin/otp", body).await.has_code(400, "124");
    }
    call(server, "/auth/signin", json!({"email": member.email})).await.has_code(401, "128");
}

async fn user_of_another_dialect_has_a_user_name(server: &TestServer) {
    use crate::support::server::PASSWORD;
    let user = server.create_user(&[]);
    let signed_in = try_sign_in(server, &user.email, PASSWORD).await.is(200).json();
    assert_eq!(signed_in["user_name"], user.username);
    server.plan().create_user("no-name@example.org", PASSWORD, &[]);
    assert_eq!(try_sign_in(server, "no-name@example.org", PASSWORD).await.is(200).json()["user_name"], "no-name");
}

async fn disabled_account_is_reported_with_the_right_password(server: &TestServer) {
    let member = member(server, "disabled").await;
    let tokens = sign_in(server, &member).await;
    server.plan().json(&["users", "disable", &member.email], "");
    try_sign_in(server, &member.email, PASSWORD).await.has_code(403, "USER_DISABLED");
    try_sign_in(server, &member.email, "not the password").await.has_code(401, "128");
    with_token(server, "/auth/create/otp", &tokens.access).await.has_code(403, "USER_DISABLED");
    call(server, "/auth/refresh", json!({"refresh_token": tokens.refresh})).await.has_code(409, "132");
}

/// An idle lifetime that a refresh would extend if this dialect did, and no grace period after a rotation.
mod without_rotation {
    use super::*;

    fn plan(plan: Plan) -> Plan {
        documented(plan).set("SIGNET_API__CODES__IDLE", "1d").set("SIGNET_TOKENS__GRACE", "0s")
    }

    over_both_stores!(plan; refresh_changes_neither_token_nor_session);
}

async fn refresh_changes_neither_token_nor_session(server: &TestServer) {
    let member = member(server, "bob").await;
    let tokens = sign_in(server, &member).await;
    let sessions = async || {
        let listed = server.get("/sessions").bearer_auth(&tokens.access).send_checked().await.is(200).json();
        (listed["sessions"][0]["expires_at"].clone(), listed["sessions"].as_array().unwrap().len())
    };
    let before = sessions().await;
    for _ in 0..3 {
        let response = call(server, "/auth/refresh", json!({"refresh_token": tokens.refresh})).await;
        assert_eq!(response.is(200).header("cache-control"), "no-store");
        let body = response.json();
        assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
        server.verify(&text(&body, "access_token")).await.is(200);
    }
    assert_eq!(sessions().await, before, "its lifetime is not extended");
}

/// A thief could otherwise use the token of a dialect that rotates without being detected.
async fn sessions_of_rotating_dialects_are_not_refreshed_here(server: &TestServer) {
    let native = server.sign_in(&server.create_user(&[])).await;
    let refresh = async |token: &str| call(server, "/auth/refresh", json!({"refresh_token": token})).await;
    refresh(&native.refresh).await.has_code(409, "132");
    let next = server.refresh(&native.refresh).await.is(200).tokens();
    for token in [&native.refresh, &next.refresh] {
        refresh(token).await.has_code(409, "132");
    }
    server.refresh(&next.refresh).await.is(200);
    // The native dialect accepts and rotates a refresh token of this dialect.
    let codes_tokens = sign_in(server, &member(server, "eve").await).await;
    let next = server.refresh(&codes_tokens.refresh).await.is(200).tokens();
    assert_ne!(next.refresh, codes_tokens.refresh, "the native dialect rotates");
    refresh(&next.refresh).await.is(200);
    // So the token before counts as reused, here too. Two behind, because the grace is for lost responses.
    let last = server.refresh(&next.refresh).await.is(200).tokens();
    refresh(&codes_tokens.refresh).await.has_code(409, "132");
    refresh(&last.refresh).await.has_code(409, "132");
    assert_eq!(server.rejection_reason(&last.access).await, "revoked");
}

async fn invalid_refresh_tokens_are_refused(server: &TestServer) {
    for body in [json!({}), json!({"refresh_token": ""}), json!({"refresh_token": " "}), json!({"refresh_token": null})]
    {
        call(server, "/auth/refresh", body).await.has_code(400, "137");
    }
    let member = member(server, "cleo").await;
    let tokens = sign_in(server, &member).await;
    for bad in ["rFT4nq9J...", &tokens.access, &format!("{}x", tokens.refresh)] {
        call(server, "/auth/refresh", json!({"refresh_token": bad})).await.has_code(409, "132");
    }
    server.delete("/sessions").bearer_auth(&tokens.access).send_checked().await.is(200);
    call(server, "/auth/refresh", json!({"refresh_token": tokens.refresh})).await.has_code(409, "132");
}
