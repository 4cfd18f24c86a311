//! A token in its parts, and its verification: form, key, signature.
//!
//! The hot path: one signature, no allocation but that of the payload, and the header of a token of ours is compared,
//! not parsed. No claim can be read before the signature is verified.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::header::{ACCESS_TOKEN_TYPE, Header};
use crate::keys::{HasPublicKey, PublicKey};

/// Longer texts are not tokens of ours and are refused unparsed.
pub const MAX_LENGTH: usize = 8 * 1024;

/// 86 characters hold 64 bytes and four spare bits. The decoder requires them to be zero, so a signature has only one
/// text.
const SIGNATURE_LENGTH: usize = 86;

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a signed JWT in compact form, or one with a forbidden header member.
    #[error("malformed")]
    Malformed,
    /// A JWT of another type or algorithm.
    #[error("wrong type of token")]
    WrongType,
    /// No key of the set has its `kid`.
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

/// A token in its parts. Nothing of it is verified.
#[derive(Clone, Copy)]
pub struct UnverifiedToken<'t> {
    /// The header segment with its dot.
    header: &'t str,
    payload: &'t str,
    /// The signed text: header and payload.
    message: &'t str,
    signature: &'t str,
}

impl<'t> UnverifiedToken<'t> {
    /// Splits a JWS in compact form.
    pub fn parse(token: &'t str) -> Result<Self, TokenError> {
        if token.len() > MAX_LENGTH {
            return Err(TokenError::Malformed);
        }
        let first = memchr::memchr(b'.', token.as_bytes()).ok_or(TokenError::Malformed)?;
        let last = memchr::memrchr(b'.', token.as_bytes()).ok_or(TokenError::Malformed)?;
        if first == last || memchr::memchr(b'.', &token.as_bytes()[first + 1..last]).is_some() {
            return Err(TokenError::Malformed);
        }
        Ok(Self {
            header: &token[..=first],
            payload: &token[first + 1..last],
            message: &token[..last],
            signature: &token[last + 1..],
        })
    }

    /// The key that the token names, if its header is that of an access token and fits the key's algorithm.
    pub fn find_key<'k, K: HasPublicKey>(&self, keys: &'k [K]) -> Result<&'k K, TokenError> {
        if let Some(key) = keys.iter().find(|key| key.public_key().has_header(self.header)) {
            return Ok(key);
        }
        Header::read(&self.header[..self.header.len() - 1], |header| {
            let names = [crate::keys::Algorithm::EdDsa, crate::keys::Algorithm::Es256].map(|alg| alg.names());
            if !names.iter().any(|names| names.contains(&&*header.alg)) || !header.is_of_type(ACCESS_TOKEN_TYPE) {
                return Err(TokenError::WrongType);
            }
            let kid = header.kid.as_deref().ok_or(TokenError::UnknownKey)?;
            let key = keys.iter().find(|key| key.public_key().kid() == kid).ok_or(TokenError::UnknownKey)?;
            if key.public_key().algorithm().names().contains(&&*header.alg) {
                Ok(key)
            } else {
                Err(TokenError::WrongType)
            }
        })
    }

    /// Verifies the signature by `key`, which [`find_key`](Self::find_key) found, and returns the payload: a JSON text.
    pub fn verify(&self, key: &PublicKey) -> Result<String, TokenError> {
        let mut signature = [0; 64];
        if self.signature.len() != SIGNATURE_LENGTH
            || !matches!(URL_SAFE_NO_PAD.decode_slice(self.signature, &mut signature), Ok(64))
        {
            return Err(TokenError::Malformed);
        }
        if !key.verify(self.message.as_bytes(), &signature) {
            return Err(TokenError::BadSignature);
        }
        let json = URL_SAFE_NO_PAD.decode(self.payload).map_err(|_| TokenError::Malformed)?;
        String::from_utf8(json).map_err(|_| TokenError::Malformed)
    }
}
