//! bcrypt in the modular crypt format, and Django's way round its 72 bytes.

use ::bcrypt::Version;
use aws_lc_rs::digest;
use base64::Engine;
use base64::alphabet;
use base64::engine::{GeneralPurpose, general_purpose::NO_PAD};
use zeroize::Zeroizing;

use super::{InvalidHash, constant_time_eq};
use crate::auth::passwords::Password;

/// bcrypt's own Base64: another order of the alphabet, no padding, and not every program leaves the bits zero that mean
/// nothing in the last character of a salt.
const BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::BCRYPT, NO_PAD.with_decode_allow_trailing_bits(true));
/// The algorithm knows no fewer rounds than 2^4.
const MIN_COST: u32 = 4;
/// 2^15 rounds take about two seconds.
const MAX_COST: u32 = 15;

/// A stored bcrypt hash.
pub(in crate::auth::passwords) struct BcryptHash {
    cost: u32,
    salt: [u8; 16],
    hash: [u8; 23],
    of_sha256: bool,
}

impl BcryptHash {
    /// Reads what follows `$2b$`: `12$`, 22 characters of salt, 31 of hash. `2a`, `2b` and `2y` are one algorithm, named
    /// anew each time somebody had fixed a fault in one program; `2x` marks hashes made with such a fault, and is refused.
    pub(super) fn parse(rest: &str) -> Result<Self, InvalidHash> {
        let rest = rest.as_bytes();
        let &[tens, ones, b'$', ref digits @ ..] = rest else {
            return Err(InvalidHash::Malformed("the cost of bcrypt has two digits"));
        };
        if !(tens.is_ascii_digit() && ones.is_ascii_digit()) {
            return Err(InvalidHash::Malformed("the cost of bcrypt has two digits"));
        }
        let cost = u32::from(tens - b'0') * 10 + u32::from(ones - b'0');
        if !(MIN_COST..=31).contains(&cost) {
            return Err(InvalidHash::Malformed("no such cost of bcrypt"));
        }
        if cost > MAX_COST {
            return Err(InvalidHash::TooExpensive("the cost of bcrypt"));
        }
        if digits.len() != 53 {
            return Err(InvalidHash::Malformed("salt and hash of bcrypt have 53 characters"));
        }
        let (mut salt, mut hash) = ([0; 16], [0; 23]);
        let read = (BASE64.decode_slice(&digits[..22], &mut salt), BASE64.decode_slice(&digits[22..], &mut hash));
        if read != (Ok(16), Ok(23)) {
            return Err(InvalidHash::Malformed("not bcrypt's base64"));
        }
        Ok(Self { cost, salt, hash, of_sha256: false })
    }

    /// The same, made of the hexadecimal SHA-256 of the password (Django's `bcrypt_sha256`).
    pub(super) fn of_sha256(self) -> Self {
        Self { of_sha256: true, ..self }
    }

    /// bcrypt sees the first 72 bytes, as where the hash was made: a longer password whose end is wrong is right. The
    /// upgrade after it ends that.
    ///
    /// Where the hash was made a NUL ended the password, or was refused. It is refused here: otherwise what stands behind it
    /// would not count.
    pub(super) fn matches(&self, password: &Password) -> bool {
        let password = password.reveal().as_bytes();
        let digest;
        let password = if self.of_sha256 {
            digest = Zeroizing::new(hex(digest::digest(&digest::SHA256, password).as_ref()));
            digest.as_bytes()
        } else {
            password
        };
        let computed = ::bcrypt::hash_with_salt(password, self.cost, self.salt)
            .map(|parts| parts.format_for_version(Version::TwoB));
        let computed = computed.is_ok_and(|text| {
            let mut hash = [0; 23];
            BASE64.decode_slice(&text[29..], &mut hash) == Ok(23) && constant_time_eq(&hash, &self.hash)
        });
        computed && !password.contains(&0)
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |half: u8| char::from(DIGITS[usize::from(half)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
