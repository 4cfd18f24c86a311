//! Since when the mails in the queue have been there, for the metrics. Knows nothing of mails.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The mails in the queue, by a number that increases.
#[derive(Default)]
pub(super) struct QueueAge(Mutex<Queued>);

#[derive(Default)]
struct Queued {
    next: u64,
    since: BTreeMap<u64, Instant>,
}

impl QueueAge {
    /// A mail comes. Returns its number.
    pub(super) fn enter(&self) -> u64 {
        let mut queued = self.lock();
        let number = queued.next;
        queued.next += 1;
        queued.since.insert(number, Instant::now());
        number
    }

    /// A mail goes.
    pub(super) fn leave(&self, number: u64) {
        self.lock().since.remove(&number);
    }

    /// How long the oldest mail has waited; zero if there is none.
    pub(super) fn oldest(&self) -> Duration {
        self.lock().since.first_key_value().map_or(Duration::ZERO, |(_, since)| since.elapsed())
    }

    fn lock(&self) -> MutexGuard<'_, Queued> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oldest_mail_counts_whichever_goes_first() {
        let ages = QueueAge::default();
        assert_eq!(ages.oldest(), Duration::ZERO);
        let (first, second) = (ages.enter(), ages.enter());
        ages.leave(second);
        assert_eq!(ages.lock().since.keys().collect::<Vec<_>>(), [&first]);
        ages.leave(first);
        assert_eq!(ages.oldest(), Duration::ZERO);
    }
}
