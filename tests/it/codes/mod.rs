//! The `codes` dialect, tested as its clients use it, in the order of its document: every call and every code, over the
//! embedded default and over Redis and Postgres.

mod accounts;
mod every_code;
mod mail;
mod otp;
mod sign_in;
mod wording;

use serde_json::{Value, json};

use crate::support::server::{HttpResponse, SendRequest, TestServer};
use crate::support::signet::Plan;

const PASSWORD: &str = "StrongPassword123";

/// The id of no user.
const UNKNOWN_USER: &str = "85f22dda-efc2-459d-b518-640400a69e8d";

fn documented(plan: Plan) -> Plan {
    plan
}

fn in_band(plan: Plan) -> Plan {
    plan.set("SIGNET_API__CODES__STATUS", "in-band")
}

/// A user who signed up through this dialect.
struct Member {
    id: String,
    email: String,
}

/// The tokens of a sign-in through this dialect.
struct Tokens {
    access: String,
    refresh: String,
}

async fn call(server: &TestServer, path: &str, body: Value) -> HttpResponse {
    server.post(path).json(&body).send_checked().await
}

async fn with_token(server: &TestServer, path: &str, token: &str) -> HttpResponse {
    server.post(path).bearer_auth(token).send_checked().await
}

async fn member(server: &TestServer, name: &str) -> Member {
    let email = format!("{name}@example.org");
    let body = json!({"email": email, "user_name": name, "password": PASSWORD});
    let created = call(server, "/auth/signup", body).await.is(200).json();
    Member { id: text(&created, "user_id"), email }
}

async fn try_sign_in(server: &TestServer, email: &str, password: &str) -> HttpResponse {
    call(server, "/auth/signin", json!({"email": email, "password": password})).await
}

async fn sign_in(server: &TestServer, member: &Member) -> Tokens {
    try_sign_in(server, &member.email, PASSWORD).await.is(200).issued_tokens()
}

async fn try_otp(server: &TestServer, member: &Member, code: &str) -> HttpResponse {
    let body = json!({"email": member.email, "password": PASSWORD, "otp_code": code});
    call(server, "/auth/signin/otp", body).await
}

/// Enables the second factor; returns the key and the backup codes.
async fn create_otp(server: &TestServer, access: &str) -> (String, Vec<String>) {
    let response = with_token(server, "/auth/create/otp", access).await;
    assert_eq!(response.is(200).header("cache-control"), "no-store");
    let body = response.json();
    let codes = body["backup_codes"].as_array().unwrap().iter().map(|code| code.as_str().unwrap().to_owned());
    (text(&body, "otp_key"), codes.collect())
}

#[track_caller]
fn text(body: &Value, field: &str) -> String {
    body[field].as_str().unwrap_or_else(|| panic!("no {field}: {body}")).to_owned()
}

trait CodesResponse {
    /// Asserts the status and a body that is this code only.
    fn has_code(&self, status: u16, code: &str) -> &Self;
    /// The tokens in the body.
    fn issued_tokens(&self) -> Tokens;
}

impl CodesResponse for HttpResponse {
    #[track_caller]
    fn has_code(&self, status: u16, code: &str) -> &Self {
        assert_eq!((self.status, self.json()), (status, json!({"error_code": code})), "{self:?}");
        assert_eq!(self.header("content-type"), "application/json", "{self:?}");
        self
    }

    #[track_caller]
    fn issued_tokens(&self) -> Tokens {
        let body = self.json();
        Tokens { access: text(&body, "access_token"), refresh: text(&body, "refresh_token") }
    }
}
