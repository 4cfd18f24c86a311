//! The limit of open connections, over all workers. Knows nothing of what connections do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Semaphore;

use super::observer::Observer;

/// Counts the open connections of all workers against their limit.
pub(super) struct ConnectionLimit {
    max: usize,
    permits: Semaphore,
    /// A connection had to wait, and few have closed since.
    exhausted: AtomicBool,
    observer: Arc<dyn Observer>,
}

impl ConnectionLimit {
    pub(super) fn new(max: usize, observer: Arc<dyn Observer>) -> Self {
        Self { max, permits: Semaphore::new(max), exhausted: AtomicBool::new(false), observer }
    }

    /// One more connection would take more than three quarters of the limit. From here on, each new connection closes
    /// another one. The last quarter is for connections that arrive faster than others close, and for workers that have
    /// none to close.
    pub(super) fn is_short(&self) -> bool {
        let open = self.max.saturating_sub(self.permits.available_permits());
        (open + 1).saturating_mul(4) > self.max.saturating_mul(3)
    }

    /// Waits for a permit. `closing` states that another connection is being closed, so that the limit does not count
    /// as exhausted for the moment that this takes.
    pub(super) async fn acquire(self: &Arc<Self>, closing: bool) -> ConnectionPermit {
        let permit = match self.permits.try_acquire() {
            Ok(permit) => Ok(permit),
            Err(_) => {
                if !closing && !self.exhausted.swap(true, Ordering::Relaxed) {
                    self.observer.connections_exhausted();
                }
                self.permits.acquire().await
            }
        };
        // The semaphore is never closed, so there is no error. `ConnectionPermit` returns the permit when it is
        // dropped: it is one pointer, and the semaphore's own permit is two.
        if let Ok(permit) = permit {
            permit.forget();
        }
        ConnectionPermit(self.clone())
    }

    fn release(&self) {
        self.permits.add_permits(1);
        // A sixteenth must be free, so that readiness does not change with every connection.
        if self.exhausted.load(Ordering::Relaxed)
            && self.permits.available_permits() >= (self.max / 16).max(1)
            && self.exhausted.swap(false, Ordering::Relaxed)
        {
            self.observer.connections_available();
        }
    }
}

/// Permission for one open connection; released on drop.
pub(super) struct ConnectionPermit(Arc<ConnectionLimit>);

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.0.release();
    }
}
