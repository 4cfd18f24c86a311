//! The key itself: `sk_<12 characters>_<32 characters>_<6 characters>`: a visible prefix, 160 random bits, and a checksum, so that a
//! typing error or a scanner's guess is refused without asking anyone.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use zeroize::Zeroizing;

use crate::rng::Rng;

/// Crockford's base 32, lower case: nothing to mistake, a double click takes it whole, five bits a character without bias.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

const PREFIX: usize = 3 + 12;
const BODY: usize = PREFIX + 1 + 32;
const WHOLE: usize = BODY + 1 + 6;

/// A key that was just made. Its Debug form shows the prefix alone.
pub struct NewKey(Zeroizing<String>);

impl fmt::Debug for NewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewKey({}…)", self.prefix())
    }
}

impl NewKey {
    /// Draws a key.
    pub fn draw(rng: &Rng) -> Self {
        let mut text = Zeroizing::new(String::with_capacity(WHOLE));
        text.push_str("sk_");
        text.extend(letters(&rng.bytes::<12>()));
        text.push('_');
        text.extend(letters(&rng.bytes::<32>()));
        let sum = checksum(&text);
        text.push('_');
        text.push_str(&sum);
        Self(text)
    }

    /// Its visible beginning.
    pub fn prefix(&self) -> &str {
        &self.0[..PREFIX]
    }

    /// The whole key, to be told once.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is kept of it.
    pub fn digest(&self) -> [u8; 32] {
        digest_of(&self.0)
    }
}

/// Whether a credential claims to be an API key rather than a token. A JWT never begins so.
pub fn looks_like_one(credential: &str) -> bool {
    credential.starts_with("sk_")
}

/// Whether a text has a key's form and checksum.
pub fn well_formed(key: &str) -> bool {
    key.len() == WHOLE
        && key.is_ascii()
        && looks_like_one(key)
        && key.as_bytes()[BODY] == b'_'
        && key[BODY + 1..] == *checksum(&key[..BODY])
}

/// The visible beginning of a text that is well formed.
pub(super) fn prefix_of(key: &str) -> Option<&str> {
    key.get(..PREFIX)
}

pub(super) fn digest_of(key: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, key.as_bytes()).as_ref());
    bytes
}

fn checksum(body: &str) -> String {
    letters(&digest(&SHA256, body.as_bytes()).as_ref()[..6]).collect()
}

fn letters(bytes: &[u8]) -> impl Iterator<Item = char> {
    bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte & 31)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawn_key_is_well_formed_and_no_other_text_is() {
        let key = NewKey::draw(&Rng::system());
        let text = key.reveal();
        assert!(well_formed(text));
        assert_eq!((key.prefix().len(), &text[..3]), (15, "sk_"));
        for at in 0..text.len() {
            let mut changed = text.to_owned().into_bytes();
            changed[at] = if changed[at] == b'x' { b'y' } else { b'x' };
            assert!(!well_formed(std::str::from_utf8(&changed).unwrap()), "character {at}");
            assert!(!well_formed(&text[..at]));
        }
        assert!(!well_formed(&"é".repeat(WHOLE / 2)));
        assert!(!format!("{key:?}").contains(&text[PREFIX + 1..BODY]));
    }
}
