//! Two servers, driven in turn with the same requests: what one costs as a ratio to the other.
//!
//! Other work on the machine makes every figure larger for as long as it lasts. So the two take turns in slices of less than a
//! second, one pair of slices after the other, each pair in the other order, and the ratio is the median of the pairs' ratios.

use std::net::SocketAddr;

use serde::Serialize;

use crate::support::histogram::Histogram;
use crate::support::load::{self, Job, Outcome, Work};

/// How long and how often.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Pace {
    pub(crate) pairs: usize,
    pub(crate) seconds: f64,
}

/// One of the two.
pub(crate) struct Side<'a> {
    pub(crate) name: &'a str,
    pub(crate) addresses: Vec<SocketAddr>,
    /// Its processes.
    pub(crate) pids: Vec<u32>,
    /// Where the client is while this one is driven.
    pub(crate) load: String,
}

/// What both are asked for.
pub(crate) enum Supply<'a> {
    /// The same requests again and again.
    Same(Vec<String>),
    /// Requests that neither has seen: so many new ones for each pair of slices.
    Fresh(&'a mut dyn FnMut() -> String),
    /// Refresh tokens, of which each side has its own from the first rotation on.
    Rotating { before: String, after: String, tokens: [Vec<String>; 2] },
}

/// What is asked, and how.
pub(crate) struct Contest<'a> {
    pub(crate) connections: usize,
    pub(crate) expect: &'a str,
    pub(crate) supply: Supply<'a>,
    /// A process beside the servers that works for both.
    pub(crate) beside: Option<u32>,
}

/// What one side did in one slice.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Slice {
    pub(crate) requests: u64,
    pub(crate) seconds: f64,
    /// Microseconds of processor a request.
    pub(crate) cpu: f64,
    /// The same of the client.
    pub(crate) client_cpu: f64,
    /// The same of the process beside.
    pub(crate) beside_cpu: Option<f64>,
}

/// What one side did in all slices.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Record {
    pub(crate) name: String,
    /// Medians over the slices.
    pub(crate) per_second: f64,
    pub(crate) cpu: f64,
    pub(crate) client_cpu: f64,
    pub(crate) beside_cpu: Option<f64>,
    /// How much of a core the server used: below 1 it waited, for the client or for the machine's other work.
    pub(crate) busy: f64,
    /// Microseconds, over all requests, with so many connections that never pause.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) slices: Vec<Slice>,
}

/// How the two stand.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Verdict {
    pub(crate) connections: usize,
    /// Processor time a request, the first side's against the second's: each pair's, in rising order.
    pub(crate) cpu_ratios: Vec<f64>,
    /// Requests a second, likewise.
    pub(crate) rate_ratios: Vec<f64>,
    pub(crate) sides: [Record; 2],
}

/// Requests of the first, uncounted slice, from which follows how many the others have.
const FIRST: u64 = 4;

/// Lets the two take turns.
pub(crate) fn hold(pace: Pace, sides: [&Side<'_>; 2], contest: &mut Contest<'_>) -> Verdict {
    let connections = contest.connections as u64;
    let warm = connections * 4;
    // What is seen for the first time costs more: caches, branches, pages. Twice, for the first time tells too low a rate.
    let mut count = connections * FIRST;
    for _ in 0..2 {
        let [one, other] = pair(sides, contest, warm, count, false);
        let rate = (one.count as f64 / one.seconds).min(other.count as f64 / other.seconds);
        count = ((rate * pace.seconds) as u64).clamp(connections * FIRST, 200_000);
    }
    let (mut slices, mut latencies) = ([Vec::new(), Vec::new()], [Histogram::default(), Histogram::default()]);
    for round in 0..pace.pairs {
        let outcomes = pair(sides, contest, warm, count, round % 2 == 1);
        for (side, outcome) in outcomes.iter().enumerate() {
            slices[side].push(slice(outcome, sides[side].pids.len()));
            latencies[side].add(&outcome.latency);
        }
    }
    let ratios = |value: fn(&Slice) -> f64| {
        let mut ratios: Vec<_> =
            slices[0].iter().zip(&slices[1]).map(|(one, other)| value(one) / value(other)).collect();
        ratios.sort_by(f64::total_cmp);
        ratios
    };
    let (cpu_ratios, rate_ratios) = (ratios(|slice| slice.cpu), ratios(|slice| slice.requests as f64 / slice.seconds));
    let [ours, theirs] = slices;
    let sides = [record(sides[0].name, ours, &latencies[0]), record(sides[1].name, theirs, &latencies[1])];
    Verdict { connections: contest.connections, cpu_ratios, rate_ratios, sides }
}

fn pair(sides: [&Side<'_>; 2], contest: &mut Contest<'_>, warm: u64, count: u64, swapped: bool) -> [Outcome; 2] {
    let fresh = match &mut contest.supply {
        Supply::Fresh(next) => (0..warm + count).map(|_| next()).collect(),
        _ => Vec::new(),
    };
    let mut outcomes = [None, None];
    for side in if swapped { [1, 0] } else { [0, 1] } {
        let work = match &contest.supply {
            Supply::Same(requests) => Work::Each(requests.clone()),
            Supply::Fresh(_) => Work::Each(fresh.clone()),
            Supply::Rotating { before, after, tokens } => {
                Work::Rotate { before: before.clone(), tokens: tokens[side].clone(), after: after.clone() }
            }
        };
        let job = Job {
            addresses: sides[side].addresses.clone(),
            connections: contest.connections,
            warm,
            count,
            work,
            expect: contest.expect.to_owned(),
            watch: sides[side].pids.iter().copied().chain(contest.beside).collect(),
            until_cut: false,
        };
        let outcome = load::apart(&job, &sides[side].load);
        if let Supply::Rotating { tokens, .. } = &mut contest.supply {
            tokens[side] = outcome.tokens.iter().map(|token| token.newest.clone()).collect();
        }
        outcomes[side] = Some(outcome);
    }
    outcomes.map(|outcome| outcome.expect("each side had its turn"))
}

/// Of the watched processes the first are the server's.
fn slice(outcome: &Outcome, own: usize) -> Slice {
    let each = |nanos: u64| nanos as f64 / 1000.0 / outcome.count as f64;
    Slice {
        requests: outcome.count,
        seconds: outcome.seconds,
        cpu: each(outcome.watched[..own].iter().sum()),
        client_cpu: each(outcome.own),
        beside_cpu: outcome.watched.get(own).map(|nanos| each(*nanos)),
    }
}

fn record(name: &str, slices: Vec<Slice>, latency: &Histogram) -> Record {
    let over = |value: &dyn Fn(&Slice) -> f64| median(slices.iter().map(value).collect());
    let beside_cpu = slices[0].beside_cpu.map(|_| over(&|slice| slice.beside_cpu.unwrap_or(0.0)));
    Record {
        name: name.to_owned(),
        per_second: over(&|slice| slice.requests as f64 / slice.seconds),
        cpu: over(&|slice| slice.cpu),
        client_cpu: over(&|slice| slice.client_cpu),
        beside_cpu,
        busy: over(&|slice| slice.cpu * slice.requests as f64 / 1e6 / slice.seconds),
        p50: latency.micros(0.5),
        p99: latency.micros(0.99),
        p999: latency.micros(0.999),
        slices,
    }
}

/// The one in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len().is_multiple_of(2) { f64::midpoint(values[middle - 1], values[middle]) } else { values[middle] }
}
