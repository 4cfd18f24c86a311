//! Revocations and positions in their stream. Knows no store.

use std::fmt;

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
    /// The target of the revocation.
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

/// The position of an entry among those of one epoch of the stream. Later entries have greater positions, and no
/// position is used for two entries, not even if the store loses entries and continues from an earlier one: it contains
/// the time of publishing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The part that is compared first.
    pub major: u64,
    /// The part that is compared if the first is equal.
    pub minor: u64,
}

impl Position {
    /// Parses the text that [`Display`](fmt::Display) writes, and no other form of it.
    pub fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('-')?;
        Some(Self { major: parse_number(major)?, minor: parse_number(minor)? })
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.major, self.minor)
    }
}

/// Digits without a sign and without leading zeros.
fn parse_number(text: &str) -> Option<u64> {
    let is_canonical = text == "0" || text.starts_with(|first: char| ('1'..='9').contains(&first));
    if is_canonical { text.parse().ok() } else { None }
}

/// An entry of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamEntry {
    /// Its position. A notice by which a store reports that it has lost entries has none.
    pub position: Option<Position>,
    /// When it was published, by the publisher's clock.
    pub published_at: Timestamp,
    /// The revocation.
    pub revocation: Revocation,
}

/// Entries that were read together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamPage {
    /// The entries, oldest first.
    pub entries: Vec<StreamEntry>,
    /// Where to go on.
    pub cursor: Cursor,
    /// Identifies the sequence that positions belong to: another one if entries were lost. Empty if nothing was ever
    /// published.
    pub epoch: String,
    /// The position of the last entry that was read. Without entries it is that of the last entry that was ever
    /// published, as far as the store knows.
    pub end: Position,
    /// True if there may be more entries.
    pub has_more: bool,
    /// The store's time when it was read. `None` if the store has no clock but that of this process.
    pub store_time: Option<Timestamp>,
}

impl StreamPage {
    /// True if the store has lost entries before this page.
    pub fn has_lost_entries(&self) -> bool {
        self.entries.iter().any(|entry| entry.position.is_none())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_written_form_of_a_position_is_parsed() {
        let position = Position { major: 1_763_130_320_123, minor: 7 };
        assert_eq!(position.to_string(), "1763130320123-7");
        assert_eq!(Position::parse("1763130320123-7"), Some(position));
        assert_eq!(Position::parse("0-0"), Some(Position::default()));
        for text in ["", "-", "1", "1-", "-1", "+1-0", "01-0", "1-00", "1-0-0", "1- 0", "99999999999999999999-0"] {
            assert_eq!(Position::parse(text), None, "{text}");
        }
    }
}
