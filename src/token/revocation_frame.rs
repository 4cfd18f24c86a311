//! Signs frames of the published revocation feed. The format itself is in the crate `signet-verify`, so that server and
//! followers share it.
//!
//! Knows nothing of how frames are stored or sent.

use signet_verify::feed::{self, FrameError, Part, Revoked, RevokedBefore};

pub use signet_verify::feed::{IdHash, MAX_ENTRIES};

use super::keyring::LoadedKey;
use crate::clock::Timestamp;

/// A revocation as it is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A session, a token, an API key or a signing key.
    Id {
        /// The hash of the id.
        id: IdHash,
        /// When no token that it concerns can be accepted any more.
        until: Timestamp,
    },
    /// A user whose older tokens are revoked.
    User {
        /// The hash of the `sub`.
        user: IdHash,
        /// Revokes what began up to and including this moment.
        before: Timestamp,
        /// When no token that it concerns can be accepted any more.
        until: Timestamp,
    },
}

/// The contents of a frame.
#[derive(Clone, Debug)]
pub struct Frame<'a> {
    /// The issuer of access tokens.
    pub issuer: &'a str,
    /// The frame is complete up to this moment.
    pub time: Timestamp,
    /// The sequence that positions belong to.
    pub epoch: &'a str,
    /// The frame has everything after this position. `None` in a snapshot.
    pub from: Option<String>,
    /// The frame has everything up to and including this position.
    pub to: String,
    /// The state that is not part of the sequence; `None` in a segment, which never changes.
    pub state: Option<State<'a>>,
    /// The revocations, [`MAX_ENTRIES`] at most.
    pub entries: &'a [Entry],
    /// Only in the head: positions at which segments end.
    pub segments: Option<Vec<String>>,
    /// Only in a snapshot: the number of this part, and of all.
    pub part: Option<(u32, u32)>,
}

/// The part of a frame that is not a part of the sequence.
#[derive(Clone, Copy, Debug)]
pub struct State<'a> {
    /// Everything issued before this is revoked.
    pub not_before: Timestamp,
    /// Identifies the body of the JWKS.
    pub jwks: &'a str,
}

/// Encodes and signs a frame, and appends it and a line feed to `out`. The key must be an Ed25519 key.
pub fn append(out: &mut String, frame: &Frame<'_>, key: &LoadedKey) -> Result<(), FrameError> {
    let (mut revoked, mut revoked_before) = (Vec::new(), Vec::new());
    for entry in frame.entries {
        match *entry {
            Entry::Id { id, until } => revoked.push(Revoked { id, until: until.into() }),
            Entry::User { user, before, until } => {
                let (before, until) = (before.into(), until.into());
                revoked_before.push(RevokedBefore { user, before, until });
            }
        }
    }
    let contents = feed::Frame {
        issuer: frame.issuer.to_owned(),
        time: frame.time.into(),
        epoch: frame.epoch.to_owned(),
        from: frame.from.clone(),
        to: frame.to.clone(),
        not_before: frame.state.map(|state| state.not_before.into()),
        jwks: frame.state.map(|state| state.jwks.to_owned()),
        revoked,
        revoked_before,
        segments: frame.segments.clone(),
        part: frame.part.map(|(number, of)| Part { number, of }),
    };
    // An Ed25519 key always signs. Without a signature, the frame would be malformed.
    let sign = |message: &[u8]| key.sign(message).map_or_else(|_| Vec::new(), |signature| signature.as_ref().to_vec());
    out.push_str(&feed::encode(&contents, &key.kid, sign)?);
    out.push('\n');
    Ok(())
}
