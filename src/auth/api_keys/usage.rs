//! When keys were last used: noted in memory on each use, written in batches, never on the request's own time.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::auth::context::Context;
use crate::clock::Timestamp;
use crate::id::ApiKeyId;

/// Uses that have not been written yet.
#[derive(Default)]
pub(super) struct Used {
    latest: Mutex<HashMap<ApiKeyId, Timestamp>>,
    any: AtomicBool,
}

impl Used {
    pub(super) fn note(&self, key: ApiKeyId, now: Timestamp) {
        if let Ok(mut latest) = self.latest.lock() {
            let noted = latest.entry(key).or_insert(now);
            *noted = now.max(*noted);
            self.any.store(true, Ordering::Relaxed);
        }
    }

    fn take(&self) -> Vec<(ApiKeyId, Timestamp)> {
        if !self.any.swap(false, Ordering::Relaxed) {
            return Vec::new();
        }
        self.latest.lock().map(|mut latest| latest.drain().collect()).unwrap_or_default()
    }
}

/// Writes down which keys were used since the last time. Called every minute, and at shutdown.
pub async fn note_usage(ctx: &Context) {
    let used = ctx.node.known_keys.used.take();
    if used.is_empty() {
        return;
    }
    if let Err(error) = ctx.accounts.touch_api_keys(&used).await {
        tracing::warn!(%error, keys = used.len(), "the last use of API keys could not be written");
    }
}
