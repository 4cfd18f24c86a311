//! Passwords: the policy for new ones ([`Policy`]), hashing ([`Hasher`]), hashes of other systems ([`import_hash`]),
//! password resets and re-authentication.
//!
//! Hashing is slow on purpose, so it has threads of its own. A rush of sign-ins fills their queue, further sign-ins are
//! held for a moment and then rejected with a request to retry, and nothing else slows down. Policy and hashing know
//! nothing of users, requests or stores.

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

pub use formats::{InvalidHash, import_hash};
pub use hasher::{Hasher, QueueSlot, StartError, Verdict};
pub use policy::{Policy, PolicyViolation};
pub use pool::Busy;
pub use reauthenticate::IdentityProof;

use memory::Memory;

/// A password as typed. Wiped when dropped; its Debug form does not show it.
///
/// It is used byte for byte. Normalization (NFC, NFKC) would lock out users imported from a system that does not
/// normalize.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// Takes ownership of the text, so that no copy stays behind.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text, for hashing and comparing.
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
    fn debug_form_does_not_show_the_password() {
        let password: Password = serde_json::from_str("\"correct horse\"").unwrap();
        assert_eq!(password.reveal(), "correct horse");
        assert!(!format!("{password:?}").contains("horse"));
    }
}
