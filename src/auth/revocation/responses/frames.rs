//! Signs frames. Knows nothing of followers or of times to sign.

use bytes::Bytes;

use crate::auth::context::Node;
use crate::auth::retention::key_policy;
use crate::auth::revocation::publication::range::{MAX_KEYS, Range};
use crate::clock::MAX_CLOCK_SKEW;
use crate::config::SigningAlgorithm;
use crate::telemetry::metrics::Counter;
use crate::token::keyring::{Keys, LoadedKey};
use crate::token::revocation_frame::{self, Entry, Frame, IdHash, State};

/// Signs the frames of one response, all with the same key and for the same JWKS.
pub(super) struct Signer<'a> {
    node: &'a Node,
    keys: &'a Keys,
    key: &'a LoadedKey,
    jwks: &'a str,
}

impl<'a> Signer<'a> {
    /// `None` if no key can sign.
    pub(super) fn new(node: &'a Node, keys: &'a Keys) -> Option<Self> {
        let key = keys.signing_key(SigningAlgorithm::EdDsa, node.clock.now())?;
        Some(Self { node, keys, key, jwks: jwks_hash(keys) })
    }

    /// The `kid` of the key that signs.
    pub(super) fn kid(&self) -> &'a str {
        &self.key.kid
    }

    /// The members of a frame that are not part of the sequence of entries.
    pub(super) fn state(&self) -> State<'a> {
        State { not_before: self.node.revocations.global_not_before(), jwks: self.jwks }
    }

    /// Entries of the revoked signing keys whose tokens could still be accepted; the newest, if there are many.
    pub(super) fn revoked_keys(&self) -> Vec<Entry> {
        let (node, retain) = (self.node, key_policy(&self.node.config).retain);
        let now = node.revocations.steady_time(&node.clock, node.retention.revocation_ttl());
        let keys = self.keys.ring().keys.iter();
        let mut revoked: Vec<_> = keys
            .filter_map(|key| key.revoked_at.map(|at| (at + retain, IdHash::of(&key.kid))))
            .filter(|(until, _)| *until > now)
            .collect();
        revoked.sort_by_key(|(until, _)| std::cmp::Reverse(*until));
        revoked.into_iter().take(MAX_KEYS).map(|(until, id)| Entry::Id { id, until }).collect()
    }

    /// Signs a frame and appends it.
    pub(super) fn append(&self, out: &mut String, frame: &Frame<'_>) -> Option<()> {
        self.node.metrics.count(Counter::FeedFrames);
        revocation_frame::append(out, frame, self.key).ok()
    }
}

/// The identifier of the JWKS in frames: that of its body, which is its `ETag` without the quotes.
pub(in crate::auth::revocation) fn jwks_hash(keys: &Keys) -> &str {
    keys.jwks().etag.trim_matches('"')
}

/// Signs the frames of a range. `is_live`: the last one is complete up to `range.time` and has the current state. The
/// others, and all frames of a segment, have no state. Their `time` follows from their last entry alone, so that it is
/// the same on every node, and is early enough to be true whichever clock the entry was published by.
pub(super) fn encode(node: &Node, range: &Range, is_live: bool) -> Option<Bytes> {
    let keys = node.keyring.keys();
    let signer = Signer::new(node, &keys)?;
    let (mut out, mut from) = (String::new(), range.from);
    for (number, contents) in range.frames.iter().enumerate() {
        let is_current = is_live && number + 1 == range.frames.len();
        let keys = if is_current { signer.revoked_keys() } else { Vec::new() };
        let frame = Frame {
            issuer: &node.config.tokens.issuer,
            time: if is_current { range.time } else { contents.published_at - MAX_CLOCK_SKEW },
            epoch: &range.epoch,
            from: Some(from.to_string()),
            to: contents.to.to_string(),
            state: is_current.then(|| signer.state()),
            entries: &[contents.entries.as_slice(), &keys].concat(),
            segments: None,
            part: None,
        };
        signer.append(&mut out, &frame)?;
        from = contents.to;
    }
    Some(out.into())
}

/// Signs the head. `ends`: the positions at which segments end.
pub(super) fn encode_head(node: &Node, range: &Range, ends: Vec<String>) -> Option<Bytes> {
    let keys = node.keyring.keys();
    let signer = Signer::new(node, &keys)?;
    let frame = Frame {
        issuer: &node.config.tokens.issuer,
        time: range.time,
        epoch: &range.epoch,
        from: Some(range.to.to_string()),
        to: range.to.to_string(),
        state: Some(signer.state()),
        entries: &signer.revoked_keys(),
        segments: Some(ends),
        part: None,
    };
    let mut out = String::new();
    signer.append(&mut out, &frame)?;
    Some(out.into())
}
