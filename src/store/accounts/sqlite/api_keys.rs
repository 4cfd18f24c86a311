//! The statements on API keys. Each function is one atomic step.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use rusqlite::{Connection, OptionalExtension, Row, named_params, params};

use super::super::{
    ApiKey, ApiKeyOrder, SEARCH_SCAN, User, api_key_select_list, select_list, user_columns, user_select_list,
};
use super::columns::{insert_into, read};
use super::users;
use crate::clock::Timestamp;
use crate::id::{ApiKeyId, ProjectId, UserId};
use crate::store::sqlite::{BitsU64, JsonList, refuse_nul_in};

fn read_row(row: &Row<'_>) -> rusqlite::Result<ApiKey> {
    Ok(ApiKey {
        id: read(row, "api_keys.id")?,
        project: read(row, "api_keys.project_id")?,
        user: read(row, "api_keys.user_id")?,
        prefix: read(row, "api_keys.prefix")?,
        digest: read(row, "api_keys.digest")?,
        name: read(row, "api_keys.name")?,
        scopes: read(row, "api_keys.scopes")?,
        last_used_at: read(row, "api_keys.last_used_at")?,
        expires_at: read(row, "api_keys.expires_at")?,
        deactivated_at: read(row, "api_keys.deactivated_at")?,
        created_at: read(row, "api_keys.created_at")?,
        updated_at: read(row, "api_keys.updated_at")?,
    })
}

pub(super) fn create(tx: &Connection, key: &ApiKey, owner_valid_after: Option<Timestamp>) -> rusqlite::Result<bool> {
    static SQL: OnceLock<String> = OnceLock::new();
    let values = named_params! {
        ":id": key.id,
        ":project_id": key.project,
        ":user_id": key.user,
        ":prefix": key.prefix,
        ":digest": key.digest,
        ":name": key.name,
        ":scopes": JsonList(key.scopes.clone()),
        ":last_used_at": key.last_used_at,
        ":expires_at": key.expires_at,
        ":deactivated_at": key.deactivated_at,
        ":created_at": key.created_at,
        ":updated_at": key.updated_at,
    };
    refuse_nul_in(values)?;
    if users::exists(tx, "SELECT 1 FROM api_keys WHERE prefix = ?1", [&key.prefix])?
        || !users::exists(
            tx,
            "SELECT 1 FROM users WHERE id = ?1 AND sessions_valid_after = coalesce(?2, sessions_valid_after)",
            params![key.user, owner_valid_after],
        )?
        || !users::exists(tx, "SELECT 1 FROM projects WHERE id = ?1", [key.project])?
    {
        return Ok(false);
    }
    tx.prepare_cached(SQL.get_or_init(|| insert_into("api_keys", values)))?.execute(values)?;
    Ok(true)
}

/// The select list and the tables of keys with their owners.
macro_rules! with_owner {
    ($keys:literal, $rest:literal) => {
        concat!(
            "SELECT ",
            user_select_list!("users"),
            ", ",
            api_key_select_list!("api_keys"),
            " FROM ",
            $keys,
            " AS api_keys JOIN users ON users.id = api_keys.user_id ",
            $rest
        )
    };
}

fn read_with_owner(row: &Row<'_>) -> rusqlite::Result<(ApiKey, User)> {
    Ok((read_row(row)?, users::read_row(row)?))
}

pub(super) fn find(tx: &Connection, prefixes: &BTreeSet<String>) -> rusqlite::Result<Vec<(ApiKey, User)>> {
    let mut statement = tx.prepare_cached(with_owner!("api_keys", "WHERE api_keys.prefix = ?1"))?;
    let mut found = Vec::new();
    for prefix in prefixes {
        found.extend(statement.query_row([prefix], read_with_owner).optional()?);
    }
    Ok(found)
}

pub(super) fn page(tx: &Connection, project: ProjectId, skip: u32, limit: u32) -> rusqlite::Result<(Vec<ApiKey>, u64)> {
    // One transaction, so that page and count agree.
    let snapshot = tx.unchecked_transaction()?;
    let page = snapshot
        .prepare_cached(concat!(
            "SELECT ",
            api_key_select_list!("api_keys"),
            " FROM api_keys WHERE project_id = ?1 ORDER BY created_at DESC, id DESC LIMIT ?2 OFFSET ?3"
        ))?
        .query_map(params![project, limit, skip], read_row)?
        .collect::<rusqlite::Result<_>>()?;
    let count = snapshot
        .prepare_cached("SELECT count(*) AS total FROM api_keys WHERE project_id = ?1")?
        .query_row([project], |row| row.get::<_, BitsU64>("total"))?;
    Ok((page, count.0))
}

pub(super) fn all(
    tx: &Connection,
    order: ApiKeyOrder,
    (used_at, id): (Timestamp, ApiKeyId),
    limit: u32,
) -> rusqlite::Result<Vec<(ApiKey, User)>> {
    match order {
        ApiKeyOrder::Created => tx
            .prepare_cached(with_owner!("api_keys", "WHERE api_keys.id < ?1 ORDER BY api_keys.id DESC LIMIT ?2"))?
            .query_map(params![id, limit], read_with_owner)?
            .collect(),
        ApiKeyOrder::LastUsed => tx
            .prepare_cached(with_owner!(
                "(SELECT * FROM api_keys ORDER BY id DESC LIMIT ?3)",
                "WHERE (coalesce(api_keys.last_used_at, 0), api_keys.id) < (?1, ?2)
                 ORDER BY coalesce(api_keys.last_used_at, 0) DESC, api_keys.id DESC LIMIT ?4"
            ))?
            .query_map(params![used_at, id, SEARCH_SCAN, limit], read_with_owner)?
            .collect(),
    }
}

pub(super) fn by_id(tx: &Connection, key: ApiKeyId) -> rusqlite::Result<Option<(ApiKey, User)>> {
    tx.prepare_cached(with_owner!("api_keys", "WHERE api_keys.id = ?1"))?.query_row([key], read_with_owner).optional()
}

pub(super) fn of_user(tx: &Connection, user: UserId, limit: u32) -> rusqlite::Result<Vec<ApiKey>> {
    tx.prepare_cached(concat!(
        "SELECT ",
        api_key_select_list!("api_keys"),
        " FROM api_keys WHERE user_id = ?1 ORDER BY created_at DESC, id DESC LIMIT ?2"
    ))?
    .query_map(params![user, limit], read_row)?
    .collect()
}

pub(super) fn count_of_user(tx: &Connection, user: UserId) -> rusqlite::Result<u64> {
    tx.prepare_cached("SELECT count(*) AS total FROM api_keys WHERE user_id = ?1 AND deactivated_at IS NULL")?
        .query_row([user], |row| row.get::<_, BitsU64>("total"))
        .map(|count| count.0)
}

/// The key with this id, if it is the project's.
pub(super) fn of_project(tx: &Connection, project: ProjectId, key: ApiKeyId) -> rusqlite::Result<Option<ApiKey>> {
    tx.prepare_cached(concat!(
        "SELECT ",
        api_key_select_list!("api_keys"),
        " FROM api_keys WHERE id = ?1 AND project_id = ?2"
    ))?
    .query_row(params![key, project], read_row)
    .optional()
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
    of_project(tx, project, key)
}

/// The `+` keeps the condition from the index by time, which would read the keys of all users.
pub(super) fn forget(tx: &Connection, user: UserId, before: Timestamp, keep: u32) -> rusqlite::Result<u64> {
    tx.prepare_cached(
        "DELETE FROM api_keys WHERE id IN (
             SELECT id FROM api_keys WHERE user_id = ?1 AND +deactivated_at < ?2
             ORDER BY +deactivated_at DESC, id DESC LIMIT 100 OFFSET ?3
         )",
    )?
    .execute(params![user, before, keep])
    .map(|deleted| deleted as u64)
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
    .query_map(params![since, after, limit], |row| Ok((row.get("id")?, row.get("deactivated_at")?)))?
    .collect()
}

pub(super) fn touch(tx: &Connection, used: &[(ApiKeyId, Timestamp)]) -> rusqlite::Result<()> {
    let mut statement = tx.prepare_cached(
        "UPDATE api_keys SET last_used_at = ?2 WHERE id = ?1 AND (last_used_at IS NULL OR last_used_at < ?2)",
    )?;
    for (key, used_at) in used {
        statement.execute(params![key, used_at])?;
    }
    Ok(())
}
