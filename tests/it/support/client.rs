//! A client of one running node, over connections that it keeps: what it asks and what it was told, and nothing of what that ought
//! to have been.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::header::RETRY_AFTER;
use serde_json::{Value, json};

use super::signet::Signet;

/// The password of those who have no other.
pub(crate) const PASSWORD: &str = "a password for tests";

/// A client of one node.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) http: reqwest::Client,
    pub(crate) base: String,
    pub(crate) ops: String,
}

/// What a node said.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<u64>,
    pub(crate) body: Value,
}

/// What a sign-in or a refresh handed out.
#[derive(Clone, Debug)]
pub(crate) struct TokenPair {
    pub(crate) access: String,
    pub(crate) refresh: String,
    pub(crate) session: String,
}

impl Client {
    pub(crate) fn of(node: &Signet) -> Self {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().unwrap();
        Self { http, base: node.at(""), ops: node.ops("") }
    }

    /// An answer only when all of it was read.
    pub(crate) async fn ask(&self, request: reqwest::RequestBuilder) -> reqwest::Result<Answer> {
        let response = request.send().await?;
        let status = response.status().as_u16();
        let retry_after = response.headers().get(RETRY_AFTER).map(|value| value.to_str().unwrap().parse().unwrap());
        let text = response.text().await?;
        Ok(Answer { status, retry_after, body: serde_json::from_str(&text).unwrap_or(Value::Null) })
    }

    /// Nothing comes back when the node dies meanwhile.
    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Option<Answer> {
        self.ask(request).await.ok()
    }

    pub(crate) fn get(&self, path: &str) -> reqwest::RequestBuilder {
        self.http.get(format!("{}{path}", self.base))
    }

    pub(crate) fn post(&self, path: &str) -> reqwest::RequestBuilder {
        self.http.post(format!("{}{path}", self.base))
    }

    pub(crate) fn delete(&self, path: &str, access: &str) -> reqwest::RequestBuilder {
        self.http.delete(format!("{}{path}", self.base)).bearer_auth(access)
    }

    pub(crate) fn signing_in(&self, email: &str, password: &str) -> reqwest::RequestBuilder {
        self.post("/sessions").json(&json!({"email": email, "password": password}))
    }

    pub(crate) async fn try_sign_in(&self, email: &str) -> Option<Answer> {
        self.send(self.signing_in(email, PASSWORD)).await
    }

    pub(crate) async fn sign_in(&self, email: &str) -> TokenPair {
        self.try_sign_in(email).await.expect("the node lives").pair(201)
    }

    pub(crate) fn refreshing(&self, refresh: &str) -> reqwest::RequestBuilder {
        self.post("/oauth/token").form(&[("grant_type", "refresh_token"), ("refresh_token", refresh)])
    }

    pub(crate) async fn try_refresh(&self, refresh: &str) -> Option<Answer> {
        self.send(self.refreshing(refresh)).await
    }

    pub(crate) async fn present(&self, refresh: &str) -> Answer {
        self.try_refresh(refresh).await.expect("the node lives")
    }

    pub(crate) async fn refresh(&self, pair: &TokenPair) -> TokenPair {
        self.present(&pair.refresh).await.pair(200)
    }

    pub(crate) fn verifying(&self, token: &str) -> reqwest::RequestBuilder {
        self.post("/verify").json(&json!({"token": token}))
    }

    pub(crate) async fn verify(&self, token: &str) -> Answer {
        self.send(self.verifying(token)).await.expect("the node lives")
    }

    /// The verdicts on many tokens: nothing if a token is good, the reason otherwise.
    pub(crate) async fn verdicts(&self, tokens: &[String]) -> Vec<Option<String>> {
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

    pub(crate) fn signing_out(&self, pair: &TokenPair) -> reqwest::RequestBuilder {
        self.delete(&format!("/sessions/{}", pair.session), &pair.access)
    }

    pub(crate) async fn try_sign_out(&self, pair: &TokenPair) -> Option<Answer> {
        self.send(self.signing_out(pair)).await
    }

    pub(crate) async fn sign_out(&self, pair: &TokenPair) {
        let answer = self.try_sign_out(pair).await.expect("the node lives");
        assert_eq!(answer.status, 204, "{answer:?}");
    }

    /// The published keys by name.
    pub(crate) async fn kids(&self) -> Vec<String> {
        let answer = self.send(self.get("/.well-known/jwks.json")).await.expect("the node lives");
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body["keys"].as_array().unwrap().iter().map(|key| text(&key["kid"])).collect()
    }

    /// What `/readyz` says: nothing if the node is ready, the conditions that do not hold otherwise.
    pub(crate) async fn not_ready(&self) -> Vec<String> {
        let answer = self.send(self.http.get(format!("{}/readyz", self.ops))).await.expect("the node lives");
        match answer.status {
            200 => Vec::new(),
            _ => answer.body["not_ready"].as_object().expect("a list").keys().cloned().collect(),
        }
    }
}

impl Answer {
    #[track_caller]
    pub(crate) fn pair(&self, status: u16) -> TokenPair {
        assert_eq!(self.status, status, "{self:?}");
        let part = |name: &str| text(&self.body[name]);
        TokenPair { access: part("access_token"), refresh: part("refresh_token"), session: part("session_id") }
    }

    /// Whether it is a refusal of a token, and for what.
    pub(crate) fn reason(&self) -> Option<&str> {
        self.body["reason"].as_str().filter(|_| self.status == 401)
    }
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

/// The name of the key that signed a token.
pub(crate) fn kid(token: &str) -> String {
    text(&part(token, 0)["kid"])
}

/// The session that a token is of.
pub(crate) fn sid(token: &str) -> String {
    text(&part(token, 1)["sid"])
}

fn part(token: &str, which: usize) -> Value {
    let part = URL_SAFE_NO_PAD.decode(token.split('.').nth(which).unwrap()).unwrap();
    serde_json::from_slice(&part).unwrap()
}

/// Asks until the answer will do, and says how long that took.
///
/// # Panics
/// If it does not within `patience`.
pub(crate) async fn until(what: &str, patience: Duration, mut asks: impl AsyncFnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !asks().await {
        assert!(began.elapsed() < patience, "{what}: not within {patience:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    began.elapsed()
}

/// A line of figures for whoever reads the test's output.
pub(crate) fn print_figures(what: &str, mut spans: Vec<Duration>) -> Duration {
    spans.sort();
    let at = |part: usize| spans[(spans.len() * part / 100).min(spans.len() - 1)];
    let (median, high, most) = (at(50), at(99), at(100));
    println!("{what}: {} times, median {median:.1?}, 99 % {high:.1?}, most {most:.1?}", spans.len());
    median
}
