//! The baseline: the minimum cost of a response with the same hyper, runtime, allocator and driver, without product
//! code.
//!
//! It is the simplest possible server: no timeouts, no bounds, no metrics, no request ids, no revocations. It must not
//! use the crate `signet`. It must have the same allocator as the server (`main.rs`).

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
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, LocalOptions};
use uuid::Uuid;

/// The work of the baseline for every request. It ignores the path.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Baseline {
    /// Responds with a fixed body.
    Canned { body: String },
    /// Parses a token from JSON, looks it up, and responds with the body that belongs to it.
    LookUp { known: Vec<(String, String)> },
    /// Parses a token from JSON, verifies it with this key, and responds with its claims.
    Verify { key: [u8; 32] },
    /// The same for a list of tokens.
    Batch { key: [u8; 32] },
    /// Parses a refresh token from the head, rotates it with one script, and responds with a token signed with this
    /// seed.
    Refresh { redis: u16, seed: [u8; 32], header: String, opening: String, sessions: Vec<Session> },
}

/// A session that exists when the baseline starts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Session {
    pub(crate) token: String,
    /// Additional claims of its access tokens.
    pub(crate) claims: String,
}

type FullResponse = Response<Full<Bytes>>;

/// The sockets of the baseline, and their protocol.
struct Listener {
    socket: TcpListener,
    http2: bool,
}

/// Runs HTTP/2 streams on the thread of their connection.
#[derive(Clone)]
struct LocalExecutor;

impl<F: Future<Output: 'static> + 'static> hyper::rt::Executor<F> for LocalExecutor {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

/// Runs in the process of the baseline: reads a [`Baseline`] from stdin and serves it until the process is killed.
pub(crate) fn serve(http2: bool) {
    let baseline: Baseline = serde_json::from_reader(std::io::stdin().lock()).expect("a description of a baseline");
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).expect("a runtime");
    runtime.block_on(async {
        let listener = Listener { socket: TcpListener::bind("127.0.0.1:0").await.expect("a port"), http2 };
        match baseline {
            Baseline::Canned { body } => {
                let body = Bytes::from(body);
                accept(listener, move |_| std::future::ready(json(body.clone()))).await;
            }
            Baseline::LookUp { known } => {
                let known: HashMap<String, Bytes> =
                    known.into_iter().map(|(token, body)| (token, Bytes::from(body))).collect();
                let known = Rc::new(known);
                accept(listener, move |request| look_up(known.clone(), request)).await;
            }
            Baseline::Verify { key } => {
                let key = Rc::new(VerifyingKey::from_bytes(&key).expect("a key"));
                accept(listener, move |request| verify(key.clone(), request)).await;
            }
            Baseline::Batch { key } => {
                let key = Rc::new(VerifyingKey::from_bytes(&key).expect("a key"));
                accept(listener, move |request| batch(key.clone(), request)).await;
            }
            Baseline::Refresh { redis, seed, header, opening, sessions } => {
                let rotation = Rc::new(Rotation::new(redis, &seed, header, opening, &sessions).await);
                accept(listener, move |request| refresh(rotation.clone(), request)).await;
            }
        }
    });
}

async fn accept<F>(listener: Listener, handler: impl Fn(Request<Incoming>) -> F + Clone + 'static)
where
    F: Future<Output = FullResponse> + 'static,
{
    #[allow(clippy::print_stdout, reason = "the parent process waits for this line")]
    {
        println!("listening on {}", listener.socket.local_addr().expect("the address of a bound socket"));
    }
    loop {
        let (stream, _) = listener.socket.accept().await.expect("a connection");
        stream.set_nodelay(true).expect("a connection");
        let handler = handler.clone();
        tokio::task::spawn_local(async move {
            let service = service_fn(move |request| {
                let response = handler(request);
                async move { Ok::<_, Infallible>(response.await) }
            });
            let io = TokioIo::new(stream);
            let _ = if listener.http2 {
                http2::Builder::new(LocalExecutor).serve_connection(io, service).await
            } else {
                http1::Builder::new().serve_connection(io, service).await
            };
        });
    }
}

fn json(body: Bytes) -> FullResponse {
    let mut response = Response::new(Full::new(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn unauthorized() -> FullResponse {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    response
}

#[derive(Deserialize)]
struct VerifyBody<'a> {
    token: &'a str,
}

async fn look_up(known: Rc<HashMap<String, Bytes>>, request: Request<Incoming>) -> FullResponse {
    let body = request.into_body().collect().await.expect("a body").to_bytes();
    let body: VerifyBody<'_> = serde_json::from_slice(&body).expect("JSON");
    known.get(body.token).map_or_else(unauthorized, |response| json(response.clone()))
}

async fn verify(key: Rc<VerifyingKey>, request: Request<Incoming>) -> FullResponse {
    let body = request.into_body().collect().await.expect("a body").to_bytes();
    let body: VerifyBody<'_> = serde_json::from_slice(&body).expect("JSON");
    let Some(claims) = claims(&key, body.token) else { return unauthorized() };
    json(format!(r#"{{"active":true,"claims":{claims}}}"#).into())
}

#[derive(Deserialize)]
struct BatchBody<'a> {
    #[serde(borrow)]
    tokens: Vec<&'a str>,
}

async fn batch(key: Rc<VerifyingKey>, request: Request<Incoming>) -> FullResponse {
    let body = request.into_body().collect().await.expect("a body").to_bytes();
    let body: BatchBody<'_> = serde_json::from_slice(&body).expect("JSON");
    let mut text = r#"{"results":["#.to_owned();
    for (index, token) in body.tokens.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        let Some(claims) = claims(&key, token) else { return unauthorized() };
        let _ = write!(text, r#"{comma}{{"active":true,"claims":{claims}}}"#);
    }
    text.push_str("]}");
    json(text.into())
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "parsed as by a user of the claims")]
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

/// Verifies one token in the ordinary way, and parses its claims.
fn claims(key: &VerifyingKey, token: &str) -> Option<String> {
    let (message, signature) = token.rsplit_once('.')?;
    let (_, payload) = message.split_once('.')?;
    let signature = Signature::from_slice(&BASE64.decode(signature).ok()?).ok()?;
    key.verify_strict(message.as_bytes(), &signature).ok()?;
    let json = String::from_utf8(BASE64.decode(payload).ok()?).ok()?;
    let claims: Claims<'_> = serde_json::from_str(&json).ok()?;
    (claims.exp > now().as_secs()).then_some(json)
}

#[allow(clippy::disallowed_methods, reason = "the clock of the product is product code")]
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
struct TokenPair<'a> {
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
        client.init().await.expect("a connection to Redis");
        let script = client.script_load(include_str!("baseline.lua")).await.expect("a valid script");
        let key = Ed25519KeyPair::from_seed_unchecked(seed).expect("a seed");
        let month = 30 * 86_400_000_i64;
        let ends = now().as_millis() as i64 + 3 * month;
        for session in sessions {
            let token = RefreshToken::parse(&session.token).expect("a refresh token");
            let fields = [
                ("c", token.counter.to_string()),
                ("i", month.to_string()),
                ("e", ends.to_string()),
                ("p", session.claims.clone()),
            ];
            let _: i64 = client.hset(token.key(), fields.to_vec()).await.expect("Redis stores the session");
        }
        Self { redis: client, script, key, header, opening }
    }
}

/// The parts of a refresh token: version, user, session, counter, and a MAC that the baseline does not check.
struct RefreshToken {
    bytes: Vec<u8>,
    user: Uuid,
    session: Uuid,
    counter: u64,
}

impl RefreshToken {
    fn parse(text: &str) -> Option<Self> {
        let bytes = BASE64.decode(text).ok()?;
        let user = Uuid::from_slice(bytes.get(1..17)?).ok()?;
        let session = Uuid::from_slice(bytes.get(17..33)?).ok()?;
        let counter = u64::from_be_bytes(bytes.get(33..41)?.try_into().ok()?);
        Some(Self { bytes, user, session, counter })
    }

    fn key(&self) -> String {
        format!("baseline:{{{}}}:s:{}", self.user, self.session)
    }
}

#[allow(clippy::disallowed_methods, reason = "the ids of the product are product code")]
async fn refresh(rotation: Rc<Rotation>, request: Request<Incoming>) -> FullResponse {
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some(mut token) = header.and_then(|value| value.strip_prefix("Bearer ")).and_then(RefreshToken::parse) else {
        return unauthorized();
    };
    let now = now();
    let args = vec![token.counter.to_string(), now.as_millis().to_string()];
    let rotated =
        rotation.redis.evalsha::<(u64, i64, String), _, _, _>(&rotation.script, vec![token.key()], args).await;
    let Ok((counter, ends, claims)) = rotated else { return unauthorized() };
    let (user, session, jti, opening) = (token.user, token.session, Uuid::now_v7(), &rotation.opening);
    let (iat, exp) = (now.as_secs(), (now.as_secs() as i64 + 1800).min(ends / 1000));
    let payload =
        format!(r#"{opening},"sub":"{user}","sid":"{session}","iat":{iat},"exp":{exp},"jti":"{jti}"{claims}}}"#);
    let message = format!("{}.{}", rotation.header, BASE64.encode(payload));
    let signature = BASE64.encode(rotation.key.sign(message.as_bytes()));
    token.bytes[33..41].copy_from_slice(&counter.to_be_bytes());
    let pair = TokenPair {
        access_token: &format!("{message}.{signature}"),
        refresh_token: &BASE64.encode(&token.bytes),
        token_type: "bearer",
    };
    json(serde_json::to_vec(&pair).expect("strings serialize").into())
}
