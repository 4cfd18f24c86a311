//! PBKDF2 (RFC 8018, 5.2) with HMAC-SHA-256 as PHC strings, passlib and Django write it.

use std::num::NonZeroU32;

use aws_lc_rs::pbkdf2::{self, PBKDF2_HMAC_SHA256};

use super::{MAX_FIELD, Unreadable, bytes, number, output, parts, value};
use crate::auth::passwords::Password;

/// Django's 1,200,000 of 2025, and room for what it adds in some years: one or two seconds.
const MAX_ROUNDS: u32 = 5_000_000;

/// A stored PBKDF2 hash.
pub(in crate::auth::passwords) struct Pbkdf2Hash {
    rounds: NonZeroU32,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

impl Pbkdf2Hash {
    /// Reads what follows `$pbkdf2-sha256$`: `i=600000$salt$hash`, perhaps with `,l=` and the length of the hash after the
    /// rounds; or passlib's `29000$salt$hash`, whose Base64 has `.` for `+`.
    pub(super) fn parse(rest: &str) -> Result<Self, Unreadable> {
        let [costs, salt, hash] = parts(rest)?;
        if !costs.starts_with("i=") {
            let plus = |text: &str| text.replace('.', "+");
            return Self::new(number(costs)?, bytes(&plus(salt))?, output(&plus(hash))?);
        }
        let mut costs = costs.split(',');
        let rounds = number(value(costs.next(), "i")?)?;
        let hash = output(hash)?;
        if let Some(length) = costs.next()
            && number(value(Some(length), "l")?)? as usize != hash.len()
        {
            return Err(Unreadable::Malformed("the hash has not the length that is said"));
        }
        if costs.next().is_some() {
            return Err(Unreadable::Malformed("a parameter too many"));
        }
        Self::new(rounds, bytes(salt)?, hash)
    }

    /// Reads what follows Django's `pbkdf2_sha256$`: `1000000$salt$hash`, the salt as text.
    pub(super) fn parse_django(rest: &str) -> Result<Self, Unreadable> {
        let [rounds, salt, hash] = parts(rest)?;
        Self::new(number(rounds)?, salt.as_bytes().to_vec(), output(hash)?)
    }

    fn new(rounds: u32, salt: Vec<u8>, hash: Vec<u8>) -> Result<Self, Unreadable> {
        let rounds = NonZeroU32::new(rounds).ok_or(Unreadable::Malformed("no rounds"))?;
        // Each 32 bytes of output cost all the rounds again (RFC 8018, 5.2).
        let blocks = hash.len().div_ceil(32) as u64;
        if u64::from(rounds.get()) * blocks > MAX_ROUNDS.into() {
            return Err(Unreadable::TooExpensive("the rounds of PBKDF2"));
        }
        if salt.len() > MAX_FIELD {
            return Err(Unreadable::Malformed("a field is too long"));
        }
        Ok(Self { rounds, salt, hash })
    }

    /// The comparison inside is in constant time.
    pub(super) fn matches(&self, password: &Password) -> bool {
        let password = password.reveal().as_bytes();
        pbkdf2::verify(PBKDF2_HMAC_SHA256, self.rounds, &self.salt, password, &self.hash).is_ok()
    }
}
