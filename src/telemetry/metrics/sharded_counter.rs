//! Counters that every thread increments at every request. Threads are spread over several rows of cells, so that cores
//! do not contend for cache lines; rows are summed when the page is read. An increment is one uncontended atomic
//! addition: no lock, no lookup, no allocation. Knows nothing of what is counted.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// Counters in rows, one row for a few threads each.
pub(super) struct ShardedCounter(Box<[Box<[AtomicU64]>]>);

/// Upper bound of rows: more would cost memory and slow down scrapes.
const MAX_ROWS: usize = 64;

static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static THREAD: usize = THREADS.fetch_add(1, Ordering::Relaxed);
}

impl ShardedCounter {
    /// Creates that many cells, all zero.
    pub(super) fn new(cells: usize) -> Self {
        let rows = std::thread::available_parallelism().map_or(1, usize::from).next_power_of_two().min(MAX_ROWS);
        let row = || (0..cells).map(|_| AtomicU64::new(0)).collect();
        Self((0..rows).map(|_| row()).collect())
    }

    pub(super) fn add(&self, cell: usize, by: u64) {
        let thread = THREAD.with(|thread| *thread);
        // The number of rows is a power of two.
        let row = &self.0[thread & (self.0.len() - 1)];
        if let Some(cell) = row.get(cell) {
            cell.fetch_add(by, Ordering::Relaxed);
        }
    }

    /// Subtracts one. A single row may wrap around, but the sum is right modulo 2^64.
    pub(super) fn subtract(&self, cell: usize) {
        self.add(cell, u64::MAX);
    }

    /// Returns a cell's sum over all rows.
    pub(super) fn sum(&self, cell: usize) -> u64 {
        self.0.iter().map(|row| row[cell].load(Ordering::Relaxed)).fold(0, u64::wrapping_add)
    }
}

/// Upper bounds of histogram buckets in microseconds, from a cached verification (50 µs) to 10 s.
pub(super) const BOUNDS: [u64; 17] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000,
];

/// Cells of a histogram: its buckets, the one above the last bound, and the sum in nanoseconds.
pub(super) const HISTOGRAM: usize = BOUNDS.len() + 2;

/// A histogram, by the index of its first cell.
#[derive(Clone, Copy)]
pub(super) struct Histogram(pub(super) usize);

impl Histogram {
    /// Records a duration.
    pub(super) fn observe(self, cells: &ShardedCounter, duration: Duration) {
        let nanos = duration.as_nanos() as u64;
        cells.add(self.0 + bucket(nanos), 1);
        cells.add(self.0 + HISTOGRAM - 1, nanos);
    }

    /// The count of each bucket.
    pub(super) fn counts(self, cells: &ShardedCounter) -> [u64; BOUNDS.len() + 1] {
        std::array::from_fn(|bucket| cells.sum(self.0 + bucket))
    }

    /// Returns cumulative counts by upper bound in seconds, the last being infinite, and the sum in seconds.
    pub(super) fn read(self, cells: &ShardedCounter) -> (Vec<(f64, u64)>, f64) {
        let mut cumulative = 0;
        let buckets = bounds()
            .enumerate()
            .map(|(bucket, bound)| {
                cumulative += cells.sum(self.0 + bucket);
                (bound, cumulative)
            })
            .collect();
        (buckets, cells.sum(self.0 + HISTOGRAM - 1) as f64 / 1e9)
    }
}

/// A histogram outside of the cells, for a module that counts under a lock of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LocalHistogram {
    counts: [u64; BOUNDS.len() + 1],
    sum: Duration,
}

impl LocalHistogram {
    /// Records a duration.
    pub fn observe(&mut self, duration: Duration) {
        self.counts[bucket(duration.as_nanos() as u64)] += 1;
        self.sum += duration;
    }

    /// The duration in milliseconds that this share of all did not exceed; zero if there is none.
    pub fn quantile_ms(&self, share: f64) -> f64 {
        quantile(&self.counts, share)
    }

    /// As [`Histogram::read`].
    pub(super) fn read(&self) -> (Vec<(f64, u64)>, f64) {
        let mut cumulative = 0;
        let buckets = bounds().zip(self.counts).map(|(bound, count)| {
            cumulative += count;
            (bound, cumulative)
        });
        (buckets.collect(), self.sum.as_secs_f64())
    }
}

/// The duration in milliseconds that this share of the requests did not exceed, estimated within its bucket as
/// Prometheus does. Zero without requests.
pub(super) fn quantile(buckets: &[u64; BOUNDS.len() + 1], share: f64) -> f64 {
    let wanted = buckets.iter().sum::<u64>() as f64 * share;
    let (mut below, mut lower) = (0.0, 0.0);
    for (count, bound) in buckets.iter().zip(BOUNDS) {
        let (count, upper) = (*count as f64, bound as f64 / 1e3);
        if count > 0.0 && below + count >= wanted {
            return lower + (upper - lower) * (wanted - below) / count;
        }
        (below, lower) = (below + count, upper);
    }
    if wanted > 0.0 { lower } else { 0.0 }
}

/// The bucket of a duration in nanoseconds.
fn bucket(nanos: u64) -> usize {
    BOUNDS.iter().take_while(|bound| nanos > **bound * 1_000).count()
}

/// The upper bounds in seconds, the last being infinite.
fn bounds() -> impl Iterator<Item = f64> {
    BOUNDS.iter().map(|bound| *bound as f64 / 1e6).chain([f64::INFINITY])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duration_is_counted_in_first_bucket_that_fits() {
        let cells = ShardedCounter::new(HISTOGRAM);
        let histogram = Histogram(0);
        for micros in [0, 50, 51, 10_000_000, 10_000_001] {
            histogram.observe(&cells, Duration::from_micros(micros));
        }
        let (buckets, sum) = histogram.read(&cells);
        assert_eq!(buckets[0], (0.000_05, 2));
        assert_eq!(buckets[1], (0.000_1, 3));
        assert_eq!(buckets[16], (10.0, 4));
        assert_eq!(buckets[17], (f64::INFINITY, 5));
        assert!((sum - 20.000_102).abs() < 1e-9);
    }

    #[test]
    fn quantiles_are_estimated_within_their_bucket() {
        let buckets = |at: &[(usize, u64)]| {
            let mut buckets = [0; BOUNDS.len() + 1];
            at.iter().for_each(|(bucket, count)| buckets[*bucket] = *count);
            buckets
        };
        assert_eq!(quantile(&buckets(&[]), 0.99), 0.0);
        // From 0.5 ms to 1 ms.
        assert!((quantile(&buckets(&[(4, 100)]), 0.5) - 0.75).abs() < 1e-9);
        assert!((quantile(&buckets(&[(0, 99), (7, 1)]), 0.99) - 0.05).abs() < 1e-9);
        assert_eq!(quantile(&buckets(&[(BOUNDS.len(), 1)]), 0.5), 10_000.0);
    }

    #[test]
    fn one_thread_can_decrement_what_another_incremented() {
        let cells = ShardedCounter::new(1);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..1_000).for_each(|_| cells.add(0, 1)));
            }
        });
        std::thread::scope(|scope| {
            scope.spawn(|| (0..7_999).for_each(|_| cells.subtract(0)));
        });
        assert_eq!(cells.sum(0), 1);
    }
}
