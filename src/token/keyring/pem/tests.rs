//! PKCS#8 of both versions and kinds of keys. `tests/it/verifiers` gives the written form to Python and Node.

use ed25519_dalek::pkcs8::EncodePrivateKey;

use super::*;
use crate::clock::Timestamp;
use crate::rng::Rng;

/// RFC 8410, 10.3, version 1.
const ED25519_V1: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
";

/// RFC 8410, 10.3, version 2: with an attribute and the public key.
const ED25519_V2: &str = "-----BEGIN PRIVATE KEY-----
MHICAQEwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
oB8wHQYKKoZIhvcNAQkJFDEPDA1DdXJkbGUgQ2hhaXJzgSEAGb9ECWmEzf6FQbrB
Z9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PRIVATE KEY-----";

fn key(pair: KeyPair) -> Key {
    Key::new(pair, Timestamp::from_secs(1), Timestamp::from_secs(1))
}

#[test]
fn examples_of_rfc_8410_are_parsed() {
    let key = key(parse(ED25519_V1).unwrap());
    assert_eq!(key.private[..4], [0xd4, 0xee, 0x72, 0xdb]);
    let public = [0x19, 0xbf, 0x44, 0x09];
    assert!(matches!(key.public, PublicKey::Ed25519(bytes) if bytes[..4] == public));
    assert_eq!(self::key(parse(ED25519_V2).unwrap()), key);
}

#[test]
fn written_key_is_version_1_and_is_parsed_again() {
    for algorithm in [SigningAlgorithm::EdDsa, SigningAlgorithm::Es256] {
        let key = key(KeyPair::generate(algorithm, &Rng::system()));
        let text = write(&key).unwrap();
        assert_eq!(self::key(parse(&text).unwrap()), key);
        let (_, document) = SecretDocument::from_pem(&text).unwrap();
        // SEQUENCE, INTEGER 0: the version is written as one less than its name.
        let version = document.as_bytes().windows(3).find(|window| window[..2] == [2, 1]).unwrap()[2];
        assert_eq!(version, 0, "{algorithm:?}");
    }
    assert_eq!(*write(&key(parse(ED25519_V1).unwrap())).unwrap(), ED25519_V1);
}

/// As builds before this one exported them.
#[test]
fn version_2_with_the_public_key_is_parsed() {
    let seed = key(parse(ED25519_V1).unwrap()).private;
    let text = SigningKey::from_bytes(&seed).to_pkcs8_pem(LineEnding::LF).unwrap();
    assert_ne!(*text, ED25519_V1);
    assert_eq!(key(parse(&text).unwrap()).private, seed);
}

#[test]
fn other_keys_are_refused() {
    let p384 = EcdsaKeyPair::generate(&aws_lc_rs::signature::ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    let p384 = SecretDocument::try_from(p384.to_pkcs8v1().unwrap().as_ref()).unwrap();
    let p256 = key(KeyPair::generate(SigningAlgorithm::Es256, &Rng::system()));
    for text in [
        "",
        "-----BEGIN PUBLIC KEY-----",
        &ED25519_V1.replace("PRIVATE", "EC PRIVATE"),
        &ED25519_V1.replace("AQAw", "AQIw"),
        &ED25519_V1.replace("EdVhC", ""),
        &p384.to_pem(LABEL, LineEnding::LF).unwrap(),
        &write(&p256).unwrap().replacen('M', "N", 2),
    ] {
        assert!(parse(text).is_err(), "{text}");
    }
}
