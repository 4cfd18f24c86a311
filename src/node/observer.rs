//! Records each request: counters always, a log line if it failed.

use std::sync::Arc;

use crate::server::{CompletedRequest, Observer};
use crate::telemetry::Metrics;
use crate::telemetry::metrics::Counter;

/// Counts requests and connections, and logs failed requests.
pub(super) struct RequestObserver(pub(super) Arc<Metrics>);

impl Observer for RequestObserver {
    fn request_completed(&self, answered: &CompletedRequest<'_>) {
        let status = answered.response.status().as_u16();
        self.0.request_completed(answered.route, status, answered.elapsed);
        // A client's mistakes are logged at debug only, because anyone can make them as often as they like.
        if status >= 500 {
            let cause = answered.response.cause().map(tracing::field::display);
            let (route, id, client) = (answered.metric_label, answered.id.as_str(), answered.client_ip);
            tracing::error!(request_id = id, route, status, %client, cause, "request failed");
        } else if status >= 400 {
            let cause = answered.response.cause().map(tracing::field::display);
            let (route, id, client) = (answered.metric_label, answered.id.as_str(), answered.client_ip);
            tracing::debug!(request_id = id, route, status, %client, cause, "request rejected");
        }
    }

    fn connection_opened(&self, _worker: usize) {
        self.0.count(Counter::Connections);
        self.0.count(Counter::OpenConnections);
    }

    fn connection_closed(&self, _worker: usize) {
        self.0.decrement(Counter::OpenConnections);
    }

    fn accept_failed(&self, _worker: usize) {
        self.0.count(Counter::ConnectionsRefused);
    }
}
