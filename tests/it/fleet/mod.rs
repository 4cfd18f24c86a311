//! Several nodes of one fleet, tested from outside: the program, its settings and HTTP. Failures under load are tested
//! in `faults`.

mod balancer;
mod cluster;
mod keys;
mod redis_empty;
mod redis_failover;
mod revocation;
mod secrets;
mod stale;
mod start;

use std::time::Duration;

use crate::support::client::{Client, PASSWORD, TokenPair, kid, print_timings, text, until_within};
use crate::support::signet::{Plan, Signet};
use crate::support::{postgres, redis};

/// The time within which every node applies a change made on one of them. Compared with the median of many: a node that
/// gets no processor for a second, because of other tests, is no error.
const SOON: Duration = Duration::from_secs(1);

/// How long a test waits for a change.
const DEADLINE: Duration = Duration::from_secs(60);

/// One Redis and one Postgres, and the plan of nodes on them.
struct Fleet {
    redis: redis::Server,
    postgres: postgres::Database,
    plan: Plan,
}

impl Fleet {
    fn new() -> Self {
        let (redis, postgres) = (redis::Server::start(), postgres::Database::create());
        let plan = Plan::on(&redis, &postgres).with_patient_stores();
        Self { redis, postgres, plan }
    }

    /// Starts two nodes, each with a folder of its own.
    fn start_two(&self) -> [Signet; 2] {
        [self.plan.start(), self.plan.another_node().start()]
    }
}

/// Waits until a node refuses a token.
async fn wait_until_refused(node: &Client, token: &str) -> Duration {
    until_within("the token is refused", DEADLINE, async || node.verify(token).await.status == 401).await
}
