//! The publication of one node with a manual clock: what it signs, and when it refuses to.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use signet::auth::accounts::create::{CreateUser, create_user};
use signet::auth::audit::Origin;
use signet::auth::context::Context;
use signet::auth::revocation::durable::reapply_after_failover;
use signet::auth::revocation::publication::FeedError;
use signet::auth::revocation::publication::segment_cache::Segment;
use signet::auth::revocation::responses::{self, head, run, snapshot};
use signet::auth::revocation::stream::catch_up;
use signet::auth::signing_keys;
use signet::clock::Timestamp;
use signet::config::Config;
use signet::id::SessionId;
use signet::store::accounts::Changes;
use signet::store::ephemeral::{Revocation, Target};
use signet::telemetry::metrics::Counter;

use super::*;
use crate::support::fleet::{TestFleet, over_both_stores_in_process};

over_both_stores_in_process! {
    stale_node_signs_nothing,
    drain_ends_a_wait,
    position_beyond_the_history_is_gone,
    idle_feed_is_signed_once_a_second,
    follower_behind_gets_all_entries_in_frames,
    large_response_is_signed_once_although_its_follower_disconnects,
    large_response_is_signed_once_a_second,
    followers_at_several_positions_get_what_each_lacks,
    revocations_of_two_seconds_are_no_segment,
    segment_is_signed_once_by_each_key,
    live_response_reaches_the_end_of_a_segment,
    revocation_known_from_a_row_is_published,
}

/// A node that publishes, with its publishing task.
pub(super) struct Publisher {
    pub(super) ctx: Context,
    task: tokio::task::JoinHandle<()>,
}

impl Publisher {
    async fn start(fleet: &TestFleet) -> Self {
        Self::of(fleet.node().await).await
    }

    /// A node whose followers do not wait long.
    pub(super) async fn with_short_waits(fleet: &TestFleet) -> Self {
        let change = |config: &mut Config| config.server.request_timeout = Duration::from_millis(200);
        Self::of(fleet.node_with(change).await).await
    }

    pub(super) async fn of(ctx: Context) -> Self {
        let task = tokio::spawn({
            let ctx = ctx.clone();
            async move { run(&ctx).await }
        });
        let publisher = Self { ctx, task };
        publisher.read().await;
        publisher
    }

    /// Reads the stream, and waits until the result is published.
    pub(super) async fn read(&self) {
        catch_up(&self.ctx).await.unwrap();
        let newest = self.ctx.ephemeral.newest_revocation().await.unwrap().0;
        let is_published = async || {
            let Ok(head) = head(&self.ctx) else { return false };
            let to = text(&payload(&head)["to"]);
            // The cursors of both stores contain the position or the first part of it.
            newest.is_empty() || newest == "0" || newest.ends_with(&to) || to.starts_with(&format!("{newest}-"))
        };
        crate::support::until("the frame is signed", is_published).await;
    }

    /// Reads more than one page, between which a frame may be signed, and waits until the last frame has everything.
    pub(super) async fn read_pages(&self) {
        self.read().await;
        let (epoch, end) = self.position();
        // The position of a follower at the end is unknown until then.
        let is_signed = async || after(&self.ctx, &epoch, &end).await.is_ok();
        crate::support::until("the last frame has everything", is_signed).await;
    }

    pub(super) async fn revoke(&self, count: usize) -> Vec<SessionId> {
        let now = self.ctx.now();
        let sessions: Vec<_> = (0..count).map(|_| SessionId::new(now, &self.ctx.node.rng)).collect();
        for session in &sessions {
            let revocation =
                Revocation { target: Target::Session(*session), expires_at: now + Duration::from_secs(900) };
            self.ctx.ephemeral.revoke(&revocation, now).await.unwrap();
        }
        sessions
    }

    pub(super) fn position(&self) -> (String, String) {
        let head = payload(&head(&self.ctx).unwrap());
        (text(&head["epoch"]), text(&head["to"]))
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The network of all followers here.
const NETWORK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

pub(super) async fn after(ctx: &Context, epoch: &str, position: &str) -> Result<Bytes, FeedError> {
    responses::after(ctx, NETWORK, epoch, position).await
}

pub(super) async fn segment(ctx: &Context, epoch: &str, from: &str, to: &str) -> Result<Arc<Segment>, FeedError> {
    responses::segment(ctx, NETWORK, epoch, from, to).await
}

fn payload(frame: &[u8]) -> Value {
    payloads(std::str::from_utf8(frame).unwrap()).remove(0)
}

async fn stale_node_signs_nothing(fleet: &TestFleet) {
    let publisher = Publisher::start(fleet).await;
    let ctx = &publisher.ctx;
    let (epoch, position) = publisher.position();
    let time = payload(&head(ctx).unwrap())["time"].as_i64().unwrap();
    assert!(time <= ctx.now().millis());
    fleet.clock.advance(Duration::from_secs(4));
    assert_eq!(head(ctx).unwrap_err(), FeedError::Stale);
    assert_eq!(after(ctx, &epoch, &position).await.unwrap_err(), FeedError::Stale);
    assert_eq!(segment(ctx, &epoch, &position, &position).await.unwrap_err(), FeedError::Stale);
    assert_eq!(snapshot(ctx).await.err(), Some(FeedError::Stale));
    // A change of the keyring gives no reason to sign either: nothing was read.
    ctx.node.publication.notify_keyring_change();
    assert_eq!(head(ctx).unwrap_err(), FeedError::Stale);
    publisher.read().await;
    assert!(payload(&head(ctx).unwrap())["time"].as_i64().unwrap() >= time + 4000);
}

async fn drain_ends_a_wait(fleet: &TestFleet) {
    let publisher = Publisher::start(fleet).await;
    let (epoch, position) = publisher.position();
    let (ctx, epoch_of_wait, from) = (publisher.ctx.clone(), epoch.clone(), position.clone());
    let waiting = tokio::spawn(async move { after(&ctx, &epoch_of_wait, &from).await });
    publisher.ctx.node.publication.close();
    assert_eq!(text(&payload(&waiting.await.unwrap().unwrap())["to"]), position);
    // And nobody waits any more.
    after(&publisher.ctx, &epoch, &position).await.unwrap();
}

async fn position_beyond_the_history_is_gone(fleet: &TestFleet) {
    let publisher = Publisher::start(fleet).await;
    publisher.revoke(1).await;
    publisher.read().await;
    let (epoch, old) = publisher.position();
    publisher.revoke(1).await;
    publisher.read().await;
    assert!(after(&publisher.ctx, &epoch, &old).await.is_ok());
    // The history of the default settings is five minutes long.
    fleet.clock.advance(Duration::from_secs(301));
    publisher.revoke(1).await;
    publisher.read().await;
    let (_, new) = publisher.position();
    assert_eq!(after(&publisher.ctx, &epoch, &old).await.unwrap_err(), FeedError::Gone);
    assert_eq!(segment(&publisher.ctx, &epoch, &old, &new).await.unwrap_err(), FeedError::Gone);
    let frames = payloads(std::str::from_utf8(&snapshot(&publisher.ctx).await.unwrap().body).unwrap());
    assert_eq!(revoked(&frames[0]).len(), 3, "the snapshot has all that is in force");
}

async fn follower_behind_gets_all_entries_in_frames(fleet: &TestFleet) {
    let publisher = Publisher::with_short_waits(fleet).await;
    let (epoch, start) = publisher.position();
    let mut sessions = publisher.revoke(1).await;
    publisher.read().await;
    let (_, first) = publisher.position();
    sessions.extend(publisher.revoke(1200).await);
    publisher.read_pages().await;
    for (from, expected) in [(&start, &sessions[..]), (&first, &sessions[1..])] {
        let body = after(&publisher.ctx, &epoch, from).await.unwrap();
        let mut position = from.clone();
        let mut found = HashSet::new();
        for frame in payloads(std::str::from_utf8(&body).unwrap()) {
            assert_eq!(text(&frame["from"]), position);
            position = text(&frame["to"]);
            found.extend(revoked(&frame));
        }
        assert_eq!(position, publisher.position().1);
        assert_eq!(found, expected.iter().map(|session| hash(&session.to_string())).collect());
    }
}

/// Otherwise followers that connect and disconnect would have any number of them signed at the same time.
async fn large_response_is_signed_once_although_its_follower_disconnects(fleet: &TestFleet) {
    let publisher = Publisher::with_short_waits(fleet).await;
    let ctx = &publisher.ctx;
    let (epoch, start) = publisher.position();
    // In several frames, so that the last one does not have everything.
    for count in [1, 600, 600] {
        publisher.revoke(count).await;
        publisher.read_pages().await;
    }
    // From here on nothing is read, so nothing but responses is signed.
    let before = ctx.node.metrics.value(Counter::FeedFrames);
    // The other thread may also have signed it before this one asks for the result.
    drop(after(ctx, &epoch, &start).now_or_never());
    let body = after(ctx, &epoch, &start).await.unwrap();
    let frames = payloads(std::str::from_utf8(&body).unwrap());
    assert_eq!(frames.iter().map(|frame| revoked(frame).len()).sum::<usize>(), 1201);
    assert_eq!(ctx.node.metrics.value(Counter::FeedFrames) - before, frames.len() as u64);
}

/// Otherwise followers that come back together, while there are revocations, need a large response for each live frame.
async fn large_response_is_signed_once_a_second(fleet: &TestFleet) {
    let publisher = Publisher::start(fleet).await;
    let (epoch, start) = publisher.position();
    publisher.revoke(1).await;
    publisher.read().await;
    publisher.revoke(1200).await;
    publisher.read().await;
    let first = after(&publisher.ctx, &epoch, &start).await.unwrap();
    let reached = text(&payloads(std::str::from_utf8(&first).unwrap()).last().unwrap()["to"]);
    assert_eq!(reached, publisher.position().1);

    publisher.revoke(1).await;
    publisher.read().await;
    assert_eq!(after(&publisher.ctx, &epoch, &start).await.unwrap(), first);
    // The follower that got it goes on with what is newer.
    assert_eq!(revoked(&payload(&after(&publisher.ctx, &epoch, &reached).await.unwrap())).len(), 1);

    fleet.clock.advance(Duration::from_secs(1));
    publisher.revoke(1).await;
    publisher.read().await;
    // The head has an entry before the live frame that begins another second has it.
    let has_all = async || {
        let body = after(&publisher.ctx, &epoch, &start).await.unwrap();
        let frames = payloads(std::str::from_utf8(&body).unwrap());
        frames.iter().map(|frame| revoked(frame).len()).sum::<usize>() == 1203
    };
    crate::support::until("another response is signed", has_all).await;
}

async fn idle_feed_is_signed_once_a_second(fleet: &TestFleet) {
    let publisher = Publisher::start(fleet).await;
    let ctx = &publisher.ctx;
    let time = || payload(&head(ctx).unwrap())["time"].as_i64().unwrap();
    let start = time();
    fleet.clock.advance(Duration::from_millis(500));
    // Each reading gives the publishing task something to do and, because it waits for the store, the time for it.
    for _ in 0..10 {
        catch_up(ctx).await.unwrap();
        assert_eq!(time(), start);
    }
    fleet.clock.advance(Duration::from_millis(500));
    catch_up(ctx).await.unwrap();
    crate::support::until("a frame is signed", async || time() == start + 1000).await;
}

async fn followers_at_several_positions_get_what_each_lacks(fleet: &TestFleet) {
    let publisher = Publisher::start(fleet).await;
    let (epoch, start) = publisher.position();
    let mut positions = vec![start];
    for _ in 0..3 {
        publisher.revoke(1).await;
        publisher.read().await;
        positions.push(publisher.position().1);
    }
    // The last frame has what the follower lacks that is one entry behind.
    for (behind, from) in positions.iter().rev().enumerate().skip(2) {
        let body = after(&publisher.ctx, &epoch, from).await.unwrap();
        let frames = payloads(std::str::from_utf8(&body).unwrap());
        assert_eq!(text(&frames[0]["from"]), *from, "{behind}");
        assert_eq!(frames.iter().map(|frame| revoked(frame).len()).sum::<usize>(), behind);
    }
}

async fn revocations_of_two_seconds_are_no_segment(fleet: &TestFleet) {
    let publisher = Publisher::start(fleet).await;
    let mut ends = Vec::new();
    for _ in 0..3 {
        fleet.clock.advance(Duration::from_secs(1));
        publisher.revoke(2).await;
        publisher.read().await;
        ends.push(publisher.position().1);
    }
    let head = payload(&head(&publisher.ctx).unwrap());
    let listed = head["segments"].as_array().unwrap().iter().map(text).collect::<Vec<_>>();
    assert!(listed.ends_with(&ends), "{listed:?} ends with {ends:?}");
    let epoch = text(&head["epoch"]);
    for (from, to) in [(0, 1), (1, 2)] {
        let segment = segment(&publisher.ctx, &epoch, &ends[from], &ends[to]).await.unwrap();
        let frame = payload(&segment.body);
        assert_eq!(revoked(&frame).len(), 2);
        let time = Timestamp::from_millis(frame["time"].as_i64().unwrap());
        assert!(time + Duration::from_secs(120) <= publisher.ctx.now(), "it proves nothing about the present");
    }
    assert_eq!(segment(&publisher.ctx, &epoch, &ends[0], &ends[2]).await.unwrap_err(), FeedError::Gone);
    assert_eq!(segment(&publisher.ctx, &epoch, &ends[1], &ends[0]).await.unwrap_err(), FeedError::Gone);
}

async fn segment_is_signed_once_by_each_key(fleet: &TestFleet) {
    let publisher = Publisher::start(fleet).await;
    let ctx = &publisher.ctx;
    let (epoch, from) = publisher.position();
    // So many that they are compressed.
    publisher.revoke(100).await;
    publisher.read().await;
    let (_, to) = publisher.position();
    let request = || segment(ctx, &epoch, &from, &to);
    // From here on nothing is read, so nothing but segments is signed.
    let before = ctx.node.metrics.value(Counter::FeedFrames);
    let signed = || ctx.node.metrics.value(Counter::FeedFrames) - before;
    let (first, concurrent) = tokio::join!(request(), request());
    let first = first.unwrap();
    let again = request().await.unwrap();
    assert_eq!(signed(), 1);
    assert!(first.gzip.is_some());
    for other in [&concurrent.unwrap(), &again] {
        assert_eq!((&other.body, &other.gzip), (&first.body, &first.gzip));
    }

    let kid = signing_keys::list(ctx).remove(0).key.kid;
    signing_keys::revoke(ctx, &kid, Origin::process()).await.unwrap();
    let of_new_key = request().await.unwrap();
    assert_ne!(of_new_key.body, first.body);
    assert_eq!(revoked(&payload(&of_new_key.body)), revoked(&payload(&first.body)));
    assert_eq!((request().await.unwrap().body.len(), signed()), (of_new_key.body.len(), 2));
}

/// A follower that polls through a cache stopped within a second. One response of the live feed leads it to a position
/// that the head lists.
async fn live_response_reaches_the_end_of_a_segment(fleet: &TestFleet) {
    let publisher = Publisher::start(fleet).await;
    let ctx = &publisher.ctx;
    let at_second = fleet.clock.now().millis().rem_euclid(1000) as u64;
    fleet.clock.advance(Duration::from_millis(1000 - at_second));
    publisher.revoke(1).await;
    publisher.read().await;
    let (epoch, within) = publisher.position();
    fleet.clock.advance(Duration::from_millis(10));
    publisher.revoke(2).await;
    fleet.clock.advance(Duration::from_secs(1));
    publisher.revoke(3).await;
    publisher.read().await;
    let listed = |head: &Value| head["segments"].as_array().unwrap().iter().map(text).collect::<Vec<_>>();
    assert!(!listed(&payload(&head(ctx).unwrap())).contains(&within), "more was revoked in that second");
    let body = after(ctx, &epoch, &within).await.unwrap();
    let frames = payloads(std::str::from_utf8(&body).unwrap());
    assert_eq!(frames.iter().map(|frame| revoked(frame).len()).collect::<Vec<_>>(), [2, 3]);
    let reached = text(&frames[0]["to"]);
    assert_eq!((text(&frames[0]["from"]), &frames[1]["from"]), (within, &frames[0]["to"]));
    assert_eq!((frames[0].get("jwks"), frames[1]["time"].is_i64()), (None, true));

    // From there, everything later comes in segments.
    fleet.clock.advance(Duration::from_secs(1));
    publisher.revoke(1).await;
    publisher.read().await;
    let head = payload(&head(ctx).unwrap());
    let ends = listed(&head);
    let from = ends.iter().position(|end| *end == reached).unwrap();
    let mut found = 0;
    for pair in ends[from..].windows(2) {
        found += revoked(&payload(&segment(ctx, &epoch, &pair[0], &pair[1]).await.unwrap().body)).len();
    }
    assert_eq!(found, 4);
}

/// Redis has lost the revocation, or never had it: here, the row is changed and nothing else.
async fn revocation_known_from_a_row_is_published(fleet: &TestFleet) {
    let publisher = Publisher::start(fleet).await;
    let ctx = &publisher.ctx;
    let new_user = CreateUser { email: "ada@example.org".to_owned(), ..CreateUser::default() };
    let user = create_user(ctx, new_user).await.unwrap();
    publisher.read().await;
    let (epoch, before) = publisher.position();
    let disabled = Changes { disabled: Some(true), ..Changes::default() };
    ctx.accounts.change_user(user.id, &disabled, ctx.now()).await.unwrap();
    reapply_after_failover(ctx).await;
    publisher.read().await;
    let (_, published) = publisher.position();
    let frame = payload(&after(ctx, &epoch, &before).await.unwrap());
    assert_eq!(revoked_users(&frame), HashSet::from([hash(&user.id.to_string())]));

    reapply_after_failover(ctx).await;
    publisher.read().await;
    assert_eq!(publisher.position().1, published, "once");
}
