//! Recovery codes, for a user who has lost the TOTP app. Each is valid once.
//!
//! There are two kinds. Ours have 120 random bits, so a fast digest is enough. Codes of six digits, which a published
//! API promises, could be recovered from a fast digest, so they are hashed like passwords; online guesses are counted
//! like those of every code.

use std::net::IpAddr;

use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::auth::Error;
use crate::auth::context::Context;
use crate::auth::one_time::generate_code;
use crate::auth::passwords::Password;
use crate::encoding::{crockford_base32, hex, sha256};
use crate::id::UserId;
use crate::store::accounts::{PasswordHash, RecoveryCode};

/// Characters of a code with 120 bits: five bits each.
const LENGTH: usize = 24;

/// Prefix of a fast digest, by which the two kinds are told apart.
const FAST_PREFIX: &str = "sha256:";

/// Generates `count` codes of 120 bits: the codes for their owner, and the rows to store.
pub(super) fn generate(ctx: &Context, count: u32) -> (Vec<String>, Vec<RecoveryCode>) {
    let codes = (0..count).map(|_| {
        let random: [u8; LENGTH] = ctx.node.rng.bytes();
        let code: String = crockford_base32(&random).collect();
        let row = RecoveryCode { id: new_id(ctx), hash: PasswordHash(fast_hash(&code)) };
        (group(&code), row)
    });
    codes.unzip()
}

/// Generates `count` distinct codes of six digits.
pub(super) async fn generate_six_digit(
    ctx: &Context,
    count: u32,
    client: IpAddr,
) -> Result<(Vec<String>, Vec<RecoveryCode>), Error> {
    let mut codes = Vec::new();
    while codes.len() < count as usize {
        let code = generate_code(ctx);
        if !codes.contains(&code) {
            codes.push(code);
        }
    }
    let hashes = ctx.node.hasher.hash_all(codes.iter().cloned().map(Password::new).collect(), client).await?;
    let rows = hashes.into_iter().map(|hash| RecoveryCode { id: new_id(ctx), hash }).collect();
    Ok((codes, rows))
}

/// Finds the row of the code; `None` if it is none of the user's. Does not use it up. `client`: the address that the
/// code came from.
pub(super) async fn find(ctx: &Context, user: UserId, code: &str, client: IpAddr) -> Result<Option<Uuid>, Error> {
    let rows = ctx.accounts.recovery_codes(user).await?;
    let code = normalize(code);
    let expected = fast_hash(&code);
    let (fast, slow): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.hash.0.starts_with(FAST_PREFIX));
    let mut matching = fast.iter().find(|row| bool::from(row.hash.0.as_bytes().ct_eq(expected.as_bytes())));
    if matching.is_none() && code.len() == 6 && !slow.is_empty() {
        let hashes: Vec<_> = slow.iter().map(|row| row.hash.clone()).collect();
        let index = ctx.node.hasher.find_match(&Password::new(code), &hashes, client).await?;
        matching = index.and_then(|index| slow.get(index));
    }
    Ok(matching.map(|row| row.id))
}

fn new_id(ctx: &Context) -> Uuid {
    uuid::Builder::from_random_bytes(ctx.node.rng.bytes()).into_uuid()
}

fn fast_hash(code: &str) -> String {
    format!("{FAST_PREFIX}{}", hex(&sha256(code.as_bytes())))
}

fn group(code: &str) -> String {
    let groups = code.as_bytes().chunks(4).map(String::from_utf8_lossy).collect::<Vec<_>>();
    groups.join("-")
}

/// Undoes what people do to a code when they write it down or type it: separators, case, and letters that Crockford's
/// base32 reads as digits.
fn normalize(code: &str) -> String {
    let characters = code.chars().filter(|char| char.is_ascii_alphanumeric());
    characters
        .map(|char| match char.to_ascii_lowercase() {
            'o' => '0',
            'i' | 'l' => '1',
            plain => plain,
        })
        .take(LENGTH + 1)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_recognized_however_it_is_written() {
        assert_eq!(group("0123456789abcdefghjkmnpq"), "0123-4567-89ab-cdef-ghjk-mnpq");
        assert_eq!(normalize(" O123-4567 89AB-cdef-ghjk-mnpq"), "0123456789abcdefghjkmnpq");
        assert_eq!(normalize("iLo"), "110");
        assert_eq!(normalize(&"a".repeat(100)).len(), LENGTH + 1, "a longer code must not match");
    }
}
