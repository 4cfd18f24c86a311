//! `signet keys`: list, rotate, revoke, import and export signing keys.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use zeroize::Zeroizing;

use super::arguments::{KeyAlgorithm, Keys};
use super::output::{Columns, Output, or_dash};
use super::propagation::{wait_for_nodes, wait_for_nodes_and_followers};
use super::{CliError, CommandNode};
use crate::auth::audit::{EventType, Origin};
use crate::auth::context::Context;
use crate::auth::signing_keys::{
    KeyState, KeyStatus, KeyringError, import, list, read_key, record_key, revoke, rotate,
};
use crate::clock::Timestamp;
use crate::config::{SigningAlgorithm, format_duration};
use crate::token::keyring::pem;
use crate::token::keyring::ring::{Key, RingError};

/// The longest text of a key that is read, in bytes.
const MAX_PEM: usize = 16 * 1024;

/// A signing key as printed.
#[derive(Clone, Debug, Serialize)]
struct KeyRow {
    kid: String,
    /// `EdDSA` or `ES256`.
    algorithm: &'static str,
    /// `announced`, `signing`, `verify-only` or `revoked`.
    state: &'static str,
    /// Since when the JWKS has it.
    announced_at: Timestamp,
    /// From when it signs or has signed.
    signs_from: Option<Timestamp>,
    /// Until when its tokens can be valid, once that is known.
    verifies_until: Option<Timestamp>,
}

const COLUMNS: Columns<KeyRow> = &[
    ("kid", |key| key.kid.clone()),
    ("algorithm", |key| key.algorithm.to_owned()),
    ("state", |key| key.state.to_owned()),
    ("announced", |key| key.announced_at.to_string()),
    ("signs from", |key| or_dash(key.signs_from)),
    ("verifies until", |key| or_dash(key.verifies_until)),
];

pub(super) fn run(command: Keys, node: CommandNode, output: &mut Output<'_>) -> Result<(), CliError> {
    match command {
        Keys::List => node.run(async |ctx: &Context| output.rows(&rows(ctx), COLUMNS)),
        Keys::Rotate { algorithm, assume_cache, wait } => node.run(async |ctx: &Context| {
            let key = rotate(ctx, algorithm.into(), Origin::process()).await?;
            warn_of_short_announcement(&key, assume_cache, output)?;
            print_changed(ctx, &key.kid, wait, output).await
        }),
        Keys::Revoke { kid, wait } => {
            node.run(async |ctx: &Context| match revoke(ctx, &kid, Origin::process()).await {
                Ok(()) => print_changed(ctx, &kid, wait, output).await,
                Err(KeyringError::Ring(RingError::UnknownKey)) => Err(not_found(&kid)),
                Err(error) => Err(error.into()),
            })
        }
        Keys::Import { file } => {
            let pair = read_key(&read_pem(&file)?, &node.config)?;
            node.run(async |ctx: &Context| {
                let key = import(ctx, pair, Origin::process()).await?;
                print_changed(ctx, &key.kid, None, output).await
            })
        }
        Keys::Export { kid } => node.run(async |ctx: &Context| export(ctx, &kid, output)),
    }
}

fn export(ctx: &Context, kid: &str, output: &mut Output<'_>) -> Result<(), CliError> {
    let keys = ctx.node.keyring.keys();
    let key = keys.ring().keys.iter().find(|key| key.kid == kid).ok_or_else(|| not_found(kid))?;
    let pem = pem::write(key).map_err(KeyringError::from)?;
    record_key(ctx, EventType::SigningKeyExported, kid, Origin::process());
    if output.is_json() {
        return output.json(&serde_json::json!({"kid": kid, "pem": pem.as_str()}));
    }
    output.text(pem.as_bytes())
}

/// Warns if verifiers that keep the JWKS for `assume_cache` may not have the key when it begins to sign.
fn warn_of_short_announcement(key: &Key, assume_cache: Duration, output: &mut Output<'_>) -> Result<(), CliError> {
    let announced = key.signs_from.since(key.announced_at);
    if announced >= assume_cache {
        return Ok(());
    }
    let seconds = |duration: Duration| format_duration(Duration::from_secs(duration.as_secs()));
    output.warn(&format!(
        "{} signs {} after it was added to the JWKS. A verifier that keeps the JWKS for {}, and does not fetch it again \
         when it sees an unknown key, refuses its tokens until then. A longer keys.announce avoids this",
        key.kid,
        seconds(announced),
        format_duration(assume_cache),
    ))
}

/// Prints the key as it is after a change, and waits until the running nodes use the changed keyring; with `wait`, for that
/// long at most, until the followers of the revocation feed have it too.
async fn print_changed(
    ctx: &Context,
    kid: &str,
    wait: Option<Duration>,
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    let row = rows(ctx).into_iter().find(|row| row.kid == kid).ok_or_else(|| not_found(kid))?;
    output.one(&row, COLUMNS)?;
    match wait {
        None => wait_for_nodes(ctx, output).await,
        Some(timeout) => wait_for_nodes_and_followers(ctx, timeout, output).await,
    }
}

/// All keys of the keyring: those for EdDSA first, and of each algorithm the signing one first.
fn rows(ctx: &Context) -> Vec<KeyRow> {
    list(ctx).into_iter().map(KeyRow::from).collect()
}

impl From<KeyStatus> for KeyRow {
    fn from(status: KeyStatus) -> Self {
        let KeyStatus { key, state, verifies_until } = status;
        Self {
            algorithm: match key.algorithm() {
                SigningAlgorithm::EdDsa => "EdDSA",
                SigningAlgorithm::Es256 => "ES256",
            },
            state: match state {
                KeyState::Announced => "announced",
                KeyState::Signing => "signing",
                KeyState::VerifyOnly | KeyState::Gone => "verify-only",
                KeyState::Revoked => "revoked",
            },
            announced_at: key.announced_at,
            signs_from: Some(key.signs_from),
            verifies_until,
            kid: key.kid,
        }
    }
}

impl From<KeyAlgorithm> for SigningAlgorithm {
    fn from(algorithm: KeyAlgorithm) -> Self {
        match algorithm {
            KeyAlgorithm::EdDsa => Self::EdDsa,
            KeyAlgorithm::Es256 => Self::Es256,
        }
    }
}

fn not_found(kid: &str) -> CliError {
    CliError::NotFound { kind: "signing key", name: kid.to_owned() }
}

fn read_pem(file: &Path) -> Result<Zeroizing<String>, CliError> {
    if file == Path::new("-") {
        return read_text(&mut io::stdin().lock()).map_err(CliError::io("reading the key"));
    }
    let text = File::open(file).and_then(|mut file| read_text(&mut file));
    text.map_err(CliError::io(format!("reading {}", file.display())))
}

fn read_text(input: &mut dyn Read) -> io::Result<Zeroizing<String>> {
    // Allocated once, so that no copy of the key stays behind.
    let mut text = Zeroizing::new(String::with_capacity(MAX_PEM + 1));
    input.take(MAX_PEM as u64 + 1).read_to_string(&mut text)?;
    if text.len() > MAX_PEM { Err(io::Error::new(ErrorKind::InvalidInput, "it is too long")) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_a_key_is_bounded() {
        let read = |length: usize| read_text(&mut io::repeat(b'-').take(length as u64)).map(|text| text.len());
        assert_eq!(read(MAX_PEM).unwrap(), MAX_PEM);
        assert_eq!(read(MAX_PEM + 1).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert!(read_text(&mut io::repeat(b'-')).is_err());
    }
}
