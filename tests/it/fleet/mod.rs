//! Several nodes of one fleet. Everything here goes in and out by the doors that operators and clients have: the program, its settings,
//! HTTP. What becomes of them when parts fail under load is in `faults`.

mod cluster;
mod ended;
mod keys;
mod redis_empty;
mod revocation;
mod secrets;
mod stale;
mod start;

use std::time::Duration;

use crate::support::client::{Client, PASSWORD, TokenPair, kid, print_figures, text, until};
use crate::support::signet::{Plan, Signet};
use crate::support::{postgres, redis};

/// Within this much, what one node was told must be felt by all.
const SOON: Duration = Duration::from_secs(1);

/// One Redis and one Postgres, and how to start nodes on them.
struct TestFleet {
    redis: redis::Server,
    postgres: postgres::Server,
    plan: Plan,
}

impl TestFleet {
    fn new() -> Self {
        let (redis, postgres) = (redis::Server::start(), postgres::Server::start());
        let plan = Plan::on(&redis, &postgres);
        Self { redis, postgres, plan }
    }

    /// Two nodes, each with a folder of its own.
    fn two(&self) -> [Signet; 2] {
        [self.plan.start(), self.plan.another().start()]
    }
}

/// Waits until a token is refused.
async fn refused(at: &Client, token: &str) -> Duration {
    until("the token is refused", SOON, async || at.verify(token).await.status == 401).await
}
