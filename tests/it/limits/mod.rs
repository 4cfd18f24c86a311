//! Rate limits: every dialect reports them in its own words, and all dialects and spellings of an account share them.
//!
//! Sign-ins of the `native` dialect are tested in `native::limits`; this module tests all dialects together.

mod attempts;
mod calls;
mod costly;
mod defaults;
mod failing;
mod lockout;
mod rates;
mod revocations;
mod sites;
mod strangers;
mod total;

use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::server::{HttpResponse, PASSWORD, SendRequest, TestServer, TestUser};
use crate::support::totp;

/// A dialect, for the form of its errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    Native,
    Unturned,
    Myauth,
    Codes,
    Ucontact,
    V1,
}

impl Dialect {
    /// Asserts that the response is the dialect's rate limit error with `Retry-After`.
    #[track_caller]
    fn assert_rate_limited(self, response: &HttpResponse) {
        response.is(429);
        let seconds: u64 = response.header("retry-after").parse().expect("whole seconds");
        assert!((1..=86_400).contains(&seconds), "{response:?}");
        let body = response.json();
        match self {
            Self::Native => drop(response.is_problem(429, "rate_limited")),
            Self::Unturned => {
                assert_eq!((&body["success"], &body["data"]), (&json!(false), &json!({})), "{response:?}");
                assert_eq!(body["error"]["code"], "too_many_requests", "{response:?}");
            }
            Self::Myauth | Self::Ucontact => assert_eq!(body, json!({"detail": "Too Many Requests"})),
            Self::Codes => assert_eq!(body, json!({"error_code": "TOO_MANY_REQUESTS"})),
            Self::V1 => assert_eq!(body, json!({"error": "too many requests"})),
        }
    }
}

/// The account that requests are about, spelled as in the request, with its credentials.
#[derive(Clone, Debug)]
struct Target {
    id: String,
    email: String,
    username: String,
    access: String,
    /// The access token of another user.
    other_access: String,
    /// The TOTP key; empty without a second factor.
    key: String,
    /// The token that `myauth` returns for the second step.
    mfa_token: String,
}

impl Target {
    /// A user without a second factor.
    async fn plain(server: &TestServer) -> Self {
        Self::of(server, server.create_user(&["--verified"])).await
    }

    /// A user with this address and username.
    async fn with_login(server: &TestServer, email: &str, username: &str) -> Self {
        let created = server.plan().create_user(email, PASSWORD, &["--username", username, "--verified"]);
        let id = created["id"].as_str().expect("a user has an id").to_owned();
        let email = created["email"].as_str().expect("a user has an address").to_owned();
        Self::of(server, TestUser { id, email, username: username.to_owned() }).await
    }

    async fn of(server: &TestServer, user: TestUser) -> Self {
        let (access, other_access) =
            (server.sign_in(&user).await.access, server.sign_in(&server.create_user(&[])).await.access);
        let TestUser { id, email, username } = user;
        Self { id, email, username, access, other_access, key: String::new(), mfa_token: String::new() }
    }

    /// An address and a username that no account has.
    fn unknown(name: &str) -> Self {
        let (email, username) = (format!("{name}@example.org"), name.to_owned());
        let empty = String::new;
        Self { id: empty(), email, username, access: empty(), other_access: empty(), key: empty(), mfa_token: empty() }
    }

    /// Enables TOTP, and signs in up to the second step.
    async fn with_totp(self, server: &TestServer) -> Self {
        let enrollment = server.post("/totp").bearer_auth(&self.access).send_checked().await.is(201).json();
        let key = text(&enrollment, "key");
        let body = json!({"code": totp::code(&key, 0), "password": PASSWORD});
        server.request(Method::PUT, "/totp").bearer_auth(&self.access).json(&body).send_checked().await.is(200);
        let form = [("username", self.email.as_str()), ("password", PASSWORD)];
        let first_step = server.form("/auth/login/oauth", &form).await.is(200).json();
        Self { key, mfa_token: text(&first_step, "access_token"), ..self }
    }

    /// A code that the authenticator app does not show.
    fn wrong_code(&self) -> String {
        totp::wrong_code(&self.key)
    }

    /// The same account in all spellings of an internationalized domain.
    fn spellings(&self) -> Vec<Self> {
        let (local, domain) = self.email.split_once('@').expect("it is an address");
        let unicode_domain = domain.replace("xn--bcher-kva", "bücher");
        let with_email = |email: String| Self { email, username: self.username.to_uppercase(), ..self.clone() };
        vec![
            self.clone(),
            with_email(self.email.to_uppercase()),
            with_email(format!("  {local}@{unicode_domain} ")),
            with_email(format!("{}@{}", local.to_uppercase(), unicode_domain.to_uppercase())),
        ]
    }
}

fn text(body: &Value, field: &str) -> String {
    body[field].as_str().unwrap_or_else(|| panic!("no {field}: {body}")).to_owned()
}

/// Sends a request through the trusted proxy, as a client at `address`.
async fn send_from(address: &str, request: RequestBuilder) -> HttpResponse {
    request.header("x-forwarded-for", address).send_checked().await
}
