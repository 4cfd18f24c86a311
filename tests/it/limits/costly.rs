//! Limits of calls that cost far more than their size: they read or write a hundred rows of an account, or draw an
//! image.

use super::*;
use crate::support::outbox;
use crate::support::server::over_both_stores;
use crate::support::signet::Plan;

const HOME: &str = "198.51.100.7";
const ELSEWHERE: &str = "203.0.113.1";
const THIRD: &str = "192.0.2.1";

fn plan(plan: Plan) -> Plan {
    plan.limits(&["COSTLY_ACCOUNT"], "7 per 1d")
        .limits(&["COSTLY_ADDRESS"], "10 per 1d")
        .limits(&["REAUTHENTICATION_ACCOUNT"], "3 per 1d")
        .set("SIGNET_SERVER__TRUSTED_PROXIES", "127.0.0.1")
}

over_both_stores!(
    plan;
    costly_calls_of_one_account_share_a_limit,
    one_network_makes_a_limited_number_of_costly_calls,
    lists_of_many_projects_are_costly,
    following_a_used_link_again_is_a_costly_call,
    hashes_for_a_refused_change_are_limited,
    hashes_of_administrators_for_themselves_are_limited,
    request_with_an_idempotency_key_is_a_costly_call,
);

async fn new_access(server: &TestServer) -> String {
    server.sign_in(&server.create_user(&[])).await.access
}

async fn costly_calls_of_one_account_share_a_limit(server: &TestServer) {
    let (one, other) = (new_access(server).await, new_access(server).await);
    let projects = server.get("/projects").bearer_auth(&one).send_checked().await.is(200).json();
    let project = text(&projects["projects"][0], "id");
    server.post("/totp").bearer_auth(&one).send_checked().await.is(201);
    let rename =
        |method: Method, path: &str, name: &str| server.request(method, path).json(&json!({"full_name": name}));
    let calls = |round: usize| {
        [
            (Dialect::Native, server.get("/sessions")),
            (Dialect::Native, server.get("/me/activity")),
            (Dialect::Native, server.get("/projects/personal/api-keys")),
            (Dialect::Native, server.get("/totp/qr?format=svg")),
            (Dialect::Native, rename(Method::PATCH, "/me", &format!("Ann {round}"))),
            (Dialect::Myauth, rename(Method::PUT, "/auth/users/me", &format!("Bob {round}"))),
            (Dialect::Unturned, server.get("/auth/api-keys/").header("x-project-id", &project)),
        ]
    };
    for (_, call) in calls(1) {
        send_from(HOME, call.bearer_auth(&one)).await.is(200);
    }
    for (dialect, call) in calls(2) {
        dialect.assert_rate_limited(&send_from(ELSEWHERE, call.bearer_auth(&one)).await);
    }
    // A change that changes nothing costs nothing, and the calls of other accounts have a limit of their own.
    send_from(THIRD, rename(Method::PATCH, "/me", "Bob 1").bearer_auth(&one)).await.is(200);
    send_from(THIRD, server.get("/sessions").bearer_auth(&other)).await.is(200);
}

async fn one_network_makes_a_limited_number_of_costly_calls(server: &TestServer) {
    let accesses = [new_access(server).await, new_access(server).await];
    let list =
        async |network: &str, access: &str| send_from(network, server.get("/sessions").bearer_auth(access)).await;
    for _ in 0..5 {
        for access in &accesses {
            list(HOME, access).await.is(200);
        }
    }
    for access in &accesses {
        Dialect::Native.assert_rate_limited(&list(HOME, access).await);
        list(ELSEWHERE, access).await.is(200);
    }
}

async fn lists_of_many_projects_are_costly(server: &TestServer) {
    let access = new_access(server).await;
    let lists = || [(Dialect::Native, server.get("/projects")), (Dialect::Myauth, server.get("/auth/users/me"))];
    // With few projects, they are not counted.
    for _ in 0..8 {
        for (_, list) in lists() {
            send_from(HOME, list.bearer_auth(&access)).await.is(200);
        }
    }
    // The personal project is another one.
    for _ in 0..20 {
        let body = json!({"name": "One more"});
        server.post("/projects").bearer_auth(&access).json(&body).send_checked().await.is(201);
    }
    for _ in 0..7 {
        send_from(HOME, server.get("/projects").bearer_auth(&access)).await.is(200);
    }
    for (dialect, list) in lists() {
        dialect.assert_rate_limited(&send_from(ELSEWHERE, list.bearer_auth(&access)).await);
    }
}

/// Each time, the claims are written to all sessions of the user: see `auth::accounts::verify_email`.
async fn following_a_used_link_again_is_a_costly_call(server: &TestServer) {
    let sign_up = async |path: &str, name: &str| {
        let email = format!("{name}@example.org");
        let body = json!({"email": email, "username": name, "password": PASSWORD});
        send_from(HOME, server.post(path).json(&body)).await.is(201);
        outbox::wait_for_mail(server, &email, 0).await.token()
    };
    let (token, other_token) = (sign_up("/api/v1/register", "follower").await, sign_up("/users", "other").await);
    let follow = |token: &str| server.get(&format!("/api/v1/verify?token={token}"));
    let follow_elsewhere = |token: &str| server.get(&format!("/api/auth/confirmed_email/{token}"));
    let redeem = |token: &str| server.post("/email-confirmations/redeem").json(&json!({"token": token}));
    for _ in 0..=7 {
        send_from(HOME, follow(&token)).await.is(200);
    }
    Dialect::V1.assert_rate_limited(&send_from(ELSEWHERE, follow(&token)).await);
    Dialect::Ucontact.assert_rate_limited(&send_from(ELSEWHERE, follow_elsewhere(&token)).await);
    Dialect::Native.assert_rate_limited(&send_from(ELSEWHERE, redeem(&token)).await);
    // The first time proves the address, and the calls of other accounts have a limit of their own.
    for _ in 0..2 {
        send_from(ELSEWHERE, redeem(&other_token)).await.is(200);
    }
}

/// The new address is taken, so the change is refused after the new password was hashed.
async fn hashes_for_a_refused_change_are_limited(server: &TestServer) {
    let (email, taken) = ("by-code@example.org", server.create_user(&[]).email);
    send_from(HOME, server.post("/codes").json(&json!({"email": email}))).await.is(202);
    let code = outbox::wait_for_mail(server, email, 0).await.code();
    let sign_in = server.post("/sessions").json(&json!({"email": email, "code": code}));
    let access = send_from(HOME, sign_in).await.is(201).tokens().access;
    for _ in 0..3 {
        let body = json!({"email": taken, "password": PASSWORD});
        let change = server.request(Method::PUT, "/auth/users/me").bearer_auth(&access).json(&body);
        send_from(HOME, change).await.is(409);
    }
    let body = json!({"new_password": PASSWORD});
    let change = server.request(Method::PUT, "/me/password").bearer_auth(&access).json(&body);
    Dialect::Native.assert_rate_limited(&send_from(ELSEWHERE, change).await);
}

/// As above, by the call of administrators, which takes a recent sign-in in place of the current password.
async fn hashes_of_administrators_for_themselves_are_limited(server: &TestServer) {
    let (admin, taken) = (server.create_user(&["--role", "admin"]), server.create_user(&[]).email);
    let access = server.sign_in(&admin).await.access;
    let change = |user: &str, network: &'static str, body: Value| {
        let change = server.post(&format!("/auth/users/{user}")).bearer_auth(&access).json(&body);
        send_from(network, change)
    };
    let (recent, with_password) = (
        json!({"email": taken, "password": PASSWORD}),
        json!({"email": taken, "password": PASSWORD, "original": PASSWORD}),
    );
    for body in [&recent, &with_password, &recent] {
        change(&admin.id, HOME, body.clone()).await.is(409);
    }
    for body in [recent, with_password] {
        Dialect::Myauth.assert_rate_limited(&change(&admin.id, ELSEWHERE, body).await);
    }
    // Those for other users are not limited.
    let other = server.create_user(&[]);
    for _ in 0..4 {
        change(&other.id, ELSEWHERE, json!({"email": taken, "password": PASSWORD})).await.is(409);
    }
}

/// The key is written before the request counts as a sign-up, also if it is refused.
async fn request_with_an_idempotency_key_is_a_costly_call(server: &TestServer) {
    let sign_up = |email: &str| server.post("/users").json(&json!({"email": email, "password": PASSWORD}));
    let refused = async |network: &str| {
        send_from(network, sign_up("no address").header("idempotency-key", "one")).await.is(400);
    };
    for _ in 0..10 {
        refused(HOME).await;
    }
    let request = sign_up("idempotent@example.org").header("idempotency-key", "two");
    Dialect::Native.assert_rate_limited(&send_from(HOME, request).await);
    refused(ELSEWHERE).await;
    send_from(HOME, sign_up("idempotent@example.org")).await.is(201);
}
