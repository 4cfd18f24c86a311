//! E-mail addresses and usernames in canonical form: the form that is stored, compared and counted by rate limits.
//!
//! Every spelling of an address leads to the same account and the same limits.

mod email;
mod username;

pub use email::{Email, EmailError};
pub use username::{Username, UsernameError};

/// A login name: an address if it contains an `@`, a username otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// An address.
    Email(Email),
    /// A username.
    Username(Username),
}

impl Login {
    /// Parses a login name. `None` if it can belong to no user.
    pub fn parse(text: &str) -> Option<Self> {
        if text.contains('@') {
            Email::parse(text).ok().map(Self::Email)
        } else {
            Username::parse(text).ok().map(Self::Username)
        }
    }

    /// The unique form.
    pub fn key(&self) -> &str {
        match self {
            Self::Email(email) => email.as_str(),
            Self::Username(username) => username.key(),
        }
    }
}

/// Zero-width, bidirectional, variation and tag characters, fillers, and private-use characters: one of them makes a
/// different name that looks the same.
fn invisible(c: char) -> bool {
    matches!(u32::from(c), 0xAD | 0x34F | 0x61C | 0x115F | 0x1160 | 0x17B4 | 0x17B5 | 0x180B..=0x180F | 0x200B..=0x200F
        | 0x2028..=0x202E | 0x2060..=0x206F | 0x3164 | 0xFE00..=0xFE0F | 0xFEFF | 0xFFA0 | 0xFFF0..=0xFFFD | 0xE0000..=0xE0FFF
        | 0xE000..=0xF8FF)
}
