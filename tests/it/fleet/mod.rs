//! Several nodes of one fleet, and sudden death: of a node, of Redis, of Postgres. Everything here goes in and out by the doors
//! that operators and clients have: the program, its settings, HTTP.

mod cluster;
mod death;
mod ended;
mod keys;
mod postgres_gone;
mod redis_gone;
mod revocation;
mod secrets;
mod stale;
mod start;

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::header::RETRY_AFTER;
use serde_json::{Value, json};

use crate::support::signet::{Plan, SECRET, Signet};
use crate::support::{postgres, redis};

const PASSWORD: &str = "a password for tests";

/// Within this much, what one node was told must be felt by all.
const SOON: Duration = Duration::from_secs(1);

/// One Redis and one Postgres, and how to start nodes on them.
struct Ground {
    redis: redis::Server,
    postgres: postgres::Server,
    plan: Plan,
}

impl Ground {
    fn new() -> Self {
        Self::with(redis::Server::start())
    }

    fn with(redis: redis::Server) -> Self {
        let postgres = postgres::Server::start();
        let plan = Plan::on(&redis, &postgres);
        Self { redis, postgres, plan }
    }

    /// Two nodes, each with a folder of its own.
    fn two(&self) -> [Signet; 2] {
        [self.plan.start(), self.plan.another().start()]
    }
}

/// A plan for Redis at an address that is no single server's.
fn plan_on(redis: &str, postgres: &postgres::Server) -> Plan {
    Plan::embedded().set("REDIS_URL", redis).set("DATABASE_URL", &postgres.url()).set("SIGNET_SECRET", SECRET)
}

/// A client of one node.
#[derive(Clone)]
struct Client {
    http: reqwest::Client,
    base: String,
    ops: String,
}

/// What a node said, and how long it took to.
#[derive(Debug)]
struct Answer {
    status: u16,
    retry_after: Option<u64>,
    body: Value,
    took: Duration,
}

/// What a sign-in or a refresh handed out.
#[derive(Clone, Debug)]
struct Pair {
    access: String,
    refresh: String,
    session: String,
}

impl Client {
    fn of(node: &Signet) -> Self {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().unwrap();
        Self { http, base: node.at(""), ops: node.ops("") }
    }

    /// Nothing comes back when the node dies meanwhile.
    async fn send(&self, request: reqwest::RequestBuilder) -> Option<Answer> {
        let began = Instant::now();
        let response = request.send().await.ok()?;
        let status = response.status().as_u16();
        let retry_after = response.headers().get(RETRY_AFTER).map(|value| value.to_str().unwrap().parse().unwrap());
        let text = response.text().await.ok()?;
        let took = began.elapsed();
        Some(Answer { status, retry_after, body: serde_json::from_str(&text).unwrap_or(Value::Null), took })
    }

    fn post(&self, path: &str) -> reqwest::RequestBuilder {
        self.http.post(format!("{}{path}", self.base))
    }

    fn delete(&self, path: &str, access: &str) -> reqwest::RequestBuilder {
        self.http.delete(format!("{}{path}", self.base)).bearer_auth(access)
    }

    async fn try_sign_in(&self, email: &str) -> Option<Answer> {
        self.send(self.post("/sessions").json(&json!({"email": email, "password": PASSWORD}))).await
    }

    async fn sign_in(&self, email: &str) -> Pair {
        self.try_sign_in(email).await.expect("the node lives").pair(201)
    }

    async fn try_refresh(&self, refresh: &str) -> Option<Answer> {
        let form = [("grant_type", "refresh_token"), ("refresh_token", refresh)];
        self.send(self.post("/oauth/token").form(&form)).await
    }

    async fn present(&self, refresh: &str) -> Answer {
        self.try_refresh(refresh).await.expect("the node lives")
    }

    async fn refresh(&self, pair: &Pair) -> Pair {
        self.present(&pair.refresh).await.pair(200)
    }

    async fn verify(&self, token: &str) -> Answer {
        self.send(self.post("/verify").json(&json!({"token": token}))).await.expect("the node lives")
    }

    /// The verdicts on many tokens: nothing if a token is good, the reason otherwise.
    async fn verdicts(&self, tokens: &[String]) -> Vec<Option<String>> {
        let mut verdicts = Vec::new();
        for some in tokens.chunks(1000) {
            let request = self.post("/verify/batch").json(&json!({"tokens": some}));
            let answer = self.send(request).await.expect("the node lives");
            assert_eq!(answer.status, 200, "{answer:?}");
            let results = answer.body["results"].as_array().unwrap().iter();
            verdicts.extend(results.map(|result| result["reason"].as_str().map(str::to_owned)));
        }
        verdicts
    }

    async fn try_sign_out(&self, pair: &Pair) -> Option<Answer> {
        self.send(self.delete(&format!("/sessions/{}", pair.session), &pair.access)).await
    }

    async fn sign_out(&self, pair: &Pair) {
        let answer = self.try_sign_out(pair).await.expect("the node lives");
        assert_eq!(answer.status, 204, "{answer:?}");
    }

    /// The published keys by name.
    async fn kids(&self) -> Vec<String> {
        let request = self.http.get(format!("{}/.well-known/jwks.json", self.base));
        let answer = self.send(request).await.expect("the node lives");
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body["keys"].as_array().unwrap().iter().map(|key| text(&key["kid"])).collect()
    }

    /// What `/readyz` says: nothing if the node is ready, the conditions that do not hold otherwise.
    async fn not_ready(&self) -> Vec<String> {
        let answer = self.send(self.http.get(format!("{}/readyz", self.ops))).await.expect("the node lives");
        match answer.status {
            200 => Vec::new(),
            _ => answer.body["not_ready"].as_object().expect("a list").keys().cloned().collect(),
        }
    }
}

impl Answer {
    #[track_caller]
    fn pair(&self, status: u16) -> Pair {
        assert_eq!(self.status, status, "{self:?}");
        let part = |name: &str| text(&self.body[name]);
        Pair { access: part("access_token"), refresh: part("refresh_token"), session: part("session_id") }
    }

    /// Whether it is a refusal of a token, and for what.
    fn reason(&self) -> Option<&str> {
        self.body["reason"].as_str().filter(|_| self.status == 401)
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

/// The name of the key that signed a token.
fn kid(token: &str) -> String {
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    text(&serde_json::from_slice::<Value>(&header).unwrap()["kid"])
}

/// Asks until the answer will do, and says how long that took.
///
/// # Panics
/// If it does not within `patience`.
async fn until(what: &str, patience: Duration, mut asks: impl AsyncFnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !asks().await {
        assert!(began.elapsed() < patience, "{what}: not within {patience:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    began.elapsed()
}

/// Waits until a token is refused.
async fn refused(at: &Client, token: &str) -> Duration {
    until("the token is refused", SOON, async || at.verify(token).await.status == 401).await
}

/// A line of figures for whoever reads the test's output.
#[expect(clippy::print_stdout, reason = "figures are for people")]
fn print_figures(what: &str, mut spans: Vec<Duration>) -> Duration {
    spans.sort();
    let at = |part: usize| spans[(spans.len() * part / 100).min(spans.len() - 1)];
    let (median, high, most) = (at(50), at(99), at(100));
    println!("{what}: {} times, median {median:.1?}, 99 % {high:.1?}, most {most:.1?}", spans.len());
    median
}
