//! From settings to a node that can answer: the only place that knows which stores there are.
//!
//! Order matters: stores first (a schema that is too new stops everything), then the secret, then the fleet's keyring, which a
//! wrong secret does not open, then everything that was revoked or ended. Only then may the node be asked.

use std::sync::Arc;

use crate::auth::api_keys::KnownKeys;
use crate::auth::context::{Context, Node, max_access_lifetime};
use crate::auth::passwords;
use crate::auth::passwords::{Hasher, Policy};
use crate::auth::revocation::set::RevocationSet;
use crate::auth::signing_keys::{KeyringError, KeyringStore};
use crate::auth::tokens::verify::VerifyCache;
use crate::clock::Clock;
use crate::config::Config;
use crate::mail::{self, Mailer};
use crate::rng::Rng;
use crate::store::ephemeral::redis;
use crate::store::sqlite;
use crate::telemetry::{Metrics, Readiness};
use crate::token::access::Issuer;
use crate::token::keyring::{Keyring, UnusableKey};
use crate::token::secret::{Secrets, Underivable};

use super::secret_file::{self, SecretFileError};
use super::stores::Stores;

/// Why a node could not be made.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A store does not answer or holds what it should not.
    #[error(transparent)]
    Store(#[from] crate::store::Error),
    /// Redis cannot be used as the settings say.
    #[error(transparent)]
    Redis(#[from] redis::ConnectError),
    /// The embedded file cannot be opened.
    #[error(transparent)]
    Embedded(#[from] sqlite::OpenError),
    /// The embedded default's secret cannot be read or made.
    #[error(transparent)]
    SecretFile(#[from] SecretFileError),
    /// The secret is of no use.
    #[error(transparent)]
    Secret(#[from] Underivable),
    /// The keyring does not open.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// A key of it is of no use.
    #[error(transparent)]
    Key(#[from] UnusableKey),
    /// No thread to hash passwords on.
    #[error(transparent)]
    Hasher(#[from] passwords::StartError),
    /// The mail room cannot be opened.
    #[error(transparent)]
    Mail(#[from] mail::StartError),
}

/// Makes the node and this runtime's view of it. `routes` names what requests are counted by.
pub async fn build_context(
    config: Config,
    clock: Clock,
    stores: &Stores,
    routes: &[&str],
) -> Result<Context, StartError> {
    let rng = Rng::system();
    let secrets = match &config.secrets {
        Some(secrets) => Secrets::new(secrets)?,
        None => Secrets::new(&[secret_file::found(&config.data_dir, &rng)?])?,
    };
    let metrics = Arc::new(Metrics::new(routes, clock.now()));
    let (accounts, ephemeral) = stores.connect(&metrics).await?;
    let lives = Node::key_lifetimes_of(&config);
    let keeper = KeyringStore { store: &*ephemeral, secrets: &secrets, data_dir: &config.data_dir, rng: &rng, lives };
    let ring = keeper.load_or_create(clock.now()).await?;
    let node = Node {
        keyring: Keyring::new(&ring, config.tokens.algorithm)?,
        max_access_lifetime: max_access_lifetime(&config),
        issuer: Issuer::new(&config.tokens),
        revocations: RevocationSet::default(),
        verify_cache: VerifyCache::new(&config.verify, &rng),
        known_keys: KnownKeys::default(),
        hasher: Hasher::start(&config.passwords, rng.clone())?,
        password_policy: Policy::from(&config.passwords),
        mailer: Mailer::start(&config.mail, &config.data_dir, clock.clone(), metrics.clone(), rng.clone())?,
        metrics,
        readiness: Readiness::default(),
        config,
        clock,
        secrets,
        rng: rng,
    };
    Ok(Context::new(Arc::new(node), accounts, ephemeral))
}

/// Another runtime's view of the node.
pub async fn build_worker_context(node: &Arc<Node>, stores: &Stores) -> Result<Context, StartError> {
    let (accounts, ephemeral) = stores.connect(&node.metrics).await?;
    Ok(Context::new(node.clone(), accounts, ephemeral))
}
