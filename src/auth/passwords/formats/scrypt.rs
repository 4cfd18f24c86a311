//! scrypt (RFC 7914), in the formats of PHC strings and Django.

use ::scrypt::Params;

use super::{
    InvalidHash, MAX_FIELD, MAX_MEMORY, MAX_WRITTEN, constant_time_eq, decode_base64, decode_output, number,
    split_fields, value,
};
use crate::auth::passwords::Password;

/// A stored scrypt hash.
pub(in crate::auth::passwords) struct ScryptHash {
    params: Params,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

impl ScryptHash {
    /// Parses the text after `$scrypt$`: `ln=16,r=8,p=1$salt$hash`.
    pub(super) fn parse(rest: &str) -> Result<Self, InvalidHash> {
        let [costs, salt, hash] = split_fields(rest)?;
        let mut costs = costs.split(',');
        let log_n = number(value(costs.next(), "ln")?)?;
        let r = number(value(costs.next(), "r")?)?;
        let p = number(value(costs.next(), "p")?)?;
        if costs.next().is_some() {
            return Err(InvalidHash::Malformed("a parameter too many"));
        }
        Ok(Self { params: check_cost(log_n, r, p)?, salt: decode_base64(salt)?, hash: decode_output(hash)? })
    }

    /// Parses the text after Django's `scrypt$`: `16384$salt$8$5$hash`, with the salt as text.
    pub(super) fn parse_django(rest: &str) -> Result<Self, InvalidHash> {
        let [n, salt, r, p, hash] = split_fields(rest)?;
        let n = number(n)?;
        if !n.is_power_of_two() {
            return Err(InvalidHash::Malformed("n is no power of two"));
        }
        if salt.len() > MAX_FIELD {
            return Err(InvalidHash::Malformed("a field is too long"));
        }
        let params = check_cost(n.ilog2(), number(r)?, number(p)?)?;
        Ok(Self { params, salt: salt.as_bytes().to_vec(), hash: decode_output(hash)? })
    }

    pub(super) fn matches(&self, password: &Password) -> bool {
        let mut hash = vec![0; self.hash.len()];
        ::scrypt::scrypt(password.reveal().as_bytes(), &self.salt, &self.params, &mut hash).is_ok()
            && constant_time_eq(&hash, &self.hash)
    }
}

/// Checks that the parameters are valid and affordable. The memory is that of the mixing and of the `p` blocks that are
/// mixed one after the other (RFC 7914, 6). The limits come first, because `Params::new` multiplies in 32 bits.
pub(super) fn check_cost(log_n: u32, r: u32, p: u32) -> Result<Params, InvalidHash> {
    if log_n == 0 || r == 0 || p == 0 {
        return Err(InvalidHash::Malformed("a cost of zero"));
    }
    let memory = 1_u64.checked_shl(log_n.saturating_add(7)).and_then(|block| block.checked_mul(r.into()));
    let Some(memory) = memory.filter(|memory| *memory <= MAX_MEMORY) else {
        return Err(InvalidHash::TooExpensive("n times r"));
    };
    let blocks = u64::from(r).saturating_mul(p.into()).saturating_mul(128);
    if memory.saturating_add(blocks) > MAX_MEMORY {
        return Err(InvalidHash::TooExpensive("r times p"));
    }
    if memory.saturating_mul(p.into()) > MAX_WRITTEN {
        return Err(InvalidHash::TooExpensive("n times r times p"));
    }
    // Fits: 2^log_n is at most MAX_MEMORY.
    Params::new(log_n as u8, r, p).map_err(|_| InvalidHash::Malformed("no such parameters of scrypt"))
}
