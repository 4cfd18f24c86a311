//! The fleet's secrets and the keys derived from them: one for sealing, one for the MAC of refresh tokens, one for
//! signing action tokens.
//!
//! Secrets are a list so that they can be rotated without signing anyone out: the first one seals, all of them open.
//! Each use has its own key, derived by HKDF (RFC 5869), so that one use cannot be abused to attack another. Knows
//! nothing of what is sealed.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use aws_lc_rs::hmac;
use jsonwebtoken::{DecodingKey, EncodingKey};

use crate::config::Secret;
use crate::encoding::hex;
use crate::rng::Rng;

/// Seals and opens records, and authenticates refresh tokens and action tokens.
#[derive(Debug)]
pub struct Secrets {
    derived: Vec<DerivedKeys>,
}

struct DerivedKeys {
    /// Identifies the secret in a sealed record; reveals nothing of it.
    name: [u8; 4],
    seal: LessSafeKey,
    mac: hmac::Key,
    /// The same HS256 key twice, in the forms that `jsonwebtoken` signs and verifies with.
    jwt_encoding: EncodingKey,
    jwt_decoding: DecodingKey,
}

impl std::fmt::Debug for DerivedKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DerivedKeys({})", hex(&self.name))
    }
}

/// Why a sealed record cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It was sealed with a secret that is not in the list.
    #[error("it was sealed with another secret ({sealed_with}); this node has {known}")]
    OtherSecret {
        /// The identifier of the secret it was sealed with.
        sealed_with: String,
        /// The identifiers of the secrets in the list.
        known: String,
    },
    /// The record was changed, or sealed for another use.
    #[error("it has been damaged or was never sealed by Signet")]
    Damaged,
}

/// The secrets cannot be used: AWS-LC refused a key, which no input causes.
#[derive(Debug, thiserror::Error)]
#[error("no key can be derived from the secret")]
pub struct KeyDerivationError;

const SEALED_VERSION: u8 = 1;
const NONCE: usize = 12;
const TAG: usize = 16;

/// Bytes of a MAC: 128 bits, more than an attacker can guess by asking a server.
pub const MAC: usize = 16;

impl Secrets {
    /// Derives the keys from each secret, the sealing one first.
    pub fn new(secrets: &[Secret]) -> Result<Self, KeyDerivationError> {
        let derived = secrets.iter().map(DerivedKeys::new).collect::<Result<Vec<_>, _>>()?;
        if derived.is_empty() { Err(KeyDerivationError) } else { Ok(Self { derived }) }
    }

    /// Seals `plain` for one use, which opening must name again. The nonce is random: records such as keyrings are
    /// sealed so rarely that the same 96 bits will not occur twice (NIST SP 800-38D, 8.3).
    pub fn seal(&self, usage: &str, plain: &[u8], rng: &Rng) -> Result<Vec<u8>, KeyDerivationError> {
        let key = self.derived.first().ok_or(KeyDerivationError)?;
        let mut text = plain.to_vec();
        let drawn: [u8; NONCE] = rng.bytes();
        let (nonce, usage) = (Nonce::assume_unique_for_key(drawn), Aad::from(usage.as_bytes()));
        key.seal.seal_in_place_append_tag(nonce, usage, &mut text).map_err(|_| KeyDerivationError)?;
        let mut sealed = Vec::with_capacity(5 + NONCE + text.len());
        sealed.push(SEALED_VERSION);
        sealed.extend_from_slice(&key.name);
        sealed.extend_from_slice(&drawn);
        sealed.append(&mut text);
        Ok(sealed)
    }

    /// Returns true if a record was sealed with the first secret, so that opening it does not need the others.
    pub fn is_sealed_by_first(&self, sealed: &[u8]) -> bool {
        self.derived.first().is_some_and(|key| sealed.get(1..5) == Some(&key.name[..]))
    }

    /// Opens a record that [`Secrets::seal`] sealed for the same use with any of the secrets.
    pub fn open(&self, usage: &str, sealed: &[u8]) -> Result<zeroize::Zeroizing<Vec<u8>>, OpenError> {
        let (head, text) = sealed.split_at_checked(5 + NONCE).ok_or(OpenError::Damaged)?;
        if head[0] != SEALED_VERSION || text.len() < TAG {
            return Err(OpenError::Damaged);
        }
        let name = &head[1..5];
        let key = self.derived.iter().find(|key| key.name == name).ok_or_else(|| OpenError::OtherSecret {
            sealed_with: hex(name),
            known: self.derived.iter().map(|key| hex(&key.name)).collect::<Vec<_>>().join(", "),
        })?;
        let nonce = Nonce::try_assume_unique_for_key(&head[5..]).map_err(|_| OpenError::Damaged)?;
        let mut text = zeroize::Zeroizing::new(text.to_vec());
        let length = key
            .seal
            .open_in_place(nonce, Aad::from(usage.as_bytes()), &mut text)
            .map_err(|_| OpenError::Damaged)?
            .len();
        text.truncate(length);
        Ok(text)
    }

    /// The MAC of `message` under the first secret.
    pub fn mac(&self, message: &[u8]) -> [u8; MAC] {
        self.derived.first().map_or([0; MAC], |key| truncate(&hmac::sign(&key.mac, message)))
    }

    /// Returns true if `mac` is the MAC of `message` under any of the secrets, in constant time.
    pub fn verify_mac(&self, message: &[u8], mac: &[u8; MAC]) -> bool {
        self.derived.iter().any(|key| {
            let expected = truncate(&hmac::sign(&key.mac, message));
            bool::from(subtle::ConstantTimeEq::ct_eq(&expected[..], &mac[..]))
        })
    }

    /// The HS256 key that signs action tokens, derived from the first secret.
    pub(super) fn jwt_encoding_key(&self) -> Option<&EncodingKey> {
        self.derived.first().map(|key| &key.jwt_encoding)
    }

    /// The HS256 keys that verify action tokens, one per secret.
    pub(super) fn jwt_decoding_keys(&self) -> impl Iterator<Item = &DecodingKey> {
        self.derived.iter().map(|key| &key.jwt_decoding)
    }
}

impl DerivedKeys {
    fn new(secret: &Secret) -> Result<Self, KeyDerivationError> {
        let root = Salt::new(HKDF_SHA256, b"signet").extract(secret.0.as_slice());
        let mut name = [0; 4];
        let mut seal = zeroize::Zeroizing::new([0; 32]);
        let mut mac = zeroize::Zeroizing::new([0; 32]);
        // As long as the hash, the least that HS256 allows (RFC 7518, 3.2).
        let mut jwt = zeroize::Zeroizing::new([0; 32]);
        fill(&root, b"name", &mut name)?;
        fill(&root, b"seal aes-256-gcm", &mut *seal)?;
        fill(&root, b"refresh hmac-sha256", &mut *mac)?;
        fill(&root, b"action jwt hs256", &mut *jwt)?;
        Ok(Self {
            name,
            seal: LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &*seal).map_err(|_| KeyDerivationError)?),
            mac: hmac::Key::new(hmac::HMAC_SHA256, &*mac),
            jwt_encoding: EncodingKey::from_secret(&*jwt),
            jwt_decoding: DecodingKey::from_secret(&*jwt),
        })
    }
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

fn fill(root: &aws_lc_rs::hkdf::Prk, usage: &[u8], into: &mut [u8]) -> Result<(), KeyDerivationError> {
    let info = [usage];
    let expanded = root.expand(&info, Length(into.len())).map_err(|_| KeyDerivationError)?;
    expanded.fill(into).map_err(|_| KeyDerivationError)
}

fn truncate(tag: &hmac::Tag) -> [u8; MAC] {
    let mut mac = [0; MAC];
    mac.copy_from_slice(&tag.as_ref()[..MAC]);
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(each: &[u8]) -> Secrets {
        let each = each.iter().map(|byte| Secret(zeroize::Zeroizing::new([*byte; 32]))).collect::<Vec<_>>();
        Secrets::new(&each).unwrap()
    }

    #[test]
    fn every_secret_of_the_list_opens_a_record() {
        let sealed = secrets(&[1]).seal("ring", b"keys", &Rng::system()).unwrap();
        assert_eq!(secrets(&[2, 1]).open("ring", &sealed).unwrap().as_slice(), b"keys");
        assert!(matches!(secrets(&[2]).open("ring", &sealed), Err(OpenError::OtherSecret { .. })));
        assert!(secrets(&[1, 2]).is_sealed_by_first(&sealed) && !secrets(&[2, 1]).is_sealed_by_first(&sealed));
    }

    #[test]
    fn record_cannot_be_opened_for_another_use() {
        let sealed = secrets(&[1]).seal("ring", b"keys", &Rng::system()).unwrap();
        assert_eq!(secrets(&[1]).open("totp", &sealed), Err(OpenError::Damaged));
    }

    #[test]
    fn changed_or_truncated_record_is_refused() {
        let secrets = secrets(&[1]);
        let sealed = secrets.seal("ring", b"keys", &Rng::system()).unwrap();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(secrets.open("ring", &changed).is_err(), "byte {at}");
            assert!(secrets.open("ring", &sealed[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn every_secret_of_the_list_verifies_a_mac() {
        let mac = secrets(&[1]).mac(b"message");
        assert!(secrets(&[2, 1]).verify_mac(b"message", &mac));
        assert!(!secrets(&[2]).verify_mac(b"message", &mac));
        assert!(!secrets(&[1]).verify_mac(b"messagf", &mac));
    }
}
