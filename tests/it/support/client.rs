//! A client of one running node, over kept-alive connections. It sends requests and returns responses; it asserts
//! nothing about them except where a method says so.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::RequestBuilder;
use serde_json::{Value, json};

pub(crate) use super::response::{HttpResponse, TokenPair};
pub(crate) use super::server::PASSWORD;
use super::signet::Signet;
pub(crate) use super::until_within;

/// Of this, every HTTP client of the tests is made: it uses no proxy, also if the environment names one.
pub(crate) fn client_builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder().no_proxy()
}

/// A client of one node.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) http: reqwest::Client,
    pub(crate) base: String,
    /// The base URL of the management endpoint.
    pub(crate) management: String,
}

impl Client {
    /// A client that gives up after 20 seconds.
    pub(crate) fn new(node: &Signet) -> Self {
        Self::with(node, client_builder().timeout(Duration::from_secs(20)))
    }

    /// A client with these settings.
    pub(super) fn with(node: &Signet, http: reqwest::ClientBuilder) -> Self {
        let http = http.build().expect("the client can be built");
        Self { http, base: node.url_of(""), management: node.management_url("") }
    }

    /// Sends a request and reads the whole response.
    pub(crate) async fn execute(&self, request: RequestBuilder) -> reqwest::Result<HttpResponse> {
        HttpResponse::read(request.send().await?).await
    }

    /// The same; returns nothing if the node dies meanwhile.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Option<HttpResponse> {
        self.execute(request).await.ok()
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.http.get(format!("{}{path}", self.base))
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.http.post(format!("{}{path}", self.base))
    }

    pub(crate) fn delete(&self, path: &str, access: &str) -> RequestBuilder {
        self.http.delete(format!("{}{path}", self.base)).bearer_auth(access)
    }

    pub(crate) fn sign_in_request(&self, email: &str, password: &str) -> RequestBuilder {
        self.post("/sessions").json(&json!({"email": email, "password": password}))
    }

    pub(crate) async fn try_sign_in(&self, email: &str) -> Option<HttpResponse> {
        self.send(self.sign_in_request(email, PASSWORD)).await
    }

    /// Signs in; asserts that it succeeds.
    pub(crate) async fn sign_in(&self, email: &str) -> TokenPair {
        self.try_sign_in(email).await.expect("the node is up").is(201).tokens()
    }

    pub(crate) fn refresh_request(&self, refresh: &str) -> RequestBuilder {
        self.post("/oauth/token").form(&[("grant_type", "refresh_token"), ("refresh_token", refresh)])
    }

    pub(crate) async fn try_refresh(&self, refresh: &str) -> Option<HttpResponse> {
        self.send(self.refresh_request(refresh)).await
    }

    pub(crate) async fn refresh_response(&self, refresh: &str) -> HttpResponse {
        self.try_refresh(refresh).await.expect("the node is up")
    }

    /// Refreshes; asserts that it succeeds.
    pub(crate) async fn refresh(&self, pair: &TokenPair) -> TokenPair {
        self.refresh_response(&pair.refresh).await.is(200).tokens()
    }

    pub(crate) fn verify_request(&self, token: &str) -> RequestBuilder {
        self.post("/verify").json(&json!({"token": token}))
    }

    pub(crate) async fn verify(&self, token: &str) -> HttpResponse {
        self.send(self.verify_request(token)).await.expect("the node is up")
    }

    /// The reason for which each token is rejected; none if it is valid.
    pub(crate) async fn rejection_reasons(&self, tokens: &[String]) -> Vec<Option<String>> {
        let mut reasons = Vec::new();
        for chunk in tokens.chunks(1000) {
            let request = self.post("/verify/batch").json(&json!({"tokens": chunk}));
            let response = self.send(request).await.expect("the node is up");
            let results = response.is(200).body["results"].as_array().unwrap().iter();
            reasons.extend(results.map(|result| result["reason"].as_str().map(str::to_owned)));
        }
        reasons
    }

    pub(crate) fn sign_out_request(&self, pair: &TokenPair) -> RequestBuilder {
        self.delete(&format!("/sessions/{}", pair.session), &pair.access)
    }

    pub(crate) async fn try_sign_out(&self, pair: &TokenPair) -> Option<HttpResponse> {
        self.send(self.sign_out_request(pair)).await
    }

    /// Signs out; asserts that it succeeds.
    pub(crate) async fn sign_out(&self, pair: &TokenPair) {
        self.try_sign_out(pair).await.expect("the node is up").is(204);
    }

    /// The key ids in the JWKS.
    pub(crate) async fn kids(&self) -> Vec<String> {
        let response = self.send(self.get("/.well-known/jwks.json")).await.expect("the node is up");
        response.is(200).body["keys"].as_array().unwrap().iter().map(|key| text(&key["kid"])).collect()
    }

    /// The conditions that `/readyz` reports as failing; empty if the node is ready.
    pub(crate) async fn failing_conditions(&self) -> Vec<String> {
        let response = self.send(self.http.get(format!("{}/readyz", self.management))).await.expect("the node is up");
        match response.status {
            200 => Vec::new(),
            _ => response.body["not_ready"].as_object().expect("an object").keys().cloned().collect(),
        }
    }
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is not a string")).to_owned()
}

/// The id of the key that signed a token.
pub(crate) fn kid(token: &str) -> String {
    text(&decode_segment(token, 0)["kid"])
}

/// The id of a token's session.
pub(crate) fn sid(token: &str) -> String {
    text(&decode_segment(token, 1)["sid"])
}

fn decode_segment(token: &str, index: usize) -> Value {
    let segment = URL_SAFE_NO_PAD.decode(token.split('.').nth(index).unwrap()).unwrap();
    serde_json::from_slice(&segment).unwrap()
}

/// Prints count, median, 99th percentile and maximum; returns the median.
pub(crate) fn print_timings(what: &str, mut durations: Vec<Duration>) -> Duration {
    durations.sort();
    let percentile = |percent: usize| durations[(durations.len() * percent / 100).min(durations.len() - 1)];
    let (median, p99, max) = (percentile(50), percentile(99), percentile(100));
    println!("{what}: {} times, median {median:.1?}, 99 % {p99:.1?}, maximum {max:.1?}", durations.len());
    median
}
