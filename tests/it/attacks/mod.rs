//! Attacks over HTTP against the running program, on both kinds of stores.

mod connections;
mod guessing;
mod held;
mod jwt;
mod jwt_forms;
mod jwt_places;
mod parsers;
pub(crate) mod parsers_mutated;
mod races;
mod secrets;
mod smuggling;
mod smuggling_h2;
mod tricks;

use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::support::outbox;
use crate::support::server::{HttpResponse, PASSWORD, SendRequest, TestServer, TestUser, TokenPair};

const OTHER_PASSWORD: &str = "another harbour at dawn";

/// Builds one request that would return tokens or redeem a secret.
type BuildRequest = Box<dyn Fn(&TestServer) -> RequestBuilder>;

fn text(body: &Value, field: &str) -> String {
    body[field].as_str().unwrap_or_else(|| panic!("no {field}: {body}")).to_owned()
}

/// The access and refresh token in a response, with or without an envelope.
#[track_caller]
fn token_pair(response: &HttpResponse) -> (String, String) {
    let body = response.json();
    let body = if body["data"].is_object() { &body["data"] } else { &body };
    (text(body, "access_token"), text(body, "refresh_token"))
}

/// A POST with a JSON body; without an `Authorization` header if `bearer` is empty.
fn post_json(path: &str, bearer: &str, body: Value) -> BuildRequest {
    let (path, bearer) = (path.to_owned(), bearer.to_owned());
    Box::new(move |server| {
        let request = server.post(&path).json(&body);
        if bearer.is_empty() { request } else { request.bearer_auth(&bearer) }
    })
}

/// The sign-ins by password that take a second factor in the same request. (`myauth` has a second step instead.)
fn password_sign_ins(user: &TestUser, code: &str) -> Vec<BuildRequest> {
    let TestUser { email, username, .. } = user;
    let body = json!({"email": email, "password": PASSWORD, "totp_code": code, "otp_code": code});
    let form = [("username", username.clone()), ("password", PASSWORD.to_owned()), ("totp_code", code.to_owned())];
    vec![
        post_json("/sessions", "", body.clone()),
        post_json("/auth/signin/otp", "", body.clone()),
        post_json("/api/v1/login", "", body),
        Box::new(move |server| server.post("/api/auth/login").form(&form)),
    ]
}

/// The dialects that exchange refresh tokens; the first four rotate them.
const REFRESHING_DIALECTS: [&str; 6] = ["native", "myauth", "unturned", "ucontact", "codes", "v1"];

/// Exchanges a refresh token by the call of a dialect.
fn refresh_request(dialect: &str, user: &TestUser, refresh: &str) -> BuildRequest {
    let body = json!({"refresh_token": refresh, "user_uuid": user.id});
    match dialect {
        "native" => {
            let form = [("grant_type", "refresh_token".to_owned()), ("refresh_token", refresh.to_owned())];
            Box::new(move |server| server.post("/oauth/token").form(&form))
        }
        "myauth" => post_json("/auth/login/refresh", refresh, json!({})),
        "unturned" => post_json("/auth/verification/refresh-token", "", body),
        "ucontact" => post_json("/api/auth/refresh-token", "", body),
        "codes" => post_json("/auth/refresh", "", body),
        _ => post_json("/api/v1/refresh", "", body),
    }
}

/// Opens a session whose refresh token the dialect accepts; returns the access and the refresh token.
async fn sign_in_for_refresh(server: &TestServer, dialect: &str, user: &TestUser) -> (String, String) {
    match dialect {
        "codes" | "v1" => {
            let body = json!({"email": user.email, "password": PASSWORD});
            let tokens = server.post("/api/v1/login").json(&body).send_checked().await.is(200).json();
            (text(&tokens, "access_token"), text(&tokens, "refresh_token"))
        }
        _ => {
            let tokens = server.sign_in(user).await;
            (tokens.access, tokens.refresh)
        }
    }
}

/// Counts the mails to an address once the queue is empty, so that an earlier notice is not taken for the next link.
async fn count_mails(server: &TestServer, email: &str) -> usize {
    outbox::wait_until_queue_is_empty(server).await;
    outbox::mails(server, email).len()
}

/// Requests a sign-in code and returns it.
async fn mail_sign_in_code(server: &TestServer, email: &str) -> String {
    let before = count_mails(server, email).await;
    server.post("/auth/verification/send-code").json(&json!({"email": email})).send_checked().await.is(202);
    outbox::wait_for_mail(server, email, before).await.code()
}

/// Requests a code that verifies the user's address and returns it.
async fn mail_verification_code(server: &TestServer, user: &TestUser) -> String {
    let before = count_mails(server, &user.email).await;
    server.post("/auth/mail/verify/send").json(&json!({"user_id": user.id})).send_checked().await.is(200);
    outbox::wait_for_mail(server, &user.email, before).await.code()
}

/// Requests a link, by `magic` or `recover`; returns its token and the device secret (`claim` on the wire).
async fn mail_link(server: &TestServer, what: &str, email: &str) -> (String, String) {
    let before = count_mails(server, email).await;
    let response = server.post(&format!("/auth/login/{what}/{email}")).send_checked().await;
    let claim = text(&response.is(200).json(), "claim");
    (outbox::wait_for_mail(server, email, before).await.token(), claim)
}

/// Requests a password reset link that needs no device secret and returns its token.
async fn mail_reset_link(server: &TestServer, user: &TestUser) -> String {
    let before = count_mails(server, &user.email).await;
    let body = json!({"email": user.email, "username": user.username});
    server.post("/api/v1/password-reset").json(&body).send_checked().await.is(200);
    outbox::wait_for_mail(server, &user.email, before).await.token()
}

/// Takes the first step of a `myauth` sign-in; returns the token for the second.
async fn start_two_step_sign_in(server: &TestServer, user: &TestUser) -> String {
    let form = [("username", user.email.as_str()), ("password", PASSWORD)];
    let response = server.form("/auth/login/oauth", &form).await.is(200).json();
    assert!(response["refresh_token"].is_null(), "a second factor is required: {response}");
    text(&response, "access_token")
}
