//! Compares two servers that are driven in turn with the same requests: the cost of one as a ratio to the other.
//!
//! Other work on the machine makes every figure larger for as long as it lasts. So the two servers take turns in slices
//! of less than a second. The order within a pair of slices alternates, and the result is the median of the pairs'
//! ratios.

use std::net::SocketAddr;

use serde::Serialize;

use crate::support::load::{self, Histogram, Job, Outcome, Protocol, Requests};
use crate::support::stats::median;

/// The number of pairs of slices, and the length of a slice.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Schedule {
    pub(crate) pairs: usize,
    pub(crate) seconds: f64,
}

/// One of the two servers.
pub(crate) struct Side<'a> {
    pub(crate) name: &'a str,
    pub(crate) addresses: Vec<SocketAddr>,
    /// The processes of the server.
    pub(crate) pids: Vec<u32>,
    /// The cores of the client while it drives this server.
    pub(crate) client_cores: String,
}

/// The requests for both servers.
pub(crate) enum RequestSource<'a> {
    /// The same requests again and again.
    Same(Vec<String>),
    /// The same, with requests of its own for each side.
    SameOfEach([Vec<String>; 2]),
    /// New requests for each pair of slices, which neither server has received before.
    Fresh(&'a mut dyn FnMut() -> String),
    /// Refresh tokens. Each side has its own from the first rotation on.
    Rotating { prefix: String, suffix: String, tokens: [Vec<String>; 2] },
}

/// The load for both servers.
pub(crate) struct Workload<'a> {
    pub(crate) connections: usize,
    pub(crate) protocol: Protocol,
    pub(crate) expected_text: &'a str,
    pub(crate) source: RequestSource<'a>,
    /// The process of a Redis that serves both.
    pub(crate) redis_pid: Option<u32>,
}

impl Workload<'_> {
    /// Requests in flight at the same time.
    fn in_flight(&self) -> usize {
        match self.protocol {
            Protocol::Http1 | Protocol::Tls(_) => self.connections,
            Protocol::Http2 { streams } => self.connections * streams,
        }
    }

    /// Requests for the next slice that no server has received, if the load needs them.
    pub(crate) fn fresh_requests(&mut self, count: u64) -> Vec<String> {
        match &mut self.source {
            RequestSource::Fresh(next) => (0..count).map(|_| next()).collect(),
            _ => Vec::new(),
        }
    }
}

/// The result of one side in one slice.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Slice {
    pub(crate) requests: u64,
    pub(crate) seconds: f64,
    /// CPU time of the server for each request, in microseconds.
    pub(crate) cpu: f64,
    /// The same for the client.
    pub(crate) client_cpu: f64,
    /// The same for Redis.
    pub(crate) redis_cpu: Option<f64>,
}

/// The result of one side in all slices.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SideResult {
    pub(crate) name: String,
    /// Medians over the slices.
    pub(crate) per_second: f64,
    pub(crate) cpu: f64,
    pub(crate) client_cpu: f64,
    pub(crate) redis_cpu: Option<f64>,
    /// The share of a core that the server used. Below 1 it waited for the client or for other work on the machine.
    pub(crate) busy: f64,
    /// Latencies over all requests, in microseconds, with connections that never pause.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) slices: Vec<Slice>,
}

/// The result of a comparison.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Comparison {
    pub(crate) connections: usize,
    /// CPU time for each request, of the first side as a ratio to the second: one for each pair, ascending.
    pub(crate) cpu_ratios: Vec<f64>,
    /// The same for requests a second.
    pub(crate) rate_ratios: Vec<f64>,
    pub(crate) sides: [SideResult; 2],
}

/// Requests one after the other in the first slice. It is not counted and gives the size of the others.
const FIRST: u64 = 4;

/// Drives the two servers in turn.
pub(crate) fn compare(schedule: Schedule, sides: [&Side<'_>; 2], workload: &mut Workload<'_>) -> Comparison {
    let warmup = workload.in_flight() as u64 * 4;
    // The first requests are slower because of caches, branch prediction and page faults. So measure the rate twice.
    let least = workload.in_flight() as u64 * FIRST;
    let mut count = least;
    for _ in 0..2 {
        let [one, other] = run_pair(sides, workload, warmup, count, false);
        let rate = (one.count as f64 / one.seconds).min(other.count as f64 / other.seconds);
        count = ((rate * schedule.seconds) as u64).clamp(least, 200_000);
    }
    let (mut slices, mut latencies) = ([Vec::new(), Vec::new()], [Histogram::default(), Histogram::default()]);
    for round in 0..schedule.pairs {
        let outcomes = run_pair(sides, workload, warmup, count, round % 2 == 1);
        for (side, outcome) in outcomes.iter().enumerate() {
            slices[side].push(slice(outcome, sides[side].pids.len()));
            latencies[side].merge(&outcome.latency);
        }
    }
    let ratios = |value: fn(&Slice) -> f64| {
        let mut ratios: Vec<_> =
            slices[0].iter().zip(&slices[1]).map(|(one, other)| value(one) / value(other)).collect();
        ratios.sort_by(f64::total_cmp);
        ratios
    };
    let (cpu_ratios, rate_ratios) = (ratios(|slice| slice.cpu), ratios(|slice| slice.requests as f64 / slice.seconds));
    let [first, second] = slices;
    let sides = [side_result(sides[0].name, first, &latencies[0]), side_result(sides[1].name, second, &latencies[1])];
    Comparison { connections: workload.connections, cpu_ratios, rate_ratios, sides }
}

fn run_pair(
    sides: [&Side<'_>; 2],
    workload: &mut Workload<'_>,
    warmup: u64,
    count: u64,
    swapped: bool,
) -> [Outcome; 2] {
    let fresh = workload.fresh_requests(warmup + count);
    let mut outcomes = [None, None];
    for side in if swapped { [1, 0] } else { [0, 1] } {
        outcomes[side] = Some(run_slice(sides, side, workload, &fresh, warmup, count));
    }
    outcomes.map(|outcome| outcome.expect("both sides ran"))
}

/// Drives one of the two servers. `fresh` are those of [`Workload::fresh_requests`], for both.
pub(crate) fn run_slice(
    sides: [&Side<'_>; 2],
    side: usize,
    workload: &mut Workload<'_>,
    fresh: &[String],
    warmup: u64,
    count: u64,
) -> Outcome {
    let requests = match &workload.source {
        RequestSource::Same(requests) => Requests::Cycle(requests.clone()),
        RequestSource::SameOfEach(requests) => Requests::Cycle(requests[side].clone()),
        RequestSource::Fresh(_) => Requests::Cycle(fresh.to_vec()),
        RequestSource::Rotating { prefix, suffix, tokens } => {
            Requests::Rotate { prefix: prefix.clone(), tokens: tokens[side].clone(), suffix: suffix.clone() }
        }
    };
    let job = Job {
        addresses: sides[side].addresses.clone(),
        connections: workload.connections,
        protocol: workload.protocol,
        warmup,
        count,
        requests,
        expected_text: workload.expected_text.to_owned(),
        watched_pids: sides[side].pids.iter().copied().chain(workload.redis_pid).collect(),
        stop_on_disconnect: false,
    };
    let outcome = load::run_in_process(&job, &sides[side].client_cores);
    if let RequestSource::Rotating { tokens, .. } = &mut workload.source {
        tokens[side] = outcome.tokens.iter().map(|token| token.newest.clone()).collect();
    }
    outcome
}

/// The first `server_processes` of the watched processes belong to the server.
pub(crate) fn slice(outcome: &Outcome, server_processes: usize) -> Slice {
    let per_request = |nanos: u64| nanos as f64 / 1000.0 / outcome.count as f64;
    Slice {
        requests: outcome.count,
        seconds: outcome.seconds,
        cpu: per_request(outcome.watched_cpu_nanos[..server_processes].iter().sum()),
        client_cpu: per_request(outcome.client_cpu_nanos),
        redis_cpu: outcome.watched_cpu_nanos.get(server_processes).map(|nanos| per_request(*nanos)),
    }
}

fn side_result(name: &str, slices: Vec<Slice>, latency: &Histogram) -> SideResult {
    let median_of = |value: &dyn Fn(&Slice) -> f64| median(slices.iter().map(value).collect());
    let redis_cpu = slices[0].redis_cpu.map(|_| median_of(&|slice| slice.redis_cpu.unwrap_or(0.0)));
    SideResult {
        name: name.to_owned(),
        per_second: median_of(&|slice| slice.requests as f64 / slice.seconds),
        cpu: median_of(&|slice| slice.cpu),
        client_cpu: median_of(&|slice| slice.client_cpu),
        redis_cpu,
        busy: median_of(&|slice| slice.cpu * slice.requests as f64 / 1e6 / slice.seconds),
        p50: latency.percentile_micros(0.5),
        p99: latency.percentile_micros(0.99),
        p999: latency.percentile_micros(0.999),
        slices,
    }
}
