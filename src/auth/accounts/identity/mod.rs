//! What people call themselves: the one form in which an address or a name is stored, compared and counted.
//!
//! Whoever spells an address another way meets the same account and the same limits.

mod email;
mod username;

pub use email::{EmailError, Email};
pub use username::{UsernameError, Username};

/// What somebody signs in with: an address if it has an `@`, a username otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// An address.
    Email(Email),
    /// A username.
    Username(Username),
}

impl Login {
    /// Reads either; what is neither names nobody.
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

/// Zero-width, bidirectional, variation and tag characters, fillers, and what Unicode does not assign a meaning: with one of them a
/// name is another that looks the same.
fn invisible(c: char) -> bool {
    matches!(u32::from(c), 0xAD | 0x34F | 0x61C | 0x115F | 0x1160 | 0x17B4 | 0x17B5 | 0x180B..=0x180F | 0x200B..=0x200F
        | 0x2028..=0x202E | 0x2060..=0x206F | 0x3164 | 0xFE00..=0xFE0F | 0xFEFF | 0xFFA0 | 0xFFF0..=0xFFFD | 0xE0000..=0xE0FFF
        | 0xE000..=0xF8FF)
}
