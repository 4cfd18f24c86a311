//! Loaded keys: versions of the ring, and the examples of the RFCs.

use std::sync::Barrier;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::key::KeyPair;
use super::ring::KeyPolicy;
use super::*;
use crate::rng::Rng;

const NOW: Timestamp = Timestamp::from_secs(1_000_000);

fn policy(es256: bool) -> KeyPolicy {
    KeyPolicy { sign: Duration::ZERO, announce: Duration::ZERO, retain: Duration::ZERO, es256 }
}

fn ring_with(algorithm: SigningAlgorithm, private: &str) -> Ring {
    let mut bytes = [0; 32];
    URL_SAFE_NO_PAD.decode_slice(private, &mut bytes).unwrap();
    let mut ring = Ring::default();
    ring.import(KeyPair::from_private(algorithm, bytes.into()).unwrap(), NOW, &policy(true)).unwrap();
    ring
}

fn decode_signature(text: &str) -> [u8; 64] {
    let mut signature = [0; 64];
    URL_SAFE_NO_PAD.decode_slice(text, &mut signature).unwrap();
    signature
}

#[test]
fn older_version_is_not_installed() {
    let rng = Rng::system();
    let old = Ring::generate(NOW, &rng);
    let mut new = Ring { version: 2, ..old.clone() };
    new.revoke(&old.keys[0].kid, NOW, &policy(false), &rng).unwrap();
    let keyring = Keyring::new(&new, Algorithm::EdDsa).unwrap();
    keyring.install(&old).unwrap();
    assert_eq!(keyring.keys().ring(), &new);
}

#[test]
fn newest_of_two_concurrent_versions_stays() {
    let rng = Rng::system();
    let first = Ring::generate(NOW, &rng);
    let mut third = Ring { version: 3, ..first.clone() };
    third.revoke(&first.keys[0].kid, NOW, &policy(false), &rng).unwrap();
    // Takes longer to load than the third version, so that the third is installed meanwhile.
    let mut second = Ring { version: 2, ..first.clone() };
    second.keys = vec![first.keys[0].clone(); 500];
    for _ in 0..20 {
        let keyring = Keyring::new(&first, Algorithm::EdDsa).unwrap();
        let start = Barrier::new(2);
        std::thread::scope(|scope| {
            for ring in [&second, &third] {
                let (keyring, start) = (&keyring, &start);
                scope.spawn(move || {
                    start.wait();
                    keyring.install(ring).unwrap();
                });
            }
        });
        assert_eq!(keyring.keys().ring().version, 3);
    }
}

/// RFC 8037, A.1, A.2, A.4 and A.5: the key, its published form, and a signature, byte for byte.
#[test]
fn example_of_rfc_8037_holds() {
    const MESSAGE: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    const SIGNATURE: &str = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    let ring = ring_with(SigningAlgorithm::EdDsa, "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A");
    let keyring = Keyring::new(&ring, Algorithm::EdDsa).unwrap();
    let keys = keyring.keys();
    let published = std::str::from_utf8(&keys.jwks().body).unwrap();
    assert!(published.contains(r#""x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo""#), "{published}");
    let key = keys.by_kid(&ring.keys[0].kid).unwrap();
    assert_eq!(URL_SAFE_NO_PAD.encode(key.sign(MESSAGE.as_bytes()).unwrap()), SIGNATURE);
    assert!(key.public.verify(MESSAGE.as_bytes(), &decode_signature(SIGNATURE)));
}

/// RFC 7515, A.3: the key, its published form, and a signature. ECDSA signs with a random number, so a signature of
/// ours differs.
#[test]
fn example_of_rfc_7515_holds() {
    const MESSAGE: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt\
                           cGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    const SIGNATURE: &str = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    let ring = ring_with(SigningAlgorithm::Es256, "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI");
    let keyring = Keyring::new(&ring, Algorithm::EdDsa).unwrap();
    let keys = keyring.keys();
    let jwks = serde_json::from_slice::<serde_json::Value>(&keys.jwks().body).unwrap();
    let kid = &ring.keys[0].kid;
    let expected = serde_json::json!({
        "kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0", "kid": kid, "use": "sig", "alg": "ES256",
    });
    assert_eq!(jwks, serde_json::json!({"keys": [expected]}));
    let key = keys.by_kid(kid).unwrap();
    let published = decode_signature(SIGNATURE);
    let ours: [u8; 64] = key.sign(MESSAGE.as_bytes()).unwrap().as_ref().try_into().unwrap();
    for signature in [published, ours] {
        assert!(key.public.verify(MESSAGE.as_bytes(), &signature));
        assert!(!key.public.verify(&MESSAGE.as_bytes()[1..], &signature));
        for at in 0..64 {
            let mut mangled = signature;
            mangled[at] ^= 1;
            assert!(!key.public.verify(MESSAGE.as_bytes(), &mangled), "byte {at}");
        }
    }
    for (r, s) in [(0, 0), (0, 1), (1, 0), (0xff, 0xff)] {
        let mut signature = [0; 64];
        signature[..32].fill(r);
        signature[32..].fill(s);
        assert!(!key.public.verify(MESSAGE.as_bytes(), &signature), "r {r}, s {s}");
    }
}

#[test]
fn p256_key_with_another_public_key_is_refused() {
    let ring = ring_with(SigningAlgorithm::Es256, "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI");
    let other = Key::new(KeyPair::generate(SigningAlgorithm::Es256, &Rng::system()), NOW, NOW).public;
    let PublicKey::P256(point) = ring.keys[0].public else { panic!("a P-256 key") };
    let changed = |at: usize, to: u8| {
        let mut point = point;
        point[at] = to;
        PublicKey::P256(point)
    };
    let ed25519 = Ring::generate(NOW, &Rng::system()).keys[0].public;
    let zero = PublicKey::P256([0; 65]);
    for public in [other, changed(0, 2), changed(0, 0), changed(64, point[64] ^ 1), zero, ed25519] {
        let mut bad = ring.clone();
        bad.keys[0].public = public;
        assert!(Keyring::new(&bad, Algorithm::EdDsa).is_err(), "{public:02x?}");
    }
}

/// A key set in which one key has an `alg` that a library does not know is refused as a whole by some.
#[test]
fn jwks_names_only_algorithms_that_libraries_know() {
    let mut ring = Ring::generate(NOW, &Rng::system());
    ring.advance(NOW, &policy(true), &Rng::system());
    let algorithms = |algorithm| {
        let keyring = Keyring::new(&ring, algorithm).unwrap();
        let jwks: serde_json::Value = serde_json::from_slice(&keyring.keys().jwks().body).unwrap();
        serde_json::from_slice::<jsonwebtoken::jwk::JwkSet>(&keyring.keys().jwks().body).unwrap();
        jwks["keys"].as_array().unwrap().iter().map(|key| key["alg"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(algorithms(Algorithm::EdDsa), ["EdDSA", "EdDSA", "ES256", "ES256"]);
    let absent = serde_json::Value::Null;
    assert_eq!(algorithms(Algorithm::Ed25519), [absent.clone(), absent, "ES256".into(), "ES256".into()]);
}
