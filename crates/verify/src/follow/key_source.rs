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
    last: Mutex<Last>,
}

#[derive(Default)]
struct Last {
    url: Option<Url>,
    read_at: Option<Instant>,
}

impl KeySource {
    pub(super) fn new(client: Client, state: Arc<State>) -> Self {
        Self { client, state, last: Mutex::default() }
    }

    /// Sets where the JWKS is.
    pub(super) async fn set_url(&self, url: Url) {
        self.last.lock().await.url = Some(url);
    }

    /// Reads the JWKS unless it was read less than `interval` ago. Returns false if it was not read.
    pub(super) async fn read(&self, interval: Duration) -> Result<bool, FollowError> {
        let mut last = self.last.lock().await;
        let Some(url) = last.url.clone() else { return Ok(false) };
        if last.read_at.is_some_and(|read_at| read_at.elapsed() < interval) {
            return Ok(false);
        }
        last.read_at = Some(Instant::now());
        // Past all caches: the keys may have changed a moment ago.
        let body = self.client.get(&url, true, DEADLINE).await?.read(MAX_JWKS_LENGTH, DEADLINE).await?;
        let keys = Arc::new(self.state.keys.load().replaced_by(&body)?);
        let before = self.state.keys.swap(keys.clone());
        if before.hash() != keys.hash() {
            self.state.keys_changed.notify_one();
        }
        Ok(true)
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
