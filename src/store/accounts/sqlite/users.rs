//! Users and their projects: the statements.

use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use super::super::{
    Billed, Billing, BillingChange, Changed, Changes, Confirmed, Created, NewUser, PasswordHash, SealedTotp, User,
};
use super::Sought;
use crate::clock::Timestamp;
use crate::id::{ProjectId, UserId};
use crate::store::sqlite::{Words, refuse_nul};

/// The columns of a user in the order in which [`row`] reads them; a macro, so that statements stay literals.
macro_rules! columns {
    () => {
        "users.number, users.id, users.email, users.username, users.full_name, users.password_hash, users.verified, \
         users.disabled, users.superuser, users.roles, users.sessions_valid_after, users.created_at, users.updated_at, users.totp, \
         users.token_balance, users.tokens_used, users.subscription_tier"
    };
}
pub(super) use columns;

/// How many [`columns`] there are.
pub(super) const COLUMNS: usize = 17;

/// Reads a user whose columns begin at `from`.
pub(super) fn row(row: &Row<'_>, from: usize) -> rusqlite::Result<User> {
    Ok(User {
        number: row.get(from)?,
        id: row.get(from + 1)?,
        email: row.get(from + 2)?,
        username: row.get(from + 3)?,
        full_name: row.get(from + 4)?,
        password_hash: row.get(from + 5)?,
        verified: row.get(from + 6)?,
        disabled: row.get(from + 7)?,
        superuser: row.get(from + 8)?,
        roles: row.get::<_, Words>(from + 9)?.0,
        totp: row.get::<_, Option<_>>(from + 13)?.map(SealedTotp),
        billing: Billing {
            token_balance: row.get(from + 14)?,
            tokens_used: row.get(from + 15)?,
            subscription_tier: row.get(from + 16)?,
        },
        sessions_valid_after: row.get(from + 10)?,
        created_at: row.get(from + 11)?,
        updated_at: row.get(from + 12)?,
    })
}

/// The transaction has the write lock from its beginning: what is free when it looks is free when it inserts.
pub(super) fn create(tx: &Connection, user: &NewUser) -> rusqlite::Result<Created> {
    let optional = [&user.username, &user.username_key, &user.full_name].into_iter().flatten();
    let hash = user.password_hash.iter().map(|hash| &hash.0);
    refuse_nul(optional.chain(hash).chain(&user.roles).chain([&user.email]).map(String::as_str))?;
    if exists(tx, "SELECT 1 FROM users WHERE email = ?1", [&user.email])? {
        return Ok(Created::EmailTaken);
    }
    if exists(tx, "SELECT 1 FROM users WHERE username_key = ?1", [&user.username_key])? {
        return Ok(Created::UsernameTaken);
    }
    let made = tx
        .prepare_cached(concat!(
            "INSERT INTO users (id, email, username, username_key, full_name, password_hash, verified, disabled,
                                superuser, roles, sessions_valid_after, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?11, ?11) RETURNING ",
            columns!()
        ))?
        .query_row(
            params![
                user.id,
                user.email,
                user.username,
                user.username_key,
                user.full_name,
                user.password_hash,
                user.verified,
                user.disabled,
                user.superuser,
                Words(user.roles.clone()),
                user.created_at,
            ],
            |found| row(found, 0),
        )?;
    tx.prepare_cached(
        "INSERT INTO projects (id, user_id, name, personal, created_at) VALUES (?1, ?2, 'Personal', 1, ?3)",
    )?
    .execute(params![user.project, user.id, user.created_at])?;
    Ok(Created::Created(Box::new(made)))
}

pub(super) fn find(tx: &Connection, sought: &Sought) -> rusqlite::Result<Option<User>> {
    match sought {
        Sought::Id(id) => one(tx, concat!("SELECT ", columns!(), " FROM users WHERE id = ?1"), [id]),
        Sought::Email(email) => one(tx, concat!("SELECT ", columns!(), " FROM users WHERE email = ?1"), [email]),
        Sought::UsernameKey(key) => {
            one(tx, concat!("SELECT ", columns!(), " FROM users WHERE username_key = ?1"), [key])
        }
    }
}

pub(super) fn page(tx: &Connection, after: i64, limit: u32) -> rusqlite::Result<Vec<User>> {
    tx.prepare_cached(concat!("SELECT ", columns!(), " FROM users WHERE number > ?1 ORDER BY number LIMIT ?2"))?
        .query_map(params![after, limit], |found| row(found, 0))?
        .collect()
}

pub(super) fn page_from(tx: &Connection, skip: i64, limit: u32) -> rusqlite::Result<Vec<User>> {
    tx.prepare_cached(concat!("SELECT ", columns!(), " FROM users ORDER BY number LIMIT ?2 OFFSET ?1"))?
        .query_map(params![skip, limit], |found| row(found, 0))?
        .collect()
}

pub(super) fn rehash(tx: &Connection, user: UserId, old: &PasswordHash, new: &PasswordHash) -> rusqlite::Result<bool> {
    tx.prepare_cached("UPDATE users SET password_hash = ?3 WHERE id = ?1 AND password_hash = ?2")?
        .execute(params![user, old, new])
        .map(|changed| changed == 1)
}

/// What `valid_after` becomes with each change that ends all sessions: higher in any case, also when two changes fall in
/// one millisecond or the clock was set back.
macro_rules! raised {
    ($where:literal) => {
        concat!(
            "sessions_valid_after = iif(",
            $where,
            ", max(sessions_valid_after + 1, ?2), sessions_valid_after), updated_at = ?2"
        )
    };
}

pub(super) fn change(tx: &Connection, user: UserId, changes: &Changes, now: Timestamp) -> rusqlite::Result<Changed> {
    let full_name = changes.full_name.as_ref().and_then(Option::as_ref);
    let hash = changes.password_hash.as_ref().map(|hash| &hash.0);
    let optional = [full_name, changes.email.as_ref(), hash].into_iter().flatten();
    refuse_nul(optional.chain(changes.roles.iter().flatten()).map(String::as_str))?;
    let there = exists(tx, "SELECT 1 FROM users WHERE id = ?1", [user])?;
    if there && exists(tx, "SELECT 1 FROM users WHERE email = ?2 AND id <> ?1", params![user, changes.email])? {
        return Ok(Changed::EmailTaken);
    }
    let sql = concat!(
        "UPDATE users SET full_name = iif(?3, ?4, full_name), email = coalesce(?5, email),
             verified = coalesce(?6, verified AND email = coalesce(?5, email)),
             password_hash = coalesce(?7, password_hash), disabled = coalesce(?8, disabled),
             superuser = coalesce(?9, superuser), roles = coalesce(?10, roles), ",
        raised!("?11"),
        " WHERE id = ?1 RETURNING ",
        columns!()
    );
    let values = params![
        user,
        now,
        changes.full_name.is_some(),
        full_name,
        changes.email,
        changes.verified,
        changes.password_hash,
        changes.disabled,
        changes.superuser,
        changes.roles.clone().map(Words),
        changes.end_sign_ins(),
    ];
    Ok(one(tx, sql, values)?.map_or(Changed::Absent, |user| Changed::Changed(Box::new(user))))
}

pub(super) fn confirm_email(tx: &Connection, user: UserId, email: &str, now: Timestamp) -> rusqlite::Result<Confirmed> {
    let verified = tx
        .prepare_cached("SELECT verified FROM users WHERE id = ?1 AND email = ?2")?
        .query_row(params![user, email], |row| row.get(0))
        .optional()?;
    Ok(match verified {
        None => Confirmed::Absent,
        Some(true) => Confirmed::Already,
        Some(false) => {
            tx.prepare_cached("UPDATE users SET verified = 1, updated_at = ?2 WHERE id = ?1")?
                .execute(params![user, now])?;
            Confirmed::Confirmed
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
    let Some(User { billing: had, .. }) = find(tx, &Sought::Id(user))? else { return Ok(Billed::Absent) };
    let sum = |had: i64, more: i64| had.checked_add(more).filter(|sum| *sum >= 0);
    let sums = sum(had.token_balance, change.token_balance).zip(sum(had.tokens_used, change.tokens_used));
    let Some((token_balance, tokens_used)) = sums else { return Ok(Billed::OutOfRange) };
    let tier = if change.subscription_tier.is_some() { new_tier } else { had.subscription_tier.as_ref() };
    let sql = concat!(
        "UPDATE users SET token_balance = ?2, tokens_used = ?3, subscription_tier = ?4, updated_at = ?5
         WHERE id = ?1 RETURNING ",
        columns!()
    );
    let billed = one(tx, sql, params![user, token_balance, tokens_used, tier, now])?;
    Ok(billed.map_or(Billed::Absent, |user| Billed::Billed(Box::new(user))))
}

pub(super) fn end_sign_ins(tx: &Connection, user: UserId, now: Timestamp) -> rusqlite::Result<Option<User>> {
    let sql = concat!("UPDATE users SET ", raised!("true"), " WHERE id = ?1 RETURNING ", columns!());
    one(tx, sql, params![user, now])
}

pub(super) fn delete(tx: &Connection, user: UserId, now: Timestamp, forget: Timestamp) -> rusqlite::Result<bool> {
    let ended = tx
        .prepare_cached("DELETE FROM users WHERE id = ?1 RETURNING sessions_valid_after")?
        .query_row([user], |row| row.get::<_, Timestamp>(0))
        .optional()?;
    let Some(ended) = ended else { return Ok(false) };
    tx.prepare_cached(
        "INSERT INTO deleted_users (id, deleted_at) VALUES (?1, ?2)
         ON CONFLICT (id) DO UPDATE SET deleted_at = max(deleted_at, excluded.deleted_at)",
    )?
    .execute(params![user, ended.max(now)])?;
    tx.prepare_cached(
        "DELETE FROM deleted_users WHERE id IN (
             SELECT id FROM deleted_users WHERE deleted_at < ?2 AND id <> ?1 ORDER BY deleted_at LIMIT 100
         )",
    )?
    .execute(params![user, forget])?;
    Ok(true)
}

/// Each half by an index of its own, and no further than the page goes.
pub(super) fn ended_since(
    tx: &Connection,
    (since, after): (Timestamp, UserId),
    limit: u32,
) -> rusqlite::Result<Vec<(UserId, Timestamp)>> {
    tx.prepare_cached(
        "SELECT id, moment FROM (
             SELECT * FROM (
                 SELECT id, sessions_valid_after AS moment FROM users
                 WHERE sessions_valid_after > created_at AND (sessions_valid_after, id) > (?1, ?2)
                 ORDER BY sessions_valid_after, id LIMIT ?3
             )
             UNION ALL
             SELECT * FROM (
                 SELECT id, deleted_at FROM deleted_users WHERE (deleted_at, id) > (?1, ?2)
                 ORDER BY deleted_at, id LIMIT ?3
             )
         ) ORDER BY moment, id LIMIT ?3",
    )?
    .query_map(params![since, after, limit], |row| Ok((row.get(0)?, row.get(1)?)))?
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
        "INSERT INTO projects (id, user_id, name, personal, created_at) SELECT ?2, id, ?3, 0, ?4 FROM users WHERE id = ?1",
    )?
    .execute(params![user, project, name, now])
    .map(|made| made == 1)
}

pub(super) fn projects(tx: &Connection, user: UserId) -> rusqlite::Result<Vec<(ProjectId, String)>> {
    tx.prepare_cached("SELECT id, name FROM projects WHERE user_id = ?1 ORDER BY personal DESC, created_at, id")?
        .query_map([user], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

pub(super) fn exists(tx: &Connection, sql: &str, params: impl Params) -> rusqlite::Result<bool> {
    tx.prepare_cached(sql)?.exists(params)
}

fn one(tx: &Connection, sql: &str, params: impl Params) -> rusqlite::Result<Option<User>> {
    tx.prepare_cached(sql)?.query_row(params, |found| row(found, 0)).optional()
}
