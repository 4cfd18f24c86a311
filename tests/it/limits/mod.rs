//! What is tried too often is told so by every dialect, and one identity has one counter in all of them, however it is spelled.
//!
//! `native::limits` has the sign-ins of our own dialect; here is what the dialects have in common.

mod calls;
mod everyday;
mod rates;
mod revocations;
mod tries;

use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::server::{HttpResponse, PASSWORD, Person, SendRequest, TestServer};
use crate::support::totp;

/// A dialect, for its wording.
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
    /// Demands that the answer tells of too many tries, in the dialect's words, and when to come again.
    #[track_caller]
    fn tells_of_too_many(self, answer: &HttpResponse) {
        answer.is(429);
        let seconds: u64 = answer.header("retry-after").parse().expect("whole seconds");
        assert!((1..=86_400).contains(&seconds), "{answer:?}");
        let body = answer.json();
        match self {
            Self::Native => drop(answer.is_problem(429, "too-many")),
            Self::Unturned => {
                assert_eq!((&body["success"], &body["data"]), (&json!(false), &json!({})), "{answer:?}");
                assert_eq!(body["error"]["code"], "too_many_requests", "{answer:?}");
            }
            Self::Myauth | Self::Ucontact => assert_eq!(body, json!({"detail": "Too Many Requests"})),
            Self::Codes => assert_eq!(body, json!({"error_code": "TOO_MANY_REQUESTS"})),
            Self::V1 => assert_eq!(body, json!({"error": "too many requests"})),
        }
    }
}

/// Somebody who is named in a request, as the request has it, and what they hold.
#[derive(Clone, Debug)]
struct Who {
    id: String,
    email: String,
    username: String,
    /// An access token.
    access: String,
    /// That of somebody else.
    friend: String,
    /// The key of the second factor, if there is one.
    key: String,
    /// What `myauth` gives for the second step.
    step: String,
}

impl Who {
    /// Somebody without a second factor.
    async fn plain(server: &TestServer) -> Self {
        Self::of(server, server.person(&["--verified"])).await
    }

    /// The same by another name: an address of this form.
    async fn at(server: &TestServer, email: &str, username: &str) -> Self {
        let made = server.plan().user(email, PASSWORD, &["--username", username, "--verified"]);
        let id = made["id"].as_str().expect("a user has an id").to_owned();
        let email = made["email"].as_str().expect("and an address").to_owned();
        Self::of(server, Person { id, email, username: username.to_owned() }).await
    }

    async fn of(server: &TestServer, person: Person) -> Self {
        let (access, friend) = (server.sign_in(&person).await.access, server.sign_in(&server.person(&[])).await.access);
        let Person { id, email, username } = person;
        Self { id, email, username, access, friend, key: String::new(), step: String::new() }
    }

    /// An address and a name that nobody has.
    fn nobody(name: &str) -> Self {
        let (email, username) = (format!("{name}@example.org"), name.to_owned());
        let none = String::new;
        Self { id: none(), email, username, access: none(), friend: none(), key: none(), step: none() }
    }

    /// Turns a second factor on, and takes the first of two steps.
    async fn with_a_factor(self, server: &TestServer) -> Self {
        let begun = server.post("/totp").bearer_auth(&self.access).send_checked().await.is(201).json();
        let key = text(&begun, "key");
        let body = json!({"code": totp::code(&key, 0), "password": PASSWORD});
        server.request(Method::PUT, "/totp").bearer_auth(&self.access).json(&body).send_checked().await.is(200);
        let form = [("username", self.email.as_str()), ("password", PASSWORD)];
        let step = server.form("/auth/login/oauth", &form).await.is(200).json();
        Self { key, step: text(&step, "access_token"), ..self }
    }

    /// A code that the app does not show.
    fn wrong_code(&self) -> String {
        totp::wrong_code(&self.key)
    }

    /// The same, in all the ways in which a domain of other letters can be written.
    fn spellings(&self) -> Vec<Self> {
        let (local, domain) = self.email.split_once('@').expect("it is an address");
        let written = domain.replace("xn--bcher-kva", "bücher");
        let spelled = |email: String| Self { email, username: self.username.to_uppercase(), ..self.clone() };
        vec![
            self.clone(),
            spelled(self.email.to_uppercase()),
            spelled(format!("  {local}@{written} ")),
            spelled(format!("{}@{}", local.to_uppercase(), written.to_uppercase())),
        ]
    }
}

fn text(body: &Value, field: &str) -> String {
    body[field].as_str().unwrap_or_else(|| panic!("no {field}: {body}")).to_owned()
}

/// Sends a request through the proxy, for a client at `address`.
async fn from(address: &str, request: RequestBuilder) -> HttpResponse {
    request.header("x-forwarded-for", address).send_checked().await
}
