//! In-process nodes over one pair of stores and a manual clock, for tests that call the operations directly.

use std::time::Duration;

use signet::auth::context::Context;
use signet::auth::request_context::{ExtraClaims, RequestContext};
use signet::auth::revocation::stream::catch_up;
use signet::clock::{Clock, Timestamp};
use signet::config::{self, Config, Secret, SecretUrl};
use signet::node::build;
use signet::node::stores::Stores;
use zeroize::Zeroizing;

use super::postgres::Database;
use super::redis;
use super::totp::code_at;

/// The beginning of a TOTP step of 30 seconds.
const START: Timestamp = Timestamp::from_secs(1_763_130_330);

/// For in-process nodes, whose stores none of these tests freezes: on a machine that is busy with other tests, a write may
/// take seconds.
pub(crate) const STORE_TIMEOUT: Duration = Duration::from_secs(20);

/// A request to the native API.
pub(crate) fn native_request(ctx: &Context) -> RequestContext<'_> {
    let address = std::net::IpAddr::from([192, 0, 2, 1]);
    RequestContext {
        dialect: "native",
        dialect_config: &ctx.node.config.api.native,
        client_ip: address,
        rate_limit_ip: address,
        user_agent: None,
        language: None,
        extra_claims: ExtraClaims::None,
        audience: None,
    }
}

/// The stores of a fleet, and the clock of all its nodes.
pub(crate) struct TestFleet {
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    stores: Stores,
    servers: Option<(redis::Server, Database)>,
    _data: tempfile::TempDir,
}

impl TestFleet {
    pub(crate) async fn new(servers: Option<(redis::Server, Database)>) -> Self {
        Self::at(START, servers).await
    }

    /// A fleet whose clock begins at this moment.
    pub(crate) async fn at(start: Timestamp, servers: Option<(redis::Server, Database)>) -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut config = Config { data_dir: data.path().to_owned(), ..Config::default() };
        config.embedded.timeout = STORE_TIMEOUT;
        if let Some((redis, postgres)) = &servers {
            let (url, timeout) = (SecretUrl(redis.url()), STORE_TIMEOUT);
            config.redis = Some(config::Redis { url, prefix: "signet:".to_owned(), timeout, ca: None });
            let url = SecretUrl(postgres.url());
            config.postgres = Some(config::Postgres { url, connections: 4, timeout, ca: None });
        }
        config.secrets = Some(vec![Secret(Zeroizing::new([1; 32]))]);
        (config.passwords.memory_kib, config.passwords.passes) = (64, 1);
        // The threads that hash have a low priority.
        config.passwords.deadline = Duration::from_secs(60);
        config.limits.enabled = false;
        let clock = Clock::manual(start);
        let stores = Stores::open(&config, &clock).await.unwrap();
        Self { config, clock, stores, servers, _data: data }
    }

    /// A node with the default settings.
    pub(crate) async fn node(&self) -> Context {
        self.node_with(|_| {}).await
    }

    /// A node with changed settings.
    pub(crate) async fn node_with(&self, change: impl FnOnce(&mut Config)) -> Context {
        self.node_with_clock(self.clock.clone(), change).await
    }

    /// A node with another clock.
    pub(crate) async fn node_with_clock(&self, clock: Clock, change: impl FnOnce(&mut Config)) -> Context {
        let mut config = self.config.clone();
        change(&mut config);
        let ctx = build::build_context(config, clock, &self.stores, &[]).await.unwrap();
        catch_up(&ctx).await.unwrap();
        ctx
    }

    /// The Redis of a fleet over servers.
    pub(crate) fn redis(&self) -> &redis::Server {
        &self.servers.as_ref().expect("the fleet is over servers").0
    }

    /// The Postgres of a fleet over servers.
    pub(crate) fn postgres(&self) -> &Database {
        &self.servers.as_ref().expect("the fleet is over servers").1
    }

    /// The TOTP code of a key a number of steps from now.
    pub(crate) fn code(&self, key: &str, steps: i64) -> String {
        code_at(key, self.clock.now().secs() + 30 * steps)
    }
}

/// Makes two tests of each case: over the embedded default, and over Redis and Postgres.
macro_rules! over_both_stores_in_process {
    ($($case:ident),+ $(,)?) => {
        mod embedded {
            #[allow(unused_imports, reason = "the plan may need names of the file")]
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let fleet = $crate::support::fleet::TestFleet::new(None).await;
                    Box::pin(super::$case(&fleet)).await;
                }
            )+
        }

        mod redis_and_postgres {
            #[allow(unused_imports, reason = "the plan may need names of the file")]
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    use $crate::support::{postgres, redis};
                    let servers = Some((redis::Server::start(), postgres::Database::create()));
                    let fleet = $crate::support::fleet::TestFleet::new(servers).await;
                    Box::pin(super::$case(&fleet)).await;
                }
            )+
        }
    };
}
pub(crate) use over_both_stores_in_process;
