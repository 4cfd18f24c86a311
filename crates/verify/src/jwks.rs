//! Key sets from a JWKS document (RFC 7517).
//!
//! A key set may contain keys of kinds that this crate does not know, and keys that are not what they should be; they
//! are left out (RFC 7517, 5). A key is used only with the algorithm that its type has, whatever its `alg` says.

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::feed::jwks_hash;
use crate::json::{self, present};
use crate::keys::PublicKey;

/// The longest document.
pub const MAX_JWKS_LENGTH: usize = 256 * 1024;

/// The most keys of a document. Each Ed25519 key takes up to 370 KiB from its first signature on.
pub const MAX_KEYS: usize = 64;

/// The keys of an issuer.
#[derive(Default)]
pub struct KeySet {
    keys: Vec<Arc<PublicKey>>,
    hash: String,
}

/// Why a document is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwksError {
    /// Longer than [`MAX_JWKS_LENGTH`].
    #[error("the JWKS is too long")]
    TooLong,
    /// Not a JWKS.
    #[error("not a JWKS")]
    Malformed,
    /// It has more than [`MAX_KEYS`].
    #[error("the JWKS has too many keys")]
    TooManyKeys,
    /// Two keys have the same `kid`.
    #[error("two keys of the JWKS have the same kid")]
    AmbiguousKid,
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Jwk<'a> {
    #[serde(borrow)]
    kty: Cow<'a, str>,
    crv: String,
    x: String,
    #[serde(default, deserialize_with = "present")]
    y: Option<String>,
    kid: String,
    #[serde(default, deserialize_with = "present")]
    alg: Option<String>,
    #[serde(rename = "use", default, deserialize_with = "present")]
    usage: Option<String>,
    /// A private key that somebody published is not to be trusted.
    #[serde(default, deserialize_with = "present")]
    d: Option<IgnoredAny>,
}

impl KeySet {
    /// Parses a document.
    pub fn parse(body: &[u8]) -> Result<Self, JwksError> {
        Self::default().replaced_by(body)
    }

    /// Parses a newer document. Keys that this set has too are taken over as they are, so none is expanded twice.
    pub fn replaced_by(&self, body: &[u8]) -> Result<Self, JwksError> {
        if body.len() > MAX_JWKS_LENGTH {
            return Err(JwksError::TooLong);
        }
        let document: Document<'_> = json::parse(body).map_err(|_| JwksError::Malformed)?;
        if document.keys.len() > MAX_KEYS {
            return Err(JwksError::TooManyKeys);
        }
        let mut keys: Vec<Arc<PublicKey>> = Vec::with_capacity(document.keys.len());
        for jwk in &document.keys {
            if !jwk.get().starts_with('{') {
                return Err(JwksError::Malformed);
            }
            let Some(key) = serde_json::from_str(jwk.get()).ok().and_then(|jwk| self.key(&jwk)) else { continue };
            if keys.iter().any(|other| other.kid() == key.kid()) {
                return Err(JwksError::AmbiguousKid);
            }
            keys.push(key);
        }
        Ok(Self { keys, hash: jwks_hash(body) })
    }

    /// The key of a JWK, if it is of a known kind.
    fn key(&self, jwk: &Jwk<'_>) -> Option<Arc<PublicKey>> {
        let kid = &*jwk.kid;
        if jwk.usage.as_deref().is_some_and(|usage| usage != "sig") || jwk.d.is_some() {
            return None;
        }
        let x = coordinate(&jwk.x)?;
        let (key, known) = match (&*jwk.kty, &*jwk.crv) {
            ("OKP", "Ed25519") => {
                let known = self.find(kid).filter(|known| known.is_ed25519(&x));
                (known.is_none().then(|| PublicKey::ed25519(kid, &x)).flatten(), known)
            }
            ("EC", "P-256") => {
                let y = coordinate(jwk.y.as_deref()?)?;
                let known = self.find(kid).filter(|known| known.is_es256(&x, &y));
                (known.is_none().then(|| PublicKey::es256(kid, &x, &y)).flatten(), known)
            }
            _ => return None,
        };
        let key = known.cloned().or_else(|| key.map(Arc::new))?;
        let fits = jwk.alg.as_deref().is_none_or(|alg| key.algorithm().names().contains(&alg));
        fits.then_some(key)
    }

    /// The keys.
    pub fn keys(&self) -> &[Arc<PublicKey>] {
        &self.keys
    }

    /// The key with exactly this `kid`.
    pub fn find(&self, kid: &str) -> Option<&Arc<PublicKey>> {
        self.keys.iter().find(|key| key.kid() == kid)
    }

    /// Returns true if the set has this very key, not only one with the same `kid`.
    pub fn contains(&self, key: &Arc<PublicKey>) -> bool {
        self.keys.iter().any(|own| Arc::ptr_eq(own, key))
    }

    /// Identifies the document: `jwks` of a frame.
    pub fn hash(&self) -> &str {
        &self.hash
    }
}

fn coordinate(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    matches!(URL_SAFE_NO_PAD.decode_slice(text, &mut bytes), Ok(32)).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;
    use serde_json::{Value, json};

    use super::*;
    use crate::keys::Algorithm;

    fn ed25519(kid: &str, seed: u8) -> Value {
        let x = URL_SAFE_NO_PAD.encode(SigningKey::from_bytes(&[seed; 32]).verifying_key().as_bytes());
        json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": kid, "use": "sig", "alg": "EdDSA"})
    }

    /// RFC 7515, A.3.
    fn p256(kid: &str) -> Value {
        json!({
            "kty": "EC", "crv": "P-256", "kid": kid, "alg": "ES256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        })
    }

    fn parse(keys: &[Value]) -> Result<KeySet, JwksError> {
        KeySet::parse(json!({"keys": keys}).to_string().as_bytes())
    }

    #[test]
    fn each_key_has_the_algorithm_of_its_type() {
        let set = parse(&[ed25519("a", 1), p256("b")]).unwrap();
        let algorithms: Vec<_> = set.keys().iter().map(|key| (key.kid(), key.algorithm())).collect();
        assert_eq!(algorithms, [("a", Algorithm::EdDsa), ("b", Algorithm::Es256)]);
        assert!(set.find("A").is_none() && set.find("a ").is_none());
    }

    #[test]
    fn example_of_rfc_7515_is_verified() {
        let message = concat!(
            "eyJhbGciOiJFUzI1NiJ9.",
            "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
        );
        let signature = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
        let mut bytes = [0; 64];
        URL_SAFE_NO_PAD.decode_slice(signature, &mut bytes).unwrap();
        let set = parse(&[p256("b")]).unwrap();
        assert!(set.keys()[0].verify(message.as_bytes(), &bytes));
        bytes[63] ^= 1;
        assert!(!set.keys()[0].verify(message.as_bytes(), &bytes));
        assert!(!set.keys()[0].verify(message.as_bytes(), &[0; 64]));
    }

    #[test]
    fn unusable_keys_are_left_out() {
        let with = |mut key: Value, member: &str, value: Value| {
            key[member] = value;
            parse(&[key, ed25519("good", 2)]).unwrap().keys().len()
        };
        assert_eq!(with(ed25519("a", 1), "x5t", json!("x")), 2);
        for (member, value) in [
            ("kty", json!("RSA")),
            ("crv", json!("X25519")),
            ("crv", json!(null)),
            ("x", json!("AAAA")),
            ("x", json!(URL_SAFE_NO_PAD.encode([0; 32]))),
            ("x", json!(null)),
            ("use", json!("enc")),
            ("alg", json!("ES256")),
            ("alg", json!("HS256")),
            ("kid", json!(null)),
        ] {
            assert_eq!(with(ed25519("a", 1), member, value.clone()), 1, "{member} {value}");
        }
        for (member, value) in [("y", json!(null)), ("y", json!(p256("b")["x"])), ("alg", json!("EdDSA"))] {
            assert_eq!(with(p256("b"), member, value.clone()), 1, "{member} {value}");
        }
    }

    #[test]
    fn document_is_bounded_and_unambiguous() {
        let many: Vec<Value> = (0..=MAX_KEYS).map(|at| p256(&at.to_string())).collect();
        assert_eq!(parse(&many).err(), Some(JwksError::TooManyKeys));
        assert_eq!(parse(&[ed25519("a", 1), p256("a")]).err(), Some(JwksError::AmbiguousKid));
        assert_eq!(KeySet::parse(&vec![b' '; MAX_JWKS_LENGTH + 1]).err(), Some(JwksError::TooLong));
        for body in ["", "[]", "{}", "{\"keys\":1}", "{\"keys\":[1]}"] {
            assert_eq!(KeySet::parse(body.as_bytes()).err(), Some(JwksError::Malformed), "{body}");
        }
    }

    #[test]
    fn known_keys_are_kept() {
        let old = parse(&[ed25519("a", 1), ed25519("b", 2), p256("c")]).unwrap();
        let body = json!({"keys": [ed25519("a", 1), ed25519("b", 3), p256("c")]}).to_string();
        let new = old.replaced_by(body.as_bytes()).unwrap();
        let kept: Vec<bool> = old.keys().iter().map(|key| new.contains(key)).collect();
        assert_eq!(kept, [true, false, true]);
        assert_ne!(old.hash(), new.hash());
        assert_eq!(new.hash(), jwks_hash(body.as_bytes()));
    }
}
