//! Almost valid tokens, signed with the server's own key: any headers and claims.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::pkcs8::DecodePrivateKey;
use ed25519_dalek::{Signer, SigningKey};
use serde_json::Value;

use super::server::TestServer;

/// The signing key and its key id.
pub(crate) fn signing_key(server: &TestServer) -> (SigningKey, String) {
    let keys = server.plan().json(&["keys", "list"], "");
    let kid = keys.as_array().unwrap().iter().find(|key| key["state"] == "signing").unwrap()["kid"].as_str().unwrap();
    let exported = server.plan().json(&["keys", "export", kid], "");
    (SigningKey::from_pkcs8_pem(exported["pem"].as_str().unwrap()).unwrap(), kid.to_owned())
}

/// A token with this header and these claims.
pub(crate) fn sign(key: &SigningKey, header: &Value, claims: &Value) -> String {
    sign_text(key, &header.to_string(), &claims.to_string())
}

/// The same from texts, which need not be JSON.
pub(crate) fn sign_text(key: &SigningKey, header: &str, claims: &str) -> String {
    let message = unsigned(header, claims);
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()).to_bytes()))
}

/// The signing input: both texts, each base64url-encoded.
pub(crate) fn unsigned(header: &str, claims: &str) -> String {
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims))
}

/// The header and the claims of a token.
pub(crate) fn decode(token: &str) -> (Value, Value) {
    let part = |text: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap();
    let parts = token.split('.').collect::<Vec<_>>();
    (part(parts[0]), part(parts[1]))
}

/// The object with changed members; null removes one.
pub(crate) fn with(mut value: Value, changes: &Value) -> Value {
    for (name, change) in changes.as_object().unwrap() {
        match change {
            Value::Null => value.as_object_mut().unwrap().remove(name),
            change => value.as_object_mut().unwrap().insert(name.clone(), change.clone()),
        };
    }
    value
}
