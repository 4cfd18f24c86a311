//! The statements on API keys.

use super::super::super::{api_key_select_list, select_list, user_columns, user_select_list};
use super::super::named::NamedStatement;
use super::Statement;
use crate::store::operation::Operation;

/// The select list and the tables of keys with their owners.
macro_rules! with_owner {
    ($keys:literal, $rest:literal) => {
        concat!(
            "SELECT ",
            api_key_select_list!("k"),
            ", ",
            user_select_list!("u"),
            " FROM ",
            $keys,
            " k JOIN users u ON u.id = k.user_id ",
            $rest
        )
    };
}

/// Locks the project before the user, as [`DELETE_USER`](super::DELETE_USER) does. The lock on the user makes a change
/// of it wait, and then see this key ([`END_API_KEYS`]), or makes this statement wait, and then see
/// `sessions_valid_after` as changed.
pub(in crate::store::accounts::postgres) static CREATE_API_KEY: NamedStatement = NamedStatement::new(
    Operation::CreateApiKey,
    "WITH project AS (
        SELECT id FROM projects WHERE id = {project_id} FOR KEY SHARE
    ), owner AS (
        SELECT id FROM users
        WHERE id = {user_id} AND sessions_valid_after = COALESCE({owner_valid_after}, sessions_valid_after)
            AND (SELECT count(*) FROM project) >= 0
        FOR SHARE
    )
    INSERT INTO api_keys ({columns}) SELECT {values} FROM owner
    ON CONFLICT (prefix) DO NOTHING RETURNING true",
);

/// Runs in the transaction of a change to the user, after it, so that it sees the keys of everyone who held the user's
/// row before. Deactivates the keys that have one of these scopes, or all keys if they are NULL. Locks them in the order
/// of their ids, as [`TOUCH_API_KEYS`] does.
pub(in crate::store::accounts::postgres) const END_API_KEYS: Statement = Statement::new(
    Operation::ChangeUser,
    "WITH active AS (
        SELECT id FROM api_keys
        WHERE user_id = $1 AND deactivated_at IS NULL AND ($2::text[] IS NULL OR scopes && $2)
        ORDER BY id FOR NO KEY UPDATE
    )
    UPDATE api_keys k SET deactivated_at = $3::bigint, updated_at = $3 FROM active WHERE k.id = active.id",
);

pub(in crate::store::accounts::postgres) const API_KEYS_BY_PREFIX: Statement =
    Statement::new(Operation::ApiKeysByPrefix, with_owner!("api_keys", "WHERE k.prefix = ANY ($1::text[])"));

/// Returns at least one row, so that an empty page carries the total too.
pub(in crate::store::accounts::postgres) const API_KEYS: Statement = Statement::new(
    Operation::ApiKeys,
    concat!(
        "SELECT ",
        api_key_select_list!("k"),
        ", counted.total
     FROM (SELECT count(*) AS total FROM api_keys WHERE project_id = $1) counted
     LEFT JOIN LATERAL (
         SELECT * FROM api_keys WHERE project_id = $1 ORDER BY created_at DESC, id DESC OFFSET $2 LIMIT $3
     ) k ON true
     ORDER BY k.created_at DESC, k.id DESC"
    ),
);

pub(in crate::store::accounts::postgres) const API_KEYS_BY_CREATION: Statement =
    Statement::new(Operation::AllApiKeys, with_owner!("api_keys", "WHERE k.id < $1 ORDER BY k.id DESC LIMIT $2"));

pub(in crate::store::accounts::postgres) const API_KEYS_BY_LAST_USE: Statement = Statement::new(
    Operation::AllApiKeys,
    with_owner!(
        "(SELECT * FROM api_keys ORDER BY id DESC LIMIT $3)",
        "WHERE (COALESCE(k.last_used_at, 0), k.id) < ($1, $2)
         ORDER BY COALESCE(k.last_used_at, 0) DESC, k.id DESC LIMIT $4"
    ),
);

pub(in crate::store::accounts::postgres) const API_KEY_BY_ID: Statement =
    Statement::new(Operation::ApiKeyById, with_owner!("api_keys", "WHERE k.id = $1"));

pub(in crate::store::accounts::postgres) const API_KEYS_OF_USER: Statement = Statement::new(
    Operation::ApiKeysOfUser,
    concat!(
        "SELECT ",
        api_key_select_list!("k"),
        " FROM api_keys k WHERE k.user_id = $1 ORDER BY k.created_at DESC, k.id DESC LIMIT $2"
    ),
);

pub(in crate::store::accounts::postgres) const COUNT_API_KEYS_OF_USER: Statement = Statement::new(
    Operation::ApiKeysOfUser,
    "SELECT count(*) AS total FROM api_keys WHERE user_id = $1 AND deactivated_at IS NULL",
);

/// Only reads a key that is deactivated, because owners may repeat the call. Of concurrent calls, each that found the key
/// active updates the row, one after the other, and keeps the first time.
pub(in crate::store::accounts::postgres) const DEACTIVATE_API_KEY: Statement = Statement::new(
    Operation::DeactivateApiKey,
    concat!(
        "WITH deactivated AS (
        SELECT ",
        api_key_select_list!("k"),
        " FROM api_keys k WHERE k.project_id = $1 AND k.id = $2 AND k.deactivated_at IS NOT NULL
    ), changed AS (
        UPDATE api_keys k SET deactivated_at = COALESCE(k.deactivated_at, $3),
            updated_at = CASE WHEN k.deactivated_at IS NULL THEN $3 ELSE k.updated_at END
        WHERE k.project_id = $1 AND k.id = $2 AND NOT EXISTS (SELECT FROM deactivated) RETURNING ",
        api_key_select_list!("k"),
        "
    )
    SELECT * FROM deactivated UNION ALL SELECT * FROM changed"
    ),
);

/// `NULLS LAST` is not the order of the index by time, which would read the keys of all users. Locks the rows in the
/// order of their ids, as [`TOUCH_API_KEYS`] does, and leaves those that another call is deleting.
pub(in crate::store::accounts::postgres) const FORGET_API_KEYS: Statement = Statement::new(
    Operation::CreateApiKey,
    "WITH forgotten AS (
        SELECT id FROM api_keys WHERE id IN (
            SELECT id FROM api_keys WHERE user_id = $1 AND deactivated_at < $2
            ORDER BY deactivated_at DESC NULLS LAST, id DESC OFFSET $3 LIMIT 100
        ) ORDER BY id FOR UPDATE SKIP LOCKED
    )
    DELETE FROM api_keys k USING forgotten WHERE k.id = forgotten.id RETURNING k.id",
);

pub(in crate::store::accounts::postgres) const DEACTIVATED_SINCE: Statement = Statement::new(
    Operation::DeactivatedSince,
    "SELECT id, deactivated_at AS ended_at FROM api_keys
     WHERE deactivated_at IS NOT NULL AND (deactivated_at, id) > ($1, $2)
     ORDER BY deactivated_at, id LIMIT $3",
);

/// Locks the rows in the order of their ids before changing any, so that nodes that record the same keys in different
/// orders queue up instead of deadlocking.
pub(in crate::store::accounts::postgres) const TOUCH_API_KEYS: Statement = Statement::new(
    Operation::TouchApiKeys,
    "WITH used AS (
        SELECT id, max(used_at) AS used_at FROM unnest($1::uuid[], $2::bigint[]) AS used (id, used_at) GROUP BY id
    ), locked AS (
        SELECT k.id, used.used_at FROM api_keys k JOIN used ON used.id = k.id ORDER BY k.id FOR NO KEY UPDATE OF k
    )
    UPDATE api_keys k SET last_used_at = GREATEST(k.last_used_at, locked.used_at)
    FROM locked WHERE k.id = locked.id AND (k.last_used_at IS NULL OR k.last_used_at < locked.used_at)",
);
