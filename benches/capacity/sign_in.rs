//! Sign-ins: how near they come to the hash's own rate, what a storm of twenty times as many does to them and to verifications,
//! and what is left of it afterwards.

use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

use crate::Bench;
use crate::apart::Apart;
use crate::report::{Aim, Report};
use crate::storm::{Hashing, How, MEMORY_KIB, Storm, Weather};
use crate::support::histogram::Histogram;
use crate::support::signet::{Plan, Signet};
use crate::support::simple::post_json;

const PART: &str = "sign_in";

/// How many times what can be hashed a storm is.
const TIMES: f64 = 20.0;

/// Enough that nobody's sessions are too many for one person.
const PEOPLE: usize = 400;

/// More than enough that the one hashing thread never waits for the next.
const FULL_HOUSE: usize = 6;

/// Longer than the threads keep their memory.
const REST: Duration = Duration::from_secs(5);

const MIB: f64 = (1 << 20) as f64;

pub(crate) fn run(bench: &Bench, report: &mut Report) {
    let (rounds, seconds) = if bench.quick { (3, 3.0) } else { (9, 5.0) };
    let plan = Plan::new(&bench.server, &bench.cores.server()).set("SIGNET_PASSWORDS__THREADS", "1");
    // The server first: tokens that were seeded before its first start were refused as revoked.
    let signet = plan.start();
    let crowd = Crowd::seeded(&plan);
    sleep(REST);
    let at_rest = signet.process.memory();

    let (mut full, mut stormy, mut huge, mut verify) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut calm, mut all, mut most) = (Histogram::default(), Weather::default(), 0);
    for _ in 0..rounds {
        let weather = |how| crowd.weather(bench, &signet, seconds, how).end::<Weather>();
        let quiet = weather(How::Calm);
        // In turn on the same core: whoever else is on the machine is there for both.
        let own = [own(bench, seconds / 2.0), {
            let busy = weather(How::AtOnce(FULL_HOUSE));
            full.push(busy.let_in.count() as f64 / busy.seconds);
            own(bench, seconds / 2.0)
        }];
        let own = f64::midpoint(own[0], own[1]);
        huge.push(own_in_huge_pages(bench, seconds / 2.0) / own);
        *full.last_mut().expect("it was just pushed") /= own;
        let before = figure(&signet, "signet_hashes_total");
        let storm = crowd.weather(bench, &signet, seconds, How::Rate(TIMES * own));
        sleep(Duration::from_secs_f64(seconds * 0.8));
        most = most.max(signet.process.memory().anonymous);
        let storm: Weather = storm.end();
        let hashed = figure(&signet, "signet_hashes_total") - before;
        assert_eq!(hashed as u64, storm.let_in.count(), "who was let in was hashed, and nobody else");
        // From the first to the last that was served: those who still waited at its end were too.
        stormy.push(hashed / storm.seconds / own);
        verify.push(storm.verify.micros(0.99) / quiet.verify.micros(0.99));
        calm.add(&quiet.verify);
        all.add(&storm);
    }
    let (full, stormy) = (median(full), median(stormy));
    // A sign-in is a hash and more. What is beyond noise says that bench and server hash with different builds.
    assert!(full.max(stormy) < 1.25, "{full:.2} and {stormy:.2} times the hash alone: the bench was built another way");
    report.note(PART, "sign-ins against the hash alone, never a pause", full, "×", Aim::AtLeast(0.95));
    report.note(PART, "the same in a storm of 20 times as many", stormy, "×", Aim::AtLeast(0.95));
    report.note(
        PART,
        "the hash alone in huge pages, which the server has, against small ones",
        median(huge),
        "×",
        None,
    );
    report.note(PART, "p99 of /verify in the storm against calm", median(verify), "×", Aim::AtMost(2.0));
    for share in [0.5, 0.9, 0.99] {
        let name = format!("p{:.0} of /verify", share * 100.0);
        report.note(PART, format!("{name}, calm"), calm.micros(share), "µs", None);
        report.note(PART, format!("{name}, storm"), all.verify.micros(share), "µs", None);
    }
    let milliseconds = |of: &Histogram, share| of.micros(share) / 1000.0;
    report.note(PART, "sign-ins in all storms", all.begun as f64, "", None);
    report.note(PART, "let in", all.let_in.count() as f64, "", None);
    report.note(PART, "p50 of those let in", milliseconds(&all.let_in, 0.5), "ms", None);
    report.note(PART, "p99 of those let in", milliseconds(&all.let_in, 0.99), "ms", Aim::AtMost(2000.0));
    report.note(PART, "p50 of those refused", milliseconds(&all.refused, 0.5), "ms", None);
    report.note(PART, "p99 of those refused", milliseconds(&all.refused, 0.99), "ms", Aim::AtMost(100.0));

    let mebibytes = |bytes: u64| bytes as f64 / MIB;
    let hash = f64::from(MEMORY_KIB) / 1024.0;
    sleep(REST);
    let afterwards = signet.process.memory();
    report.note(PART, "memory at rest", mebibytes(at_rest.resident), "MiB", None);
    let more = mebibytes(most.saturating_sub(at_rest.anonymous));
    report.note(PART, "more in the storm, of which 19 are the hash's", more, "MiB", Aim::AtMost(hash + 20.0));
    let left = mebibytes(afterwards.anonymous.saturating_sub(at_rest.anonymous));
    report.note(PART, "still there five seconds after the last", left, "MiB", Aim::AtMost(hash / 2.0));
    let one: Weather = crowd.weather(bench, &signet, 0.1, How::AtOnce(1)).end();
    assert!(one.refused.count() == 0 && one.let_in.count() > 0, "the next sign-in is as any other");
}

/// Hashes a second of one thread, and how much of its memory is in huge pages.
fn hashing(bench: &Bench, seconds: f64, environment: &[(&str, &str)]) -> (f64, f64) {
    Apart::begin_in("hash", &Hashing { threads: 1, seconds }, &bench.cores.server(), environment).end()
}

/// In memory as the system gives it to whoever does not ask.
fn own(bench: &Bench, seconds: f64) -> f64 {
    hashing(bench, seconds, &[]).0
}

/// In huge pages, which the server asks for, and here the C library (GNU's) does.
fn own_in_huge_pages(bench: &Bench, seconds: f64) -> f64 {
    let (rate, huge) = hashing(bench, seconds, &[("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")]);
    println!("the hash in huge pages: {rate:.2} a second, {:.0} % of its memory in them", huge * 100.0);
    rate
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn figure(signet: &Signet, series: &str) -> f64 {
    let page =
        crate::support::simple::ask(signet.management, &crate::support::simple::request("GET", "/metrics", "", ""));
    let line = page.1.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.and_then(|number| number.parse().ok()).expect("there is such a series")
}

/// Those who sign in, and one who does not and has a token to verify.
struct Crowd {
    sign_ins: Vec<String>,
    verify: String,
}

impl Crowd {
    fn seeded(plan: &Plan) -> Self {
        let file = plan.dir().join("crowd.json");
        let (many, place) = ((PEOPLE + 1).to_string(), file.display().to_string());
        plan.run(&["seed", "--users", &many, "--sessions", "1", "--api-keys", "0", "--out", &place]);
        let data: Value = serde_json::from_slice(&std::fs::read(file).expect("it was written")).expect("it is JSON");
        // The first has the session.
        let people = data["users"].as_array().expect("a list").iter().skip(1);
        let body = |email: &Value| json!({"email": email, "password": data["password"]}).to_string();
        Self {
            sign_ins: people.map(|email| post_json("/sessions", &body(email))).collect(),
            verify: post_json("/verify", &json!({"token": data["sessions"][0]["access_token"]}).to_string()),
        }
    }

    fn weather(&self, bench: &Bench, signet: &Signet, seconds: f64, how: How) -> Apart {
        let (sign_ins, verify) = (self.sign_ins.clone(), self.verify.clone());
        let job = Storm { address: signet.address, seconds, sign_ins, verify, how };
        Apart::begin("storm", &job, &bench.cores.load())
    }
}
