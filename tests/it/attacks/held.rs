//! What clients make the server hold: bodies that come nearly whole and no further, answers that nobody takes. It has room for so much
//! of it, whoever comes after that is told so at once, and everything else is answered as before.

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

use crate::support::client::until_within;
use crate::support::server::{SendRequest, TestServer};

/// Bytes of a batch that is nearly as large as batches may be.
const NEARLY: usize = (2 << 20) - (64 << 10);
const PIECE: usize = 16 << 10;
/// What a worker has room for, as `config.toml` says.
const ROOM: usize = 32 << 20;
/// So many fit in.
const FIT: usize = ROOM / NEARLY;
const MANY: usize = 120;
/// No step takes longer unless something is wrong.
const PATIENCE: Duration = Duration::from_secs(30);
/// What it costs to hold that and to do everything else meanwhile: what grows is copied to where there is room for it, and leaves gaps. Without
/// a bound it is eight times the room, and no end to it.
const GROWN: u64 = (ROOM as u64) * 3;

/// Most of a large body, and no more of it for as long as the client is there.
fn nearly_all() -> Body {
    let pieces = (0..NEARLY / PIECE).map(|_| Ok::<_, io::Error>(Frame::data(Bytes::from_static(&[b' '; PIECE]))));
    Body::wrap(StreamBody::new(stream::iter(pieces).chain(stream::pending())))
}

fn batch(server: &TestServer, client: &Client, body: Body) -> RequestBuilder {
    client.post(server.signet.url_of("/verify/batch")).header("content-type", "application/json").body(body)
}

/// A lawful batch of nearly the largest size.
fn large() -> Body {
    let tokens = vec!["x".repeat(1900); 1024];
    json!({"tokens": tokens}).to_string().into()
}

fn clients() -> [(&'static str, Client); 2] {
    let one = Client::builder().no_proxy().build().unwrap();
    let two = Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    [("HTTP/1.1", one), ("HTTP/2", two)]
}

/// Those who send nearly all of a large body, and how they were answered: 503, anything else.
struct Crowd {
    members: JoinSet<()>,
    answered: Arc<[AtomicUsize; 2]>,
}

impl Crowd {
    fn come(server: &TestServer, client: &Client) -> Self {
        let (mut members, answered) = (JoinSet::new(), Arc::<[AtomicUsize; 2]>::default());
        for _ in 0..MANY {
            let (asking, answered) = (batch(server, client, nearly_all()), answered.clone());
            members.spawn(async move {
                let Ok(answer) = asking.send().await else { return };
                let refused = answer.status() == 503 && answer.headers().contains_key("retry-after");
                answered[usize::from(!refused)].fetch_add(1, Ordering::SeqCst);
            });
        }
        Self { members, answered }
    }

    fn answered(&self) -> [usize; 2] {
        [0, 1].map(|how: usize| self.answered[how].load(Ordering::SeqCst))
    }
}

async fn is_served(server: &TestServer, client: &Client) -> bool {
    batch(server, client, large()).send_checked().await.status == 200
}

#[tokio::test]
async fn bodies_that_never_end_have_so_much_room_and_no_more() {
    for (name, client) in clients() {
        let server = TestServer::embedded(|plan| plan.set("SIGNET_SERVER__BODY_TIMEOUT", "2m"));
        let other = Client::builder().no_proxy().build().unwrap();
        batch(&server, &other, large()).send_checked().await.is(200);
        let before = memory(&server).await;
        let crowd = Crowd::come(&server, &client);
        let mut most = 0;
        until_within(&format!("{name}: those for whom there is no room are told"), PATIENCE, async || {
            most = memory(&server).await.saturating_sub(before).max(most);
            assert!(most < GROWN, "{name}: {most} bytes more");
            crowd.answered()[0] == MANY - FIT
        })
        .await;
        assert_eq!(crowd.answered(), [MANY - FIT, 0], "{name}");
        println!("{name}: {most} bytes more for {MANY} bodies of {NEARLY}");
        // Whoever comes now with as much is told as well.
        batch(&server, &other, large()).send_checked().await.is_problem(503, "overloaded");
        // All others are answered, those too whose bodies come in pieces.
        server.get("/verify").send_checked().await.is(401);
        let pieces = format!(r#"{{"tokens":["{}"]}}"#, "x".repeat(60_000));
        batch(&server, &other, pieces.into()).send_checked().await.is(200);
        server.sign_in(&server.create_user(&[])).await;

        drop(crowd);
        drop(client);
        until_within(&format!("{name}: there is room again"), PATIENCE, async || is_served(&server, &other).await).await;
    }
}

#[tokio::test]
async fn bodies_that_come_too_late_give_their_room_back() {
    for (name, client) in clients() {
        let server = TestServer::embedded(|plan| plan.set("SIGNET_SERVER__BODY_TIMEOUT", "6s"));
        let mut crowd = Crowd::come(&server, &client);
        while crowd.members.join_next().await.is_some() {}
        let [refused, late] = crowd.answered();
        assert!(refused > 0 && late > 0, "{name}: {refused} refused, {late} too late");
        batch(&server, &client, large()).send_checked().await.is(200);
    }
}

#[tokio::test]
async fn what_is_only_promised_takes_no_room() {
    let server = TestServer::embedded(|plan| plan);
    let address = server.signet.url_of("").trim_start_matches("http://").to_owned();
    let mut promising = Vec::new();
    for _ in 0..MANY {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        let head = "POST /verify/batch HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 2097152\r\n\r\n[";
        stream.write_all(head.as_bytes()).await.unwrap();
        promising.push(stream);
    }
    assert!(is_served(&server, &clients()[0].1).await);
}

#[tokio::test]
async fn answers_that_nobody_takes_have_so_much_room_and_no_more() {
    let server = TestServer::embedded(|plan| plan);
    let tokens = server.sign_in(&server.create_user(&[])).await;
    let (body, other) = (json!({"tokens": vec![tokens.access; 1024]}).to_string(), Client::new());
    let length = batch(&server, &other, body.clone().into()).send_checked().await.is(200).text.len();
    let before = memory(&server).await;
    let (mut taken, mut refused) = (Vec::new(), 0);
    // By two connections, since one has no more streams than that.
    for _ in 0..2 {
        let window = 0xffff;
        let narrow = Client::builder().no_proxy().http2_prior_knowledge().http2_initial_stream_window_size(window);
        let client = narrow.http2_initial_connection_window_size(window).build().unwrap();
        for _ in 0..100 {
            let answer = batch(&server, &client, body.clone().into()).send().await.unwrap();
            match answer.status().as_u16() {
                200 => taken.push(answer),
                503 => refused += 1,
                status => panic!("{status}"),
            }
        }
    }
    let grown = memory(&server).await.saturating_sub(before);
    assert!(taken.len() <= ROOM / length && refused > 0, "{} of {length} bytes are held: {grown} bytes", taken.len());
    assert!(grown < GROWN, "{grown} bytes more");
    server.get("/verify").send_checked().await.is(401);
    drop(taken);
    until_within("there is room again", PATIENCE, async || is_served(&server, &other).await).await;
}

/// An owner may give a key more scopes than there is room for in what is remembered of a token.
#[tokio::test]
async fn tokens_larger_than_ours_usually_are_are_not_remembered() {
    let server = TestServer::embedded(|plan| plan);
    let person = server.create_user(&[]);
    let scopes: Vec<_> = (0..50).map(|number| format!("{number:0>90}")).collect();
    let (key, _) = server.api_key(&person, &scopes.iter().map(String::as_str).collect::<Vec<_>>());
    let form = [("grant_type", "client_credentials"), ("client_secret", key.as_str())];
    let made = server.form("/oauth/token", &form).await.is(200).json();
    let hits = async || server.metric("signet_verify_cache_lookups_total{result=\"hit\"}").await;
    for (token, remembered) in [(made["access_token"].as_str().unwrap(), 0), (&server.sign_in(&person).await.access, 1)]
    {
        let before = hits().await;
        server.verify(token).await.is(200);
        server.verify(token).await.is(200);
        assert_eq!(hits().await - before, remembered, "a token of {} bytes", token.len());
    }
}

/// What the process holds.
async fn memory(server: &TestServer) -> u64 {
    let figure = server.metric("process_resident_memory_bytes");
    tokio::time::timeout(PATIENCE, figure).await.expect("it answers")
}
