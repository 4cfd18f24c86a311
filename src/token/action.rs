//! Action tokens: signed tokens for one action, such as a magic link, a password reset, the confirmation of an address,
//! or the step before a second factor.
//!
//! Each kind has its own `typ` and is accepted only under that `typ` (RFC 8725, 3.11), so none is accepted as an access
//! token or as another kind. They are rare, so `jsonwebtoken` signs and verifies them. Verifying a token does not use
//! it up: for single use, a claim is stored beside the token.

use std::sync::Arc;

use jsonwebtoken::{Algorithm, Header, Validation};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::keyring::{Keys, LoadedKey};
use crate::clock::Timestamp;
use crate::config;
use crate::id::TokenId;

/// The action that a token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionKind {
    /// Completing a sign-in with a second factor, after the first one.
    SecondFactor,
    /// Signing in by a magic link.
    MagicLink,
    /// Confirming an address.
    ConfirmEmail,
    /// Setting a new password.
    ResetPassword,
}

impl ActionKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::SecondFactor, Self::MagicLink, Self::ConfirmEmail, Self::ResetPassword];

    fn typ(self) -> &'static str {
        match self {
            Self::SecondFactor => "signet-second-factor+jwt",
            Self::MagicLink => "signet-magic-link+jwt",
            Self::ConfirmEmail => "signet-confirm-email+jwt",
            Self::ResetPassword => "signet-reset-password+jwt",
        }
    }
}

/// Why an action token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ActionTokenError {
    /// Not a token of ours, or of another kind.
    #[error("not a token for this action")]
    Invalid,
    /// The token has expired.
    #[error("expired")]
    Expired,
}

/// The token could not be signed, which no input causes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the token could not be signed")]
pub struct SigningError;

/// A verified action token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionToken<T> {
    /// `jti`, under which a claim may be stored beside the token.
    pub id: TokenId,
    /// The claims of the action.
    pub claims: T,
}

#[derive(Serialize, Deserialize)]
struct Payload<T> {
    iss: String,
    aud: String,
    iat: i64,
    exp: i64,
    jti: TokenId,
    /// Set for the step before a second factor: the clients of a published API tell it from an access token by this
    /// claim.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    totp: bool,
    #[serde(rename = "says")]
    claims: T,
}

/// Signs a token of this kind that expires at `expires_at`.
pub fn mint<T: Serialize>(
    kind: ActionKind,
    id: TokenId,
    claims: T,
    (now, expires_at): (Timestamp, Timestamp),
    settings: &config::Tokens,
    key: &LoadedKey,
) -> Result<String, SigningError> {
    let mut header = Header::new(Algorithm::EdDSA);
    header.typ = Some(kind.typ().to_owned());
    header.kid = Some(key.kid.to_string());
    let payload = Payload {
        iss: settings.issuer.clone(),
        aud: settings.audience.clone(),
        iat: now.secs(),
        exp: expires_at.secs(),
        jti: id,
        totp: kind == ActionKind::SecondFactor,
        claims,
    };
    jsonwebtoken::encode(&header, &payload, &key.jwt_encoding_key).map_err(|_| SigningError)
}

/// Verifies a token of this kind.
pub fn verify<T: DeserializeOwned>(
    kind: ActionKind,
    token: &str,
    now: Timestamp,
    settings: &config::Tokens,
    keys: &Keys,
) -> Result<ActionToken<T>, ActionTokenError> {
    let key = key_for(kind, token, keys).filter(|key| !key.revoked).ok_or(ActionTokenError::Invalid)?;
    let mut validation = Validation::new(Algorithm::EdDSA);
    // Checked below, by the clock that is passed in and not the library's.
    validation.validate_exp = false;
    validation.set_required_spec_claims(&["exp", "iss", "aud"]);
    validation.set_issuer(&[&settings.issuer]);
    validation.set_audience(&[&settings.audience]);
    let payload = jsonwebtoken::decode::<Payload<T>>(token, &key.jwt_decoding_key, &validation)
        .map_err(|_| ActionTokenError::Invalid)?
        .claims;
    if Timestamp::from_secs(payload.exp) <= now {
        return Err(ActionTokenError::Expired);
    }
    Ok(ActionToken { id: payload.jti, claims: payload.claims })
}

/// The key named in the token's header, if the header is of this kind.
fn key_for(kind: ActionKind, token: &str, keys: &Keys) -> Option<Arc<LoadedKey>> {
    if token.len() > super::access::MAX_LENGTH {
        return None;
    }
    let header = token.split('.').next()?;
    let kid = super::access::header::kid_for_type(header, |typ| typ == kind.typ()).ok()?;
    keys.by_kid(&kid).cloned()
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::{Value, json};

    use super::*;
    use crate::rng::Rng;
    use crate::token::access::tests::{NOW, issuer, keyring, settings, token};

    #[test]
    fn token_is_accepted_only_as_its_own_kind() {
        let (keyring, rng) = (keyring(), Rng::system());
        let keys = keyring.keys();
        let key = keys.signer(NOW).unwrap();
        let until = NOW + std::time::Duration::from_secs(60);
        for signed_as in ActionKind::ALL {
            let jti = TokenId::new(NOW, &rng);
            let text = mint(signed_as, jti, "hello".to_owned(), (NOW, until), &settings(), key).unwrap();
            for verified_as in ActionKind::ALL {
                let result = verify::<String>(verified_as, &text, NOW, &settings(), &keys);
                let expected = ActionToken { id: jti, claims: "hello".to_owned() };
                assert_eq!(
                    result,
                    if signed_as == verified_as { Ok(expected) } else { Err(ActionTokenError::Invalid) }
                );
            }
            assert!(issuer().check(&text, &keys, NOW).is_err());
            assert_eq!(verify::<String>(signed_as, &text, until, &settings(), &keys), Err(ActionTokenError::Expired));
        }
    }

    #[test]
    fn header_is_checked_as_strictly_as_an_access_token() {
        let (keyring, rng) = (keyring(), Rng::system());
        let keys = keyring.keys();
        let key = keys.signer(NOW).unwrap();
        let (kind, until) = (ActionKind::MagicLink, NOW + std::time::Duration::from_secs(60));
        let text = mint(kind, TokenId::new(NOW, &rng), (), (NOW, until), &settings(), key).unwrap();
        let mut parts = text.split('.');
        let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts.next().unwrap()).unwrap()).unwrap();
        let payload = parts.next().unwrap();
        let verify_with = |name: &str, value: Value| {
            let mut header = header.clone();
            header[name] = value;
            let message = format!("{}.{payload}", URL_SAFE_NO_PAD.encode(header.to_string()));
            let signature = URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()).as_ref());
            verify::<()>(kind, &format!("{message}.{signature}"), NOW, &settings(), &keys)
        };
        assert!(verify_with("x", json!("an unknown member")).is_ok());
        for (name, value) in [
            // RFC 7797, 6: only allowed together with `crit`, which is refused in itself.
            ("b64", json!(false)),
            ("b64", json!(true)),
            ("zip", json!("DEF")),
            ("crit", json!(["b64"])),
            ("crit", json!([])),
            ("jku", json!("https://example.org/jwks.json")),
            ("jwk", json!({})),
            ("x5u", json!("https://example.org/x5u")),
            ("x5c", json!([])),
            ("alg", json!("none")),
            ("alg", json!("HS256")),
            ("typ", json!("at+jwt")),
        ] {
            assert_eq!(verify_with(name, value), Err(ActionTokenError::Invalid), "{name}");
        }
        for name in ["b64", "zip", "crit", "jku", "jwk", "x5u", "x5c"] {
            assert_eq!(verify_with(name, Value::Null), Err(ActionTokenError::Invalid), "{name} as null");
        }
    }

    #[test]
    fn access_token_is_not_an_action_token() {
        let keyring = keyring();
        for kind in ActionKind::ALL {
            let result = verify::<serde_json::Value>(kind, &token(&keyring), NOW, &settings(), &keyring.keys());
            assert_eq!(result, Err(ActionTokenError::Invalid));
        }
    }
}
