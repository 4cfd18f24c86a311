//! The state of this node and of the fleet at one moment, for administrators. Changes nothing. A store that does not
//! answer is reported as such, and is no error.

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::auth::Error;
use crate::auth::context::Context;
use crate::auth::mail_admin::failed_mails;
use crate::auth::revocation::followers::{Follower, followers};
use crate::clock::Timestamp;
use crate::store;
use crate::store::ephemeral::NodeReport;
use crate::telemetry::metrics::{Counter, RouteTraffic, TrafficPoint};

/// The state of this node and the fleet.
pub struct Overview {
    /// The running nodes, by name.
    pub nodes: Vec<NodeState>,
    /// How long this node has been running.
    pub uptime: Duration,
    /// The requests to each of its routes in the last minute.
    pub routes: Vec<RouteTraffic>,
    /// Its requests over the last minutes, the oldest first.
    pub traffic: Vec<TrafficPoint>,
    /// Sign-ins since its start.
    pub sign_ins: Vec<SignIns>,
    /// Its queue of passwords to hash.
    pub hash_queue: HashQueue,
    /// The stores that it uses.
    pub stores: Vec<StoreState>,
    /// The time since it last read the revocations.
    pub revocation_lag: Duration,
    /// The number of revocations that it has in memory.
    pub revocations: usize,
    /// The services that follow the revocation feed.
    pub followers: Vec<Follower>,
    /// Its mails.
    pub mail: MailState,
    /// Warnings about its settings.
    pub warnings: Vec<String>,
}

/// A running node.
pub struct NodeState {
    /// Its name.
    pub name: String,
    /// True if it has applied all revocations that are published.
    pub has_applied: bool,
    /// The node's last description of itself; `None` if there is no recent one.
    pub description: Option<NodeDescription>,
}

/// A node's description of itself. Other nodes read it as JSON.
#[derive(Serialize, Deserialize)]
pub struct NodeDescription {
    /// Its version.
    pub version: String,
    /// When its process started, in milliseconds since 1970.
    started_at_ms: i64,
    /// The reasons why it must not receive requests; empty if it may.
    pub not_ready: Vec<String>,
}

impl NodeDescription {
    fn of(ctx: &Context) -> Self {
        let node = &ctx.node;
        let reasons = node.readiness.conditions();
        let not_ready = reasons.filter_map(|(condition, reason)| Some(format!("{}: {}", condition.name(), reason?)));
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at_ms: node.metrics.started().millis(),
            not_ready: not_ready.collect(),
        }
    }

    /// When its process started.
    pub fn started_at(&self) -> Timestamp {
        Timestamp::from_millis(self.started_at_ms)
    }
}

/// Publishes this node's description for the other nodes. A failure is logged at debug only, because the outage of the
/// store is logged already.
pub async fn describe_this_node(ctx: &Context) {
    let Ok(text) = serde_json::to_string(&NodeDescription::of(ctx)) else { return };
    if let Err(error) = ctx.ephemeral.describe_node(&ctx.node.name, &text).await {
        tracing::debug!(%error, "state of this node not published");
    }
}

/// The number of sign-ins of one method that ended the same way.
pub struct SignIns {
    /// The method.
    pub method: &'static str,
    /// How they ended.
    pub outcome: &'static str,
    /// How many.
    pub count: u64,
}

/// The queue of passwords to hash.
pub struct HashQueue {
    /// Passwords that wait.
    pub length: usize,
    /// How many may wait.
    pub capacity: usize,
    /// The 99th percentile of the waiting times since the start, in milliseconds.
    pub wait_p99_ms: f64,
}

/// A store.
pub struct StoreState {
    /// Its role: `accounts` or `ephemeral`.
    pub name: &'static str,
    /// How long it took to answer; `None` if it did not.
    pub latency: Option<Duration>,
}

/// Mails of this node since its start.
pub struct MailState {
    /// In the queue now.
    pub queued: u64,
    /// How long the oldest of them has waited.
    pub oldest: Duration,
    /// Accepted by the mail server, or written to the outbox.
    pub sent: u64,
    /// Refused, expired or dropped.
    pub failed: u64,
}

/// Reads the state.
pub async fn overview(ctx: &Context) -> Overview {
    let node = &ctx.node;
    let start = node.clock.monotonic();
    let elapsed = || node.clock.monotonic().saturating_sub(start);
    let accounts = async { ctx.accounts.check().await.is_ok().then(elapsed) };
    let ephemeral = async { ctx.ephemeral.check().await.is_ok().then(elapsed) };
    let (accounts, ephemeral) = tokio::join!(accounts, ephemeral);
    // Both read the ephemeral store: if it does not answer, waiting for it again shows nothing.
    let (nodes, followers) = if ephemeral.is_some() { read_fleet(ctx).await } else { (Vec::new(), Vec::new()) };
    let metrics = &node.metrics;
    let hashing = node.hasher.load();
    Overview {
        nodes: with_this_node(ctx, nodes),
        uptime: ctx.now().since(metrics.started()),
        routes: metrics.route_traffic(),
        traffic: metrics.traffic(),
        sign_ins: sign_ins(ctx),
        hash_queue: HashQueue {
            length: hashing.waiting,
            capacity: node.config.passwords.queue,
            wait_p99_ms: hashing.waits.quantile_ms(0.99),
        },
        stores: vec![
            StoreState { name: "accounts", latency: accounts },
            StoreState { name: "ephemeral", latency: ephemeral },
        ],
        revocation_lag: node.revocations.staleness(node.clock.monotonic()),
        revocations: node.revocations.count(),
        followers,
        mail: MailState {
            queued: metrics.value(Counter::MailQueue),
            oldest: node.mailer.oldest(),
            sent: metrics.value(Counter::MailsSent),
            failed: failed_mails(metrics),
        },
        warnings: node.config.advice(),
    }
}

async fn read_fleet(ctx: &Context) -> (Vec<NodeState>, Vec<Follower>) {
    let nodes = async {
        let newest = ctx.ephemeral.newest_revocation().await?;
        let (nodes, descriptions) = tokio::join!(ctx.ephemeral.nodes(&newest), ctx.ephemeral.node_descriptions());
        let mut descriptions: HashMap<String, String> = descriptions?.into_iter().collect();
        let nodes = nodes?.into_iter().map(|NodeReport { name, has_applied }| {
            // A description that cannot be read is that of another version.
            let description = descriptions.remove(&name).and_then(|text| serde_json::from_str(&text).ok());
            NodeState { name, has_applied, description }
        });
        Ok::<_, store::Error>(nodes.collect())
    };
    let (nodes, followers): (_, Result<_, Error>) = tokio::join!(nodes, followers(ctx));
    (nodes.unwrap_or_default(), followers.unwrap_or_default())
}

/// Adds this node's present description, even if its report cannot be read.
fn with_this_node(ctx: &Context, mut nodes: Vec<NodeState>) -> Vec<NodeState> {
    let (name, description) = (&ctx.node.name, Some(NodeDescription::of(ctx)));
    match nodes.iter_mut().find(|each| each.name == *name) {
        Some(this) => this.description = description,
        None => nodes.push(NodeState { name: name.clone(), has_applied: false, description }),
    }
    nodes.sort_by(|one, other| one.name.cmp(&other.name));
    nodes
}

/// The methods and outcomes that occurred.
fn sign_ins(ctx: &Context) -> Vec<SignIns> {
    let counters = Counter::of_name("signet_sign_ins_total").filter_map(|(counter, labels)| {
        let [method, outcome] = labels.try_into().ok()?;
        Some(SignIns { method, outcome, count: ctx.node.metrics.value(counter) })
    });
    counters.filter(|each| each.count > 0).collect()
}
