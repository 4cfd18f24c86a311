//! What is promised when parts fail, held under load: every effect that a client was told of is in a ledger, and the servers are held
//! to it afterwards.
//!
//! One file a row of the matrix; each prints a line of figures, `fault {"row":…}`. In `./test` the faults last as long as it takes to see what
//! becomes of them, and times are held to nothing that a busy machine would miss. `SIGNET_FAULTS=long ./test faults` is the matrix as
//! promised: longer, more often, and to the millisecond. With `SIGNET_BIN=target/release/signet` that program is held to it, and not
//! the one that was built with the tests.

mod clients;
mod clock;
mod crowd;
mod disk;
mod figures;
mod flood;
mod keys;
mod ledger;
mod mail;
mod postgres;
mod redis;
mod relay;
mod rotation;
mod sigkill;
mod sigterm;
mod soak;
mod traffic;
mod visitor;
mod vitals;

use std::time::{Duration, Instant};

use self::figures::Row;
use self::ledger::{GRACE, Ledger, Look};
use self::traffic::{CLIENTS, Call, Habits, Heard, Outbox, PACE, Place, ROOT, Traffic};
use crate::support::client::{Client, PASSWORD, until_within};
use crate::support::signet::{Plan, Signet};

/// How long anything may take that is not measured, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(30);

/// In what time who needs what is gone must have been told so.
const TOLD: Duration = Duration::from_millis(500);

/// What goes to one store or the other, or to both, and is asked for again and again while it is gone. Not signing out: of sessions whose
/// end is in doubt nobody asks twice, and soon there are few others.
const REDIS: [Call; 3] = [Call::Refresh, Call::AskCode, Call::SignIn];
const POSTGRES: [Call; 3] = [Call::SignIn, Call::Admin, Call::MakeKey];
/// What goes to neither.
const MEMORY: [Call; 3] = [Call::Verify, Call::VerifyEnded, Call::Jwks];
const ALL: [Call; 11] = [
    Call::Jwks,
    Call::Verify,
    Call::Refresh,
    Call::SignIn,
    Call::SignOut,
    Call::AskCode,
    Call::UseCode,
    Call::MakeKey,
    Call::UseKey,
    Call::EndKey,
    Call::Admin,
];

/// Whether the matrix is to be held as promised.
#[allow(clippy::disallowed_methods, reason = "how long it may take is the caller's to say")]
fn long() -> bool {
    std::env::var("SIGNET_FAULTS").is_ok_and(|how| how == "long")
}

/// One or the other, as [`long`] says.
fn short_or_long<T>(short: T, long: T) -> T {
    if self::long() { long } else { short }
}

/// A plan for being held to the ledger: tokens of the ledger outlive the test, and so does the grace of those in doubt.
fn lasting(plan: Plan) -> Plan {
    let plan = plan.set("SIGNET_TOKENS__GRACE", &format!("{}s", GRACE.as_secs()));
    let plan = plan.set("SIGNET_API__NATIVE__ACCESS", "12h").set("SIGNET_API__UNTURNED__ACCESS", "12h");
    // The audit tries each used code again.
    plan.set("SIGNET_MAILED__DAILY_TRIES", "1000")
}

/// Running nodes, and who goes to them.
struct Fleet {
    nodes: Vec<Signet>,
    places: Vec<Place>,
}

impl Fleet {
    /// Two nodes, each with a folder of its own.
    fn two(plan: &Plan) -> Self {
        Self::of(&[plan.clone(), plan.another_node()])
    }

    /// A node a plan.
    fn of(plans: &[Plan]) -> Self {
        Self::exactly(&plans.iter().cloned().map(lasting).collect::<Vec<_>>())
    }

    /// A node a plan, with no settings but the plan's.
    fn exactly(plans: &[Plan]) -> Self {
        let nodes: Vec<_> = plans.iter().map(Plan::start).collect();
        plans[0].create_user(ROOT, PASSWORD, &["--superuser"]);
        let place = |node: &Signet| Place { client: Client::new(node), outbox: Outbox::of(node.data_dir()) };
        let places = nodes.iter().map(place).collect();
        Self { nodes, places }
    }

    fn clients(&self) -> Vec<Client> {
        self.places.iter().map(|place| place.client.clone()).collect()
    }

    /// Clients at work, each of whose calls has been answered some times; in the long form at about half of what the nodes bear, and
    /// what they heard before they had settled down is forgotten.
    async fn at_work(&self) -> Traffic {
        if !long() {
            let traffic = Traffic::start(&self.places, Ledger::new(CLIENTS));
            traffic.until_good(&ALL, 4, PATIENCE * 4).await;
            return traffic;
        }
        let at_peak = Habits { pace: Duration::ZERO, ..Habits::default() };
        let traffic = Traffic::with(at_peak, &self.places, Ledger::new(CLIENTS));
        traffic.until_good(&ALL, 10, PATIENCE * 4).await;
        let peak = rate(&traffic).await;
        let (ledger, _) = traffic.stop().await;
        // Clients who wait as long as an answer takes at the peak ask half as often.
        let pace = Duration::from_secs_f64(CLIENTS as f64 / peak);
        let traffic = Traffic::with(Habits { pace, ..Habits::default() }, &self.places, ledger);
        traffic.until_good(&ALL, 10, PATIENCE * 4).await;
        traffic.take();
        println!("load: {:.0} a second, at the peak {peak:.0}", rate(&traffic).await);
        traffic
    }

    /// The same nodes again, which have ended.
    fn again(self) -> Self {
        let outboxes = self.places.into_iter().map(|place| place.outbox);
        let nodes: Vec<_> = self.nodes.iter().map(|node| node.plan().start()).collect();
        let places = nodes.iter().zip(outboxes).map(|(node, outbox)| Place { client: Client::new(node), outbox });
        Self { places: places.collect(), nodes }
    }

    /// Waits until `/readyz` of each node names this.
    async fn says_is_not_ready(&self, what: &str) {
        for place in &self.places {
            let says_so = async || place.client.failing_conditions().await.iter().any(|named| named == what);
            until_within(&format!("{what} is not ready"), PATIENCE, says_so).await;
        }
    }

    async fn is_ready(&self) {
        for place in &self.places {
            until_within("it is ready", PATIENCE, async || place.client.failing_conditions().await.is_empty()).await;
        }
    }

    /// Sends all home, and holds the nodes to all that they have said.
    async fn held_to(&self, traffic: Traffic, look: impl FnOnce(&mut Ledger)) -> Vec<Heard> {
        let (mut ledger, heard) = traffic.stop().await;
        look(&mut ledger);
        ledger.audit(&self.clients(), Look::All).await;
        let [people, open, ended, used, keys] = ledger.extent();
        println!("held: {people} people, {open} open sessions, {ended} ended, {used} used codes, {keys} ended keys");
        heard
    }
}

/// What does not need what is gone is answered as ever: never 503, and never not at all. Whether a refusal is in order, the ledger
/// knows.
fn goes_on(what: &[Call], heard: &[Heard]) {
    let odd = heard.iter().find(|heard| what.contains(&heard.call) && !(200..500).contains(&heard.status));
    assert!(odd.is_none(), "{odd:?}");
}

/// How much is asked in a second.
async fn rate(traffic: &Traffic) -> f64 {
    let began = Instant::now();
    traffic.until_good(&ALL, 40, PATIENCE * 4).await.len() as f64 / began.elapsed().as_secs_f64()
}

/// A fault's three moments.
struct Fault {
    name: &'static str,
    /// When it began, and when what had failed was there again.
    began: Instant,
    over: Instant,
    /// In what time all must be as before.
    back: Duration,
    /// What needs no part of what failed, and yet more than memory.
    beside: &'static [Call],
}

impl Fault {
    /// Prints its line, and holds it to the promised times: those who needed what was gone to half a second, in the short form the
    /// median of them, since the machine is shared.
    fn row(&self, heard: &[Heard]) -> Row {
        let row = Row::of(self.name, heard, (self.began, self.over), self.beside);
        row.print();
        assert!(row.lost == 0, "{}: an answer was lost: {row:?}", self.name);
        assert!(row.told_median <= short_or_long(TOLD * 2, TOLD), "{}: it takes long to be told: {row:?}", self.name);
        assert!(!long() || row.told_worst <= TOLD, "{}: somebody waits long to be told: {row:?}", self.name);
        let back = short_or_long(self.back * 5, self.back);
        assert!(row.back <= back, "{}: it takes long to be back: {row:?}", self.name);
        let whole = row.whole.unwrap_or_else(|| panic!("{}: something was not asked for again: {row:?}", self.name));
        assert!(!long() || whole <= self.back, "{}: not all is back: {row:?}", self.name);
        row
    }
}
