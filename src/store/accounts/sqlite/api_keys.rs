//! API keys: the statements.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use super::super::{ApiKey, User};
use super::users;
use crate::clock::Timestamp;
use crate::id::{ApiKeyId, ProjectId};
use crate::store::sqlite::{Count, Words, refuse_nul};

/// The columns of an API key in the order in which [`row`] reads them.
macro_rules! columns {
    () => {
        "api_keys.id, api_keys.project_id, api_keys.user_id, api_keys.prefix, api_keys.digest, api_keys.name, \
         api_keys.scopes, api_keys.last_used_at, api_keys.expires_at, api_keys.deactivated_at, api_keys.created_at, \
         api_keys.updated_at"
    };
}

fn row(row: &Row<'_>, from: usize) -> rusqlite::Result<ApiKey> {
    Ok(ApiKey {
        id: row.get(from)?,
        project: row.get(from + 1)?,
        user: row.get(from + 2)?,
        prefix: row.get(from + 3)?,
        digest: row.get(from + 4)?,
        name: row.get(from + 5)?,
        scopes: row.get::<_, Words>(from + 6)?.0,
        last_used_at: row.get(from + 7)?,
        expires_at: row.get(from + 8)?,
        deactivated_at: row.get(from + 9)?,
        created_at: row.get(from + 10)?,
        updated_at: row.get(from + 11)?,
    })
}

pub(super) fn create(tx: &Connection, key: &ApiKey) -> rusqlite::Result<bool> {
    refuse_nul(key.scopes.iter().chain([&key.prefix, &key.name]).map(String::as_str))?;
    if users::exists(tx, "SELECT 1 FROM api_keys WHERE prefix = ?1", [&key.prefix])?
        || !users::exists(tx, "SELECT 1 FROM users WHERE id = ?1", [key.user])?
        || !users::exists(tx, "SELECT 1 FROM projects WHERE id = ?1", [key.project])?
    {
        return Ok(false);
    }
    tx.prepare_cached(
        "INSERT INTO api_keys (id, project_id, user_id, prefix, digest, name, scopes, last_used_at, expires_at,
                               deactivated_at, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    )?
    .execute(params![
        key.id,
        key.project,
        key.user,
        key.prefix,
        key.digest,
        key.name,
        Words(key.scopes.clone()),
        key.last_used_at,
        key.expires_at,
        key.deactivated_at,
        key.created_at,
        key.updated_at,
    ])?;
    Ok(true)
}

pub(super) fn find(tx: &Connection, prefixes: &BTreeSet<String>) -> rusqlite::Result<Vec<(ApiKey, User)>> {
    let mut statement = tx.prepare_cached(concat!(
        "SELECT ",
        users::columns!(),
        ", ",
        columns!(),
        " FROM api_keys JOIN users ON users.id = api_keys.user_id WHERE api_keys.prefix = ?1"
    ))?;
    let mut found = Vec::new();
    for prefix in prefixes {
        let owned = |of: &Row<'_>| Ok((row(of, users::COLUMNS)?, users::row(of, 0)?));
        found.extend(statement.query_row([prefix], owned).optional()?);
    }
    Ok(found)
}

pub(super) fn page(tx: &Connection, project: ProjectId, skip: u32, limit: u32) -> rusqlite::Result<(Vec<ApiKey>, u64)> {
    // Page and count are of one moment.
    let moment = tx.unchecked_transaction()?;
    let page = moment
        .prepare_cached(concat!(
            "SELECT ",
            columns!(),
            " FROM api_keys WHERE project_id = ?1 ORDER BY created_at DESC, id DESC LIMIT ?2 OFFSET ?3"
        ))?
        .query_map(params![project, limit, skip], |found| row(found, 0))?
        .collect::<rusqlite::Result<_>>()?;
    let count = moment
        .prepare_cached("SELECT count(*) FROM api_keys WHERE project_id = ?1")?
        .query_row([project], |row| row.get::<_, Count>(0))?;
    Ok((page, count.0))
}

pub(super) fn deactivate(
    tx: &Connection,
    project: ProjectId,
    key: ApiKeyId,
    now: Timestamp,
) -> rusqlite::Result<Option<ApiKey>> {
    tx.prepare_cached(
        "UPDATE api_keys SET deactivated_at = ?3, updated_at = ?3
         WHERE id = ?1 AND project_id = ?2 AND deactivated_at IS NULL",
    )?
    .execute(params![key, project, now])?;
    one(tx, concat!("SELECT ", columns!(), " FROM api_keys WHERE id = ?1 AND project_id = ?2"), params![key, project])
}

pub(super) fn deactivated_since(
    tx: &Connection,
    (since, after): (Timestamp, ApiKeyId),
    limit: u32,
) -> rusqlite::Result<Vec<(ApiKeyId, Timestamp)>> {
    tx.prepare_cached(
        "SELECT id, deactivated_at FROM api_keys
         WHERE deactivated_at IS NOT NULL AND (deactivated_at, id) > (?1, ?2)
         ORDER BY deactivated_at, id LIMIT ?3",
    )?
    .query_map(params![since, after, limit], |row| Ok((row.get(0)?, row.get(1)?)))?
    .collect()
}

pub(super) fn touch(tx: &Connection, used: &[(ApiKeyId, Timestamp)]) -> rusqlite::Result<()> {
    let mut statement = tx.prepare_cached(
        "UPDATE api_keys SET last_used_at = ?2 WHERE id = ?1 AND (last_used_at IS NULL OR last_used_at < ?2)",
    )?;
    for (key, at) in used {
        statement.execute(params![key, at])?;
    }
    Ok(())
}

fn one(tx: &Connection, sql: &str, params: impl Params) -> rusqlite::Result<Option<ApiKey>> {
    tx.prepare_cached(sql)?.query_row(params, |found| row(found, 0)).optional()
}
