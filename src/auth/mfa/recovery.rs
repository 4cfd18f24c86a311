//! Recovery codes: for who has lost the app. Each is good once.
//!
//! Two kinds. Ours have 120 random bits, so a fast digest keeps them. Those of six digits, which a published API promises, could be
//! turned back from one, so they are hashed as slowly as passwords; and guessed they are counted like every code.

use aws_lc_rs::digest::{SHA256, digest};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::auth::Error;
use crate::auth::context::Context;
use crate::auth::passwords::Password;
use crate::auth::sign_in::one_time::generate_code;
use crate::id::UserId;
use crate::store::accounts::{PasswordHash, RecoveryCode};

/// Crockford's base 32: nothing to mistake for another.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

const LETTERS: usize = 24;
const FAST: &str = "sha256:";

/// Draws `count` codes of 120 bits: what their owner is told, and what is kept.
pub(super) fn generate(ctx: &Context, count: u32) -> (Vec<String>, Vec<RecoveryCode>) {
    let each = (0..count).map(|_| {
        let drawn: [u8; LETTERS] = ctx.node.rng.bytes();
        let letters: String = drawn.iter().map(|byte| char::from(ALPHABET[usize::from(byte & 31)])).collect();
        let kept = RecoveryCode { id: name(ctx), hash: PasswordHash(fast(&letters)) };
        (in_groups(&letters), kept)
    });
    each.unzip()
}

/// Draws `count` codes of six digits, no two alike.
pub(super) async fn generate_six_digit(ctx: &Context, count: u32) -> Result<(Vec<String>, Vec<RecoveryCode>), Error> {
    let mut told = Vec::new();
    while told.len() < count as usize {
        let code = generate_code(ctx);
        if !told.contains(&code) {
            told.push(code);
        }
    }
    let hashes = ctx.node.hasher.hash_all(told.iter().cloned().map(Password::new).collect()).await?;
    let kept = hashes.into_iter().map(|hash| RecoveryCode { id: name(ctx), hash }).collect();
    Ok((told, kept))
}

/// Uses up the code, if it is one of the user's.
pub(super) async fn consume(ctx: &Context, user: UserId, code: &str) -> Result<bool, Error> {
    let kept = ctx.accounts.recovery_codes(user).await?;
    let normal = normalised(code);
    let expected = fast(&normal);
    let (quick, slow): (Vec<_>, Vec<_>) = kept.into_iter().partition(|code| code.hash.0.starts_with(FAST));
    let mut right = quick.iter().find(|code| bool::from(code.hash.0.as_bytes().ct_eq(expected.as_bytes())));
    if right.is_none() && normal.len() == 6 && !slow.is_empty() {
        let hashes: Vec<_> = slow.iter().map(|code| code.hash.clone()).collect();
        right = ctx.node.hasher.find_match(&Password::new(normal), &hashes).await?.and_then(|which| slow.get(which));
    }
    match right {
        Some(code) => Ok(ctx.accounts.spend_recovery_code(user, code.id).await?),
        None => Ok(false),
    }
}

fn name(ctx: &Context) -> Uuid {
    uuid::Builder::from_random_bytes(ctx.node.rng.bytes()).into_uuid()
}

fn fast(letters: &str) -> String {
    let hex = digest(&SHA256, letters.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    format!("{FAST}{hex}")
}

fn in_groups(letters: &str) -> String {
    let groups = letters.as_bytes().chunks(4).map(String::from_utf8_lossy).collect::<Vec<_>>();
    groups.join("-")
}

/// As it was drawn, whatever its owner made of it: without what only helps the eye, and read as Crockford reads it.
fn normalised(code: &str) -> String {
    let letters = code.chars().filter(|char| char.is_ascii_alphanumeric());
    letters
        .map(|char| match char.to_ascii_lowercase() {
            'o' => '0',
            'i' | 'l' => '1',
            plain => plain,
        })
        .take(LETTERS + 1)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_as_it_was_drawn_however_it_is_written() {
        assert_eq!(in_groups("0123456789abcdefghjkmnpq"), "0123-4567-89ab-cdef-ghjk-mnpq");
        assert_eq!(normalised(" O123-4567 89AB-cdef-ghjk-mnpq"), "0123456789abcdefghjkmnpq");
        assert_eq!(normalised("iLo"), "110");
        assert_eq!(normalised(&"a".repeat(100)).len(), LETTERS + 1, "a longer one is none");
    }
}
