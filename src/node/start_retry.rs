//! Retries a step of the start while a store is unavailable. The timeouts in the settings are for requests, whose
//! clients can retry. A start that failed because a store was busy for a moment would leave a node down.

use std::time::{Duration, Instant};

use super::error::StartError;

/// No retry begins later than this after the step began. A store that is down is then reported, and a service manager
/// starts the process again.
const MAX_ELAPSED: Duration = Duration::from_secs(5);

/// The pause before a retry: a store that refuses connections does so at once.
const PAUSE: Duration = Duration::from_millis(100);

/// Runs `step`, and again while it fails because a store is unavailable. The step must be safe to repeat.
pub(super) async fn retry_while_unavailable<T>(step: impl AsyncFn() -> Result<T, StartError>) -> Result<T, StartError> {
    let began = Instant::now();
    loop {
        match step().await {
            Err(error) if error.is_unavailable() && began.elapsed() < MAX_ELAPSED => {
                tokio::time::sleep(PAUSE).await;
            }
            result => return result,
        }
    }
}
