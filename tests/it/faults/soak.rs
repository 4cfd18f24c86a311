//! Half an hour of mixed load: no 5xx, no lost response, and no growth of memory, open files or Redis keys.
//!
//! In the short form the machine may be busy: a call may then wait for a store or a hash until it gets 503. In the long
//! form none may.
//!
//! Legitimate growth ends within the first half. Revocations are stored for the lifetime of an access token, and the
//! end of all sessions of a user for the lifetime of a session: here minutes, and in Redis ten. The verify cache holds
//! up to a thousand tokens here. Users are deleted as others are created, so that no store has more rows at the end.
//! Any growth after that is a leak.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::ledger::{AuditScope, Ledger};
use super::process_stats::{ProcessStats, growth_per_second, max_open_files, mean_memory};
use super::traffic::{CLIENTS, Call, LoadProfile, Outcome, Traffic};
use super::{ServerFleet, long, short_or_long, with_long_lifetimes, with_patient};
use crate::support::signet::Plan;
use crate::support::{postgres, redis};

const SHORT: Duration = Duration::from_secs(20);
const LONG: Duration = Duration::from_secs(30 * 60);

/// The interval at which memory and open files are sampled.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);

/// About two hundred responses per second from each of the two fleets.
const SOAK_PAUSE: Duration = Duration::from_millis(25);

/// The short form goes on until so many users were deleted, if the machine is busy, for at most this multiple of its span.
const MIN_DELETED: usize = 5;
const MAX_SPANS: u32 = 15;

/// The number of users of each client.
const MAX_USERS: usize = 3;

/// The growth of memory over the second half that is tolerated, as a part of the mean. In the short form the second
/// half is still part of the start-up.
const MAX_GROWTH: f64 = 0.02;
const MAX_GROWTH_SHORT: f64 = 0.1;

/// A plan in which everything is stored for minutes only, in the long form. In the short form nothing may expire: on a
/// busy machine it can take minutes, and a client does not refresh the sessions of its oldest user.
fn with_short_lifetimes(plan: &Plan) -> Plan {
    let mut plan = with_long_lifetimes(plan.clone()).set("SIGNET_VERIFY__CACHE", "1000");
    if !long() {
        return plan;
    }
    plan = plan.set("SIGNET_MAILED__CODE", "2m");
    for dialect in ["NATIVE", "UNTURNED", "MYAUTH", "CODES", "UCONTACT", "V1"] {
        for (what, span) in [("ACCESS", "2m"), ("IDLE", "5m"), ("ABSOLUTE", "5m")] {
            plan = plan.set(&format!("SIGNET_API__{dialect}__{what}"), span);
        }
    }
    plan
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mixed_load_does_not_leak() {
    let (redis, postgres) = (redis::Server::start(), postgres::Database::create());
    let plan = with_patient("POSTGRES", with_patient("REDIS", Plan::on(&redis, &postgres)));
    let plan = with_short_lifetimes(&plan);
    let fleet = ServerFleet::start_unchanged(&[plan.clone(), plan.another_node()]);
    let embedded = ServerFleet::start_unchanged(&[with_short_lifetimes(&Plan::embedded())]);
    tokio::join!(
        run_soak("soak, two nodes on Redis and Postgres", &fleet, Some(&redis)),
        run_soak("soak, embedded", &embedded, None)
    );
}

/// The outcomes, in counters that do not grow with their number.
#[derive(Default)]
struct Tally {
    responses: BTreeMap<(Call, u16), usize>,
    /// The number of responses for each time in tenths of a millisecond.
    times: BTreeMap<u128, usize>,
    /// 5xx responses, and requests without a response.
    failures: Vec<Outcome>,
}

impl Tally {
    fn add(&mut self, outcomes: &[Outcome]) {
        for outcome in outcomes {
            if outcome.status == 0 || outcome.status >= 500 {
                self.failures.push(*outcome);
            }
            *self.responses.entry((outcome.call, outcome.status)).or_default() += 1;
            *self.times.entry(outcome.duration.as_micros() / 100).or_default() += 1;
        }
    }

    fn count(&self, status_matches: impl Fn(u16) -> bool) -> usize {
        self.responses.iter().filter(|((_, status), _)| status_matches(*status)).map(|(_, count)| count).sum()
    }

    /// The time in milliseconds within which so many of a thousand responses arrived.
    fn percentile_ms(&self, thousandth: usize) -> f64 {
        let (all, mut sum) = (self.count(|_| true), 0);
        let within = self.times.iter().find(|(_, count)| {
            sum += **count;
            sum * 1000 >= all * thousandth
        });
        within.map_or(0.0, |(tenths, _)| *tenths as f64 / 10.0)
    }
}

async fn run_soak(name: &str, fleet: &ServerFleet, redis: Option<&redis::Server>) {
    let profile = LoadProfile { pause: SOAK_PAUSE, max_users: Some(MAX_USERS), ..LoadProfile::default() };
    let traffic = Traffic::with(profile, &fleet.endpoints, Ledger::new(CLIENTS));
    let mut stats: Vec<_> = fleet.nodes.iter().map(|node| ProcessStats::of(node.pid())).collect();
    let (mut tally, mut keys) = (Tally::default(), Vec::new());
    let (began, span) = (Instant::now(), short_or_long(SHORT, LONG));
    let mut ticks = tokio::time::interval(SAMPLE_INTERVAL);
    let deleted = |tally: &Tally| tally.responses.get(&(Call::DeleteAccount, 200)).copied().unwrap_or_default();
    let is_over = |tally: &Tally| {
        let elapsed = began.elapsed();
        elapsed >= span && (deleted(tally) >= MIN_DELETED || elapsed >= span * MAX_SPANS)
    };
    while !is_over(&tally) && traffic.all_running() {
        ticks.tick().await;
        tally.add(&traffic.take_outcomes());
        stats.iter_mut().for_each(|stats| stats.sample(began.elapsed().as_secs_f64()));
        keys.extend(redis.map(|redis| redis.cli(&["DBSIZE"]).parse::<usize>().expect("a number")));
        if long() && stats[0].samples.len() % 60 == 0 {
            let usage = stats.iter().map(|stats| &stats.samples[stats.samples.len() - 1]).collect::<Vec<_>>();
            println!("{name}: {usage:?}, {:?} keys, {} responses", keys.last(), tally.count(|_| true));
        }
    }
    let (mut ledger, outcomes) = traffic.stop().await;
    tally.add(&outcomes);
    let created: usize = ledger.clients.iter().map(|client| client.users_created).sum();
    let (early, late) = keys.split_at(keys.len() / 2);
    let line = json!({
        "row": name,
        "minutes": (began.elapsed().as_secs_f64() / 6.0).round() / 10.0,
        "responses": tally.count(|status| status != 0),
        "server_errors": tally.count(|status| status >= 500),
        "of_these_store_timeouts": tally.failures.iter().filter(|outcome| is_store_timeout(outcome)).count(),
        "lost": tally.count(|status| status == 0),
        "p50_ms": tally.percentile_ms(500),
        "p99_ms": tally.percentile_ms(990),
        "max_ms": tally.percentile_ms(1000),
        "users": created,
        "deleted": deleted(&tally),
        "nodes": stats.iter().map(growth).collect::<Vec<_>>(),
        "redis_keys_first_half_max": early.iter().max(),
        "redis_keys_second_half_max": late.iter().max(),
    });
    println!("fault {line}\n  {:?}", tally.responses);

    ledger.assert_undisturbed();
    let failure = tally.failures.iter().find(|outcome| long() || !is_store_timeout(outcome));
    assert!(failure.is_none(), "{failure:?}: {line}");
    assert!(deleted(&tally) >= MIN_DELETED, "too few users were deleted: {line}");
    for stats in &stats {
        let (growth, mean) =
            (growth_per_second(stats.second_half()) * second_half_seconds(stats), mean_memory(stats.second_half()));
        assert!(growth <= mean * short_or_long(MAX_GROWTH_SHORT, MAX_GROWTH), "memory grows: {line}");
        // The number of store connections varies.
        let [before, after] = [stats.first_half(), stats.second_half()].map(max_open_files);
        assert!(after <= before + 16, "open files grow: {line}");
    }
    if let (Some(before), Some(after)) = (early.iter().max(), late.iter().max()) {
        assert!(!long() || *after <= before + before / 5, "keys grow: {line}");
    }
    ledger.audit(&fleet.clients(), AuditScope::All).await;
}

/// True for a 503 after a wait. By default, the time-out of a store is 400 ms.
fn is_store_timeout(outcome: &Outcome) -> bool {
    outcome.status == 503 && outcome.duration >= Duration::from_millis(400)
}

/// The length of the second half.
fn second_half_seconds(stats: &ProcessStats) -> f64 {
    let late = stats.second_half();
    late[late.len() - 1].at - late[0].at
}

fn growth(stats: &ProcessStats) -> Value {
    let (growth, mean) = (growth_per_second(stats.second_half()), mean_memory(stats.second_half()));
    let megabytes = |bytes: f64| (bytes / 1e4).round() / 100.0;
    json!({
        "first_mb": megabytes(stats.samples[0].memory),
        "middle_mb": megabytes(stats.second_half()[0].memory),
        "last_mb": megabytes(stats.samples[stats.samples.len() - 1].memory),
        "growth_bytes_per_s": growth.round(),
        "growth_percent": (growth * second_half_seconds(stats) / mean * 1000.0).round() / 10.0,
        "open_files_first_half_max": max_open_files(stats.first_half()),
        "open_files_second_half_max": max_open_files(stats.second_half()),
    })
}
