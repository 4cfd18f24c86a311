//! The running nodes: the position up to which each has applied the revocations, and each one's description of itself.
//! Two hashes with one field for each node, whose values lapse by the server's clock.

use std::time::Duration;

use fred::types::Value;

use super::args::RedisArg;
use super::reply::{self, ReplyReader};
use super::{Redis, ignore, scripts};
use crate::clock::Timestamp;
use crate::store::Result;

/// The hash of positions, and how long a node counts as running after its last report.
pub(super) const POSITIONS: (&str, Duration) = ("nodes", Duration::from_secs(5));

/// The hash of descriptions, and how long one counts: nodes repeat theirs every few seconds.
pub(super) const DESCRIPTIONS: (&str, Duration) = ("node_states", Duration::from_secs(30));

impl Redis {
    /// Sets a node's field in one of the hashes.
    pub(super) async fn set_node_field(&self, (hash, ttl): (&str, Duration), node: &str, text: &str) -> Result<()> {
        let (hash, args): (_, [&dyn RedisArg; 3]) = (self.keys.fleet(hash), [&node, &text, &ttl]);
        self.runner.run(&scripts::REPORT_NODE, &[&hash], Timestamp::default(), &args, ignore).await
    }

    /// Reads the fields of one of the hashes that have not lapsed.
    pub(super) async fn read_node_fields<T>(
        &self,
        (hash, ttl): (&str, Duration),
        read: impl FnOnce(Value) -> Result<T>,
    ) -> Result<T> {
        let (hash, args): (_, [&dyn RedisArg; 1]) = (self.keys.fleet(hash), [&ttl]);
        self.runner.run(&scripts::NODES, &[&hash], Timestamp::default(), &args, read).await
    }
}

/// Reads names and descriptions, which alternate.
pub(super) fn read_descriptions(reply: Value) -> Result<Vec<(String, String)>> {
    let (mut reply, mut descriptions) = (ReplyReader::of(reply)?, Vec::new());
    while let Some(name) = reply.next() {
        descriptions.push((reply::text(name)?, reply.text()?));
    }
    Ok(descriptions)
}
