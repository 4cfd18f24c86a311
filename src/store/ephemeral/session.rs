//! Sessions: their record and what the operations on them take and return. Knows no store.

use std::time::Duration;

use super::revocation::Revocation;
use crate::clock::Timestamp;
use crate::config::Api;
use crate::id::{SessionId, UserId};

/// A session: one sign-in and its present state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The `sid` of every token issued in the session.
    pub id: SessionId,
    /// The user who signed in.
    pub user: UserId,
    /// The number of rotations. The current refresh token carries this number.
    pub counter: u64,
    /// When the session was opened. Always later than the `sessions_valid_after` that the sign-in read, even if the
    /// clock says otherwise.
    pub opened_at: Timestamp,
    /// When the user authenticated: the `auth_time` of every token issued in the session. No refresh changes it. For a
    /// session that an older build opened, `opened_at`.
    pub auth_time: Timestamp,
    /// When the session was last refreshed, rotating or not; initially `opened_at`.
    pub used_at: Timestamp,
    /// When the counter last increased; initially `opened_at`.
    pub rotated_at: Timestamp,
    /// How long the session lives without a rotation.
    pub idle_timeout: Duration,
    /// The absolute expiry, which no rotation extends.
    pub ends_at: Timestamp,
    /// The dialect that opened the session.
    pub dialect: String,
    /// The client IP that opened the session.
    pub client_ip: String,
    /// The user agent that opened the session, truncated.
    pub user_agent: String,
    /// The user claims that tokens of the session carry. Opaque to the store.
    pub claims: String,
    /// The user's custom claims, from which tokens of some audiences get some; empty if there are none. Opaque to the
    /// store.
    pub custom_claims: String,
}

impl Session {
    /// When the session expires unless it is rotated before.
    pub fn expires_at(&self) -> Timestamp {
        self.ends_at.min(self.rotated_at + self.idle_timeout)
    }

    /// The part from which tokens are made.
    pub fn snapshot(&self) -> SessionSnapshot {
        SessionSnapshot {
            id: self.id,
            user: self.user,
            counter: self.counter,
            opened_at: self.opened_at,
            auth_time: self.auth_time,
            expires_at: self.expires_at(),
            claims: self.claims.clone(),
            custom_claims: self.custom_claims.clone(),
        }
    }
}

/// The part of a session from which tokens are made, which is all that a refresh reads.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are those of `Session`")]
pub struct SessionSnapshot {
    pub id: SessionId,
    pub user: UserId,
    pub counter: u64,
    pub opened_at: Timestamp,
    pub auth_time: Timestamp,
    pub expires_at: Timestamp,
    pub claims: String,
    pub custom_claims: String,
}

/// The claims that sessions store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionClaims {
    /// See [`Session::claims`].
    pub claims: String,
    /// See [`Session::custom_claims`].
    pub custom_claims: String,
}

/// The result of opening a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    /// The session is open.
    Opened {
        /// The published revocations of sessions that exceeded the user's maximum.
        ended: Vec<Revocation>,
        /// True if the user had known networks, and the client's was none of them. False for the first sign-in of an
        /// account, and after a store lost its networks.
        from_new_network: bool,
    },
    /// All sign-ins of the user were ended after this one read the credentials: the client must sign in again.
    Superseded,
}

/// A refresh token that a client presents.
#[derive(Clone, Copy, Debug)]
pub struct RotateRequest {
    /// The user in the token.
    pub user: UserId,
    /// The session in the token.
    pub session: SessionId,
    /// The counter in the token.
    pub counter: u64,
    /// True to replace the token. False to keep it valid with its lifetime unchanged.
    pub rotate: bool,
    /// How long after a rotation the previous token still gets the same successor. Zero disables this, even within the
    /// same millisecond.
    pub grace: Duration,
    /// Sessions opened earlier are not found; see
    /// [`Ephemeral::global_not_before`](super::Ephemeral::global_not_before).
    pub not_before: Timestamp,
    /// The expiry of the revocation that is published if this is reuse.
    pub revocation_expires_at: Timestamp,
    /// The conditions that the session must fulfil for the token to be exchanged.
    pub conditions: SessionConditions,
}

/// Conditions that a session must fulfil, apart from being open, for its refresh token to be exchanged. They do not
/// affect the detection of reuse. By default there are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionConditions {
    /// Where it must have been opened; a session opened elsewhere is `NotFound`.
    pub opened_in: OpenedIn,
    /// Text that its stored claims must contain; without it the result is `RequirementUnmet`.
    pub required: Option<RequiredText>,
}

/// Text that the stored claims of certain sessions must contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequiredText {
    /// The text.
    pub text: &'static str,
    /// The sessions that need it.
    pub of: OpenedIn,
}

/// A set of dialects in which a session may have been opened. An array, so that a [`RotateRequest`] can be copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OpenedIn {
    /// Any dialect.
    #[default]
    Any,
    /// One of these.
    OneOf([Option<&'static str>; Api::DIALECTS]),
}

impl OpenedIn {
    /// Returns true if the set contains `dialect`.
    pub fn contains(&self, dialect: &str) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(names) => names.contains(&Some(dialect)),
        }
    }
}

impl SessionConditions {
    /// The result for a session that does not fulfil them.
    pub(super) fn violation(&self, dialect: &str, claims: &str) -> Option<Rotation> {
        let is_unmet = |required: RequiredText| required.of.contains(dialect) && !claims.contains(required.text);
        if !self.opened_in.contains(dialect) {
            Some(Rotation::NotFound)
        } else if self.required.is_some_and(is_unmet) {
            Some(Rotation::RequirementUnmet)
        } else {
            None
        }
    }
}

/// The result of presenting a refresh token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// The token was current. With `rotate`, the snapshot's counter is one higher.
    Rotated(SessionSnapshot),
    /// The token was one behind and within the grace. The successor carries the snapshot's counter.
    Replayed(SessionSnapshot),
    /// An older token was presented: the session is ended and its access tokens are revoked.
    Reused,
    /// The session's claims do not contain the required text. Nothing has changed: the token is as valid as before.
    RequirementUnmet,
    /// The session does not exist, has expired, was ended, or was opened in a dialect that is not accepted.
    NotFound,
}

/// The sessions of a user to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignOutScope {
    /// This session.
    One(SessionId),
    /// All sessions except this one.
    Others(SessionId),
    /// All sessions.
    All,
}

/// The result of ending sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The number of sessions that were ended.
    pub count: u64,
    /// The revocations that were published, which cover exactly what was ended.
    pub revocations: Vec<Revocation>,
}
