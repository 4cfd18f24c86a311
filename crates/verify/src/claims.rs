//! The claims of an access token, read from the payload that [`UnverifiedToken::verify`] returned.
//!
//! [`UnverifiedToken::verify`]: crate::UnverifiedToken::verify

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};

use crate::error::TokenError;
use crate::time::UnixTime;

/// The claims that verifiers use. All texts borrow from the payload unless they contain escapes.
///
/// Timestamps are whole seconds. Signet writes no others, so floats, strings and null are refused.
#[derive(serde::Deserialize)]
pub struct Claims<'a> {
    /// The issuer.
    #[serde(borrow)]
    pub iss: Text<'a>,
    /// The user, or the owner of the API key.
    #[serde(borrow)]
    pub sub: Text<'a>,
    /// The audience or audiences.
    #[serde(borrow)]
    pub aud: Audience<'a>,
    /// When the token expires.
    pub exp: i64,
    /// When it was issued.
    #[serde(default, deserialize_with = "deserialize_present")]
    pub iat: Option<i64>,
    /// When it becomes valid.
    #[serde(default, deserialize_with = "deserialize_present")]
    pub nbf: Option<i64>,
    /// When the user authenticated.
    #[serde(default, deserialize_with = "deserialize_present")]
    pub auth_time: Option<i64>,
    /// The session.
    #[serde(borrow)]
    pub sid: Option<Text<'a>>,
    /// The token.
    #[serde(borrow)]
    pub jti: Option<Text<'a>>,
    /// The client.
    #[serde(borrow)]
    pub client_id: Option<Text<'a>>,
    /// The user's address.
    #[serde(borrow)]
    pub email: Option<Text<'a>>,
    /// True if the address is verified.
    pub email_verified: Option<bool>,
    /// The scopes, separated by spaces.
    #[serde(borrow)]
    pub scope: Option<Text<'a>>,
}

impl<'a> Claims<'a> {
    /// Parses a payload and checks `iss`.
    pub fn parse(json: &'a str, issuer: &str) -> Result<Self, TokenError> {
        let claims: Self = serde_json::from_str(json).map_err(|_| TokenError::Malformed)?;
        if *claims.iss == *issuer { Ok(claims) } else { Err(TokenError::WrongIssuer) }
    }

    /// The period in which the token is valid.
    pub fn validity(&self) -> Validity {
        Validity { not_before: self.nbf.map(UnixTime::from_secs), expires_at: UnixTime::from_secs(self.exp) }
    }
}

/// The period in which a token is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// `nbf`.
    pub not_before: Option<UnixTime>,
    /// `exp`.
    pub expires_at: UnixTime,
}

impl Validity {
    /// Checks the period, with a tolerated clock difference. Must be checked again each time a token is used.
    pub fn check(&self, now: UnixTime, leeway: Duration) -> Result<(), TokenError> {
        if self.expires_at + leeway <= now {
            Err(TokenError::Expired)
        } else if self.not_before.is_some_and(|begin| begin > now + leeway) {
            Err(TokenError::NotYetValid)
        } else {
            Ok(())
        }
    }
}

/// A JSON string, borrowed from the payload unless it contains escapes. (`Option<Cow<str>>` would always be copied.)
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text<'a>(pub Cow<'a, str>);

impl std::ops::Deref for Text<'_> {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_str(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }
}

/// `aud`: one text or a list of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience<'a> {
    /// A single audience.
    One(Text<'a>),
    /// A list.
    Many(Vec<Text<'a>>),
}

impl<'a> Audience<'a> {
    pub(crate) fn texts(&self) -> &[Text<'a>] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }

    /// The audiences.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.texts().iter().map(|text| &**text)
    }

    /// Returns true if `audience` is one of them.
    pub fn contains(&self, audience: &str) -> bool {
        self.iter().any(|own| own == audience)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Audience<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(AudienceVisitor)
    }
}

struct AudienceVisitor;

impl<'de> Visitor<'de> for AudienceVisitor {
    type Value = Audience<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or a list of strings")
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, text: &'de str) -> Result<Audience<'de>, E> {
        TextVisitor.visit_borrowed_str(text).map(Audience::One)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Audience<'de>, E> {
        TextVisitor.visit_str(text).map(Audience::One)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Audience<'de>, A::Error> {
        let mut many = Vec::new();
        while let Some(one) = list.next_element()? {
            many.push(one);
        }
        Ok(Audience::Many(many))
    }
}

/// Parses a member that may be absent, but not null.
fn deserialize_present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i64>, D::Error> {
    i64::deserialize(from).map(Some)
}
