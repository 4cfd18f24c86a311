//! The `unturned` dialect, tested as its clients use it, in the order of its document: every call and every code, over
//! the embedded default and over Redis and Postgres.

mod codes;
mod document;
mod fleet;
mod keys;
mod limits;
mod me;
mod second_factor;
mod tokens;
mod wording;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::outbox;
use crate::support::server::{HttpResponse, SendRequest, TestServer};

const SEND: &str = "/auth/verification/send-code";
const VERIFY: &str = "/auth/verification/verify-code";
const REFRESH: &str = "/auth/verification/refresh-token";
const REVOKE: &str = "/auth/verification/revoke-token";
const KEYS: &str = "/auth/api-keys/";

/// The id of nothing.
const UNKNOWN_ID: &str = "00000000-0000-7000-8000-000000000000";

/// A user with a session of this dialect.
struct Member {
    id: String,
    email: String,
    project: String,
    access: String,
    refresh: String,
}

async fn call(server: &TestServer, path: &str, body: &Value) -> HttpResponse {
    server.post(path).json(body).send_checked().await
}

async fn send(server: &TestServer, email: &str) -> HttpResponse {
    call(server, SEND, &json!({"email": email})).await
}

/// Requests a code and reads it from the mail, which goes to the canonical address.
async fn code_for(server: &TestServer, email: &str) -> String {
    let address = email.trim().to_lowercase();
    let before = outbox::mails(server, &address).len();
    send(server, email).await.is(202);
    outbox::wait_for_mail(server, &address, before).await.code()
}

async fn verify(server: &TestServer, email: &str, code: &str) -> HttpResponse {
    call(server, VERIFY, &json!({"email": email, "code": code})).await
}

/// Six digits that are not the code.
fn wrong_code(code: &str) -> String {
    format!("{:06}", (code.parse::<u32>().unwrap() + 1) % 1_000_000)
}

/// Signs in with a mailed code; returns the access and refresh token.
async fn sign_in(server: &TestServer, email: &str) -> (String, String) {
    let code = code_for(server, email).await;
    verify(server, email, &code).await.is(200).token_pair()
}

/// Creates a user by a sign-in.
async fn member(server: &TestServer, name: &str) -> Member {
    let email = format!("{name}@example.org");
    let (access, refresh) = sign_in(server, &email).await;
    let id = text(&server.verify(&access).await.is(200).json()["claims"], "sub");
    let projects = server.get("/projects").bearer_auth(&access).send_checked().await.is(200).json();
    let project = text(&projects["projects"][0], "id");
    Member { id, email, project, access, refresh }
}

/// A request of `/api-keys` in a project.
fn keys_request(server: &TestServer, method: Method, path: &str, project: &str) -> reqwest::RequestBuilder {
    server.request(method, path).header("x-project-id", project)
}

/// Creates an API key and returns the response's data. Each key gets a millisecond of its own, because keys created in
/// the same millisecond have no order.
async fn create_key(server: &TestServer, member: &Member, body: &Value) -> Value {
    let clock = signet::clock::Clock::system();
    let before = clock.now();
    while clock.now() <= before {
        tokio::task::yield_now().await;
    }
    let created = keys_request(server, Method::POST, KEYS, &member.project)
        .bearer_auth(&member.access)
        .json(body)
        .send_checked()
        .await;
    created.is(201).data()
}

#[track_caller]
fn text(body: &Value, field: &str) -> String {
    body[field].as_str().unwrap_or_else(|| panic!("no {field}: {body}")).to_owned()
}

trait UnturnedResponse {
    /// The `data` of a success, whose envelope is asserted.
    fn data(&self) -> Value;
    /// The access and refresh token in `data`.
    fn token_pair(&self) -> (String, String);
    /// Asserts an error in the envelope.
    fn is_error(&self, status: u16, code: &str) -> &Self;
    /// Asserts a 422 with these field errors, in order: location and type of each.
    fn has_field_errors(&self, expected: &[(&[&str], &str)]);
}

impl UnturnedResponse for HttpResponse {
    #[track_caller]
    fn data(&self) -> Value {
        let body = self.json();
        assert_eq!((&body["success"], &body["error"]), (&json!(true), &Value::Null), "{self:?}");
        assert_eq!(self.header("cache-control"), "no-store", "{self:?}");
        body["data"].clone()
    }

    #[track_caller]
    fn token_pair(&self) -> (String, String) {
        let data = self.data();
        let (access, refresh) = (text(&data, "access_token"), text(&data, "refresh_token"));
        assert_eq!(data, json!({"access_token": access, "refresh_token": refresh, "token_type": "bearer"}));
        (access, refresh)
    }

    #[track_caller]
    fn is_error(&self, status: u16, code: &str) -> &Self {
        let body = self.json();
        assert_eq!((self.status, body["error"]["code"].as_str()), (status, Some(code)), "{self:?}");
        let message = text(&body["error"], "message");
        assert_eq!(body, json!({"success": false, "data": {}, "error": {"code": code, "message": message}}));
        assert_eq!(self.header("content-type"), "application/json", "{self:?}");
        self
    }

    #[track_caller]
    fn has_field_errors(&self, expected: &[(&[&str], &str)]) {
        self.is(422);
        let body = self.json();
        let entries = body["detail"].as_array().unwrap_or_else(|| panic!("{body}"));
        let found: Vec<_> = entries.iter().map(|entry| (entry["loc"].clone(), text(entry, "type"))).collect();
        let expected: Vec<_> = expected.iter().map(|(loc, kind)| (json!(loc), (*kind).to_owned())).collect();
        assert_eq!(found, expected, "{body}");
        assert!(entries.iter().all(|entry| entry["msg"].is_string() && entry.get("input").is_none()), "{body}");
    }
}
