//! Frames of the revocation feed: `docs/revocation-feed.md` is the format. Both directions: the server encodes, a
//! follower decodes.
//!
//! Knows nothing of how frames travel, nor of what a follower does with them.

mod entries;
mod payload;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::base64_url::BASE64_URL;
use crate::error::TokenError;
use crate::header::header_segment;
use crate::json::MAX_INTEGER;
use crate::keys::{Algorithm, HasPublicKey, PublicKey};
use crate::time::UnixTime;
use crate::token::UnverifiedToken;

pub use crate::id_hash::IdHash;
pub(crate) use entries::until_secs;
pub use entries::{Revoked, RevokedBefore};
use payload::Payload;

/// The `typ` of frames.
pub const FRAME_TYPE: &str = "signet-revocations+jws";

/// The only `alg` of frames.
pub const FRAME_ALGORITHM: &str = "EdDSA";

/// The longest frame. One with [`MAX_ENTRIES`] of the longer kind has 161 KiB.
pub const MAX_FRAME_LENGTH: usize = 256 * 1024;

/// The most entries in a frame, of both kinds together.
pub const MAX_ENTRIES: usize = 4096;

/// The most bytes of an epoch or a position.
pub const MAX_POSITION_LENGTH: usize = 64;

/// A frame: what was revoked, up to a position of the feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// `iss`.
    pub issuer: String,
    /// The frame is complete up to this moment.
    pub time: UnixTime,
    /// The sequence that positions belong to.
    pub epoch: String,
    /// The frame has everything after this position. `None` in a snapshot and in the head.
    pub from: Option<String>,
    /// The frame has everything up to and including this position.
    pub to: String,
    /// Everything issued before this is revoked. `None` in a segment, which never changes.
    pub not_before: Option<UnixTime>,
    /// Identifies the current JWKS: see [`jwks_hash`]. `None` in a segment.
    pub jwks: Option<String>,
    /// Revoked ids.
    pub revoked: Vec<Revoked>,
    /// Users whose older tokens are revoked.
    pub revoked_before: Vec<RevokedBefore>,
    /// Only in the head: positions at which segments end, oldest first.
    pub segments: Option<Vec<String>>,
    /// Only in a snapshot.
    pub part: Option<Part>,
}

/// The part of a snapshot that a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its number, from 1.
    pub number: u32,
    /// The number of parts.
    pub of: u32,
}

/// Why a frame is discarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Longer than [`MAX_FRAME_LENGTH`], or more than [`MAX_ENTRIES`] entries.
    #[error("too long")]
    TooLong,
    /// Not a JWS in compact form with a `kid` and the payload of a frame.
    #[error("malformed")]
    Malformed,
    /// A JWS of another type or algorithm.
    #[error("wrong type")]
    WrongType,
    /// No key of the set has its `kid`.
    #[error("unknown key")]
    UnknownKey,
    /// The signature does not match.
    #[error("bad signature")]
    BadSignature,
    /// Signed for another issuer.
    #[error("wrong issuer")]
    WrongIssuer,
}

impl From<TokenError> for FrameError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::WrongType | TokenError::UnsupportedAlgorithm => Self::WrongType,
            TokenError::UnknownKey => Self::UnknownKey,
            TokenError::BadSignature => Self::BadSignature,
            _ => Self::Malformed,
        }
    }
}

/// Encodes and signs a frame. `sign` signs a message with the Ed25519 key that has this `kid`. The result has no line
/// feed.
///
/// # Errors
/// [`FrameError::TooLong`] for a frame that no follower accepts.
pub fn encode<S: AsRef<[u8]>>(frame: &Frame, kid: &str, sign: impl FnOnce(&[u8]) -> S) -> Result<String, FrameError> {
    if frame.revoked.len() + frame.revoked_before.len() > MAX_ENTRIES {
        return Err(FrameError::TooLong);
    }
    let payload = Payload {
        iss: Cow::Borrowed(&frame.issuer),
        time: frame.time.millis(),
        epoch: Cow::Borrowed(&frame.epoch),
        from: frame.from.as_deref().map(Cow::Borrowed),
        to: Cow::Borrowed(&frame.to),
        not_before: frame.not_before.map(UnixTime::millis),
        jwks: frame.jwks.as_deref().map(Cow::Borrowed),
        revoked: entries::encode(&frame.revoked, Revoked::to_bytes).into(),
        revoked_before: entries::encode(&frame.revoked_before, RevokedBefore::to_bytes).into(),
        segments: frame.segments.as_deref().map(Cow::Borrowed),
        part: frame.part.map(|part| part.number),
        parts: frame.part.map(|part| part.of),
    };
    let payload = serde_json::to_vec(&payload).map_err(|_| FrameError::Malformed)?;
    let mut text = String::from(header_segment(FRAME_ALGORITHM, FRAME_TYPE, kid));
    BASE64_URL.encode_string(payload, &mut text);
    let signature = sign(text.as_bytes());
    text.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut text);
    if text.len() > MAX_FRAME_LENGTH { Err(FrameError::TooLong) } else { Ok(text) }
}

/// A frame whose signature is not verified.
#[derive(Clone, Copy)]
pub struct UnverifiedFrame<'t>(UnverifiedToken<'t>);

impl<'t> UnverifiedFrame<'t> {
    /// Splits a frame.
    pub fn parse(text: &'t str) -> Result<Self, FrameError> {
        if text.len() > MAX_FRAME_LENGTH {
            return Err(FrameError::TooLong);
        }
        Ok(Self(UnverifiedToken::split(text)?))
    }

    /// The key that the frame names, if its header is that of a frame.
    pub fn find_key<'k, K: HasPublicKey>(&self, keys: &'k [K]) -> Result<&'k K, FrameError> {
        if let Some(key) = keys.iter().find(|key| key.public_key().has_frame_header(self.0.header())) {
            return Ok(key);
        }
        let accepts = |alg: &str, key: &PublicKey| alg == FRAME_ALGORITHM && key.algorithm() == Algorithm::EdDsa;
        // RFC 9068 lets access tokens have other spellings of their type. Only the server makes frames.
        Ok(self.0.find_key_by_header(keys, |header| header.typ.as_deref() == Some(FRAME_TYPE), accepts)?)
    }

    /// Verifies the signature by `key`, which [`find_key`](Self::find_key) found, and decodes the frame.
    pub fn verify(&self, key: &PublicKey, issuer: &str) -> Result<Frame, FrameError> {
        let json = self.0.verify(key)?;
        let payload: Payload<'_> = serde_json::from_str(&json).map_err(|_| FrameError::Malformed)?;
        if payload.iss != issuer {
            return Err(FrameError::WrongIssuer);
        }
        let positions = [&*payload.epoch, &*payload.to].into_iter().chain(payload.from.as_deref());
        if !positions.chain(payload.segments.iter().flat_map(|ends| ends.iter()).map(String::as_str)).all(is_position) {
            return Err(FrameError::Malformed);
        }
        let mut numbers = [Some(payload.time), payload.not_before].into_iter().flatten();
        if !numbers.all(|number| (0..=MAX_INTEGER).contains(&number)) {
            return Err(FrameError::Malformed);
        }
        if payload.jwks.as_deref().is_some_and(|hash| !is_jwks_hash(hash)) {
            return Err(FrameError::Malformed);
        }
        let part = match (payload.part, payload.parts) {
            (None, None) => None,
            (Some(number), Some(of)) if (1..=of).contains(&number) => Some(Part { number, of }),
            _ => return Err(FrameError::Malformed),
        };
        let revoked = entries::decode(&payload.revoked, Revoked::from_bytes).ok_or(FrameError::Malformed)?;
        let revoked_before =
            entries::decode(&payload.revoked_before, RevokedBefore::from_bytes).ok_or(FrameError::Malformed)?;
        if revoked.len() + revoked_before.len() > MAX_ENTRIES {
            return Err(FrameError::TooLong);
        }
        Ok(Frame {
            issuer: payload.iss.into_owned(),
            time: UnixTime::from_millis(payload.time),
            epoch: payload.epoch.into_owned(),
            from: payload.from.map(Cow::into_owned),
            to: payload.to.into_owned(),
            not_before: payload.not_before.map(UnixTime::from_millis),
            jwks: payload.jwks.map(Cow::into_owned),
            revoked,
            revoked_before,
            segments: payload.segments.map(Cow::into_owned),
            part,
        })
    }
}

/// Decodes a frame that one of `keys` signed for `issuer`.
pub fn decode<K: HasPublicKey>(text: &str, keys: &[K], issuer: &str) -> Result<Frame, FrameError> {
    let frame = UnverifiedFrame::parse(text)?;
    frame.verify(frame.find_key(keys)?.public_key(), issuer)
}

/// The frames of a response.
pub fn frames(body: &str) -> impl Iterator<Item = &str> {
    body.split('\n').filter(|line| !line.is_empty())
}

/// Identifies a JWKS by its body: `jwks` of a frame.
pub fn jwks_hash(body: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(IdHash::of_bytes(body).0)
}

/// Returns true for a text that can be the hash of a JWKS.
fn is_jwks_hash(text: &str) -> bool {
    matches!(URL_SAFE_NO_PAD.decode_slice(text, &mut [0; 12]), Ok(12))
}

/// Returns true for a text that can be an epoch or a position. Such a text needs no escaping in a URL.
pub fn is_position(text: &str) -> bool {
    // A URL gives these two a meaning.
    !matches!(text, "." | "..")
        && (1..=MAX_POSITION_LENGTH).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}
