//! Logs that Redis is unavailable and that it is available again: one line each per process, although every runtime has
//! a connection of its own. Knows nothing of how connections are made.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts the connections of one process that are lost.
#[derive(Debug, Default)]
pub struct OutageLog(AtomicUsize);

impl OutageLog {
    /// Records that a connection was lost, and logs it if no other is.
    pub(super) fn connection_lost(self: &Arc<Self>, reason: &str) -> Outage {
        if self.0.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::warn!(reason, "Redis unavailable; reconnecting");
        }
        Outage { log: self.clone(), has_recovered: false }
    }
}

/// The outage of one connection. Dropping it ends the outage without a log line, for a connection that is given up.
pub(super) struct Outage {
    log: Arc<OutageLog>,
    has_recovered: bool,
}

impl Outage {
    /// Records that the connection is back, and logs it if no other connection is lost.
    pub(super) fn recovered(mut self) {
        self.has_recovered = true;
    }
}

impl Drop for Outage {
    fn drop(&mut self) {
        let was_last = self.log.0.fetch_sub(1, Ordering::Relaxed) == 1;
        if was_last && self.has_recovered {
            tracing::info!("Redis available again");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The log lines that `work` writes.
    fn logged_by(work: impl FnOnce()) -> Vec<String> {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .without_time()
            .with_target(false)
            .with_ansi(false)
            .with_writer(move || writer.clone());
        tracing::subscriber::with_default(subscriber.finish(), work);
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| line.trim().to_owned()).collect()
    }

    #[test]
    fn lost_redis_is_logged_once_and_so_is_its_return() {
        let log = Arc::new(OutageLog::default());
        for _ in 0..2 {
            let lines = logged_by(|| {
                let outages: Vec<_> = (0..9).map(|_| log.connection_lost("closed")).collect();
                outages.into_iter().for_each(Outage::recovered);
            });
            assert_eq!(lines, ["WARN Redis unavailable; reconnecting reason=\"closed\"", "INFO Redis available again"]);
        }
    }

    #[test]
    fn connection_that_is_given_up_logs_no_return() {
        let log = Arc::new(OutageLog::default());
        let lines = logged_by(|| drop(log.connection_lost("closed")));
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert_eq!(logged_by(|| drop(log.connection_lost("closed"))).len(), 1, "the next loss is logged");
    }
}
