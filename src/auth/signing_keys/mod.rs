//! The keyring's upkeep: one sealed record in the store, changed by compare-and-set, mirrored to `data_dir`.
//!
//! Any node may do what is due; the store lets one of them win and the others take up what it wrote. Of two editions the higher
//! counts: a store that was emptied, or fell back, is given the ring again by the first node that notices, or from the mirror
//! at the next start. Knows nothing of what keys sign.

mod mirror;

use std::path::Path;
use std::time::Duration;

use crate::auth::context::Context;
use crate::clock::Timestamp;
use crate::rng::Rng;
use crate::store::ephemeral::{SealedRing, Swap};
use crate::store::{self, Ephemeral};
use crate::token::keyring::UnusableKey;
use crate::token::keyring::pem::{self, NotAKey};
use crate::token::keyring::ring::{Key, KeyLifetimes, Refused, Ring};
use crate::token::secret::{OpenError, Secrets};

/// Why the keyring cannot be read or changed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum KeyringError {
    /// The record in the store was sealed by a fleet with another secret.
    #[error("the fleet's keyring does not open: {0}. Every node must be given the same secret")]
    Sealed(OpenError),
    /// The mirror does not open.
    #[error(
        "the keyring in {path} does not open: {fault}. Give this node the secret it was sealed with, or move the file away"
    )]
    Mirror {
        /// Where it is.
        path: String,
        /// Why.
        fault: OpenError,
    },
    /// The mirror cannot be read or written.
    #[error("the keyring's mirror {path} cannot be used: {detail}")]
    File {
        /// Where it is.
        path: String,
        /// What the system said.
        detail: String,
    },
    /// The record opens but does not read.
    #[error("the keyring's record does not read: it was written by another version of Signet, or damaged")]
    Unreadable,
    /// A key in it is of no use.
    #[error(transparent)]
    Unusable(#[from] UnusableKey),
    /// It cannot be changed so.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The text is no key.
    #[error(transparent)]
    NotAKey(#[from] NotAKey),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Other nodes changed it each time this one tried to.
    #[error("the keyring is being changed by too many at once; try again")]
    Contended,
}

/// What the record is sealed for.
const USAGE: &str = "keyring";

/// How often a change is tried again when another node was faster. Changes are minutes apart.
const TRIES: usize = 20;

/// What reading and writing the record needs, before there is an [`Context`] and after.
#[derive(Clone, Copy)]
pub struct KeyringStore<'a> {
    /// Where the record is.
    pub store: &'a dyn Ephemeral,
    /// What it is sealed with.
    pub secrets: &'a Secrets,
    /// Where its mirror is.
    pub data_dir: &'a Path,
    /// Randomness for new keys.
    pub rng: &'a Rng,
    /// How long keys live.
    pub lives: KeyLifetimes,
}

/// When the record is looked at, on which two things hang.
///
/// *The seal.* One that was made with another than the first secret is renewed when a node starts, so that the old secret can be taken
/// out one day, and only then: two nodes in the midst of a change would renew each other's for ever.
///
/// *What counts if the node holds another ring than the store.* A starting node holds a mirror, which may be another fleet's, or
/// of a change that died before it was written: it counts if it goes on from the store's, which then has fallen back. A
/// serving node holds what was in the store once: it counts as long as the store has nothing newer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Moment {
    Start,
    Service,
}

impl KeyringStore<'_> {
    /// The fleet's ring as a node finds it when it starts: from the store, or else from the mirror, or else a first one.
    pub async fn load_or_create(&self, now: Timestamp) -> Result<Ring, KeyringError> {
        // A store that has fallen back must not take the fleet back with it; a mirror that does not open says nothing here.
        let mirrored = mirror::read(self).await.ok().flatten();
        self.change(mirrored.as_ref(), now, Moment::Start, |ring| {
            ring.keep_up(now, &self.lives, self.rng);
            Ok(())
        })
        .await
        .map(|(ring, ())| ring)
    }

    /// Changes the ring and writes it down, trying again when another node was faster. `held` is what this node has in memory.
    async fn change<T>(
        &self,
        held: Option<&Ring>,
        now: Timestamp,
        moment: Moment,
        change: impl Fn(&mut Ring) -> Result<T, KeyringError>,
    ) -> Result<(Ring, T), KeyringError> {
        for _ in 0..TRIES {
            let sealed = self.store.ring().await?;
            let version = sealed.as_ref().map_or(0, |sealed| sealed.version);
            let renew = moment == Moment::Start
                && sealed.as_ref().is_some_and(|sealed| !self.secrets.sealed_by_first(&sealed.bytes));
            let stored = sealed.map(|sealed| self.open(&sealed)).transpose()?;
            let mut ring = self.highest(stored.as_ref(), held, moment, now).await?;
            // A revocation that was acknowledged holds, even if the edition it was written in was lost.
            stored.iter().chain(held).for_each(|other| ring.heed(other, now, self.rng));
            let done = change(&mut ring)?;
            if stored.as_ref() == Some(&ring) && !renew {
                // Nothing was decided here: a disk that is full must not keep this node from what others have decided.
                if let Err(error) = mirror::write_if_other(self, &ring).await {
                    tracing::warn!(%error, "the keyring is not mirrored");
                }
                return Ok((ring, done));
            }
            if stored.as_ref().is_some_and(|stored| stored.edition >= ring.edition) {
                ring.edition += 1;
            }
            let sealed = self.seal(&ring)?;
            // The mirror goes first: a ring that signs is never only in a store that can be lost.
            mirror::write_if_other(self, &ring).await?;
            match self.store.swap_ring(version, &sealed, now).await? {
                Swap::Swapped => return Ok((ring, done)),
                Swap::Conflict => {}
            }
        }
        Err(KeyringError::Contended)
    }

    async fn highest(
        &self,
        stored: Option<&Ring>,
        held: Option<&Ring>,
        moment: Moment,
        now: Timestamp,
    ) -> Result<Ring, KeyringError> {
        match (stored, held) {
            (Some(stored), Some(held)) => {
                let held_counts = match moment {
                    Moment::Start => held.edition > stored.edition && held.shares_a_key_with(stored),
                    Moment::Service => held.edition >= stored.edition,
                };
                Ok(if held_counts { held.clone() } else { stored.clone() })
            }
            (Some(ring), None) | (None, Some(ring)) => Ok(ring.clone()),
            (None, None) => Ok(mirror::read(self).await?.unwrap_or_else(|| Ring::first(now, self.rng))),
        }
    }

    fn open(&self, sealed: &SealedRing) -> Result<Ring, KeyringError> {
        let bytes = self.secrets.open(USAGE, &sealed.bytes).map_err(KeyringError::Sealed)?;
        Ring::from_bytes(&bytes).map_err(|_| KeyringError::Unreadable)
    }

    fn seal(&self, ring: &Ring) -> Result<Vec<u8>, KeyringError> {
        let bytes = ring.to_bytes().map_err(|_| KeyringError::Unreadable)?;
        self.secrets.seal(USAGE, &bytes, self.rng).map_err(|_| KeyringError::Unreadable)
    }
}

fn keeper(ctx: &Context) -> KeyringStore<'_> {
    KeyringStore {
        store: &*ctx.ephemeral,
        secrets: &ctx.node.secrets,
        data_dir: &ctx.node.config.data_dir,
        rng: &ctx.node.rng,
        lives: ctx.node.key_lifetimes(),
    }
}

async fn change<T>(ctx: &Context, change: impl Fn(&mut Ring) -> Result<T, KeyringError>) -> Result<T, KeyringError> {
    let held = ctx.node.keyring.keys().ring().clone();
    let (ring, done) = keeper(ctx).change(Some(&held), ctx.now(), Moment::Service, change).await?;
    ctx.node.keyring.adopt(&ring)?;
    Ok(done)
}

/// Takes up what the fleet has written, gives it back what it has lost, and does what is due.
pub async fn advance(ctx: &Context) -> Result<(), KeyringError> {
    let (now, lives) = (ctx.now(), ctx.node.key_lifetimes());
    change(ctx, |ring| {
        ring.keep_up(now, &lives, &ctx.node.rng);
        Ok(())
    })
    .await
}

/// Announces the next key, or names the one that is announced already.
pub async fn rotate(ctx: &Context) -> Result<Key, KeyringError> {
    let (now, lives) = (ctx.now(), ctx.node.key_lifetimes());
    change(ctx, |ring| Ok(ring.rotate(now, &lives, &ctx.node.rng))).await
}

/// Lets nothing that a key signed be believed any more, on any node, tokens seen before included.
pub async fn revoke(ctx: &Context, kid: &str) -> Result<(), KeyringError> {
    let now = ctx.now();
    change(ctx, |ring| Ok(ring.revoke(kid, now, &ctx.node.rng)?)).await
}

/// Takes in a key from elsewhere.
pub async fn import(ctx: &Context, text: &str) -> Result<Key, KeyringError> {
    let seed = pem::read(text)?;
    let (now, lives) = (ctx.now(), ctx.node.key_lifetimes());
    change(ctx, |ring| Ok(ring.import(seed.clone(), now, &lives)?)).await
}

/// How often a node looks after the ring without being told to.
pub const INTERVAL: Duration = Duration::from_secs(30);
