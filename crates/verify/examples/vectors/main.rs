//! Writes `clients/vectors/`: `cargo run -p signet-verify --example vectors -- clients/vectors`.
//!
//! The files are a function of fixed keys and fixed times. ECDSA signatures are random: those of the files that are
//! there are kept if they still fit. Knows nothing of the implementations that read the files.

mod frames;
mod key_sets;
mod signer;
mod tokens;

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(std::env::args_os().nth(1).ok_or("usage: vectors FOLDER")?);
    let known = std::fs::read_to_string(folder.join("tokens.json")).unwrap_or_default();
    for (name, text) in signer::files(&known) {
        std::fs::write(folder.join(name), text)?;
    }
    Ok(())
}
