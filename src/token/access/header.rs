//! Headers that are not, byte for byte, one that we write: another order of members, an imported key's habits; and those of tokens
//! of one purpose.
//!
//! Only what decides is read, and everything by which a token could bring its own key or its own rules is refused
//! (RFC 8725, 3.1 and 3.10). Knows nothing of the keyring.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{Deserialize, Deserializer, IgnoredAny};

use super::TokenError;

#[derive(serde::Deserialize)]
struct Header<'a> {
    #[serde(borrow)]
    alg: Cow<'a, str>,
    #[serde(borrow)]
    typ: Option<Cow<'a, str>>,
    #[serde(borrow)]
    kid: Option<Cow<'a, str>>,
    #[serde(default)]
    crit: Forbidden,
    #[serde(default)]
    b64: Forbidden,
    #[serde(default)]
    jku: Forbidden,
    #[serde(default)]
    jwk: Forbidden,
    #[serde(default)]
    x5u: Forbidden,
    #[serde(default)]
    x5c: Forbidden,
    #[serde(default)]
    zip: Forbidden,
}

/// A member that must not be there, not even as null.
#[derive(Default)]
struct Forbidden(bool);

impl<'de> Deserialize<'de> for Forbidden {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(from)?;
        Ok(Self(true))
    }
}

/// The `kid` of a header's segment, if the header is one of an access token.
pub(super) fn kid(segment: &str) -> Result<String, TokenError> {
    // RFC 9068, 4: the type is compared as a media type, with or without `application/`.
    kid_for_type(segment, |typ| {
        let typ =
            typ.get(..12).filter(|prefix| prefix.eq_ignore_ascii_case("application/")).map_or(typ, |_| &typ[12..]);
        typ.eq_ignore_ascii_case("at+jwt")
    })
}

/// The `kid` of a header's segment, if the header is one of a token whose type will do.
pub(in crate::token) fn kid_for_type(segment: &str, will_do: impl FnOnce(&str) -> bool) -> Result<String, TokenError> {
    let json = URL_SAFE_NO_PAD.decode(segment).map_err(|_| TokenError::Malformed)?;
    let header: Header<'_> = serde_json::from_slice(&json).map_err(|_| TokenError::Malformed)?;
    let brought = [header.crit, header.b64, header.jku, header.jwk, header.x5u, header.x5c, header.zip];
    if brought.iter().any(|member| member.0) {
        return Err(TokenError::Malformed);
    }
    if header.alg != "EdDSA" && header.alg != "Ed25519" {
        return Err(TokenError::WrongType);
    }
    if !will_do(header.typ.as_deref().unwrap_or_default()) {
        return Err(TokenError::WrongType);
    }
    header.kid.map(Cow::into_owned).ok_or(TokenError::UnknownKey)
}
