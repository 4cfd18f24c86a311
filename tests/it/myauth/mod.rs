//! The `myauth` dialect, tested as its clients use it, in the order of its document.

mod expiry;
mod limits;
mod links;
mod me;
mod passwords;
mod purposes;
mod reset;
mod second_factor;
mod users;
mod wording;

use std::sync::atomic::{AtomicUsize, Ordering};

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::server::{HttpResponse, PASSWORD, SendRequest, TestServer};

/// A password that differs from [`PASSWORD`].
const OTHER_PASSWORD: &str = "a louder harbour at dawn";

/// A user with a session of this dialect.
#[derive(Clone, Debug)]
struct Member {
    id: String,
    email: String,
    access: String,
    refresh: String,
}

/// An e-mail address that no other test uses.
fn new_address() -> String {
    static CREATED: AtomicUsize = AtomicUsize::new(0);
    format!("member-{}@example.org", CREATED.fetch_add(1, Ordering::Relaxed))
}

/// A request with this bearer token.
fn request_as(server: &TestServer, method: Method, path: &str, bearer: &str) -> RequestBuilder {
    server.request(method, path).bearer_auth(bearer)
}

async fn post(server: &TestServer, path: &str, bearer: &str, body: Value) -> HttpResponse {
    request_as(server, Method::POST, path, bearer).json(&body).send_checked().await
}

async fn sign_up(server: &TestServer, email: &str) -> HttpResponse {
    server.post("/auth/login/signup").json(&json!({"email": email, "password": PASSWORD})).send_checked().await
}

/// Tries to sign in by form, in a millisecond of its own: a revocation of all of a user's tokens includes those issued
/// in the same millisecond.
async fn try_sign_in(server: &TestServer, email: &str, password: &str) -> HttpResponse {
    let clock = signet::clock::Clock::system();
    let before = clock.now();
    while clock.now() <= before {
        tokio::task::yield_now().await;
    }
    server.form("/auth/login/oauth", &[("username", email), ("password", password)]).await
}

/// Signs up a new user and signs in.
async fn member(server: &TestServer) -> Member {
    let email = new_address();
    sign_up(server, &email).await.is(200);
    sign_in(server, &email, PASSWORD).await
}

/// Creates a user with these arguments of `signet users create` and signs in.
async fn member_with(server: &TestServer, arguments: &[&str]) -> Member {
    let email = new_address();
    server.plan().create_user(&email, PASSWORD, arguments);
    sign_in(server, &email, PASSWORD).await
}

async fn sign_in(server: &TestServer, email: &str, password: &str) -> Member {
    member_from(server, email, &try_sign_in(server, email, password).await).await
}

/// The member whose tokens this response contains.
async fn member_from(server: &TestServer, email: &str, response: &HttpResponse) -> Member {
    let (access, refresh) = tokens(response);
    let id = me(server, &access).await["id"].as_str().unwrap().to_owned();
    Member { id, email: email.to_owned(), access, refresh }
}

/// The access and refresh token of a response that contains nothing else.
#[track_caller]
fn tokens(response: &HttpResponse) -> (String, String) {
    let body = response.is(200).json();
    assert_eq!((body["token_type"].as_str(), body.as_object().unwrap().len()), (Some("bearer"), 3), "{body}");
    assert_eq!(response.header("cache-control"), "no-store");
    let text = |field: &str| body[field].as_str().unwrap_or_else(|| panic!("no {field}: {body}")).to_owned();
    (text("access_token"), text("refresh_token"))
}

/// The MFA token of a response that contains no other token.
#[track_caller]
fn mfa_token(response: &HttpResponse) -> String {
    let body = response.is(200).json();
    assert_eq!(body["refresh_token"], Value::Null, "{body}");
    assert_eq!((body["token_type"].as_str(), body.as_object().unwrap().len()), (Some("bearer"), 3), "{body}");
    assert_eq!(response.header("cache-control"), "no-store");
    body["access_token"].as_str().unwrap().to_owned()
}

async fn me(server: &TestServer, access: &str) -> Value {
    request_as(server, Method::GET, "/auth/users/me", access).send_checked().await.is(200).json()
}

/// Asserts an error: `{"detail": …}`.
#[track_caller]
fn assert_error(response: &HttpResponse, status: u16, detail: &str) {
    assert_eq!(response.is(status).json(), json!({"detail": detail}));
    assert_eq!(response.header("content-type"), "application/json");
    match (status, detail) {
        (401, "Not authenticated") => assert_eq!(response.header("www-authenticate"), "Bearer"),
        (401, _) => assert_eq!(response.header("www-authenticate"), r#"Bearer error="invalid_token""#),
        _ => {}
    }
}

/// Asserts a success: `{"msg": …}`.
#[track_caller]
fn assert_msg(response: &HttpResponse, msg: &str) {
    assert_eq!(response.is(200).json(), json!({"msg": msg}));
}

/// The field errors of a response, sorted: each location, joined by dots, with its pydantic error type.
#[track_caller]
fn field_errors(response: &HttpResponse) -> Vec<(String, String)> {
    let body = response.is(422).json();
    let errors = body["detail"].as_array().unwrap().iter().map(|entry| {
        assert!(entry["msg"].as_str().is_some_and(|msg| !msg.is_empty()), "{body}");
        let loc = entry["loc"].as_array().unwrap().iter();
        let loc = loc.map(|segment| segment.as_str().map_or_else(|| segment.to_string(), str::to_owned));
        (loc.collect::<Vec<_>>().join("."), entry["type"].as_str().unwrap().to_owned())
    });
    let mut errors = errors.collect::<Vec<_>>();
    errors.sort();
    errors
}

/// Expected field errors, in the form that [`field_errors`] returns.
fn expected(errors: &[(&str, &str)]) -> Vec<(String, String)> {
    errors.iter().map(|(loc, kind)| ((*loc).to_owned(), (*kind).to_owned())).collect()
}

/// Requests a magic link; returns the device secret.
async fn request_magic_link(server: &TestServer, email: &str) -> String {
    device_secret(&server.post(&format!("/auth/login/magic/{email}")).send_checked().await)
}

/// Requests a password reset; returns the device secret.
async fn request_reset(server: &TestServer, email: &str) -> String {
    device_secret(&server.post(&format!("/auth/login/recover/{email}")).send_checked().await)
}

/// The device secret in a response that contains nothing else.
#[track_caller]
fn device_secret(response: &HttpResponse) -> String {
    let body = response.is(200).json();
    assert_eq!(response.header("cache-control"), "no-store");
    assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
    let claim = body["claim"].as_str().unwrap();
    assert_eq!(claim.len(), 27, "160 bits in base64url");
    claim.to_owned()
}

/// Redeems a magic link with the device secret.
async fn redeem_magic_link(server: &TestServer, token: &str, secret: &str) -> HttpResponse {
    post(server, "/auth/login/claim", token, json!({"claim": secret})).await
}

/// Redeems a reset link with the device secret.
async fn reset(server: &TestServer, token: &str, secret: &str, new: &str) -> HttpResponse {
    post(server, "/auth/login/reset", token, json!({"claim": secret, "new_password": new})).await
}
