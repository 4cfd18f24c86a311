//! The second factor of users: the statements.

use std::collections::BTreeMap;

use rusqlite::{Connection, Params, params};
use uuid::Uuid;

use super::super::{PasswordHash, RecoveryCode, SealedTotp};
use crate::clock::Timestamp;
use crate::id::UserId;
use crate::store::sqlite::{refuse_nul, unreadable};

pub(super) fn enable(
    tx: &Connection,
    user: UserId,
    secret: &SealedTotp,
    step: i64,
    recovery: &[RecoveryCode],
    now: Timestamp,
) -> rusqlite::Result<bool> {
    refuse_nul(recovery.iter().map(|code| code.hash.0.as_str()))?;
    let codes: BTreeMap<_, _> = recovery.iter().map(|code| (code.id, &code.hash.0)).collect();
    let codes = serde_json::to_string(&codes).map_err(|e| rusqlite::Error::ToSqlConversionFailure(e.into()))?;
    did(
        tx,
        "UPDATE users SET totp = ?2, totp_step = ?3, recovery_codes = ?4, updated_at = ?5 WHERE id = ?1 AND totp IS NULL",
        params![user, secret.0, step, codes, now],
    )
}

pub(super) fn disable(tx: &Connection, user: UserId, now: Timestamp) -> rusqlite::Result<bool> {
    did(
        tx,
        "UPDATE users SET totp = NULL, totp_step = NULL, recovery_codes = NULL, updated_at = ?2
         WHERE id = ?1 AND totp IS NOT NULL",
        params![user, now],
    )
}

pub(super) fn spend_step(tx: &Connection, user: UserId, step: i64) -> rusqlite::Result<bool> {
    let sql = "UPDATE users SET totp_step = ?2 WHERE id = ?1 AND totp IS NOT NULL AND totp_step < ?2";
    did(tx, sql, params![user, step])
}

pub(super) fn recovery_codes(tx: &Connection, user: UserId) -> rusqlite::Result<Vec<RecoveryCode>> {
    tx.prepare_cached(
        "SELECT code.key, code.value FROM users, json_each(users.recovery_codes) AS code WHERE users.id = ?1
         ORDER BY code.key",
    )?
    .query_map([user], |row| {
        let id =
            Uuid::parse_str(row.get_ref(0)?.as_str()?).map_err(|_| unreadable("a recovery code's id was expected"))?;
        Ok(RecoveryCode { id, hash: PasswordHash(row.get(1)?) })
    })?
    .collect()
}

pub(super) fn spend_recovery_code(tx: &Connection, user: UserId, code: Uuid) -> rusqlite::Result<bool> {
    let sql = "UPDATE users SET recovery_codes = json_remove(recovery_codes, ?2)
               WHERE id = ?1 AND json_type(recovery_codes, ?2) IS NOT NULL";
    did(tx, sql, params![user, format!("$.\"{code}\"")])
}

pub(super) fn sealed(tx: &Connection, after: i64, limit: u32) -> rusqlite::Result<Vec<(i64, UserId, SealedTotp)>> {
    tx.prepare_cached(
        "SELECT number, id, totp FROM users WHERE totp IS NOT NULL AND number > ?1 ORDER BY number LIMIT ?2",
    )?
    .query_map(params![after, limit], |row| Ok((row.get(0)?, row.get(1)?, SealedTotp(row.get(2)?))))?
    .collect()
}

pub(super) fn reseal(tx: &Connection, user: UserId, old: &SealedTotp, new: &SealedTotp) -> rusqlite::Result<bool> {
    did(tx, "UPDATE users SET totp = ?3 WHERE id = ?1 AND totp = ?2", params![user, old.0, new.0])
}

/// Makes a change, and says whether there was anything to change.
fn did(tx: &Connection, sql: &str, values: impl Params) -> rusqlite::Result<bool> {
    tx.prepare_cached(sql)?.execute(values).map(|changed| changed == 1)
}
