//! The `myauth` dialect as its clients meet it, in the order of its document.

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

/// Another password than everybody's.
const OTHER: &str = "a louder harbour at dawn";

/// A user of this dialect, signed in.
#[derive(Clone, Debug)]
struct Member {
    id: String,
    email: String,
    access: String,
    refresh: String,
}

/// An address that nobody else uses.
fn address() -> String {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    format!("member-{}@example.org", MADE.fetch_add(1, Ordering::Relaxed))
}

/// A request with a bearer.
fn by(server: &TestServer, method: Method, path: &str, bearer: &str) -> RequestBuilder {
    server.request(method, path).bearer_auth(bearer)
}

async fn post(server: &TestServer, path: &str, bearer: &str, body: Value) -> HttpResponse {
    by(server, Method::POST, path, bearer).json(&body).send_checked().await
}

/// Signs up.
async fn sign_up(server: &TestServer, email: &str) -> HttpResponse {
    server.post("/auth/login/signup").json(&json!({"email": email, "password": PASSWORD})).send_checked().await
}

/// Signs in by the form, in a millisecond of its own: what ends a user's tokens ends those of the same millisecond.
async fn sign_in(server: &TestServer, email: &str, password: &str) -> HttpResponse {
    let clock = signet::clock::Clock::system();
    let before = clock.now();
    while clock.now() <= before {
        tokio::task::yield_now().await;
    }
    server.form("/auth/login/oauth", &[("username", email), ("password", password)]).await
}

/// A new user, signed in.
async fn member(server: &TestServer) -> Member {
    let email = address();
    sign_up(server, &email).await.is(200);
    signed_in(server, &email, PASSWORD).await
}

/// A user that the command line makes, signed in.
async fn made(server: &TestServer, more: &[&str]) -> Member {
    let email = address();
    server.plan().create_user(&email, PASSWORD, more);
    signed_in(server, &email, PASSWORD).await
}

async fn signed_in(server: &TestServer, email: &str, password: &str) -> Member {
    entered(server, email, &sign_in(server, email, password).await).await
}

/// Who has come in with this answer.
async fn entered(server: &TestServer, email: &str, answer: &HttpResponse) -> Member {
    let (access, refresh) = tokens(answer);
    let id = me(server, &access).await["id"].as_str().unwrap().to_owned();
    Member { id, email: email.to_owned(), access, refresh }
}

/// Both tokens of an answer that is nothing but tokens.
#[track_caller]
fn tokens(answer: &HttpResponse) -> (String, String) {
    let body = answer.is(200).json();
    assert_eq!((body["token_type"].as_str(), body.as_object().unwrap().len()), (Some("bearer"), 3), "{body}");
    assert_eq!(answer.header("cache-control"), "no-store");
    let text = |field: &str| body[field].as_str().unwrap_or_else(|| panic!("no {field}: {body}")).to_owned();
    (text("access_token"), text("refresh_token"))
}

/// The token of the second step of an answer that gives nothing else.
#[track_caller]
fn step(answer: &HttpResponse) -> String {
    let body = answer.is(200).json();
    assert_eq!(body["refresh_token"], Value::Null, "{body}");
    assert_eq!((body["token_type"].as_str(), body.as_object().unwrap().len()), (Some("bearer"), 3), "{body}");
    assert_eq!(answer.header("cache-control"), "no-store");
    body["access_token"].as_str().unwrap().to_owned()
}

async fn me(server: &TestServer, access: &str) -> Value {
    by(server, Method::GET, "/auth/users/me", access).send_checked().await.is(200).json()
}

/// Demands `{"detail": …}`.
#[track_caller]
fn refused(answer: &HttpResponse, status: u16, detail: &str) {
    assert_eq!(answer.is(status).json(), json!({"detail": detail}));
    assert_eq!(answer.header("content-type"), "application/json");
    match (status, detail) {
        (401, "Not authenticated") => assert_eq!(answer.header("www-authenticate"), "Bearer"),
        (401, _) => assert_eq!(answer.header("www-authenticate"), r#"Bearer error="invalid_token""#),
        _ => {}
    }
}

/// Demands `{"msg": …}`.
#[track_caller]
fn done(answer: &HttpResponse, msg: &str) {
    assert_eq!(answer.is(200).json(), json!({"msg": msg}));
}

/// Where the fields of a request will not do, and why, in pydantic's words.
#[track_caller]
fn faults(answer: &HttpResponse) -> Vec<(String, String)> {
    let body = answer.is(422).json();
    let each = body["detail"].as_array().unwrap().iter().map(|entry| {
        assert!(entry["msg"].as_str().is_some_and(|msg| !msg.is_empty()), "{body}");
        let way = entry["loc"].as_array().unwrap().iter();
        let way = way.map(|step| step.as_str().map_or_else(|| step.to_string(), str::to_owned));
        (way.collect::<Vec<_>>().join("."), entry["type"].as_str().unwrap().to_owned())
    });
    let mut each = each.collect::<Vec<_>>();
    each.sort();
    each
}

/// The same, to be compared.
fn of(faults: &[(&str, &str)]) -> Vec<(String, String)> {
    faults.iter().map(|(at, kind)| ((*at).to_owned(), (*kind).to_owned())).collect()
}

/// Asks for a link that signs in; the device's half.
async fn magic(server: &TestServer, email: &str) -> String {
    claim_of(&server.post(&format!("/auth/login/magic/{email}")).send_checked().await)
}

/// Asks for a link to set a new password; the device's half.
async fn recover(server: &TestServer, email: &str) -> String {
    claim_of(&server.post(&format!("/auth/login/recover/{email}")).send_checked().await)
}

#[track_caller]
fn claim_of(answer: &HttpResponse) -> String {
    let body = answer.is(200).json();
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
    let claim = body["claim"].as_str().unwrap();
    assert_eq!(claim.len(), 27, "160 bits in base64url");
    claim.to_owned()
}

/// Hands both halves of a magic link in.
async fn claim(server: &TestServer, token: &str, half: &str) -> HttpResponse {
    post(server, "/auth/login/claim", token, json!({"claim": half})).await
}

/// Hands both halves of a reset in.
async fn reset(server: &TestServer, token: &str, half: &str, new: &str) -> HttpResponse {
    post(server, "/auth/login/reset", token, json!({"claim": half, "new_password": new})).await
}
