//! The keys of the vectors, and what signs with them.

use std::collections::{BTreeMap, HashMap};

use aws_lc_rs::agreement::{ECDH_P256, PrivateKey};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer as _, SigningKey};
use serde::Serialize;
use serde_json::Value;
use signet_verify::PublicKey;

/// The issuer.
pub(crate) const ISSUER: &str = "https://id.example.org";

/// The time of the vectors, in seconds since 1970.
pub(crate) const NOW: i64 = 1_763_130_320;

/// The private key of the P-256 key `ec`.
const P256_SCALAR: [u8; 32] = [3; 32];

/// Half of the order of P-256: a signature has a high s if it is greater.
const HALF_ORDER: [u8; 32] = *b"\x7f\xff\xff\xff\x80\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff\
    \xde\x73\x7d\x56\xd3\x8b\xcf\x42\x79\xdc\xe5\x61\x7e\x31\x92\xa8";

/// The order of P-256.
const ORDER: [u8; 32] = *b"\xff\xff\xff\xff\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\
    \xbc\xe6\xfa\xad\xa7\x17\x9e\x84\xf3\xb9\xca\xc2\xfc\x63\x25\x51";

/// The members of a JSON object, in their order.
pub(crate) type Members = Vec<(&'static str, Value)>;

/// All files by their names. `known` is the present text of `tokens.json`.
pub(crate) fn files(known: &str) -> Vec<(&'static str, String)> {
    let keys = Keys::new(known);
    vec![
        ("keys.json", keys.jwks.clone()),
        ("private_keys.json", keys.private_jwks()),
        ("key_sets.json", super::key_sets::file(&keys)),
        ("tokens.json", super::tokens::file(&keys)),
        ("frames.json", super::frames::file(&keys)),
    ]
}

/// A pretty JSON text.
pub(crate) fn text(value: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}

/// A JSON object in this order.
pub(crate) fn object(members: &Members) -> String {
    let members: Vec<String> = members.iter().map(|(name, value)| format!("{}:{value}", Value::from(*name))).collect();
    format!("{{{}}}", members.join(","))
}

pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The keys.
pub(crate) struct Keys {
    p256: EcdsaKeyPair,
    p256_public: [u8; 65],
    /// The key set: the text of `keys.json`.
    pub(crate) jwks: String,
    /// ES256 signatures of the earlier vectors, by the text that they sign.
    known: HashMap<String, [u8; 64]>,
}

/// The Ed25519 key with this `kid`. One of an unknown name is not in the key set.
pub(crate) fn ed25519(kid: &str) -> SigningKey {
    SigningKey::from_bytes(
        &[match kid {
            "ed" => 1,
            "ed-2" => 2,
            _ => 9,
        }; 32],
    )
}

#[allow(clippy::expect_used, reason = "the private key is a constant")]
fn p256() -> (EcdsaKeyPair, [u8; 65]) {
    let private = PrivateKey::from_private_key(&ECDH_P256, &P256_SCALAR).expect("it is a scalar");
    let public: [u8; 65] = private.compute_public_key().expect("it has a public key").as_ref().try_into().expect("65");
    let pair = EcdsaKeyPair::from_private_key_and_public_key(&ECDSA_P256_SHA256_FIXED_SIGNING, &P256_SCALAR, &public);
    (pair.expect("they belong together"), public)
}

impl Keys {
    fn new(known: &str) -> Self {
        let (pair, public) = p256();
        let jwk = |members: &[(&'static str, &str)]| -> BTreeMap<&str, String> {
            members.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
        };
        let ed = |kid, alg| {
            let x = encode(ed25519(kid).verifying_key().as_bytes());
            jwk(&[("kty", "OKP"), ("crv", "Ed25519"), ("use", "sig"), ("alg", alg), ("kid", kid), ("x", &x)])
        };
        let mut small = ed("small", "EdDSA");
        let mut identity = [0; 32];
        identity[0] = 1;
        small.insert("x", encode(identity));
        let mut for_encryption = ed("enc", "EdDSA");
        for_encryption.insert("use", "enc".to_owned());
        let (x, y) = (encode(&public[1..33]), encode(&public[33..]));
        let p256 =
            [("kty", "EC"), ("crv", "P-256"), ("use", "sig"), ("alg", "ES256"), ("kid", "ec"), ("x", &x), ("y", &y)];
        let rsa = jwk(&[("kty", "RSA"), ("kid", "rsa"), ("alg", "RS256"), ("e", "AQAB"), ("n", &encode([0xa5; 256]))]);
        let keys = [ed("ed", "EdDSA"), ed("ed-2", "Ed25519"), jwk(&p256), small, for_encryption, rsa];
        let jwks = text(&BTreeMap::from([("keys", keys)]));
        let mut all = Self { p256: pair, p256_public: public, jwks, known: HashMap::new() };
        let known: Value = serde_json::from_str(known).unwrap_or_default();
        for token in known["tokens"].as_array().into_iter().flatten().filter_map(|case| case["token"].as_str()) {
            let Some((message, signature)) = token.rsplit_once('.') else { continue };
            let mut bytes = [0; 64];
            if matches!(URL_SAFE_NO_PAD.decode_slice(signature, &mut bytes), Ok(64)) && all.is_es256(message, &bytes) {
                all.known.insert(message.to_owned(), bytes);
            }
        }
        all
    }

    fn is_es256(&self, message: &str, signature: &[u8; 64]) -> bool {
        let (mut x, mut y) = ([0; 32], [0; 32]);
        x.copy_from_slice(&self.p256_public[1..33]);
        y.copy_from_slice(&self.p256_public[33..]);
        PublicKey::es256("ec", &x, &y).is_some_and(|key| key.verify(message.as_bytes(), signature))
    }

    /// Signs with the key of this `kid`; ES256 with a low s.
    pub(crate) fn sign(&self, kid: &str, message: &str) -> [u8; 64] {
        if kid == "ec" { self.sign_es256(message, false) } else { ed25519(kid).sign(message.as_bytes()).to_bytes() }
    }

    /// Signs with the P-256 key. Of the two forms of a signature, the one with a high s, or the other one.
    pub(crate) fn sign_es256(&self, message: &str, high: bool) -> [u8; 64] {
        let mut signature = self.known.get(message).copied().unwrap_or_else(|| {
            let mut bytes = [0; 64];
            if let Ok(signature) = self.p256.sign(&SystemRandom::new(), message.as_bytes()) {
                bytes.copy_from_slice(signature.as_ref());
            }
            bytes
        });
        if (signature[32..] > HALF_ORDER[..]) != high {
            let mut borrow = 0;
            for at in (0..32).rev() {
                let difference = i16::from(ORDER[at]) - i16::from(signature[32 + at]) - borrow;
                borrow = i16::from(difference < 0);
                signature[32 + at] = (difference & 0xff) as u8;
            }
        }
        signature
    }

    /// A compact JWS with this text as header and this payload, signed with the key of this `kid`.
    pub(crate) fn jws(&self, kid: &str, header: &str, payload: impl AsRef<[u8]>) -> String {
        let message = format!("{}.{}", encode(header), encode(payload));
        let signature = encode(self.sign(kid, &message));
        format!("{message}.{signature}")
    }

    /// The private keys, so that readers can sign cases of their own.
    fn private_jwks(&self) -> String {
        let ed = |kid: &str| {
            let key = ed25519(kid);
            let (x, d) = (encode(key.verifying_key().as_bytes()), encode(key.to_bytes()));
            BTreeMap::from([
                ("kty", "OKP".to_owned()),
                ("crv", "Ed25519".to_owned()),
                ("kid", kid.to_owned()),
                ("x", x),
                ("d", d),
            ])
        };
        let p256 = BTreeMap::from([
            ("kty", "EC".to_owned()),
            ("crv", "P-256".to_owned()),
            ("kid", "ec".to_owned()),
            ("x", encode(&self.p256_public[1..33])),
            ("y", encode(&self.p256_public[33..])),
            ("d", encode(P256_SCALAR)),
        ]);
        text(&BTreeMap::from([("keys", [ed("ed"), ed("ed-2"), p256])]))
    }
}
