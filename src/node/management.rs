//! The management listener: `/healthz`, `/readyz` and `/metrics`, and the console with the calls that it makes unless the
//! settings say otherwise. On a port that must not be public.

use std::sync::Arc;

use http::{HeaderValue, StatusCode};

use crate::api;
use crate::auth::context::{Context, Node};
use crate::config::{Config, ConsoleListener, SigningAlgorithm};
use crate::files::free_space;
use crate::http::{Rejection, Request, Response, RouteTableError, Router, Routes, buffered_bytes};
use crate::telemetry::Page;
use crate::telemetry::health::healthz;
use crate::telemetry::logs::Logs;
use crate::telemetry::metrics::Snapshot;

pub(super) fn router(config: &Config, logs: Arc<Logs>) -> Result<Router<Context>, RouteTableError> {
    let mut routes = Routes::new();
    routes
        .group("", |_: &Context, rejection: Rejection| Response::text(StatusCode::NOT_FOUND, rejection.to_string()))
        .get_sync("/healthz", "healthz", |_: &Context, _: &Request| to_response(healthz()))
        .get_sync("/readyz", "readyz", |ctx: &Context, _: &Request| to_response(ctx.node.readiness.readyz()))
        .get_sync("/metrics", "metrics", move |ctx: &Context, _: &Request| to_response(metrics(&ctx.node, &logs)));
    if config.serves_console_on(ConsoleListener::Management) {
        api::native::add_console_routes(&mut routes, config);
    }
    routes.build()
}

fn to_response(page: Page) -> Response {
    let status = StatusCode::from_u16(page.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Response::bytes(status, HeaderValue::from_static(page.content_type), page.body).no_store()
}

fn metrics(node: &Node, logs: &Logs) -> Page {
    let now = node.clock.now();
    let snapshot = Snapshot {
        hashing: node.hasher.load(),
        revocations: node.revocations.count() as u64,
        revocations_fresh_at: Some(now - node.revocations.staleness(node.clock.monotonic())),
        signing_since: node.keyring.keys().signing_key(SigningAlgorithm::EdDsa, now).map(|key| key.signs_from),
        signing_key_max_age: node.config.keys.rotate_every,
        log_lines_lost: logs.lost(),
        buffered: buffered_bytes(),
        revocation_feed: node.publication.size(),
        oldest_mail: node.mailer.oldest(),
        disk_free: free_space(&node.config.data_dir).ok(),
    };
    node.metrics.page(&snapshot, &node.readiness, now)
}
