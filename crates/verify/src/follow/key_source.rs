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

    /// Reads the JWKS unless a reading ended less than `interval` ago.
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
            let result = read_keys(&client, &state, &url).await;
            // From its end: otherwise those who waited for a slow reading that failed repeat it one after the other.
            last.read_at = Some(Instant::now());
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
    use tokio::net::TcpListener;
    use tokio::runtime::Handle;

    use super::*;
    use crate::follow::Verifier;
    use crate::header::access_token_header;
    use crate::jwks::KeySet;

    /// With the key of RFC 8037, A.2.
    const JWKS: &str = r#"{"keys":[
        {"kty":"OKP","crv":"Ed25519","kid":"known","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
    ]}"#;

    #[tokio::test]
    async fn verifications_that_gave_up_leave_no_tasks() {
        // Connections are accepted by the kernel, and never answered.
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", server.local_addr().unwrap());
        let verifier = Verifier::builder(&issuer).audience("notes").start().unwrap();
        verifier.inner.state.keys.store(Arc::new(KeySet::parse(JWKS.as_bytes()).unwrap()));
        verifier.inner.keys.set_url(Url::parse(&issuer).unwrap()).await;
        let token = format!("{}e30.{}", access_token_header("EdDSA", "made-up"), "A".repeat(86));
        for _ in 0..50 {
            let result = tokio::time::timeout(Duration::ZERO, verifier.verify(&token)).await;
            assert!(result.is_err(), "{result:?}");
        }
        let tasks = Handle::current().metrics().num_alive_tasks();
        assert!(tasks < 20, "{tasks} tasks");
    }
}
