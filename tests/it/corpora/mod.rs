//! Public collections of difficult cases. They are not part of this repository; `./test corpora` needs them in the
//! folder `SIGNET_CORPORA`.

mod addresses;
mod json;
mod signatures;
mod tokens;

use std::path::PathBuf;

use serde_json::Value;

#[allow(clippy::disallowed_methods, reason = "the location of the collections is not a setting of Signet")]
fn corpus_path(path: &str) -> PathBuf {
    let folder = std::env::var_os("SIGNET_CORPORA").unwrap_or_else(|| {
        panic!("SIGNET_CORPORA is not set: name the folder of the collections, as in SIGNET_CORPORA=DIR ./test corpora")
    });
    PathBuf::from(folder).join(path)
}

fn read_corpus(path: &str) -> Vec<u8> {
    let path = corpus_path(path);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn read_json_corpus(path: &str) -> Value {
    serde_json::from_slice(&read_corpus(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}
