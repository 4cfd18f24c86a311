//! The state of this node and the fleet.

use std::time::Duration;

use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Problem, require_superuser};
use crate::api::FORBIDDEN;
use crate::api::endpoint::{Endpoint, endpoint};
use crate::auth::context::Context;
use crate::auth::overview::{NodeState, Overview, overview as read_overview};
use crate::clock::Timestamp;
use crate::http::{Request, Response};

/// The state of this node and of the fleet.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({
    "nodes": [{
        "id": "id-1_0.0.0.0:8000_1_5f3a",
        "version": "0.1.0",
        "started_at": "2026-01-31T12:00:00Z",
        "ready": false,
        "reasons": ["store.ephemeral: redis is unavailable: timed out"],
        "has_applied_revocations": true,
    }],
    "this_node": {
        "id": "id-1_0.0.0.0:8000_1_5f3a",
        "uptime": 86_400,
        "rates": [{
            "operation": "native.verify", "per_second": 812.4, "p50_ms": 0.2, "p99_ms": 1.4, "errors_per_second": 0.0,
        }],
        "series": [{"per_second": 812.4, "p99_ms": 1.4}],
        "sign_ins": [{"method": "password", "outcome": "success", "count": 812}],
        "hash_queue": {"length": 0, "capacity": 256, "wait_p99_ms": 12.5},
        "stores": [
            {"name": "accounts", "up": true, "latency_ms": 0.8},
            {"name": "ephemeral", "up": false, "latency_ms": null},
        ],
        "revocation": {"lag_ms": 3, "entries": 12},
        "followers": [{"name": "reports-7c9f:1", "behind_ms": 850, "seen_at": "2026-01-31T12:00:00Z"}],
        "mail": {"queued": 0, "oldest_seconds": 0, "sent": 33, "failed": 0},
    },
    "warnings": [],
})))]
struct OverviewBody<'a> {
    /// The running nodes. While the store of sessions does not answer, only the node that serves the request.
    nodes: Vec<NodeBody<'a>>,
    this_node: ThisNode<'a>,
    /// The risks in the settings of the node that serves the request.
    warnings: &'a [String],
}

/// A running node.
#[derive(Serialize, ToSchema)]
struct NodeBody<'a> {
    id: &'a str,
    /// `version`, `started_at` and `ready` are null if the node has not published its state lately.
    version: Option<&'a str>,
    #[schema(value_type = Option<String>, format = DateTime)]
    started_at: Option<Timestamp>,
    ready: Option<bool>,
    /// Why it is not ready.
    reasons: &'a [String],
    /// True if it has applied every revocation that is published.
    has_applied_revocations: bool,
}

/// The node that serves the request.
#[derive(Serialize, ToSchema)]
struct ThisNode<'a> {
    id: &'a str,
    /// Seconds since it started.
    uptime: u64,
    /// The operations that were called in the last minute, by their labels in the metrics.
    rates: Vec<OperationRate<'a>>,
    /// The last five minutes, in steps of five seconds, the oldest first.
    series: Vec<SeriesPoint>,
    /// Sign-ins since it started.
    sign_ins: Vec<SignInCount>,
    hash_queue: HashQueueBody,
    stores: Vec<StoreBody>,
    revocation: RevocationState,
    /// The services that follow the revocation feed and report their positions.
    followers: Vec<FollowerBody<'a>>,
    mail: MailBody,
}

/// The requests of one operation in the last minute.
#[derive(Serialize, ToSchema)]
struct OperationRate<'a> {
    operation: &'a str,
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    /// Responses with a status from 500 on.
    errors_per_second: f64,
}

/// Requests at one moment.
#[derive(Serialize, ToSchema)]
struct SeriesPoint {
    per_second: f64,
    /// Null without requests.
    p99_ms: Option<f64>,
}

/// Sign-ins of one method that ended the same way.
#[derive(Serialize, ToSchema)]
struct SignInCount {
    method: &'static str,
    outcome: &'static str,
    count: u64,
}

/// The queue of passwords to hash.
#[derive(Serialize, ToSchema)]
struct HashQueueBody {
    length: usize,
    capacity: usize,
    /// Since the start.
    wait_p99_ms: f64,
}

/// A store.
#[derive(Serialize, ToSchema)]
struct StoreBody {
    /// `accounts` or `ephemeral`.
    name: &'static str,
    up: bool,
    latency_ms: Option<f64>,
}

/// The revocations in memory.
#[derive(Serialize, ToSchema)]
struct RevocationState {
    /// Time since they were last read.
    lag_ms: u64,
    entries: usize,
}

/// A service that follows the revocation feed.
#[derive(Serialize, ToSchema)]
struct FollowerBody<'a> {
    name: &'a str,
    behind_ms: u64,
    #[schema(value_type = String, format = DateTime)]
    seen_at: Timestamp,
}

/// Mails since the start.
#[derive(Serialize, ToSchema)]
struct MailBody {
    queued: u64,
    /// Seconds for which the oldest queued mail has waited.
    oldest_seconds: u64,
    sent: u64,
    failed: u64,
}

/// Get an overview
///
/// The load and state of the node that serves the request, from its own metrics, and the running nodes. Works while a
/// store does not answer, unless the caller cannot be checked without it. For superusers, and for their API keys with
/// the scope `admin`.
#[utoipa::path(
    get,
    path = "/admin/overview",
    operation_id = "native_admin_overview",
    security(("access_token" = []), ("api_key" = [])),
    responses((status = 200, description = "The state of the node and the fleet.", body = OverviewBody<'_>)),
)]
async fn overview(ctx: Context, request: Request) -> Result<Response, Problem> {
    require_superuser(&ctx, &request).await?;
    let overview = read_overview(&ctx).await;
    Ok(Response::json(StatusCode::OK, &OverviewBody::new(&overview, &ctx.node.name)).no_store())
}

pub(super) const OVERVIEW: Endpoint = endpoint! {
    handler: overview,
    metric_label: "native.admin-overview",
    errors: [FORBIDDEN],
};

impl<'a> OverviewBody<'a> {
    fn new(overview: &'a Overview, id: &'a str) -> Self {
        let Overview { hash_queue, mail, .. } = overview;
        let rates = overview.routes.iter().map(|route| OperationRate {
            operation: &route.route,
            per_second: rounded(route.per_second),
            p50_ms: rounded(route.p50_ms),
            p99_ms: rounded(route.p99_ms),
            errors_per_second: rounded(route.errors_per_second),
        });
        let series = overview
            .traffic
            .iter()
            .map(|point| SeriesPoint { per_second: rounded(point.per_second), p99_ms: point.p99_ms.map(rounded) });
        let sign_ins = overview.sign_ins.iter().map(|each| SignInCount {
            method: each.method,
            outcome: each.outcome,
            count: each.count,
        });
        let stores = overview.stores.iter().map(|store| StoreBody {
            name: store.name,
            up: store.latency.is_some(),
            latency_ms: store.latency.map(|latency| rounded(latency.as_secs_f64() * 1e3)),
        });
        let followers = overview.followers.iter().map(|follower| FollowerBody {
            name: &follower.name,
            behind_ms: millis(follower.behind),
            seen_at: follower.seen_at,
        });
        Self {
            nodes: overview.nodes.iter().map(NodeBody::new).collect(),
            this_node: ThisNode {
                id,
                uptime: overview.uptime.as_secs(),
                rates: rates.collect(),
                series: series.collect(),
                sign_ins: sign_ins.collect(),
                hash_queue: HashQueueBody {
                    length: hash_queue.length,
                    capacity: hash_queue.capacity,
                    wait_p99_ms: rounded(hash_queue.wait_p99_ms),
                },
                stores: stores.collect(),
                revocation: RevocationState { lag_ms: millis(overview.revocation_lag), entries: overview.revocations },
                followers: followers.collect(),
                mail: MailBody {
                    queued: mail.queued,
                    oldest_seconds: mail.oldest.as_secs(),
                    sent: mail.sent,
                    failed: mail.failed,
                },
            },
            warnings: &overview.warnings,
        }
    }
}

impl<'a> NodeBody<'a> {
    fn new(node: &'a NodeState) -> Self {
        let description = node.description.as_ref();
        Self {
            id: &node.name,
            version: description.map(|description| description.version.as_str()),
            started_at: description.map(|description| description.started_at()),
            ready: description.map(|description| description.not_ready.is_empty()),
            reasons: description.map_or(&[], |description| &description.not_ready),
            has_applied_revocations: node.has_applied,
        }
    }
}

fn millis(duration: Duration) -> u64 {
    duration.as_millis() as u64
}

/// Three digits after the point are more than people read.
fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}
