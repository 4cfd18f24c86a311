//! Action tokens: signed tokens for one action, such as a magic link, a password reset, the confirmation of an address,
//! or the step before a second factor.
//!
//! They are for Signet alone. Services verify access tokens with the JWKS, and most JWT libraries do not check `typ`.
//! So no key of the JWKS may sign anything that names a user, except access tokens. Action tokens are signed (HS256)
//! with a key derived from the fleet's secret, which no service has, and name no `kid`. Their `iss` and `aud` differ
//! from those of access tokens, and they have no `sub`. They are JWTs because clients of a published API read the claim
//! `totp` in them.
//!
//! Each kind has its own `typ` and is accepted only under that `typ` (RFC 8725, 3.11). They are rare, so `jsonwebtoken`
//! signs and verifies them. Verifying a token does not use it up: for single use, a claim is stored beside the token.

use jsonwebtoken::{Algorithm, Header, Validation};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::access::TokenError;
use super::keyring::SigningError;
use super::secret::Secrets;
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

    /// The `typ` in the header of its tokens.
    pub fn typ(self) -> &'static str {
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
    #[serde(rename = "action")]
    claims: T,
}

/// Put before the issuer and the audience of access tokens, so that action tokens have neither, whatever the settings
/// say.
const PREFIX: &str = "signet-action:";

/// Signs a token of this kind that expires at `expires_at`.
pub fn mint<T: Serialize>(
    kind: ActionKind,
    id: TokenId,
    claims: T,
    (now, expires_at): (Timestamp, Timestamp),
    settings: &config::Tokens,
    secrets: &Secrets,
) -> Result<String, SigningError> {
    let mut header = Header::new(Algorithm::HS256);
    header.typ = Some(kind.typ().to_owned());
    let payload = Payload {
        iss: format!("{PREFIX}{}", settings.issuer),
        aud: format!("{PREFIX}{}", settings.audience),
        iat: now.secs(),
        exp: expires_at.secs(),
        jti: id,
        totp: kind == ActionKind::SecondFactor,
        claims,
    };
    let key = secrets.jwt_encoding_key().ok_or(SigningError)?;
    jsonwebtoken::encode(&header, &payload, key).map_err(|_| SigningError)
}

/// Verifies a token of this kind, signed with any of the secrets.
pub fn verify<T: DeserializeOwned>(
    kind: ActionKind,
    token: &str,
    now: Timestamp,
    settings: &config::Tokens,
    secrets: &Secrets,
) -> Result<ActionToken<T>, ActionTokenError> {
    check_header(kind, token)?;
    let mut validation = Validation::new(Algorithm::HS256);
    // Checked below, by the clock that is passed in and not the library's.
    validation.validate_exp = false;
    validation.set_required_spec_claims(&["exp", "iss", "aud"]);
    validation.set_issuer(&[format!("{PREFIX}{}", settings.issuer)]);
    validation.set_audience(&[format!("{PREFIX}{}", settings.audience)]);
    let payload = secrets
        .jwt_decoding_keys()
        .find_map(|key| jsonwebtoken::decode::<Payload<T>>(token, key, &validation).ok())
        .ok_or(ActionTokenError::Invalid)?
        .claims;
    if Timestamp::from_secs(payload.exp) <= now {
        return Err(ActionTokenError::Expired);
    }
    Ok(ActionToken { id: payload.jti, claims: payload.claims })
}

/// Checks the header more strictly than the library does.
fn check_header(kind: ActionKind, token: &str) -> Result<(), ActionTokenError> {
    if token.len() > super::access::MAX_LENGTH {
        return Err(ActionTokenError::Invalid);
    }
    let header = token.split('.').next().unwrap_or_default();
    signet_verify::header::Header::read(header, |header| {
        let accepted = header.alg == "HS256" && header.typ.as_deref() == Some(kind.typ());
        if accepted { Ok(()) } else { Err(TokenError::WrongType) }
    })
    .map_err(|_| ActionTokenError::Invalid)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::hmac;
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use jsonwebtoken::{DecodingKey, EncodingKey};
    use serde_json::{Value, json};

    use super::*;
    use crate::config::{Secret, SigningAlgorithm};
    use crate::rng::Rng;
    use crate::token::access::tests::{NOW, issuer, keyring, settings, token};

    const UNTIL: Timestamp = Timestamp::from_secs(NOW.secs() + 60);

    fn secrets(each: &[u8]) -> Secrets {
        let each = each.iter().map(|byte| Secret(zeroize::Zeroizing::new([*byte; 32]))).collect::<Vec<_>>();
        Secrets::new(&each).unwrap()
    }

    fn minted(kind: ActionKind, secrets: &Secrets) -> String {
        mint(kind, TokenId::new(NOW, &Rng::system()), "hello", (NOW, UNTIL), &settings(), secrets).unwrap()
    }

    fn verified(kind: ActionKind, token: &str, secrets: &Secrets) -> Result<String, ActionTokenError> {
        verify::<String>(kind, token, NOW, &settings(), secrets).map(|token| token.claims)
    }

    fn parts(token: &str) -> (Value, Value) {
        let part = |text: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap();
        let parts = token.split('.').collect::<Vec<_>>();
        (part(parts[0]), part(parts[1]))
    }

    /// A token with this header and payload, and this function's signature.
    fn signed(header: &Value, payload: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", encode(header), encode(payload));
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(sign(message.as_bytes())))
    }

    /// A token with this header and payload, signed with the right key.
    fn signed_by(secrets: &Secrets, header: &Value, payload: &Value) -> String {
        signed(header, payload, |message| {
            let key = secrets.jwt_encoding_key().unwrap();
            let signature = jsonwebtoken::crypto::sign(message, key, Algorithm::HS256).unwrap();
            URL_SAFE_NO_PAD.decode(signature).unwrap()
        })
    }

    #[test]
    fn token_is_accepted_only_as_its_own_kind() {
        let (keyring, secrets) = (keyring(), secrets(&[1]));
        for signed_as in ActionKind::ALL {
            let text = minted(signed_as, &secrets);
            for verified_as in ActionKind::ALL {
                let expected =
                    if signed_as == verified_as { Ok("hello".to_owned()) } else { Err(ActionTokenError::Invalid) };
                assert_eq!(verified(verified_as, &text, &secrets), expected);
            }
            let refused = issuer().check(&text, &keyring.keys(), NOW).map(|_| ());
            assert_eq!(refused, Err(TokenError::UnsupportedAlgorithm));
            let late = verify::<String>(signed_as, &text, UNTIL, &settings(), &secrets);
            assert_eq!(late, Err(ActionTokenError::Expired));
        }
    }

    #[test]
    fn every_secret_of_the_list_verifies_a_token() {
        let kind = ActionKind::ResetPassword;
        let old = minted(kind, &secrets(&[1]));
        assert_eq!(verified(kind, &old, &secrets(&[2, 1])), Ok("hello".to_owned()));
        assert_eq!(verified(kind, &minted(kind, &secrets(&[1, 2])), &secrets(&[1])), Ok("hello".to_owned()));
        assert_eq!(verified(kind, &old, &secrets(&[2])), Err(ActionTokenError::Invalid));
    }

    #[test]
    fn token_shares_nothing_that_verifiers_check() {
        for kind in ActionKind::ALL {
            let (header, payload) = parts(&minted(kind, &secrets(&[1])));
            assert_eq!(header, json!({"alg": "HS256", "typ": kind.typ()}));
            assert_eq!(payload["iss"], "signet-action:https://id.example.org");
            assert_eq!(payload["aud"], "signet-action:signet");
            assert_eq!(payload["totp"], if kind == ActionKind::SecondFactor { json!(true) } else { Value::Null });
            let names = payload.as_object().unwrap().keys().filter(|name| *name != "totp").collect::<Vec<_>>();
            assert_eq!(names, ["action", "aud", "exp", "iat", "iss", "jti"]);
        }
    }

    #[test]
    fn keys_of_access_tokens_sign_no_action_token() {
        let (keyring, secrets) = (keyring(), secrets(&[1]));
        let keys = keyring.keys();
        let (key, published) = (keys.signing_key(SigningAlgorithm::EdDsa, NOW).unwrap(), keys.ring().keys[0].public);
        for kind in ActionKind::ALL {
            let (header, payload) = parts(&minted(kind, &secrets));
            for alg in ["EdDSA", "Ed25519", "HS256"] {
                // Versions before 1.0 signed with a key of the ring, and with the issuer and audience of access tokens.
                let mut header = header.clone();
                (header["alg"], header["kid"]) = (alg.into(), (*key.kid).into());
                for changes in [json!({}), json!({"iss": "https://id.example.org", "aud": "signet"})] {
                    let mut payload = payload.clone();
                    payload.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
                    let token = signed(&header, &payload, |message| key.sign(message).unwrap().as_ref().to_vec());
                    assert_eq!(verified(kind, &token, &secrets), Err(ActionTokenError::Invalid), "{header}");
                }
                // The public key as the secret of an HMAC.
                let encoded = URL_SAFE_NO_PAD.encode(published.as_bytes());
                for secret in [published.as_bytes(), encoded.as_bytes(), &keys.jwks().body, b""] {
                    let mac = |message: &[u8]| {
                        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message).as_ref().to_vec()
                    };
                    let token = signed(&header, &payload, mac);
                    assert_eq!(verified(kind, &token, &secrets), Err(ActionTokenError::Invalid), "{header}");
                }
            }
        }
    }

    /// Each use of the secret has its own key.
    #[test]
    fn other_keys_of_the_secret_sign_no_action_token() {
        let (kind, secrets) = (ActionKind::MagicLink, secrets(&[1]));
        let (header, payload) = parts(&minted(kind, &secrets));
        let by_secret = |message: &[u8]| {
            let signature =
                jsonwebtoken::crypto::sign(message, &EncodingKey::from_secret(&[1; 32]), Algorithm::HS256).unwrap();
            URL_SAFE_NO_PAD.decode(signature).unwrap()
        };
        let by_mac = |message: &[u8]| secrets.mac(message).to_vec();
        for token in [signed(&header, &payload, by_secret), signed(&header, &payload, by_mac)] {
            assert_eq!(verified(kind, &token, &secrets), Err(ActionTokenError::Invalid));
        }
        let decoding = DecodingKey::from_secret(&[1; 32]);
        let mut validation = Validation::new(Algorithm::HS256);
        validation.validate_aud = false;
        assert!(jsonwebtoken::decode::<Value>(minted(kind, &secrets), &decoding, &validation).is_err());
    }

    #[test]
    fn issuer_and_audience_are_checked() {
        let (kind, secrets) = (ActionKind::MagicLink, secrets(&[1]));
        let (header, payload) = parts(&minted(kind, &secrets));
        let with = |name: &str, value: Value| {
            let mut payload = payload.clone();
            payload[name] = value;
            verified(kind, &signed_by(&secrets, &header, &payload), &secrets)
        };
        assert_eq!(with("more", json!(1)), Ok("hello".to_owned()));
        for (name, values) in [
            ("iss", ["https://id.example.org", "signet-action:https://id.example.com", "signet-action:"]),
            ("aud", ["signet", "signet-action:other", "signet-action:"]),
        ] {
            for value in values {
                assert_eq!(with(name, json!(value)), Err(ActionTokenError::Invalid), "{name} {value}");
            }
        }
        for name in ["iss", "aud", "exp", "iat", "jti", "action"] {
            assert_eq!(with(name, Value::Null), Err(ActionTokenError::Invalid), "{name}");
        }
    }

    #[test]
    fn header_is_checked_as_strictly_as_an_access_token() {
        let (kind, secrets) = (ActionKind::MagicLink, secrets(&[1]));
        let (header, payload) = parts(&minted(kind, &secrets));
        let verify_with = |name: &str, value: Value| {
            let mut header = header.clone();
            header[name] = value;
            verified(kind, &signed_by(&secrets, &header, &payload), &secrets)
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
            ("alg", json!("EdDSA")),
            ("alg", json!("HS512")),
            ("alg", json!("hs256")),
            ("typ", json!("at+jwt")),
            ("typ", json!("JWT")),
        ] {
            assert_eq!(verify_with(name, value), Err(ActionTokenError::Invalid), "{name}");
        }
        for name in ["alg", "typ", "b64", "zip", "crit", "jku", "jwk", "x5u", "x5c"] {
            assert_eq!(verify_with(name, Value::Null), Err(ActionTokenError::Invalid), "{name} as null");
        }
    }

    #[test]
    fn access_token_is_not_an_action_token() {
        let keyring = keyring();
        for kind in ActionKind::ALL {
            let result = verify::<Value>(kind, &token(&keyring), NOW, &settings(), &secrets(&[1]));
            assert_eq!(result, Err(ActionTokenError::Invalid));
        }
    }
}
