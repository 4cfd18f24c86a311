//! What the benches that start real servers share: cores, processes and what they use, Redis, Signet, a client, the machine.
//!
//! A bench takes it in by `#[path = "../support/mod.rs"] mod support;`. Knows nothing of what is measured, and not the crate:
//! the servers are programs here.

#![allow(dead_code, reason = "not every bench needs all of it")]

pub(crate) mod cores;
pub(crate) mod histogram;
pub(crate) mod load;
pub(crate) mod machine;
pub(crate) mod process;
pub(crate) mod redis;
pub(crate) mod signet;
pub(crate) mod simple;

use std::fs::File;
use std::net::TcpListener;
use std::path::Path;

use tempfile::TempDir;

/// A folder that ends with the bench. In the target folder: the system's temporary one is memory on some machines, and there
/// writing durably would cost nothing.
pub(crate) fn folder() -> TempDir {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR"));
    std::fs::create_dir_all(place).expect("the target folder can be written");
    tempfile::Builder::new().prefix("bench-").tempdir_in(place).expect("a temporary folder")
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound").port()
}

/// Waits until no other bench of this kind runs on this machine, whosever tree it is of: two of them on the same two cores would
/// measure each other. The place is given up when the file is dropped.
pub(crate) fn alone() -> Option<File> {
    let place = std::env::temp_dir().join("signet-bench.lock");
    // Another user's file cannot be opened, and is no reason to measure nothing.
    let file = File::options().create(true).append(true).open(place).ok()?;
    file.lock().ok()?;
    Some(file)
}
