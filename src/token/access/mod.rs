//! Access tokens: JWTs by RFC 9068 and 8725, minted and checked by hand, because every request pays for it.
//!
//! The hot path. Budget of minting: one signature, three allocations. Of checking: one signature and the parsing of
//! header and payload; the header of a token of ours is compared, not parsed.
//!
//! `jsonwebtoken` is the reference: the tests check that it accepts every token minted here, and that no mangled token
//! which it refuses is accepted here. Knows nothing of sessions or revocations: a token that is valid here may be
//! revoked.

pub(super) mod header;
mod payload;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::keyring::{Keys, LoadedKey};
use super::scopes::ScopeSet;
use crate::clock::Timestamp;
use crate::config;
use crate::id::{ApiKeyId, SessionId, TokenId, UserId};

/// Longer texts are not tokens of ours and are refused unparsed.
pub const MAX_LENGTH: usize = 8 * 1024;

/// Issues and checks the tokens of this service.
#[derive(Debug)]
pub struct Issuer {
    issuer: String,
    audience: String,
    leeway: Duration,
    /// The beginning of the payload, which is the same in every token.
    opening: String,
}

/// The contents of a token to mint.
#[derive(Clone, Copy, Debug)]
pub struct NewAccessToken<'a> {
    /// `sub`.
    pub user: UserId,
    /// `sid`.
    pub session: Option<SessionId>,
    /// `client_id`: the API key from which the token is issued.
    pub api_key: Option<ApiKeyId>,
    /// `auth_time`: when the user of the session authenticated.
    pub auth_time: Option<Timestamp>,
    /// `jti`.
    pub token_id: TokenId,
    /// `iat`.
    pub issued_at: Timestamp,
    /// `exp`.
    pub expires_at: Timestamp,
    /// More claims, from [`serialize_extra_claims`].
    pub extra_claims: &'a str,
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
    /// `client_id`, if it is the id of an API key.
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

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a signed JWT in compact form, or one with a forbidden header member.
    #[error("malformed")]
    Malformed,
    /// A JWT of another type or algorithm.
    #[error("wrong type of token")]
    WrongType,
    /// No key in the ring has its `kid`.
    #[error("unknown key")]
    UnknownKey,
    /// Its key was revoked.
    #[error("revoked key")]
    RevokedKey,
    /// The signature does not match the key that it names.
    #[error("bad signature")]
    BadSignature,
    /// It has expired.
    #[error("expired")]
    Expired,
    /// It is not valid yet.
    #[error("not yet valid")]
    NotYetValid,
    /// Issued by another issuer.
    #[error("wrong issuer")]
    WrongIssuer,
    /// Issued for another audience.
    #[error("wrong audience")]
    WrongAudience,
}

/// Serializes a JSON object as members to append to those that every token has: `,"name":value…`, or an empty text.
pub fn serialize_extra_claims(claims: &impl serde::Serialize) -> Result<String, serde_json::Error> {
    let object = serde_json::to_string(claims)?;
    let members = object.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or_default();
    Ok(if members.is_empty() { String::new() } else { format!(",{members}") })
}

impl Issuer {
    /// The issuer with these settings.
    pub fn new(settings: &config::Tokens) -> Self {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        Self {
            issuer: settings.issuer.clone(),
            audience: settings.audience.clone(),
            leeway: settings.leeway,
            opening: format!(r#"{{"iss":{},"aud":{}"#, quoted(&settings.issuer), quoted(&settings.audience)),
        }
    }

    /// Mints a token: one signature, three allocations.
    pub fn mint(&self, new: &NewAccessToken<'_>, key: &LoadedKey) -> String {
        use std::fmt::Write;
        let mut payload = String::with_capacity(self.opening.len() + new.extra_claims.len() + 256);
        payload.push_str(&self.opening);
        // Writing to a String cannot fail.
        let _ = write!(payload, r#","sub":"{}""#, new.user);
        if let Some(session) = new.session {
            let _ = write!(payload, r#","sid":"{session}""#);
        }
        if let Some(api_key) = new.api_key {
            let _ = write!(payload, r#","client_id":"{api_key}""#);
        }
        if let Some(auth_time) = new.auth_time {
            let _ = write!(payload, r#","auth_time":{}"#, auth_time.secs());
        }
        let (iat, exp) = (new.issued_at.secs(), new.expires_at.secs());
        let _ = write!(payload, r#","iat":{iat},"exp":{exp},"jti":"{}"{}}}"#, new.token_id, new.extra_claims);

        let mut token = String::with_capacity(key.header.len() + payload.len() * 4 / 3 + 4 + 1 + 86);
        token.push_str(&key.header);
        URL_SAFE_NO_PAD.encode_string(&payload, &mut token);
        let signature = key.sign(token.as_bytes());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature.as_ref(), &mut token);
        token
    }

    /// Checks a token: its form, key, signature and claims, in this order, so that no claim is used before the
    /// signature is verified.
    pub fn check(&self, token: &str, keys: &Keys, now: Timestamp) -> Result<VerifiedToken, TokenError> {
        let (key, message, payload, signature) = split(token, keys)?;
        if key.revoked {
            return Err(TokenError::RevokedKey);
        }
        if !key.verify(message.as_bytes(), &signature) {
            return Err(TokenError::BadSignature);
        }
        let json = URL_SAFE_NO_PAD.decode(payload).map_err(|_| TokenError::Malformed)?;
        let json = String::from_utf8(json).map_err(|_| TokenError::Malformed)?;
        let verified = payload::parse(json, &self.issuer, key.clone())?;
        if !verified.is_for(&self.audience) {
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

type Parts<'k, 't> = (&'k Arc<LoadedKey>, &'t str, &'t str, [u8; 64]);

/// The parts of a token: its key, the signed text, the payload's segment and the signature.
fn split<'k, 't>(token: &'t str, keys: &'k Keys) -> Result<Parts<'k, 't>, TokenError> {
    if token.len() > MAX_LENGTH {
        return Err(TokenError::Malformed);
    }
    let first = memchr::memchr(b'.', token.as_bytes()).ok_or(TokenError::Malformed)?;
    let last = memchr::memrchr(b'.', token.as_bytes()).ok_or(TokenError::Malformed)?;
    if first == last || memchr::memchr(b'.', &token.as_bytes()[first + 1..last]).is_some() {
        return Err(TokenError::Malformed);
    }
    let (header, payload) = (&token[..=first], &token[first + 1..last]);
    let key = match keys.by_header(header) {
        Some(key) => key,
        // The header is parsed before the length of the signature is checked, so that an action token, whose MAC is
        // shorter, is refused as a token of another type.
        None => keys.by_kid(&header::kid(&header[..first])?).ok_or(TokenError::UnknownKey)?,
    };
    // 86 characters hold 64 bytes and four spare bits. The decoder requires them to be zero, so a signature has only
    // one text.
    let mut signature = [0; 64];
    let segment = &token[last + 1..];
    if segment.len() != 86 || !matches!(URL_SAFE_NO_PAD.decode_slice(segment, &mut signature), Ok(64)) {
        return Err(TokenError::Malformed);
    }
    Ok((key, &token[..last], payload, signature))
}

impl VerifiedToken {
    /// `email`, if the token says that the address is verified.
    pub fn verified_email(&self) -> Option<&str> {
        self.email.as_deref().filter(|_| self.email_verified)
    }

    /// Checks the validity period. Must be checked again each time a cached token is used.
    pub fn check_time(&self, now: Timestamp, leeway: Duration) -> Result<(), TokenError> {
        if self.expires_at + leeway <= now {
            Err(TokenError::Expired)
        } else if self.not_before.is_some_and(|begin| begin > now + leeway) {
            Err(TokenError::NotYetValid)
        } else {
            Ok(())
        }
    }

    /// Returns true if the token is issued for `audience`.
    pub fn is_for(&self, audience: &str) -> bool {
        self.audience.iter().any(|own| **own == *audience)
    }
}

#[cfg(test)]
pub(crate) mod tests;
