//! Responses that are signed when the first follower asks for them, and what they may cost in a second: anyone may ask,
//! from any position. Knows nothing of their content.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::LiveFrame;
use crate::config::site_of;
use crate::store::ephemeral::Position;

/// The period in which costs are added up. A response with many entries is sent to everyone at its position for as long:
/// the rest of what its follower lacks is in a small one.
const PERIOD: Duration = Duration::from_secs(1);

/// The most that all responses of a period cost, in bytes: those of about sixteen followers that are as far behind as
/// they may be. A tenth of a second of a core, at 0.1 ms for 30 KB.
const MAX_COST: usize = 32 * 1024 * 1024;

/// The most that responses to one client network cost. Its followers share responses, because they are at few positions
/// even if they were cut off together.
const MAX_COST_OF_NETWORK: usize = MAX_COST / 2;

/// The cost of a response beside that of its bytes: of a request and a signature.
const COST_OF_RESPONSE: usize = 16 * 1024;

/// The responses of a period. It begins with a live frame, and ends with the first one a second later, or with the first
/// one that differs in more than entries.
#[derive(Default)]
pub(in crate::auth) struct OnDemand {
    /// The live frame with which the period began.
    first: Option<Arc<LiveFrame>>,
    /// The head that belongs to a live frame.
    pub(in crate::auth) head: Option<(Arc<LiveFrame>, Bytes)>,
    /// The responses with everything after a position. `MAX_COST` bounds their number and size.
    after: HashMap<Position, After>,
    cost: usize,
    cost_of_networks: HashMap<IpAddr, usize>,
}

/// The response to followers at one position.
struct After {
    /// It has everything up to this position.
    to: Position,
    is_large: bool,
    body: Bytes,
}

impl OnDemand {
    /// Begins another period if this live frame ends the present one. An older frame does not: a request may still have
    /// it.
    pub(in crate::auth) fn advance(&mut self, live: &Arc<LiveFrame>) {
        let is_over = self.first.as_ref().is_none_or(|first| {
            live.signed_at >= first.signed_at + PERIOD
                || live.signed_at >= first.signed_at && !has_same_state(live, first)
        });
        if is_over {
            *self = Self { first: Some(live.clone()), ..Self::default() };
        }
    }

    /// The response to followers at this position of the live frame's epoch. One with few entries must have all that the
    /// live frame has: otherwise a follower with a slow connection would get one old response after the other.
    pub(in crate::auth) fn find(&self, live: &LiveFrame, position: Position) -> Option<Bytes> {
        let known = self.after.get(&position)?;
        let is_of_epoch = self.first.as_ref().is_some_and(|first| first.epoch == live.epoch);
        (is_of_epoch && (known.is_large || known.to >= live.to)).then(|| known.body.clone())
    }

    /// Returns true if nothing more may be signed for this client network in this period.
    pub(in crate::auth) fn is_exhausted(&self, network: IpAddr) -> bool {
        let of_network = self.cost_of_networks.get(&site_of(network)).copied().unwrap_or_default();
        self.cost >= MAX_COST || of_network >= MAX_COST_OF_NETWORK
    }

    /// Adds the cost of a response of this size to that of the client network which asked first.
    pub(in crate::auth) fn charge(&mut self, network: IpAddr, bytes: usize) {
        let cost = COST_OF_RESPONSE + bytes;
        self.cost += cost;
        *self.cost_of_networks.entry(site_of(network)).or_default() += cost;
    }

    /// Adds the response to followers at this position, which has at least what the live frame has. Not if the period
    /// began while it was signed, with another state: other followers must not get the old one.
    pub(in crate::auth) fn add(&mut self, live: &LiveFrame, position: Position, body: Bytes, is_large: bool) {
        if self.first.as_ref().is_some_and(|first| has_same_state(live, first)) {
            self.after.insert(position, After { to: live.to, is_large, body });
        }
    }
}

/// Returns true if the two frames differ in nothing but entries.
fn has_same_state(one: &LiveFrame, other: &LiveFrame) -> bool {
    one.epoch == other.epoch && one.jwks == other.jwks && one.not_before == other.not_before
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    const SECOND: u64 = 1_000;
    const LARGE: usize = 2 * 1024 * 1024;

    fn position(major: u64) -> Position {
        Position { major, minor: 0 }
    }

    fn network(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    /// A live frame up to this position, signed at this time, for this JWKS.
    fn live(to: u64, millis: u64, jwks: &str) -> Arc<LiveFrame> {
        Arc::new(LiveFrame {
            epoch: "one".into(),
            from: position(to - 1),
            to: position(to),
            body: Bytes::new(),
            time: Timestamp::default(),
            not_before: Timestamp::default(),
            jwks: jwks.into(),
            signed_at: Duration::from_millis(millis),
            interval: Duration::ZERO,
        })
    }

    /// A period that begins with this frame, and has a large response after 1 and a small one after 2.
    fn begin(first: &Arc<LiveFrame>) -> OnDemand {
        let mut on_demand = OnDemand::default();
        on_demand.advance(first);
        on_demand.add(first, position(1), Bytes::from_static(b"large"), true);
        on_demand.add(first, position(2), Bytes::from_static(b"small"), false);
        on_demand
    }

    /// True for the large and for the small response if followers at this frame get it.
    fn finds(on_demand: &mut OnDemand, live: &Arc<LiveFrame>) -> [bool; 2] {
        on_demand.advance(live);
        [1, 2].map(|at| on_demand.find(live, position(at)).is_some())
    }

    #[test]
    fn large_response_is_sent_for_a_second() {
        let mut on_demand = begin(&live(10, SECOND, "a"));
        assert_eq!(finds(&mut on_demand, &live(10, SECOND, "a")), [true, true]);
        assert_eq!(finds(&mut on_demand, &live(11, 2 * SECOND - 1, "a")), [true, false]);
        assert_eq!(finds(&mut on_demand, &live(11, 2 * SECOND, "a")), [false, false]);
    }

    #[test]
    fn small_response_is_sent_while_nothing_is_new() {
        assert_eq!(finds(&mut begin(&live(10, SECOND, "a")), &live(10, SECOND + 1, "a")), [true, true]);
    }

    #[test]
    fn responses_are_dropped_when_the_keys_change() {
        assert_eq!(finds(&mut begin(&live(10, SECOND, "a")), &live(10, SECOND + 1, "b")), [false, false]);
    }

    #[test]
    fn response_of_an_older_state_is_not_kept() {
        let newer = live(10, 2 * SECOND, "b");
        let mut on_demand = begin(&newer);
        for (jwks, is_kept) in [("a", false), ("b", true)] {
            on_demand.add(&live(9, 2 * SECOND - 1, jwks), position(3), Bytes::new(), true);
            assert_eq!(on_demand.find(&newer, position(3)).is_some(), is_kept, "{jwks}");
        }
    }

    #[test]
    fn older_frame_drops_nothing() {
        let newer = live(10, 3 * SECOND, "b");
        let mut on_demand = begin(&newer);
        on_demand.charge(network(1), MAX_COST);
        on_demand.advance(&live(9, SECOND, "a"));
        assert!(on_demand.is_exhausted(network(2)));
        assert_eq!(finds(&mut on_demand, &newer), [true, true]);
    }

    #[test]
    fn network_cannot_take_what_others_need() {
        let mut on_demand = begin(&live(10, SECOND, "a"));
        for _ in 0..8 {
            assert!(!on_demand.is_exhausted(network(1)));
            on_demand.charge(network(1), LARGE);
        }
        assert!(on_demand.is_exhausted(network(1)) && !on_demand.is_exhausted(network(2)));
        on_demand.charge(network(2), MAX_COST / 2);
        assert!(on_demand.is_exhausted(network(3)));
        on_demand.advance(&live(11, 2 * SECOND, "a"));
        assert!(!on_demand.is_exhausted(network(1)));
    }

    #[test]
    fn small_responses_cost_their_signature() {
        let mut on_demand = begin(&live(10, SECOND, "a"));
        (0..1_024).for_each(|_| on_demand.charge(network(1), 0));
        assert!(on_demand.is_exhausted(network(1)));
    }

    #[test]
    fn networks_of_one_site_are_one() {
        let mut on_demand = begin(&live(10, SECOND, "a"));
        on_demand.charge("2001:db8:1:1::".parse().unwrap(), MAX_COST_OF_NETWORK);
        assert!(on_demand.is_exhausted("2001:db8:1:2::".parse().unwrap()));
        assert!(!on_demand.is_exhausted("2001:db8:2:1::".parse().unwrap()));
    }
}
