//! Access tokens: JWTs by RFC 9068 and 8725, minted and checked by hand because every request pays for it.
//!
//! `jsonwebtoken` is the reference: the tests hold that what is minted here it accepts, and that of mangled tokens
//! nothing is accepted here which it refuses. Knows nothing of sessions or revocations: a token that is good here may
//! still have been revoked.

pub(super) mod header;
mod payload;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::keyring::{Keys, LoadedKey};
use crate::clock::Timestamp;
use crate::config;
use crate::id::{ApiKeyId, SessionId, TokenId, UserId};

/// Longer texts are no token of ours, and are not looked at.
pub const MAX_LENGTH: usize = 8 * 1024;

/// What every token of this service says, and what is demanded of each.
#[derive(Debug)]
pub struct Issuer {
    issuer: String,
    audience: String,
    leeway: Duration,
    /// The payload's beginning, which no token changes.
    opening: String,
}

/// A token to be made.
#[derive(Clone, Copy, Debug)]
pub struct NewAccessToken<'a> {
    /// `sub`.
    pub user: UserId,
    /// `sid`.
    pub session: Option<SessionId>,
    /// `client_id`: the API key that stands behind the token.
    pub api_key: Option<ApiKeyId>,
    /// `jti`.
    pub token_id: TokenId,
    /// `iat`.
    pub issued_at: Timestamp,
    /// `exp`.
    pub expires_at: Timestamp,
    /// Further claims, by [`serialize_extra_claims`].
    pub extra_claims: &'a str,
}

/// A token whose signature and claims are good.
#[derive(Clone)]
pub struct VerifiedToken {
    /// The payload, as it was signed.
    pub claims: Box<str>,
    /// `sub`.
    pub subject: Box<str>,
    /// `sub`, where it is one of our ids.
    pub user: Option<UserId>,
    /// `sid`.
    pub session: Option<SessionId>,
    /// `jti`.
    pub token_id: Option<TokenId>,
    /// `client_id`, where it is one of our API keys.
    pub api_key: Option<ApiKeyId>,
    /// When it was made, to the millisecond where its `jti` tells.
    pub issued_at: Timestamp,
    /// `nbf`.
    pub not_before: Option<Timestamp>,
    /// `exp`.
    pub expires_at: Timestamp,
    /// `aud`.
    pub audience: Box<[Box<str>]>,
    /// `email`.
    pub email: Option<Box<str>>,
    /// `scope`, separated by spaces.
    pub scope: Box<str>,
    /// What signed it.
    pub key: Arc<LoadedKey>,
}

/// Why a token is not good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a signed JWT in compact form, or one with members that are not looked at.
    #[error("malformed")]
    Malformed,
    /// A JWT of some other kind or algorithm.
    #[error("wrong type of token")]
    WrongType,
    /// Signed by a key that is not in the ring.
    #[error("unknown key")]
    UnknownKey,
    /// Signed by a key that was revoked.
    #[error("revoked key")]
    RevokedKey,
    /// The signature is not that of the key it names.
    #[error("bad signature")]
    BadSignature,
    /// Its time is over.
    #[error("expired")]
    Expired,
    /// Its time has not come.
    #[error("not yet valid")]
    NotYetValid,
    /// Somebody else's.
    #[error("wrong issuer")]
    WrongIssuer,
    /// Meant for somebody else.
    #[error("wrong audience")]
    WrongAudience,
}

/// Members to follow those that every token has, from anything that serialises to a JSON object.
pub fn serialize_extra_claims(claims: &impl serde::Serialize) -> Result<String, serde_json::Error> {
    let object = serde_json::to_string(claims)?;
    let members = object.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or_default();
    Ok(if members.is_empty() { String::new() } else { format!(",{members}") })
}

impl Issuer {
    /// The issuer that the settings describe.
    pub fn new(settings: &config::Tokens) -> Self {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        Self {
            issuer: settings.issuer.clone(),
            audience: settings.audience.clone(),
            leeway: settings.leeway,
            opening: format!(r#"{{"iss":{},"aud":{}"#, quoted(&settings.issuer), quoted(&settings.audience)),
        }
    }

    /// Makes a token: one signature, three allocations.
    pub fn mint(&self, mint: &NewAccessToken<'_>, key: &LoadedKey) -> String {
        use std::fmt::Write;
        let mut payload = String::with_capacity(self.opening.len() + mint.extra_claims.len() + 256);
        payload.push_str(&self.opening);
        // Writing to a String cannot fail.
        let _ = write!(payload, r#","sub":"{}""#, mint.user);
        if let Some(session) = mint.session {
            let _ = write!(payload, r#","sid":"{session}""#);
        }
        if let Some(api_key) = mint.api_key {
            let _ = write!(payload, r#","client_id":"{api_key}""#);
        }
        let (iat, exp) = (mint.issued_at.secs(), mint.expires_at.secs());
        let _ = write!(payload, r#","iat":{iat},"exp":{exp},"jti":"{}"{}}}"#, mint.token_id, mint.extra_claims);

        let mut token = String::with_capacity(key.header.len() + payload.len() * 4 / 3 + 4 + 1 + 86);
        token.push_str(&key.header);
        URL_SAFE_NO_PAD.encode_string(&payload, &mut token);
        let signature = key.sign(token.as_bytes());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature.as_ref(), &mut token);
        token
    }

    /// Checks a token: its form, key, signature and claims, in that order, so that nothing in it is believed before its
    /// signature is.
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

    /// By how much clocks may differ.
    pub fn leeway(&self) -> Duration {
        self.leeway
    }
}

type Parts<'k, 't> = (&'k Arc<LoadedKey>, &'t str, &'t str, [u8; 64]);

/// The token's parts: its key, what is signed, the payload's segment and the signature.
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
    // 86 characters hold 64 bytes and four bits over, which the decoder demands to be zero: one text a signature.
    let mut signature = [0; 64];
    let segment = &token[last + 1..];
    if segment.len() != 86 || !matches!(URL_SAFE_NO_PAD.decode_slice(segment, &mut signature), Ok(64)) {
        return Err(TokenError::Malformed);
    }
    let key = match keys.by_header(header) {
        Some(key) => key,
        None => keys.by_kid(&header::kid(&header[..first])?).ok_or(TokenError::UnknownKey)?,
    };
    Ok((key, &token[..last], payload, signature))
}

impl VerifiedToken {
    /// Whether the token is good at this time, to be asked again for a token that was found good before.
    pub fn check_time(&self, now: Timestamp, leeway: Duration) -> Result<(), TokenError> {
        if self.expires_at + leeway <= now {
            Err(TokenError::Expired)
        } else if self.not_before.is_some_and(|begin| begin > now + leeway) {
            Err(TokenError::NotYetValid)
        } else {
            Ok(())
        }
    }

    /// Whether the token is meant for `audience`.
    pub fn is_for(&self, audience: &str) -> bool {
        self.audience.iter().any(|meant| **meant == *audience)
    }

    /// Whether the token's scopes contain each of `scopes`, which are separated by spaces.
    pub fn allows(&self, scopes: &str) -> bool {
        scopes.split_ascii_whitespace().all(|scope| self.scope.split(' ').any(|has| has == scope))
    }
}

#[cfg(test)]
pub(crate) mod tests;
