//! Sign-ins: their rate as a ratio to the rate of the hash alone, the effect of a storm of twenty times as many on them
//! and on verifications, and the memory that the storm leaves behind.

use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

use crate::options::Options;
use crate::report::Report;
use crate::storm::{HASH_JOB, HashJob, HashOutcome, MEMORY_KIB, STORM_JOB, SignIns, StormJob, StormOutcome};
use crate::support::http::{post_json, verify_request};
use crate::support::job::JobProcess;
use crate::support::load::Histogram;
use crate::support::signet::{Signet, SignetSettings};
use crate::support::stats::median;
use crate::support::target::Target;

const PART: &str = "sign_in";

/// The rate of a storm as a multiple of the hashing capacity.
const STORM_FACTOR: f64 = 20.0;

/// Enough users that none of them exceeds the limit of sessions.
pub(crate) const USERS: usize = 400;

/// Enough concurrent sign-ins that the hashing thread never waits for one.
const SATURATING: usize = 6;

/// Longer than idle hashing threads keep their memory.
const SETTLE: Duration = Duration::from_secs(5);

const MIB: f64 = (1 << 20) as f64;

pub(crate) fn run(options: &Options, report: &mut Report) {
    let (rounds, seconds) = if options.quick { (3, 3.0) } else { (9, 5.0) };
    let settings = SignetSettings::new(&options.server, &options.cores.server()).set("SIGNET_PASSWORDS__THREADS", "1");
    // Start the server before seeding: it refuses tokens from before its first start as revoked.
    let signet = settings.start();
    let users = Users::seed(&settings, USERS);
    sleep(SETTLE);
    let at_rest = signet.process.memory();

    let (mut saturated_ratios, mut storm_ratios) = (Vec::new(), Vec::new());
    let (mut huge_page_ratios, mut verify_ratios) = (Vec::new(), Vec::new());
    let (mut calm_verify, mut storms, mut peak_memory) = (Histogram::default(), StormOutcome::default(), 0);
    for _ in 0..rounds {
        let drive = |sign_ins| users.start_storm(options, &signet, seconds, sign_ins).wait::<StormOutcome>();
        let calm = drive(SignIns::None);
        // In turn on the same core, so that other work on the machine affects both.
        let hash_before = hash_rate(options, seconds / 2.0);
        let saturated = drive(SignIns::Concurrent(SATURATING));
        let hash_after = hash_rate(options, seconds / 2.0);
        let hash_rate = f64::midpoint(hash_before, hash_after);
        huge_page_ratios.push(hash_rate_in_huge_pages(options, seconds / 2.0) / hash_rate);
        saturated_ratios.push(saturated.accepted.count() as f64 / saturated.seconds / hash_rate);
        let hashes_before = signet.metric("signet_hashes_total");
        let storm = users.start_storm(options, &signet, seconds, SignIns::PerSecond(STORM_FACTOR * hash_rate));
        sleep(Duration::from_secs_f64(seconds * 0.8));
        peak_memory = peak_memory.max(signet.process.memory().anonymous);
        let storm: StormOutcome = storm.wait();
        let hashes = signet.metric("signet_hashes_total") - hashes_before;
        assert_eq!(hashes as u64, storm.accepted.count(), "exactly the accepted sign-ins are hashed");
        // Over the time until the last response: sign-ins that were queued at the end of the storm are served too.
        storm_ratios.push(hashes / storm.seconds / hash_rate);
        verify_ratios.push(storm.verify.percentile_micros(0.99) / calm.verify.percentile_micros(0.99));
        calm_verify.merge(&calm.verify);
        storms.merge(&storm);
    }
    let (saturated, stormy) = (median(saturated_ratios), median(storm_ratios));
    // A sign-in costs more than a hash. A ratio beyond noise means that bench and server hash with different builds.
    assert!(
        saturated.max(stormy) < 1.25,
        "sign-ins at {saturated:.2} and {stormy:.2} times the rate of the hash alone: bench and server have different builds"
    );
    let at_least = Target::AtLeast(0.95);
    report.add(PART, "sign-ins without pauses, against the hash alone", saturated, "×", at_least);
    report.add(PART, "the same in a storm of 20 times as many", stormy, "×", at_least);
    let huge_pages = median(huge_page_ratios);
    report.add(PART, "the hash alone in huge pages, as in the server, against small", huge_pages, "×", None);
    let verify = median(verify_ratios);
    report.add(PART, "p99 of /verify in the storm, against without load", verify, "×", Target::AtMost(2.0));
    for fraction in [0.5, 0.9, 0.99] {
        let name = format!("p{:.0} of /verify", fraction * 100.0);
        report.add(PART, format!("{name}, without load"), calm_verify.percentile_micros(fraction), "µs", None);
        report.add(PART, format!("{name}, storm"), storms.verify.percentile_micros(fraction), "µs", None);
    }
    let millis = |histogram: &Histogram, fraction| histogram.percentile_micros(fraction) / 1000.0;
    report.add(PART, "sign-ins in all storms", storms.started as f64, "", None);
    report.add(PART, "accepted", storms.accepted.count() as f64, "", None);
    report.add(PART, "p50 of accepted", millis(&storms.accepted, 0.5), "ms", None);
    report.add(PART, "p99 of accepted", millis(&storms.accepted, 0.99), "ms", Target::AtMost(2000.0));
    report.add(PART, "p50 of rejected", millis(&storms.rejected, 0.5), "ms", None);
    report.add(PART, "p99 of rejected", millis(&storms.rejected, 0.99), "ms", Target::AtMost(100.0));

    let mebibytes = |bytes: u64| bytes as f64 / MIB;
    let hash_mib = f64::from(MEMORY_KIB) / 1024.0;
    sleep(SETTLE);
    let afterwards = signet.process.memory();
    report.add(PART, "memory at rest", mebibytes(at_rest.resident), "MiB", None);
    let more = mebibytes(peak_memory.saturating_sub(at_rest.anonymous));
    let limit = Target::AtMost(hash_mib + 20.0);
    report.add(PART, "additional memory in the storm, of which 19 for the hash", more, "MiB", limit);
    let left = mebibytes(afterwards.anonymous.saturating_sub(at_rest.anonymous));
    report.add(PART, "additional memory five seconds after the storm", left, "MiB", Target::AtMost(hash_mib / 2.0));
    let next: StormOutcome = users.start_storm(options, &signet, 0.1, SignIns::Concurrent(1)).wait();
    assert!(next.rejected.count() == 0 && next.accepted.count() > 0, "sign-ins work as before after the storm");
}

fn run_hash_job(options: &Options, seconds: f64, env: &[(&str, &str)]) -> HashOutcome {
    let job = HashJob { threads: 1, seconds };
    JobProcess::start_with_env(HASH_JOB, &job, &options.cores.server(), env).wait()
}

/// Hashes a second of one thread, in memory with the default page size.
fn hash_rate(options: &Options, seconds: f64) -> f64 {
    run_hash_job(options, seconds, &[]).per_second
}

/// Hashes a second of one thread, in huge pages. The server requests them itself; here the C library (GNU) does.
fn hash_rate_in_huge_pages(options: &Options, seconds: f64) -> f64 {
    let outcome = run_hash_job(options, seconds, &[("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")]);
    println!(
        "the hash in huge pages: {:.2} a second, {:.0} % of its memory is in huge pages",
        outcome.per_second,
        outcome.huge_fraction * 100.0
    );
    outcome.per_second
}

/// Requests of the users who sign in, and of one other user who only verifies a token.
pub(crate) struct Users {
    sign_ins: Vec<String>,
    verify: String,
}

impl Users {
    pub(crate) fn seed(settings: &SignetSettings, users: usize) -> Self {
        let file = settings.folder().join("users.json");
        let (count, path) = ((users + 1).to_string(), file.display().to_string());
        settings.run_cli(&["seed", "--users", &count, "--sessions", "1", "--api-keys", "0", "--out", &path]);
        let data: Value = serde_json::from_slice(&std::fs::read(file).expect("a file of `signet seed`")).expect("JSON");
        // The first user has the session.
        let emails = data["users"].as_array().expect("a list").iter().skip(1);
        let body = |email: &Value| json!({"email": email, "password": data["password"]}).to_string();
        Self {
            sign_ins: emails.map(|email| post_json("/sessions", &body(email))).collect(),
            verify: verify_request(data["sessions"][0]["access_token"].as_str().expect("a token")),
        }
    }

    pub(crate) fn start_storm(
        &self,
        options: &Options,
        signet: &Signet,
        seconds: f64,
        sign_ins: SignIns,
    ) -> JobProcess {
        let job = StormJob {
            address: signet.address,
            seconds,
            requests: self.sign_ins.clone(),
            verify: self.verify.clone(),
            sign_ins,
        };
        JobProcess::start(STORM_JOB, &job, &options.cores.client())
    }
}
