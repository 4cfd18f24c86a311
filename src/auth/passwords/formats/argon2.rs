//! Argon2 (RFC 9106) in PHC strings: the format of our own hashes, which other systems use as well.

use std::fmt::Write;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use signet_argon2::{Algorithm, Argon2, Implementation, MIN_SALT_LEN, Params, Version};

use super::{
    InvalidHash, MAX_MEMORY, MAX_WRITTEN, constant_time_eq, decode_base64, decode_output, number, split_fields, value,
};
use crate::auth::passwords::{Memory, Password};
use crate::priority::Computation;
use crate::store::accounts::PasswordHash;

/// Bytes of salt in our own hashes (RFC 9106, 3.1 recommends 16).
const SALT: usize = 16;
/// Bytes of output in our own hashes (RFC 9106, 4: 256 bits).
const OUTPUT: usize = 32;

/// The cost parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::auth::passwords) struct Argon2Cost {
    pub(in crate::auth::passwords) memory_kib: u32,
    pub(in crate::auth::passwords) passes: u32,
    pub(in crate::auth::passwords) lanes: u32,
}

impl Argon2Cost {
    /// Checks that Argon2 allows these parameters (RFC 9106, 3.1).
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

    /// Estimates the time of a hash on an unknown machine: a microsecond for each KiB written. Few machines are slower.
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
    /// Hashes a password with a new salt.
    pub(in crate::auth::passwords) fn create(
        password: &Password,
        cost: Argon2Cost,
        salt: [u8; SALT],
        implementation: Implementation,
        memory: &mut Memory,
    ) -> PasswordHash {
        let mut new = Self::dummy(cost, salt, [0; OUTPUT]);
        #[allow(clippy::expect_used, reason = "`cost` was checked at the start; the lengths are constants")]
        let hash = new.compute(password, implementation, memory).expect("valid Argon2 parameters");
        new.hash = hash;
        PasswordHash(new.to_phc_string())
    }

    /// A hash of the same form that no password matches. A sign-in of an unknown user is checked against it.
    pub(in crate::auth::passwords) fn dummy(cost: Argon2Cost, salt: [u8; SALT], hash: [u8; OUTPUT]) -> Self {
        Self { variant: Algorithm::Argon2id, version: Version::V0x13, cost, salt: salt.to_vec(), hash: hash.to_vec() }
    }

    /// Parses the text after `$argon2id$`: `v=19$m=65536,t=3,p=4$salt$hash`. Hashes without `v` are of version 16
    /// (1.0).
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
        // `keyid` and `data` could follow; a hash with them was created with a secret key that is not available here.
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
        if salt.len() < MIN_SALT_LEN {
            return Err(InvalidHash::Malformed("the salt is too short"));
        }
        Ok(Self { variant, version, cost, salt, hash: decode_output(hash)? })
    }

    /// Returns true if a new hash with this cost would have the same parameters and lengths.
    pub(super) fn has_cost(&self, cost: Argon2Cost) -> bool {
        self.shape() == Self::dummy(cost, [0; SALT], [0; OUTPUT]).shape()
    }

    /// Everything that determines the work of checking this hash.
    pub(in crate::auth::passwords) fn shape(&self) -> impl PartialEq + std::fmt::Debug + use<> {
        (self.variant, self.version, self.cost, self.salt.len(), self.hash.len())
    }

    pub(super) fn matches(&self, password: &Password, implementation: Implementation, memory: &mut Memory) -> bool {
        self.compute(password, implementation, memory).is_ok_and(|hash| constant_time_eq(&hash, &self.hash))
    }

    fn compute(
        &self,
        password: &Password,
        implementation: Implementation,
        memory: &mut Memory,
    ) -> Result<Vec<u8>, &'static str> {
        let mut hash = vec![0; self.hash.len()];
        let blocks = memory.blocks(self.cost.memory_kib);
        let mut computation = Computation::begin();
        Argon2::new(implementation, self.variant, self.version, self.cost.check()?)
            .hash_with_pauses(password.reveal().as_bytes(), &self.salt, &mut hash, blocks, &mut || computation.pause())
            .map_err(|_| "a length that Argon2 does not take")?;
        Ok(hash)
    }

    fn to_phc_string(&self) -> String {
        let Argon2Cost { memory_kib, passes, lanes } = self.cost;
        let mut text = format!("${}$v={}$", self.variant.as_str(), self.version as u32);
        // Writing to a String cannot fail.
        let _ = write!(text, "m={memory_kib},t={passes},p={lanes}$");
        STANDARD_NO_PAD.encode_string(&self.salt, &mut text);
        text.push('$');
        STANDARD_NO_PAD.encode_string(&self.hash, &mut text);
        text
    }
}
