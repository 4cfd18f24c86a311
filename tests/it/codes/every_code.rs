//! Every code of the document is provoked, once with its HTTP status and once with the setting that reports errors in
//! the body with status 200.

use std::collections::BTreeSet;

use serde_json::json;

use super::*;
use crate::support::smtp::Server;
use crate::support::totp::wrong_code;

/// The codes of the document and their HTTP statuses.
const DOCUMENTED: [(&str, u16); 20] = [
    ("0", 200),
    ("124", 400),
    ("126", 401),
    ("127", 400),
    ("128", 401),
    ("129", 400),
    ("130", 400),
    ("131", 400),
    ("132", 409),
    ("133", 409),
    ("137", 400),
    ("139", 400),
    ("142", 401),
    ("150", 200),
    ("151", 400),
    ("152", 401),
    ("153", 409),
    ("154", 400),
    ("156", 401),
    ("157", 400),
];

#[tokio::test]
async fn codes_have_documented_statuses_embedded() {
    let mail = Server::start();
    assert_every_code(&TestServer::embedded(|plan| documented(plan).set("SMTP_URL", &mail.url())), false).await;
}

#[tokio::test]
async fn codes_have_documented_statuses_on_redis_and_postgres() {
    let mail = Server::start();
    assert_every_code(&TestServer::redis_and_postgres(|plan| documented(plan).set("SMTP_URL", &mail.url())), false)
        .await;
}

#[tokio::test]
async fn in_band_codes_have_status_200_embedded() {
    let mail = Server::start();
    assert_every_code(&TestServer::embedded(|plan| in_band(plan).set("SMTP_URL", &mail.url())), true).await;
}

#[tokio::test]
async fn in_band_codes_have_status_200_on_redis_and_postgres() {
    let mail = Server::start();
    assert_every_code(&TestServer::redis_and_postgres(|plan| in_band(plan).set("SMTP_URL", &mail.url())), true).await;
}

async fn assert_every_code(server: &TestServer, in_band: bool) {
    let responses = provoke_every_code(server).await;
    let mut expected = DOCUMENTED.to_vec();
    expected.extend([
        ("NOTIFY_GRPC_FAILED", 502),
        ("PASSWORD_TOO_WEAK", 400),
        ("USER_NAME_INVALID", 400),
        ("USER_DISABLED", 403),
    ]);
    for (code, response) in &responses {
        let Some((_, status)) = expected.iter().find(|(known, _)| known == code) else {
            panic!("{code} is not expected")
        };
        response.has_code(if in_band { 200 } else { *status }, code);
    }
    let seen: BTreeSet<&str> = responses.iter().map(|(code, _)| *code).collect();
    let all: BTreeSet<&str> = expected.iter().map(|(code, _)| *code).collect();
    assert_eq!(seen, all);
    // A request that reaches no handler keeps its HTTP status, whatever the setting.
    let bytes = |text: &'static str| server.post("/auth/signup").header("content-type", "application/json").body(text);
    server.post("/auth/nothing").send_checked().await.has_code(404, "NOT_FOUND");
    server.get("/auth/signup").send_checked().await.has_code(405, "METHOD_NOT_ALLOWED");
    bytes("{").send_checked().await.has_code(400, "BODY_UNREADABLE");
    bytes("{}").header("content-type", "text/plain").send_checked().await.has_code(415, "MEDIA_TYPE_NOT_SUPPORTED");
}

async fn provoke_every_code(server: &TestServer) -> Vec<(&'static str, HttpResponse)> {
    let signup = async |email: &str, user_name: &str, password: &str| {
        call(server, "/auth/signup", json!({"email": email, "user_name": user_name, "password": password})).await
    };
    let send = async |user_id: &str| call(server, "/auth/mail/verify/send", json!({"user_id": user_id})).await;
    let verify = async |user_id: &str, code: &str| {
        call(server, "/auth/mail/verify", json!({"user_id": user_id, "code": code})).await
    };
    let refresh = async |token: &str| call(server, "/auth/refresh", json!({"refresh_token": token})).await;

    let (ann, unmailable) = (member(server, "ann").await, member(server, "never").await);
    let (deleted, disabled) = (member(server, "gone").await, member(server, "disabled").await);
    let tokens = sign_in(server, &ann).await;
    let deleted_tokens = sign_in(server, &deleted).await;
    server.plan().json(&["users", "delete", &deleted.email], "");
    server.plan().json(&["users", "disable", &disabled.email], "");
    let mut responses = vec![
        ("124", signup("no address", "ann", PASSWORD).await),
        ("129", signup("", "ann", PASSWORD).await),
        ("130", signup("bob@example.org", "bob", "").await),
        ("131", signup("bob@example.org", "", PASSWORD).await),
        ("133", signup("ANN@example.org", "ann", PASSWORD).await),
        ("139", signup("bob@example.org", &"b".repeat(17), PASSWORD).await),
        ("USER_NAME_INVALID", signup("bob@example.org", "b\u{7}", PASSWORD).await),
        ("PASSWORD_TOO_WEAK", signup("bob@example.org", "bob", "12345678").await),
        ("124", try_sign_in(server, "no address", PASSWORD).await),
        ("128", try_sign_in(server, &ann.email, "not the password").await),
        ("USER_DISABLED", try_sign_in(server, &disabled.email, PASSWORD).await),
        ("151", try_otp(server, &ann, "123456").await),
        ("132", refresh("rFT4nq9J...").await),
        ("137", refresh("").await),
        ("142", send(UNKNOWN_USER).await),
        ("142", send("no id").await),
        ("157", send("").await),
        ("0", send(&ann.id).await),
        ("NOTIFY_GRPC_FAILED", send(&unmailable.id).await),
        ("142", verify(UNKNOWN_USER, "123456").await),
        ("157", verify("", "123456").await),
        ("156", verify(&ann.id, "").await),
    ];
    for path in ["/auth/create/otp", "/auth/delete/otp"] {
        responses.push(("127", server.post(path).send_checked().await));
        responses.push(("126", with_token(server, path, "eyJhbGciOiJIUzI1NiJ9...").await));
        responses.push(("142", with_token(server, path, &deleted_tokens.access).await));
    }
    responses.push(("154", with_token(server, "/auth/delete/otp", &tokens.access).await));
    let (key, _) = create_otp(server, &tokens.access).await;
    responses.push(("153", with_token(server, "/auth/create/otp", &tokens.access).await));
    responses.push(("150", try_sign_in(server, &ann.email, PASSWORD).await));
    responses.push(("152", try_otp(server, &ann, &wrong_code(&key)).await));
    responses.push(("0", with_token(server, "/auth/delete/otp", &tokens.access).await));
    responses
}
