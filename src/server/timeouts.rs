//! Timeouts of a connection: request head, idle time, writes, hibernation, drain.
//!
//! One timer per request would cost more than routing the request. So each connection has one timer, set to the
//! earliest deadline that could apply. It is set again only when it fires, or when an earlier deadline applies. A later
//! deadline, such as that after each request, does not move it. Knows of HTTP only whether it runs and whether it is
//! idle.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use hyper_util::server::graceful::GracefulConnection;
use tokio::io::{AsyncRead, AsyncWrite};

use super::activity::{ConnectionActivity, Version};
use super::state::{Phase, WorkerState};
use super::wire::Wire;

/// Time in which an idle client may send one more request after the server begins to stop.
const DRAIN_GRACE: Duration = Duration::from_millis(250);
/// Time for which a connection is still read after our direction is closed.
pub(super) const LINGER: Duration = Duration::from_secs(1);

/// Why [`drive`] returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DriveOutcome {
    /// HTTP has finished with the connection.
    Finished,
    /// A deadline passed, or the worker aborts its connections.
    TimedOut,
    /// The client took nothing of what was sent to it in time.
    WriteTimedOut,
    /// The connection is open but idle, and nothing is left to send: HTTP's buffers can be dropped until the next byte.
    Hibernate,
}

/// Polls HTTP on a connection until it ends or a deadline passes.
pub(super) async fn drive<C, P>(
    worker: &Rc<WorkerState<C>>,
    activity: &ConnectionActivity,
    version: Version,
    mut connection: Pin<&mut P>,
) -> DriveOutcome
where
    P: GracefulConnection,
{
    let mut phase = Phase::Serving;
    let mut phase_changed = pin!(worker.phase_changed());
    let mut phase_watched = false;
    // The timer already holds our waker, so polling it again would only cost time.
    let mut timer_armed = false;
    let mut timer = pin!(tokio::time::sleep_until((activity.idle_since() + worker.hibernate_after).into()));
    let mut close_by: Option<Instant> = None;
    let mut deferred = false;
    poll_fn(|cx| {
        'polled: loop {
            if version == Version::Http2 && worker.registry.is_freeing() {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let (polled, any_response) =
                worker.tasks.measure(|| (connection.as_mut().poll(cx), worker.tasks.run_streams()));
            if polled.is_ready() {
                return Poll::Ready(DriveOutcome::Finished);
            }
            worker.count_held(activity);
            if activity.take_grown_buffer() {
                return Poll::Ready(DriveOutcome::Hibernate);
            }
            // The next poll sends the responses of all streams together. Only then are the deadlines computed, but at
            // least in every other poll, because each may bring requests.
            deferred = any_response && !deferred;
            if deferred {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            // One poll is enough to be woken: the connection always runs in the same task.
            if !phase_watched || worker.phase() != phase {
                if phase_watched {
                    phase_changed.set(worker.phase_changed());
                }
                phase_watched = phase_changed.as_mut().poll(cx).is_pending();
                let drain_begins = phase == Phase::Serving && worker.phase() != Phase::Serving;
                phase = worker.phase();
                if phase == Phase::Aborted {
                    return Poll::Ready(DriveOutcome::TimedOut);
                }
                // GOAWAY tells an HTTP/2 client which streams are still answered (RFC 9113, 6.8).
                if drain_begins && version == Version::Http2 {
                    connection.as_mut().graceful_shutdown();
                    continue;
                }
            }
            let write_timeout = worker.tasks.write_timeout();
            let write_deadline = activity.write_deadline(write_timeout);
            if activity.is_busy() && write_deadline.is_none() {
                return Poll::Pending;
            }
            let idle_deadline = activity.idle_since() + worker.idle_timeout;
            let deadline = match (close_by, activity.head_since(), write_deadline) {
                (_, _, Some(write_deadline)) if activity.is_busy() => write_deadline,
                (Some(close_by), _, _) => close_by,
                (None, Some(since), _) => since + worker.header_timeout,
                (None, None, _) => match phase {
                    Phase::Draining(since) if version == Version::Http1 => idle_deadline.min(since + DRAIN_GRACE),
                    // For clients that do not react to GOAWAY.
                    Phase::Draining(since) => idle_deadline.min(since + LINGER),
                    // Always before the idle deadline.
                    Phase::Serving if activity.can_hibernate() => activity.idle_since() + worker.hibernate_after,
                    Phase::Serving | Phase::Aborted => idle_deadline,
                },
            };
            let deadline = write_deadline.map_or(deadline, |write_deadline| deadline.min(write_deadline));
            if deadline < timer.deadline().into_std() {
                timer.as_mut().reset(deadline.into());
                timer_armed = false;
            }
            if timer_armed && !timer.is_elapsed() {
                return Poll::Pending;
            }
            timer_armed = true;
            while timer.as_mut().poll(cx).is_ready() {
                let now = Instant::now();
                if now < deadline {
                    timer.as_mut().reset(deadline.into());
                    continue;
                }
                if activity.write_is_late(now, write_timeout) {
                    return Poll::Ready(DriveOutcome::WriteTimedOut);
                }
                if write_deadline == Some(deadline) {
                    continue 'polled;
                }
                if close_by.is_some() || activity.head_since().is_some() {
                    return Poll::Ready(DriveOutcome::TimedOut);
                }
                // A connection at the end of its idle time is closed, which needs HTTP once more, so it does not
                // hibernate.
                if phase == Phase::Serving && deadline < idle_deadline && now < idle_deadline {
                    return Poll::Ready(DriveOutcome::Hibernate);
                }
                close_by = Some(now + LINGER);
                connection.as_mut().graceful_shutdown();
                break;
            }
            if close_by.is_none_or(|close_by| close_by == deadline) {
                return Poll::Pending;
            }
        }
    })
    .await
}

/// Waits without HTTP's buffers until HTTP is needed again: the client sends bytes, the idle timeout passes, or the
/// server stops.
pub(super) async fn hibernate<C, S>(worker: &WorkerState<C>, activity: &ConnectionActivity, wire: &mut Wire<S>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let phase_changed = worker.phase_changed();
    if worker.phase() != Phase::Serving {
        return;
    }
    let idle = tokio::time::sleep_until((activity.idle_since() + worker.idle_timeout).into());
    tokio::select! {
        biased;
        () = wire.readable() => {}
        () = phase_changed => {}
        () = idle => {}
    }
}

/// Resolves when a connection without a request has to end because the server stops.
pub(super) async fn drain_grace_over<C>(worker: &WorkerState<C>) {
    loop {
        let changed = worker.phase_changed();
        match worker.phase() {
            Phase::Serving => changed.await,
            Phase::Draining(since) => return tokio::time::sleep_until((since + DRAIN_GRACE).into()).await,
            Phase::Aborted => return,
        }
    }
}

/// Resolves when the worker aborts its connections.
pub(super) async fn aborted<C>(worker: &WorkerState<C>) {
    loop {
        let changed = worker.phase_changed();
        if worker.phase() == Phase::Aborted {
            return;
        }
        changed.await;
    }
}
