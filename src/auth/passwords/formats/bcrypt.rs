//! bcrypt in the modular crypt format, and Django's pre-hashed variant, which avoids its limit of 72 bytes.

use ::bcrypt::Version;
use base64::Engine;
use base64::alphabet;
use base64::engine::{GeneralPurpose, general_purpose::NO_PAD};
use zeroize::Zeroizing;

use super::{InvalidHash, constant_time_eq};
use crate::auth::passwords::Password;
use crate::encoding::{hex, sha256};

/// bcrypt's own base64: another alphabet, no padding, and some programs set the spare bits in the last character of a
/// salt.
const BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::BCRYPT, NO_PAD.with_decode_allow_trailing_bits(true));
/// The algorithm requires at least 2^4 rounds.
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
    /// Parses the text after `$2b$`: `12$`, 22 characters of salt, 31 of hash. `2a`, `2b` and `2y` are the same
    /// algorithm; a new name was introduced each time that an implementation was fixed. `2x` marks hashes of a faulty
    /// implementation and is refused.
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

    /// The same hash, of the hexadecimal SHA-256 of the password (Django's `bcrypt_sha256`).
    pub(super) fn of_sha256(self) -> Self {
        Self { of_sha256: true, ..self }
    }

    /// bcrypt uses only the first 72 bytes, as in the system that created the hash: a longer password with a wrong end
    /// matches. The upgrade after the first sign-in fixes that.
    ///
    /// In the system that created the hash, a NUL ended the password or was refused. It is refused here: otherwise the
    /// text after it would be ignored.
    pub(super) fn matches(&self, password: &Password) -> bool {
        let password = password.reveal().as_bytes();
        let digest;
        let password = if self.of_sha256 {
            digest = Zeroizing::new(hex(&sha256(password)));
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
