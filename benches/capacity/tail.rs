//! The slowest responses of a mixed load: verifications and refreshes that keep two cores busy for 60 % of the time, with
//! and without sign-ins that keep the hashing threads busy. Server, Redis and clients share the two cores.

use crate::options::Options;
use crate::report::Report;
use crate::sign_in::Users;
use crate::storm::{SignIns, StormOutcome};
use crate::support::cores::CoreTime;
use crate::support::http::verify_request;
use crate::support::job::JobProcess;
use crate::support::load::Histogram;
use crate::support::redis::Redis;
use crate::support::signet::{SeededSession, Signet, SignetSettings};
use crate::support::target::Target;
use crate::tail_clients::{JOB, TailClient, TailJob, TailOutcome};

/// The name of this part.
pub(crate) const PART: &str = "tail";

const CLIENTS: usize = 16;

/// Enough that an hour of sign-ins does not exceed any user's limit of sessions: that would end the oldest ones, which
/// nodes remember as revoked, and memory would grow.
const USERS: usize = 8_000;

/// Enough concurrent sign-ins that the hashing threads never wait for one, and few enough that none is refused.
const SIGN_INS: usize = 8;

/// The use of the cores without sign-ins.
const BUSY_SHARE: f64 = 0.6;

/// The first attempt at the rate for that use.
const FIRST_RATE: f64 = 5_000.0;
const ATTEMPTS: usize = 4;

/// One slice without sign-ins and one with them.
const SLICE_SECONDS: f64 = 15.0;

const PERCENTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];

pub(crate) fn run(options: &Options, report: &mut Report) {
    let seconds = if options.quick { 3.0 } else { SLICE_SECONDS };
    let minutes = options.minutes.map_or(if options.quick { 0.2 } else { 60.0 }, f64::from);
    let rounds = (minutes * 60.0 / (2.0 * seconds)).ceil().max(2.0) as usize;
    let cores = options.cores.server_pair();
    let redis = Redis::start(&cores);
    let settings =
        SignetSettings::new(&options.server, &cores).on_redis(&redis.url()).set("SIGNET_SERVER__WORKERS", "2");
    // Start the server before seeding: it refuses tokens from before its first start as revoked.
    let signet = settings.start();
    let mut clients = Clients::seed(&settings);
    // Gives the users of the clients the password of the others.
    let users = Users::seed(&settings, USERS);

    let mut rate = FIRST_RATE;
    for _ in 0..ATTEMPTS {
        let before = CoreTime::read(&cores);
        clients.drive(&cores, &signet, seconds, rate);
        rate *= BUSY_SHARE / CoreTime::read(&cores).busy_share_since(&before);
    }
    let (mut calm, mut busy, mut sign_ins) = (Vec::new(), Vec::new(), 0);
    let mut memory = Vec::new();
    for _ in 0..rounds {
        calm.push(clients.drive(&cores, &signet, seconds, rate));
        let storm = users.start_storm(options, &signet, seconds, SignIns::Concurrent(SIGN_INS));
        busy.push(clients.drive(&cores, &signet, seconds, rate));
        sign_ins += storm.wait::<StormOutcome>().accepted.count();
        memory.push(signet.process.memory().resident as f64 / 1e6);
    }

    report.add(PART, "requests that use the cores for 60 %", rate, "/s", None);
    report.add(PART, "sign-ins beside them", sign_ins as f64 / seconds / rounds as f64, "/s", None);
    let raised = signet.metric("signet_hash_priority_raised_total");
    report.add(PART, "hashing jobs at the priority of the process", raised, "", None);
    for path in [Path::Verify, Path::Refresh] {
        let merge = |outcomes: &[TailOutcome]| {
            let mut all = Histogram::default();
            outcomes.iter().for_each(|outcome| all.merge(path.histogram(outcome)));
            all
        };
        let (without, with) = (merge(&calm), merge(&busy));
        let (first, second) = (merge(&busy[..rounds / 2]), merge(&busy[rounds / 2..]));
        let path = path.name();
        report.add(PART, format!("{path}, requests of each kind"), with.count() as f64, "", None);
        for (name, fraction) in PERCENTILES {
            report.add(PART, format!("{name} of {path}"), without.percentile_micros(fraction), "µs", None);
            report.add(PART, format!("{name} of {path} beside sign-ins"), with.percentile_micros(fraction), "µs", None);
        }
        let ratio = with.percentile_micros(0.999) / without.percentile_micros(0.999);
        report.add(PART, format!("p99.9 of {path} beside sign-ins, against without"), ratio, "×", Target::AtMost(3.0));
        let drift = second.percentile_micros(0.999) / first.percentile_micros(0.999);
        report.add(PART, format!("the same in the second half, against the first: {path}"), drift, "×", None);
    }
    report.add(PART, "memory after the first round", memory[0], "MB", None);
    report.add(PART, "memory in the middle", memory[rounds / 2], "MB", None);
    report.add(PART, "memory at the end", memory[rounds - 1], "MB", None);
}

/// The operations of the clients.
#[derive(Clone, Copy)]
enum Path {
    Verify,
    Refresh,
}

impl Path {
    fn name(self) -> &'static str {
        match self {
            Self::Verify => "/verify",
            Self::Refresh => "refresh",
        }
    }

    fn histogram(self, outcome: &TailOutcome) -> &Histogram {
        match self {
            Self::Verify => &outcome.verify,
            Self::Refresh => &outcome.refresh,
        }
    }
}

/// The clients, with the refresh tokens that they have now.
struct Clients(Vec<TailClient>);

impl Clients {
    fn seed(settings: &SignetSettings) -> Self {
        let client = |seeded: SeededSession| TailClient {
            verify: verify_request(&seeded.access_token),
            refresh_token: seeded.refresh_token,
        };
        Self(settings.seed_sessions(CLIENTS).into_iter().map(client).collect())
    }

    fn drive(&mut self, cores: &str, signet: &Signet, seconds: f64, per_second: f64) -> TailOutcome {
        let job = TailJob { address: signet.address, seconds, per_second, clients: self.0.clone() };
        let mut outcome: TailOutcome = JobProcess::start(JOB, &job, cores).wait();
        for (client, token) in self.0.iter_mut().zip(outcome.refresh_tokens.drain(..)) {
            client.refresh_token = token;
        }
        outcome
    }
}
