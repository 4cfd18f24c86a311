//! Sign-ins of clients that ask again at once, without a pause: whatever is refused comes back. Their rate with many
//! connections as a ratio to that with eight, also beside another program on the core.
//!
//! The storm in `sign_in` sends a fixed number of requests a second, so refusing one gets rid of it. Here a refusal that
//! is sent at once is followed by the next request at once, and refusing can take the time in which the server would
//! hash.

use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use crate::options::Options;
use crate::report::Report;
use crate::sign_in::{USERS, Users};
use crate::storm::{SignIns, StormOutcome};
use crate::support::process::{Process, pinned_command};
use crate::support::signet::SignetSettings;
use crate::support::stats::median;
use crate::support::target::Target;

const PART: &str = "pressure";

/// Enough that the hashing thread always has work, and few enough that none is refused.
const FEW: usize = 8;

/// In this order, so that the last one shows whether the server recovers.
const CONNECTIONS: [usize; 4] = [32, 128, 512, 32];

/// Connections beside another program on the core.
const BESIDE: usize = 32;

pub(crate) fn run(options: &Options, report: &mut Report) {
    let (rounds, seconds) = if options.quick { (3, 3.0) } else { (5, 10.0) };
    let settings = SignetSettings::new(&options.server, &options.cores.server()).set("SIGNET_PASSWORDS__THREADS", "1");
    // Start the server before seeding: it refuses tokens from before its first start as revoked.
    let signet = settings.start();
    let users = Users::seed(&settings, USERS);

    let drive = |sign_ins| users.start_storm(options, &signet, seconds, sign_ins).wait::<StormOutcome>();
    let rate = |outcome: &StormOutcome| outcome.accepted.count() as f64 / outcome.seconds;
    let verify_p99 = |outcome: &StormOutcome| outcome.verify.percentile_micros(0.99);
    let (mut ratios, mut verify_ratios) = (CONNECTIONS.map(|_| Vec::new()), CONNECTIONS.map(|_| Vec::new()));
    let (mut beside_ratios, mut refusals, mut few_rates) = (Vec::new(), Vec::new(), Vec::new());
    let (mut verify_calm, mut verify_beside) = (Vec::new(), CONNECTIONS.map(|_| Vec::new()));
    for _ in 0..rounds {
        let calm = verify_p99(&drive(SignIns::None));
        verify_calm.push(calm);
        let few = rate(&drive(SignIns::Concurrent(FEW)));
        few_rates.push(few);
        for (index, &connections) in CONNECTIONS.iter().enumerate() {
            let outcome = drive(SignIns::Concurrent(connections));
            ratios[index].push(rate(&outcome) / few);
            verify_ratios[index].push(verify_p99(&outcome) / calm);
            verify_beside[index].push(verify_p99(&outcome));
            if connections == CONNECTIONS[2] {
                refusals.push(outcome.rejected.count() as f64 / outcome.seconds / connections as f64);
            }
        }
        let neighbour = busy_program(options, &settings);
        let beside = drive(SignIns::Concurrent(BESIDE));
        drop(neighbour);
        beside_ratios.push(rate(&beside) / few);
        // The jobs of these connections are still in the queue.
        sleep(Duration::from_secs(1));
    }
    report.add(PART, format!("sign-ins of {FEW} connections without pauses"), median(few_rates), "/s", None);
    report.add(PART, "p99 of /verify without sign-ins", median(verify_calm), "µs", None);
    for (index, connections) in CONNECTIONS.iter().enumerate() {
        let again = if index + 1 == CONNECTIONS.len() { ", after the 512" } else { "" };
        let title = format!("sign-ins of {connections} connections{again}, against {FEW}");
        report.add(PART, title, median(std::mem::take(&mut ratios[index])), "×", Target::AtLeast(0.95));
        let title = format!("p99 of /verify beside {connections} connections{again}");
        report.add(PART, title, median(std::mem::take(&mut verify_beside[index])), "µs", None);
        let title = format!("p99 of /verify beside {connections} connections{again}, against none");
        report.add(PART, title, median(std::mem::take(&mut verify_ratios[index])), "×", Target::AtMost(2.0));
    }
    let title = format!("sign-ins of {BESIDE} connections beside a busy program, against {FEW}");
    report.add(PART, title, median(beside_ratios), "×", Target::AtLeast(0.4));
    report.add(PART, "refusals of each of 512 connections", median(refusals), "/s", Target::AtMost(3.0));
}

/// A program that never waits, on the core of the server and at its priority.
fn busy_program(options: &Options, settings: &SignetSettings) -> Process {
    let log = settings.folder().join("busy");
    let mut command = pinned_command(&options.cores.server(), "sh", &log);
    command.args(["-c", "while :; do :; done"]).stdout(Stdio::null());
    Process::start(command, &log)
}
