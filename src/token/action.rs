//! One-purpose tokens: the step before a second factor, a magic link, a confirmation, a reset.
//!
//! Each purpose has a `typ` of its own and is read only under that `typ` (RFC 8725, 3.11), so none is ever an access token, and
//! none is good for another purpose. They are rare, so `jsonwebtoken` makes and checks them. Being read is not being
//! used up: what may be used once is a claim in the store beside its token.

use std::sync::Arc;

use jsonwebtoken::{Algorithm, Header, Validation};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::keyring::{Keys, LoadedKey};
use crate::clock::Timestamp;
use crate::config;
use crate::id::TokenId;

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionKind {
    /// The password was right, the second factor is due.
    SecondFactor,
    /// The mailed half of a magic link.
    MagicLink,
    /// The confirmation of an address.
    ConfirmEmail,
    /// The mailed half of a password reset.
    ResetPassword,
}

impl ActionKind {
    /// Every purpose there is.
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

/// The token is not one for this purpose, or its time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ActionTokenError {
    /// Not a token of ours for this purpose.
    #[error("not a token for this purpose")]
    Invalid,
    /// It was one.
    #[error("expired")]
    Expired,
}

/// The token could not be made; no input explains it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the token could not be made")]
pub struct SigningError;

/// What is read from a token: its name, by which a claim may be kept beside it, and what it was made to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionToken<T> {
    /// `jti`.
    pub id: TokenId,
    /// What it was made to say.
    pub claims: T,
}

#[derive(Serialize, Deserialize)]
struct Claims<T> {
    iss: String,
    aud: String,
    iat: i64,
    exp: i64,
    jti: TokenId,
    /// Of a second factor that is due: by this a published API's clients know that they hold no access token.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    totp: bool,
    says: T,
}

/// Makes a token that says `says` and is good for one purpose until `until`.
pub fn mint<T: Serialize>(
    purpose: ActionKind,
    token: TokenId,
    says: T,
    (now, until): (Timestamp, Timestamp),
    settings: &config::Tokens,
    key: &LoadedKey,
) -> Result<String, SigningError> {
    let mut header = Header::new(Algorithm::EdDSA);
    header.typ = Some(purpose.typ().to_owned());
    header.kid = Some(key.kid.to_string());
    let (iss, aud) = (settings.issuer.clone(), settings.audience.clone());
    let claims = Claims {
        iss,
        aud,
        iat: now.secs(),
        exp: until.secs(),
        jti: token,
        totp: purpose == ActionKind::SecondFactor,
        says,
    };
    jsonwebtoken::encode(&header, &claims, &key.jwt_encoding_key).map_err(|_| SigningError)
}

/// Reads a token made for this purpose.
pub fn read<T: DeserializeOwned>(
    purpose: ActionKind,
    token: &str,
    now: Timestamp,
    settings: &config::Tokens,
    keys: &Keys,
) -> Result<ActionToken<T>, ActionTokenError> {
    let key = named_key(purpose, token, keys).filter(|key| !key.revoked).ok_or(ActionTokenError::Invalid)?;
    let mut validation = Validation::new(Algorithm::EdDSA);
    // The time is the clock's that is handed down, not the library's.
    validation.validate_exp = false;
    validation.set_required_spec_claims(&["exp", "iss", "aud"]);
    validation.set_issuer(&[&settings.issuer]);
    validation.set_audience(&[&settings.audience]);
    let claims = jsonwebtoken::decode::<Claims<T>>(token, &key.jwt_decoding_key, &validation)
        .map_err(|_| ActionTokenError::Invalid)?
        .claims;
    if Timestamp::from_secs(claims.exp) <= now {
        return Err(ActionTokenError::Expired);
    }
    Ok(ActionToken { id: claims.jti, claims: claims.says })
}

fn named_key(purpose: ActionKind, token: &str, keys: &Keys) -> Option<Arc<LoadedKey>> {
    if token.len() > super::access::MAX_LENGTH {
        return None;
    }
    let header = token.split('.').next()?;
    let kid = super::access::header::kid_for_type(header, |typ| typ == purpose.typ()).ok()?;
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
    fn a_token_is_good_for_its_purpose_alone() {
        let (keyring, rng) = (keyring(), Rng::system());
        let keys = keyring.keys();
        let key = keys.signer(NOW).unwrap();
        let until = NOW + std::time::Duration::from_secs(60);
        for made_for in ActionKind::ALL {
            let jti = TokenId::new(NOW, &rng);
            let text = mint(made_for, jti, "hello".to_owned(), (NOW, until), &settings(), key).unwrap();
            for read_for in ActionKind::ALL {
                let answer = read::<String>(read_for, &text, NOW, &settings(), &keys);
                let expected = ActionToken { id: jti, claims: "hello".to_owned() };
                assert_eq!(answer, if made_for == read_for { Ok(expected) } else { Err(ActionTokenError::Invalid) });
            }
            assert!(issuer().check(&text, &keys, NOW).is_err());
            assert_eq!(read::<String>(made_for, &text, until, &settings(), &keys), Err(ActionTokenError::Expired));
        }
    }

    #[test]
    fn a_header_is_read_as_strictly_as_that_of_an_access_token() {
        let (keyring, rng) = (keyring(), Rng::system());
        let keys = keyring.keys();
        let key = keys.signer(NOW).unwrap();
        let (purpose, until) = (ActionKind::MagicLink, NOW + std::time::Duration::from_secs(60));
        let text = mint(purpose, TokenId::new(NOW, &rng), (), (NOW, until), &settings(), key).unwrap();
        let mut parts = text.split('.');
        let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts.next().unwrap()).unwrap()).unwrap();
        let payload = parts.next().unwrap();
        let read_with = |name: &str, value: Value| {
            let mut header = header.clone();
            header[name] = value;
            let message = format!("{}.{payload}", URL_SAFE_NO_PAD.encode(header.to_string()));
            let signature = URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()).as_ref());
            read::<()>(purpose, &format!("{message}.{signature}"), NOW, &settings(), &keys)
        };
        assert!(read_with("x", json!("what means nothing to us")).is_ok());
        for (name, value) in [
            // RFC 7797, 6: not without being in `crit`, which is refused for itself.
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
            assert_eq!(read_with(name, value), Err(ActionTokenError::Invalid), "{name}");
        }
        for name in ["b64", "zip", "crit", "jku", "jwk", "x5u", "x5c"] {
            assert_eq!(read_with(name, Value::Null), Err(ActionTokenError::Invalid), "{name} as null");
        }
    }

    #[test]
    fn an_access_token_is_good_for_no_purpose() {
        let keyring = keyring();
        for purpose in ActionKind::ALL {
            let answer = read::<serde_json::Value>(purpose, &token(&keyring), NOW, &settings(), &keyring.keys());
            assert_eq!(answer, Err(ActionTokenError::Invalid));
        }
    }
}
