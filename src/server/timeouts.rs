//! What a connection's time is spent on, and when it is over.
//!
//! A timer a request would cost more than routing it. So each connection has one, set to the first moment at which anything
//! could be due, and looked at again when it fires: a connection in use moves it now and then, not at each request. Knows of
//! HTTP only that it runs, and when it has nothing to do.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Instant;

use hyper_util::server::graceful::GracefulConnection;
use tokio::io::{AsyncRead, AsyncWrite};

use super::connection::{LINGER, QUIET};
use super::wire::{ConnectionActivity, Version, Wire};
use super::worker::{Phase, Worker};

/// How HTTP's time on a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// HTTP has done with it.
    Done,
    /// Its time was over.
    Cut,
    /// It has not ended: nothing has come for a while, nothing is left to be sent, and HTTP can be done without meanwhile.
    Rests,
}

/// Lets HTTP run on a connection, and ends it when its time is over.
pub(super) async fn drive<C, P>(
    worker: &Rc<Worker<C>>,
    pulse: &ConnectionActivity,
    version: Version,
    mut connection: Pin<&mut P>,
) -> End
where
    P: GracefulConnection,
{
    let mut phase = Phase::Serving;
    let mut phase_changed = pin!(worker.phase_changed());
    let mut waits_for_phase = false;
    // Whether the timer knows whom to wake: from then on a poll would only cost.
    let mut wound = false;
    let mut timer = pin!(tokio::time::sleep_until((pulse.idle_since() + worker.rest_after).into()));
    let mut closing: Option<Instant> = None;
    poll_fn(|cx| {
        loop {
            if connection.as_mut().poll(cx).is_ready() {
                return Poll::Ready(End::Done);
            }
            // Polled once and then woken: the connection's task is always the same.
            if !waits_for_phase || worker.phase() != phase {
                if waits_for_phase {
                    phase_changed.set(worker.phase_changed());
                }
                waits_for_phase = phase_changed.as_mut().poll(cx).is_pending();
                let begins_to_drain = phase == Phase::Serving && worker.phase() != Phase::Serving;
                phase = worker.phase();
                if phase == Phase::Cut {
                    return Poll::Ready(End::Cut);
                }
                // HTTP/2 can say that streams up to here are answered and no others (RFC 9113, 6.8).
                if begins_to_drain && version == Version::Two {
                    connection.as_mut().graceful_shutdown();
                    continue;
                }
            }
            if pulse.busy() {
                return Poll::Pending;
            }
            let due = match (closing, pulse.head_since()) {
                (Some(by), _) => by,
                (None, Some(since)) => since + worker.header_timeout,
                (None, None) => {
                    let idle = pulse.idle_since() + worker.idle_timeout;
                    match phase {
                        Phase::Draining(since) if version == Version::One => idle.min(since + QUIET),
                        // For clients that do not react to GOAWAY.
                        Phase::Draining(since) => idle.min(since + LINGER),
                        Phase::Serving if pulse.may_rest() => idle.min(pulse.idle_since() + worker.rest_after),
                        Phase::Serving | Phase::Cut => idle,
                    }
                }
            };
            if due < timer.deadline().into_std() {
                timer.as_mut().reset(due.into());
                wound = false;
            }
            if wound && !timer.is_elapsed() {
                return Poll::Pending;
            }
            wound = true;
            while timer.as_mut().poll(cx).is_ready() {
                let now = Instant::now();
                if now < due {
                    timer.as_mut().reset(due.into());
                    continue;
                }
                if closing.is_some() || pulse.head_since().is_some() {
                    return Poll::Ready(End::Cut);
                }
                // What has been idle for all the time that it may is closed, and for that HTTP is needed once more.
                let idle = pulse.idle_since() + worker.idle_timeout;
                if phase == Phase::Serving && due < idle && now < idle {
                    return Poll::Ready(End::Rests);
                }
                closing = Some(now + LINGER);
                connection.as_mut().graceful_shutdown();
                break;
            }
            if closing.is_none_or(|by| by == due) {
                return Poll::Pending;
            }
        }
    })
    .await
}

/// Waits, without any of the room that HTTP needs, until there is something for HTTP to see to: the client's next bytes, the end
/// of the time that a connection may be idle, or of the server's.
pub(super) async fn rest<C, S>(worker: &Worker<C>, pulse: &ConnectionActivity, wire: &mut Wire<S>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let changed = worker.phase_changed();
    if worker.phase() != Phase::Serving {
        return;
    }
    let idle = tokio::time::sleep_until((pulse.idle_since() + worker.idle_timeout).into());
    tokio::select! {
        biased;
        () = wire.wakes() => {}
        () = changed => {}
        () = idle => {}
    }
}
