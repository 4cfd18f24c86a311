//! Nodes without a program around them, for tests of the operations themselves: over one pair of stores, by a clock that is moved by
//! hand.

use std::time::Duration;

use signet::auth::context::Context;
use signet::auth::revocation::feed::catch_up;
use signet::clock::{Clock, Timestamp};
use signet::config::{self, Config, Secret, SecretUrl};
use signet::node::build;
use signet::node::stores::Stores;
use zeroize::Zeroizing;

use super::totp::code_at;
use super::{postgres, redis};

/// The beginning of a step of thirty seconds.
const START: Timestamp = Timestamp::from_secs(1_763_130_330);

/// The stores of a fleet, and a clock that all its nodes go by.
pub(crate) struct TestFleet {
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    stores: Stores,
    servers: Option<(redis::Server, postgres::Server)>,
    _data: tempfile::TempDir,
}

impl TestFleet {
    pub(crate) async fn over(servers: Option<(redis::Server, postgres::Server)>) -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut config = Config { data_dir: data.path().to_owned(), ..Config::default() };
        if let Some((redis, postgres)) = &servers {
            let timeout = Duration::from_secs(5);
            let url = SecretUrl(redis.url());
            config.redis = Some(config::Redis { url, prefix: "signet:".to_owned(), timeout, ca: None });
            let url = SecretUrl(postgres.url());
            config.postgres = Some(config::Postgres { url, connections: 4, timeout, ca: None });
        }
        config.secrets = Some(vec![Secret(Zeroizing::new([1; 32]))]);
        (config.passwords.memory_kib, config.passwords.passes) = (64, 1);
        config.limits.enabled = false;
        let clock = Clock::by_hand(START);
        let stores = Stores::open(&config, &clock).await.unwrap();
        Self { config, clock, stores, servers, _data: data }
    }

    /// A node with the usual settings.
    pub(crate) async fn node(&self) -> Context {
        self.node_with(|_| {}).await
    }

    /// A node with settings of its own.
    pub(crate) async fn node_with(&self, change: impl FnOnce(&mut Config)) -> Context {
        self.node_by(self.clock.clone(), change).await
    }

    /// A node that goes by another clock.
    pub(crate) async fn node_by(&self, clock: Clock, change: impl FnOnce(&mut Config)) -> Context {
        let mut config = self.config.clone();
        change(&mut config);
        let ctx = build::build_context(config, clock, &self.stores, &[]).await.unwrap();
        catch_up(&ctx).await.unwrap();
        ctx
    }

    /// The Redis of one that is over servers.
    pub(crate) fn redis(&self) -> &redis::Server {
        &self.servers.as_ref().expect("it is over servers").0
    }

    /// What an app with this key shows so many steps from now.
    pub(crate) fn code(&self, key: &str, steps: i64) -> String {
        code_at(key, self.clock.now().secs() + 30 * steps)
    }
}

/// Makes two tests of each case: over the embedded default, and over Redis and Postgres.
macro_rules! over_both_stores_in_process {
    ($($case:ident),+ $(,)?) => {
        mod embedded {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let fleet = $crate::support::fleet::TestFleet::over(None).await;
                    Box::pin(super::$case(&fleet)).await;
                }
            )+
        }

        mod redis_and_postgres {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    use $crate::support::{postgres, redis};
                    let servers = Some((redis::Server::start(), postgres::Server::start()));
                    let fleet = $crate::support::fleet::TestFleet::over(servers).await;
                    Box::pin(super::$case(&fleet)).await;
                }
            )+
        }
    };
}
pub(crate) use over_both_stores_in_process;
