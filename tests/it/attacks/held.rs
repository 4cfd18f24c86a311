//! Memory that clients make the server hold: bodies that never finish, and responses that nobody reads. Each worker has
//! a budget for it. Requests beyond the budget get 503 immediately, and all other requests are served as before.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::StreamBody;
use hyper::body::Frame;
use reqwest::{Body, Client, RequestBuilder};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::client::{client_builder, until_within};
use crate::support::server::{SendRequest, TestServer};

/// The size of a batch that is slightly below the maximum of 2 MiB.
const BODY_SIZE: usize = (2 << 20) - (64 << 10);
const CHUNK: usize = 16 << 10;
/// A worker's budget for buffered bodies, as in `config.toml`.
const BUDGET: usize = 32 << 20;
/// The number of such bodies within the budget.
const FITTING: usize = BUDGET / BODY_SIZE;
const CLIENTS: usize = 120;
/// No step takes longer unless something is wrong.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The growth of memory that is allowed: the budget, and what other requests need. A growing buffer is copied to a
/// larger allocation and leaves gaps. Without a bound, memory grows to eight times the budget and beyond.
const MAX_GROWTH: u64 = (BUDGET as u64) * 3;

/// Most of a large body; the rest never arrives.
fn unfinished_body() -> Body {
    let pieces = (0..BODY_SIZE / CHUNK).map(|_| Ok::<_, io::Error>(Frame::data(Bytes::from_static(&[b' '; CHUNK]))));
    Body::wrap(StreamBody::new(stream::iter(pieces).chain(stream::pending())))
}

fn batch(server: &TestServer, client: &Client, body: Body) -> RequestBuilder {
    client.post(server.signet.url_of("/verify/batch")).header("content-type", "application/json").body(body)
}

/// A valid batch of nearly the largest size.
fn large_batch() -> Body {
    let tokens = vec!["x".repeat(1900); 1024];
    json!({"tokens": tokens}).to_string().into()
}

fn http1() -> Client {
    client_builder().build().unwrap()
}

fn http2() -> Client {
    client_builder().http2_prior_knowledge().build().unwrap()
}

type NewClient = fn() -> Client;

const PROTOCOLS: [(&str, NewClient); 2] = [("HTTP/1.1", http1), ("HTTP/2", http2)];

/// Clients that send an unfinished body, and the number of responses: 503 with `Retry-After`, and any other.
struct Crowd {
    tasks: JoinSet<()>,
    responses: Arc<[AtomicUsize; 2]>,
}

impl Crowd {
    /// Each has a connection of its own. When the server resets some of many bodies on one connection, the client under
    /// test now and then sends no more of the others, although the server's windows allow it: a client of another
    /// library (Python's `h2`) went on in all of 46 runs.
    fn start(server: &TestServer, new_client: NewClient) -> Self {
        let mut crowd = Self { tasks: JoinSet::new(), responses: Arc::default() };
        for _ in 0..CLIENTS {
            crowd.add(server, new_client);
        }
        crowd
    }

    fn add(&mut self, server: &TestServer, new_client: NewClient) {
        let (request, responses) = (batch(server, &new_client(), unfinished_body()), self.responses.clone());
        self.tasks.spawn(async move {
            let Ok(response) = request.send().await else { return };
            let refused = response.status() == 503 && response.headers().contains_key("retry-after");
            responses[usize::from(!refused)].fetch_add(1, Ordering::SeqCst);
        });
    }

    fn responses(&self) -> [usize; 2] {
        [0, 1].map(|kind: usize| self.responses[kind].load(Ordering::SeqCst))
    }
}

async fn is_served(server: &TestServer, client: &Client) -> bool {
    batch(server, client, large_batch()).send_checked().await.status == 200
}

#[tokio::test]
async fn memory_for_unfinished_bodies_is_bounded() {
    for (name, new_client) in PROTOCOLS {
        let server = TestServer::embedded(|plan| plan.set("SIGNET_SERVER__BODY_TIMEOUT", "4m"));
        let other = http1();
        batch(&server, &other, large_batch()).send_checked().await.is(200);
        let before = memory(&server).await;
        let mut crowd = Crowd::start(&server, new_client);
        let mut growth = 0;
        until_within(&format!("{name}: bodies beyond the budget are refused"), TIMEOUT, async || {
            growth = memory(&server).await.saturating_sub(before).max(growth);
            assert!(growth < MAX_GROWTH, "{name}: memory grew by {growth} bytes");
            // Bodies that compete for the last part of the budget may all be refused.
            crowd.responses()[0] >= CLIENTS - FITTING
        })
        .await;
        assert_eq!(crowd.responses()[1], 0, "{name}");
        println!("{name}: memory grew by {growth} bytes for {CLIENTS} bodies of {BODY_SIZE}");
        // Another large body is refused as well, once those that fit have arrived.
        until_within(&format!("{name}: another large body is refused"), TIMEOUT, async || {
            let response = batch(&server, &other, large_batch()).send_checked().await;
            if response.status == 200 {
                // There is still a place for one.
                crowd.add(&server, new_client);
                return false;
            }
            response.status == 503 && response.json()["type"] == "overloaded"
        })
        .await;
        // All other requests are served, also those with bodies in several pieces.
        server.get("/verify").send_checked().await.is(401);
        let pieces = format!(r#"{{"tokens":["{}"]}}"#, "x".repeat(60_000));
        batch(&server, &other, pieces.into()).send_checked().await.is(200);
        server.sign_in(&server.create_user(&[])).await;

        drop(crowd);
        until_within(&format!("{name}: the budget is free again"), TIMEOUT, async || is_served(&server, &other).await)
            .await;
    }
}

#[tokio::test]
async fn timed_out_bodies_release_their_budget() {
    for (name, new_client) in PROTOCOLS {
        // The smallest budget: it is used up before the first time-out, on a slow machine too.
        let server = TestServer::embedded(|plan| {
            plan.set("SIGNET_SERVER__BODY_TIMEOUT", "6s").set("SIGNET_SERVER__MAX_HELD", "4MiB")
        });
        let mut crowd = Crowd::start(&server, new_client);
        while crowd.tasks.join_next().await.is_some() {}
        let [refused, timed_out] = crowd.responses();
        assert!(refused > 0 && timed_out > 0, "{name}: {refused} refused, {timed_out} timed out");
        batch(&server, &http1(), large_batch()).send_checked().await.is(200);
    }
}

#[tokio::test]
async fn announced_length_reserves_no_memory() {
    let server = TestServer::embedded(|plan| plan);
    let address = server.signet.url_of("").trim_start_matches("http://").to_owned();
    let mut streams = Vec::new();
    for _ in 0..CLIENTS {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        let head = "POST /verify/batch HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 2097152\r\n\r\n[";
        stream.write_all(head.as_bytes()).await.unwrap();
        streams.push(stream);
    }
    assert!(is_served(&server, &http1()).await);
}

#[tokio::test]
async fn memory_for_unread_responses_is_bounded() {
    let server = TestServer::embedded(|plan| plan.set("SIGNET_SERVER__WRITE_TIMEOUT", "2m"));
    let tokens = server.sign_in(&server.create_user(&[])).await;
    let (body, other) = (json!({"tokens": vec![tokens.access; 1024]}).to_string(), http1());
    let length = batch(&server, &other, body.clone().into()).send_checked().await.is(200).text.len();
    let before = memory(&server).await;
    let (mut unread, mut refused) = (Vec::new(), 0);
    // Over several connections, because one connection has only 32 streams.
    for _ in 0..7 {
        let window = 0xffff;
        let narrow = client_builder().http2_prior_knowledge().http2_initial_stream_window_size(window);
        let client = narrow.http2_initial_connection_window_size(window).build().unwrap();
        for _ in 0..30 {
            let response = batch(&server, &client, body.clone().into()).send().await.unwrap();
            match response.status().as_u16() {
                200 => unread.push(response),
                503 => refused += 1,
                status => panic!("{status}"),
            }
        }
    }
    let growth = memory(&server).await.saturating_sub(before);
    let held = unread.len();
    assert!(held <= BUDGET / length && refused > 0, "{held} of {length} bytes are held: memory grew by {growth}");
    assert!(growth < MAX_GROWTH, "memory grew by {growth} bytes");
    server.get("/verify").send_checked().await.is(401);
    drop(unread);
    until_within("the budget is free again", TIMEOUT, async || is_served(&server, &other).await).await;
}

/// The list of an account's API keys is larger than responses usually are, and nobody who reads it need take it.
#[tokio::test]
async fn unread_lists_are_bounded_and_time_out() {
    // The smallest budget: ten lists use it up, so that it is used up before the first of them is dropped.
    let server = TestServer::embedded(|plan| {
        plan.set("SIGNET_SERVER__WRITE_TIMEOUT", "3s").set("SIGNET_SERVER__MAX_HELD", "4MiB")
    });
    let tokens = server.sign_in(&server.create_user(&[])).await;
    let projects = server.get("/projects").bearer_auth(&tokens.access).send_checked().await.is(200).json();
    let project = projects["projects"][0]["id"].as_str().unwrap().to_owned();
    let scopes: Vec<_> = (0..50).map(|number| format!("{number:0>90}")).collect();
    for number in 0..100 {
        let created = server.post("/auth/api-keys/").header("x-project-id", &project).bearer_auth(&tokens.access);
        created.json(&json!({"name": format!("key {number}"), "scopes": scopes})).send_checked().await.is(201);
    }
    let list = |client: &Client| {
        let request = client.get(server.signet.url_of("/auth/api-keys/?limit=100")).header("x-project-id", &project);
        request.bearer_auth(&tokens.access)
    };
    let length = list(&http1()).send_checked().await.is(200).text.len();
    assert!(length > 400_000, "the list has {length} bytes");
    let before = memory(&server).await;
    let (mut unread, mut refused) = (Vec::new(), 0);
    for _ in 0..6 {
        let narrow = client_builder().http2_prior_knowledge().http2_initial_stream_window_size(1);
        let client = narrow.build().unwrap();
        for _ in 0..30 {
            let Ok(response) = list(&client).send().await else { continue };
            match response.status().as_u16() {
                200 => unread.push(response),
                503 => refused += 1,
                status => panic!("{status}"),
            }
        }
    }
    let growth = memory(&server).await.saturating_sub(before);
    assert!(refused > 0 && growth < MAX_GROWTH, "{refused} refused: memory grew by {growth} bytes");
    until_within("what clients do not take is dropped", TIMEOUT, async || {
        server.metric("signet_buffered_bytes{kind=\"large_bodies\"}").await == 0
            && server.metric("signet_buffered_bytes{kind=\"connections\"}").await == 0
    })
    .await;
    list(&http1()).send_checked().await.is(200);
    drop(unread);
}

/// An owner may give a key more scopes than an entry of the verify cache has space for.
#[tokio::test]
async fn oversized_tokens_are_not_cached() {
    let server = TestServer::embedded(|plan| plan);
    let user = server.create_user(&[]);
    let scopes: Vec<_> = (0..50).map(|number| format!("{number:0>90}")).collect();
    let (key, _) = server.api_key(&user, &scopes.iter().map(String::as_str).collect::<Vec<_>>());
    let exchanged = server.client_token(&key).await;
    let hits = async || server.metric("signet_verify_cache_lookups_total{result=\"hit\"}").await;
    for (token, expected_hits) in [(&exchanged, 0), (&server.sign_in(&user).await.access, 1)] {
        let before = hits().await;
        server.verify(token).await.is(200);
        server.verify(token).await.is(200);
        assert_eq!(hits().await - before, expected_hits, "a token of {} bytes", token.len());
    }
}

/// The resident memory of the server process, in bytes.
async fn memory(server: &TestServer) -> u64 {
    let metric = server.metric("process_resident_memory_bytes");
    tokio::time::timeout(TIMEOUT, metric).await.expect("the management endpoint responds")
}
