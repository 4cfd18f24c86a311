//! Maintenance of the keyring: one sealed record in the store, changed by compare-and-set, mirrored to `data_dir`.
//!
//! Any node may do the maintenance. The store lets one node win, and the others install what it wrote. Of two versions
//! of the ring the higher one wins. If a store was emptied or restored from an older state, the first node that notices
//! writes the ring back, or the next node that starts does so from its mirror. Knows nothing of what is signed.

mod list;
mod mirror;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::auth::Error;
use crate::auth::audit::{self, Event, EventType, Origin};
use crate::auth::context::Context;
use crate::auth::retention::key_policy;
use crate::auth::run_to_completion::run_to_completion;
use crate::clock::Timestamp;
use crate::config::{Config, SigningAlgorithm};
use crate::rng::Rng;
use crate::store::ephemeral::{SealedKeyring, SwapResult};
use crate::store::{self, Ephemeral};
use crate::token::keyring::UnusableKey;
use crate::token::keyring::pem::{self, InvalidPem};
use crate::token::keyring::ring::{Key, KeyPair, KeyPolicy, Ring, RingError};
use crate::token::secret::{OpenError, Secrets};

pub use crate::token::keyring::ring::KeyState;
pub use list::{KeyStatus, key_state_name, list};
pub use mirror::NAME as MIRROR_FILE;

/// Why the keyring cannot be read or changed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum KeyringError {
    /// The record in the store was sealed by a fleet with another secret.
    #[error("the fleet's keyring does not open: {0}. Give every node the same secret")]
    Sealed(OpenError),
    /// The mirror cannot be opened.
    #[error(
        "the keyring in {path} does not open: {error}. Give this node the secret it was sealed with, or move the file away"
    )]
    Mirror {
        /// The mirror's path.
        path: String,
        /// The reason.
        error: OpenError,
    },
    /// The mirror cannot be read or written.
    #[error("the keyring's mirror {path} cannot be read or written: {detail}")]
    File {
        /// The mirror's path.
        path: String,
        /// The system's message.
        detail: String,
    },
    /// The record was opened but cannot be parsed.
    #[error("the keyring's record cannot be parsed: another version of Signet wrote it, or it is damaged")]
    InvalidRecord,
    /// There is no keyring, and this process may not create one.
    #[error("there is no keyring in the store, and no mirror of it in {}", data_dir.display())]
    Missing {
        /// Where the mirror would be.
        data_dir: PathBuf,
    },
    /// A key in the ring cannot be used.
    #[error(transparent)]
    Unusable(#[from] UnusableKey),
    /// The ring does not allow this change.
    #[error(transparent)]
    Ring(#[from] RingError),
    /// The text is not a key.
    #[error(transparent)]
    InvalidPem(#[from] InvalidPem),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Another node changed the ring each time that this one tried to.
    #[error("too many nodes are changing the keyring; try again")]
    Contended,
    /// The change panicked, or its process ends.
    #[error("the change of the keyring was interrupted")]
    Interrupted,
}

impl From<KeyringError> for Error {
    fn from(error: KeyringError) -> Self {
        match error {
            KeyringError::Ring(RingError::UnknownKey) => Self::NotFound,
            KeyringError::Store(error) => Self::Unavailable(error),
            error => {
                tracing::error!(%error, "the keyring cannot be changed");
                Self::Internal("the keyring cannot be changed")
            }
        }
    }
}

impl KeyringError {
    /// True if this is the consequence of an outage that the store has logged itself.
    pub fn is_logged(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_logged())
    }
}

/// The usage that the record is sealed for.
const USAGE: &str = "keyring";

/// Maximum number of attempts at a change, if other nodes were faster. Changes are minutes apart.
const MAX_ATTEMPTS: usize = 20;

/// Reads and changes the record. Needs no [`Context`], which is built from the ring.
#[derive(Clone, Copy)]
pub struct KeyringStore<'a> {
    /// The store of the record.
    pub store: &'a dyn Ephemeral,
    /// Seals the record.
    pub secrets: &'a Secrets,
    /// The folder of the mirror.
    pub data_dir: &'a Path,
    /// Randomness for new keys.
    pub rng: &'a Rng,
    /// The settings of the keyring.
    pub policy: KeyPolicy,
}

/// The phase of the node, on which three decisions depend.
///
/// **Creating a ring** if neither the store nor the mirror has one: only a process that starts does so, and only with
/// `creates`.
///
/// **Sealing the record again:** a starting node does that if the record is not sealed with the first secret, so that
/// the old secret can be removed from the settings one day. A running node does not: in the middle of a change of the
/// settings, two nodes would re-seal each other's record forever.
///
/// **Choosing a ring** if the node holds another one than the store. A starting node holds its mirror, which may belong
/// to another fleet, or to a change that failed before it was stored. It wins if it is a later version of the store's
/// ring, which then has been rolled back. A running node holds a ring that was in the store once, which wins as long as
/// the store has no newer one. When a store is restored from a backup, the mirror is that of the store that it
/// replaces. It wins if it is later, even if the two share no key: each key of the backup may have been revoked since,
/// and be gone.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Starting { creates: bool },
    Restoring,
    Running,
}

impl KeyringStore<'_> {
    /// Loads the fleet's ring when a node starts: from the store, otherwise from the mirror, otherwise a new one.
    pub async fn load_or_create(&self, now: Timestamp) -> Result<Ring, KeyringError> {
        self.start(now, Phase::Starting { creates: true }).await
    }

    /// Loads the fleet's ring as [`KeyringStore::load_or_create`] does, but fails with [`KeyringError::Missing`] if
    /// neither the store nor the mirror has it.
    pub async fn load(&self, now: Timestamp) -> Result<Ring, KeyringError> {
        self.start(now, Phase::Starting { creates: false }).await
    }

    /// Loads the ring as [`KeyringStore::load_or_create`] does, of a store that was just restored from a backup.
    pub async fn load_restored(&self, now: Timestamp) -> Result<Ring, KeyringError> {
        self.start(now, Phase::Restoring).await
    }

    async fn start(&self, now: Timestamp, phase: Phase) -> Result<Ring, KeyringError> {
        // A store that was rolled back must not roll back the fleet. A mirror that cannot be opened does not matter
        // here.
        let mirrored = mirror::read(self).await.ok().flatten();
        self.change(mirrored.as_ref(), now, phase, |ring| {
            ring.advance(now, &self.policy, self.rng);
            Ok(())
        })
        .await
        .map(|changed| changed.ring)
    }

    /// Checks that the secrets open the fleet's keyring, without changing anything. `false`: there is no keyring yet.
    pub async fn check(&self) -> Result<bool, KeyringError> {
        match self.store.keyring().await? {
            Some(sealed) => self.open(&sealed).map(|_| true),
            None => Ok(mirror::read(self).await?.is_some()),
        }
    }

    /// Changes the ring and stores it, trying again if another node was faster. `held` is the ring in this node's
    /// memory.
    async fn change<T>(
        &self,
        held: Option<&Ring>,
        now: Timestamp,
        phase: Phase,
        change: impl Fn(&mut Ring) -> Result<T, KeyringError>,
    ) -> Result<ChangedRing<T>, KeyringError> {
        for _ in 0..MAX_ATTEMPTS {
            let sealed = self.store.keyring().await?;
            let record_version = sealed.as_ref().map_or(0, |sealed| sealed.version);
            let reseal = phase != Phase::Running
                && sealed.as_ref().is_some_and(|sealed| !self.secrets.is_sealed_by_first(&sealed.bytes));
            let stored = sealed.map(|sealed| self.open(&sealed)).transpose()?;
            let mut ring = self.choose(stored.as_ref(), held, phase, now).await?;
            // A revocation that was acknowledged holds, even if the version of the ring that contained it was lost.
            stored.iter().chain(held).for_each(|other| {
                ring.restore_dropped_keys_of(other, now, &self.policy);
                ring.apply_revocations_of(other, now, &self.policy, self.rng);
            });
            let result = change(&mut ring)?;
            if stored.as_ref() == Some(&ring) && !reseal {
                // Nothing was changed here: a full disk must not keep this node from the ring that others have stored.
                if let Err(error) = mirror::write_if_changed(self, &ring).await {
                    tracing::warn!(%error, "keyring mirror not written");
                }
                return Ok(ChangedRing { ring, result, replaced: None });
            }
            if stored.as_ref().is_some_and(|stored| stored.version >= ring.version) {
                ring.version += 1;
            }
            let sealed = self.seal(&ring)?;
            // The mirror first: a ring that signs is never only in a store that can be lost.
            mirror::write_if_changed(self, &ring).await?;
            match self.store.swap_keyring(record_version, &sealed, now).await? {
                SwapResult::Swapped => return Ok(ChangedRing { ring, result, replaced: stored }),
                SwapResult::Conflict => {}
            }
        }
        Err(KeyringError::Contended)
    }

    async fn choose(
        &self,
        stored: Option<&Ring>,
        held: Option<&Ring>,
        phase: Phase,
        now: Timestamp,
    ) -> Result<Ring, KeyringError> {
        match (stored, held) {
            (Some(stored), Some(held)) => {
                let held_wins = match phase {
                    Phase::Starting { .. } => held.version > stored.version && held.shares_a_key_with(stored),
                    Phase::Restoring => held.version > stored.version,
                    Phase::Running => held.version >= stored.version,
                };
                Ok(if held_wins { held.clone() } else { stored.clone() })
            }
            (Some(ring), None) | (None, Some(ring)) => Ok(ring.clone()),
            (None, None) => match mirror::read(self).await? {
                Some(ring) => Ok(ring),
                None if matches!(phase, Phase::Starting { creates: true } | Phase::Restoring) => {
                    Ok(Ring::generate(now, self.rng))
                }
                None => Err(KeyringError::Missing { data_dir: self.data_dir.to_owned() }),
            },
        }
    }

    fn open(&self, sealed: &SealedKeyring) -> Result<Ring, KeyringError> {
        let bytes = self.secrets.open(USAGE, &sealed.bytes).map_err(KeyringError::Sealed)?;
        Ring::from_bytes(&bytes).map_err(|_| KeyringError::InvalidRecord)
    }

    fn seal(&self, ring: &Ring) -> Result<Vec<u8>, KeyringError> {
        let bytes = ring.to_bytes().map_err(|_| KeyringError::InvalidRecord)?;
        self.secrets.seal(USAGE, &bytes, self.rng).map_err(|_| KeyringError::InvalidRecord)
    }
}

fn keyring_store(ctx: &Context) -> KeyringStore<'_> {
    KeyringStore {
        store: &*ctx.ephemeral,
        secrets: &ctx.node.secrets,
        data_dir: &ctx.node.config.data_dir,
        rng: &ctx.node.rng,
        policy: key_policy(&ctx.node.config),
    }
}

/// A ring that was read or changed.
struct ChangedRing<T> {
    ring: Ring,
    result: T,
    /// The ring that this process has replaced in the store.
    replaced: Option<Ring>,
}

/// Records the keys that were added and removed. Only the process that has stored the change does so.
fn record_difference(ctx: &Context, before: &Ring, after: &Ring) {
    let has = |ring: &Ring, kid: &str| ring.keys.iter().any(|key| key.kid == kid);
    let record = |event_type: EventType, key: &Key| record_key(ctx, event_type, &key.kid, Origin::process());
    after.keys.iter().filter(|key| !has(before, &key.kid)).for_each(|key| record(EventType::SigningKeyCreated, key));
    before.keys.iter().filter(|key| !has(after, &key.kid)).for_each(|key| record(EventType::SigningKeyRemoved, key));
}

/// Records an event of a signing key.
pub fn record_key(ctx: &Context, event_type: EventType, kid: &str, origin: Origin) {
    audit::record(ctx, Event::new(event_type, origin).detail("kid", kid));
}

/// Changes the fleet's ring and installs the result in this node.
async fn change<T>(
    ctx: &Context,
    change: impl Fn(&mut Ring, &KeyPolicy) -> Result<T, KeyringError>,
) -> Result<T, KeyringError> {
    let held = ctx.node.keyring.keys().ring().clone();
    let store = keyring_store(ctx);
    let change = |ring: &mut Ring| change(ring, &store.policy);
    let ChangedRing { ring, result, replaced } = store.change(Some(&held), ctx.now(), Phase::Running, change).await?;
    ctx.node.keyring.install(&ring)?;
    if let Some(replaced) = replaced {
        record_difference(ctx, &replaced, &ring);
    }
    Ok(result)
}

/// Installs the ring that the fleet has stored, restores it if the store lost it, and makes scheduled changes.
pub async fn advance(ctx: &Context) -> Result<(), KeyringError> {
    let now = ctx.now();
    change(ctx, |ring, policy| {
        ring.advance(now, policy, &ctx.node.rng);
        Ok(())
    })
    .await
}

/// Makes the next key of this algorithm sign as soon as it has been announced for long enough.
pub async fn rotate(ctx: &Context, algorithm: SigningAlgorithm, origin: Origin) -> Result<Key, KeyringError> {
    let ctx = ctx.clone();
    finish(async move {
        let now = ctx.now();
        let key = change(&ctx, |ring, policy| Ok(ring.rotate(algorithm, now, policy, &ctx.node.rng)?)).await?;
        record_key(&ctx, EventType::SigningKeyRotated, &key.kid, origin);
        Ok(key)
    })
    .await
}

/// Revokes a key: no node accepts a token that it signed, cached tokens included.
pub async fn revoke(ctx: &Context, kid: &str, origin: Origin) -> Result<(), KeyringError> {
    let (ctx, kid) = (ctx.clone(), kid.to_owned());
    finish(async move {
        let now = ctx.now();
        change(&ctx, |ring, policy| Ok(ring.revoke(&kid, now, policy, &ctx.node.rng)?)).await?;
        record_key(&ctx, EventType::SigningKeyRevoked, &kid, origin);
        Ok(())
    })
    .await
}

/// Reads a private key in PEM, to import it. Refuses one whose algorithm no audience has.
pub fn read_key(text: &str, config: &Config) -> Result<KeyPair, KeyringError> {
    let pair = pem::parse(text)?;
    let is_used = key_policy(config).algorithms().any(|algorithm| algorithm == pair.algorithm());
    if is_used { Ok(pair) } else { Err(RingError::UnusedAlgorithm.into()) }
}

/// Imports a private key.
pub async fn import(ctx: &Context, pair: KeyPair, origin: Origin) -> Result<Key, KeyringError> {
    let ctx = ctx.clone();
    finish(async move {
        let now = ctx.now();
        let key = change(&ctx, |ring, policy| Ok(ring.import(pair.clone(), now, policy)?)).await?;
        record_key(&ctx, EventType::SigningKeyImported, &key.kid, origin);
        Ok(key)
    })
    .await
}

/// Runs a change to completion, so that this node installs the ring that it has stored, and records the change, even if
/// the client disconnects.
async fn finish<T, F>(work: F) -> Result<T, KeyringError>
where
    T: Send + 'static,
    F: Future<Output = Result<T, KeyringError>> + Send + 'static,
{
    run_to_completion(async move { Ok(work.await) }).await.unwrap_or(Err(KeyringError::Interrupted))
}

/// True if an audience has ES256, so that there are keys for it.
pub fn uses_es256(ctx: &Context) -> bool {
    key_policy(&ctx.node.config).es256
}

/// Interval at which a node advances the keyring without being notified of a change.
pub const INTERVAL: Duration = Duration::from_secs(30);
