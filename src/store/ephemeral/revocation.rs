//! Revocations and positions in their stream. Knows no store.

use crate::clock::Timestamp;
use crate::id::{ApiKeyId, SessionId, TokenId, UserId};

/// A credential that is refused although its signature is valid, or a shared value that has changed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// One access token.
    Token(TokenId),
    /// Every token of a session.
    Session(SessionId),
    /// Every token of a user issued at `before` or earlier.
    User {
        /// The user.
        user: UserId,
        /// The last issue time that is revoked.
        before: Timestamp,
    },
    /// An API key.
    ApiKey(ApiKeyId),
    /// Revokes nothing: the keyring has changed and must be read again.
    Keyring,
    /// Revokes nothing itself: `global_not_before` has increased and must be read again.
    GlobalNotBefore,
}

/// A revocation and its lifetime.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Revocation {
    /// What is revoked.
    pub target: Target,
    /// When the last token concerned has expired, after which the revocation can be forgotten.
    pub expires_at: Timestamp,
}

/// A position in the stream of revocations. Its text has a meaning only for the store that made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(pub String);

impl Cursor {
    /// The position before the oldest revocation.
    pub fn start() -> Self {
        Self(String::new())
    }
}

/// A running node, as it reported itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeReport {
    /// The node's name.
    pub name: String,
    /// True if it has applied every revocation up to the position in question.
    pub has_applied: bool,
}
