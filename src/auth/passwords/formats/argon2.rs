//! Argon2 (RFC 9106) in PHC strings: the form in which passwords are stored here, and which others store too.

use std::fmt::Write;
use std::time::Duration;

use ::argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::{InvalidHash, MAX_MEMORY, MAX_WRITTEN, constant_time_eq, decode_base64, decode_output, number, split_fields, value};
use crate::auth::passwords::{Memory, Password};
use crate::store::accounts::PasswordHash;

/// How many bytes of salt our own hashes have (RFC 9106, 3.1: 16 are recommended).
const SALT: usize = 16;
/// How many bytes our own hashes have (RFC 9106, 4: 256 bits).
const OUTPUT: usize = 32;

/// What hashing takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::auth::passwords) struct Argon2Cost {
    pub(in crate::auth::passwords) memory_kib: u32,
    pub(in crate::auth::passwords) passes: u32,
    pub(in crate::auth::passwords) lanes: u32,
}

impl Argon2Cost {
    /// Whether Argon2 takes these (RFC 9106, 3.1), and if not, what is wrong.
    pub(in crate::auth::passwords) fn check(self) -> Result<Params, &'static str> {
        // The limit comes before `Params::new`, which multiplies the lanes by eight in 32 bits.
        if self.lanes == 0 || self.lanes > 255 {
            Err("fewer than one lane or more than 255")
        } else if self.passes == 0 {
            Err("no pass")
        } else {
            Params::new(self.memory_kib, self.passes, self.lanes, None).map_err(|_| "less than 8 KiB of memory a lane")
        }
    }

    /// How long a hash may take on a machine of which nothing is known: a microsecond for each KiB that is written, which
    /// few are slower than.
    pub(in crate::auth::passwords) fn estimate(self) -> Duration {
        Duration::from_micros(u64::from(self.memory_kib) * u64::from(self.passes))
    }
}

/// A stored Argon2 hash.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::auth::passwords) struct Argon2Hash {
    variant: Algorithm,
    version: Version,
    cost: Argon2Cost,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

impl Argon2Hash {
    /// Hashes a password as it is done today.
    pub(in crate::auth::passwords) fn create(
        password: &Password,
        cost: Argon2Cost,
        salt: [u8; SALT],
        memory: &mut Memory,
    ) -> PasswordHash {
        let mut made = Self::dummy(cost, salt, [0; OUTPUT]);
        #[allow(clippy::expect_used, reason = "`cost` was checked at the start; the lengths are constants")]
        let hash = made.compute(password, memory).expect("Argon2 takes its parameters");
        made.hash = hash;
        PasswordHash(made.text())
    }

    /// A hash as it is made today that no password has: what a sign-in of nobody is checked against.
    pub(in crate::auth::passwords) fn dummy(cost: Argon2Cost, salt: [u8; SALT], hash: [u8; OUTPUT]) -> Self {
        Self { variant: Algorithm::Argon2id, version: Version::V0x13, cost, salt: salt.to_vec(), hash: hash.to_vec() }
    }

    /// Reads what follows `$argon2id$`: `v=19$m=65536,t=3,p=4$salt$hash`. Hashes without `v` are of version 16 (1.0).
    pub(super) fn parse(variant: &str, rest: &str) -> Result<Self, InvalidHash> {
        let variant = Algorithm::new(variant).map_err(|_| InvalidHash::UnknownFormat)?;
        let (version, rest) = match rest.strip_prefix("v=") {
            Some(versioned) => versioned.split_once('$').ok_or(InvalidHash::Malformed("a field is missing"))?,
            None => ("16", rest),
        };
        let version = match version {
            "16" => Version::V0x10,
            "19" => Version::V0x13,
            _ => return Err(InvalidHash::Malformed("no such version of Argon2")),
        };
        let [costs, salt, hash] = split_fields(rest)?;
        // `keyid` and `data` would follow; a hash that has them was made with a key that is not here.
        let mut costs = costs.split(',');
        let memory_kib = number(value(costs.next(), "m")?)?;
        let passes = number(value(costs.next(), "t")?)?;
        let lanes = number(value(costs.next(), "p")?)?;
        if costs.next().is_some() {
            return Err(InvalidHash::Malformed("a parameter too many"));
        }
        let cost = Argon2Cost { memory_kib, passes, lanes };
        cost.check().map_err(InvalidHash::Malformed)?;
        let memory = u64::from(memory_kib) << 10;
        if memory > MAX_MEMORY {
            return Err(InvalidHash::TooExpensive("m"));
        }
        if memory.saturating_mul(passes.into()) > MAX_WRITTEN {
            return Err(InvalidHash::TooExpensive("m times t"));
        }
        let salt = decode_base64(salt)?;
        if salt.len() < ::argon2::MIN_SALT_LEN {
            return Err(InvalidHash::Malformed("the salt is too short"));
        }
        Ok(Self { variant, version, cost, salt, hash: decode_output(hash)? })
    }

    /// Whether this is what is made today with that cost.
    pub(super) fn has_cost(&self, cost: Argon2Cost) -> bool {
        self.shape() == Self::dummy(cost, [0; SALT], [0; OUTPUT]).shape()
    }

    /// Everything that decides how much work it is to check this.
    pub(in crate::auth::passwords) fn shape(&self) -> impl PartialEq + std::fmt::Debug + use<> {
        (self.variant, self.version, self.cost, self.salt.len(), self.hash.len())
    }

    pub(super) fn matches(&self, password: &Password, memory: &mut Memory) -> bool {
        self.compute(password, memory).is_ok_and(|hash| constant_time_eq(&hash, &self.hash))
    }

    fn compute(&self, password: &Password, memory: &mut Memory) -> Result<Vec<u8>, &'static str> {
        let mut hash = vec![0; self.hash.len()];
        Argon2::new(self.variant, self.version, self.cost.check()?)
            .hash_password_into_with_memory(
                password.reveal().as_bytes(),
                &self.salt,
                &mut hash,
                memory.blocks(self.cost.memory_kib),
            )
            .map_err(|_| "a length that Argon2 does not take")?;
        Ok(hash)
    }

    fn text(&self) -> String {
        let Argon2Cost { memory_kib, passes, lanes } = self.cost;
        let mut text = format!("${}$v={}$", self.variant.as_str(), self.version as u32);
        // Writing to a String does not fail.
        let _ = write!(text, "m={memory_kib},t={passes},p={lanes}$");
        STANDARD_NO_PAD.encode_string(&self.salt, &mut text);
        text.push('$');
        STANDARD_NO_PAD.encode_string(&self.hash, &mut text);
        text
    }
}
