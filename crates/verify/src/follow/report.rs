//! Reporting to the issuer what this follower has read, so that its operator sees who lags.
//!
//! A report that fails is lost. Nothing that is verified depends on it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use serde::Serialize;

use super::backoff::random_part;
use super::endpoints::extended;
use super::error::{BuildError, FollowError};
use super::http::Client;
use super::state::State;

/// The time between two reports, and how much of it is random.
const INTERVAL: Duration = Duration::from_secs(60);
const JITTER: Duration = Duration::from_secs(5);

/// After it has read other keys a follower reports within this time: a command may wait for that. Random, because all
/// followers read them at the same moment.
const MAX_DELAY: Duration = Duration::from_secs(3);

const DEADLINE: Duration = Duration::from_secs(5);

const MAX_NAME_LENGTH: usize = 100;

/// The identity of the reporting service.
#[derive(Clone)]
pub(super) struct Reporter {
    name: String,
    /// `Bearer` and the API key.
    authorization: HeaderValue,
}

impl fmt::Debug for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reporter").field("name", &self.name).finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct Report<'a> {
    name: &'a str,
    epoch: &'a str,
    position: &'a str,
    time: i64,
    jwks: &'a str,
}

impl Reporter {
    pub(super) fn new(name: &str, api_key: &str) -> Result<Self, BuildError> {
        let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || "._:/@-".contains(letter);
        if !(1..=MAX_NAME_LENGTH).contains(&name.len()) || !name.chars().all(is_allowed) || api_key.is_empty() {
            return Err(BuildError::InvalidReporter);
        }
        let mut authorization =
            HeaderValue::try_from(format!("Bearer {api_key}")).map_err(|_| BuildError::InvalidReporter)?;
        authorization.set_sensitive(true);
        Ok(Self { name: name.to_owned(), authorization })
    }

    /// Reports once a minute and after each change of the keys, as long as the task runs.
    pub(super) async fn run(self, client: Client, state: Arc<State>) {
        // The sender lives as long as the state.
        let _ = state.ready.subscribe().wait_for(|ready| *ready).await;
        // The first report has the first keys, so their arrival is no reason for another.
        let _ = tokio::time::timeout(Duration::ZERO, state.keys_changed.notified()).await;
        let mut has_failed = false;
        loop {
            match self.report(&client, &state).await {
                Ok(()) => has_failed = false,
                Err(error) if has_failed => tracing::debug!(%error, "cannot report to the issuer"),
                Err(error) => {
                    has_failed = true;
                    tracing::warn!(%error, "cannot report to the issuer what was read of the revocation feed");
                }
            }
            let pause = INTERVAL - random_part(JITTER);
            if tokio::time::timeout(pause, state.keys_changed.notified()).await.is_ok() {
                tokio::time::sleep(random_part(MAX_DELAY)).await;
            }
        }
    }

    async fn report(&self, client: &Client, state: &State) -> Result<(), FollowError> {
        let feed = state.feed_url.load_full();
        let (Some(feed), Some(position), Some(time)) = (feed.as_ref(), state.position(), state.freshness.complete_at())
        else {
            return Ok(());
        };
        let keys = state.keys.load_full();
        let (epoch, at) = (&*position.epoch, &*position.at);
        let report = Report { name: &self.name, epoch, position: at, time: time.millis(), jwks: keys.hash() };
        let body = serde_json::to_vec(&report).map(Bytes::from).unwrap_or_default();
        client.post_report(&extended(feed, &["followers"]), body, &self.authorization, DEADLINE).await
    }
}
