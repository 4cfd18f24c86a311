//! The fleet's secrets, and what hangs from them: one key to seal with, one to MAC refresh tokens with.
//!
//! Secrets are a list so that they can be changed without signing anyone out: the first seals, all open. Each use has a
//! key of its own, derived by HKDF (RFC 5869), so that no two uses can be played against each other. Knows nothing of what
//! is sealed.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use aws_lc_rs::hmac;

use crate::config::Secret;
use crate::rng::Rng;

/// What opens what was sealed, and proves what was handed out.
#[derive(Debug)]
pub struct Secrets {
    each: Vec<Derived>,
}

struct Derived {
    /// Names the secret beside what it sealed; tells nothing of it.
    name: [u8; 4],
    seal: LessSafeKey,
    mac: hmac::Key,
}

impl std::fmt::Debug for Derived {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Derived({})", hex(&self.name))
    }
}

/// Why something sealed does not open.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It was sealed with a secret that is not in the list.
    #[error("it was sealed with another secret ({sealed_with}); this node has {known}")]
    OtherSecret {
        /// The name of the secret it was sealed with.
        sealed_with: String,
        /// The names of the secrets in the list.
        known: String,
    },
    /// It is not what was sealed, or not for this use.
    #[error("it has been damaged or was never sealed by Signet")]
    Damaged,
}

/// The secrets cannot be used: AWS-LC refused a key, which no input explains.
#[derive(Debug, thiserror::Error)]
#[error("no key can be derived from the secret")]
pub struct Underivable;

const SEALED_VERSION: u8 = 1;
const NONCE: usize = 12;
const TAG: usize = 16;

/// Bytes of a MAC: 128 bits, beyond any number of guesses that a server could answer.
pub const MAC: usize = 16;

impl Secrets {
    /// Derives what is needed from each secret, the sealing one first.
    pub fn new(secrets: &[Secret]) -> Result<Self, Underivable> {
        let each = secrets.iter().map(Derived::new).collect::<Result<Vec<_>, _>>()?;
        if each.is_empty() { Err(Underivable) } else { Ok(Self { each }) }
    }

    /// Seals `plain` for one use, which must be named again to open it. The nonce is drawn: what is sealed is rare enough, keyrings
    /// and their like, that two of the same 96 bits are not to be expected (NIST SP 800-38D, 8.3).
    pub fn seal(&self, usage: &str, plain: &[u8], rng: &Rng) -> Result<Vec<u8>, Underivable> {
        let key = self.each.first().ok_or(Underivable)?;
        let mut text = plain.to_vec();
        let drawn: [u8; NONCE] = rng.bytes();
        let (nonce, usage) = (Nonce::assume_unique_for_key(drawn), Aad::from(usage.as_bytes()));
        key.seal.seal_in_place_append_tag(nonce, usage, &mut text).map_err(|_| Underivable)?;
        let mut sealed = Vec::with_capacity(5 + NONCE + text.len());
        sealed.push(SEALED_VERSION);
        sealed.extend_from_slice(&key.name);
        sealed.extend_from_slice(&drawn);
        sealed.append(&mut text);
        Ok(sealed)
    }

    /// Whether something was sealed with the first secret, and so opens without the others.
    pub fn sealed_by_first(&self, sealed: &[u8]) -> bool {
        self.each.first().is_some_and(|key| sealed.get(1..5) == Some(&key.name[..]))
    }

    /// Opens what [`Secrets::seal`] made for the same use with any of the secrets.
    pub fn open(&self, usage: &str, sealed: &[u8]) -> Result<zeroize::Zeroizing<Vec<u8>>, OpenError> {
        let (head, text) = sealed.split_at_checked(5 + NONCE).ok_or(OpenError::Damaged)?;
        if head[0] != SEALED_VERSION || text.len() < TAG {
            return Err(OpenError::Damaged);
        }
        let name = &head[1..5];
        let key = self.each.iter().find(|key| key.name == name).ok_or_else(|| OpenError::OtherSecret {
            sealed_with: hex(name),
            known: self.each.iter().map(|key| hex(&key.name)).collect::<Vec<_>>().join(", "),
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
        self.each.first().map_or([0; MAC], |key| shortened(&hmac::sign(&key.mac, message)))
    }

    /// Whether `mac` is the MAC of `message` under any of the secrets; takes as long wherever they differ.
    pub fn proves(&self, message: &[u8], mac: &[u8; MAC]) -> bool {
        self.each.iter().any(|key| {
            let expected = shortened(&hmac::sign(&key.mac, message));
            bool::from(subtle::ConstantTimeEq::ct_eq(&expected[..], &mac[..]))
        })
    }
}

impl Derived {
    fn new(secret: &Secret) -> Result<Self, Underivable> {
        let root = Salt::new(HKDF_SHA256, b"signet").extract(secret.0.as_slice());
        let mut name = [0; 4];
        let mut seal = zeroize::Zeroizing::new([0; 32]);
        let mut mac = zeroize::Zeroizing::new([0; 32]);
        fill(&root, b"name", &mut name)?;
        fill(&root, b"seal aes-256-gcm", &mut *seal)?;
        fill(&root, b"refresh hmac-sha256", &mut *mac)?;
        Ok(Self {
            name,
            seal: LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &*seal).map_err(|_| Underivable)?),
            mac: hmac::Key::new(hmac::HMAC_SHA256, &*mac),
        })
    }
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

fn fill(root: &aws_lc_rs::hkdf::Prk, usage: &[u8], into: &mut [u8]) -> Result<(), Underivable> {
    let info = [usage];
    let expanded = root.expand(&info, Length(into.len())).map_err(|_| Underivable)?;
    expanded.fill(into).map_err(|_| Underivable)
}

fn shortened(tag: &hmac::Tag) -> [u8; MAC] {
    let mut mac = [0; MAC];
    mac.copy_from_slice(&tag.as_ref()[..MAC]);
    mac
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(each: &[u8]) -> Secrets {
        let each = each.iter().map(|byte| Secret(zeroize::Zeroizing::new([*byte; 32]))).collect::<Vec<_>>();
        Secrets::new(&each).unwrap()
    }

    #[test]
    fn what_the_first_seals_all_open() {
        let sealed = secrets(&[1]).seal("ring", b"keys", &Rng::system()).unwrap();
        assert_eq!(secrets(&[2, 1]).open("ring", &sealed).unwrap().as_slice(), b"keys");
        assert!(matches!(secrets(&[2]).open("ring", &sealed), Err(OpenError::OtherSecret { .. })));
        assert!(secrets(&[1, 2]).sealed_by_first(&sealed) && !secrets(&[2, 1]).sealed_by_first(&sealed));
    }

    #[test]
    fn what_was_sealed_for_one_use_is_no_good_for_another() {
        let sealed = secrets(&[1]).seal("ring", b"keys", &Rng::system()).unwrap();
        assert_eq!(secrets(&[1]).open("totp", &sealed), Err(OpenError::Damaged));
    }

    #[test]
    fn any_changed_byte_is_noticed() {
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
    fn a_mac_is_proved_by_any_secret_of_the_list() {
        let mac = secrets(&[1]).mac(b"message");
        assert!(secrets(&[2, 1]).proves(b"message", &mac));
        assert!(!secrets(&[2]).proves(b"message", &mac));
        assert!(!secrets(&[1]).proves(b"messagf", &mac));
    }
}
