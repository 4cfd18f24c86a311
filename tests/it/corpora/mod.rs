//! Public collections of hard cases. They are not part of this repository: `./test corpora` says where they are.

mod addresses;
mod json;
mod signatures;
mod tokens;

use std::path::PathBuf;

use serde_json::Value;

#[allow(
    clippy::disallowed_methods,
    reason = "where the collections are is the runner's to say, and no setting of Signet"
)]
fn place(path: &str) -> PathBuf {
    let folder = std::env::var_os("SIGNET_CORPORA").unwrap_or_else(|| {
        panic!("SIGNET_CORPORA is not set: name the folder of the collections, as in SIGNET_CORPORA=DIR ./test corpora")
    });
    PathBuf::from(folder).join(path)
}

fn bytes_of(path: &str) -> Vec<u8> {
    let path = place(path);
    std::fs::read(&path).unwrap_or_else(|fault| panic!("{}: {fault}", path.display()))
}

fn collection(path: &str) -> Value {
    serde_json::from_slice(&bytes_of(path)).unwrap_or_else(|fault| panic!("{path}: {fault}"))
}
