//! The default limits: they never affect ordinary users, and they stop guessing.

use std::time::Instant;

use super::*;
use crate::support::outbox;
use crate::support::server::over_both_stores;
use crate::support::signet::Plan;

const WRONG: &str = "a quiet harbour at dawn";
const HOME: &str = "198.51.100.7";

fn default_limits(plan: Plan) -> Plan {
    plan.set("SIGNET_LIMITS__ENABLED", "true").set("SIGNET_SERVER__TRUSTED_PROXIES", "127.0.0.1")
}

over_both_stores!(default_limits; family_behind_one_address_is_never_limited,
    password_guessing_is_limited, code_guessing_is_limited, trying_many_logins_is_limited, requesting_mails_is_limited);

/// Within a minute, each of five users mistypes the password three times in different dialects, requests a code twice
/// and mistypes it, resets the password, enables TOTP and mistypes that as well.
async fn family_behind_one_address_is_never_limited(server: &TestServer) {
    for name in ["ada", "bob", "cleo", "dan", "eve"] {
        let email = format!("{name}@family.example");
        let body = json!({"email": email, "username": name, "password": WRONG});
        send_from(HOME, server.post("/api/auth/register").json(&body)).await.is(201);

        let form = [("username", name), ("password", "mistyped")];
        send_from(HOME, server.post("/api/auth/login").form(&form)).await.is(401);
        send_from(HOME, server.sign_in_request(&email, "mistyped again")).await.is(401);
        let body = json!({"email": email, "password": "and again"});
        send_from(HOME, server.post("/api/v1/login").json(&body)).await.is(401);

        // The user requests a second code because the first one seems not to arrive.
        let mails_before = outbox::mails(server, &email).len().max(1);
        for _ in 0..2 {
            let body = json!({"email": email});
            send_from(HOME, server.post("/auth/verification/send-code").json(&body)).await.is(202);
        }
        let code = outbox::wait_for_mail(server, &email, mails_before + 1).await.code();
        let redeem =
            |code: &str| server.post("/auth/verification/verify-code").json(&json!({"email": email, "code": code}));
        let mistyped = if code == "314159" { "314158" } else { "314159" };
        for _ in 0..3 {
            send_from(HOME, redeem(mistyped)).await.is(401);
        }
        send_from(HOME, redeem(&code)).await.is(200);

        let claim = send_from(HOME, server.post(&format!("/auth/login/recover/{email}"))).await.is(200).json();
        // After the letter about the password that the first proof of the address removed.
        let token = outbox::wait_for_mail(server, &email, mails_before + 3).await.token();
        let body = json!({"token": token, "claim": claim["claim"], "new_password": PASSWORD});
        send_from(HOME, server.post("/links/reset").json(&body)).await.is(204);
        let access = send_from(HOME, server.sign_in_request(&email, PASSWORD)).await.is(201).tokens().access;

        let enrollment = send_from(HOME, server.post("/totp").bearer_auth(&access)).await.is(201).json();
        let key = text(&enrollment, "key");
        let enable = |code: &str| {
            let body = json!({"code": code, "password": PASSWORD});
            server.request(Method::PUT, "/totp").bearer_auth(&access).json(&body)
        };
        send_from(HOME, enable(&totp::wrong_code(&key))).await.is(400);
        send_from(HOME, enable(&totp::code(&key, 0))).await.is(200);
        let sign_in = |code: &str| {
            server.post("/sessions").json(&json!({"email": email, "password": PASSWORD, "totp_code": code}))
        };
        send_from(HOME, sign_in(&totp::wrong_code(&key))).await.is(401);
        send_from(HOME, sign_in(&totp::code(&key, 1))).await.is(201);
    }
}

/// From any number of addresses and in any dialect.
async fn password_guessing_is_limited(server: &TestServer) {
    let user = server.create_user(&["--verified"]);
    let body = json!({"email": user.email, "password": WRONG});
    let form = [("username", user.username.as_str()), ("password", WRONG)];
    let requests: [&dyn Fn() -> RequestBuilder; 5] = [
        &|| server.post("/sessions").json(&body),
        &|| server.post("/auth/login/oauth").form(&form),
        &|| server.post("/auth/signin").json(&body),
        &|| server.post("/api/auth/login").form(&form),
        &|| server.post("/api/v1/login").json(&body),
    ];
    for number in 0..10 {
        let response = send_from(&format!("192.0.2.{number}"), requests[number % 5]()).await;
        assert!(matches!(response.status, 400 | 401), "{number}: {response:?}");
    }
    for request in requests {
        send_from("203.0.113.1", request()).await.is(429);
    }
}

/// Five attempts per code and twenty per day.
async fn code_guessing_is_limited(server: &TestServer) {
    let user = server.create_user(&[]);
    for number in 0..4 {
        let before = outbox::mails(server, &user.email).len();
        let body = json!({"email": user.email});
        let address = format!("192.0.2.{number}");
        send_from(&address, server.post("/auth/verification/send-code").json(&body)).await.is(202);
        let code = outbox::wait_for_mail(server, &user.email, before).await.code();
        let wrong = if code == "314159" { "314158" } else { "314159" };
        let guess = |code: &str| {
            server.post("/auth/verification/verify-code").json(&json!({"email": user.email, "code": code}))
        };
        for _ in 0..5 {
            send_from(&address, guess(wrong)).await.is(401);
        }
        let right = send_from(&address, guess(&code)).await;
        if number < 3 {
            right.is(401);
        } else {
            Dialect::Unturned.assert_rate_limited(&right);
            assert!(right.header("retry-after").parse::<u64>().unwrap() > 3600, "{right:?}");
        }
    }
}

async fn trying_many_logins_is_limited(server: &TestServer) {
    let request = |number: usize| {
        send_from("2001:db8:7::1", server.sign_in_request(&format!("login-{number}@example.org"), WRONG))
    };
    let began = Instant::now();
    let mut number = 0;
    let limited = loop {
        let response = request(number).await;
        if response.status == 429 {
            break response;
        }
        response.is(401);
        number += 1;
        // 100 in five minutes: one more every three seconds.
        assert!(number as u64 <= 100 + began.elapsed().as_secs() / 3, "{number} were answered");
    };
    assert!(number >= 100, "limited after {number}");
    Dialect::Native.assert_rate_limited(&limited);
}

/// One client shows that it is limited; many clients get the same answer after the total as before.
async fn requesting_mails_is_limited(server: &TestServer) {
    let user = server.create_user(&[]);
    let request =
        async |address: &str| send_from(address, server.post(&format!("/auth/login/magic/{}", user.email))).await;
    for _ in 0..5 {
        request("192.0.2.1").await.is(200);
    }
    Dialect::Myauth.assert_rate_limited(&request("192.0.2.1").await);
    for number in 0..40 {
        request(&format!("198.51.100.{number}")).await.is(200);
    }
    outbox::wait_until_queue_is_empty(server).await;
    assert_eq!(outbox::mails(server, &user.email).len(), 20);
}
