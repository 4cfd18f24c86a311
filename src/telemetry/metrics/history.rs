//! The recent past of the requests, from the same cells that `/metrics` reads: for people who look at this node without
//! Prometheus. One sample every few seconds, with the routes that had requests, so that an idle node keeps next to
//! nothing. Knows nothing of what the routes do.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::sharded_counter::{BOUNDS, Histogram, quantile};
use super::{Counter, Metrics, STATUSES};
use crate::clock::Timestamp;

/// The time between two samples.
pub const SAMPLE_INTERVAL: Duration = Duration::from_secs(5);

/// The number of samples that are kept: five minutes.
const SAMPLES: usize = 60;

/// The samples that the rates of operations are computed from: the last minute.
const RECENT: usize = 12;

/// Buckets of a histogram, with the one above the last bound.
const BUCKETS: usize = BOUNDS.len() + 1;

/// Requests per second and their durations at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TrafficPoint {
    /// Requests per second.
    pub per_second: f64,
    /// The 99th percentile of the durations in milliseconds; `None` without requests.
    pub p99_ms: Option<f64>,
}

/// The requests of one route in the last minute.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteTraffic {
    /// The metric label of the route.
    pub route: String,
    /// Requests per second.
    pub per_second: f64,
    /// Responses with a status from 500 per second.
    pub errors_per_second: f64,
    /// The median of the durations in milliseconds.
    pub p50_ms: f64,
    /// The 99th percentile in milliseconds.
    pub p99_ms: f64,
}

/// The counts of one route since the start of the process.
#[derive(Clone, Copy, Default)]
struct RouteCounts {
    buckets: [u64; BUCKETS],
    errors: u64,
}

/// The requests of a route between two samples.
struct RouteSample {
    route: usize,
    buckets: [u64; BUCKETS],
    errors: u64,
}

struct Sample {
    took: Duration,
    routes: Vec<RouteSample>,
}

/// The last samples.
#[derive(Default)]
pub(super) struct History(Mutex<Samples>);

#[derive(Default)]
struct Samples {
    sampled_at: Option<Duration>,
    seen: Vec<RouteCounts>,
    samples: VecDeque<Sample>,
}

impl History {
    /// Takes a sample of the `counts` of all routes at this monotonic time. The first one only begins the history.
    fn sample(&self, now: Duration, counts: Vec<RouteCounts>) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = inner.sampled_at.replace(now) {
            let changes = counts.iter().zip(&inner.seen).enumerate().filter_map(|(route, (after, before))| {
                let buckets = std::array::from_fn(|at| after.buckets[at].saturating_sub(before.buckets[at]));
                let errors = after.errors.saturating_sub(before.errors);
                buckets.iter().any(|count| *count > 0).then_some(RouteSample { route, buckets, errors })
            });
            let sample = Sample { took: now.saturating_sub(before), routes: changes.collect() };
            if inner.samples.len() == SAMPLES {
                inner.samples.pop_front();
            }
            inner.samples.push_back(sample);
        }
        inner.seen = counts;
    }

    /// The points of the last minutes, the oldest first.
    fn points(&self) -> Vec<TrafficPoint> {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let points = inner.samples.iter().map(|sample| {
            let buckets = sum(sample.routes.iter().map(|route| route.buckets));
            let count = buckets.iter().sum::<u64>();
            TrafficPoint { per_second: rate(count, sample.took), p99_ms: (count > 0).then(|| quantile(&buckets, 0.99)) }
        });
        points.collect()
    }

    /// The routes that had requests in the last minute, by their number in `names`.
    fn routes(&self, names: &[Box<str>]) -> Vec<RouteTraffic> {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = || inner.samples.iter().rev().take(RECENT);
        let took = recent().map(|sample| sample.took).sum();
        let traffic = names.iter().enumerate().filter_map(|(number, name)| {
            let of_route = || recent().flat_map(|sample| &sample.routes).filter(|route| route.route == number);
            let buckets = sum(of_route().map(|route| route.buckets));
            let count = buckets.iter().sum::<u64>();
            (count > 0).then(|| RouteTraffic {
                route: name.to_string(),
                per_second: rate(count, took),
                errors_per_second: rate(of_route().map(|route| route.errors).sum(), took),
                p50_ms: quantile(&buckets, 0.5),
                p99_ms: quantile(&buckets, 0.99),
            })
        });
        traffic.collect()
    }
}

fn sum(all: impl Iterator<Item = [u64; BUCKETS]>) -> [u64; BUCKETS] {
    all.fold([0; BUCKETS], |sum, each| std::array::from_fn(|at| sum[at] + each[at]))
}

fn rate(count: u64, took: Duration) -> f64 {
    if took.is_zero() { 0.0 } else { count as f64 / took.as_secs_f64() }
}

impl Metrics {
    /// When the process started.
    pub fn started(&self) -> Timestamp {
        self.started
    }

    /// The value of a counter or gauge.
    pub fn value(&self, counter: Counter) -> u64 {
        self.cells.sum(counter as usize)
    }

    /// Takes a sample of the requests; to be called at each [`SAMPLE_INTERVAL`]. `now` is monotonic.
    pub fn sample(&self, now: Duration) {
        let counts = (0..self.routes.len()).map(|route| {
            let first = self.route(route);
            let errors = STATUSES.partition_point(|status| *status < 500)..STATUSES.len();
            RouteCounts {
                buckets: Histogram(first + STATUSES.len() + 1).counts(&self.cells),
                errors: errors.map(|status| self.cells.sum(first + status)).sum(),
            }
        });
        self.history.sample(now, counts.collect());
    }

    /// Requests per second and their durations over the last minutes, the oldest first.
    pub fn traffic(&self) -> Vec<TrafficPoint> {
        self.history.points()
    }

    /// The routes that had requests in the last minute.
    pub fn route_traffic(&self) -> Vec<RouteTraffic> {
        self.history.routes(&self.routes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(bucket: usize, count: u64, errors: u64) -> RouteCounts {
        let mut counts = RouteCounts { errors, ..RouteCounts::default() };
        counts.buckets[bucket] = count;
        counts
    }

    #[test]
    fn rates_are_those_of_the_last_minute() {
        let (history, names) = (History::default(), ["idle".into(), "busy".into()]);
        history.sample(Duration::ZERO, vec![counts(0, 5, 0), counts(4, 1_000, 0)]);
        assert_eq!((history.points(), history.routes(&names)), (vec![], vec![]));
        for step in 1..=100 {
            history.sample(SAMPLE_INTERVAL * step, vec![counts(0, 5, 0), counts(4, 1_000 + u64::from(step) * 50, 10)]);
        }
        let points = history.points();
        assert_eq!(points.len(), SAMPLES);
        assert!((points[0].per_second - 10.0).abs() < 1e-9);
        assert!(points[0].p99_ms.is_some_and(|p99| (0.99..1.0).contains(&p99)), "{points:?}");
        let [busy] = history.routes(&names).try_into().unwrap();
        assert_eq!((busy.route.as_str(), busy.errors_per_second), ("busy", 0.0));
        assert!((busy.per_second - 10.0).abs() < 1e-9 && busy.p50_ms < busy.p99_ms, "{busy:?}");
        // Nothing happens for longer than the rates look back.
        for step in 101..=120 {
            history.sample(SAMPLE_INTERVAL * step, vec![counts(0, 5, 0), counts(4, 6_000, 10)]);
        }
        assert_eq!(history.points().last(), Some(&TrafficPoint::default()));
        assert_eq!(history.routes(&names), []);
    }
}
