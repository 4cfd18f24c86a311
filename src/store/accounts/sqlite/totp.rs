//! The statements on second factors. Each function is one atomic step.

use std::collections::BTreeMap;

use rusqlite::{Connection, Params, params};
use uuid::Uuid;

use super::super::{RecoveryCode, SealedTotp};
use crate::clock::Timestamp;
use crate::id::UserId;
use crate::store::sqlite::{refuse_nul, unexpected};

pub(super) fn enable(
    tx: &Connection,
    user: UserId,
    secret: &SealedTotp,
    step: i64,
    recovery: &[RecoveryCode],
    owner_valid_after: Option<Timestamp>,
    now: Timestamp,
) -> rusqlite::Result<bool> {
    let codes = to_json(recovery)?;
    execute(
        tx,
        "UPDATE users SET totp = ?2, totp_step = ?3, recovery_codes = ?4, updated_at = ?5
         WHERE id = ?1 AND totp IS NULL AND sessions_valid_after = coalesce(?6, sessions_valid_after)",
        params![user, secret, step, codes, now, owner_valid_after],
    )
}

pub(super) fn disable(
    tx: &Connection,
    user: UserId,
    owner_valid_after: Option<Timestamp>,
    now: Timestamp,
) -> rusqlite::Result<bool> {
    execute(
        tx,
        "UPDATE users SET totp = NULL, totp_step = NULL, recovery_codes = NULL, updated_at = ?2
         WHERE id = ?1 AND totp IS NOT NULL AND sessions_valid_after = coalesce(?3, sessions_valid_after)",
        params![user, now, owner_valid_after],
    )
}

pub(super) fn spend_step(tx: &Connection, user: UserId, step: i64) -> rusqlite::Result<bool> {
    let sql = "UPDATE users SET totp_step = ?2 WHERE id = ?1 AND totp IS NOT NULL AND totp_step < ?2";
    execute(tx, sql, params![user, step])
}

pub(super) fn recovery_codes(tx: &Connection, user: UserId) -> rusqlite::Result<Vec<RecoveryCode>> {
    tx.prepare_cached(
        "SELECT code.key, code.value FROM users, json_each(users.recovery_codes) AS code WHERE users.id = ?1
         ORDER BY code.key",
    )?
    .query_map([user], |row| {
        let id = Uuid::parse_str(row.get_ref("key")?.as_str()?)
            .map_err(|_| unexpected("a recovery code's id was expected"))?;
        Ok(RecoveryCode { id, hash: row.get("value")? })
    })?
    .collect()
}

pub(super) fn replace_recovery_codes(
    tx: &Connection,
    user: UserId,
    recovery: &[RecoveryCode],
    owner_valid_after: Timestamp,
    now: Timestamp,
) -> rusqlite::Result<bool> {
    let codes = to_json(recovery)?;
    let sql = "UPDATE users SET recovery_codes = ?2, updated_at = ?3
               WHERE id = ?1 AND totp IS NOT NULL AND sessions_valid_after = ?4";
    execute(tx, sql, params![user, codes, now, owner_valid_after])
}

/// The column of the recovery codes: an object of hashes by id.
fn to_json(recovery: &[RecoveryCode]) -> rusqlite::Result<String> {
    refuse_nul(recovery.iter().map(|code| code.hash.0.as_str()))?;
    let codes: BTreeMap<_, _> = recovery.iter().map(|code| (code.id, &code.hash.0)).collect();
    serde_json::to_string(&codes).map_err(|e| rusqlite::Error::ToSqlConversionFailure(e.into()))
}

pub(super) fn spend_recovery_code(tx: &Connection, user: UserId, code: Uuid) -> rusqlite::Result<bool> {
    let sql = "UPDATE users SET recovery_codes = json_remove(recovery_codes, ?2)
               WHERE id = ?1 AND json_type(recovery_codes, ?2) IS NOT NULL";
    execute(tx, sql, params![user, format!("$.\"{code}\"")])
}

pub(super) fn sealed(tx: &Connection, after: i64, limit: u32) -> rusqlite::Result<Vec<(i64, UserId, SealedTotp)>> {
    tx.prepare_cached(
        "SELECT number, id, totp FROM users WHERE totp IS NOT NULL AND number > ?1 ORDER BY number LIMIT ?2",
    )?
    .query_map(params![after, limit], |row| Ok((row.get("number")?, row.get("id")?, row.get("totp")?)))?
    .collect()
}

pub(super) fn reseal(tx: &Connection, user: UserId, old: &SealedTotp, new: &SealedTotp) -> rusqlite::Result<bool> {
    execute(tx, "UPDATE users SET totp = ?3 WHERE id = ?1 AND totp = ?2", params![user, old, new])
}

/// Executes a statement and returns whether it changed a row.
fn execute(tx: &Connection, sql: &str, values: impl Params) -> rusqlite::Result<bool> {
    tx.prepare_cached(sql)?.execute(values).map(|changed| changed == 1)
}
