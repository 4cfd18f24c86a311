//! E-mail addresses and usernames in canonical form: the form that is stored, compared and counted by rate limits.
//!
//! Every spelling of an address leads to the same account and the same limits.

mod email;
mod username;

pub use email::{Email, EmailError, MAX_EMAIL};
pub use username::{Username, UsernameError, other_keys};

use super::invisible::is_displayed_as_nothing;

/// A login name: an address if it contains an `@`, a username otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginName {
    /// An address.
    Email(Email),
    /// A username.
    Username(Username),
}

impl LoginName {
    /// Parses a login name. `None` if it can belong to no user.
    pub fn parse(text: &str) -> Option<Self> {
        if text.contains('@') {
            Email::parse(text).ok().map(Self::Email)
        } else {
            Username::parse(text).ok().map(Self::Username)
        }
    }

    /// The subject that limits count: the same for all spellings of a name, also if no user has the name. With a counter
    /// for each spelling of such a name, the limits would tell it from the name of a user.
    pub fn limit_subject(&self) -> String {
        match self {
            Self::Email(email) => email.as_str().to_owned(),
            Self::Username(username) => username.key_of_all_spellings(),
        }
    }
}

/// Returns true for characters that are invisible, and for those that have no glyph of their own: line and paragraph
/// separators, private-use and special characters. A name with one of them looks the same as the name without.
fn is_invisible(c: char) -> bool {
    is_displayed_as_nothing(c)
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{e000}'..='\u{f8ff}' | '\u{fff9}'..='\u{fffd}')
}
