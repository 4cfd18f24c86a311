//! The open connections of one worker: which client network each belongs to, how many bytes it makes the worker hold,
//! and how to close it when connections or memory run short.
//!
//! A request does not change the registry. It changes when a connection is accepted or closed, and when a poll changes
//! the number of bytes that a connection holds. To find a connection to close, the entries are scanned. They are small
//! and contiguous, so a scan of sixteen thousand takes some tens of microseconds. Knows nothing of HTTP.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::task::AbortHandle;

use super::activity::ConnectionActivity;

/// Number of connections of which the longest idle one is closed. Their activity is scattered in memory, so reading
/// that of all sixteen thousand would take a millisecond. Each scan begins where the previous one ended.
const SAMPLE: usize = 64;

/// Marks a connection that counts against no network: it comes from a trusted proxy, or is being closed.
const NO_NETWORK: u32 = u32::MAX;

/// The open connections of one worker.
pub(super) struct ConnectionRegistry {
    connections: RefCell<Connections>,
    max_held: usize,
    /// The sum of what connections hold, for the metrics.
    held: Arc<AtomicUsize>,
    /// Bytes that connections still hold while they are being closed. Each is freed when its task is polled next.
    closing: Cell<usize>,
}

#[derive(Default)]
struct Connections {
    entries: Vec<Entry>,
    vacant: Vec<u32>,
    networks: Networks,
    /// The index at which the next search for an idle connection begins.
    cursor: usize,
}

struct Entry {
    network: u32,
    held: u32,
    /// `None` once the connection is being closed.
    connection: Option<(AbortHandle, Rc<ConnectionActivity>)>,
}

/// Client networks by number, and how many connections each has.
#[derive(Default)]
struct Networks {
    numbers: HashMap<IpAddr, u32>,
    counts: Vec<(IpAddr, u32)>,
    vacant: Vec<u32>,
}

impl ConnectionRegistry {
    /// Creates a registry whose connections may hold `max_held` bytes together. `held` is their sum.
    pub(super) fn new(max_held: usize, held: Arc<AtomicUsize>) -> Self {
        Self { connections: RefCell::default(), max_held, held, closing: Cell::new(0) }
    }

    /// Adds a connection; `network` is `None` for a trusted proxy. Returns the number of its entry.
    pub(super) fn insert(&self, network: Option<IpAddr>, task: AbortHandle, activity: &Rc<ConnectionActivity>) -> u32 {
        let mut connections = self.connections.borrow_mut();
        let network = network.map_or(NO_NETWORK, |network| connections.networks.add(network));
        let entry = Entry { network, held: 0, connection: Some((task, activity.clone())) };
        match connections.vacant.pop() {
            Some(number) => {
                connections.entries[number as usize] = entry;
                number
            }
            None => {
                connections.entries.push(entry);
                (connections.entries.len() - 1) as u32
            }
        }
    }

    /// Removes a connection that has ended.
    pub(super) fn remove(&self, number: u32) {
        let mut connections = self.connections.borrow_mut();
        let freed = match connections.entries.get_mut(number as usize) {
            Some(entry) if entry.connection.is_none() => entry.held as usize,
            _ => 0,
        };
        self.closing.set(self.closing.get() - freed);
        connections.close(number as usize, &self.held);
        connections.vacant.push(number);
    }

    /// Records how many bytes a connection holds. If all of them hold more than they may, closes those that hold most.
    /// Returns how many were closed.
    pub(super) fn set_held(&self, number: u32, bytes: u32) -> usize {
        let mut connections = self.connections.borrow_mut();
        let Some(entry) = connections.entries.get_mut(number as usize).filter(|entry| entry.connection.is_some())
        else {
            return 0;
        };
        let before = std::mem::replace(&mut entry.held, bytes) as usize;
        // Only this thread changes the sum.
        let total = self.held.load(Ordering::Relaxed) - before + bytes as usize;
        self.held.store(total, Ordering::Relaxed);
        if total <= self.max_held {
            return 0;
        }
        let closed = connections.close_largest(&self.held, self.max_held / 4 * 3);
        self.closing.set(self.closing.get() + total - self.held.load(Ordering::Relaxed));
        closed
    }

    /// Memory is about to be freed, so a connection that may take more yields to the tasks that free it. Otherwise each
    /// of a thousand connections that were accepted together would take its share before any is freed.
    pub(super) fn is_freeing(&self) -> bool {
        self.closing.get() > 0
    }

    /// Closes a connection of the network with the most connections: the longest idle one of a sample, or, if all are
    /// busy, the one that has been busy longest. If several networks have the most connections, chooses among the
    /// connections of all of them. Returns whether there was any.
    pub(super) fn close_longest_idle(&self) -> bool {
        let mut connections = self.connections.borrow_mut();
        let Some(number) = connections.find_longest_idle() else { return false };
        let before = self.held.load(Ordering::Relaxed);
        if let Some(task) = connections.close(number, &self.held) {
            task.abort();
        }
        self.closing.set(self.closing.get() + before - self.held.load(Ordering::Relaxed));
        true
    }
}

impl Connections {
    /// Stops counting a connection. Returns its task, unless it is already being closed.
    fn close(&mut self, number: usize, held: &AtomicUsize) -> Option<AbortHandle> {
        let entry = self.entries.get_mut(number)?;
        let (task, _) = entry.connection.take()?;
        held.store(held.load(Ordering::Relaxed) - entry.held as usize, Ordering::Relaxed);
        let network = std::mem::replace(&mut entry.network, NO_NETWORK);
        self.networks.remove(network);
        Some(task)
    }

    fn find_longest_idle(&mut self) -> Option<usize> {
        let most = self.networks.counts.iter().map(|(_, count)| *count).max().filter(|most| *most > 0)?;
        let (mut found, mut seen, count) = (None, 0, self.entries.len());
        let begin = self.cursor;
        for step in 0..count {
            let number = (begin + step) % count;
            let entry = &self.entries[number];
            let Some((_, activity)) = &entry.connection else { continue };
            if self.networks.counts.get(entry.network as usize).is_none_or(|(_, count)| *count < most) {
                continue;
            }
            let key = (activity.is_busy(), activity.idle_since());
            if found.is_none_or(|(longest, _)| key < longest) {
                found = Some((key, number));
            }
            seen += 1;
            if seen == SAMPLE {
                self.cursor = number + 1;
                break;
            }
        }
        found.map(|(_, number)| number)
    }

    /// Closes connections until the rest hold at most `target` bytes. Each pass closes those that hold at least half as
    /// much as the one that holds most, so a few passes are enough.
    fn close_largest(&mut self, held: &AtomicUsize, target: usize) -> usize {
        let mut closed = 0;
        while held.load(Ordering::Relaxed) > target {
            let open = self.entries.iter().filter(|entry| entry.connection.is_some());
            let Some(most) = open.map(|entry| entry.held).max().filter(|most| *most > 0) else { break };
            for number in 0..self.entries.len() {
                if held.load(Ordering::Relaxed) <= target {
                    break;
                }
                if self.entries[number].held >= most.div_ceil(2)
                    && let Some(task) = self.close(number, held)
                {
                    task.abort();
                    closed += 1;
                }
            }
        }
        closed
    }
}

impl Networks {
    fn add(&mut self, network: IpAddr) -> u32 {
        let Self { numbers, counts, vacant } = self;
        let number = *numbers.entry(network).or_insert_with(|| match vacant.pop() {
            Some(number) => {
                counts[number as usize] = (network, 0);
                number
            }
            None => {
                counts.push((network, 0));
                (counts.len() - 1) as u32
            }
        });
        counts[number as usize].1 += 1;
        number
    }

    fn remove(&mut self, number: u32) {
        let Some((network, count)) = self.counts.get_mut(number as usize) else { return };
        *count -= 1;
        if *count == 0 {
            self.numbers.remove(network);
            self.vacant.push(number);
        }
    }
}
