//! Cases outside the document: unreadable bodies, unknown paths, closed registration, rate limits, unavailable stores.

use reqwest::Method;
use serde_json::json;
use signet::config::Config;

use super::*;
use crate::support::server::over_both_stores;
use crate::support::totp::wrong_code;
use crate::support::{postgres, redis, until};

mod in_band_codes {
    use super::*;

    over_both_stores!(
        in_band;
        unreadable_bodies_are_refused,
        unknown_paths_and_methods_are_refused,
    );
}

over_both_stores!(
    documented;
    unreadable_bodies_are_refused,
    unknown_paths_and_methods_are_refused,
);

async fn unreadable_bodies_are_refused(server: &TestServer) {
    let post = |text: String| server.post("/auth/signin").header("content-type", "application/json").body(text);
    for body in ["", "{", "[]", "7", "null", r#"{"email":7}"#, r#"{"email":"a@example.org","password":{}}"#, "\"x\""] {
        post(body.to_owned()).send_checked().await.has_code(400, "BODY_UNREADABLE");
    }
    post("[".repeat(10_000)).send_checked().await.has_code(400, "BODY_UNREADABLE");
    post(format!("{{\"email\":\"{}\"}}", "x".repeat(65_536))).send_checked().await.has_code(413, "BODY_TOO_LARGE");
    for media_type in ["text/plain", "application/x-www-form-urlencoded"] {
        let post = server.post("/auth/signin").header("content-type", media_type).body("{}");
        post.send_checked().await.has_code(415, "MEDIA_TYPE_NOT_SUPPORTED");
    }
    // Unknown fields and a trailing slash are ignored.
    let more = json!({"email": "nobody@example.org", "password": "x", "more": [1, {}]});
    let response = call(server, "/auth/signin/", more).await;
    assert_eq!(response.json(), json!({"error_code": "128"}));
}

async fn unknown_paths_and_methods_are_refused(server: &TestServer) {
    for unknown in ["/auth", "/auth/", "/auth/nothing", "/auth/signup/more", "/auth/mail", "/auth/create"] {
        server.post(unknown).send_checked().await.has_code(404, "NOT_FOUND");
        server.get(unknown).send_checked().await.has_code(404, "NOT_FOUND");
    }
    for path in
        ["signup", "signin", "signin/otp", "refresh", "create/otp", "delete/otp", "mail/verify/send", "mail/verify"]
    {
        let path = format!("/auth/{path}");
        for method in [Method::GET, Method::PUT, Method::PATCH, Method::DELETE] {
            let response = server.request(method, &path).send_checked().await;
            assert_eq!(response.has_code(405, "METHOD_NOT_ALLOWED").header("allow"), "OPTIONS, POST");
        }
        let response = server.request(Method::OPTIONS, &path).send_checked().await;
        assert_eq!((response.is(204).header("allow"), &*response.text), ("OPTIONS, POST", ""));
    }
}

#[tokio::test]
async fn dialect_works_alone_under_another_prefix() {
    let others = ["UNTURNED", "MYAUTH", "UCONTACT", "V1", "NATIVE"];
    let off = |plan: Plan, name: &&str| plan.set(&format!("SIGNET_API__{name}__ENABLED"), "false");
    let server =
        TestServer::embedded(|plan| others.iter().fold(plan, off).set("SIGNET_API__CODES__PREFIX", "/some/where"));
    let body = json!({"email": "ann@example.org", "user_name": "ann", "password": PASSWORD});
    call(&server, "/some/where/signup", body.clone()).await.is(200);
    call(&server, "/some/where/signin", body.clone()).await.is(200).issued_tokens();
    call(&server, "/some/where/nothing", body.clone()).await.has_code(404, "NOT_FOUND");
    call(&server, "/auth/signup", body).await.is(404);
}

#[tokio::test]
async fn closed_registration_is_reported() {
    for (status, server) in [
        (403, TestServer::embedded(|plan| plan.set("USERS_OPEN_REGISTRATION", "false"))),
        (200, TestServer::embedded(|plan| in_band(plan.set("USERS_OPEN_REGISTRATION", "false")))),
    ] {
        let body = json!({"email": "ann@example.org", "user_name": "ann", "password": PASSWORD});
        call(&server, "/auth/signup", body).await.has_code(status, "REGISTRATION_CLOSED");
    }
}

#[tokio::test]
async fn verified_only_setting_requires_a_verified_address() {
    let verified_only =
        |plan: Plan| plan.set("USERS_OPEN_REGISTRATION", "false").set("SIGNET_API__CODES__VERIFIED_ONLY", "true");
    for (status, server) in
        [(403, TestServer::embedded(verified_only)), (200, TestServer::embedded(|plan| in_band(verified_only(plan))))]
    {
        server.plan().create_user("ann@example.org", PASSWORD, &[]);
        try_sign_in(&server, "ann@example.org", PASSWORD).await.has_code(status, "EMAIL_NOT_VERIFIED");
        try_sign_in(&server, "ann@example.org", "not the password").await.is(if status == 200 { 200 } else { 401 });
        server.plan().create_user("eve@example.org", PASSWORD, &["--verified"]);
        try_sign_in(&server, "eve@example.org", PASSWORD).await.is(200).issued_tokens();
    }
}

mod limits {
    use super::*;

    fn plan(plan: Plan) -> Plan {
        in_band(plan)
            .set("SIGNET_LIMITS__ENABLED", "true")
            .set("SIGNET_LIMITS__SIGN_IN_ACCOUNT", "3 per 1h")
            .set("SIGNET_LIMITS__MAIL_ACCOUNT", "2 per 1h")
            .set("SIGNET_LIMITS__CODE_ACCOUNT", "3 per 1h")
            .set("SIGNET_MAILED__DAILY_TRIES", "5")
            .set("SIGNET_SERVER__TRUSTED_PROXIES", "127.0.0.1")
    }

    over_both_stores!(
        plan;
        sign_ins_mails_and_totp_changes_are_limited,
        wrong_codes_per_day_are_limited,
    );

    #[track_caller]
    fn assert_limited(response: &HttpResponse) {
        let after: u64 = response.has_code(429, "TOO_MANY_REQUESTS").header("retry-after").parse().unwrap();
        assert!(after > 600, "{response:?}");
    }

    async fn sign_ins_mails_and_totp_changes_are_limited(server: &TestServer) {
        let ann = member(server, "ann").await;
        // From another network than the requests that follow: one that is known has budgets of its own.
        let request = server.post("/auth/signin").json(&json!({"email": ann.email, "password": PASSWORD}));
        let tokens = request.header("x-forwarded-for", "192.0.2.1").send_checked().await.is(200).issued_tokens();
        for _ in 0..2 {
            try_sign_in(server, "ANN@example.org", "x").await.has_code(200, "128");
        }
        assert_limited(&try_sign_in(server, &ann.email, PASSWORD).await);
        assert_limited(&try_otp(server, &ann, "123456").await);
        // An unknown account has the same budget.
        for _ in 0..3 {
            try_sign_in(server, "nobody@example.org", "x").await.has_code(200, "128");
        }
        assert_limited(&try_sign_in(server, "nobody@example.org", "x").await);
        for user in [&*ann.id, UNKNOWN_USER] {
            let send = async || call(server, "/auth/mail/verify/send", json!({"user_id": user})).await;
            assert_eq!(send().await.status, 200);
            assert_eq!(send().await.status, 200);
            assert_limited(&send().await);
        }
        // Enabling and disabling TOTP costs hashes and mails, so it is limited too.
        create_otp(server, &tokens.access).await;
        with_token(server, "/auth/delete/otp", &tokens.access).await.has_code(200, "0");
        create_otp(server, &tokens.access).await;
        assert_limited(&with_token(server, "/auth/delete/otp", &tokens.access).await);
    }

    async fn wrong_codes_per_day_are_limited(server: &TestServer) {
        let bob = member(server, "bob").await;
        let (key, _) = create_otp(server, &sign_in(server, &bob).await.access).await;
        call(server, "/auth/mail/verify/send", json!({"user_id": bob.id})).await.has_code(200, "0");
        let verify = async || call(server, "/auth/mail/verify", json!({"user_id": bob.id, "code": "x"})).await;
        for _ in 0..5 {
            verify().await.has_code(200, "156");
        }
        assert_limited(&verify().await);
        try_otp(server, &bob, &wrong_code(&key)).await.has_code(200, "152");
    }
}

#[tokio::test]
async fn unavailable_store_is_a_503_with_retry_after() {
    let (mut redis, mut postgres) = (redis::Server::start(), postgres::Server::start());
    let server = TestServer::start(in_band(Plan::on(&redis, &postgres).with_patient_stores()));
    let ann = member(&server, "ann").await;
    let tokens = sign_in(&server, &ann).await;
    postgres.kill_immediate();
    until("the node is not ready", async || server.get_management("/readyz").await.status == 503).await;
    let body = json!({"email": "bob@example.org", "user_name": "bob", "password": PASSWORD});
    call(&server, "/auth/signup", body).await.has_code(503, "SERVICE_UNAVAILABLE");
    try_sign_in(&server, &ann.email, PASSWORD).await.has_code(503, "SERVICE_UNAVAILABLE");
    with_token(&server, "/auth/create/otp", &tokens.access).await.has_code(503, "SERVICE_UNAVAILABLE");
    call(&server, "/auth/refresh", json!({"refresh_token": tokens.refresh})).await.is(200);
    redis.kill();
    call(&server, "/auth/refresh", json!({"refresh_token": tokens.refresh})).await.has_code(503, "SERVICE_UNAVAILABLE");
}

#[test]
fn in_band_codes_are_documented_under_200() {
    let mut config = Config::default();
    config.api.codes.in_band = true;
    let document = signet::api::document(&config);
    let operations =
        document["paths"].as_object().unwrap().iter().filter(|(_, item)| item["post"]["tags"][0] == "codes");
    let operations = operations.collect::<Vec<_>>();
    assert_eq!(operations.len(), 8);
    for (path, item) in operations {
        let responses = item["post"]["responses"].as_object().unwrap();
        let refused = ["401", "403", "409", "502"].iter().filter(|status| responses.contains_key(**status)).count();
        assert_eq!(refused, 0, "{path}: {responses:?}");
        let schema = responses["200"]["content"]["application/json"]["schema"].to_string();
        assert!(schema.contains("codes.ErrorCode") || schema.contains("codes.SignInAnswer"), "{path}: {schema}");
    }
}
