//! API keys: `sk_<12 characters>_<32 characters>_<6 characters>`, a visible prefix, 160 random bits and a checksum.
//!
//! The checksum refuses typing errors and a scanner's guesses without a query. Knows nothing of owners or stores.

use std::fmt;

use zeroize::Zeroizing;

use crate::encoding::{crockford_base32, sha256};
use crate::rng::Rng;

const PREFIX_END: usize = 3 + 12;
const BODY_END: usize = PREFIX_END + 1 + 32;
const LENGTH: usize = BODY_END + 1 + 6;

/// A generated key. Its Debug form shows only the prefix.
pub struct NewApiKey(Zeroizing<String>);

impl fmt::Debug for NewApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewApiKey({}…)", self.prefix())
    }
}

impl NewApiKey {
    /// Generates a key.
    pub fn generate(rng: &Rng) -> Self {
        let mut text = Zeroizing::new(String::with_capacity(LENGTH));
        text.push_str("sk_");
        text.extend(crockford_base32(&rng.bytes::<12>()));
        text.push('_');
        text.extend(crockford_base32(&rng.bytes::<32>()));
        let checksum = checksum(&text);
        text.push('_');
        text.push_str(&checksum);
        Self(text)
    }

    /// The visible prefix.
    pub fn prefix(&self) -> &str {
        &self.0[..PREFIX_END]
    }

    /// The whole key, which is shown to its owner once.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The digest that is stored.
    pub fn digest(&self) -> [u8; 32] {
        digest(&self.0)
    }
}

/// Tells an API key from a token: a JWT never begins with `sk_`.
pub fn has_api_key_prefix(credential: &str) -> bool {
    credential.starts_with("sk_")
}

/// Checks the form and the checksum.
pub fn is_well_formed(key: &str) -> bool {
    key.len() == LENGTH
        && key.is_ascii()
        && has_api_key_prefix(key)
        && key.as_bytes()[BODY_END] == b'_'
        && key[BODY_END + 1..] == *checksum(&key[..BODY_END])
}

/// The visible prefix of a well-formed key.
pub fn prefix(key: &str) -> Option<&str> {
    key.get(..PREFIX_END)
}

/// The digest by which a key is stored and compared.
pub fn digest(key: &str) -> [u8; 32] {
    sha256(key.as_bytes())
}

fn checksum(body: &str) -> String {
    crockford_base32(&sha256(body.as_bytes())[..6]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_generated_key_is_well_formed() {
        let key = NewApiKey::generate(&Rng::system());
        let text = key.reveal();
        assert!(is_well_formed(text));
        assert_eq!((key.prefix().len(), &text[..3]), (15, "sk_"));
        for at in 0..text.len() {
            let mut changed = text.to_owned().into_bytes();
            changed[at] = if changed[at] == b'x' { b'y' } else { b'x' };
            assert!(!is_well_formed(std::str::from_utf8(&changed).unwrap()), "character {at}");
            assert!(!is_well_formed(&text[..at]));
        }
        assert!(!is_well_formed(&"é".repeat(LENGTH / 2)));
        assert!(!format!("{key:?}").contains(&text[PREFIX_END + 1..BODY_END]));
    }
}
