//! What the document does not tell: limits, a closed door, bodies that will not do, a store that is gone.

use reqwest::Method;
use serde_json::json;
use signet::config::Config;

use super::*;
use crate::support::server::over_both_stores;
use crate::support::totp::wrong_code;
use crate::support::{postgres, redis, until};

mod in_the_body {
    use super::*;

    over_both_stores!(in_band; bodies_that_will_not_do, paths_and_methods);
}

over_both_stores!(documented; bodies_that_will_not_do, paths_and_methods);

async fn bodies_that_will_not_do(server: &TestServer) {
    let post = |text: String| server.post("/auth/signin").header("content-type", "application/json").body(text);
    for body in ["", "{", "[]", "7", "null", r#"{"email":7}"#, r#"{"email":"a@example.org","password":{}}"#, "\"x\""] {
        post(body.to_owned()).send_checked().await.tells(400, "BODY_UNREADABLE");
    }
    post("[".repeat(10_000)).send_checked().await.tells(400, "BODY_UNREADABLE");
    post(format!("{{\"email\":\"{}\"}}", "x".repeat(65_536))).send_checked().await.tells(413, "BODY_TOO_LARGE");
    for media_type in ["text/plain", "application/x-www-form-urlencoded"] {
        let post = server.post("/auth/signin").header("content-type", media_type).body("{}");
        post.send_checked().await.tells(415, "MEDIA_TYPE_NOT_SUPPORTED");
    }
    // What is not known is passed over, and a slash at the end is none.
    let more = json!({"email": "nobody@example.org", "password": "x", "more": [1, {}]});
    let answer = call(server, "/auth/signin/", more).await;
    assert_eq!(answer.json(), json!({"error_code": "128"}));
}

async fn paths_and_methods(server: &TestServer) {
    for nobodys in ["/auth", "/auth/", "/auth/nothing", "/auth/signup/more", "/auth/mail", "/auth/create"] {
        server.post(nobodys).send_checked().await.tells(404, "NOT_FOUND");
        server.get(nobodys).send_checked().await.tells(404, "NOT_FOUND");
    }
    for path in
        ["signup", "signin", "signin/otp", "refresh", "create/otp", "delete/otp", "mail/verify/send", "mail/verify"]
    {
        let path = format!("/auth/{path}");
        for method in [Method::GET, Method::PUT, Method::PATCH, Method::DELETE] {
            let answer = server.request(method, &path).send_checked().await;
            assert_eq!(answer.tells(405, "METHOD_NOT_ALLOWED").header("allow"), "OPTIONS, POST");
        }
        let answer = server.request(Method::OPTIONS, &path).send_checked().await;
        assert_eq!((answer.is(204).header("allow"), &*answer.text), ("OPTIONS, POST", ""));
    }
}

#[tokio::test]
async fn elsewhere_and_alone_it_is_the_same() {
    let others = ["UNTURNED", "MYAUTH", "UCONTACT", "V1", "NATIVE"];
    let off = |plan: Plan, name: &&str| plan.set(&format!("SIGNET_API__{name}__ENABLED"), "false");
    let server =
        TestServer::embedded(|plan| others.iter().fold(plan, off).set("SIGNET_API__CODES__PREFIX", "/some/where"));
    let body = json!({"email": "ann@example.org", "user_name": "ann", "password": PASSWORD});
    call(&server, "/some/where/signup", body.clone()).await.is(200);
    call(&server, "/some/where/signin", body.clone()).await.is(200).signed();
    call(&server, "/some/where/nothing", body.clone()).await.tells(404, "NOT_FOUND");
    call(&server, "/auth/signup", body).await.is(404);
}

#[tokio::test]
async fn where_registration_is_closed_or_addresses_must_be_confirmed() {
    let closed =
        |plan: Plan| plan.set("USERS_OPEN_REGISTRATION", "false").set("SIGNET_API__CODES__VERIFIED_ONLY", "true");
    for (status, server) in
        [(403, TestServer::embedded(closed)), (200, TestServer::embedded(|plan| in_band(closed(plan))))]
    {
        let body = json!({"email": "ann@example.org", "user_name": "ann", "password": PASSWORD});
        call(&server, "/auth/signup", body.clone()).await.tells(status, "REGISTRATION_CLOSED");
        server.plan().create_user("ann@example.org", PASSWORD, &[]);
        try_sign_in(&server, "ann@example.org", PASSWORD).await.tells(status, "EMAIL_NOT_VERIFIED");
        try_sign_in(&server, "ann@example.org", "not the password").await.is(if status == 200 { 200 } else { 401 });
        server.plan().create_user("eve@example.org", PASSWORD, &["--verified"]);
        try_sign_in(&server, "eve@example.org", PASSWORD).await.is(200).signed();
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
    }

    over_both_stores!(plan; whatever_guesses_or_mails_is_limited, a_day_has_so_many_wrong_codes);

    #[track_caller]
    fn is_limited(answer: &HttpResponse) {
        let after: u64 = answer.tells(429, "TOO_MANY_REQUESTS").header("retry-after").parse().unwrap();
        assert!(after > 600, "{answer:?}");
    }

    async fn whatever_guesses_or_mails_is_limited(server: &TestServer) {
        let ann = member(server, "ann").await;
        let signed = sign_in(server, &ann).await;
        for _ in 0..2 {
            try_sign_in(server, "ANN@example.org", "x").await.tells(200, "128");
        }
        is_limited(&try_sign_in(server, &ann.email, PASSWORD).await);
        is_limited(&try_otp(server, &ann, "123456").await);
        // Who is nobody has as many.
        for _ in 0..3 {
            try_sign_in(server, "nobody@example.org", "x").await.tells(200, "128");
        }
        is_limited(&try_sign_in(server, "nobody@example.org", "x").await);
        for user in [&*ann.id, "85f22dda-efc2-459d-b518-640400a69e8d"] {
            let send = async || call(server, "/auth/mail/verify/send", json!({"user_id": user})).await;
            assert_eq!(send().await.status, 200);
            assert_eq!(send().await.status, 200);
            is_limited(&send().await);
        }
        // A factor that goes on and off costs hashes and mails.
        create_otp(server, &signed.access).await;
        with_token(server, "/auth/delete/otp", &signed.access).await.tells(200, "0");
        create_otp(server, &signed.access).await;
        is_limited(&with_token(server, "/auth/delete/otp", &signed.access).await);
    }

    async fn a_day_has_so_many_wrong_codes(server: &TestServer) {
        let bob = member(server, "bob").await;
        let (key, _) = create_otp(server, &sign_in(server, &bob).await.access).await;
        call(server, "/auth/mail/verify/send", json!({"user_id": bob.id})).await.tells(200, "0");
        let verify = async || call(server, "/auth/mail/verify", json!({"user_id": bob.id, "code": "x"})).await;
        for _ in 0..5 {
            verify().await.tells(200, "156");
        }
        is_limited(&verify().await);
        try_otp(server, &bob, &wrong_code(&key)).await.tells(200, "152");
    }
}

#[tokio::test]
async fn a_store_that_is_gone_is_told_of_with_a_time_to_come_again() {
    let (mut redis, mut postgres) = (redis::Server::start(), postgres::Server::start());
    let server = TestServer::start(in_band(Plan::on(&redis, &postgres)));
    let ann = member(&server, "ann").await;
    let signed = sign_in(&server, &ann).await;
    postgres.kill_immediate();
    until("Postgres is missed", async || server.get_management("/readyz").await.status == 503).await;
    let body = json!({"email": "bob@example.org", "user_name": "bob", "password": PASSWORD});
    call(&server, "/auth/signup", body).await.tells(503, "SERVICE_UNAVAILABLE");
    try_sign_in(&server, &ann.email, PASSWORD).await.tells(503, "SERVICE_UNAVAILABLE");
    with_token(&server, "/auth/create/otp", &signed.access).await.tells(503, "SERVICE_UNAVAILABLE");
    call(&server, "/auth/refresh", json!({"refresh_token": signed.refresh})).await.is(200);
    redis.kill();
    call(&server, "/auth/refresh", json!({"refresh_token": signed.refresh})).await.tells(503, "SERVICE_UNAVAILABLE");
}

#[test]
fn what_is_told_in_the_body_is_documented_so() {
    let mut config = Config::default();
    config.api.codes.in_band = true;
    let document = signet::api::document(&config);
    let mine = document["paths"].as_object().unwrap().iter().filter(|(_, item)| item["post"]["tags"][0] == "codes");
    let mine = mine.collect::<Vec<_>>();
    assert_eq!(mine.len(), 8);
    for (path, item) in mine {
        let responses = item["post"]["responses"].as_object().unwrap();
        let refused = ["401", "403", "409", "502"].iter().filter(|status| responses.contains_key(**status)).count();
        assert_eq!(refused, 0, "{path}: {responses:?}");
        let told = responses["200"]["content"]["application/json"]["schema"].to_string();
        assert!(told.contains("codes.ErrorCode") || told.contains("codes.SignInAnswer"), "{path}: {told}");
    }
}
