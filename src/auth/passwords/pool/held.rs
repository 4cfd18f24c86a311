//! Requests that found the queue full and are held back for a moment.
//!
//! A client whose sign-in is refused at once can repeat it at once. A hundred such clients on one core make tens of
//! thousands of requests a second, which leave no time for hashing. So a refusal is held back, and a slot that becomes
//! free meanwhile goes to a request that is held. Blocks of addresses get slots in turn, and within a block the request
//! that is held longest is first: otherwise a client with many addresses, none of which is over a limit, would leave
//! nearly none to others. Bounded in number; the server counts the memory of a held request as that of any request in
//! flight. Knows nothing of hashes.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tokio::sync::oneshot;

/// The most requests that are held at the same time. Others are refused at once.
///
/// A held request takes a few kilobytes, so these take less memory than one hash. At half a second each, twice as many
/// are refused in a second, which takes a third of a core.
pub(super) const MAX_HELD: usize = 4_096;

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
    /// The requests of each block, the oldest first. None is empty.
    blocks: HashMap<Block, VecDeque<oneshot::Sender<T>>>,
    /// The blocks with requests, in the order of their turns.
    turns: VecDeque<Block>,
    /// The number of requests, with those that have ended and are not removed yet.
    length: usize,
}

impl<T> Held<T> {
    pub(super) fn new() -> Self {
        Self { blocks: HashMap::new(), turns: VecDeque::new(), length: 0 }
    }

    /// Holds one more request, unless there are too many.
    pub(super) fn hold(&mut self, block: Block) -> Option<oneshot::Receiver<T>> {
        self.remove_ended();
        (self.length < MAX_HELD).then(|| {
            let (granted, waits) = oneshot::channel();
            let requests = self.blocks.entry(block).or_default();
            if requests.is_empty() {
                self.turns.push_back(block);
            }
            requests.push_back(granted);
            self.length += 1;
            waits
        })
    }

    /// Removes requests that have ended. All are held equally long, so those are in front. One whose client
    /// disconnected may stay behind others for as long as they are held, and one of another block until it is the turn
    /// of that block: searching for it would make each refusal more expensive.
    fn remove_ended(&mut self) {
        while let Some(block) = self.turns.front().copied() {
            let Some(requests) = self.blocks.get_mut(&block) else { return };
            while requests.front().is_some_and(oneshot::Sender::is_closed) {
                requests.pop_front();
                self.length -= 1;
            }
            if !requests.is_empty() {
                return;
            }
            self.blocks.remove(&block);
            self.turns.pop_front();
        }
    }

    /// Removes the request that is held longest of the block whose turn it is.
    pub(super) fn pop(&mut self) -> Option<oneshot::Sender<T>> {
        self.remove_ended();
        let block = self.turns.pop_front()?;
        let requests = self.blocks.get_mut(&block)?;
        let next = requests.pop_front()?;
        self.length -= 1;
        if requests.is_empty() {
            self.blocks.remove(&block);
        } else {
            self.turns.push_back(block);
        }
        Some(next)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    pub(super) fn count(&self) -> usize {
        self.blocks.values().flatten().filter(|held| !held.is_closed()).count()
    }

    /// Ends all of them with an error.
    pub(super) fn clear(&mut self) {
        *self = Self::new();
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
    fn oldest_request_is_first_and_ended_ones_are_skipped() {
        let mut held = Held::new();
        let (gone, mut first, mut second) =
            (held.hold(NO_CLIENT), held.hold(NO_CLIENT).unwrap(), held.hold(NO_CLIENT).unwrap());
        drop(gone);
        assert_eq!(held.count(), 2);
        held.pop().unwrap().send(1).unwrap();
        held.pop().unwrap().send(2).unwrap();
        assert_eq!((first.try_recv(), second.try_recv()), (Ok(1), Ok(2)));
        assert!(held.pop().is_none() && held.is_empty());
    }

    #[test]
    fn blocks_get_their_turns_however_many_requests_they_have() {
        let mut held = Held::new();
        let mut of_many = [1, 2, 3].map(|site| held.hold(block(&format!("2001:db8:{site}::1"))).unwrap());
        let ended = held.hold(block("192.0.2.1"));
        let mut of_one = held.hold(block("198.51.100.7")).unwrap();
        drop(ended);
        for number in 1..=4 {
            held.pop().unwrap().send(number).unwrap();
        }
        assert_eq!(of_one.try_recv(), Ok(2));
        assert_eq!(of_many.each_mut().map(|held| held.try_recv().ok()), [Some(1), Some(3), Some(4)]);
        assert!(held.pop().is_none() && held.is_empty());
    }

    #[test]
    fn no_more_are_held_than_the_bound() {
        for blocks in [1, MAX_HELD] {
            let mut held = Held::<()>::new();
            let address = |number: usize| IpAddr::V4(Ipv4Addr::from_bits(((number % blocks) as u32) << 16));
            let mut waiting: Vec<_> =
                (0..MAX_HELD).map(|number| held.hold(Block::of(Some(address(number)))).unwrap()).collect();
            assert!(held.hold(NO_CLIENT).is_none());
            drop(waiting.remove(0));
            assert!(held.hold(NO_CLIENT).is_some(), "one that ended is not counted");
            held.clear();
            assert!(held.is_empty() && waiting.iter_mut().all(|held| held.try_recv().is_err()));
        }
    }
}
