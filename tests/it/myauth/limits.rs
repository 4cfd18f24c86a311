//! Rate limits: the calls share the counters of an account and of a client address, and unknown accounts count alike.

use reqwest::Method;
use serde_json::{Value, json};

use super::{OTHER_PASSWORD, assert_error, member_with, new_address, request_as};
use crate::support::server::{HttpResponse, PASSWORD, SendRequest, TestServer, over_both_stores};
use crate::support::signet::Plan;

fn plan(plan: Plan) -> Plan {
    plan.set("SIGNET_LIMITS__ENABLED", "true")
        .set("SIGNET_LIMITS__MAIL_ACCOUNT", "3 per 1h")
        .set("SIGNET_LIMITS__MAIL_ADDRESS", "8 per 1h")
        .set("SIGNET_LIMITS__CODE_ADDRESS", "4 per 1h")
        .set("SIGNET_LIMITS__SIGN_UP_ADDRESS", "2 per 1h")
        .set("SIGNET_LIMITS__REAUTHENTICATION_ACCOUNT", "5 per 1h")
        .set("SIGNET_SERVER__TRUSTED_PROXIES", "127.0.0.1")
}

over_both_stores!(
    plan;
    mails_per_account_are_limited,
    mails_per_client_address_are_limited,
    link_redemptions_per_client_address_are_limited,
    sign_ups_per_client_address_are_limited,
    current_password_attempts_are_limited,
);

/// Sends a request that a trusted proxy forwards for the client at `address`.
async fn post_from(server: &TestServer, address: &str, path: &str, bearer: &str, body: Value) -> HttpResponse {
    request_as(server, Method::POST, path, bearer).header("x-forwarded-for", address).json(&body).send_checked().await
}

fn assert_limited(response: &HttpResponse) {
    assert_error(response, 429, "Too Many Requests");
    let seconds: u64 = response.header("retry-after").parse().unwrap();
    assert!((1..=3600).contains(&seconds), "{response:?}");
}

async fn mails_per_account_are_limited(server: &TestServer) {
    let (known, unknown) = (member_with(server, &[]).await.email, new_address());
    for (network, email) in [(1, &known), (2, &unknown)] {
        let send = async |host: usize, call: &str, email: &str| {
            let path = format!("/auth/login/{call}/{email}");
            post_from(server, &format!("192.0.{network}.{host}"), &path, "none", json!({})).await
        };
        send(0, "magic", email).await.is(200);
        send(0, "magic", &email.to_uppercase()).await.is(200);
        send(0, "magic", &format!("%20{email}")).await.is(200);
        assert_limited(&send(0, "magic", email).await);
        // Each client and each kind of mail has a limit of its own.
        send(1, "magic", email).await.is(200);
        send(0, "recover", email).await.is(200);
    }
}

async fn mails_per_client_address_are_limited(server: &TestServer) {
    let known = member_with(server, &[]).await.email;
    let send = async |email: &str| {
        post_from(server, "198.51.100.1", &format!("/auth/login/recover/{email}"), "none", json!({})).await
    };
    for _ in 0..7 {
        send(&new_address()).await.is(200);
    }
    send("no address").await.is(200);
    assert_limited(&send(&known).await);
    assert_limited(&send(&new_address()).await);
}

async fn link_redemptions_per_client_address_are_limited(server: &TestServer) {
    let body = json!({"claim": "x", "new_password": OTHER_PASSWORD});
    for path in ["claim", "reset", "claim", "reset"] {
        post_from(server, "198.51.100.2", &format!("/auth/login/{path}"), "garbage", body.clone()).await.is(400);
    }
    for path in ["claim", "reset"] {
        assert_limited(
            &post_from(server, "198.51.100.2", &format!("/auth/login/{path}"), "garbage", body.clone()).await,
        );
    }
}

async fn sign_ups_per_client_address_are_limited(server: &TestServer) {
    let try_sign_up = async |email: String| {
        post_from(server, "198.51.100.3", "/auth/login/signup", "none", json!({"email": email, "password": PASSWORD}))
            .await
    };
    let first = new_address();
    try_sign_up(first.clone()).await.is(200);
    try_sign_up(first.clone()).await.is(400);
    assert_limited(&try_sign_up(first).await);
    assert_limited(&try_sign_up(new_address()).await);
}

async fn current_password_attempts_are_limited(server: &TestServer) {
    let zoe = member_with(server, &[]).await;
    let change = async |original: &str| {
        let body = json!({"password": OTHER_PASSWORD, "original": original});
        let request = request_as(server, Method::PUT, "/auth/users/me", &zoe.access);
        request.header("x-forwarded-for", "198.51.100.4").json(&body).send_checked().await
    };
    for _ in 0..5 {
        assert_error(&change("not the password").await, 400, "Unable to authenticate this update.");
    }
    assert_limited(&change(PASSWORD).await);
}
