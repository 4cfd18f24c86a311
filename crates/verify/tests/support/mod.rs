//! An issuer in this process, with a feed whose responses a test can spoil.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer, SigningKey};
use serde_json::json;
use signet_verify::UnixTime;
use signet_verify::feed::{Frame, IdHash, Part, Revoked, encode, jwks_hash};
use signet_verify::follow::{StalePolicy, Verifier, VerifierBuilder};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// The faults of the responses of the feed.
#[derive(Clone, Debug, Default)]
pub(crate) enum Fault {
    #[default]
    None,
    /// 503.
    Unavailable,
    /// 503, but for the snapshot.
    OnlySnapshot,
    /// The live feed answers with this text.
    Replay(String),
    /// The end of each live response is cut off.
    Truncate,
    /// Frames are signed by a key that is not in the JWKS, under a `kid` that is.
    OtherSigner,
    /// The first frame of a live response with several is left out.
    DropFirst,
    /// The frames of a live response in the opposite order.
    Reverse,
}

pub(crate) struct Shared {
    pub(crate) key: SigningKey,
    pub(crate) kid: String,
    /// The other keys of the JWKS.
    pub(crate) more_keys: Vec<(String, SigningKey)>,
    pub(crate) epoch: String,
    /// The revoked ids by position; position n is after n of them.
    pub(crate) log: Vec<String>,
    /// Positions up to this one are not kept.
    pub(crate) kept_from: usize,
    pub(crate) fault: Fault,
    /// The last live response with entries.
    pub(crate) last: String,
    /// Paths of requests.
    pub(crate) requests: Vec<String>,
    /// Paths of requests that go past all caches.
    pub(crate) uncached: Vec<String>,
    /// Tokens that `/verify/batch` accepts; `None` if it answers 503.
    pub(crate) batch: Option<Vec<String>>,
    /// Sizes of batches.
    pub(crate) batches: Vec<usize>,
    /// The number of responses that were compressed.
    pub(crate) compressed: usize,
    /// The reports of followers, with the field `Authorization`.
    pub(crate) reports: Vec<(String, serde_json::Value)>,
}

#[derive(Clone)]
pub(crate) struct FakeIssuer {
    pub(crate) url: String,
    pub(crate) shared: Arc<Mutex<Shared>>,
    changed: watch::Sender<u64>,
}

const UNTIL: Duration = Duration::from_secs(3600);

/// All frames of a live response but the last say that they are this much older: they prove nothing.
const EARLIER: Duration = Duration::from_secs(120);

impl FakeIssuer {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Shared {
            key: SigningKey::from_bytes(&[7; 32]),
            kid: "k1".to_owned(),
            more_keys: Vec::new(),
            epoch: "e1".to_owned(),
            log: Vec::new(),
            kept_from: 0,
            fault: Fault::None,
            last: String::new(),
            requests: Vec::new(),
            uncached: Vec::new(),
            batch: None,
            batches: Vec::new(),
            compressed: 0,
            reports: Vec::new(),
        };
        let this = Self { url, shared: Arc::new(Mutex::new(shared)), changed: watch::Sender::new(0) };
        let server = this.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let server = server.clone();
                tokio::spawn(async move { server.serve(stream).await });
            }
        });
        this
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Shared)) {
        change(&mut self.shared.lock().unwrap());
        self.changed.send_modify(|version| *version += 1);
    }

    pub(crate) fn revoke(&self, id: &str) {
        self.change(|shared| shared.log.push(id.to_owned()));
    }

    pub(crate) fn verifier(&self) -> VerifierBuilder {
        Verifier::builder(&self.url).audience("api")
    }

    /// A verifier that stays fresh for the whole test, however busy the machine is.
    pub(crate) async fn ready(&self, policy: StalePolicy) -> Verifier {
        self.ready_within(policy, Duration::from_secs(3600)).await
    }

    /// A verifier that is stale soon after the issuer falls silent. A busy machine makes it stale now and then, so tests
    /// wait until it accepts a token.
    pub(crate) async fn ready_briefly(&self, policy: StalePolicy) -> Verifier {
        self.ready_within(policy, Duration::from_millis(500)).await
    }

    async fn ready_within(&self, policy: StalePolicy, staleness: Duration) -> Verifier {
        let verifier = self.verifier().policy(policy).max_staleness(staleness).start().unwrap();
        verifier.ready().await;
        verifier
    }

    /// A token of this session, signed by the current key.
    pub(crate) fn token(&self, session: &str) -> String {
        self.token_with(json!({"sid": session}))
    }

    pub(crate) fn token_with(&self, more: serde_json::Value) -> String {
        let kid = self.shared.lock().unwrap().kid.clone();
        self.token_of_kid(&kid, more)
    }

    pub(crate) fn token_of_kid(&self, kid: &str, more: serde_json::Value) -> String {
        let shared = self.shared.lock().unwrap();
        let now = UnixTime::now().secs();
        let mut claims = json!({
            "iss": self.url, "aud": "api", "sub": "someone", "iat": now, "exp": now + 900, "scope": "reports:read",
        });
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let header = json!({"alg": "EdDSA", "typ": "at+jwt", "kid": kid});
        let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(&header), part(&claims));
        let signature = URL_SAFE_NO_PAD.encode(shared.key.sign(message.as_bytes()).to_bytes());
        format!("{message}.{signature}")
    }

    async fn serve(&self, mut stream: TcpStream) {
        let mut request = Vec::new();
        let mut buffer = [0; 4096];
        let head = loop {
            match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(length) => request.extend_from_slice(&buffer[..length]),
            }
            if let Some(end) = request.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
        };
        let text = String::from_utf8(request[..head].to_vec()).unwrap();
        let path = text.split(' ').nth(1).unwrap().to_owned();
        let length =
            text.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        while request.len() < head + length.unwrap_or(0) {
            let read = stream.read(&mut buffer).await.unwrap();
            request.extend_from_slice(&buffer[..read]);
        }
        self.shared.lock().unwrap().requests.push(path.clone());
        let field = |name: &str| {
            let fields = text.lines().filter_map(|line| line.split_once(": "));
            fields.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).next()
        };
        if field("cache-control").as_deref() == Some("no-cache") {
            self.shared.lock().unwrap().uncached.push(path.clone());
        }
        if path == "/feed/followers" {
            let report = serde_json::from_slice(&request[head..]).unwrap();
            self.shared.lock().unwrap().reports.push((field("authorization").unwrap(), report));
        }
        let (status, body) = self.respond(&path, &request[head..]).await;
        let mut body = body.into_bytes();
        let mut coding = "";
        if status == 200 && field("accept-encoding").as_deref() == Some("gzip") {
            self.shared.lock().unwrap().compressed += 1;
            (body, coding) = (gzip(&body), "content-encoding: gzip\r\n");
        }
        let head = format!(
            "HTTP/1.1 {status} x\r\ncontent-length: {}\r\n{coding}retry-after: 0\r\nconnection: close\r\n\r\n",
            body.len()
        );
        let _ = stream.write_all(head.as_bytes()).await;
        let _ = stream.write_all(&body).await;
        let _ = stream.shutdown().await;
    }

    async fn respond(&self, path: &str, body: &[u8]) -> (u16, String) {
        let url = &self.url;
        if path == "/.well-known/oauth-authorization-server" {
            let metadata = json!({
                "issuer": url, "jwks_uri": format!("{url}/jwks"), "revocation_feed_uri": format!("{url}/feed"),
                "verification_endpoint": format!("{url}/verify"),
            });
            return (200, metadata.to_string());
        }
        if path == "/feed/followers" {
            return (204, String::new());
        }
        if path == "/jwks" {
            return (200, self.shared.lock().unwrap().jwks());
        }
        if path == "/verify/batch" {
            let mut shared = self.shared.lock().unwrap();
            let tokens: serde_json::Value = serde_json::from_slice(body).unwrap();
            let tokens = tokens["tokens"].as_array().unwrap();
            shared.batches.push(tokens.len());
            let Some(accepted) = &shared.batch else { return (503, String::new()) };
            let active = |token: &serde_json::Value| accepted.iter().any(|known| token == known);
            let results: Vec<_> = tokens.iter().map(|token| json!({"active": active(token)})).collect();
            return (200, json!({"results": results}).to_string());
        }
        if matches!(self.shared.lock().unwrap().fault, Fault::Unavailable) {
            return (503, String::new());
        }
        if path == "/feed/snapshot" {
            return (200, self.shared.lock().unwrap().snapshot(url));
        }
        if matches!(self.shared.lock().unwrap().fault, Fault::OnlySnapshot) {
            return (503, String::new());
        }
        let parts: Vec<&str> = path.split('/').collect();
        if path == "/feed" {
            return (200, self.shared.lock().unwrap().head(url));
        }
        if let ["", "feed", epoch, "segments", from, to] = parts[..] {
            let shared = self.shared.lock().unwrap();
            let (from, to): (usize, usize) = (from.parse().unwrap(), to.parse().unwrap());
            if shared.epoch != epoch || from < shared.kept_from {
                return (410, String::new());
            }
            let segment = shared.frame(url, Some(from), to, &shared.log[from..to]);
            return (200, shared.sign(&Frame { not_before: None, jwks: None, ..segment }));
        }
        let ["", "feed", epoch, "after", position] = parts[..] else { return (404, String::new()) };
        let position: usize = position.parse().unwrap();
        let mut changed = self.changed.subscribe();
        let is_waiting = {
            let shared = self.shared.lock().unwrap();
            shared.epoch == epoch && shared.log.len() == position && matches!(shared.fault, Fault::None)
        };
        if is_waiting {
            let _ = tokio::time::timeout(Duration::from_millis(100), changed.changed()).await;
        }
        let mut shared = self.shared.lock().unwrap();
        if shared.epoch != epoch || position < shared.kept_from {
            return (410, String::new());
        }
        (200, shared.live(url, position))
    }
}

impl Shared {
    pub(crate) fn jwks(&self) -> String {
        let own = [(self.kid.clone(), self.key.clone())];
        let keys: Vec<_> = own
            .iter()
            .chain(&self.more_keys)
            .map(|(kid, key)| {
                let x = URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes());
                json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": kid, "use": "sig", "alg": "EdDSA"})
            })
            .collect();
        json!({ "keys": keys }).to_string()
    }

    fn frame(&self, issuer: &str, from: Option<usize>, to: usize, ids: &[String]) -> Frame {
        let until = UnixTime::now() + UNTIL;
        Frame {
            issuer: issuer.to_owned(),
            time: UnixTime::now(),
            epoch: self.epoch.clone(),
            from: from.map(|from| from.to_string()),
            to: to.to_string(),
            not_before: Some(UnixTime::default()),
            jwks: Some(jwks_hash(self.jwks().as_bytes())),
            revoked: ids.iter().map(|id| Revoked { id: IdHash::of(id), until }).collect(),
            revoked_before: Vec::new(),
            segments: None,
            part: None,
        }
    }

    fn sign(&self, frame: &Frame) -> String {
        let other = SigningKey::from_bytes(&[99; 32]);
        let key = if matches!(self.fault, Fault::OtherSigner) { &other } else { &self.key };
        let mut text = encode(frame, &self.kid, |message| key.sign(message).to_bytes()).unwrap();
        text.push('\n');
        text
    }

    fn snapshot(&self, issuer: &str) -> String {
        // Two parts, to test that they are put together.
        let time = UnixTime::now();
        let half = self.log.len() / 2;
        let part = |number: u32, ids: &[String]| {
            let part = Some(Part { number, of: 2 });
            self.sign(&Frame { time, part, ..self.frame(issuer, None, self.log.len(), ids) })
        };
        part(1, &self.log[..half]) + &part(2, &self.log[half..])
    }

    /// Segments end after every second revocation, and at the end.
    fn head(&self, issuer: &str) -> String {
        let end = self.log.len();
        let ends = (self.kept_from..end).filter(|at| at % 2 == 0).chain([end]);
        let segments = Some(ends.map(|end| end.to_string()).collect());
        self.sign(&Frame { segments, ..self.frame(issuer, Some(end), end, &[]) })
    }

    /// A frame for each revocation after `position`, or one without entries.
    fn live(&mut self, issuer: &str, position: usize) -> String {
        let mut frames: Vec<String> = (position..self.log.len())
            .map(|at| {
                let frame = self.frame(issuer, Some(at), at + 1, &self.log[at..=at]);
                let is_last = at + 1 == self.log.len();
                let earlier = Frame { time: frame.time - EARLIER, not_before: None, jwks: None, ..frame.clone() };
                self.sign(if is_last { &frame } else { &earlier })
            })
            .collect();
        if !frames.is_empty() && matches!(self.fault, Fault::None) {
            self.last = frames.concat();
        }
        match &self.fault {
            Fault::Replay(text) => return text.clone(),
            Fault::Truncate => {
                let mut text = self.sign(&self.frame(issuer, Some(position), self.log.len(), &self.log[position..]));
                text.truncate(text.len() - 2);
                return text;
            }
            Fault::DropFirst if frames.len() > 1 => drop(frames.remove(0)),
            Fault::Reverse => frames.reverse(),
            _ => {}
        }
        if frames.is_empty() {
            frames.push(self.sign(&self.frame(issuer, Some(position), position, &[])));
        }
        frames.concat()
    }
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, body).unwrap();
    encoder.finish().unwrap()
}

/// Waits until the condition holds.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(60), wait).await.is_ok(), "not in time: {what}");
}
