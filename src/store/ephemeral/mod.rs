//! The role of what expires: sessions, claims, limits, revocations, and the sealed keyring that a fleet shares.
//!
//! Every method that depends on the time takes `now` from its caller: what has expired by `now` is absent, whatever the
//! store's own clock says. A store's own TTLs only tidy up. Losing the store never brings anything back: absence
//! means invalid, and [`Ephemeral::floor`] rises. Where a store loses its last moments alone, sessions that were ended in them
//! are there again: what was ended for good its callers know from the other role, and do not believe them.

pub mod redis;
pub mod sqlite;

use std::time::Duration;

use async_trait::async_trait;

use super::Result;
use crate::clock::Timestamp;
use crate::id::{ApiKeyId, SessionId, TokenId, UserId};

/// One sign-in and what has become of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its id: the `sid` of every token made in it.
    pub id: SessionId,
    /// Whose it is.
    pub user: UserId,
    /// How often it was rotated; the refresh token now in force carries this number.
    pub counter: u64,
    /// When it was opened; by whatever clock, later than the row's `sessions_valid_after` from when the credentials were read.
    pub opened_at: Timestamp,
    /// When it was last refreshed, rotating or not; at first, when it was opened.
    pub used_at: Timestamp,
    /// When its counter last rose; at first, when it was opened.
    pub rotated_at: Timestamp,
    /// How long it may go without a rotation.
    pub idle: Duration,
    /// When it ends whatever is done: the absolute expiry.
    pub ends_at: Timestamp,
    /// The dialect in which it was opened.
    pub dialect: String,
    /// The address from which it was opened.
    pub address: String,
    /// The user agent that opened it, shortened.
    pub agent: String,
    /// What the tokens made in it say of the user, until it is replaced. The store does not look inside.
    pub profile: String,
}

impl Session {
    /// The moment from which the session is over if it is not rotated before.
    pub fn expires_at(&self) -> Timestamp {
        self.ends_at.min(self.rotated_at + self.idle)
    }

    /// What its tokens are made of.
    pub fn standing(&self) -> SessionSnapshot {
        SessionSnapshot {
            id: self.id,
            user: self.user,
            counter: self.counter,
            opened_at: self.opened_at,
            expires_at: self.expires_at(),
            profile: self.profile.clone(),
        }
    }
}

/// What of a session its tokens are made of: all that a refresh reads. The fields are the session's.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "said of the session")]
pub struct SessionSnapshot {
    pub id: SessionId,
    pub user: UserId,
    pub counter: u64,
    pub opened_at: Timestamp,
    pub expires_at: Timestamp,
    pub profile: String,
}

/// What became of opening a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    /// It is open.
    Opened {
        /// What was published because the user would have had too many.
        ended: Vec<Revocation>,
    },
    /// The user's sessions were ended for good after the credentials were read: sign in again.
    Superseded,
}

/// A refresh token presented.
#[derive(Clone, Copy, Debug)]
pub struct RotateRequest {
    /// Whose session.
    pub user: UserId,
    /// Which session.
    pub session: SessionId,
    /// The counter in the token.
    pub counter: u64,
    /// Whether the token is to be replaced (`true`) or stays in force, its lifetime as it was (`false`).
    pub rotate: bool,
    /// For how long a token one behind still gets the successor that was already made. Zero: not even in the same millisecond.
    pub grace: Duration,
    /// Sessions opened before this moment are absent; see [`Ephemeral::floor`].
    pub floor: Timestamp,
    /// Until when a revocation must be remembered if this turns out to be reuse.
    pub remember_until: Timestamp,
}

/// What became of presenting a refresh token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// The token was the one in force. The session as it stands now; with `rotate`, its counter is one higher.
    Rotated(SessionSnapshot),
    /// The token was one behind and within the grace: the session as it stands. The successor carries its counter.
    Repeated(SessionSnapshot),
    /// An older token came back: the session is over, and its access tokens are revoked.
    Reused,
    /// No such session, or it is over.
    Absent,
}

/// Which of a user's sessions to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignOutScope {
    /// This one.
    One(SessionId),
    /// All but this one.
    Others(SessionId),
    /// Every one.
    All,
}

/// What came of ending sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// How many were ended.
    pub count: u64,
    /// What was published: nothing more is ended, and nothing less.
    pub revocations: Vec<Revocation>,
}

/// What is no longer to be believed although its signature is good.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// One access token.
    Token(TokenId),
    /// Every token of a session.
    Session(SessionId),
    /// Every token of a user made at `before` or earlier.
    User {
        /// Whose.
        user: UserId,
        /// The last moment concerned.
        before: Timestamp,
    },
    /// An API key.
    ApiKey(ApiKeyId),
    /// Nothing is revoked, but the keyring has changed and is to be read again.
    Ring,
    /// Nothing is revoked by itself, but the floor has risen and is to be read again.
    Floor,
}

/// A revocation and how long it must be remembered: until the last token concerned has expired.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Revocation {
    /// What is revoked.
    pub target: Target,
    /// Until when it must be remembered.
    pub until: Timestamp,
}

/// A place in the sequence of revocations. Its text is the store's own affair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(pub String);

impl Cursor {
    /// Before the oldest revocation that is still remembered.
    pub fn start() -> Self {
        Self(String::new())
    }
}

/// A secret that can be handed in once: a mailed code, a claim's two halves, a reset token.
#[derive(Clone)]
pub struct Claim {
    /// Whose tries are counted together: a user's id, or a digest of an address. Becomes the hash tag.
    pub subject: String,
    /// What the claim is good for; a claim of another purpose is absent.
    pub purpose: &'static str,
    /// Which of the subject's claims of that purpose: empty where there can be only one.
    pub id: String,
    /// A digest of what must be handed in.
    pub digest: [u8; 32],
    /// What the caller wants back on success.
    pub payload: Vec<u8>,
    /// How many wrong tries it bears.
    pub tries: u32,
    /// When it is over.
    pub expires_at: Timestamp,
}

/// A try at a claim.
#[derive(Clone, Copy)]
pub struct Redeem<'a> {
    /// As the claim's.
    pub subject: &'a str,
    /// As the claim's.
    pub purpose: &'a str,
    /// As the claim's.
    pub id: &'a str,
    /// A digest of what was handed in.
    pub digest: [u8; 32],
    /// How many wrong tries the subject has in a day, over all purposes and claims.
    pub daily_tries: u32,
    /// Whether a right one is used up. Where not, it has been proved and stays as it was: a second factor is still due.
    pub spend: bool,
}

/// What became of a try at a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redemption {
    /// Right, and used up by this where it was to be spent.
    Redeemed(Vec<u8>),
    /// Wrong; that many tries are left. After the last the claim is gone.
    Wrong {
        /// How many tries are left.
        tries_left: u32,
    },
    /// Never there, used, expired, or out of tries.
    Absent,
    /// The subject has used up its wrong tries of the day: nothing was compared.
    Capped {
        /// How long until tries count again.
        retry_after: Duration,
    },
}

/// So many in such a span, evenly refilled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// How many at once.
    pub burst: u32,
    /// In what time that many come back.
    pub per: Duration,
}

/// What a limit says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowance {
    /// Go on.
    Allowed,
    /// Too many.
    Limited {
        /// When one more will be allowed.
        retry_after: Duration,
    },
}

/// The sealed keyring as the store holds it.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedRing {
    /// Rises by one with each change.
    pub version: u64,
    /// The sealed bytes.
    pub bytes: Vec<u8>,
}

/// What became of replacing the keyring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swap {
    /// Done: the ring has the next version.
    Swapped,
    /// Somebody was faster: read it again.
    Conflict,
}

/// The store of what expires. All implementations pass `store::conformance::ephemeral`.
#[async_trait]
pub trait Ephemeral: Send + Sync + 'static {
    /// Opens a session at `session.used_at`, unless [`Ephemeral::end_sessions`] has been called for the user with a
    /// `valid_after` greater than this one, which is the user row's value from when the credentials were read. So no
    /// sign-in that is under way while a password changes outlives the change. Both compare values of one row's one
    /// column: no two clocks are compared. The mark is kept ten minutes, longer than a sign-in can take.
    ///
    /// In the same step the sessions of the user that are over leave its index, and of the others only the newest stay: with
    /// this one, which stays whatever the clocks say, they are at most `most`. Those beyond end as by
    /// [`Ephemeral::end_sessions`], remembered until `remember_until`. Where that cannot be published the call fails, and the next
    /// that finds as many sessions publishes it.
    async fn open_session(
        &self,
        session: &Session,
        valid_after: Timestamp,
        most: u32,
        remember_until: Timestamp,
    ) -> Result<Opened>;

    /// Presents a refresh token's counter. Of any number of concurrent callers with the counter in force and `rotate`,
    /// exactly one gets `Rotated`; the others get `Repeated` with the same session, or, once the grace has
    /// passed, `Reused`.
    ///
    /// - counter in force: `Rotated`. With `rotate` it rises by one, and the idle time starts again.
    /// - one behind, and not longer than `grace` after the rise, where there is a grace: `Repeated`. If the clock that is one for all
    ///   callers (the store's own, where several have clocks) was set back since, by no more than [`ASTRAY`](crate::clock::ASTRAY).
    /// - ahead: the store has lost a rotation that had been acknowledged (a failover); the token's MAC proves that
    ///   it was handed out, so it is in force: as the first case, counting from the token's counter.
    /// - anything else: `Reused`. The session is over for good, *and* its revocation is published before this returns, or though nobody
    ///   waits for that any more. If publishing fails the call fails, and the next try of any token of the session is `Reused` again.
    /// - expired, ended, opened before `floor`: `Absent`.
    async fn rotate_refresh_token(&self, presented: RotateRequest, now: Timestamp) -> Result<Rotation>;

    /// One session, if it is not over.
    async fn session(&self, user: UserId, session: SessionId, now: Timestamp) -> Result<Option<Session>>;

    /// A user's sessions that are not over, the newest first. Those that are over leave the index.
    async fn sessions(&self, user: UserId, now: Timestamp) -> Result<Vec<Session>>;

    /// Replaces what the tokens of all of a user's open sessions say, in one step, and gives how many there are. Nothing else
    /// of a session changes: one that is over stays over, and no other lasts longer. From then on whoever presents a
    /// token of any of them gets the new profile.
    ///
    /// Access tokens that were made before say what they said until they expire, which is minutes. A sign-in under way that
    /// read its user's row before the row changed can still open a session with the old profile after this: to prevent it, each
    /// sign-in would have to read the row once more.
    async fn set_profile(&self, user: UserId, profile: &str, now: Timestamp) -> Result<u64>;

    /// Ends sessions of `user`; one of somebody else's is none. When this returns, no refresh of any of them can succeed, and
    /// their revocations (one a session; for `All`, one for the user up to `now`, or the last moment at which one of them was
    /// opened or used, whichever is later) are published, to be
    /// remembered until `remember_until`. Ended sessions leave the index. With `valid_after`, sign-ins that read an
    /// earlier value from the user's row can no longer open a session.
    async fn end_sessions(
        &self,
        user: UserId,
        which: SignOutScope,
        valid_after: Option<Timestamp>,
        remember_until: Timestamp,
        now: Timestamp,
    ) -> Result<Ended>;

    /// Publishes a revocation. When this returns, every later [`Ephemeral::follow`] from an earlier place sees it.
    async fn revoke(&self, revocation: &Revocation, now: Timestamp) -> Result<()>;

    /// The revocations after `from`, oldest first and none twice, with the place after them: at most a thousand at once,
    /// at once if there are any, and otherwise after waiting up to `patience` for one. Each caller has its own place.
    ///
    /// A store that finds that it has lost what was before `from` says [`Target::Floor`] and [`Target::Ring`], since both
    /// may be lost too, and starts over with the oldest there is: in that one case some come twice.
    async fn follow(&self, from: &Cursor, patience: Duration) -> Result<(Vec<Revocation>, Cursor)>;

    /// Forgets revocations published before `before` (all of whose tokens have expired); followers lose nothing newer.
    async fn forget_revocations(&self, before: Timestamp) -> Result<()>;

    /// The moment before which nothing counts: tokens made and sessions opened earlier are invalid. An empty store has
    /// none, and is given `now`: so losing the store revives nothing that was revoked in it. Concurrent callers get
    /// the same answer.
    async fn floor(&self, now: Timestamp) -> Result<Timestamp>;

    /// Raises the floor to `now` (it never sinks) and publishes [`Target::Floor`]: everyone is signed out, at each caller of
    /// [`Ephemeral::rotate_refresh_token`] from when it knows of it.
    async fn raise_floor(&self, now: Timestamp) -> Result<()>;

    /// Keeps a claim, in place of one of the same subject, purpose and id.
    async fn put_claim(&self, claim: &Claim, now: Timestamp) -> Result<()>;

    /// Tries to redeem a claim. The try is counted before anything is compared. Of any number of concurrent callers with
    /// the right digest that spend it exactly one gets `Redeemed`; of any number of wrong ones at most `tries` are compared.
    /// A right one does not count against the day, nor, where it is not spent, against the claim.
    async fn redeem(&self, redeem: Redeem<'_>, now: Timestamp) -> Result<Redemption>;

    /// What a claim holds, without trying it: `None` if it is not there, used or over.
    async fn claim(&self, subject: &str, purpose: &str, id: &str, now: Timestamp) -> Result<Option<Vec<u8>>>;

    /// Forgets a claim, if it is there. The wrong tries at it stay counted against the day.
    async fn drop_claim(&self, subject: &str, purpose: &str, id: &str) -> Result<()>;

    /// Counts a try of a subject at something that is compared elsewhere (a TOTP code), before it is compared, together
    /// with the wrong tries of claims. Of any number of concurrent callers at most `daily_tries` get `Allowed` in a day
    /// until some are forgiven.
    async fn count_try(&self, subject: &str, daily_tries: u32, now: Timestamp) -> Result<Allowance>;

    /// Takes back one counted try: it was right.
    async fn forgive_try(&self, subject: &str, now: Timestamp) -> Result<()>;

    /// Takes one from what `limit` allows to `key` (which is its own hash tag).
    async fn take(&self, key: &str, limit: Limit, now: Timestamp) -> Result<Allowance>;

    /// The sealed keyring, if there is one.
    async fn ring(&self) -> Result<Option<SealedRing>>;

    /// Replaces the keyring if its version still is `expected` (0: there is none), and then publishes [`Target::Ring`]. Of any
    /// number of concurrent callers with one `expected` exactly one gets `Swapped`.
    async fn swap_ring(&self, expected: u64, bytes: &[u8], now: Timestamp) -> Result<Swap>;

    /// Whether the store answers and can be written to; what is said is a warning for the operator (a disk that is nearly full).
    async fn check(&self) -> Result<Vec<String>>;
}
