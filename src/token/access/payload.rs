//! Parses the payload of a token with a valid signature: extracts the claims that the program uses, and keeps the whole
//! text.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;

use super::{TokenError, VerifiedToken};
use crate::clock::Timestamp;
use crate::id::{ApiKeyId, SessionId, TokenId, UserId};
use crate::token::keyring::LoadedKey;
use crate::token::scopes::ScopeSet;

/// Timestamps are whole seconds. We write no others, so floats, strings and null are refused.
#[derive(Deserialize)]
struct Payload<'a> {
    #[serde(borrow)]
    iss: Cow<'a, str>,
    #[serde(borrow)]
    sub: Cow<'a, str>,
    #[serde(borrow)]
    aud: Audience<'a>,
    exp: i64,
    #[serde(default, deserialize_with = "deserialize_present")]
    iat: Option<i64>,
    #[serde(default, deserialize_with = "deserialize_present")]
    nbf: Option<i64>,
    #[serde(default, deserialize_with = "deserialize_present")]
    auth_time: Option<i64>,
    #[serde(borrow)]
    sid: Option<Cow<'a, str>>,
    #[serde(borrow)]
    jti: Option<Cow<'a, str>>,
    #[serde(borrow)]
    client_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    email: Option<Cow<'a, str>>,
    email_verified: Option<bool>,
    #[serde(borrow)]
    scope: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience<'a> {
    One(#[serde(borrow)] Cow<'a, str>),
    Many(#[serde(borrow)] Vec<Cow<'a, str>>),
}

/// Parses a member that may be absent, but not null.
fn deserialize_present<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<i64>, D::Error> {
    i64::deserialize(from).map(Some)
}

pub(super) fn parse(json: String, issuer: &str, key: Arc<LoadedKey>) -> Result<VerifiedToken, TokenError> {
    let payload: Payload<'_> = serde_json::from_str(&json).map_err(|_| TokenError::Malformed)?;
    if payload.iss != issuer {
        return Err(TokenError::WrongIssuer);
    }
    let audience = match &payload.aud {
        Audience::One(one) => Box::from([Box::from(one.as_ref())]),
        Audience::Many(many) => many.iter().map(|one| Box::from(one.as_ref())).collect(),
    };
    let token = payload.jti.as_deref().and_then(TokenId::parse);
    let issued_at =
        token.and_then(|token| token.created_at()).or(payload.iat.map(Timestamp::from_secs)).unwrap_or_default();
    let session = payload.sid.as_deref().and_then(SessionId::parse);
    let auth_time = payload.auth_time.map(Timestamp::from_secs);
    Ok(VerifiedToken {
        subject: payload.sub.as_ref().into(),
        user: UserId::parse(&payload.sub),
        session,
        auth_time: auth_time.or_else(|| session.and_then(|session| session.created_at())),
        token_id: token,
        api_key: payload.client_id.as_deref().and_then(ApiKeyId::parse),
        issued_at,
        not_before: payload.nbf.map(Timestamp::from_secs),
        expires_at: Timestamp::from_secs(payload.exp),
        audience,
        email: payload.email.as_deref().map(Box::from),
        email_verified: payload.email_verified == Some(true),
        scopes: ScopeSet::parse(payload.scope.as_deref().unwrap_or_default()),
        key,
        claims: json.into(),
    })
}
