//! Counters that every thread of the process raises at every request: a row of cells for each few threads, so that no two
//! cores fight for a cache line, added up only when somebody looks. Raising one costs an uncontended atomic
//! addition; no lock, no look-up, no allocation. Knows nothing of what is counted.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// See above.
pub(super) struct ShardedCounter(Box<[Box<[AtomicU64]>]>);

/// More rows than this would cost memory and scrapes more than they save.
const MOST_ROWS: usize = 64;

static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static THREAD: usize = THREADS.fetch_add(1, Ordering::Relaxed);
}

impl ShardedCounter {
    /// A bank of that many cells, all nought.
    pub(super) fn new(cells: usize) -> Self {
        let rows = std::thread::available_parallelism().map_or(1, usize::from).next_power_of_two().min(MOST_ROWS);
        let row = || (0..cells).map(|_| AtomicU64::new(0)).collect();
        Self((0..rows).map(|_| row()).collect())
    }

    /// Raises a cell.
    pub(super) fn add(&self, cell: usize, by: u64) {
        let thread = THREAD.with(|thread| *thread);
        // The number of rows is a power of two.
        let row = &self.0[thread & (self.0.len() - 1)];
        if let Some(cell) = row.get(cell) {
            cell.fetch_add(by, Ordering::Relaxed);
        }
    }

    /// Lowers a cell. One row may fall below nought and another stand above: the sum is right, modulo 2^64.
    pub(super) fn take(&self, cell: usize) {
        self.add(cell, u64::MAX);
    }

    /// What a cell holds over all rows.
    pub(super) fn sum(&self, cell: usize) -> u64 {
        self.0.iter().map(|row| row[cell].load(Ordering::Relaxed)).fold(0, u64::wrapping_add)
    }
}

/// The upper bounds of a histogram's buckets, in microseconds: from what a cached verification takes to the longest that
/// anyone waits.
pub(super) const BOUNDS: [u64; 17] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000,
];

/// How many cells a histogram takes: its buckets, the one above the last bound, and the sum in nanoseconds.
pub(super) const HISTOGRAM: usize = BOUNDS.len() + 2;

/// A histogram in a bank.
#[derive(Clone, Copy)]
pub(super) struct Histogram(pub(super) usize);

impl Histogram {
    /// Counts one span.
    pub(super) fn observe(self, bank: &ShardedCounter, span: Duration) {
        let nanos = span.as_nanos() as u64;
        let bucket = BOUNDS.iter().take_while(|bound| nanos > **bound * 1_000).count();
        bank.add(self.0 + bucket, 1);
        bank.add(self.0 + HISTOGRAM - 1, nanos);
    }

    /// Each bound in seconds with how many spans were at most so long, the last being infinite; and the sum in seconds.
    pub(super) fn read(self, bank: &ShardedCounter) -> (Vec<(f64, u64)>, f64) {
        let mut so_far = 0;
        let bounds = BOUNDS.iter().map(|bound| *bound as f64 / 1e6).chain([f64::INFINITY]);
        let buckets = bounds
            .enumerate()
            .map(|(bucket, bound)| {
                so_far += bank.sum(self.0 + bucket);
                (bound, so_far)
            })
            .collect();
        (buckets, bank.sum(self.0 + HISTOGRAM - 1) as f64 / 1e9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_counted_in_the_first_bucket_that_holds_it() {
        let bank = ShardedCounter::new(HISTOGRAM);
        let histogram = Histogram(0);
        for micros in [0, 50, 51, 10_000_000, 10_000_001] {
            histogram.observe(&bank, Duration::from_micros(micros));
        }
        let (buckets, sum) = histogram.read(&bank);
        assert_eq!(buckets[0], (0.000_05, 2));
        assert_eq!(buckets[1], (0.000_1, 3));
        assert_eq!(buckets[16], (10.0, 4));
        assert_eq!(buckets[17], (f64::INFINITY, 5));
        assert!((sum - 20.000_102).abs() < 1e-9);
    }

    #[test]
    fn what_one_thread_raises_another_can_lower() {
        let bank = ShardedCounter::new(1);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..1_000).for_each(|_| bank.add(0, 1)));
            }
        });
        std::thread::scope(|scope| {
            scope.spawn(|| (0..7_999).for_each(|_| bank.take(0)));
        });
        assert_eq!(bank.sum(0), 1);
    }
}
