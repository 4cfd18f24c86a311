//! Parses the headers of action tokens, and those of access tokens that do not equal one of ours byte for byte, for
//! example because another issuer with an imported key orders the members differently.
//!
//! Every member by which a token could bring its own key or its own rules is refused (RFC 8725, 3.1 and 3.10). Knows
//! nothing of the keyring.

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

/// A member that must be absent; `null` is refused too.
#[derive(Default)]
struct Forbidden(bool);

impl<'de> Deserialize<'de> for Forbidden {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(from)?;
        Ok(Self(true))
    }
}

/// The `kid` of a header segment, if it is the header of an access token.
pub(super) fn kid(segment: &str) -> Result<String, TokenError> {
    let accepts = |header: &Header<'_>| {
        let typ = header.typ.as_deref().unwrap_or_default();
        // RFC 9068, 4: the type is compared as a media type, with or without `application/`.
        let typ =
            typ.get(..12).filter(|prefix| prefix.eq_ignore_ascii_case("application/")).map_or(typ, |_| &typ[12..]);
        (header.alg == "EdDSA" || header.alg == "Ed25519") && typ.eq_ignore_ascii_case("at+jwt")
    };
    check(segment, accepts, |header| header.kid.map(Cow::into_owned).ok_or(TokenError::UnknownKey))
}

/// Checks that a header segment is that of an action token with this `typ`.
pub(in crate::token) fn check_action(segment: &str, typ: &str) -> Result<(), TokenError> {
    check(segment, |header| header.alg == "HS256" && header.typ.as_deref() == Some(typ), |_| Ok(()))
}

/// Parses a header segment, refuses forbidden members, and reads the header if `accepts` returns true for it.
fn check<T>(
    segment: &str,
    accepts: impl FnOnce(&Header<'_>) -> bool,
    read: impl FnOnce(Header<'_>) -> Result<T, TokenError>,
) -> Result<T, TokenError> {
    let json = URL_SAFE_NO_PAD.decode(segment).map_err(|_| TokenError::Malformed)?;
    let header: Header<'_> = serde_json::from_slice(&json).map_err(|_| TokenError::Malformed)?;
    let forbidden = [&header.crit, &header.b64, &header.jku, &header.jwk, &header.x5u, &header.x5c, &header.zip];
    if forbidden.iter().any(|member| member.0) {
        return Err(TokenError::Malformed);
    }
    if accepts(&header) { read(header) } else { Err(TokenError::WrongType) }
}
