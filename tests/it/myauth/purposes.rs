//! A token is good for what it was made for, and nowhere else.

use reqwest::Method;
use serde_json::json;

use super::{OTHER, address, by, claim, magic, member, recover, refused, reset, sign_in, signed_in, step, tokens};
use crate::support::outbox::wait_for_mail;
use crate::support::server::{PASSWORD, SendRequest, TestServer, over_both_stores};
use crate::support::totp::code;

over_both_stores!(|plan| plan; each_token_has_one_place);

const BAD: &str = "Could not validate credentials";

async fn each_token_has_one_place(server: &TestServer) {
    let who = member(server).await;
    let new = address();
    let change = json!({"email": new, "original": PASSWORD});
    by(server, Method::PUT, "/auth/users/me", &who.access).json(&change).send_checked().await.is(200);
    let confirming = wait_for_mail(server, &new, 0).await.token();
    let magic_half = magic(server, &new).await;
    let magic_token = wait_for_mail(server, &new, 1).await.token();
    let reset_half = recover(server, &new).await;
    let reset_token = wait_for_mail(server, &new, 2).await.token();
    let session = signed_in(server, &new, PASSWORD).await;
    let drawn = by(server, Method::POST, "/auth/login/new-totp", &who.access).send_checked().await.is(200).json();
    let key = drawn["key"].as_str().unwrap().to_owned();
    let body = json!({"claim": code(&key, 0), "uri": drawn["uri"], "password": PASSWORD});
    by(server, Method::PUT, "/auth/login/totp", &who.access).json(&body).send_checked().await.is(200);
    let due = step(&sign_in(server, &new, PASSWORD).await);

    let all = [
        ("access", &session.access),
        ("refresh", &session.refresh),
        ("confirmation", &confirming),
        ("magic", &magic_token),
        ("magic half", &magic_half),
        ("reset", &reset_token),
        ("reset half", &reset_half),
        ("second step", &due),
    ];
    // A code that would be right, both halves' other sides that would fit.
    let body = json!({"claim": code(&key, 1), "new_password": OTHER, "uri": "", "password": PASSWORD,
        "original": PASSWORD, "full_name": "a thief"});
    for (method, path, kind, (status, detail)) in [
        (Method::GET, "/auth/users/me", "access", (401, BAD)),
        (Method::PUT, "/auth/users/me", "access", (401, BAD)),
        (Method::DELETE, "/auth/users/me", "access", (401, BAD)),
        (Method::GET, "/auth/users/", "access", (401, BAD)),
        (Method::POST, "/auth/login/new-totp", "access", (401, BAD)),
        (Method::PUT, "/auth/login/totp", "access", (401, BAD)),
        (Method::DELETE, "/auth/login/totp", "access", (401, BAD)),
        (Method::POST, "/auth/login/totp", "second step", (401, BAD)),
        (Method::POST, "/auth/login/refresh", "refresh", (401, BAD)),
        (Method::POST, "/auth/login/revoke", "refresh", (401, BAD)),
        (Method::POST, "/auth/login/claim", "magic", (400, "Login failed; invalid claim.")),
        (Method::POST, "/auth/login/reset", "reset", (400, "Password update failed; invalid claim.")),
    ] {
        for (_, token) in all.iter().filter(|(other, _)| *other != kind) {
            for half in [code(&key, 1), magic_half.clone(), reset_half.clone()] {
                let mut body = body.clone();
                body["claim"] = half.into();
                refused(&by(server, method.clone(), path, token).json(&body).send_checked().await, status, detail);
            }
        }
    }
    for (kind, token) in all {
        let good = server.verify(token).await.status == 200;
        assert_eq!(good, kind == "access", "{kind}");
        assert_eq!(server.refresh(&tampered_kind(kind, token)).await.status, 400, "{kind}");
    }

    // And none was used up in a place of another's.
    tokens(&by(server, Method::POST, "/auth/login/refresh", &session.refresh).send_checked().await);
    step(&claim(server, &magic_token, &magic_half).await);
    let second =
        by(server, Method::POST, "/auth/login/totp", &due).json(&json!({"claim": code(&key, 1)})).send_checked().await;
    tokens(&second);
    reset(server, &reset_token, &reset_half, OTHER).await.is(200);
}

/// Every token as it is, but a refresh token with something behind it: as it is it would be rotated.
fn tampered_kind(kind: &str, token: &str) -> String {
    if kind == "refresh" { format!("{token}A") } else { token.to_owned() }
}
