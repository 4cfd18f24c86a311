//! The floor: the least that an answer can cost with the same hyper, runtime, allocator and driver, and no product code.
//!
//! As plain as anybody would write it who had nothing to fear: no time-outs, no bounds, no metrics, no ids of requests, no
//! revocations. It must never name the crate `signet`. Should the server get an allocator of its own, so must this program
//! (`main.rs`).

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt::Write;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use bytes::Bytes;
use ed25519_dalek::{Signature, VerifyingKey};
use fred::clients::Client;
use fred::interfaces::{ClientLike, HashesInterface, LuaInterface};
use fred::types::config::{Config, ConnectionConfig, TcpConfig};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, LocalOptions};
use uuid::Uuid;

/// What a floor does with every request, whatever its path.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Floor {
    /// Answers with this.
    Canned { body: String },
    /// Reads a token from JSON, and answers with what stands beside it here.
    LookUp { known: Vec<(String, String)> },
    /// Reads a token from JSON, verifies it with this key, and answers with its claims.
    Verify { key: [u8; 32] },
    /// The same for each of many.
    Batch { key: [u8; 32] },
    /// Reads a refresh token from the head, rotates it by one script, and answers with a token signed with this seed.
    Refresh { redis: u16, seed: [u8; 32], header: String, opening: String, sessions: Vec<Session> },
}

/// A session that the floor is to know from the beginning.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Session {
    pub(crate) token: String,
    /// Further claims of its access tokens.
    pub(crate) profile: String,
}

type Answer = Response<Full<Bytes>>;

/// What `floor` does: reads a [`Floor`], and serves it until it is killed.
pub(crate) fn serve() {
    let floor: Floor = serde_json::from_reader(std::io::stdin().lock()).expect("a floor");
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).expect("a runtime");
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        match floor {
            Floor::Canned { body } => {
                let body = Bytes::from(body);
                accept(listener, move |_| std::future::ready(json(body.clone()))).await;
            }
            Floor::LookUp { known } => {
                let known: HashMap<String, Bytes> =
                    known.into_iter().map(|(token, answer)| (token, Bytes::from(answer))).collect();
                let known = Rc::new(known);
                accept(listener, move |request| look_up(known.clone(), request)).await;
            }
            Floor::Verify { key } => {
                let key = Rc::new(VerifyingKey::from_bytes(&key).expect("a key"));
                accept(listener, move |request| verify(key.clone(), request)).await;
            }
            Floor::Batch { key } => {
                let key = Rc::new(VerifyingKey::from_bytes(&key).expect("a key"));
                accept(listener, move |request| batch(key.clone(), request)).await;
            }
            Floor::Refresh { redis, seed, header, opening, sessions } => {
                let rotation = Rc::new(Rotation::new(redis, &seed, header, opening, &sessions).await);
                accept(listener, move |request| refresh(rotation.clone(), request)).await;
            }
        }
    });
}

async fn accept<F>(listener: TcpListener, answer: impl Fn(Request<Incoming>) -> F + Clone + 'static)
where
    F: Future<Output = Answer> + 'static,
{
    #[allow(clippy::print_stdout, reason = "it is waited for")]
    {
        println!("listening on {}", listener.local_addr().expect("it is bound"));
    }
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        stream.set_nodelay(true).expect("a connection");
        let answer = answer.clone();
        tokio::task::spawn_local(async move {
            let service = service_fn(move |request| {
                let answering = answer(request);
                async move { Ok::<_, Infallible>(answering.await) }
            });
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

fn json(body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

fn refused() -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = StatusCode::UNAUTHORIZED;
    answer
}

#[derive(Deserialize)]
struct One<'a> {
    token: &'a str,
}

async fn look_up(known: Rc<HashMap<String, Bytes>>, request: Request<Incoming>) -> Answer {
    let body = request.into_body().collect().await.expect("a body").to_bytes();
    let asked: One<'_> = serde_json::from_slice(&body).expect("JSON");
    known.get(asked.token).map_or_else(refused, |answer| json(answer.clone()))
}

async fn verify(key: Rc<VerifyingKey>, request: Request<Incoming>) -> Answer {
    let body = request.into_body().collect().await.expect("a body").to_bytes();
    let asked: One<'_> = serde_json::from_slice(&body).expect("JSON");
    let Some(claims) = claims(&key, asked.token) else { return refused() };
    json(format!(r#"{{"active":true,"claims":{claims}}}"#).into())
}

#[derive(Deserialize)]
struct Many<'a> {
    #[serde(borrow)]
    tokens: Vec<&'a str>,
}

async fn batch(key: Rc<VerifyingKey>, request: Request<Incoming>) -> Answer {
    let body = request.into_body().collect().await.expect("a body").to_bytes();
    let asked: Many<'_> = serde_json::from_slice(&body).expect("JSON");
    let mut text = r#"{"results":["#.to_owned();
    for (at, token) in asked.tokens.iter().enumerate() {
        let comma = if at > 0 { "," } else { "" };
        let Some(claims) = claims(&key, token) else { return refused() };
        let _ = write!(text, r#"{comma}{{"active":true,"claims":{claims}}}"#);
    }
    text.push_str("]}");
    json(text.into())
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "read, as whoever uses claims reads them")]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    exp: u64,
    iat: u64,
    jti: &'a str,
    sid: Option<&'a str>,
    email: Option<&'a str>,
}

/// The ordinary single verification, and the claims read.
fn claims(key: &VerifyingKey, token: &str) -> Option<String> {
    let (message, signature) = token.rsplit_once('.')?;
    let (_, payload) = message.split_once('.')?;
    let signature = Signature::from_slice(&BASE64.decode(signature).ok()?).ok()?;
    key.verify_strict(message.as_bytes(), &signature).ok()?;
    let json = String::from_utf8(BASE64.decode(payload).ok()?).ok()?;
    let read: Claims<'_> = serde_json::from_str(&json).ok()?;
    (read.exp > now().as_secs()).then_some(json)
}

#[allow(clippy::disallowed_methods, reason = "the product's clock is product code")]
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970")
}

struct Rotation {
    redis: Client,
    script: String,
    key: Ed25519KeyPair,
    header: String,
    opening: String,
}

#[derive(Serialize)]
struct Pair<'a> {
    access_token: &'a str,
    refresh_token: &'a str,
    token_type: &'a str,
}

impl Rotation {
    async fn new(redis: u16, seed: &[u8; 32], header: String, opening: String, sessions: &[Session]) -> Self {
        let config = Config::from_url(&format!("redis://127.0.0.1:{redis}")).expect("an address");
        let connection =
            ConnectionConfig { tcp: TcpConfig { nodelay: Some(true), ..TcpConfig::default() }, ..Default::default() };
        let client = Client::new(config, None, Some(connection), None);
        client.init().await.expect("Redis is there");
        let script = client.script_load(include_str!("floor.lua")).await.expect("it is Lua");
        let key = Ed25519KeyPair::from_seed_unchecked(seed).expect("a seed");
        let month = 30 * 86_400_000_i64;
        let ends = now().as_millis() as i64 + 3 * month;
        for session in sessions {
            let token = Token::read(&session.token).expect("a refresh token");
            let fields = [
                ("c", token.counter.to_string()),
                ("i", month.to_string()),
                ("e", ends.to_string()),
                ("p", session.profile.clone()),
            ];
            let _: i64 = client.hset(token.key(), fields.to_vec()).await.expect("Redis takes it");
        }
        Self { redis: client, script, key, header, opening }
    }
}

/// The parts of a refresh token: version, user, session, counter, and a MAC that nobody here looks at.
struct Token {
    bytes: Vec<u8>,
    user: Uuid,
    session: Uuid,
    counter: u64,
}

impl Token {
    fn read(text: &str) -> Option<Self> {
        let bytes = BASE64.decode(text).ok()?;
        let user = Uuid::from_slice(bytes.get(1..17)?).ok()?;
        let session = Uuid::from_slice(bytes.get(17..33)?).ok()?;
        let counter = u64::from_be_bytes(bytes.get(33..41)?.try_into().ok()?);
        Some(Self { bytes, user, session, counter })
    }

    fn key(&self) -> String {
        format!("floor:{{{}}}:s:{}", self.user, self.session)
    }
}

#[allow(clippy::disallowed_methods, reason = "the product's ids are product code")]
async fn refresh(rotation: Rc<Rotation>, request: Request<Incoming>) -> Answer {
    let head = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some(mut token) = head.and_then(|value| value.strip_prefix("Bearer ")).and_then(Token::read) else {
        return refused();
    };
    let now = now();
    let args = vec![token.counter.to_string(), now.as_millis().to_string()];
    let rotated =
        rotation.redis.evalsha::<(u64, i64, String), _, _, _>(&rotation.script, vec![token.key()], args).await;
    let Ok((counter, ends, profile)) = rotated else { return refused() };
    let (user, session, jti, opening) = (token.user, token.session, Uuid::now_v7(), &rotation.opening);
    let (iat, exp) = (now.as_secs(), (now.as_secs() as i64 + 1800).min(ends / 1000));
    let payload =
        format!(r#"{opening},"sub":"{user}","sid":"{session}","iat":{iat},"exp":{exp},"jti":"{jti}"{profile}}}"#);
    let message = format!("{}.{}", rotation.header, BASE64.encode(payload));
    let signature = BASE64.encode(rotation.key.sign(message.as_bytes()));
    token.bytes[33..41].copy_from_slice(&counter.to_be_bytes());
    let pair = Pair {
        access_token: &format!("{message}.{signature}"),
        refresh_token: &BASE64.encode(&token.bytes),
        token_type: "bearer",
    };
    json(serde_json::to_vec(&pair).expect("texts").into())
}
