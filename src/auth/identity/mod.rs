//! What people call themselves: the one form in which an address or a name is stored, compared and counted.
//!
//! Whoever spells an address another way meets the same account and the same limits.

mod email;
mod username;

pub use email::{BadEmail, Email};
pub use username::{BadUsername, Username};

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
    pub fn read(text: &str) -> Option<Self> {
        if text.contains('@') {
            Email::read(text).ok().map(Self::Email)
        } else {
            Username::read(text).ok().map(Self::Username)
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
