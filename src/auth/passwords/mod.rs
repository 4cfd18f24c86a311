//! Passwords: which are acceptable ([`Policy`]), how they are hashed ([`Hasher`]), and which hashes of other systems are
//! understood ([`import`]).
//!
//! Hashing is the one thing here that is slow on purpose, so it has threads of its own: a rush of sign-ins fills their
//! queue and is told to come back, and nothing else feels it. Knows nothing of users, requests or stores.

mod formats;
mod hasher;
mod memory;
mod policy;
mod pool;
pub(in crate::auth) mod reauthenticate;
pub mod request_reset;
pub mod reset;

use std::fmt;

use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

pub use formats::{Unreadable, import};
pub use hasher::{Hasher, QueueSlot, StartError, Verdict};
pub use policy::{Policy, Weak};
pub use pool::Busy;

use memory::Memory;

/// A password as somebody typed it: wiped when dropped, shown by no Debug form.
///
/// It is taken byte for byte. Normalising it (NFC, NFKC) would lock out whoever comes from a system that did not.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// Takes the text over, so that no copy of it stays behind.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// What was typed, for the command line and for comparing it with its repetition.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

impl<'de> Deserialize<'de> for Password {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_does_not_show_itself() {
        let password: Password = serde_json::from_str("\"correct horse\"").unwrap();
        assert_eq!(password.reveal(), "correct horse");
        assert!(!format!("{password:?}").contains("horse"));
    }
}
