//! The `v1` dialect, tested as its clients use it, in the order of its document: every call over the embedded default
//! and over Redis and Postgres.

mod passwords;
mod settings;
mod sign_in;
mod sign_up;
mod tokens;

use serde_json::{Value, json};

use crate::support::outbox;
use crate::support::server::{HttpResponse, SendRequest, TestServer};
use crate::support::signet::Plan;

/// The public URL in the settings of the tests.
const PUBLIC_URL: &str = "https://id.example.org";

fn published(plan: Plan) -> Plan {
    plan.set("SIGNET_SERVER__PUBLIC_URL", PUBLIC_URL).set("RESET_PASSWORD_URL", "https://app.example.org/reset")
}

/// The password in the document's examples.
const PASSWORD: &str = "123456";

/// A user who signed up through this dialect.
struct Member {
    email: String,
    username: String,
}

/// The tokens of a sign-in through this dialect.
struct Tokens {
    access: String,
    refresh: String,
}

async fn call(server: &TestServer, path: &str, body: Value) -> HttpResponse {
    server.post(path).json(&body).send_checked().await
}

async fn register(server: &TestServer, query: &str, name: &str) -> HttpResponse {
    let body = json!({"email": format!("{name}@example.com"), "username": name, "password": PASSWORD});
    call(server, &format!("/api/v1/register{query}"), body).await
}

async fn member(server: &TestServer, name: &str) -> Member {
    register(server, "?sendEmail=false", name).await.is(201);
    Member { email: format!("{name}@example.com"), username: name.to_owned() }
}

async fn try_sign_in(server: &TestServer, email: &str, password: &str) -> HttpResponse {
    call(server, "/api/v1/login", json!({"email": email, "password": password})).await
}

/// Signs in, in a millisecond of its own, as [`TestServer::sign_in`] does.
async fn sign_in(server: &TestServer, member: &Member) -> Tokens {
    let clock = signet::clock::Clock::system();
    let before = clock.now();
    while clock.now() <= before {
        tokio::task::yield_now().await;
    }
    try_sign_in(server, &member.email, PASSWORD).await.is(200).issued_tokens()
}

async fn refresh(server: &TestServer, token: &str) -> HttpResponse {
    call(server, "/api/v1/refresh", json!({"refresh_token": token})).await
}

async fn verify(server: &TestServer, token: &str) -> HttpResponse {
    call(server, "/api/v1/verify", json!({"token": token})).await
}

async fn me(server: &TestServer, token: &str) -> HttpResponse {
    server.get("/api/v1/authorized/me").bearer_auth(token).send_checked().await
}

/// Waits for the mail that follows the first `before` mails; returns the token of its link.
async fn mailed_token(server: &TestServer, email: &str, before: usize) -> String {
    outbox::wait_for_mail(server, email, before).await.token()
}

/// The payload of an access token.
fn payload(token: &str) -> Value {
    use base64::Engine;
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[track_caller]
fn text(body: &Value, field: &str) -> String {
    body[field].as_str().unwrap_or_else(|| panic!("no {field}: {body}")).to_owned()
}

trait V1Response {
    /// Asserts the status and the error.
    fn is_error(&self, status: u16, error: &str) -> &Self;
    /// Asserts the status and a body that is this message only.
    fn is_message(&self, status: u16, message: &str) -> &Self;
    /// The tokens in the body.
    fn issued_tokens(&self) -> Tokens;
}

impl V1Response for HttpResponse {
    #[track_caller]
    fn is_error(&self, status: u16, error: &str) -> &Self {
        assert_eq!((self.status, &self.json()["error"]), (status, &error.into()), "{self:?}");
        assert_eq!(self.header("content-type"), "application/json", "{self:?}");
        self
    }

    #[track_caller]
    fn is_message(&self, status: u16, message: &str) -> &Self {
        assert_eq!((self.status, self.json()), (status, json!({"message": message})), "{self:?}");
        self
    }

    #[track_caller]
    fn issued_tokens(&self) -> Tokens {
        let body = self.json();
        Tokens { access: text(&body, "access_token"), refresh: text(&body, "refresh_token") }
    }
}
