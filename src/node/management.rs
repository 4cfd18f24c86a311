//! The management endpoint: `/healthz`, `/readyz` and `/metrics`, on a port that must not be public.

use std::sync::Arc;

use ::http::{HeaderValue, StatusCode};

use crate::auth::context::Node;
use crate::config::SigningAlgorithm;
use crate::http::{self, Rejection, Request, Response, RouteTableError, Router, Routes};
use crate::telemetry::Page;
use crate::telemetry::health::healthz;
use crate::telemetry::logs::Logs;
use crate::telemetry::metrics::{BufferedBytes, Snapshot};

/// The state that the pages show.
#[derive(Clone)]
pub(super) struct ManagementContext {
    pub(super) node: Arc<Node>,
    pub(super) logs: Arc<Logs>,
}

pub(super) fn router() -> Result<Router<ManagementContext>, RouteTableError> {
    let mut routes = Routes::new();
    routes
        .group("", |_: &ManagementContext, rejection: Rejection| {
            Response::text(StatusCode::NOT_FOUND, rejection.to_string())
        })
        .get_sync("/healthz", "healthz", |_: &ManagementContext, _: &Request| to_response(healthz()))
        .get_sync("/readyz", "readyz", |ctx: &ManagementContext, _: &Request| to_response(ctx.node.readiness.readyz()))
        .get_sync("/metrics", "metrics", |ctx: &ManagementContext, _: &Request| to_response(metrics(ctx)));
    routes.build()
}

fn to_response(page: Page) -> Response {
    let status = StatusCode::from_u16(page.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Response::bytes(status, HeaderValue::from_static(page.content_type), page.body).no_store()
}

fn metrics(ctx: &ManagementContext) -> Page {
    let node = &ctx.node;
    let now = node.clock.now();
    let buffered = http::buffered_bytes();
    let snapshot = Snapshot {
        hashing: node.hasher.load(),
        revocations: node.revocations.count() as u64,
        revocations_fresh_at: Some(now - node.revocations.staleness(node.clock.monotonic())),
        signing_since: node.keyring.keys().signer(SigningAlgorithm::EdDsa, now).map(|key| key.signs_from),
        log_lines_lost: ctx.logs.lost(),
        buffered: BufferedBytes {
            bodies: buffered.bodies,
            large_bodies: buffered.large_bodies,
            connections: buffered.connections,
        },
        revocation_feed: node.publication.size(),
    };
    node.metrics.page(&snapshot, &node.readiness, now)
}
