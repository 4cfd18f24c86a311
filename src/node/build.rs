//! From settings to a node: opens the stores, then the secret, the keyring and everything else that requests need.
//!
//! The order matters. The stores come first, because a schema that is too new stops everything. Then comes the secret,
//! then the keyring, which a wrong secret does not open. A server then reads all revocations
//! ([`load_revocations`](super::maintenance::load_revocations)) before it answers the first request.

use std::sync::Arc;

use crate::auth::audit::recorder::Recorder;
use crate::auth::context::{Context, Node};
use crate::auth::passwords::Hasher;
use crate::auth::retention::{Retention, key_policy};
use crate::auth::revocation::publication::Publication;
use crate::auth::revocation::recent_ends::RecentEnds;
use crate::auth::revocation::set::RevocationSet;
use crate::auth::signing_keys::{KeyringError, KeyringStore};
use crate::auth::tokens::verify::api_key_cache::ApiKeyCache;
use crate::auth::tokens::verify::cache::VerifyCache;
use crate::clock::Clock;
use crate::config::Config;
use crate::mail::Mailer;
use crate::rng::Rng;
use crate::telemetry::{Metrics, Readiness};
use crate::token::access::Issuer;
use crate::token::keyring::Keyring;
use crate::token::keyring::ring::Ring;
use crate::token::secret::Secrets;

use super::error::StartError;
use super::secret_file;
use super::start_retry::retry_while_unavailable;
use super::stores::{COMMAND_TIMEOUT, Stores, require_embedded};

/// The files and keys that a command needs, and those that it may create.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// True if it may create the embedded file, which exists unless both stores are servers.
    pub new_file: bool,
    /// Its use of the signing keys.
    pub keyring: KeyringUse,
}

/// The use that a process makes of the signing keys. Only a server and `signet keys import` may create them where Redis
/// has none: keys that another command created in an emptied Redis would replace those of the fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyringUse {
    /// It signs and verifies nothing.
    None,
    /// It needs the existing keys.
    Existing,
    /// It creates them if there are none.
    Create,
    /// It has just restored the embedded file from a backup.
    Restored,
}

/// Builds the node, with store connections for the current runtime. `routes` are the names requests are counted by.
pub async fn build_context(
    config: Config,
    clock: Clock,
    stores: &Stores,
    routes: &[&str],
) -> Result<Context, StartError> {
    build(config, clock, stores, routes, "system", KeyringUse::Create).await
}

/// `process`: the actor of the security events that no request causes.
async fn build(
    config: Config,
    clock: Clock,
    stores: &Stores,
    routes: &[&str],
    process: &'static str,
    keyring: KeyringUse,
) -> Result<Context, StartError> {
    let rng = Rng::system();
    let secrets = match &config.secrets {
        Some(secrets) => Secrets::new(secrets)?,
        None => Secrets::new(&[secret_file::load_or_create(&config.data_dir, &rng)?])?,
    };
    let name = node_name(&config, &rng);
    let metrics = Arc::new(Metrics::new(routes, clock.now()));
    let (accounts, ephemeral) = stores.connect(&metrics).await?;
    let policy = key_policy(&config);
    let keyring_store =
        KeyringStore { store: &*ephemeral, secrets: &secrets, data_dir: &config.data_dir, rng: &rng, policy };
    let load = async || {
        let ring = match keyring {
            KeyringUse::Create => keyring_store.load_or_create(clock.now()).await?,
            KeyringUse::Restored => keyring_store.load_restored(clock.now()).await?,
            KeyringUse::Existing => keyring_store.load(clock.now()).await?,
            KeyringUse::None => match keyring_store.load(clock.now()).await {
                // A node has a keyring. This one is not stored, and nothing is signed or verified with it.
                Err(KeyringError::Missing { .. }) => Ring::generate(clock.now(), &rng),
                loaded => loaded?,
            },
        };
        Ok(ring)
    };
    let ring = retry_while_unavailable(load).await?;
    let node = Node {
        name,
        keyring: Keyring::new(&ring, config.tokens.algorithm)?,
        retention: Retention::new(&config),
        issuer: Issuer::new(&config.tokens).with_audiences(&config.audiences),
        revocations: RevocationSet::default(),
        recent_ends: RecentEnds::default(),
        publication: Publication::new(&config),
        verify_cache: VerifyCache::new(&config.verify, &rng),
        api_key_cache: ApiKeyCache::default(),
        hasher: Hasher::start(&config.passwords, rng.clone())?,
        mailer: Mailer::start(&config.mail, &config.data_dir, clock.clone(), metrics.clone(), rng.clone())?,
        audit: Recorder::new(process, metrics.clone(), config.audit.webhook.is_some()),
        metrics,
        readiness: Readiness::default(),
        config,
        clock,
        secrets,
        rng,
    };
    Ok(Context::new(Arc::new(node), accounts, ephemeral))
}

/// The same node, with store connections for the current runtime.
pub async fn build_worker_context(node: &Arc<Node>, stores: &Stores) -> Result<Context, StartError> {
    let (accounts, ephemeral) = stores.connect(&node.metrics).await?;
    Ok(Context::new(node.clone(), accounts, ephemeral))
}

/// Builds the node of a command: without workers, with longer store timeouts, and its own store connections.
/// Creates nothing that the command does not need.
pub async fn build_command_context(mut config: Config, needs: Needs) -> Result<Context, StartError> {
    if !needs.new_file {
        require_embedded(&config)?;
    }
    // The embedded file has its keys with everything else, and there is no fleet.
    let keyring = match needs.keyring {
        KeyringUse::None | KeyringUse::Existing if config.redis.is_none() => KeyringUse::Create,
        keyring => keyring,
    };
    let timeouts = [
        Some(&mut config.embedded.timeout),
        config.redis.as_mut().map(|redis| &mut redis.timeout),
        config.postgres.as_mut().map(|postgres| &mut postgres.timeout),
    ];
    for timeout in timeouts.into_iter().flatten() {
        *timeout = COMMAND_TIMEOUT.max(*timeout);
    }
    let clock = Clock::system();
    let stores = Stores::open(&config, &clock).await?;
    stores.log_schemas();
    build(config, clock, &stores, &[], "cli", keyring).await
}

/// A name for this process that no other process has, for logs and warnings: `<host>_<listen address>_<pid>_<random>`.
fn node_name(config: &Config, rng: &Rng) -> String {
    format!("{}{}_{:04x}", node_name_prefix(config), std::process::id(), u16::from_ne_bytes(rng.bytes()))
}

/// The start of the names of all processes on this host that are configured to listen on the same address.
pub(super) fn node_name_prefix(config: &Config) -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    // A slash would leave the folder in which the embedded store keeps a file by this name.
    format!("{}_{}_", host.replace(['/', ' '], "-"), config.server.listen)
}
