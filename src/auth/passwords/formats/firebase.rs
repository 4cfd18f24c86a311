//! Firebase's variant of scrypt: the hash is the project's signer key, encrypted with a key derived from the password.
//!
//! An export contains, for the whole project, `mem_cost`, `rounds`, `base64_salt_separator` and `base64_signer_key`,
//! and for each user `salt` and `passwordHash`. They are written into one line, unchanged:
//! `$fbscrypt$v=1,n=<mem_cost>,r=<rounds>,p=1,ss=<salt separator>,sk=<signer key>$<salt>$<passwordHash>`.

use ::scrypt::Params;
use aws_lc_rs::cipher::{AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use zeroize::Zeroizing;

use super::scrypt::check_cost;
use super::{InvalidHash, constant_time_eq, decode_base64, decode_output, number, split_fields, value};
use crate::auth::passwords::Password;

/// A stored Firebase hash.
pub(in crate::auth::passwords) struct FirebaseHash {
    params: Params,
    /// The user's salt followed by the project's separator.
    salt: Vec<u8>,
    signer_key: Vec<u8>,
    hash: Vec<u8>,
}

impl FirebaseHash {
    /// Parses the text after `$fbscrypt$`.
    pub(super) fn parse(rest: &str) -> Result<Self, InvalidHash> {
        let [project, salt, hash] = split_fields(rest)?;
        let mut project = project.split(',');
        if value(project.next(), "v")? != "1" {
            return Err(InvalidHash::Malformed("v"));
        }
        let log_n = number(value(project.next(), "n")?)?;
        let r = number(value(project.next(), "r")?)?;
        let p = number(value(project.next(), "p")?)?;
        let separator = decode_base64(value(project.next(), "ss")?)?;
        let signer_key = decode_output(value(project.next(), "sk")?)?;
        if project.next().is_some() {
            return Err(InvalidHash::Malformed("a parameter too many"));
        }
        let hash = decode_output(hash)?;
        if hash.len() != signer_key.len() {
            return Err(InvalidHash::Malformed("the hash is not as long as the signer key"));
        }
        let salt = [decode_base64(salt)?, separator].concat();
        Ok(Self { params: check_cost(log_n, r, p)?, salt, signer_key, hash })
    }

    /// The counter starts at zero and is not part of the hash: each user's key encrypts only this one text.
    pub(super) fn matches(&self, password: &Password) -> bool {
        let mut key = Zeroizing::new([0; 32]);
        let derived = ::scrypt::scrypt(password.reveal().as_bytes(), &self.salt, &self.params, &mut *key);
        let mut hash = self.signer_key.clone();
        let encrypted = UnboundCipherKey::new(&AES_256, &*key)
            .and_then(EncryptingKey::ctr)
            .and_then(|key| key.less_safe_encrypt(&mut hash, EncryptionContext::Iv128(FixedLength::from([0; 16]))));
        derived.is_ok() && encrypted.is_ok() && constant_time_eq(&hash, &self.hash)
    }
}
