//! The formats of stored password hashes: our own, and those of systems from which users are imported.
//!
//! | format | from |
//! |---|---|
//! | `$argon2id$v=19$m=…,t=…,p=…$salt$hash`, `$argon2i$…`, `$argon2d$…` | PHC; ours is the first |
//! | `argon2$argon2id$…` | Django |
//! | `$2a$…`, `$2b$…`, `$2y$…` | bcrypt |
//! | `bcrypt$$2b$…`, `bcrypt_sha256$$2b$…` | Django |
//! | `$scrypt$ln=…,r=…,p=…$salt$hash` | PHC, passlib |
//! | `scrypt$n$salt$r$p$hash` | Django |
//! | `$fbscrypt$v=1,n=…,r=…,p=1,ss=…,sk=…$salt$hash` | Firebase, the five values of an export in one line |
//! | `$pbkdf2-sha256$i=…$salt$hash`, `$pbkdf2-sha256$…$salt$hash` | PHC, passlib |
//! | the same with `$pbkdf2$` (SHA-1) and `$pbkdf2-sha512$` | PHC, passlib |
//! | `pbkdf2_sha256$…$salt$hash`, `pbkdf2_sha1$…` | Django |
//!
//! Parsing checks that a hash is affordable: its cost parameters come from outside, and a forged hash must not occupy a
//! thread for minutes or exhaust the memory. Knows nothing of threads or users.

mod argon2;
mod bcrypt;
mod firebase;
mod pbkdf2;
mod scrypt;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use signet_argon2::Implementation;
use subtle::ConstantTimeEq;

pub(super) use self::argon2::{Argon2Cost, Argon2Hash};
use self::bcrypt::BcryptHash;
use self::firebase::FirebaseHash;
use self::pbkdf2::{Digest, Pbkdf2Hash};
use self::scrypt::ScryptHash;
use super::{Memory, Password};
use crate::store::accounts::PasswordHash;

/// Maximum memory for checking one hash: libsodium's "moderate", twice OWASP's recommendation for scrypt.
const MAX_MEMORY: u64 = 256 << 20;
/// Maximum number of bytes that checking one hash may write, over all passes: about a second.
const MAX_WRITTEN: u64 = 1 << 30;
/// Minimum length of a hash: a shorter one can be matched by guessing (the PHC string format recommends no less).
const MIN_OUTPUT: usize = 12;
/// Maximum length of a hash or salt: more than any of the systems generates.
const MAX_FIELD: usize = 256;

/// A stored hash, parsed and affordable.
pub(super) enum StoredHash {
    /// Argon2, in any of its variants.
    Argon2(Argon2Hash),
    /// bcrypt.
    Bcrypt(BcryptHash),
    /// scrypt.
    Scrypt(ScryptHash),
    /// Firebase's variant of scrypt.
    Firebase(FirebaseHash),
    /// PBKDF2.
    Pbkdf2(Pbkdf2Hash),
}

/// Why a stored hash cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHash {
    /// The hash is in no known format.
    #[error("the password hash has no known format")]
    UnknownFormat,
    /// The hash has a known prefix but violates the format.
    #[error("the password hash is malformed: {0}")]
    Malformed(&'static str),
    /// Checking the hash would take too much memory or time.
    #[error("the password hash is too expensive to check: {0}")]
    TooExpensive(&'static str),
}

/// Accepts a hash of another system if it can be checked here.
pub fn import_hash(text: &str) -> Result<PasswordHash, InvalidHash> {
    StoredHash::parse(text).map(|_| PasswordHash(text.to_owned()))
}

impl StoredHash {
    /// Parses a stored hash.
    pub(super) fn parse(text: &str) -> Result<Self, InvalidHash> {
        let (scheme, rest) = match text.strip_prefix('$') {
            Some(modular) => modular.split_once('$').ok_or(InvalidHash::UnknownFormat)?,
            // Django prefixes its own name of the algorithm to what may be a complete modular hash.
            None => return Self::parse_django(text),
        };
        match scheme {
            "argon2id" | "argon2i" | "argon2d" => Argon2Hash::parse(scheme, rest).map(Self::Argon2),
            "2a" | "2b" | "2y" => BcryptHash::parse(rest).map(Self::Bcrypt),
            "scrypt" => ScryptHash::parse(rest).map(Self::Scrypt),
            "fbscrypt" => FirebaseHash::parse(rest).map(Self::Firebase),
            "pbkdf2" | "pbkdf2-sha1" => Pbkdf2Hash::parse(Digest::Sha1, rest).map(Self::Pbkdf2),
            "pbkdf2-sha256" => Pbkdf2Hash::parse(Digest::Sha256, rest).map(Self::Pbkdf2),
            "pbkdf2-sha512" => Pbkdf2Hash::parse(Digest::Sha512, rest).map(Self::Pbkdf2),
            _ => Err(InvalidHash::UnknownFormat),
        }
    }

    fn parse_django(text: &str) -> Result<Self, InvalidHash> {
        let (scheme, rest) = text.split_once('$').ok_or(InvalidHash::UnknownFormat)?;
        match scheme {
            "argon2" => match Self::parse(&format!("${rest}"))? {
                argon2 @ Self::Argon2(_) => Ok(argon2),
                _ => Err(InvalidHash::Malformed("not Argon2 inside")),
            },
            "bcrypt" | "bcrypt_sha256" => match Self::parse(rest)? {
                Self::Bcrypt(hash) if scheme == "bcrypt" => Ok(Self::Bcrypt(hash)),
                Self::Bcrypt(hash) => Ok(Self::Bcrypt(hash.of_sha256())),
                _ => Err(InvalidHash::Malformed("not bcrypt inside")),
            },
            "scrypt" => ScryptHash::parse_django(rest).map(Self::Scrypt),
            "pbkdf2_sha1" => Pbkdf2Hash::parse_django(Digest::Sha1, rest).map(Self::Pbkdf2),
            "pbkdf2_sha256" => Pbkdf2Hash::parse_django(Digest::Sha256, rest).map(Self::Pbkdf2),
            _ => Err(InvalidHash::UnknownFormat),
        }
    }

    /// Returns true if the password matches. Slow on purpose.
    pub(super) fn matches(&self, password: &Password, argon2: Implementation, memory: &mut Memory) -> bool {
        match self {
            Self::Argon2(hash) => hash.matches(password, argon2, memory),
            Self::Bcrypt(hash) => hash.matches(password),
            Self::Scrypt(hash) => hash.matches(password),
            Self::Firebase(hash) => hash.matches(password),
            Self::Pbkdf2(hash) => hash.matches(password),
        }
    }

    /// Returns true if a new hash with this cost would have the same format and parameters.
    pub(super) fn has_cost(&self, cost: Argon2Cost) -> bool {
        matches!(self, Self::Argon2(hash) if hash.has_cost(cost))
    }
}

/// Base64 as the formats use it: padding is optional, and everything else must be canonical.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

fn decode_base64(text: &str) -> Result<Vec<u8>, InvalidHash> {
    let bytes = BASE64.decode(text).map_err(|_| InvalidHash::Malformed("not base64"))?;
    if bytes.len() > MAX_FIELD { Err(InvalidHash::Malformed("a field is too long")) } else { Ok(bytes) }
}

fn decode_output(text: &str) -> Result<Vec<u8>, InvalidHash> {
    let bytes = decode_base64(text)?;
    if bytes.len() < MIN_OUTPUT { Err(InvalidHash::Malformed("the hash is too short")) } else { Ok(bytes) }
}

/// Parses a decimal number: digits only, no sign, no leading zero.
fn number(text: &str) -> Result<u32, InvalidHash> {
    let is_canonical = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_canonical).ok_or(InvalidHash::Malformed("not a number"))
}

/// The value of `name=value`.
fn value<'a>(text: Option<&'a str>, name: &'static str) -> Result<&'a str, InvalidHash> {
    text.and_then(|text| text.strip_prefix(name)?.strip_prefix('=')).ok_or(InvalidHash::Malformed(name))
}

/// Splits at dollar signs into exactly `N` fields.
fn split_fields<const N: usize>(text: &str) -> Result<[&str; N], InvalidHash> {
    let mut fields = text.split('$');
    let mut found = [""; N];
    for field in &mut found {
        *field = fields.next().ok_or(InvalidHash::Malformed("a field is missing"))?;
    }
    if fields.next().is_some() { Err(InvalidHash::Malformed("a field too many")) } else { Ok(found) }
}

/// Compares two hashes in constant time.
fn constant_time_eq(ours: &[u8], theirs: &[u8]) -> bool {
    ours.ct_eq(theirs).into()
}

#[cfg(test)]
mod tests;
