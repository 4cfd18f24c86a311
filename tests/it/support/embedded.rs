//! The embedded store in a folder of its own.

use std::sync::Arc;

use signet::clock::Timestamp;
use signet::config::{Durability, Embedded};
use signet::store::sqlite::Engine;
use tempfile::TempDir;

/// An open file and the folder that it is in. What the machine loses with its power is not tested, so nothing waits for it.
pub(crate) fn engine() -> (Arc<Engine>, TempDir) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let settings = Embedded { durability: Durability::Process, ..Embedded::default() };
    (Engine::open(dir.path(), &settings, Timestamp::from_secs(0)).expect("an empty folder can be used"), dir)
}
