//! Clients by the thousand that are slow, or idle, or more than there are descriptors for: the others are served as before, and all are
//! as soon as there is room.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::json;
use tokio::net::TcpStream;

use super::crowd::{Crowd, Slow, ask, keep, make_room};
use super::figures::{millis, part};
use super::traffic::{Heard, Traffic};
use super::vitals::descriptors;
use super::{ALL, Fleet, PATIENCE, long, short_or_long};
use crate::support::client::until_within;
use crate::support::signet::Plan;
use crate::support::{postgres, redis};

/// What part of what was answered before must be answered meanwhile.
const GOODPUT: f64 = 0.9;

/// In what time everybody must be served again. Five times over in the short form.
const BACK: Duration = Duration::from_secs(1);

/// How many come anew as the crowd leaves.
const NEWCOMERS: usize = 20;

/// Good answers a second, of clients who ask as fast before as meanwhile.
struct Goodput {
    before: f64,
    meanwhile: f64,
}

impl Goodput {
    /// So many good answers a second are had while this lasts.
    async fn rate<T>(traffic: &Traffic, during: impl Future<Output = T>) -> (f64, T) {
        let began = Instant::now();
        let value = during.await;
        let ended = Instant::now();
        let heard = traffic.since(began);
        let good = heard.iter().filter(|heard| heard.asked < ended && heard.is_good()).count();
        (good as f64 / (ended - began).as_secs_f64(), value)
    }

    /// Where the machine is shared, other programs set the pace.
    fn is_kept(&self, name: &str) {
        let Self { before, meanwhile } = self;
        assert!(!long() || *meanwhile >= GOODPUT * before, "{name}: {meanwhile} answers a second, {before} before");
    }

    fn line(&self, mut line: serde_json::Value) -> serde_json::Value {
        let tenth = |rate: f64| (rate * 10.0).round() / 10.0;
        line["good_per_s_before"] = tenth(self.before).into();
        line["good_per_s_meanwhile"] = tenth(self.meanwhile).into();
        line["kept_percent"] = tenth(100.0 * self.meanwhile / self.before).into();
        line
    }
}

/// For how long goodput is counted.
fn stretch() -> Duration {
    short_or_long(Duration::from_secs(2), Duration::from_secs(20))
}

fn address(fleet: &Fleet) -> String {
    fleet.places[0].client.base.trim_start_matches("http://").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_heads() {
    slow("slow heads", &[Slow::Silent, Slow::StoppingHead, Slow::DrippingHead, Slow::DrippingHead]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_bodies() {
    slow("slow bodies", &[Slow::DrippingBody, Slow::DrippingChunks]).await;
}

/// Each comes once more as soon as it was closed.
async fn slow(name: &str, ways: &[Slow]) {
    let (many, given) = short_or_long((200, Duration::from_secs(1)), (2000, Duration::from_secs(10)));
    make_room(many);
    let mut plan = Plan::embedded();
    if !long() {
        plan = plan.set("SIGNET_SERVER__HEADER_TIMEOUT", "1s").set("SIGNET_SERVER__BODY_TIMEOUT", "1s");
    }
    let fleet = Fleet::of(&[plan]);
    let traffic = fleet.at_work().await;
    let (before, ()) = Goodput::rate(&traffic, tokio::time::sleep(stretch())).await;

    let (to, between) = (address(&fleet), given / 10);
    let one = |number: usize| {
        let (way, to) = (ways[number % ways.len()], to.clone());
        tokio::spawn(async move {
            let mut closed = Vec::new();
            for _ in 0..2 {
                closed.push(way.dawdle(to.clone(), between, PATIENCE * 4).await);
            }
            closed
        })
    };
    let (meanwhile, closed) = Goodput::rate(&traffic, join_all((0..many).map(one))).await;
    let closed: Vec<_> = closed.into_iter().flat_map(Result::unwrap).collect();
    let heard = fleet.held_to(traffic, |ledger| ledger.is_undisturbed()).await;

    let (goodput, worst) = (Goodput { before, meanwhile }, part(100, closed.clone()));
    let [soonest, median] = [0, 50].map(|part_of| millis(part(part_of, closed.clone())));
    let line = json!({
        "row": name, "at_once": many, "closed": closed.len(), "closed_soonest_ms": soonest,
        "closed_median_ms": median, "closed_worst_ms": millis(worst),
    });
    println!("fault {}", goodput.line(line));
    // Not before their time; and not long after it, which on a busy machine is as long as it takes to get round to it.
    assert!(part(0, closed) >= given.mul_f64(0.9), "a slow client was closed after {soonest} ms");
    assert!(worst <= short_or_long(given * 5, given + BACK), "a slow client was there for {worst:?}");
    nothing_was_lost(name, &heard);
    goodput.is_kept(name);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle() {
    let name = "idle clients";
    let many = short_or_long(1000, 10_000);
    make_room(many);
    let fleet = Fleet::of(&[Plan::embedded()]);
    let traffic = fleet.at_work().await;
    let (before, ()) = Goodput::rate(&traffic, tokio::time::sleep(stretch())).await;
    let began = Instant::now();
    let mut idle = keep(&address(&fleet), many).await;
    let came = began.elapsed();
    let held = descriptors(fleet.nodes[0].pid());
    let (meanwhile, ()) = Goodput::rate(&traffic, tokio::time::sleep(stretch())).await;
    let goodput = Goodput { before, meanwhile };
    // Idle is not forgotten.
    for some in idle.chunks_mut(50) {
        join_all(some.iter_mut().map(async |stream| ask(stream).await.expect("it is kept"))).await;
    }
    let heard = fleet.held_to(traffic, |ledger| ledger.is_undisturbed()).await;
    let line = json!({"row": name, "idle": many, "came_in_ms": millis(came), "descriptors": held});
    println!("fault {}", goodput.line(line));
    assert!(held >= many, "{held} descriptors for {many} connections");
    nothing_was_lost(name, &heard);
    goodput.is_kept(name);
}

/// The limit with which it is started: it takes in as many as there are descriptors for, beside its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_descriptors() {
    let name = "more clients than descriptors";
    let most = short_or_long(512, 4096);
    let (redis, postgres) = (redis::Server::start(), postgres::Server::start());
    let plan = Plan::on(&redis, &postgres).set("SIGNET_SERVER__WORKERS", "2").max_open_files(most);
    let fleet = Fleet::of(&[plan]);
    let traffic = fleet.at_work().await;
    let is_full = async || descriptors(fleet.nodes[0].pid()) + 128 >= most as usize;
    crowded(name, &fleet, traffic, most, is_full, stretch()).await.is_kept(name);
}

/// A limit that is lowered beneath it: accepting itself fails, again and again. No mail can be written then, and who waits for a code
/// waits, so that there is no pace to hold it to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_descriptor_to_accept_with() {
    let most = short_or_long(256, 4096);
    let fleet = Fleet::of(&[Plan::embedded().set("SIGNET_SERVER__WORKERS", "2")]);
    let traffic = fleet.at_work().await;
    let limit = Rlimit { current: Some(u64::from(most)), maximum: Some(u64::from(most)) };
    prlimit(Pid::from_raw(fleet.nodes[0].pid() as i32), Resource::Nofile, limit).expect("it is ours");
    let fails = async || fleet.nodes[0].log().contains("cannot accept connections");
    crowded("no descriptor to accept with", &fleet, traffic, most, fails, Duration::from_secs(2)).await;
}

/// Half as many again come as there are descriptors.
async fn crowded(
    name: &str,
    fleet: &Fleet,
    traffic: Traffic,
    most: u32,
    is_full: impl AsyncFn() -> bool,
    stretch: Duration,
) -> Goodput {
    let many = most as usize * 3 / 2;
    make_room(many);
    let (before, ()) = Goodput::rate(&traffic, tokio::time::sleep(stretch)).await;
    let to = address(fleet);
    let crowd = Crowd::come(&to, many).await;
    until_within("all room is taken", PATIENCE, is_full).await;
    let (meanwhile, ()) = Goodput::rate(&traffic, tokio::time::sleep(stretch)).await;
    let goodput = Goodput { before, meanwhile };
    let (inside, held) = (crowd.answered(), descriptors(fleet.nodes[0].pid()));

    let newcomer = async |_| {
        let began = Instant::now();
        let mut stream = TcpStream::connect(&to).await.expect("it listens");
        ask(&mut stream).await.expect("it is answered");
        began.elapsed()
    };
    let (waited, newcomers) = tokio::join!(crowd.leaves(), join_all((0..NEWCOMERS).map(newcomer)));
    let back = waited.max(part(100, newcomers));
    traffic.until_good(&ALL, 2, PATIENCE * 4).await;
    let heard = fleet.held_to(traffic, |ledger| ledger.is_undisturbed()).await;
    let line = json!({
        "row": name, "descriptors": most, "held": held, "came": many, "answered_meanwhile": inside,
        "back_ms": millis(back),
    });
    println!("fault {}", goodput.line(line));
    assert!(inside < many && held <= most as usize, "there was room for all");
    assert!(back <= short_or_long(BACK * 5, BACK), "{name}: it takes {back:?} to be back");
    nothing_was_lost(name, &heard);
    goodput
}

/// Those who were there before are answered, and none of it with a failure.
fn nothing_was_lost(name: &str, heard: &[Heard]) {
    let odd = heard.iter().find(|heard| !(200..500).contains(&heard.status));
    assert!(odd.is_none(), "{name}: {odd:?}");
}
