//! A running Signet and what a client of it needs: requests, answers that can be looked at, people who sign in.
//!
//! What must hold of every answer is looked at here, so that no test can forget it.

use std::sync::atomic::{AtomicUsize, Ordering};

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::signet::{Plan, Signet};
use super::{figure, postgres, redis};

/// Everybody's password.
pub(crate) const PASSWORD: &str = "a quiet harbour at dusk";

/// Makes two tests of each case: over the embedded default, and over Redis and Postgres. Each test has a server of its own,
/// so that a case can be run alone, and the failure of one hides no other.
macro_rules! over_both_stores {
    ($plan:expr; $($case:ident),+ $(,)?) => {
        mod embedded {
            use super::*;
            $(
                #[tokio::test]
                async fn $case() {
                    let server = $crate::support::server::TestServer::embedded($plan);
                    Box::pin(super::$case(&server)).await;
                }
            )+
        }

        mod redis_and_postgres {
            use super::*;
            $(
                #[tokio::test]
                async fn $case() {
                    let server = $crate::support::server::TestServer::on_servers($plan);
                    Box::pin(super::$case(&server)).await;
                }
            )+
        }
    };
}
pub(crate) use over_both_stores;

/// A running Signet, its stores, and a client.
pub(crate) struct TestServer {
    pub(crate) signet: Signet,
    stores: Option<(redis::Server, postgres::Server)>,
    http: reqwest::Client,
    made: AtomicUsize,
}

/// Somebody with the usual password.
pub(crate) struct Person {
    pub(crate) id: String,
    pub(crate) email: String,
    pub(crate) username: String,
}

/// What a sign-in or a refresh gave.
#[derive(Clone, Debug)]
pub(crate) struct Tokens {
    pub(crate) access: String,
    pub(crate) refresh: String,
    pub(crate) session: String,
}

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct HttpResponse {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl TestServer {
    /// On the embedded default.
    pub(crate) fn embedded(change: impl Fn(Plan) -> Plan) -> Self {
        Self::over(change(Plan::embedded()), None)
    }

    /// On a Redis and a Postgres of its own.
    pub(crate) fn on_servers(change: impl Fn(Plan) -> Plan) -> Self {
        let (redis, postgres) = (redis::Server::start(), postgres::Server::start());
        let plan = change(Plan::on(&redis, &postgres));
        Self::over(plan, Some((redis, postgres)))
    }

    /// On stores that the test looks after itself.
    pub(crate) fn beside(plan: Plan) -> Self {
        Self::over(plan, None)
    }

    fn over(plan: Plan, stores: Option<(redis::Server, postgres::Server)>) -> Self {
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { signet: plan.start(), stores, http, made: AtomicUsize::new(0) }
    }

    /// The command line beside the server.
    pub(crate) fn plan(&self) -> &Plan {
        self.signet.plan()
    }

    /// Changes rows behind Signet's back, for what no command does.
    pub(crate) async fn sql(&self, statement: &str) {
        match &self.stores {
            Some((_, postgres)) => postgres.client().await.batch_execute(statement).await.expect("Postgres does it"),
            None => {
                let file = rusqlite::Connection::open(self.signet.data().join("signet.db")).expect("the file is there");
                file.busy_timeout(std::time::Duration::from_secs(10)).expect("it can wait");
                file.execute_batch(statement).expect("SQLite does it");
            }
        }
    }

    /// A user that nobody else uses, with what else the command line is to say of it.
    pub(crate) fn person(&self, more: &[&str]) -> Person {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let (email, username) = (format!("person-{number}@example.org"), format!("person-{number}"));
        let more = [&["--username", &username], more].concat();
        let made = self.plan().user(&email, PASSWORD, &more);
        Person { id: made["id"].as_str().expect("a user has an id").to_owned(), email, username }
    }

    /// An API key of somebody's: the whole key, and its visible beginning.
    pub(crate) fn api_key(&self, owner: &Person, scopes: &[&str]) -> (String, String) {
        let mut words = vec!["api-keys", "create", "--user", &owner.email, "--name", "a key"];
        scopes.iter().for_each(|scope| words.extend(["--scope", scope]));
        let made = self.plan().json(&words, "");
        let text = |field: &str| made[field].as_str().expect("a new key is shown").to_owned();
        (text("full_key"), text("prefix"))
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, self.signet.at(path))
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.request(Method::POST, path)
    }

    pub(crate) fn delete(&self, path: &str) -> RequestBuilder {
        self.request(Method::DELETE, path)
    }

    /// Sends a form to a token endpoint.
    pub(crate) async fn form(&self, path: &str, fields: &[(&str, &str)]) -> HttpResponse {
        self.post(path).form(fields).send_checked().await
    }

    /// Tries to sign in by address.
    pub(crate) async fn try_sign_in(&self, email: &str, password: &str) -> HttpResponse {
        self.signing_in(email, password).send_checked().await
    }

    /// The request for it.
    pub(crate) fn signing_in(&self, email: &str, password: &str) -> RequestBuilder {
        self.post("/sessions").json(&json!({"email": email, "password": password}))
    }

    /// Signs in.
    ///
    /// In a millisecond of its own: what ends a user's tokens ends those of the same millisecond, which no sign-in at the usual
    /// cost of a hash falls into, but one as cheap as here does.
    pub(crate) async fn sign_in(&self, person: &Person) -> Tokens {
        let clock = signet::clock::Clock::machine();
        let before = clock.now();
        while clock.now() <= before {
            tokio::task::yield_now().await;
        }
        self.try_sign_in(&person.email, PASSWORD).await.is(201).tokens()
    }

    /// Tries to exchange a refresh token.
    pub(crate) async fn refresh(&self, token: &str) -> HttpResponse {
        self.form("/oauth/token", &[("grant_type", "refresh_token"), ("refresh_token", token)]).await
    }

    /// Asks what a token is worth.
    pub(crate) async fn verify(&self, token: &str) -> HttpResponse {
        self.post("/verify").json(&json!({"token": token})).send_checked().await
    }

    /// Why a token is not good; empty if it is.
    pub(crate) async fn reason(&self, token: &str) -> String {
        let answer = self.verify(token).await;
        let body = answer.json();
        assert_eq!(body["active"], answer.status == 200, "{answer:?}");
        body["reason"].as_str().unwrap_or_default().to_owned()
    }

    /// A page for operators.
    pub(crate) async fn ops(&self, path: &str) -> HttpResponse {
        let answer = self.http.get(self.signet.ops(path)).send().await.expect("it answers");
        HttpResponse::read(answer).await
    }

    /// A whole number among the metrics.
    pub(crate) async fn figure(&self, series: &str) -> u64 {
        figure(&self.ops("/metrics").await.text, series)
    }
}

/// A token with one character of its last part changed.
pub(crate) fn tampered(token: &str) -> String {
    let at = token.len() - 20;
    let other = if &token[at..=at] == "A" { "B" } else { "A" };
    format!("{}{other}{}", &token[..at], &token[at + 1..])
}

/// Sends a request.
pub(crate) trait SendRequest {
    /// Sends it, and looks at what must hold of every answer.
    async fn send_checked(self) -> HttpResponse;
}

impl SendRequest for RequestBuilder {
    async fn send_checked(self) -> HttpResponse {
        let answer = HttpResponse::read(self.send().await.expect("it answers")).await;
        answer.looks_as_it_must();
        answer
    }
}

impl HttpResponse {
    async fn read(answer: reqwest::Response) -> Self {
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Self { status, headers, text: answer.text().await.expect("its body is text") }
    }

    fn looks_as_it_must(&self) {
        assert!(!self.header("x-request-id").is_empty(), "{self:?}");
        assert_eq!(self.status == 401, !self.header("www-authenticate").is_empty(), "{self:?}");
        if matches!(self.status, 429 | 503) {
            assert!(self.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds > 0), "{self:?}");
        }
        assert!(self.status != 405 || !self.header("allow").is_empty(), "{self:?}");
        if self.header("content-type") == "application/problem+json" && !self.text.is_empty() {
            let problem = self.json();
            assert_eq!(problem["status"], self.status, "{self:?}");
            assert!(problem["type"].is_string() && problem["title"].is_string(), "{self:?}");
        }
        for telling in ["\"access_token\":", "\"refresh_token\":", "\"claims\":"] {
            // What has an ETag is for everybody: the document shows examples of tokens.
            let public = !self.header("etag").is_empty();
            let careful = public || self.header("cache-control") == "no-store";
            assert!(!self.text.contains(telling) || careful, "{self:?}");
        }
    }

    /// A header field's value, empty if it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("it is text"))
    }

    /// Demands a status.
    #[track_caller]
    pub(crate) fn is(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    /// Demands a problem document.
    #[track_caller]
    pub(crate) fn is_problem(&self, status: u16, kind: &str) -> &Self {
        self.is(status);
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        assert_eq!(self.header("cache-control"), "no-store", "{self:?}");
        assert_eq!(self.json()["type"], kind, "{self:?}");
        self
    }

    /// Demands an error as RFC 6749, 5.2 words it.
    #[track_caller]
    pub(crate) fn is_oauth_error(&self, status: u16, code: &str) -> &Self {
        self.is(status);
        assert_eq!(self.header("content-type"), "application/json", "{self:?}");
        assert_eq!(self.header("cache-control"), "no-store", "{self:?}");
        assert_eq!(self.json()["error"], code, "{self:?}");
        self
    }

    /// Its body.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The tokens in it.
    #[track_caller]
    pub(crate) fn tokens(&self) -> Tokens {
        let body = self.json();
        let text = |field: &str| body[field].as_str().unwrap_or_else(|| panic!("no {field}: {body}")).to_owned();
        Tokens { access: text("access_token"), refresh: text("refresh_token"), session: text("session_id") }
    }

    /// The same without what differs between any two answers.
    pub(crate) fn without_names(mut self) -> Self {
        self.headers.remove("date");
        self.headers.remove("x-request-id");
        self
    }
}
