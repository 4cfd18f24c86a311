//! Importing and exporting keys as PKCS#8 PEM (RFC 8410), which every other tool reads. Knows nothing of the ring.

use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey};
use zeroize::Zeroizing;

use super::ring::Key;

/// The text is not an Ed25519 private key in PKCS#8 PEM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an Ed25519 private key in PKCS#8 PEM (-----BEGIN PRIVATE KEY-----)")]
pub struct InvalidPem;

/// Parses the private key.
pub fn parse(text: &str) -> Result<Zeroizing<[u8; 32]>, InvalidPem> {
    let key = SigningKey::from_pkcs8_pem(text.trim()).map_err(|_| InvalidPem)?;
    Ok(Zeroizing::new(key.to_bytes()))
}

/// Writes the private key.
pub fn write(key: &Key) -> Result<Zeroizing<String>, InvalidPem> {
    SigningKey::from_bytes(&key.seed).to_pkcs8_pem(LineEnding::LF).map_err(|_| InvalidPem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::keyring::ring::Ring;

    /// RFC 8410, 10.3.
    const PUBLISHED: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----";

    #[test]
    fn example_key_of_rfc_8410_is_parsed() {
        assert_eq!(parse(PUBLISHED).unwrap()[..4], [0xd4, 0xee, 0x72, 0xdb]);
        assert_eq!(parse("-----BEGIN PUBLIC KEY-----"), Err(InvalidPem));
    }

    #[test]
    fn written_key_is_parsed_again() {
        let ring = Ring::generate(crate::clock::Timestamp::from_secs(1), &crate::rng::Rng::system());
        let key = &ring.keys[0];
        assert_eq!(parse(&write(key).unwrap()).unwrap(), key.seed);
    }
}
