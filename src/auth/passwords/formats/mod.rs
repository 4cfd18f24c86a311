//! The stored forms of a password that are understood: our own, and those of the systems that users come from.
//!
//! | form | from |
//! |---|---|
//! | `$argon2id$v=19$m=…,t=…,p=…$salt$hash`, `$argon2i$…`, `$argon2d$…` | PHC; ours is the first |
//! | `argon2$argon2id$…` | Django |
//! | `$2a$…`, `$2b$…`, `$2y$…` | bcrypt |
//! | `bcrypt$$2b$…`, `bcrypt_sha256$$2b$…` | Django |
//! | `$scrypt$ln=…,r=…,p=…$salt$hash` | PHC, passlib |
//! | `scrypt$n$salt$r$p$hash` | Django |
//! | `$fbscrypt$v=1,n=…,r=…,p=1,ss=…,sk=…$salt$hash` | Firebase, as an export's five values are commonly put into one line |
//! | `$pbkdf2-sha256$i=…$salt$hash`, `$pbkdf2-sha256$…$salt$hash` | PHC, passlib |
//! | `pbkdf2_sha256$…$salt$hash` | Django |
//!
//! Each is checked to be check_cost when it is read: what a hash says about its own cost comes from outside, and a made-up
//! one must not keep a thread for minutes or take the machine's memory. Knows nothing of threads or users.

mod argon2;
mod bcrypt;
mod firebase;
mod pbkdf2;
mod scrypt;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use subtle::ConstantTimeEq;

pub(super) use self::argon2::{Argon2Cost, Argon2Hash};
use self::bcrypt::BcryptHash;
use self::firebase::FirebaseHash;
use self::pbkdf2::Pbkdf2Hash;
use self::scrypt::ScryptHash;
use super::{Memory, Password};
use crate::store::accounts::PasswordHash;

/// The most memory that checking one hash may take: libsodium's "moderate", twice what OWASP has for scrypt.
const MAX_MEMORY: u64 = 256 << 20;
/// The most memory that checking one hash may write to, over all passes: around a second.
const MAX_WRITTEN: u64 = 1 << 30;
/// Fewer bytes of a hash than this can be hit by guessing (the PHC string format recommends no fewer).
const MIN_OUTPUT: usize = 12;
/// More bytes of a hash, or of a salt, than any of the systems makes.
const MAX_FIELD: usize = 256;

/// A password's stored form, read and found affordable.
pub(super) enum StoredHash {
    /// Argon2, in any of its variants.
    Argon2(Argon2Hash),
    /// bcrypt.
    Bcrypt(BcryptHash),
    /// scrypt.
    Scrypt(ScryptHash),
    /// Firebase's own way with scrypt.
    Firebase(FirebaseHash),
    /// PBKDF2 with HMAC-SHA-256.
    Pbkdf2(Pbkdf2Hash),
}

/// Why a stored form cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHash {
    /// It begins like none of the forms that are understood.
    #[error("the password hash has no known format")]
    UnknownFormat,
    /// It begins like one of them, and does not go on like it.
    #[error("the password hash is malformed: {0}")]
    Malformed(&'static str),
    /// Checking it would take too much memory or time.
    #[error("the password hash is too expensive to check: {0}")]
    TooExpensive(&'static str),
}

/// Takes over a hash that another system made, if it can be checked here.
pub fn import(text: &str) -> Result<PasswordHash, InvalidHash> {
    StoredHash::parse(text).map(|_| PasswordHash(text.to_owned()))
}

impl StoredHash {
    /// Reads a stored form.
    pub(super) fn parse(text: &str) -> Result<Self, InvalidHash> {
        let (scheme, rest) = match text.strip_prefix('$') {
            Some(modular) => modular.split_once('$').ok_or(InvalidHash::UnknownFormat)?,
            // Django puts its own name of the algorithm before what may be a whole modular hash.
            None => return Self::parse_django(text),
        };
        match scheme {
            "argon2id" | "argon2i" | "argon2d" => Argon2Hash::parse(scheme, rest).map(Self::Argon2),
            "2a" | "2b" | "2y" => BcryptHash::parse(rest).map(Self::Bcrypt),
            "scrypt" => ScryptHash::parse(rest).map(Self::Scrypt),
            "fbscrypt" => FirebaseHash::parse(rest).map(Self::Firebase),
            "pbkdf2-sha256" => Pbkdf2Hash::parse(rest).map(Self::Pbkdf2),
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
            "pbkdf2_sha256" => Pbkdf2Hash::parse_django(rest).map(Self::Pbkdf2),
            _ => Err(InvalidHash::UnknownFormat),
        }
    }

    /// Whether this was made of the password. Slow on purpose.
    pub(super) fn matches(&self, password: &Password, memory: &mut Memory) -> bool {
        match self {
            Self::Argon2(hash) => hash.matches(password, memory),
            Self::Bcrypt(hash) => hash.matches(password),
            Self::Scrypt(hash) => hash.matches(password),
            Self::Firebase(hash) => hash.matches(password),
            Self::Pbkdf2(hash) => hash.matches(password),
        }
    }

    /// Whether this is what would be made today.
    pub(super) fn has_cost(&self, cost: Argon2Cost) -> bool {
        matches!(self, Self::Argon2(hash) if hash.has_cost(cost))
    }
}

/// Base64 as the forms write it: with padding or without, and always canonical otherwise.
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

/// A decimal number as everybody writes it: digits, no sign, no zero before another digit.
fn number(text: &str) -> Result<u32, InvalidHash> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain).ok_or(InvalidHash::Malformed("not a number"))
}

/// The value of `name=value`.
fn value<'a>(text: Option<&'a str>, name: &'static str) -> Result<&'a str, InvalidHash> {
    text.and_then(|text| text.strip_prefix(name)?.strip_prefix('=')).ok_or(InvalidHash::Malformed(name))
}

/// The parts between dollar signs, if they are exactly so many.
fn split_fields<const N: usize>(text: &str) -> Result<[&str; N], InvalidHash> {
    let mut parts = text.split('$');
    let mut found = [""; N];
    for part in &mut found {
        *part = parts.next().ok_or(InvalidHash::Malformed("a field is missing"))?;
    }
    if parts.next().is_some() { Err(InvalidHash::Malformed("a field too many")) } else { Ok(found) }
}

/// Whether two hashes are the same, in a time that does not tell how much of them is.
fn constant_time_eq(ours: &[u8], theirs: &[u8]) -> bool {
    ours.ct_eq(theirs).into()
}

#[cfg(test)]
mod tests;
