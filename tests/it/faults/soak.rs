//! Half an hour of everything that people do: no 5xx, no answer lost, and neither memory nor descriptors nor keys grow.
//!
//! In the short form it may be the machine that is busy: then a store may be out of time, and what needed it is told 503. In the long
//! form nobody may be.
//!
//! What grows by right is given an end that comes within the first half. Revocations are remembered for as long as a token may live,
//! the endings of all of a person's sessions for as long as a session may: here minutes, and in Redis ten. Tokens that were verified are
//! remembered until there are so many: here a thousand. And people leave as others come, so that no store has more rows at the end. What
//! grows after that is a leak.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::ledger::{Ledger, Look};
use super::traffic::{CLIENTS, Call, Habits, Heard, Traffic};
use super::vitals::{Vitals, most_descriptors, resident, slope};
use super::{Fleet, lasting, long, short_or_long};
use crate::support::signet::Plan;
use crate::support::{postgres, redis};

const SHORT: Duration = Duration::from_secs(20);
const LONG: Duration = Duration::from_secs(30 * 60);

/// How often it is looked at what they take.
const LOOKS: Duration = Duration::from_secs(1);

/// Some two hundred answers a second from each of the two kinds.
const PACE: Duration = Duration::from_millis(25);

/// How many people a client knows at once.
const COMPANY: usize = 3;

/// By what part of itself memory may seem to grow over the later half. In the short form the later half is still the beginning.
const GROWTH: f64 = 0.02;
const GROWTH_AT_FIRST: f64 = 0.1;

/// What is remembered for minutes only.
fn forgetful(plan: &Plan) -> Plan {
    let mut plan = lasting(plan.clone()).set("SIGNET_VERIFY__CACHE", "1000").set("SIGNET_MAILED__CODE", "2m");
    for dialect in ["NATIVE", "UNTURNED", "MYAUTH", "CODES", "UCONTACT", "V1"] {
        for (what, span) in [("ACCESS", "2m"), ("IDLE", "5m"), ("ABSOLUTE", "5m")] {
            plan = plan.set(&format!("SIGNET_API__{dialect}__{what}"), span);
        }
    }
    plan
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_mixed_load() {
    let (redis, postgres) = (redis::Server::start(), postgres::Server::start());
    let plan = forgetful(&Plan::on(&redis, &postgres));
    let fleet = Fleet::exactly(&[plan.clone(), plan.another_node()]);
    let alone = Fleet::exactly(&[forgetful(&Plan::embedded())]);
    tokio::join!(
        soak("soak, two nodes on Redis and Postgres", &fleet, Some(&redis)),
        soak("soak, embedded", &alone, None)
    );
}

/// What was heard, in numbers that do not grow with it.
#[derive(Default)]
struct Tally {
    answers: BTreeMap<(Call, u16), usize>,
    /// How many took so many tenths of a millisecond.
    took: BTreeMap<u128, usize>,
    /// The 5xx, and the answers that never came.
    failures: Vec<Heard>,
}

impl Tally {
    fn add(&mut self, heard: &[Heard]) {
        for heard in heard {
            if heard.status == 0 || heard.status >= 500 {
                self.failures.push(*heard);
            }
            *self.answers.entry((heard.call, heard.status)).or_default() += 1;
            *self.took.entry(heard.took.as_micros() / 100).or_default() += 1;
        }
    }

    fn count(&self, which: impl Fn(u16) -> bool) -> usize {
        self.answers.iter().filter(|((_, status), _)| which(*status)).map(|(_, count)| count).sum()
    }

    /// The milliseconds that so many of a thousand kept to.
    fn within(&self, thousandth: usize) -> f64 {
        let (all, mut sum) = (self.count(|_| true), 0);
        let kept = self.took.iter().find(|(_, count)| {
            sum += **count;
            sum * 1000 >= all * thousandth
        });
        kept.map_or(0.0, |(tenths, _)| *tenths as f64 / 10.0)
    }
}

async fn soak(name: &str, fleet: &Fleet, redis: Option<&redis::Server>) {
    let habits = Habits { pace: PACE, company: Some(COMPANY) };
    let traffic = Traffic::with(habits, &fleet.places, Ledger::new(CLIENTS));
    let mut vitals: Vec<_> = fleet.nodes.iter().map(|node| Vitals::of(node.pid())).collect();
    let (mut tally, mut keys) = (Tally::default(), Vec::new());
    let (began, length) = (Instant::now(), short_or_long(SHORT, LONG));
    let mut looks = tokio::time::interval(LOOKS);
    while began.elapsed() < length && traffic.is_whole() {
        looks.tick().await;
        tally.add(&traffic.take());
        vitals.iter_mut().for_each(|vitals| vitals.look(began.elapsed().as_secs_f64()));
        keys.extend(redis.map(|redis| redis.cli(&["DBSIZE"]).parse::<usize>().expect("a number")));
        if long() && vitals[0].marks.len() % 60 == 0 {
            let taken = vitals.iter().map(|vitals| &vitals.marks[vitals.marks.len() - 1]).collect::<Vec<_>>();
            println!("{name}: {taken:?}, keys {:?}, answers {}", keys.last(), tally.count(|_| true));
        }
    }
    let (mut ledger, heard) = traffic.stop().await;
    tally.add(&heard);
    let made: usize = ledger.pages.iter().map(|page| page.made).sum();
    let (early, late) = keys.split_at(keys.len() / 2);
    let line = json!({
        "row": name,
        "minutes": (began.elapsed().as_secs_f64() / 6.0).round() / 10.0,
        "answered": tally.count(|status| status != 0),
        "told_5xx": tally.count(|status| status >= 500),
        "of_these_out_of_time": tally.failures.iter().filter(|heard| is_out_of_time(heard)).count(),
        "lost": tally.count(|status| status == 0),
        "p50_ms": tally.within(500),
        "p99_ms": tally.within(990),
        "worst_ms": tally.within(1000),
        "people": made,
        "left": tally.answers.get(&(Call::Leave, 200)),
        "nodes": vitals.iter().map(growth).collect::<Vec<_>>(),
        "redis_keys_early_most": early.iter().max(),
        "redis_keys_late_most": late.iter().max(),
    });
    println!("fault {line}\n  {:?}", tally.answers);

    ledger.is_undisturbed();
    let failure = tally.failures.iter().find(|heard| long() || !is_out_of_time(heard));
    assert!(failure.is_none(), "{failure:?}: {line}");
    assert!(tally.answers.get(&(Call::Leave, 200)).is_some_and(|left| *left >= 5), "nobody left: {line}");
    for vitals in &vitals {
        let (grown, is) = (slope(vitals.late()) * seconds(vitals), resident(vitals.late()));
        assert!(grown <= is * short_or_long(GROWTH_AT_FIRST, GROWTH), "memory grows: {line}");
        // Connections to a store come and go.
        let [before, after] = [vitals.early(), vitals.late()].map(most_descriptors);
        assert!(after <= before + 16, "descriptors grow: {line}");
    }
    if let (Some(before), Some(after)) = (early.iter().max(), late.iter().max()) {
        assert!(!long() || *after <= before + before / 5, "keys grow: {line}");
    }
    ledger.audit(&fleet.clients(), Look::All).await;
}

/// Told 503 as somebody is for whom a store did not answer in its 400 ms.
fn is_out_of_time(heard: &Heard) -> bool {
    heard.status == 503 && heard.took >= Duration::from_millis(400)
}

/// For how long the later half lasted.
fn seconds(vitals: &Vitals) -> f64 {
    let late = vitals.late();
    late[late.len() - 1].at - late[0].at
}

fn growth(vitals: &Vitals) -> Value {
    let (slope, is) = (slope(vitals.late()), resident(vitals.late()));
    let mb = |bytes: f64| (bytes / 1e4).round() / 100.0;
    json!({
        "first_mb": mb(vitals.marks[0].resident),
        "half_mb": mb(vitals.late()[0].resident),
        "last_mb": mb(vitals.marks[vitals.marks.len() - 1].resident),
        "slope_bytes_per_s": slope.round(),
        "grown_percent_of_itself": (slope * seconds(vitals) / is * 1000.0).round() / 10.0,
        "descriptors_early_most": most_descriptors(vitals.early()),
        "descriptors_late_most": most_descriptors(vitals.late()),
    })
}
