//! PBKDF2 (RFC 8018, 5.2) with HMAC-SHA-256, in the formats of PHC strings, passlib and Django.

use std::num::NonZeroU32;

use aws_lc_rs::pbkdf2::{self, PBKDF2_HMAC_SHA256};

use super::{InvalidHash, MAX_FIELD, decode_base64, decode_output, number, split_fields, value};
use crate::auth::passwords::Password;

/// Django's 1,200,000 of 2025, and a margin for its increases of some years: one or two seconds.
const MAX_ROUNDS: u32 = 5_000_000;

/// A stored PBKDF2 hash.
pub(in crate::auth::passwords) struct Pbkdf2Hash {
    rounds: NonZeroU32,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

impl Pbkdf2Hash {
    /// Parses the text after `$pbkdf2-sha256$`: `i=600000$salt$hash`, optionally with `,l=` and the length of the hash
    /// after the rounds; or passlib's `29000$salt$hash`, whose base64 has `.` instead of `+`.
    pub(super) fn parse(rest: &str) -> Result<Self, InvalidHash> {
        let [costs, salt, hash] = split_fields(rest)?;
        if !costs.starts_with("i=") {
            let plus = |text: &str| text.replace('.', "+");
            return Self::new(number(costs)?, decode_base64(&plus(salt))?, decode_output(&plus(hash))?);
        }
        let mut costs = costs.split(',');
        let rounds = number(value(costs.next(), "i")?)?;
        let hash = decode_output(hash)?;
        if let Some(length) = costs.next()
            && number(value(Some(length), "l")?)? as usize != hash.len()
        {
            return Err(InvalidHash::Malformed("the hash has not the length that is said"));
        }
        if costs.next().is_some() {
            return Err(InvalidHash::Malformed("a parameter too many"));
        }
        Self::new(rounds, decode_base64(salt)?, hash)
    }

    /// Parses the text after Django's `pbkdf2_sha256$`: `1000000$salt$hash`, with the salt as text.
    pub(super) fn parse_django(rest: &str) -> Result<Self, InvalidHash> {
        let [rounds, salt, hash] = split_fields(rest)?;
        Self::new(number(rounds)?, salt.as_bytes().to_vec(), decode_output(hash)?)
    }

    fn new(rounds: u32, salt: Vec<u8>, hash: Vec<u8>) -> Result<Self, InvalidHash> {
        let rounds = NonZeroU32::new(rounds).ok_or(InvalidHash::Malformed("no rounds"))?;
        // Every 32 bytes of output cost all rounds again (RFC 8018, 5.2).
        let blocks = hash.len().div_ceil(32) as u64;
        if u64::from(rounds.get()) * blocks > MAX_ROUNDS.into() {
            return Err(InvalidHash::TooExpensive("the rounds of PBKDF2"));
        }
        if salt.len() > MAX_FIELD {
            return Err(InvalidHash::Malformed("a field is too long"));
        }
        Ok(Self { rounds, salt, hash })
    }

    /// Compares in constant time.
    pub(super) fn matches(&self, password: &Password) -> bool {
        let password = password.reveal().as_bytes();
        pbkdf2::verify(PBKDF2_HMAC_SHA256, self.rounds, &self.salt, password, &self.hash).is_ok()
    }
}
