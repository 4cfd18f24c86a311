//! Records each request: counters always, a log line if it failed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::failure_log::FailureLog;
use crate::auth::context::Node;
use crate::clock::Timestamp;
use crate::server::{CompletedRequest, CutOffReason, Observer};
use crate::telemetry::metrics::Counter;
use crate::telemetry::{Condition, Metrics};

/// Counts requests and connections, logs failed requests, and keeps the readiness for connections.
pub(super) struct RequestObserver {
    /// The node's metrics, one pointer nearer.
    metrics: Arc<Metrics>,
    node: Arc<Node>,
    failures: Arc<FailureLog>,
}

impl RequestObserver {
    pub(super) fn new(node: &Arc<Node>, failures: Arc<FailureLog>) -> Self {
        Self { metrics: node.metrics.clone(), node: node.clone(), failures }
    }
}

/// Logs requests to the management listener that failed. They are not counted: scrapes and an open console would hide
/// what clients do.
pub(super) struct ManagementObserver;

impl Observer for ManagementObserver {
    fn request_completed(&self, request: &CompletedRequest<'_>) {
        // 503 of `/readyz` is no failure of a request, and its condition is logged.
        if request.metric_label != "readyz" {
            log_failure(request, || true);
        }
    }
}

/// Logs a request that failed. A client's mistakes, and errors that the log reports in summaries, are logged at debug
/// only, because anyone can cause them as often as they like. So are failures that `admit` does not admit.
fn log_failure(request: &CompletedRequest<'_>, admit: impl FnOnce() -> bool) {
    let status = request.response.status().as_u16();
    if status < 400 {
        return;
    }
    let cause = request.response.cause().map(tracing::field::display);
    let (route, id, client) = (request.metric_label, request.id.as_str(), request.client_ip);
    if status >= 500 && !request.response.is_summarized() && admit() {
        tracing::error!(request_id = id, route, status, %client, cause, "request failed");
    } else {
        tracing::debug!(request_id = id, route, status, %client, cause, "request rejected");
    }
}

impl Observer for RequestObserver {
    fn request_completed(&self, request: &CompletedRequest<'_>) {
        let status = request.response.status().as_u16();
        self.metrics.request_completed(request.route, status, request.elapsed);
        log_failure(request, || self.failures.admit(Instant::now()));
    }

    fn connection_opened(&self, _worker: usize) {
        self.metrics.count(Counter::Connections);
        self.metrics.count(Counter::OpenConnections);
    }

    fn connection_closed(&self, _worker: usize) {
        self.metrics.decrement(Counter::OpenConnections);
    }

    fn connection_cut_off(&self, _worker: usize, reason: CutOffReason) {
        self.metrics.count(match reason {
            CutOffReason::NetworkShare => Counter::CutOffByShare,
            CutOffReason::HeldBytes => Counter::CutOffByHeldBytes,
            CutOffReason::WriteTimeout => Counter::CutOffByWriteTimeout,
        });
    }

    fn stream_timed_out(&self, _worker: usize) {
        self.metrics.count(Counter::StreamsTimedOut);
    }

    fn worker_stalled(&self, _worker: usize, stall: Duration) {
        self.metrics.worker_stalled(stall);
    }

    fn connections_exhausted(&self) {
        let reason = "as many connections are open as server.max_connections allows, so new ones wait";
        self.node.readiness.not_ready(Condition::Connections, reason);
    }

    fn connections_available(&self) {
        self.node.readiness.ready(Condition::Connections);
    }

    fn certificate_loaded(&self, expires: Timestamp) {
        self.metrics.certificate_loaded(expires);
    }

    fn accept_failed(&self, _worker: usize) {
        self.metrics.count(Counter::ConnectionsRefused);
    }
}
