//! The claims of an access token, read from the payload that [`UnverifiedToken::verify`] returned.
//!
//! [`UnverifiedToken::verify`]: crate::UnverifiedToken::verify

use std::fmt;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::error::TokenError;
use crate::json::{AnyValue, Integer, Names, TextVisitor, read_once};
use crate::time::UnixTime;

pub use crate::json::Text;

/// The claims that verifiers use. All texts borrow from the payload unless they contain escapes.
///
/// Timestamps are whole seconds. Signet writes no others, so floats, strings and null are refused. So are claims of the
/// same name, whether known or not.
pub struct Claims<'a> {
    /// The issuer.
    pub iss: Text<'a>,
    /// The user, or the owner of the API key.
    pub sub: Text<'a>,
    /// The audience or audiences.
    pub aud: Audience<'a>,
    /// When the token expires.
    pub exp: i64,
    /// When it was issued.
    pub iat: Option<i64>,
    /// When it becomes valid.
    pub nbf: Option<i64>,
    /// When the user authenticated.
    pub auth_time: Option<i64>,
    /// The session.
    pub sid: Option<Text<'a>>,
    /// The token.
    pub jti: Option<Text<'a>>,
    /// The client.
    pub client_id: Option<Text<'a>>,
    /// The user's address.
    pub email: Option<Text<'a>>,
    /// True if the address is verified.
    pub email_verified: Option<bool>,
    /// The scopes, separated by spaces.
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

impl<'de: 'a, 'a> Deserialize<'de> for Claims<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(ClaimsVisitor)
    }
}

/// Not derived: a derived visitor would not check the names and the values of other claims.
struct ClaimsVisitor;

impl<'de> Visitor<'de> for ClaimsVisitor {
    type Value = Claims<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("claims")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Claims<'de>, A::Error> {
        let (mut iss, mut sub, mut aud) = (None, None, None);
        let (mut sid, mut jti, mut client_id, mut email, mut email_verified, mut scope) =
            (None, None, None, None, None, None);
        let (mut exp, mut iat, mut nbf, mut auth_time) = (None, None, None, None);
        let mut others = Names::default();
        while let Some(name) = object.next_key::<Text<'de>>()? {
            match &*name {
                "iss" => read_once(&mut iss, &mut object),
                "sub" => read_once(&mut sub, &mut object),
                "aud" => read_once(&mut aud, &mut object),
                "exp" => read_once(&mut exp, &mut object),
                "iat" => read_once(&mut iat, &mut object),
                "nbf" => read_once(&mut nbf, &mut object),
                "auth_time" => read_once(&mut auth_time, &mut object),
                "sid" => read_once(&mut sid, &mut object),
                "jti" => read_once(&mut jti, &mut object),
                "client_id" => read_once(&mut client_id, &mut object),
                "email" => read_once(&mut email, &mut object),
                "email_verified" => read_once(&mut email_verified, &mut object),
                "scope" => read_once(&mut scope, &mut object),
                _ => {
                    others.add(name)?;
                    object.next_value::<AnyValue>().map(drop)
                }
            }?;
        }
        let missing = A::Error::missing_field;
        let seconds = |time: Option<Integer>| time.map(|time| time.0);
        Ok(Claims {
            iss: iss.ok_or_else(|| missing("iss"))?,
            sub: sub.ok_or_else(|| missing("sub"))?,
            aud: aud.ok_or_else(|| missing("aud"))?,
            exp: seconds(exp).ok_or_else(|| missing("exp"))?,
            iat: seconds(iat),
            nbf: seconds(nbf),
            auth_time: seconds(auth_time),
            // These may be null.
            sid: sid.flatten(),
            jti: jti.flatten(),
            client_id: client_id.flatten(),
            email: email.flatten(),
            email_verified: email_verified.flatten(),
            scope: scope.flatten(),
        })
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
