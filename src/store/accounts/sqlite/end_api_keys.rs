//! Deactivates API keys when their owner changes. Not in `api_keys`, which reads owners by `users`: `users` calls this.

use rusqlite::{Connection, params};

use crate::clock::Timestamp;
use crate::id::UserId;
use crate::store::sqlite::JsonList;

/// Deactivates the keys of a user that have one of these scopes.
pub(super) fn with_scopes(tx: &Connection, user: UserId, scopes: &[&str], now: Timestamp) -> rusqlite::Result<()> {
    if scopes.is_empty() {
        return Ok(());
    }
    let scopes = JsonList(scopes.iter().map(|&scope| scope.to_owned()).collect());
    tx.prepare_cached(
        "UPDATE api_keys SET deactivated_at = ?3, updated_at = ?3
         WHERE user_id = ?1 AND deactivated_at IS NULL AND EXISTS (
             SELECT 1 FROM json_each(api_keys.scopes) AS own JOIN json_each(?2) AS ended ON own.value = ended.value
         )",
    )?
    .execute(params![user, scopes, now])
    .map(drop)
}

/// Deactivates all keys of a user; returns how many were active.
pub(super) fn all(tx: &Connection, user: UserId, now: Timestamp) -> rusqlite::Result<u64> {
    tx.prepare_cached(
        "UPDATE api_keys SET deactivated_at = ?2, updated_at = ?2 WHERE user_id = ?1 AND deactivated_at IS NULL",
    )?
    .execute(params![user, now])
    .map(|ended| ended as u64)
}
