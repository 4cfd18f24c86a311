//! The embedded store in a folder of its own.

use std::sync::Arc;

use signet::clock::Timestamp;
use signet::config::{Durability, Embedded};
use signet::store::sqlite::Engine;
use tempfile::TempDir;

use super::fleet::STORE_TIMEOUT;

/// An open database and its folder. Writes are not synced: no test here cuts the power.
pub(crate) fn engine() -> (Arc<Engine>, TempDir) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let settings = Embedded { durability: Durability::Process, timeout: STORE_TIMEOUT };
    (Engine::open(dir.path(), &settings, Timestamp::from_secs(0)).expect("an empty folder can be used"), dir)
}
