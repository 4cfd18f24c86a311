//! State that the connections of one worker share: context, router, settings, the worker's phase and its open
//! connections.
//!
//! Knows neither how connections are accepted nor how they are served.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::activity::ConnectionActivity;
use super::connection_limit::ConnectionPermit;
use super::date::Date;
use super::observer::{CutOffReason, Observer};
use super::protocols::Protocols;
use super::registry::ConnectionRegistry;
use super::socket::SharedBuffer;
use super::tasks::TaskContext;
use super::tls::Certificates;
use crate::http::{RequestFactory, Router, TrustedProxies};

/// A worker's phase; it only moves forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Connections stay open.
    Serving,
    /// Since this time, each connection closes after its next response, or when no request arrives.
    Draining(Instant),
    /// The drain timeout has passed: every connection closes immediately.
    Aborted,
}

/// State that the connections of one worker share.
pub(super) struct WorkerState<C> {
    pub(super) index: usize,
    pub(super) context: C,
    pub(super) router: Arc<Router<C>>,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) request_factory: RequestFactory,
    pub(super) proxies: TrustedProxies,
    pub(super) tasks: Rc<TaskContext>,
    pub(super) registry: ConnectionRegistry,
    pub(super) protocols: Protocols,
    pub(super) socket_buffer: SharedBuffer,
    pub(super) date: Date,
    pub(super) tls: Option<Arc<Certificates>>,
    /// Largest body of the usual size.
    pub(super) max_body: usize,
    pub(super) header_timeout: Duration,
    pub(super) idle_timeout: Duration,
    pub(super) hibernate_after: Duration,
    pub(super) lifecycle: Lifecycle,
}

impl<C> WorkerState<C> {
    pub(super) fn phase(&self) -> Phase {
        self.lifecycle.phase.get()
    }

    /// Resolves when the phase differs from the phase at the time of this call, not of the first poll.
    pub(super) fn phase_changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.lifecycle.phase_changed.notified()
    }

    pub(super) fn enter_phase(&self, phase: Phase) {
        self.lifecycle.phase.set(phase);
        self.lifecycle.phase_changed.notify_waiters();
    }

    pub(super) fn open_connections(&self) -> usize {
        self.lifecycle.open_connections.get()
    }

    /// Counts what a connection holds now. If all connections together hold more than they may, those that hold most
    /// are closed.
    pub(super) fn count_held(&self, activity: &ConnectionActivity) {
        if let Some(bytes) = activity.changed_bytes() {
            for _ in 0..self.registry.set_held(activity.entry(), bytes) {
                self.observer.connection_cut_off(self.index, CutOffReason::HeldBytes);
            }
        }
    }

    /// Resolves when no connection is open.
    pub(super) async fn all_closed(&self) {
        loop {
            let closed = self.lifecycle.connection_closed.notified();
            if self.open_connections() == 0 {
                return;
            }
            closed.await;
        }
    }
}

/// A worker's phase and the number of its open connections.
pub(super) struct Lifecycle {
    phase: Cell<Phase>,
    phase_changed: Notify,
    open_connections: Cell<usize>,
    connection_closed: Notify,
}

impl Lifecycle {
    pub(super) fn new() -> Self {
        Self {
            phase: Cell::new(Phase::Serving),
            phase_changed: Notify::new(),
            open_connections: Cell::new(0),
            connection_closed: Notify::new(),
        }
    }
}

/// One open connection in the worker's count; released on drop, so also when the connection's task panics.
pub(super) struct ConnectionSlot<C> {
    worker: Rc<WorkerState<C>>,
    activity: Rc<ConnectionActivity>,
    _permit: Option<ConnectionPermit>,
}

impl<C> ConnectionSlot<C> {
    pub(super) fn new(
        worker: Rc<WorkerState<C>>,
        activity: Rc<ConnectionActivity>,
        permit: Option<ConnectionPermit>,
    ) -> Self {
        let open = &worker.lifecycle.open_connections;
        open.set(open.get() + 1);
        worker.observer.connection_opened(worker.index);
        Self { worker, activity, _permit: permit }
    }

    pub(super) fn worker(&self) -> &Rc<WorkerState<C>> {
        &self.worker
    }

    pub(super) fn activity(&self) -> &Rc<ConnectionActivity> {
        &self.activity
    }
}

impl<C> Drop for ConnectionSlot<C> {
    fn drop(&mut self) {
        self.worker.registry.remove(self.activity.entry());
        let lifecycle = &self.worker.lifecycle;
        lifecycle.open_connections.set(lifecycle.open_connections.get() - 1);
        lifecycle.connection_closed.notify_waiters();
        self.worker.observer.connection_closed(self.worker.index);
    }
}
