//! Reading the JWKS again: one request at a time, and a minimum interval between two for all callers together.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use url::Url;

use super::error::FollowError;
use super::http::Client;
use super::state::State;
use crate::jwks::MAX_JWKS_LENGTH;

/// The shortest time between two readings because of a frame, which only the issuer can sign.
pub(super) const AFTER_FRAME: Duration = Duration::from_secs(1);

/// The shortest time between two readings because of a token with an unknown `kid`, which anyone can make.
pub(super) const AFTER_TOKEN: Duration = Duration::from_secs(5);

const DEADLINE: Duration = Duration::from_secs(5);

/// Reads the keys of the issuer.
pub(super) struct KeySource {
    client: Client,
    state: Arc<State>,
    /// Where the JWKS is, and when it was read last. The lock is held while it is read, so that those who wait for it
    /// share the result.
    last: Arc<Mutex<Last>>,
}

#[derive(Default)]
struct Last {
    url: Option<Url>,
    read_at: Option<Instant>,
}

impl KeySource {
    pub(super) fn new(client: Client, state: Arc<State>) -> Self {
        Self { client, state, last: Arc::default() }
    }

    /// Sets where the JWKS is.
    pub(super) async fn set_url(&self, url: Url) {
        self.last.lock().await.url = Some(url);
    }

    /// Reads the JWKS unless a reading ended less than `interval` ago. `State::keys_age` tells if that one failed.
    pub(super) async fn read(&self, interval: Duration) -> Result<(), FollowError> {
        // Callers wait here themselves: tasks that wait for them would stay when they give up, and anyone can cause any
        // number of callers.
        let mut last = self.last.clone().lock_owned().await;
        let Some(url) = last.url.clone() else { return Ok(()) };
        if last.read_at.is_some_and(|read_at| read_at.elapsed() < interval) {
            return Ok(());
        }
        let (client, state) = (self.client.clone(), self.state.clone());
        // In a task of its own, so that a caller that gives up does not end the reading for all others.
        let reading = tokio::spawn(async move {
            state.set_keys_read_at(None);
            let result = read_keys(&client, &state, &url).await;
            // From its end: otherwise those who waited for a slow reading that failed repeat it one after the other.
            last.read_at = Some(Instant::now());
            // Before the lock is released, so that those who waited see if it failed.
            state.set_keys_read_at(last.read_at.filter(|_| result.is_ok()));
            result
        });
        reading.await.unwrap_or(Ok(()))
    }

    /// Reads the JWKS whenever someone wants it, as long as the task runs.
    pub(super) async fn run(&self) {
        loop {
            self.state.keys_wanted.notified().await;
            // If a frame wants them too, the next one does so again within a second.
            let by_token = self.state.keys_wanted_by_token.swap(false, Ordering::Relaxed);
            if let Err(error) = self.read(if by_token { AFTER_TOKEN } else { AFTER_FRAME }).await {
                self.state.record_error(error);
            }
        }
    }
}

async fn read_keys(client: &Client, state: &State, url: &Url) -> Result<(), FollowError> {
    // Past all caches: the keys may have changed a moment ago.
    let body = client.get(url, true, DEADLINE).await?.read(MAX_JWKS_LENGTH, DEADLINE).await?;
    let keys = Arc::new(state.keys.load().replaced_by(&body)?);
    let before = state.keys.swap(keys.clone());
    if before.hash() != keys.hash() {
        state.keys_changed.notify_one();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::runtime::Handle;

    use super::*;
    use crate::TokenError;
    use crate::follow::{Verifier, VerifyError};
    use crate::header::access_token_header;
    use crate::jwks::KeySet;

    /// With the key of RFC 8037, A.2.
    const JWKS: &str = r#"{"keys":[
        {"kty":"OKP","crv":"Ed25519","kid":"known","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
    ]}"#;

    const UNKNOWN: VerifyError = VerifyError::Token(TokenError::UnknownKey);

    /// A verifier that knows the keys of [`JWKS`], and the URL of its issuer, which never responds.
    async fn verifier() -> (Verifier, Url) {
        // Connections are accepted by the kernel.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let verifier = Verifier::builder(&issuer).audience("notes").start().unwrap();
        verifier.inner.state.keys.store(Arc::new(KeySet::parse(JWKS.as_bytes()).unwrap()));
        tokio::spawn(async move {
            let _listener = listener;
            std::future::pending::<()>().await;
        });
        (verifier, Url::parse(&issuer).unwrap())
    }

    /// A URL at which every request gets [`JWKS`] with this status, and the number of requests.
    async fn responder(status: u16) -> (Url, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let requests = Arc::new(AtomicUsize::new(0));
        let counter = requests.clone();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head: Vec<u8> = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    assert!(stream.read_buf(&mut head).await.unwrap() > 0, "the request is cut off");
                }
                counter.fetch_add(1, Ordering::Relaxed);
                let length = JWKS.len();
                let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
                stream.write_all((head + JWKS).as_bytes()).await.unwrap();
            }
        });
        (url, requests)
    }

    /// A verifier whose attempts to read the keys get this status, and their number.
    async fn verifier_with(status: u16) -> (Verifier, Arc<AtomicUsize>) {
        let (verifier, _) = verifier().await;
        let (url, requests) = responder(status).await;
        verifier.inner.keys.set_url(url).await;
        (verifier, requests)
    }

    /// Lets the next attempt to read the keys get this status, however soon it comes.
    async fn read_again(verifier: &Verifier, status: u16) {
        let (url, _) = responder(status).await;
        *verifier.inner.keys.last.lock().await = Last { url: Some(url), read_at: None };
    }

    /// A token with a bad signature.
    fn token(kid: &str) -> String {
        format!("{}e30.{}", access_token_header("EdDSA", kid), "A".repeat(86))
    }

    async fn refusal(verifier: &Verifier, kid: &str) -> VerifyError {
        verifier.verify(&token(kid)).await.unwrap_err()
    }

    /// Waits until the key is unknown: a test that stands still for seconds misses the deadline of the first reading.
    async fn until_unknown(refusal: impl AsyncFn() -> VerifyError) {
        let wait = async {
            while refusal().await != UNKNOWN {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        assert!(tokio::time::timeout(Duration::from_secs(60), wait).await.is_ok(), "the key is not unknown in time");
    }

    /// The most readings that tokens cause from then on, one every five seconds.
    fn most_readings(began: Instant) -> usize {
        1 + began.elapsed().as_secs() as usize / 5
    }

    #[tokio::test]
    async fn verifications_that_gave_up_leave_no_tasks() {
        let (verifier, url) = verifier().await;
        verifier.inner.keys.set_url(url).await;
        for _ in 0..50 {
            let result = tokio::time::timeout(Duration::ZERO, verifier.verify(&token("made-up"))).await;
            assert!(result.is_err(), "{result:?}");
        }
        let tasks = Handle::current().metrics().num_alive_tasks();
        assert!(tasks < 20, "{tasks} tasks");
    }

    #[tokio::test]
    async fn unknown_key_is_unavailable_if_keys_cannot_be_read() {
        let (verifier, requests) = verifier_with(503).await;
        let began = Instant::now();
        for at in 0..50 {
            assert_eq!(refusal(&verifier, &format!("made-up-{at}")).await, VerifyError::Unavailable);
        }
        assert_eq!(verifier.verify_now(&token("made-up")).unwrap_err(), VerifyError::Unavailable);
        let requests = requests.load(Ordering::Relaxed);
        assert!(requests <= most_readings(began), "{requests} attempts");
    }

    #[tokio::test]
    async fn unknown_key_is_unavailable_while_the_issuer_hangs() {
        let (verifier, url) = verifier().await;
        verifier.inner.keys.set_url(url).await;
        assert_eq!(refusal(&verifier, "made-up").await, VerifyError::Unavailable);
        assert_eq!(verifier.verify_now(&token("made-up")).unwrap_err(), VerifyError::Unavailable);
    }

    #[tokio::test]
    async fn key_that_the_issuer_does_not_list_is_unknown() {
        let (verifier, requests) = verifier_with(200).await;
        let began = Instant::now();
        until_unknown(async || refusal(&verifier, "made-up").await).await;
        for at in 0..50 {
            assert_eq!(refusal(&verifier, &format!("made-up-{at}")).await, UNKNOWN);
        }
        let requests = requests.load(Ordering::Relaxed);
        assert!(requests <= most_readings(began), "{requests} readings");
    }

    #[tokio::test]
    async fn unknown_key_is_unavailable_after_the_last_reading_failed() {
        let (verifier, _) = verifier_with(200).await;
        until_unknown(async || refusal(&verifier, "made-up").await).await;
        read_again(&verifier, 503).await;
        for _ in 0..2 {
            assert_eq!(refusal(&verifier, "made-up").await, VerifyError::Unavailable);
        }
    }

    #[tokio::test]
    async fn key_is_unknown_again_once_the_keys_can_be_read() {
        let (verifier, _) = verifier_with(503).await;
        assert_eq!(refusal(&verifier, "made-up").await, VerifyError::Unavailable);
        read_again(&verifier, 200).await;
        until_unknown(async || refusal(&verifier, "made-up").await).await;
    }

    #[tokio::test]
    async fn verify_now_refuses_an_unknown_key_after_a_reading() {
        let (verifier, _) = verifier_with(200).await;
        let refusal = || verifier.verify_now(&token("made-up")).unwrap_err();
        assert_eq!(refusal(), VerifyError::Unavailable, "the keys were not read yet");
        until_unknown(async || refusal()).await;
    }

    #[tokio::test]
    async fn token_without_a_kid_needs_no_reading() {
        let (verifier, requests) = verifier_with(503).await;
        let before = requests.load(Ordering::Relaxed);
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"EdDSA","typ":"at+jwt"}"#);
        let token = format!("{header}.e30.{}", "A".repeat(86));
        let refusals = [verifier.verify(&token).await.unwrap_err(), verifier.verify_now(&token).unwrap_err()];
        assert_eq!(refusals, [VerifyError::Token(TokenError::MissingKid); 2]);
        assert!(refusals.iter().all(|error| error.code() == "unknown_key" && !error.is_temporary()));
        assert_eq!(requests.load(Ordering::Relaxed), before);
    }

    #[tokio::test]
    async fn tokens_of_known_keys_need_no_reading() {
        let (verifier, requests) = verifier_with(503).await;
        assert_eq!(refusal(&verifier, "made-up").await, VerifyError::Unavailable);
        let before = requests.load(Ordering::Relaxed);
        let bad_signature = VerifyError::Token(TokenError::BadSignature);
        assert_eq!(refusal(&verifier, "known").await, bad_signature);
        assert_eq!(verifier.verify_now(&token("known")).unwrap_err(), bad_signature);
        assert_eq!(requests.load(Ordering::Relaxed), before);
    }
}
