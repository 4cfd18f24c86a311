//! Requests that found the queue full and are held back for a moment.
//!
//! A client whose sign-in is refused at once can repeat it at once. A hundred such clients on one core make tens of
//! thousands of requests a second, which leave no time for hashing. So a refusal is held back, and a slot that becomes
//! free meanwhile goes to a request that is held. Blocks of addresses get slots in turn, and within a block the request
//! that is held longest is first: otherwise a client with many addresses, none of which is over a limit, would leave
//! nearly none to others.
//!
//! The order of the turns is random, and each block has its position in it. If a block with a new request had to wait
//! for the turns of all others, and there were more of these than slots become free while a request is held, only
//! blocks that have a request at all times would get slots.
//!
//! Bounded in number; the server counts the memory of a held request as that of any request in flight. Knows nothing of
//! hashes.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tokio::sync::oneshot;

/// The most requests that are held at the same time. Others are refused at once.
///
/// A held request takes a few kilobytes, so these take less memory than one hash. At half a second each, twice as many
/// are refused in a second, which takes a third of a core.
pub(super) const MAX_HELD: usize = 4_096;

/// The most requests of one block, as a multiple of the number of requests that could still be held. So one block alone
/// leaves an eighth of [`MAX_HELD`] to others, and a request of a block that has none is held, unless hundreds of
/// blocks have some.
const MAX_TIMES_FREE: usize = 7;

/// The clients that share their turns: those of an IPv6 /32 or an IPv4 /16, which one provider or data center has. An
/// attacker can have many networks of one provider, but is rarely with many providers. No client, for work that no
/// request asked for, is a block too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Block(Option<IpAddr>);

impl Block {
    /// The block of a client's address.
    pub(super) fn of(client: Option<IpAddr>) -> Self {
        Self(client.map(|address| match address.to_canonical() {
            IpAddr::V4(v4) => IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & (u32::MAX << 16))),
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 96))),
        }))
    }
}

/// The held requests. Each gets a `T`, or an error.
pub(super) struct Held<T> {
    /// The requests of each block with their numbers, the oldest first, by the position of the block. None is empty.
    blocks: BTreeMap<u64, VecDeque<(u64, oneshot::Sender<T>)>>,
    /// Gives each block its position, which no client can know.
    positions: RandomState,
    /// The block whose turn it is has this position or the next one after it.
    turn: u64,
    /// The number of requests.
    length: usize,
    next_number: u64,
}

/// Identifies a held request.
#[derive(Clone, Copy)]
pub(super) struct Ticket {
    position: u64,
    number: u64,
}

impl<T> Held<T> {
    pub(super) fn new() -> Self {
        Self { blocks: BTreeMap::new(), positions: RandomState::new(), turn: 0, length: 0, next_number: 0 }
    }

    /// Holds one more request, unless there are too many, or too many of its block. The caller removes it when it ends.
    pub(super) fn hold(&mut self, block: Block) -> Option<(Ticket, oneshot::Receiver<T>)> {
        let position = self.positions.hash_one(block);
        let (of_block, free) = (self.blocks.get(&position).map_or(0, VecDeque::len), MAX_HELD - self.length);
        (of_block < MAX_TIMES_FREE * free).then(|| {
            let (granted, waits) = oneshot::channel();
            let ticket = Ticket { position, number: self.next_number };
            self.blocks.entry(ticket.position).or_default().push_back((ticket.number, granted));
            self.next_number += 1;
            self.length += 1;
            (ticket, waits)
        })
    }

    /// Removes a request that has ended, if it is still held.
    pub(super) fn remove(&mut self, ticket: Ticket) {
        let Some(requests) = self.blocks.get_mut(&ticket.position) else { return };
        let Ok(index) = requests.binary_search_by_key(&ticket.number, |(number, _)| *number) else { return };
        requests.remove(index);
        self.length -= 1;
        if requests.is_empty() {
            self.blocks.remove(&ticket.position);
        }
    }

    /// Removes the request that is held longest of the block whose turn it is.
    pub(super) fn pop(&mut self) -> Option<oneshot::Sender<T>> {
        let (&position, _) = self.blocks.range(self.turn..).next().or_else(|| self.blocks.first_key_value())?;
        let requests = self.blocks.get_mut(&position)?;
        let (_, granted) = requests.pop_front()?;
        if requests.is_empty() {
            self.blocks.remove(&position);
        }
        self.length -= 1;
        self.turn = position.wrapping_add(1);
        Some(granted)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    pub(super) fn count(&self) -> usize {
        self.length
    }

    /// Ends all of them with an error.
    pub(super) fn clear(&mut self) {
        self.blocks.clear();
        self.length = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_CLIENT: Block = Block(None);

    fn block(address: &str) -> Block {
        Block::of(Some(address.parse().unwrap()))
    }

    #[test]
    fn a_block_is_an_ipv6_32_or_an_ipv4_16() {
        assert_eq!(block("2001:db8:1:2::3"), block("2001:db8:ffff::"));
        assert_ne!(block("2001:db8::1"), block("2001:db9::1"));
        assert_eq!(block("198.51.100.7"), block("198.51.0.1"));
        assert_eq!(block("198.51.100.7"), block("::ffff:198.51.0.1"));
        assert_ne!(block("198.51.100.7"), block("198.52.100.7"));
    }

    #[test]
    fn oldest_request_is_first_and_ended_ones_are_removed() {
        let mut held = Held::new();
        let [(gone, _), (_, mut first), (_, mut second)] = [0; 3].map(|_| held.hold(NO_CLIENT).unwrap());
        held.remove(gone);
        held.remove(gone);
        assert_eq!(held.count(), 2);
        held.pop().unwrap().send(1).unwrap();
        held.pop().unwrap().send(2).unwrap();
        assert_eq!((first.try_recv(), second.try_recv()), (Ok(1), Ok(2)));
        assert!(held.pop().is_none() && held.is_empty());
    }

    #[test]
    fn blocks_get_their_turns_however_many_requests_they_have() {
        let mut held = Held::new();
        let mut of_many = [1, 2, 3].map(|site| held.hold(block(&format!("2001:db8:{site}::1"))).unwrap().1);
        let (ended, _) = held.hold(block("192.0.2.1")).unwrap();
        let (_, mut of_one) = held.hold(block("198.51.100.7")).unwrap();
        held.remove(ended);
        for number in 1..=4 {
            held.pop().unwrap().send(number).unwrap();
        }
        let (of_one, of_many) = (of_one.try_recv().unwrap(), of_many.each_mut().map(|held| held.try_recv().unwrap()));
        // Either block may be the first.
        assert!(of_one <= 2 && of_many.is_sorted(), "{of_one} {of_many:?}");
        assert!(held.pop().is_none() && held.is_empty());
    }

    #[test]
    fn blocks_that_always_wait_keep_no_new_one_out() {
        let mut held = Held::new();
        let block = |number: u32| Block::of(Some(Ipv4Addr::from_bits(number << 16).into()));
        for number in 0..6 * 64 {
            assert!(held.hold(block(number % 64)).is_some());
        }
        // The request of another block ends when half as many slots have become free as blocks wait.
        let gets_slot = |_: &u32| {
            let (ticket, mut granted) = held.hold(block(64)).unwrap();
            for _ in 0..32 {
                let _ = held.pop().unwrap().send(());
            }
            held.remove(ticket);
            granted.try_recv().is_ok()
        };
        let count = (0..6).filter(gets_slot).count();
        assert!(count >= 2, "{count}");
    }

    #[test]
    fn no_more_are_held_than_the_bound() {
        let mut held = Held::<()>::new();
        let block = |number: usize| Block::of(Some(Ipv4Addr::from_bits((number as u32) << 16).into()));
        let mut waiting: Vec<_> = (0..MAX_HELD).map(|number| held.hold(block(number)).unwrap()).collect();
        assert!(held.hold(NO_CLIENT).is_none());
        held.remove(waiting.remove(0).0);
        assert!(held.hold(NO_CLIENT).is_some(), "one that ended is not counted");
        held.clear();
        assert!(held.is_empty() && waiting.iter_mut().all(|(_, held)| held.try_recv().is_err()));
    }

    #[test]
    fn one_block_leaves_an_eighth_to_others() {
        let mut held = Held::<()>::new();
        while held.hold(NO_CLIENT).is_some() {}
        assert_eq!(held.count(), MAX_HELD / 8 * 7);
        let (_, mut of_other) = held.hold(block("192.0.2.1")).unwrap();
        for _ in 0..2 {
            let _ = held.pop().unwrap().send(());
        }
        assert!(of_other.try_recv().is_ok());
    }
}
