//! The suite of the accounts' role over every implementation: a module each, which names an empty store.

use std::sync::Arc;

use signet::store::Accounts;

/// Fewer connections than the cases have callers, so that some always wait.
mod postgres {
    use signet::store::accounts::postgres::{Postgres, migrate};

    use super::*;
    use crate::support::postgres::Server;

    async fn empty() -> (Arc<dyn Accounts>, Server) {
        let server = Server::start();
        let settings = server.settings();
        migrate(&settings).await.expect("an empty database can be migrated");
        (Arc::new(Postgres::new(&settings, 8).expect("the settings are good")), server)
    }

    signet::accounts_conformance!(empty);
}

mod sqlite {
    use signet::store::accounts::sqlite::SqliteAccounts;

    use super::*;
    use crate::support::embedded::engine;

    async fn empty() -> (Arc<dyn Accounts>, tempfile::TempDir) {
        let (engine, dir) = engine();
        (Arc::new(SqliteAccounts::new(engine)), dir)
    }

    signet::accounts_conformance!(empty);
}
