//! The limit of what a node signs on demand for one client network, and how followers go on at it.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use signet::auth::revocation::publication::FeedError;
use signet::auth::revocation::responses::{self, snapshot};
use signet::store::ephemeral::{Cursor, Position};

use super::in_process::{Publisher, after, segment};
use super::*;
use crate::support::fleet::{TestFleet, over_both_stores_in_process};

over_both_stores_in_process!(follower_goes_on_from_the_snapshot_at_the_limit);

/// So many revocations in a second that some sixty parts of it, which are compressed, exhaust the limit.
const REVOKED: usize = 1200;

/// A node at the limit, which lasts: a period ends by the clock, which stands still.
struct Exhausted {
    publisher: Publisher,
    epoch: String,
    /// The end of the second before.
    before: String,
    /// Positions within the second, the oldest first.
    within: Vec<String>,
    /// The newest position.
    end: String,
}

impl Exhausted {
    async fn new(fleet: &TestFleet) -> Self {
        let publisher = Publisher::with_short_waits(fleet).await;
        publisher.revoke(1).await;
        publisher.read().await;
        let (epoch, before) = publisher.position();
        fleet.clock.advance(Duration::from_secs(1));
        publisher.revoke(REVOKED).await;
        publisher.read_pages().await;
        let (_, end) = publisher.position();

        // At most a thousand, which are more than needed.
        let page = publisher.ctx.ephemeral.read_stream(&Cursor::start(), Duration::ZERO).await.unwrap();
        let positions = page.entries.iter().filter_map(|entry| entry.position);
        let begin = Position::parse(&before).unwrap();
        let within: Vec<_> = positions.filter(|position| *position > begin).map(|at| at.to_string()).collect();
        let mut froms = within.iter();
        let refused = loop {
            let from = froms.next().expect("the limit is reached");
            if let Err(error) = segment(&publisher.ctx, &epoch, from, &end).await {
                break error;
            }
        };
        assert_eq!(refused, FeedError::Gone);
        assert!(froms.len() + 1 < within.len(), "not from the start");
        Self { publisher, epoch, before, within, end }
    }
}

async fn follower_goes_on_from_the_snapshot_at_the_limit(fleet: &TestFleet) {
    let Exhausted { publisher, epoch, before, within, end } = Exhausted::new(fleet).await;
    let ctx = &publisher.ctx;
    // One large response, and one small.
    let [far, near] = [&within[0], &within[600]];
    for position in [far, near] {
        assert_eq!(after(ctx, &epoch, position).await.unwrap_err(), FeedError::Gone);
    }
    // The head lists this one. It cannot list one that begins before anything was revoked.
    segment(ctx, &epoch, &before, &end).await.unwrap();
    assert_eq!(segment(ctx, &epoch, "0-1", &before).await.unwrap_err(), FeedError::Gone);
    // Another network has its own limit, and followers share its responses.
    let other = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    let shared = responses::after(ctx, other, &epoch, near).await.unwrap();
    assert_eq!(after(ctx, &epoch, near).await.unwrap(), shared);

    let body = snapshot(ctx).await.unwrap().body.clone();
    let frames = payloads(std::str::from_utf8(&body).unwrap());
    assert_eq!(frames.iter().map(|frame| revoked(frame).len()).sum::<usize>(), 1 + REVOKED);
    let reached = text(&frames[0]["to"]);
    assert_eq!(reached, end);
    // In two live frames, so that the last one does not have both.
    for _ in 0..2 {
        publisher.revoke(1).await;
        publisher.read().await;
    }
    assert_eq!(after(ctx, &epoch, far).await.unwrap_err(), FeedError::Gone);
    let body = after(ctx, &epoch, &reached).await.unwrap();
    let frames = payloads(std::str::from_utf8(&body).unwrap());
    assert_eq!(text(&frames[0]["from"]), reached);
    assert_eq!(frames.iter().map(|frame| revoked(frame).len()).sum::<usize>(), 2);

    // A second later, there is another period.
    fleet.clock.advance(Duration::from_secs(1));
    publisher.revoke(1).await;
    publisher.read().await;
    after(ctx, &epoch, far).await.unwrap();
}
