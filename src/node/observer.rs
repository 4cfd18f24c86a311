//! What is noted of each request: counters always, one line in the log when it failed.

use std::sync::Arc;

use crate::server::{Answered, Observer};
use crate::telemetry::Metrics;

/// Counts, and logs failures.
pub(super) struct RequestObserver(pub(super) Arc<Metrics>);

impl Observer for RequestObserver {
    fn answered(&self, answered: &Answered<'_>) {
        let status = answered.response.status().as_u16();
        self.0.answered(answered.route, status, answered.elapsed);
        // What a client does wrong is the client's affair, and anyone can do it as often as they like.
        if status >= 500 {
            let cause = answered.response.cause().map(tracing::field::display);
            let (route, id, client) = (answered.name, answered.id.as_str(), answered.client);
            tracing::error!(request_id = id, route, status, %client, cause, "a request failed");
        } else if status >= 400 {
            let cause = answered.response.cause().map(tracing::field::display);
            let (route, id, client) = (answered.name, answered.id.as_str(), answered.client);
            tracing::debug!(request_id = id, route, status, %client, cause, "a request was refused");
        }
    }

    fn opened(&self, _worker: usize) {
        self.0.connection_opened();
    }

    fn closed(&self, _worker: usize) {
        self.0.connection_closed();
    }

    fn not_accepted(&self, _worker: usize) {
        self.0.connection_refused();
    }
}
