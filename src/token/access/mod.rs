//! Access tokens: JWTs by RFC 9068 and 8725. They are minted and checked without a JWT library, because every request
//! pays for it.
//!
//! The hot path. Budget of minting: one signature, three allocations. Of checking: one signature and the parsing of
//! the payload. The crate `signet-verify` checks, so that the services which verify our tokens run the same code.
//!
//! `jsonwebtoken` is the reference: the tests check that it accepts every token minted here, and that every mangled
//! token which it refuses is refused here too. Knows nothing of sessions or revocations: a token that is valid here may
//! be revoked.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use signet_verify::UnverifiedToken;
use signet_verify::cache::Expires;
use signet_verify::claims::{Claims, Validity};

use super::keyring::{Keys, LoadedKey, SigningError};
use super::scopes::ScopeSet;
use crate::clock::Timestamp;
use crate::config;
use crate::id::{ApiKeyId, SessionId, TokenId, UserId};

pub use signet_verify::TokenError;
pub use signet_verify::token::MAX_LENGTH;

/// Issues and checks the tokens of this service.
#[derive(Debug)]
pub struct Issuer {
    issuer: String,
    audience: String,
    /// The other audiences.
    other_audiences: Box<[Box<str>]>,
    leeway: Duration,
    /// The beginning of the payload, which is the same in every token for `audience`.
    payload_start: String,
    /// The beginning of the payload of other tokens, before the audience.
    other_payload_start: String,
    /// `client_id` of tokens that are not issued from an API key, as a member; empty if they have none.
    client: String,
}

/// The contents of a token to mint.
#[derive(Clone, Copy, Debug)]
pub struct NewAccessToken<'a> {
    /// `sub`.
    pub user: UserId,
    /// `aud`, if it is not that of the settings.
    pub audience: Option<&'a str>,
    /// The session or API key that it is issued from.
    pub issued_from: IssuedFrom,
    /// `jti`.
    pub token_id: TokenId,
    /// `iat`.
    pub issued_at: Timestamp,
    /// `exp`.
    pub expires_at: Timestamp,
    /// More claims, from [`serialize_extra_claims`].
    pub extra_claims: &'a str,
}

/// The session or API key that a token is issued from, and the claims that name it.
#[derive(Clone, Copy, Debug)]
pub enum IssuedFrom {
    /// A session. `client_id` is that of the settings.
    Session {
        /// `sid`.
        id: SessionId,
        /// `auth_time`: when the user authenticated.
        auth_time: Timestamp,
    },
    /// An API key: `client_id`.
    ApiKey(ApiKeyId),
}

/// A token with a valid signature and valid claims.
#[derive(Clone)]
pub struct VerifiedToken {
    /// The payload as signed.
    pub claims: Box<str>,
    /// `sub`.
    pub subject: Box<str>,
    /// `sub`, if it is an id of ours.
    pub user: Option<UserId>,
    /// `sid`.
    pub session: Option<SessionId>,
    /// `jti`.
    pub token_id: Option<TokenId>,
    /// `client_id`, if it is the id of an API key. Tokens of sessions have that of the settings, which is no such id,
    /// or none.
    pub api_key: Option<ApiKeyId>,
    /// `auth_time`: when the user authenticated. If the token has none, because an older build issued it, the time at
    /// which its session was opened.
    pub auth_time: Option<Timestamp>,
    /// The time of issue: from the `jti`, to the millisecond, or from `iat`.
    pub issued_at: Timestamp,
    /// `nbf`.
    pub not_before: Option<Timestamp>,
    /// `exp`.
    pub expires_at: Timestamp,
    /// `aud`.
    pub audience: Box<[Box<str>]>,
    /// `email`.
    pub email: Option<Box<str>>,
    /// `email_verified`; false if it is absent.
    pub email_verified: bool,
    /// `scope`.
    pub scopes: ScopeSet,
    /// The key that signed it.
    pub key: Arc<LoadedKey>,
}

/// Serializes a JSON object as members to append to those that every token has: `,"name":value…`, or an empty text.
pub fn serialize_extra_claims(claims: &impl serde::Serialize) -> Result<String, serde_json::Error> {
    let object = serde_json::to_string(claims)?;
    let members = object.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or_default();
    Ok(if members.is_empty() { String::new() } else { format!(",{members}") })
}

impl Issuer {
    /// The issuer with these settings, and no other audience.
    pub fn new(settings: &config::Tokens) -> Self {
        Self {
            other_audiences: Box::default(),
            other_payload_start: format!(r#"{{"iss":{},"aud":"#, quoted(&settings.issuer)),
            issuer: settings.issuer.clone(),
            audience: settings.audience.clone(),
            leeway: settings.leeway,
            client: settings
                .client_id
                .as_deref()
                .map(|id| format!(r#","client_id":{}"#, quoted(id)))
                .unwrap_or_default(),
            payload_start: format!(r#"{{"iss":{},"aud":{}"#, quoted(&settings.issuer), quoted(&settings.audience)),
        }
    }

    /// The same issuer with other audiences, whose tokens it accepts too.
    pub fn with_audiences(mut self, audiences: &[config::Audience]) -> Self {
        self.other_audiences = audiences.iter().map(|audience| audience.name.as_str().into()).collect();
        self
    }

    /// Mints a token: one signature, three allocations, and another one for the name of another audience.
    pub fn mint(&self, new: &NewAccessToken<'_>, key: &LoadedKey) -> Result<String, SigningError> {
        use std::fmt::Write;
        let mut payload =
            String::with_capacity(self.payload_start.len() + self.client.len() + new.extra_claims.len() + 256);
        match new.audience {
            None => payload.push_str(&self.payload_start),
            Some(audience) => payload.extend([self.other_payload_start.as_str(), &quoted(audience)]),
        }
        // Writing to a String cannot fail.
        let _ = write!(payload, r#","sub":"{}""#, new.user);
        match new.issued_from {
            IssuedFrom::Session { id, auth_time } => {
                let _ = write!(payload, r#","sid":"{id}"{},"auth_time":{}"#, self.client, auth_time.secs());
            }
            IssuedFrom::ApiKey(id) => _ = write!(payload, r#","client_id":"{id}""#),
        }
        let (iat, exp) = (new.issued_at.secs(), new.expires_at.secs());
        let _ = write!(payload, r#","iat":{iat},"exp":{exp},"jti":"{}"{}}}"#, new.token_id, new.extra_claims);

        let mut token = String::with_capacity(key.header.len() + payload.len() * 4 / 3 + 4 + 1 + 86);
        token.push_str(&key.header);
        URL_SAFE_NO_PAD.encode_string(&payload, &mut token);
        let signature = key.sign(token.as_bytes())?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature.as_ref(), &mut token);
        Ok(token)
    }

    /// Checks a token: its form, key, signature and claims, in this order, so that no claim is used before the
    /// signature is verified.
    pub fn check(&self, token: &str, keys: &Keys, now: Timestamp) -> Result<VerifiedToken, TokenError> {
        let token = UnverifiedToken::parse(token)?;
        let key = keys.find(&token)?;
        if key.revoked {
            return Err(TokenError::RevokedKey);
        }
        let verified = VerifiedToken::new(token.verify(&key.public)?, &self.issuer, key.clone())?;
        if !verified.is_for(&self.audience) && !self.other_audiences.iter().any(|other| verified.is_for(other)) {
            return Err(TokenError::WrongAudience);
        }
        verified.check_time(now, self.leeway)?;
        Ok(verified)
    }

    /// The tolerated clock difference for `exp` and `nbf`.
    pub fn leeway(&self) -> Duration {
        self.leeway
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

impl VerifiedToken {
    /// Reads the payload of a token with a valid signature.
    fn new(json: String, issuer: &str, key: Arc<LoadedKey>) -> Result<Self, TokenError> {
        let claims = Claims::parse(&json, issuer)?;
        let token_id = claims.jti.as_deref().and_then(TokenId::parse);
        let issued_at = token_id.and_then(|token| token.created_at()).or(claims.iat.map(Timestamp::from_secs));
        let session = claims.sid.as_deref().and_then(SessionId::parse);
        let auth_time = claims.auth_time.map(Timestamp::from_secs);
        Ok(Self {
            subject: Box::from(&*claims.sub),
            user: UserId::parse(&claims.sub),
            session,
            auth_time: auth_time.or_else(|| session.and_then(|session| session.created_at())),
            token_id,
            api_key: claims.client_id.as_deref().and_then(ApiKeyId::parse),
            issued_at: issued_at.unwrap_or_default(),
            not_before: claims.nbf.map(Timestamp::from_secs),
            expires_at: Timestamp::from_secs(claims.exp),
            audience: claims.aud.iter().map(Box::from).collect(),
            email: claims.email.as_deref().map(Box::from),
            email_verified: claims.email_verified == Some(true),
            scopes: ScopeSet::parse(claims.scope.as_deref().unwrap_or_default()),
            key,
            claims: json.into(),
        })
    }

    /// `email`, if the token says that the address is verified.
    pub fn verified_email(&self) -> Option<&str> {
        self.email.as_deref().filter(|_| self.email_verified)
    }

    /// Checks the validity period. Must be checked again each time a cached token is used.
    pub fn check_time(&self, now: Timestamp, leeway: Duration) -> Result<(), TokenError> {
        let not_before = self.not_before.map(Into::into);
        Validity { not_before, expires_at: self.expires_at.into() }.check(now.into(), leeway)
    }

    /// Returns true if the token is issued for `audience`.
    pub fn is_for(&self, audience: &str) -> bool {
        self.audience.iter().any(|own| **own == *audience)
    }
}

impl Expires for VerifiedToken {
    type Time = Timestamp;

    fn has_expired(&self, now: Timestamp) -> bool {
        self.expires_at <= now
    }
}

#[cfg(test)]
pub(crate) mod tests;
