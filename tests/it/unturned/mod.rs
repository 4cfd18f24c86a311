//! The `unturned` dialect as its clients meet it, read along its document: every call and every code, over the embedded default and
//! again over Redis and Postgres.

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

const NOBODY: &str = "00000000-0000-7000-8000-000000000000";

/// Somebody who has signed in here.
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

/// Asks for a code and reads the mail, which goes to the address in its one form.
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
fn wrong(code: &str) -> String {
    format!("{:06}", (code.parse::<u32>().unwrap() + 1) % 1_000_000)
}

/// Signs in with a code that is mailed.
async fn signed_in(server: &TestServer, email: &str) -> (String, String) {
    let code = code_for(server, email).await;
    verify(server, email, &code).await.is(200).pair()
}

/// Somebody new.
async fn member(server: &TestServer, name: &str) -> Member {
    let email = format!("{name}@example.org");
    let (access, refresh) = signed_in(server, &email).await;
    let id = text(&server.verify(&access).await.is(200).json()["claims"], "sub");
    let projects = server.get("/projects").bearer_auth(&access).send_checked().await.is(200).json();
    let project = text(&projects["projects"][0], "id");
    Member { id, email, project, access, refresh }
}

/// A call of `/api-keys` in a project.
fn keys(server: &TestServer, method: Method, path: &str, project: &str) -> reqwest::RequestBuilder {
    server.request(method, path).header("x-project-id", project)
}

/// Makes an API key and gives what was told of it. In a millisecond of its own: of those of the same none is the newest.
async fn key(server: &TestServer, member: &Member, body: &Value) -> Value {
    let clock = signet::clock::Clock::system();
    let before = clock.now();
    while clock.now() <= before {
        tokio::task::yield_now().await;
    }
    let made =
        keys(server, Method::POST, KEYS, &member.project).bearer_auth(&member.access).json(body).send_checked().await;
    made.is(201).data()
}

#[track_caller]
fn text(body: &Value, field: &str) -> String {
    body[field].as_str().unwrap_or_else(|| panic!("no {field}: {body}")).to_owned()
}

trait Enveloped {
    /// What went well.
    fn data(&self) -> Value;
    /// The tokens in it.
    fn pair(&self) -> (String, String);
    /// Demands a failure in the envelope.
    fn fails(&self, status: u16, code: &str) -> &Self;
    /// Demands a 422 of these faults: where, and of which type.
    fn faults(&self, expected: &[(&[&str], &str)]);
}

impl Enveloped for HttpResponse {
    #[track_caller]
    fn data(&self) -> Value {
        let body = self.json();
        assert_eq!((&body["success"], &body["error"]), (&json!(true), &Value::Null), "{self:?}");
        assert_eq!(self.header("cache-control"), "no-store", "{self:?}");
        body["data"].clone()
    }

    #[track_caller]
    fn pair(&self) -> (String, String) {
        let data = self.data();
        let (access, refresh) = (text(&data, "access_token"), text(&data, "refresh_token"));
        assert_eq!(data, json!({"access_token": access, "refresh_token": refresh, "token_type": "bearer"}));
        (access, refresh)
    }

    #[track_caller]
    fn fails(&self, status: u16, code: &str) -> &Self {
        let body = self.json();
        assert_eq!((self.status, body["error"]["code"].as_str()), (status, Some(code)), "{self:?}");
        let message = text(&body["error"], "message");
        assert_eq!(body, json!({"success": false, "data": {}, "error": {"code": code, "message": message}}));
        assert_eq!(self.header("content-type"), "application/json", "{self:?}");
        self
    }

    #[track_caller]
    fn faults(&self, expected: &[(&[&str], &str)]) {
        self.is(422);
        let body = self.json();
        let entries = body["detail"].as_array().unwrap_or_else(|| panic!("{body}"));
        let named: Vec<_> = entries.iter().map(|entry| (entry["loc"].clone(), text(entry, "type"))).collect();
        let expected: Vec<_> = expected.iter().map(|(loc, kind)| (json!(loc), (*kind).to_owned())).collect();
        assert_eq!(named, expected, "{body}");
        assert!(entries.iter().all(|entry| entry["msg"].is_string() && entry.get("input").is_none()), "{body}");
    }
}
