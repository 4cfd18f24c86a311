//! The role of short-lived state: sessions, claims, rate limits, revocations, and the sealed keyring that a fleet
//! shares.
//!
//! Every method that depends on the time takes `now` from its caller. A record that has expired by `now` is not found,
//! whatever the store's own clock says; a store's own TTLs only clean up. Losing the store revives nothing, because a
//! missing record is invalid and [`Ephemeral::global_not_before`] increases. A store that loses only its last moments
//! may contain sessions again that were ended in them. Callers therefore read durable revocations from the other role
//! and refuse those sessions, and repeat the ends that they have stored recently.

mod claim;
mod event;
mod follower;
mod idempotency;
mod permit;
pub mod redis;
mod revocation;
mod session;
pub mod sqlite;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

pub use self::claim::{Claim, ClaimKey, OnMatch, RedeemRequest, Redemption};
pub use self::event::{EventBounds, EventClass, EventQuery, EventRange, EventScope, NewEvent, StoredEvent};
pub use self::follower::{FOLLOWER_REPORT_TTL, FollowerReport, MAX_FOLLOWERS};
pub use self::idempotency::{IdempotentRequest, KeyReservation};
pub use self::permit::{
    Allowance, KNOWN_NETWORK_TTL, Limit, MAX_KNOWN_NETWORKS, NetworkPermit, RequesterAllowance, RequesterPermit,
};
pub use self::revocation::{Cursor, NodeReport, Position, Revocation, StreamEntry, StreamPage, Target};
pub use self::session::{
    Ended, Opened, OpenedIn, RequiredText, RotateRequest, Rotation, Session, SessionClaims, SessionConditions,
    SessionSnapshot, SignOutScope,
};

use super::Result;
use crate::clock::Timestamp;
use crate::id::{SessionId, UserId};

/// The sealed keyring.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedKeyring {
    /// Increases by one with each change.
    pub version: u64,
    /// The sealed bytes.
    pub bytes: Vec<u8>,
}

/// The result of replacing the keyring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SwapResult {
    /// The keyring was replaced and has the next version.
    Swapped,
    /// Another caller replaced it first: read it again.
    Conflict,
}

/// A problem of a store that answers and can be written to. Each names a remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// Some calls fail.
    Unsupported(String),
    /// Every call works, but the store may lose data, or cease to work.
    Risk(String),
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Unsupported(text) | Self::Risk(text)) = self;
        f.write_str(text)
    }
}

/// The store of short-lived state. Every implementation passes `tests/conformance/ephemeral`.
#[async_trait]
pub trait Ephemeral: Send + Sync + 'static {
    /// Opens a session at `session.used_at` and ends the user's oldest sessions beyond `max_sessions`, in one step.
    ///
    /// Opens nothing if [`Ephemeral::end_sessions`] was called for the user with a greater `valid_after`. The caller
    /// passes the user row's value that it read with the credentials, so no sign-in that is under way during a password
    /// change survives the change. Both values come from one column of one row, so no two clocks are compared. The mark
    /// of `end_sessions` is kept for ten minutes, longer than a sign-in can take.
    ///
    /// Expired sessions leave the user's index and do not count. The new session always stays, whatever the clocks say.
    /// The sessions beyond the maximum end as with [`Ephemeral::end_sessions`], with revocations that expire at
    /// `revocation_expires_at`. If those cannot be published, the call fails, and the next call that finds too many
    /// sessions publishes them.
    ///
    /// A session that is opened makes `network`, the client's, a known one: see [`Ephemeral::take_network_permit`]. The
    /// result says whether it was new.
    async fn open_session(
        &self,
        session: &Session,
        network: &str,
        valid_after: Timestamp,
        max_sessions: u32,
        revocation_expires_at: Timestamp,
    ) -> Result<Opened>;

    /// Presents a refresh token. Of any number of concurrent callers with the current counter and `rotate`, exactly one
    /// gets `Rotated`. The others get `Replayed` with the same session or, after the grace, `Reused`.
    ///
    /// The token's counter decides:
    /// - Equal to the session's: `Rotated`. With `rotate` the counter increases by one and the idle time starts again.
    /// - One behind, at most `grace` after the increase, and `grace` is not zero: `Replayed`. A clock that all callers
    ///   share (the store's own, if callers have several) may have been set back since by at most
    ///   [`MAX_CLOCK_SKEW`](crate::clock::MAX_CLOCK_SKEW).
    /// - Ahead: the store has lost an acknowledged rotation in a failover. The token's MAC proves that it was issued,
    ///   so it is current: as in the first case, counting from the token's counter.
    /// - Otherwise: `Reused`. The session is ended for good, *and* its revocation is published before this returns, or
    ///   even if the caller stops waiting. If publishing fails, the call fails, and the next attempt with any token of
    ///   the session is `Reused` again.
    ///
    /// `NotFound` if the session has expired, was ended, or was opened before `not_before`. If it does not fulfil the
    /// conditions of the request, the first three cases change nothing, and the result is `NotFound` or
    /// `RequirementUnmet`; the last case is `Reused` nevertheless.
    async fn rotate_refresh_token(&self, request: RotateRequest, now: Timestamp) -> Result<Rotation>;

    /// Returns a session that is open.
    async fn session(&self, user: UserId, session: SessionId, now: Timestamp) -> Result<Option<Session>>;

    /// Returns a user's open sessions, newest first. Others leave the index.
    async fn sessions(&self, user: UserId, now: Timestamp) -> Result<Vec<Session>>;

    /// Replaces the claims of all open sessions of a user in one step, and returns their number. Nothing else of a
    /// session changes: none is revived or extended. Every later refresh of these sessions gets the new claims.
    ///
    /// Access tokens issued before keep the old claims until they expire, which is minutes. A sign-in under way that
    /// read the user row before it changed can open a session with the old claims afterwards, so its caller then reads
    /// the row again.
    async fn set_claims(&self, user: UserId, claims: &SessionClaims, now: Timestamp) -> Result<u64>;

    /// Ends sessions of `user`; another user's session in `scope` is ignored. When this returns, no refresh of them can
    /// succeed, their revocations are published until `revocation_expires_at`, and they have left the index.
    ///
    /// There is one revocation per session, or one of the user for `All`. The latter covers tokens up to `now` or the
    /// latest time at which one of the sessions was opened or used, if that is later.
    ///
    /// With `valid_after`, sign-ins that read an earlier value from the user row can no longer open a session, and the
    /// user has no known networks any more.
    async fn end_sessions(
        &self,
        user: UserId,
        scope: SignOutScope,
        valid_after: Option<Timestamp>,
        revocation_expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<Ended>;

    /// Publishes a revocation. When this returns, every later [`Ephemeral::read_stream`] from an earlier cursor returns
    /// it.
    async fn revoke(&self, revocation: &Revocation, now: Timestamp) -> Result<()>;

    /// Returns the revocations after `cursor`, oldest first and each once, at most a thousand, and the cursor after
    /// them. If there are none, waits up to `max_wait` for one. Callers do not affect each other.
    ///
    /// All callers get the same entries with the same positions between two positions of one epoch, except those that
    /// [`Ephemeral::forget_revocations`] has deleted meanwhile.
    ///
    /// A store that finds that it has lost entries before `cursor` returns [`Target::GlobalNotBefore`] and
    /// [`Target::Keyring`], because both values may be lost too, and then continues with its oldest entry, in another
    /// epoch. Only in that case are entries returned twice.
    async fn read_stream(&self, cursor: &Cursor, max_wait: Duration) -> Result<StreamPage>;

    /// Deletes revocations published before `before`, all of whose tokens have expired. Nodes miss nothing newer.
    /// `before` follows from a time that is not ahead of the store's: see [`StreamPage::store_time`].
    async fn forget_revocations(&self, before: Timestamp) -> Result<()>;

    /// Returns the time before which all tokens and sessions are invalid. An empty store sets it to `now`, so that
    /// losing the store revives nothing that was revoked in it. Concurrent callers get the same value.
    async fn global_not_before(&self, now: Timestamp) -> Result<Timestamp>;

    /// Raises [`Ephemeral::global_not_before`] to `now`, never lowers it, and publishes [`Target::GlobalNotBefore`].
    /// This signs everyone out: [`Ephemeral::rotate_refresh_token`] refuses older sessions once its caller passes the
    /// new value.
    async fn raise_global_not_before(&self, now: Timestamp) -> Result<()>;

    /// The position of the newest revocation; [`Cursor::start`] or an equivalent if none is stored.
    async fn newest_revocation(&self) -> Result<Cursor>;

    /// Reports that the process `node` runs and has applied every revocation up to `applied`. The report lapses when
    /// the process is gone. A store that cannot know this lets it lapse some seconds after the last report, so a node
    /// repeats it more often than that.
    async fn report_node(&self, node: &str, applied: &Cursor) -> Result<()>;

    /// Removes the report of `node`.
    async fn withdraw_node(&self, node: &str) -> Result<()>;

    /// The nodes whose reports have not lapsed, and whether each has applied every revocation up to `newest`.
    async fn nodes(&self, newest: &Cursor) -> Result<Vec<NodeReport>>;

    /// Stores the description that the process `node` gives of itself, one line of text, in place of its last one. It
    /// lapses some seconds after the process is gone.
    async fn describe_node(&self, node: &str, text: &str) -> Result<()>;

    /// The descriptions of nodes, with their names. May contain nodes whose reports have lapsed.
    async fn node_descriptions(&self) -> Result<Vec<(String, String)>>;

    /// Stores the report of a follower of the published feed for [`FOLLOWER_REPORT_TTL`], in place of its last one.
    /// Returns false, and stores nothing, if [`MAX_FOLLOWERS`] others have reports that count.
    async fn report_follower(&self, report: &FollowerReport) -> Result<bool>;

    /// The reports of followers that still count, in any order.
    async fn followers(&self, now: Timestamp) -> Result<Vec<FollowerReport>>;

    /// Stores a claim and replaces one with the same key.
    async fn store_claim(&self, claim: &Claim, now: Timestamp) -> Result<()>;

    /// Attempts to redeem a claim. The attempt is counted before anything is compared. Of any number of concurrent
    /// callers that hold it with the correct digest, exactly one gets `Redeemed`. Of any number of wrong attempts, at
    /// most `attempts` are compared. A correct one does not count against the day or against the claim.
    async fn redeem(&self, request: RedeemRequest<'_>, now: Timestamp) -> Result<Redemption>;

    /// Makes a claim redeemable again that the caller holds, with the attempts and the time that it had left. Changes
    /// nothing if a claim with another digest has replaced it meanwhile.
    async fn release_claim(&self, key: &ClaimKey, digest: [u8; 32], now: Timestamp) -> Result<()>;

    /// Returns a claim's payload without an attempt; `None` if it does not exist, was deleted, is held, has expired or
    /// has no attempts left.
    async fn peek_claim(&self, key: &ClaimKey, now: Timestamp) -> Result<Option<Vec<u8>>>;

    /// Deletes a claim if it exists. Its wrong attempts still count against the day.
    async fn delete_claim(&self, key: &ClaimKey) -> Result<()>;

    /// Counts an attempt of a subject at a secret that is compared elsewhere (a TOTP code), before it is compared,
    /// together with the wrong attempts at claims. Of any number of concurrent callers at most `daily_attempts` are
    /// `Allowed` in a day, until some are refunded.
    async fn count_attempt(&self, subject: &str, daily_attempts: u32, now: Timestamp) -> Result<Allowance>;

    /// Refunds one counted attempt, because it was correct. The count never goes below zero.
    async fn refund_attempt(&self, subject: &str, now: Timestamp) -> Result<()>;

    /// Takes one permit of `limit` for `key`. Concurrent callers share one burst; a refused call costs nothing.
    async fn take_permit(&self, key: &str, limit: Limit, now: Timestamp) -> Result<Allowance>;

    /// Takes one permit of a requester and one that all requesters share, in one step. A refusal by the requester's
    /// limit costs nothing; one by the total costs the requester's permit.
    async fn take_requester_permit(&self, permit: RequesterPermit<'_>, now: Timestamp) -> Result<RequesterAllowance>;

    /// Makes a network a known one of the user, as [`Ephemeral::open_session`] does.
    async fn remember_network(&self, user: UserId, network: &str, now: Timestamp) -> Result<()>;

    /// Takes one permit from the budget that a known network of the user has of its own. A network is known if it was
    /// remembered less than [`KNOWN_NETWORK_TTL`] ago and is among the [`MAX_KNOWN_NETWORKS`] that were remembered
    /// last. Returns false if the network is not known or its budget is exhausted. Other networks share nothing of the
    /// budget, so nobody else can exhaust it.
    async fn take_network_permit(&self, permit: NetworkPermit<'_>, now: Timestamp) -> Result<bool>;

    /// Reserves the key of a request until `reserved_until`. Of any number of concurrent callers exactly one gets
    /// `Reserved`.
    async fn reserve_idempotency_key(
        &self,
        request: IdempotentRequest<'_>,
        reserved_until: Timestamp,
        now: Timestamp,
    ) -> Result<KeyReservation>;

    /// Stores the response of the request that reserved the key, also if the reservation has expired meanwhile. Changes
    /// nothing if another request has the key by now.
    async fn complete_idempotency_key(
        &self,
        request: IdempotentRequest<'_>,
        response: &[u8],
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<()>;

    /// Releases the key that a request reserved, if no response is stored: the request had no effect, and may be
    /// repeated.
    async fn release_idempotency_key(&self, request: IdempotentRequest<'_>, now: Timestamp) -> Result<()>;

    /// Returns the sealed keyring, if there is one.
    async fn keyring(&self) -> Result<Option<SealedKeyring>>;

    /// Replaces the keyring if its version is `expected` (0: there is none), and then publishes [`Target::Keyring`]. Of
    /// any number of concurrent callers with one `expected`, exactly one gets `Swapped`.
    async fn swap_keyring(&self, expected: u64, bytes: &[u8], now: Timestamp) -> Result<SwapResult>;

    /// Appends events to a list, in their order, and enforces the bounds: of each class the newest stay, and the list of
    /// events expires with the last one. Privileged events may displace actions. Of each list the positions increase,
    /// whatever `now` says, so a reader that follows it misses none. If the call fails, the events may have been
    /// appended nevertheless.
    async fn append_events(
        &self,
        scope: EventScope,
        events: &[NewEvent<'_>],
        bounds: EventBounds,
        now: Timestamp,
    ) -> Result<()>;

    /// Reads events of a list in the order of the query.
    async fn read_events(&self, query: EventQuery) -> Result<Vec<StoredEvent>>;

    /// Checks that the store answers and can be written to. Returns warnings for the operator, such as a disk that is
    /// nearly full.
    async fn check(&self) -> Result<Vec<Warning>>;
}
