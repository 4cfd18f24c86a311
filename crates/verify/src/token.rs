//! A token in its parts, and its verification: form, key, signature.
//!
//! The hot path: one signature, no allocation but that of the payload, and the header that Signet writes is compared,
//! not parsed. No claim can be read before the signature is verified.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::base64_url::BASE64_URL;
use crate::error::TokenError;
use crate::header::{ACCESS_TOKEN_TYPE, Header};
use crate::keys::{Algorithm, HasPublicKey, PublicKey};

/// Longer texts are no tokens of Signet and are refused unparsed.
pub const MAX_LENGTH: usize = 8 * 1024;

/// 86 characters hold 64 bytes and four spare bits. The decoder requires them to be zero, so a signature has only one
/// text.
const SIGNATURE_LENGTH: usize = 86;

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
    /// Splits a token.
    pub fn parse(token: &'t str) -> Result<Self, TokenError> {
        if token.len() > MAX_LENGTH { Err(TokenError::Malformed) } else { Self::split(token) }
    }

    /// Splits a JWS in compact form.
    pub(crate) fn split(token: &'t str) -> Result<Self, TokenError> {
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
        let accepts = |alg: &str, key: &PublicKey| key.algorithm().names().contains(&alg);
        self.find_key_by_header(keys, |header| header.is_of_type(ACCESS_TOKEN_TYPE), accepts)
    }

    /// The header segment with its dot.
    pub(crate) fn header(&self) -> &'t str {
        self.header
    }

    /// The key that the header names, if `has_type` returns true for the header, and `accepts` for its `alg` and the
    /// key. A header with an unknown `alg` is refused for that, whatever its `kid`.
    pub(crate) fn find_key_by_header<'k, K: HasPublicKey>(
        &self,
        keys: &'k [K],
        has_type: impl Fn(&Header<'_>) -> bool,
        accepts: impl Fn(&str, &PublicKey) -> bool,
    ) -> Result<&'k K, TokenError> {
        Header::read(&self.header[..self.header.len() - 1], |header| {
            if !Algorithm::ALL.iter().any(|algorithm| algorithm.names().contains(&&*header.alg)) {
                return Err(TokenError::UnsupportedAlgorithm);
            }
            if !has_type(header) {
                return Err(TokenError::WrongType);
            }
            let kid = header.kid.as_deref().ok_or(TokenError::MissingKid)?;
            let key = keys.iter().find(|key| key.public_key().kid() == kid).ok_or(TokenError::UnknownKey)?;
            if accepts(&header.alg, key.public_key()) { Ok(key) } else { Err(TokenError::UnsupportedAlgorithm) }
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
        let json = BASE64_URL.decode(self.payload).map_err(|_| TokenError::Malformed)?;
        String::from_utf8(json).map_err(|_| TokenError::Malformed)
    }
}
