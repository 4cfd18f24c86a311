//! The signing keys with their states, as commands and administrators list them.

use crate::auth::context::Context;
use crate::auth::retention::key_policy;
use crate::clock::Timestamp;
use crate::config::SigningAlgorithm;
use crate::token::keyring::ring::{Key, KeyState};

/// A signing key, its state, and once it is known, the time until which its signatures can be accepted.
#[derive(Clone, Debug)]
pub struct KeyStatus {
    /// The key.
    pub key: Key,
    /// Its state now.
    pub state: KeyState,
    /// See [`Ring::verifies_until`](crate::token::keyring::ring::Ring::verifies_until).
    pub verifies_until: Option<Timestamp>,
}

/// All keys of the keyring: those for EdDSA first, and of each algorithm the signing one first.
pub fn list(ctx: &Context) -> Vec<KeyStatus> {
    let (keys, now, policy) = (ctx.node.keyring.keys(), ctx.now(), key_policy(&ctx.node.config));
    let ring = keys.ring();
    let status = |key: &Key| KeyStatus {
        key: key.clone(),
        state: ring.state(key, now, &policy),
        verifies_until: ring.verifies_until(key, now, &policy),
    };
    let mut all = ring.keys.iter().map(status).collect::<Vec<_>>();
    all.sort_by_key(|status| {
        let is_es256 = status.key.algorithm() == SigningAlgorithm::Es256;
        (is_es256, status.state != KeyState::Signing, std::cmp::Reverse(status.key.announced_at))
    });
    all
}

/// The name of a key's state in APIs.
pub fn key_state_name(state: KeyState) -> &'static str {
    match state {
        KeyState::Announced => "announced",
        KeyState::Signing => "signing",
        KeyState::VerifyOnly | KeyState::Gone => "verify_only",
        KeyState::Revoked => "revoked",
    }
}
