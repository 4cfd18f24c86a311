//! The closed loop that the clients share: when the next request may begin, and waiting for events.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::time::Instant;

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll;

use super::{Bound, Load, LoadError, MAX_CONNECTIONS, Requests};

/// Without any response for this long, the run fails.
const RESPONSE_TIMEOUT: Timespec = Timespec { tv_sec: 60, tv_nsec: 0 };

/// Counts requests against a bound.
pub(super) struct Pace<'a> {
    bound: Bound<'a>,
    end: Option<Instant>,
    left: u64,
    waiting: u64,
}

impl<'a> Pace<'a> {
    pub(super) fn new(bound: Bound<'a>) -> Self {
        Self { bound, end: bound.time.map(|time| Instant::now() + time), left: bound.requests, waiting: 0 }
    }

    /// True if one more request may begin, regardless of the time.
    pub(super) fn begin_first(&mut self) -> bool {
        let begins = self.left > 0;
        if begins {
            self.left -= 1;
            self.waiting += 1;
        }
        begins
    }

    /// Counts a response that was complete at `now`. True if the next request may begin.
    pub(super) fn begin_next(&mut self, now: Instant) -> bool {
        self.waiting -= 1;
        let stopped = self.bound.stop.is_some_and(|stop| stop.load(Ordering::Relaxed));
        let is_over = stopped || self.end.is_some_and(|end| now >= end);
        !is_over && self.begin_first()
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.waiting > 0
    }
}

/// Refuses a load that no client can send.
pub(super) fn check_load(load: &Load<'_>) -> Result<(), LoadError> {
    if let Some(address) = load.addresses.iter().find(|address| !address.ip().is_loopback()) {
        return Err(LoadError::NotLoopback(*address));
    }
    if load.addresses.is_empty() || !(1..=MAX_CONNECTIONS).contains(&load.connections) {
        return Err(LoadError::Impossible("no address, no connection or too many"));
    }
    match load.requests {
        Requests::Cycle(requests) if requests.is_empty() => Err(LoadError::Impossible("no requests")),
        _ => Ok(()),
    }
}

pub(super) fn new_epoll() -> Result<OwnedFd, LoadError> {
    epoll::create(epoll::CreateFlags::CLOEXEC).map_err(|error| LoadError::Disconnected(io::Error::from(error)))
}

/// Waits for events of connections.
pub(super) fn wait(epoll: &OwnedFd, events: &mut Vec<epoll::Event>, pace: &Pace<'_>) -> Result<(), LoadError> {
    match epoll::wait(epoll, spare_capacity(events), Some(&RESPONSE_TIMEOUT)) {
        Ok(0) => Err(LoadError::NoResponse(pace.waiting)),
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(LoadError::Disconnected(error.into())),
    }
}
