//! PBKDF2 (RFC 8018, 5.2) with HMAC-SHA-1, -256 or -512, in the formats of PHC strings, passlib and Django.

use std::num::NonZeroU32;

use aws_lc_rs::pbkdf2::{self, PBKDF2_HMAC_SHA1, PBKDF2_HMAC_SHA256, PBKDF2_HMAC_SHA512};

use super::{InvalidHash, MAX_FIELD, decode_base64, decode_output, number, split_fields, value};
use crate::auth::passwords::Password;

/// With SHA-256: Django's 1,200,000 of 2025, and a margin for its increases of some years. Takes one or two seconds.
/// The same number with SHA-1, of which OWASP recommends 1,300,000.
const MAX_ROUNDS: u32 = 5_000_000;

/// With SHA-512, of which OWASP recommends 210,000: a round hashes blocks twice as long.
const MAX_ROUNDS_SHA512: u32 = 2_500_000;

/// The hash function below HMAC.
#[derive(Clone, Copy)]
pub(super) enum Digest {
    Sha1,
    Sha256,
    Sha512,
}

impl Digest {
    fn algorithm(self) -> pbkdf2::Algorithm {
        match self {
            Self::Sha1 => PBKDF2_HMAC_SHA1,
            Self::Sha256 => PBKDF2_HMAC_SHA256,
            Self::Sha512 => PBKDF2_HMAC_SHA512,
        }
    }

    /// Bytes of its output. Every such number of bytes costs all rounds again (RFC 8018, 5.2).
    fn length(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }

    fn max_rounds(self) -> u32 {
        match self {
            Self::Sha1 | Self::Sha256 => MAX_ROUNDS,
            Self::Sha512 => MAX_ROUNDS_SHA512,
        }
    }
}

/// A stored PBKDF2 hash.
pub(in crate::auth::passwords) struct Pbkdf2Hash {
    digest: Digest,
    rounds: NonZeroU32,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

impl Pbkdf2Hash {
    /// Parses the text after the name, such as `$pbkdf2-sha256$`: `i=600000$salt$hash`, optionally with `,l=` and the
    /// length of the hash after the rounds; or passlib's `29000$salt$hash`, whose base64 has `.` instead of `+`.
    pub(super) fn parse(digest: Digest, rest: &str) -> Result<Self, InvalidHash> {
        let [costs, salt, hash] = split_fields(rest)?;
        if !costs.starts_with("i=") {
            let plus = |text: &str| text.replace('.', "+");
            return Self::new(digest, number(costs)?, decode_base64(&plus(salt))?, decode_output(&plus(hash))?);
        }
        let mut costs = costs.split(',');
        let rounds = number(value(costs.next(), "i")?)?;
        let hash = decode_output(hash)?;
        if let Some(length) = costs.next()
            && number(value(Some(length), "l")?)? as usize != hash.len()
        {
            return Err(InvalidHash::Malformed("the hash does not have the stated length"));
        }
        if costs.next().is_some() {
            return Err(InvalidHash::Malformed("a parameter too many"));
        }
        Self::new(digest, rounds, decode_base64(salt)?, hash)
    }

    /// Parses the text after Django's name, such as `pbkdf2_sha256$`: `1000000$salt$hash`, with the salt as text.
    pub(super) fn parse_django(digest: Digest, rest: &str) -> Result<Self, InvalidHash> {
        let [rounds, salt, hash] = split_fields(rest)?;
        Self::new(digest, number(rounds)?, salt.as_bytes().to_vec(), decode_output(hash)?)
    }

    fn new(digest: Digest, rounds: u32, salt: Vec<u8>, hash: Vec<u8>) -> Result<Self, InvalidHash> {
        let rounds = NonZeroU32::new(rounds).ok_or(InvalidHash::Malformed("no rounds"))?;
        let blocks = hash.len().div_ceil(digest.length()) as u64;
        if u64::from(rounds.get()) * blocks > digest.max_rounds().into() {
            return Err(InvalidHash::TooExpensive("the rounds of PBKDF2"));
        }
        if salt.len() > MAX_FIELD {
            return Err(InvalidHash::Malformed("a field is too long"));
        }
        Ok(Self { digest, rounds, salt, hash })
    }

    /// Compares in constant time.
    pub(super) fn matches(&self, password: &Password) -> bool {
        let password = password.reveal().as_bytes();
        pbkdf2::verify(self.digest.algorithm(), self.rounds, &self.salt, password, &self.hash).is_ok()
    }
}
