//! The management listener's three pages, on a port that is not for the outside.

use std::sync::Arc;

use http::{HeaderValue, StatusCode};

use crate::auth::context::Node;
use crate::http::TableError;
use crate::http::{Rejection, Request, Response, Router, Routes};
use crate::telemetry::Page;
use crate::telemetry::health::healthz;
use crate::telemetry::logs::Logs;
use crate::telemetry::metrics::Snapshot;

/// What the pages tell of.
#[derive(Clone)]
pub(super) struct ManagementContext {
    pub(super) node: Arc<Node>,
    pub(super) logs: Arc<Logs>,
}

pub(super) fn router() -> Result<Router<ManagementContext>, TableError> {
    let mut routes = Routes::new();
    routes
        .group("", |_: &ManagementContext, rejection: Rejection| {
            Response::text(StatusCode::NOT_FOUND, rejection.to_string())
        })
        .get_sync("/healthz", "healthz", |_: &ManagementContext, _: &Request| shown(healthz()))
        .get_sync("/readyz", "readyz", |told: &ManagementContext, _: &Request| shown(told.node.readiness.readyz()))
        .get_sync("/metrics", "metrics", |told: &ManagementContext, _: &Request| shown(metrics(told)));
    routes.build()
}

fn shown(page: Page) -> Response {
    let status = StatusCode::from_u16(page.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Response::bytes(status, HeaderValue::from_static(page.content_type), page.body).no_store()
}

fn metrics(told: &ManagementContext) -> Page {
    let node = &told.node;
    let now = node.clock.now();
    let gathered = Snapshot {
        hashing: node.hasher.load(),
        revocations: node.revocations.len() as u64,
        revocations_heard: Some(now - node.revocations.staleness(node.clock.running())),
        signing_since: node.keyring.keys().signer(now).map(|key| key.signs_from),
        log_lines_lost: told.logs.lost(),
    };
    node.metrics.page(&gathered, &node.readiness, now)
}
