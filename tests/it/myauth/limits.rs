//! How often something may be asked for or tried: one person, one counter, whichever the call, known or not.

use reqwest::Method;
use serde_json::{Value, json};

use super::{OTHER, address, by, made, refused};
use crate::support::server::{HttpResponse, PASSWORD, SendRequest, TestServer, over_both_stores};
use crate::support::signet::Plan;

fn plan(plan: Plan) -> Plan {
    plan.set("SIGNET_LIMITS__ENABLED", "true")
        .set("SIGNET_LIMITS__MAIL_ACCOUNT", "3 per 1h")
        .set("SIGNET_LIMITS__MAIL_ADDRESS", "8 per 1h")
        .set("SIGNET_LIMITS__CODE_ADDRESS", "4 per 1h")
        .set("SIGNET_LIMITS__SIGN_UP_ADDRESS", "2 per 1h")
        .set("SIGNET_LIMITS__SIGN_IN_ACCOUNT", "5 per 1h")
        .set("SIGNET_SERVER__TRUSTED_PROXIES", "127.0.0.1")
}

over_both_stores!(
    plan;
    a_person_is_mailed_so_often,
    an_address_asks_for_so_many_mails,
    halves_are_tried_so_often,
    accounts_are_made_so_often,
    the_present_password_is_tried_so_often,
);

/// A call through the proxy, for a client at `address`.
async fn from(server: &TestServer, address: &str, path: &str, bearer: &str, body: Value) -> HttpResponse {
    by(server, Method::POST, path, bearer).header("x-forwarded-for", address).json(&body).send_checked().await
}

fn is_limited(answer: &HttpResponse) {
    refused(answer, 429, "Too Many Requests");
    let seconds: u64 = answer.header("retry-after").parse().unwrap();
    assert!((1..=3600).contains(&seconds), "{answer:?}");
}

async fn a_person_is_mailed_so_often(server: &TestServer) {
    let (known, unknown) = (made(server, &[]).await.email, address());
    for (network, email) in [(1, &known), (2, &unknown)] {
        let ask = async |at: usize, way: &str, email: &str| {
            let path = format!("/auth/login/{way}/{email}");
            from(server, &format!("192.0.{network}.{at}"), &path, "none", json!({})).await
        };
        ask(0, "magic", email).await.is(200);
        ask(1, "recover", &email.to_uppercase()).await.is(200);
        ask(2, "magic", &format!("%20{email}")).await.is(200);
        is_limited(&ask(3, "magic", email).await);
        is_limited(&ask(4, "recover", email).await);
    }
}

async fn an_address_asks_for_so_many_mails(server: &TestServer) {
    let known = made(server, &[]).await.email;
    let ask = async |email: &str| {
        from(server, "198.51.100.1", &format!("/auth/login/recover/{email}"), "none", json!({})).await
    };
    for _ in 0..7 {
        ask(&address()).await.is(200);
    }
    ask("no address").await.is(200);
    is_limited(&ask(&known).await);
    is_limited(&ask(&address()).await);
}

async fn halves_are_tried_so_often(server: &TestServer) {
    let body = json!({"claim": "x", "new_password": OTHER});
    for path in ["claim", "reset", "claim", "reset"] {
        from(server, "198.51.100.2", &format!("/auth/login/{path}"), "garbage", body.clone()).await.is(400);
    }
    for path in ["claim", "reset"] {
        is_limited(&from(server, "198.51.100.2", &format!("/auth/login/{path}"), "garbage", body.clone()).await);
    }
}

async fn accounts_are_made_so_often(server: &TestServer) {
    let up = async |email: String| {
        from(server, "198.51.100.3", "/auth/login/signup", "none", json!({"email": email, "password": PASSWORD})).await
    };
    let first = address();
    up(first.clone()).await.is(200);
    up(first.clone()).await.is(400);
    is_limited(&up(first).await);
    is_limited(&up(address()).await);
}

async fn the_present_password_is_tried_so_often(server: &TestServer) {
    // Signing in was the first try.
    let zoe = made(server, &[]).await;
    let change = async |original: &str| {
        let body = json!({"password": OTHER, "original": original});
        by(server, Method::PUT, "/auth/users/me", &zoe.access).json(&body).send_checked().await
    };
    for _ in 0..4 {
        refused(&change("not the password").await, 400, "Unable to authenticate this update.");
    }
    is_limited(&change(PASSWORD).await);
}
