//! A token is accepted only by the calls it is issued for.

use reqwest::Method;
use serde_json::json;

use super::{
    OTHER_PASSWORD, assert_error, member, mfa_token, new_address, redeem_magic_link, request_as, request_magic_link,
    request_reset, reset, sign_in, tokens, try_sign_in,
};
use crate::support::outbox::wait_for_mail;
use crate::support::server::{PASSWORD, SendRequest, TestServer, over_both_stores};
use crate::support::totp::code;

over_both_stores!(|plan| plan; each_token_is_accepted_by_its_own_calls_only);

const INVALID_TOKEN: &str = "Could not validate credentials";

async fn each_token_is_accepted_by_its_own_calls_only(server: &TestServer) {
    let zoe = member(server).await;
    let new = new_address();
    let update = json!({"email": new, "original": PASSWORD});
    request_as(server, Method::PUT, "/auth/users/me", &zoe.access).json(&update).send_checked().await.is(200);
    let confirmation = wait_for_mail(server, &new, 0).await.token();
    let magic_secret = request_magic_link(server, &new).await;
    let magic_token = wait_for_mail(server, &new, 1).await.token();
    let reset_secret = request_reset(server, &new).await;
    let reset_token = wait_for_mail(server, &new, 2).await.token();
    let session = sign_in(server, &new, PASSWORD).await;
    let enrollment =
        request_as(server, Method::POST, "/auth/login/new-totp", &zoe.access).send_checked().await.is(200).json();
    let key = enrollment["key"].as_str().unwrap().to_owned();
    let body = json!({"claim": code(&key, 0), "uri": enrollment["uri"], "password": PASSWORD});
    request_as(server, Method::PUT, "/auth/login/totp", &zoe.access).json(&body).send_checked().await.is(200);
    let mfa = mfa_token(&try_sign_in(server, &new, PASSWORD).await);

    let all = [
        ("access", &session.access),
        ("refresh", &session.refresh),
        ("confirmation", &confirmation),
        ("magic", &magic_token),
        ("magic secret", &magic_secret),
        ("reset", &reset_token),
        ("reset secret", &reset_secret),
        ("mfa", &mfa),
    ];
    // A body with a valid TOTP code; the device secrets that match each link are tried as `claim` below.
    let body = json!({"claim": code(&key, 1), "new_password": OTHER_PASSWORD, "uri": "", "password": PASSWORD,
        "original": PASSWORD, "full_name": "a thief"});
    for (method, path, kind, (status, detail)) in [
        (Method::GET, "/auth/users/me", "access", (401, INVALID_TOKEN)),
        (Method::PUT, "/auth/users/me", "access", (401, INVALID_TOKEN)),
        (Method::DELETE, "/auth/users/me", "access", (401, INVALID_TOKEN)),
        (Method::GET, "/auth/users/", "access", (401, INVALID_TOKEN)),
        (Method::POST, "/auth/login/new-totp", "access", (401, INVALID_TOKEN)),
        (Method::PUT, "/auth/login/totp", "access", (401, INVALID_TOKEN)),
        (Method::DELETE, "/auth/login/totp", "access", (401, INVALID_TOKEN)),
        (Method::POST, "/auth/login/totp", "mfa", (401, INVALID_TOKEN)),
        (Method::POST, "/auth/login/refresh", "refresh", (401, INVALID_TOKEN)),
        (Method::POST, "/auth/login/revoke", "refresh", (401, INVALID_TOKEN)),
        (Method::POST, "/auth/login/claim", "magic", (400, "Login failed; invalid claim.")),
        (Method::POST, "/auth/login/reset", "reset", (400, "Password update failed; invalid claim.")),
    ] {
        for (_, token) in all.iter().filter(|(other, _)| *other != kind) {
            for secret in [code(&key, 1), magic_secret.clone(), reset_secret.clone()] {
                let mut body = body.clone();
                body["claim"] = secret.into();
                assert_error(
                    &request_as(server, method.clone(), path, token).json(&body).send_checked().await,
                    status,
                    detail,
                );
            }
        }
    }
    for (kind, token) in all {
        let valid = server.verify(token).await.status == 200;
        assert_eq!(valid, kind == "access", "{kind}");
        assert_eq!(server.refresh(&tamper_refresh_token(kind, token)).await.status, 400, "{kind}");
    }

    // None of these requests consumed a token: each still works where it belongs. The confirmation comes first, because
    // the first proof of an address by a magic link would turn the second factor off.
    server.get(&format!("/api/auth/confirmed_email/{confirmation}")).send_checked().await.is(200);
    tokens(&request_as(server, Method::POST, "/auth/login/refresh", &session.refresh).send_checked().await);
    mfa_token(&redeem_magic_link(server, &magic_token, &magic_secret).await);
    let completed = request_as(server, Method::POST, "/auth/login/totp", &mfa)
        .json(&json!({"claim": code(&key, 1)}))
        .send_checked()
        .await;
    tokens(&completed);
    reset(server, &reset_token, &reset_secret, OTHER_PASSWORD).await.is(200);
}

/// Appends a character to a refresh token, which would be rotated otherwise; returns other tokens unchanged.
fn tamper_refresh_token(kind: &str, token: &str) -> String {
    if kind == "refresh" { format!("{token}A") } else { token.to_owned() }
}
