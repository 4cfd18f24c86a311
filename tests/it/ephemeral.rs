//! The suite of the ephemeral role, over every implementation.

use std::sync::Arc;

use signet::store::Ephemeral;
use signet::store::conformance::ephemeral::CASES;
use signet::store::ephemeral::redis::Redis;

use crate::support::redis::{Cluster, Server};

/// A store on a Redis of its own.
mod redis {
    use super::*;

    async fn fixture() -> (Arc<dyn Ephemeral>, Server) {
        let server = Server::start();
        let store = Redis::connect(&server.config()).await.expect("it is up");
        (Arc::new(store), server)
    }

    signet::ephemeral_conformance!(fixture);
}

/// A store in a file of its own.
mod sqlite {
    use signet::store::ephemeral::sqlite::SqliteEphemeral;

    use super::*;
    use crate::support::embedded::engine;

    async fn fixture() -> (Arc<dyn Ephemeral>, tempfile::TempDir) {
        let (engine, dir) = engine();
        (Arc::new(SqliteEphemeral::new(engine)), dir)
    }

    signet::ephemeral_conformance!(fixture);
}

/// Forming a cluster takes seconds, so all cases share one; a prefix of its own makes each begin from an empty store, which
/// also shows that prefixes keep stores apart.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn redis_cluster() {
    let cluster = Cluster::start();
    for (name, case) in CASES {
        let config = signet::config::Redis { prefix: format!("{name}:"), ..cluster.config() };
        let store = Redis::connect(&config).await.expect("it is up");
        println!("{name}");
        case(Arc::new(store)).await;
    }
}
