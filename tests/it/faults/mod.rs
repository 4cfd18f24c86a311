//! Fault injection under load: every effect that a server acknowledged is recorded in a ledger, and an audit checks
//! after the fault that all of it still holds.
//!
//! One file per kind of fault; each test prints a line of figures, `fault {"row":…}`. In `./test`, a fault lasts only
//! until its effects have been seen, and time limits are wide enough for a busy machine. `SIGNET_FAULTS=long ./test
//! faults` checks what docs/security.md promises: longer faults, more of them, and exact time limits.
//! `SIGNET_BIN=target/release/signet` tests that program instead of the one built with the tests.

mod clients;
mod clock;
mod crowd;
mod disk;
mod flood;
mod keys;
mod ledger;
mod mail;
mod postgres;
mod process_stats;
mod redis;
mod relay;
mod report;
mod rotation;
mod sigkill;
mod sigterm;
mod simulated_client;
mod soak;
mod traffic;
mod upgrade;

use std::time::{Duration, Instant};

use self::ledger::{AuditScope, GRACE, Ledger};
use self::report::Report;
use self::traffic::{CLIENTS, Call, Endpoint, LoadProfile, Outbox, Outcome, PAUSE, ROOT, Traffic};
use crate::support::client::{Client, PASSWORD, until_within};
use crate::support::signet::{Plan, Signet};

/// The time-out of everything that is not measured, on a machine that is busy with other tests.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The time within which a request that needs a failed store must get 503.
const MAX_503_DELAY: Duration = Duration::from_millis(500);

/// Calls that need Redis, and calls that need Postgres (some need both). Clients repeat them while the store is down.
/// Sign-out is missing, because a client does not repeat it for a session whose end is in doubt, and soon has few other
/// sessions.
const REDIS_CALLS: [Call; 3] = [Call::Refresh, Call::RequestCode, Call::SignIn];
const POSTGRES_CALLS: [Call; 3] = [Call::SignIn, Call::Admin, Call::CreateKey];
/// Calls that need no store.
const MEMORY_CALLS: [Call; 3] = [Call::Verify, Call::VerifyEnded, Call::Jwks];
const ALL_CALLS: [Call; 11] = [
    Call::Jwks,
    Call::Verify,
    Call::Refresh,
    Call::SignIn,
    Call::SignOut,
    Call::RequestCode,
    Call::UseCode,
    Call::CreateKey,
    Call::UseKey,
    Call::DeactivateKey,
    Call::Admin,
];

/// True for the long form with exact time limits.
#[allow(clippy::disallowed_methods, reason = "the caller chooses the form by an environment variable")]
fn long() -> bool {
    std::env::var("SIGNET_FAULTS").is_ok_and(|form| form == "long")
}

/// The first value in the short form, the second in the long form.
fn short_or_long<T>(short: T, long: T) -> T {
    if self::long() { long } else { short }
}

/// In the short form, waits longer for a store (`REDIS`, `POSTGRES` or `EMBEDDED`) that is not slow by the fault: other
/// tests use the machine, and neither the audit nor calls that need only this store may get 503.
fn with_patient(store: &str, plan: Plan) -> Plan {
    if long() { plan } else { plan.set(&format!("SIGNET_{store}__TIMEOUT"), "20s") }
}

/// A plan for a test with a ledger: access tokens and the grace period outlast the test. No fault makes an embedded
/// store slow: one whose disk is full says so at once.
fn with_long_lifetimes(plan: Plan) -> Plan {
    let plan = with_patient("EMBEDDED", plan);
    let plan = plan.set("SIGNET_TOKENS__GRACE", &format!("{}s", GRACE.as_secs()));
    let plan = plan.set("SIGNET_API__NATIVE__ACCESS", "12h").set("SIGNET_API__UNTURNED__ACCESS", "12h");
    // The audit tries each used code again.
    plan.set("SIGNET_MAILED__DAILY_TRIES", "1000")
}

/// Running nodes, and how clients reach them.
struct ServerFleet {
    nodes: Vec<Signet>,
    endpoints: Vec<Endpoint>,
}

impl ServerFleet {
    /// Starts two nodes, each with its own data folder.
    fn two_nodes(plan: &Plan) -> Self {
        Self::start(&[plan.clone(), plan.another_node()])
    }

    /// Starts a node for each plan, with long lifetimes.
    fn start(plans: &[Plan]) -> Self {
        Self::start_unchanged(&plans.iter().cloned().map(with_long_lifetimes).collect::<Vec<_>>())
    }

    /// Starts a node for each plan, with exactly its settings.
    fn start_unchanged(plans: &[Plan]) -> Self {
        let nodes: Vec<_> = plans.iter().map(Plan::start).collect();
        plans[0].create_user(ROOT, PASSWORD, &["--superuser", "--verified"]);
        let endpoint = |node: &Signet| Endpoint { client: Client::new(node), outbox: Outbox::of(node.data_dir()) };
        let endpoints = nodes.iter().map(endpoint).collect();
        Self { nodes, endpoints }
    }

    fn clients(&self) -> Vec<Client> {
        self.endpoints.iter().map(|endpoint| endpoint.client.clone()).collect()
    }

    /// Starts the load and waits until every call has succeeded several times. In the long form, the rate is about half
    /// of what the nodes can sustain, and outcomes from before it is steady are discarded.
    async fn start_traffic(&self) -> Traffic {
        if !long() {
            let traffic = Traffic::start(&self.endpoints, Ledger::new(CLIENTS));
            traffic.wait_for_success(&ALL_CALLS, 4, TIMEOUT * 4).await;
            return traffic;
        }
        let at_peak = LoadProfile { pause: Duration::ZERO, ..LoadProfile::default() };
        let traffic = Traffic::with(at_peak, &self.endpoints, Ledger::new(CLIENTS));
        traffic.wait_for_success(&ALL_CALLS, 10, TIMEOUT * 4).await;
        let peak = request_rate(&traffic).await;
        let (ledger, _) = traffic.stop().await;
        // A pause as long as the response time at the peak halves the rate.
        let pause = Duration::from_secs_f64(CLIENTS as f64 / peak);
        let profile = LoadProfile { pause, ..LoadProfile::default() };
        let traffic = Traffic::with(profile, &self.endpoints, ledger);
        traffic.wait_for_success(&ALL_CALLS, 10, TIMEOUT * 4).await;
        traffic.take_outcomes();
        println!("load: {:.0} requests per second, at the peak {peak:.0}", request_rate(&traffic).await);
        traffic
    }

    /// Starts the same nodes again after they have exited.
    fn restart(self) -> Self {
        let outboxes = self.endpoints.into_iter().map(|endpoint| endpoint.outbox);
        let nodes: Vec<_> = self.nodes.iter().map(|node| node.plan().start()).collect();
        let endpoints = nodes.iter().zip(outboxes);
        let endpoints = endpoints.map(|(node, outbox)| Endpoint { client: Client::new(node), outbox });
        Self { endpoints: endpoints.collect(), nodes }
    }

    /// Waits until `/readyz` of every node reports this condition as failing.
    async fn wait_until_not_ready(&self, condition: &str) {
        for Endpoint { client, .. } in &self.endpoints {
            let reported = async || client.failing_conditions().await.iter().any(|name| name == condition);
            until_within(&format!("{condition} is not ready"), TIMEOUT, reported).await;
        }
    }

    async fn wait_until_ready(&self) {
        for Endpoint { client, .. } in &self.endpoints {
            let ready = async || client.failing_conditions().await.is_empty();
            until_within("the node is ready", TIMEOUT, ready).await;
        }
    }

    /// Stops the clients, lets the test check the ledger, and audits all of it.
    async fn stop_and_audit(&self, traffic: Traffic, check: impl FnOnce(&mut Ledger)) -> Vec<Outcome> {
        let (mut ledger, outcomes) = traffic.stop().await;
        check(&mut ledger);
        ledger.audit(&self.clients(), AuditScope::All).await;
        let [users, open, ended, used, keys] = ledger.counts();
        println!(
            "audited: {users} users, {open} open sessions, {ended} ended sessions, {used} used codes, \
             {keys} deactivated keys"
        );
        outcomes
    }
}

/// Asserts that these calls never got a 5xx or no response. The ledger checks refusals.
fn assert_unaffected(calls: &[Call], outcomes: &[Outcome]) {
    let affected = |outcome: &&Outcome| calls.contains(&outcome.call) && !(200..500).contains(&outcome.status);
    let first = outcomes.iter().find(affected);
    assert!(first.is_none(), "{first:?}");
}

/// Requests per second.
async fn request_rate(traffic: &Traffic) -> f64 {
    let began = Instant::now();
    let outcomes = traffic.wait_for_success(&ALL_CALLS, 40, TIMEOUT * 4).await;
    outcomes.len() as f64 / began.elapsed().as_secs_f64()
}

/// A fault that is over.
struct Fault {
    name: &'static str,
    began: Instant,
    /// When the failed store was available again.
    ended: Instant,
    /// The time within which all calls must work as before.
    max_recovery: Duration,
    /// Calls that need only the store that has not failed.
    other_store_calls: &'static [Call],
}

impl Fault {
    /// Prints the figures and asserts the time limits. In the short form, the median of the 503 responses must be
    /// within the limit instead of the maximum, because the machine is shared. A store that is back may then be late
    /// once more, so the last 503 does not show when it recovered: the test has waited until all calls succeed.
    fn report(&self, outcomes: &[Outcome]) -> Report {
        let Self { name, began, ended, max_recovery, other_store_calls } = *self;
        let report = Report::new(name, outcomes, (began, ended), other_store_calls);
        report.print();
        assert!(report.lost == 0, "{name}: a response was lost: {report:?}");
        let max_median = short_or_long(MAX_503_DELAY * 2, MAX_503_DELAY);
        assert!(report.unavailable_median <= max_median, "{name}: the median 503 is slow: {report:?}");
        assert!(!long() || report.unavailable_max <= MAX_503_DELAY, "{name}: a 503 is slow: {report:?}");
        assert!(!long() || report.recovery <= max_recovery, "{name}: slow recovery: {report:?}");
        let full = report.full_recovery.unwrap_or_else(|| panic!("{name}: a call was not repeated: {report:?}"));
        assert!(!long() || full <= max_recovery, "{name}: not all calls have recovered: {report:?}");
        report
    }
}
