//! How long things took, kept so that no percentile is further off than one in 64, in a few kilobytes however many there were.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Steps in each doubling.
const STEPS: u64 = 64;

/// Counts by nanoseconds: exact below [`STEPS`], then that many steps to each doubling.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    all: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; place(u64::MAX) + 1], all: 0 }
    }
}

impl Histogram {
    pub(crate) fn note(&mut self, took: Duration) {
        self.counts[place(took.as_nanos() as u64)] += 1;
        self.all += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(own, more)| *own += more);
        self.all += other.all;
    }

    pub(crate) fn count(&self) -> u64 {
        self.all
    }

    /// What so great a share of them did not exceed, in microseconds; 0 if there are none.
    pub(crate) fn micros(&self, share: f64) -> f64 {
        let wanted = ((self.all as f64 * share).ceil() as u64).max(1);
        let mut so_far = 0;
        for (place, count) in self.counts.iter().enumerate() {
            so_far += count;
            if so_far >= wanted {
                return middle(place) / 1000.0;
            }
        }
        0.0
    }
}

fn place(nanos: u64) -> usize {
    if nanos < STEPS {
        return nanos as usize;
    }
    let doubling = u64::from(nanos.ilog2() - STEPS.ilog2());
    (doubling * STEPS + (nanos >> doubling)) as usize
}

fn middle(place: usize) -> f64 {
    let place = place as u64;
    if place < STEPS {
        return place as f64;
    }
    let doubling = place / STEPS - 1;
    (((place - doubling * STEPS) << doubling) as f64) + (1_u64 << doubling) as f64 / 2.0
}
