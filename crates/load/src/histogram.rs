//! Latency histograms.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Buckets for each power of two.
const STEPS: u64 = 64;

/// A histogram of durations in a few kilobytes, whose percentiles are accurate to one part in 64.
///
/// Counts nanoseconds: exactly below 64, then in 64 buckets for each power of two.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; bucket(u64::MAX) + 1], total: 0 }
    }
}

impl Histogram {
    /// Counts a duration.
    pub fn record(&mut self, duration: Duration) {
        self.counts[bucket(duration.as_nanos() as u64)] += 1;
        self.total += 1;
    }

    /// Adds the counts of another histogram.
    pub fn merge(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(own, other)| *own += other);
        self.total += other.total;
    }

    /// The number of durations.
    pub fn count(&self) -> u64 {
        self.total
    }

    /// The percentile in microseconds, of which `fraction` is from 0 to 1. An empty histogram gives 0.
    pub fn percentile_micros(&self, fraction: f64) -> f64 {
        let rank = ((self.total as f64 * fraction).ceil() as u64).max(1);
        let mut so_far = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            so_far += count;
            if so_far >= rank {
                return midpoint(bucket) / 1000.0;
            }
        }
        0.0
    }
}

fn bucket(nanos: u64) -> usize {
    if nanos < STEPS {
        return nanos as usize;
    }
    let doubling = u64::from(nanos.ilog2() - STEPS.ilog2());
    (doubling * STEPS + (nanos >> doubling)) as usize
}

/// The middle of a bucket, in nanoseconds.
fn midpoint(bucket: usize) -> f64 {
    let bucket = bucket as u64;
    if bucket < STEPS {
        return bucket as f64;
    }
    let doubling = bucket / STEPS - 1;
    (((bucket - doubling * STEPS) << doubling) as f64) + (1_u64 << doubling) as f64 / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_accurate_to_one_part_in_64() {
        let mut histogram = Histogram::default();
        assert_eq!((histogram.count(), histogram.percentile_micros(0.5)), (0, 0.0));
        (1..=1000).for_each(|micros| histogram.record(Duration::from_micros(micros)));
        for (fraction, micros) in [(0.5, 500.0), (0.99, 990.0), (1.0, 1000.0)] {
            let measured = histogram.percentile_micros(fraction);
            assert!((measured / micros - 1.0).abs() <= 1.0 / 64.0, "{fraction}: {measured}");
        }
        let mut merged = histogram.clone();
        merged.merge(&histogram);
        assert_eq!((merged.count(), merged.percentile_micros(0.5)), (2000, histogram.percentile_micros(0.5)));
    }
}
