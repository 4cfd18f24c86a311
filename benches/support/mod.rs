//! Shared code of the benches that start real servers: cores, processes and their use of resources, Redis, Postgres,
//! Signet, a client (the crate `signet-load` in a process of its own), a description of the machine.
//!
//! A bench includes it with `#[path = "../support/mod.rs"] mod support;`. It does not know the benches, and it does not
//! use the crate `signet`: it runs the servers as programs.

#![allow(dead_code, unused_imports, reason = "not every bench needs all of it")]

pub(crate) mod cores;
pub(crate) mod http;
pub(crate) mod job;
pub(crate) mod load;
pub(crate) mod machine;
pub(crate) mod nginx;
pub(crate) mod postgres;
pub(crate) mod process;
pub(crate) mod redis;
pub(crate) mod signet;
pub(crate) mod stats;
pub(crate) mod svg;
pub(crate) mod target;

use std::fs::File;
use std::net::TcpListener;
use std::path::Path;

use tempfile::TempDir;

/// A temporary folder in the target folder. The temporary folder of the system is in memory on some machines, where
/// durable writes would cost nothing.
pub(crate) fn temp_folder() -> TempDir {
    let parent = Path::new(env!("CARGO_TARGET_TMPDIR"));
    std::fs::create_dir_all(parent).expect("the target folder is writable");
    tempfile::Builder::new().prefix("bench-").tempdir_in(parent).expect("a temporary folder")
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("the port of a bound socket").port()
}

/// Waits until no other bench with this lock runs on this machine, because two benches on the same cores would disturb
/// each other. Dropping the file releases the lock.
pub(crate) fn lock_machine() -> Option<File> {
    let path = std::env::temp_dir().join("signet-bench.lock");
    // If the file belongs to another user, measure without the lock.
    let file = File::options().create(true).append(true).open(path).ok()?;
    file.lock().ok()?;
    Some(file)
}
