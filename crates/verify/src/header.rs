//! JOSE headers, read strictly: those of access tokens that do not equal one of Signet's byte for byte (for example
//! because another issuer with an imported key orders the members differently), of feed frames, and of action tokens.
//!
//! Every member by which a token could bring its own key or its own rules is refused (RFC 8725, 3.1 and 3.10). Knows
//! nothing of keys.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{Deserialize, Deserializer, IgnoredAny};

use crate::error::TokenError;

/// The media type of access tokens (RFC 9068, 2.1), without `application/`.
pub const ACCESS_TOKEN_TYPE: &str = "at+jwt";

/// A header without forbidden members.
#[derive(serde::Deserialize)]
pub struct Header<'a> {
    /// `alg`.
    #[serde(borrow)]
    pub alg: Cow<'a, str>,
    /// `typ`.
    #[serde(borrow)]
    pub typ: Option<Cow<'a, str>>,
    /// `kid`.
    #[serde(borrow)]
    pub kid: Option<Cow<'a, str>>,
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

impl Header<'_> {
    /// Parses a header segment, refuses forbidden members, and calls `read` with the header.
    pub fn read<T>(segment: &str, read: impl FnOnce(&Header<'_>) -> Result<T, TokenError>) -> Result<T, TokenError> {
        let json = URL_SAFE_NO_PAD.decode(segment).map_err(|_| TokenError::Malformed)?;
        let header: Header<'_> = crate::json::parse(&json).map_err(|_| TokenError::Malformed)?;
        let forbidden = [&header.crit, &header.b64, &header.jku, &header.jwk, &header.x5u, &header.x5c, &header.zip];
        if forbidden.iter().any(|member| member.0) {
            return Err(TokenError::Malformed);
        }
        read(&header)
    }

    /// Returns true if `typ` is this media type, compared as RFC 9068, 4 says: with or without `application/`, in any
    /// case.
    pub fn is_of_type(&self, expected: &str) -> bool {
        let typ = self.typ.as_deref().unwrap_or_default();
        let typ =
            typ.get(..12).filter(|prefix| prefix.eq_ignore_ascii_case("application/")).map_or(typ, |_| &typ[12..]);
        typ.eq_ignore_ascii_case(expected)
    }
}

/// The header segment with its dot, as Signet writes it.
pub(crate) fn header_segment(alg: &str, typ: &str, kid: &str) -> Box<str> {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let header = format!(r#"{{"alg":{},"typ":{},"kid":{}}}"#, quoted(alg), quoted(typ), quoted(kid));
    let mut segment = URL_SAFE_NO_PAD.encode(header);
    segment.push('.');
    segment.into()
}

/// The header segment of an access token.
pub fn access_token_header(alg: &str, kid: &str) -> Box<str> {
    header_segment(alg, ACCESS_TOKEN_TYPE, kid)
}
