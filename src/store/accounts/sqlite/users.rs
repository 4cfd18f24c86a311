//! The statements on users and their projects. Each function is one atomic step.

use std::sync::OnceLock;

use rusqlite::{Connection, OptionalExtension, Params, Row, ToSql, named_params, params};

use super::super::{
    Billed, Billing, BillingChange, Changed, Changes, Created, EmailVerified, NewUser, PasswordHash, User, read_user,
    select_list, user_columns, user_select_list,
};
use super::columns::{insert_into, read};
use super::{UserLookup, end_api_keys};
use crate::clock::Timestamp;
use crate::id::{ProjectId, UserId};
use crate::store::sqlite::{JsonList, refuse_nul, refuse_nul_in};

pub(super) fn read_row(row: &Row<'_>) -> rusqlite::Result<User> {
    Ok(read_user!(read, row, "users"))
}

/// The transaction holds the write lock from its beginning, so an address that is free at the check is free at the
/// insert.
pub(super) fn create(tx: &Connection, user: &NewUser) -> rusqlite::Result<Created> {
    let values = named_params! {
        ":id": user.id,
        ":email": user.email,
        ":username": user.username,
        ":username_key": user.username_key,
        ":full_name": user.full_name,
        ":password_hash": user.password_hash,
        ":verified": user.verified,
        ":disabled": user.disabled,
        ":superuser": user.superuser,
        ":roles": JsonList(user.roles.clone()),
        ":custom_claims": user.custom_claims,
        ":totp": user.totp,
        ":totp_step": user.totp.as_ref().map(|_| 0_i64),
        ":token_balance": user.billing.token_balance,
        ":tokens_used": user.billing.tokens_used,
        ":subscription_tier": user.billing.subscription_tier,
        ":sessions_valid_after": user.created_at,
        ":created_at": user.created_at,
        ":updated_at": user.created_at,
    };
    refuse_nul_in(values)?;
    if exists(tx, "SELECT 1 FROM users WHERE email = ?1", [&user.email])? {
        return Ok(Created::EmailTaken);
    }
    if exists(tx, "SELECT 1 FROM users WHERE username_key = ?1", [&user.username_key])? {
        return Ok(Created::UsernameTaken);
    }
    static SQL: OnceLock<String> = OnceLock::new();
    let returning = concat!(" RETURNING ", user_select_list!("users"));
    let sql = SQL.get_or_init(|| insert_into("users", values) + returning);
    let created = tx.prepare_cached(sql)?.query_row(values, read_row)?;
    tx.prepare_cached(
        "INSERT INTO projects (id, user_id, name, personal, created_at) VALUES (?1, ?2, 'Personal', 1, ?3)",
    )?
    .execute(params![user.project, user.id, user.created_at])?;
    Ok(Created::Created(Box::new(created)))
}

pub(super) fn find(tx: &Connection, lookup: &UserLookup) -> rusqlite::Result<Option<User>> {
    match lookup {
        UserLookup::Id(id) => {
            find_one(tx, concat!("SELECT ", user_select_list!("users"), " FROM users WHERE id = ?1"), [id])
        }
        UserLookup::Email(email) => {
            find_one(tx, concat!("SELECT ", user_select_list!("users"), " FROM users WHERE email = ?1"), [email])
        }
        UserLookup::UsernameKey(key) => {
            find_one(tx, concat!("SELECT ", user_select_list!("users"), " FROM users WHERE username_key = ?1"), [key])
        }
    }
}

pub(super) fn page(tx: &Connection, after: i64, limit: u32) -> rusqlite::Result<Vec<User>> {
    tx.prepare_cached(concat!(
        "SELECT ",
        user_select_list!("users"),
        " FROM users WHERE number > ?1 ORDER BY number LIMIT ?2"
    ))?
    .query_map(params![after, limit], read_row)?
    .collect()
}

pub(super) fn page_at(tx: &Connection, skip: i64, limit: u32) -> rusqlite::Result<Vec<User>> {
    tx.prepare_cached(concat!("SELECT ", user_select_list!("users"), " FROM users ORDER BY number LIMIT ?2 OFFSET ?1"))?
        .query_map(params![skip, limit], read_row)?
        .collect()
}

pub(super) fn upgrade_hash(
    tx: &Connection,
    user: UserId,
    old: &PasswordHash,
    new: &PasswordHash,
) -> rusqlite::Result<bool> {
    tx.prepare_cached("UPDATE users SET password_hash = ?3 WHERE id = ?1 AND password_hash = ?2")?
        .execute(params![user, old, new])
        .map(|changed| changed == 1)
}

/// Raises `sessions_valid_after` under a condition: always to a higher value, even if two changes fall in one
/// millisecond or the clock was set back.
macro_rules! raise_valid_after {
    ($condition:literal) => {
        concat!(
            "sessions_valid_after = iif(",
            $condition,
            ", max(sessions_valid_after + 1, :now), sessions_valid_after), updated_at = :now"
        )
    };
}
pub(super) use raise_valid_after;

/// A parameter, named as its column, if the change gives it a value.
fn given<'a, T: ToSql>(parameter: &'static str, value: &'a Option<T>) -> Option<(&'static str, &'a dyn ToSql)> {
    value.as_ref().map(|value| (parameter, value as &dyn ToSql))
}

pub(super) fn change(tx: &Connection, user: UserId, changes: &Changes, now: Timestamp) -> rusqlite::Result<Changed> {
    let (username, username_key) = changes.username_columns();
    let roles = changes.roles.clone().map(JsonList);
    let columns = [
        given(":email", &changes.email),
        given(":username", &username),
        given(":username_key", &username_key),
        given(":full_name", &changes.full_name),
        given(":password_hash", &changes.password_hash),
        given(":disabled", &changes.disabled),
        given(":superuser", &changes.superuser),
        given(":roles", &roles),
        given(":custom_claims", &changes.custom_claims),
    ];
    let mut values: Vec<_> = columns.into_iter().flatten().collect();
    refuse_nul_in(&values)?;
    let exists_already = exists(tx, "SELECT 1 FROM users WHERE id = ?1", [user])?;
    if exists_already && exists(tx, "SELECT 1 FROM users WHERE email = ?2 AND id <> ?1", params![user, changes.email])?
    {
        return Ok(Changed::EmailTaken);
    }
    let same_name = "SELECT 1 FROM users WHERE username_key = ?2 AND id <> ?1";
    if exists_already && exists(tx, same_name, params![user, username_key])? {
        return Ok(Changed::UsernameTaken);
    }
    let assignments: String =
        values.iter().map(|(name, _)| format!("{} = {name}, ", name.trim_start_matches(':'))).collect();
    let rest = concat!(
        "verified = coalesce(:given_verified, verified AND email = coalesce(:given_email, email)), ",
        raise_valid_after!(":ends_sign_ins"),
        " WHERE id = :id AND sessions_valid_after = coalesce(:only_if_valid_after, sessions_valid_after)
            AND email = coalesce(:only_if_email, email) RETURNING ",
        user_select_list!("users")
    );
    let ends_sign_ins = changes.end_sign_ins();
    values.extend_from_slice(named_params! {
        ":given_verified": changes.verified,
        ":given_email": changes.email,
        ":ends_sign_ins": ends_sign_ins,
        ":now": now,
        ":id": user,
        ":only_if_valid_after": changes.only_if_valid_after,
        ":only_if_email": changes.only_if_email,
    });
    let Some(user) = find_one(tx, &format!("UPDATE users SET {assignments}{rest}"), &values[..])? else {
        return Ok(Changed::NotFound);
    };
    end_api_keys::with_scopes(tx, user.id, changes.ends_api_keys_with, now)?;
    Ok(Changed::Changed(Box::new(user)))
}

pub(super) fn verify_email(
    tx: &Connection,
    user: UserId,
    email: &str,
    now: Timestamp,
) -> rusqlite::Result<EmailVerified> {
    let verified = tx
        .prepare_cached("SELECT verified FROM users WHERE id = ?1 AND email = ?2")?
        .query_row(params![user, email], |row| row.get(0))
        .optional()?;
    Ok(match verified {
        None => EmailVerified::NotFound,
        Some(true) => EmailVerified::AlreadyVerified,
        Some(false) => {
            tx.prepare_cached("UPDATE users SET verified = 1, updated_at = ?2 WHERE id = ?1")?
                .execute(params![user, now])?;
            EmailVerified::Verified
        }
    })
}

pub(super) fn change_billing(
    tx: &Connection,
    user: UserId,
    change: &BillingChange,
    now: Timestamp,
) -> rusqlite::Result<Billed> {
    let new_tier = change.subscription_tier.as_ref().and_then(Option::as_ref);
    refuse_nul(new_tier.map(String::as_str))?;
    let Some(User { billing: current, .. }) = find(tx, &UserLookup::Id(user))? else { return Ok(Billed::NotFound) };
    let sum = |current: i64, change: i64| current.checked_add(change).filter(|sum| *sum >= 0);
    let sums = sum(current.token_balance, change.token_balance).zip(sum(current.tokens_used, change.tokens_used));
    let Some((token_balance, tokens_used)) = sums else { return Ok(Billed::OutOfRange) };
    let tier = if change.subscription_tier.is_some() { new_tier } else { current.subscription_tier.as_ref() };
    let sql = concat!(
        "UPDATE users SET token_balance = ?2, tokens_used = ?3, subscription_tier = ?4, updated_at = ?5
         WHERE id = ?1 RETURNING ",
        user_select_list!("users")
    );
    let billed = find_one(tx, sql, params![user, token_balance, tokens_used, tier, now])?;
    Ok(billed.map_or(Billed::NotFound, |user| Billed::Billed(Box::new(user))))
}

pub(super) fn end_sign_ins(tx: &Connection, user: UserId, now: Timestamp) -> rusqlite::Result<Option<User>> {
    let sql = concat!(
        "UPDATE users SET ",
        raise_valid_after!("true"),
        " WHERE id = :id RETURNING ",
        user_select_list!("users")
    );
    find_one(tx, sql, named_params! { ":id": user, ":now": now })
}

pub(super) fn delete(
    tx: &Connection,
    user: UserId,
    owner_valid_after: Option<Timestamp>,
    now: Timestamp,
    forget: Timestamp,
) -> rusqlite::Result<Option<Timestamp>> {
    let ended = tx
        .prepare_cached(
            "DELETE FROM users WHERE id = ?1 AND sessions_valid_after = coalesce(?3, sessions_valid_after)
             RETURNING max(sessions_valid_after + 1, ?2)",
        )?
        .query_row(params![user, now, owner_valid_after], |row| row.get::<_, Timestamp>(0))
        .optional()?;
    let Some(ended) = ended else { return Ok(None) };
    tx.prepare_cached(
        "INSERT INTO deleted_users (id, deleted_at) VALUES (?1, ?2)
         ON CONFLICT (id) DO UPDATE SET deleted_at = max(deleted_at, excluded.deleted_at)",
    )?
    .execute(params![user, ended])?;
    tx.prepare_cached(
        "DELETE FROM deleted_users WHERE id IN (
             SELECT id FROM deleted_users WHERE deleted_at < ?2 AND id <> ?1 ORDER BY deleted_at LIMIT 100
         )",
    )?
    .execute(params![user, forget])?;
    Ok(Some(ended))
}

/// Each part of the union uses its own index and reads no more than a page.
pub(super) fn revocations_since(
    tx: &Connection,
    (since, after): (Timestamp, UserId),
    limit: u32,
) -> rusqlite::Result<Vec<(UserId, Timestamp)>> {
    tx.prepare_cached(
        "SELECT id, ended_at FROM (
             SELECT * FROM (
                 SELECT id, sessions_valid_after AS ended_at FROM users
                 WHERE sessions_valid_after > created_at AND (sessions_valid_after, id) > (?1, ?2)
                 ORDER BY sessions_valid_after, id LIMIT ?3
             )
             UNION ALL
             SELECT * FROM (
                 SELECT id, deleted_at FROM deleted_users WHERE (deleted_at, id) > (?1, ?2)
                 ORDER BY deleted_at, id LIMIT ?3
             )
         ) ORDER BY ended_at, id LIMIT ?3",
    )?
    .query_map(params![since, after, limit], |row| Ok((row.get("id")?, row.get("ended_at")?)))?
    .collect()
}

pub(super) fn create_project(
    tx: &Connection,
    user: UserId,
    project: ProjectId,
    name: &str,
    now: Timestamp,
) -> rusqlite::Result<bool> {
    refuse_nul([name])?;
    tx.prepare_cached(
        "INSERT INTO projects (id, user_id, name, personal, created_at)
         SELECT ?2, id, ?3, 0, ?4 FROM users WHERE id = ?1",
    )?
    .execute(params![user, project, name, now])
    .map(|inserted| inserted == 1)
}

pub(super) fn projects(tx: &Connection, user: UserId) -> rusqlite::Result<Vec<(ProjectId, String)>> {
    tx.prepare_cached("SELECT id, name FROM projects WHERE user_id = ?1 ORDER BY personal DESC, created_at, id")?
        .query_map([user], |row| Ok((row.get("id")?, row.get("name")?)))?
        .collect()
}

pub(super) fn exists(tx: &Connection, sql: &str, params: impl Params) -> rusqlite::Result<bool> {
    tx.prepare_cached(sql)?.exists(params)
}

pub(super) fn find_one(tx: &Connection, sql: &str, params: impl Params) -> rusqlite::Result<Option<User>> {
    tx.prepare_cached(sql)?.query_row(params, read_row).optional()
}
