//! The statements, as text, each with the operation that it belongs to. `rows.rs` reads the results by column name.

mod api_keys;

pub(super) use self::api_keys::*;
use super::super::{select_list, user_columns, user_select_list};
use crate::store::operation::Operation;

/// One statement, and the operation that it is measured as.
pub(super) struct Statement {
    pub(super) operation: Operation,
    pub(super) sql: &'static str,
}

impl Statement {
    pub(super) const fn new(operation: Operation, sql: &'static str) -> Self {
        Self { operation, sql }
    }
}

/// The migrations that the database has. A table that an older program created has no column `oldest_reader`, which a
/// JSON object of the row may lack.
pub(super) const APPLIED_MIGRATIONS: Statement = Statement::new(
    Operation::CheckAccounts,
    "SELECT number, name, checksum, (to_jsonb(applied) ->> 'oldest_reader')::integer AS oldest_reader
     FROM signet_migrations AS applied ORDER BY number",
);

pub(super) const USER_BY_ID: Statement =
    Statement::new(Operation::User, concat!("SELECT ", user_select_list!("u"), " FROM users u WHERE u.id = $1"));
pub(super) const USER_BY_EMAIL: Statement =
    Statement::new(Operation::User, concat!("SELECT ", user_select_list!("u"), " FROM users u WHERE u.email = $1"));
pub(super) const USER_BY_USERNAME_KEY: Statement = Statement::new(
    Operation::User,
    concat!("SELECT ", user_select_list!("u"), " FROM users u WHERE u.username_key = $1"),
);
pub(super) const USERS: Statement = Statement::new(
    Operation::Users,
    concat!("SELECT ", user_select_list!("u"), " FROM users u WHERE u.number > $1 ORDER BY u.number LIMIT $2"),
);
pub(super) const USERS_PAGE: Statement = Statement::new(
    Operation::UsersPage,
    concat!("SELECT ", user_select_list!("u"), " FROM users u ORDER BY u.number OFFSET $1 LIMIT $2"),
);

pub(super) const UPGRADE_HASH: Statement = Statement::new(
    Operation::UpgradeHash,
    "UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2 RETURNING true",
);

/// The lock makes the second of two callers see the row as the first left it.
pub(super) const VERIFY_EMAIL: Statement = Statement::new(
    Operation::VerifyEmail,
    "WITH found AS (
        SELECT id, verified FROM users WHERE id = $1 AND email = $2 FOR NO KEY UPDATE
    ), confirmed AS (
        UPDATE users u SET verified = true, updated_at = $3 FROM found WHERE u.id = found.id AND NOT found.verified
    )
    SELECT verified FROM found",
);

/// The lock makes the second of two callers see the row as the first left it.
pub(super) const PROVE_EMAIL: Statement = Statement::new(
    Operation::ProveEmail,
    concat!(
        "WITH found AS (
        SELECT id, verified, password_hash, totp FROM users
        WHERE id = $1 AND email = $2 AND sessions_valid_after = $5 FOR NO KEY UPDATE
    ), proved AS (
        UPDATE users u SET verified = true,
            password_hash = COALESCE($3::text, CASE WHEN found.verified THEN u.password_hash END),
            totp = CASE WHEN found.verified THEN u.totp END,
            totp_step = CASE WHEN found.verified THEN u.totp_step END,
            recovery_codes = CASE WHEN found.verified THEN u.recovery_codes END,
            sessions_valid_after = CASE WHEN found.verified AND $3 IS NULL
                THEN u.sessions_valid_after ELSE GREATEST(u.sessions_valid_after + 1, $4) END,
            updated_at = CASE WHEN found.verified AND $3 IS NULL THEN u.updated_at ELSE $4::bigint END
        FROM found WHERE u.id = found.id
        RETURNING u.*
    )
    SELECT ",
        user_select_list!("u"),
        ", found.verified AS was_verified, found.password_hash IS NOT NULL AS had_password,
        found.totp IS NOT NULL AS had_totp
     FROM found JOIN proved u ON u.id = found.id"
    ),
);

pub(super) const END_SIGN_INS: Statement = Statement::new(
    Operation::EndSignIns,
    concat!(
        "UPDATE users u SET updated_at = $2, sessions_valid_after = GREATEST(u.sessions_valid_after + 1, $2)
     WHERE u.id = $1 RETURNING ",
        user_select_list!("u")
    ),
);

/// Locks the projects before the user, in the order in which creating an API key locks them: in the other order the two
/// could deadlock. Records the deletion and removes old records, except those that another deletion is removing.
pub(super) const DELETE_USER: Statement = Statement::new(
    Operation::DeleteUser,
    "WITH locked AS (
        SELECT id FROM projects WHERE user_id = $1 ORDER BY id FOR UPDATE
    ), deleted AS (
        DELETE FROM users
        WHERE id = $1 AND sessions_valid_after = COALESCE($4::bigint, sessions_valid_after)
            AND (SELECT count(*) FROM locked) >= 0
        RETURNING id, GREATEST(sessions_valid_after + 1, $2::bigint) AS ended_at
    ), recorded AS (
        INSERT INTO deleted_users AS d (id, deleted_at) SELECT id, ended_at FROM deleted
        ON CONFLICT (id) DO UPDATE SET deleted_at = GREATEST(d.deleted_at, EXCLUDED.deleted_at)
    ), forgotten AS (
        DELETE FROM deleted_users WHERE id IN (
            SELECT id FROM deleted_users WHERE deleted_at < $3 AND id <> $1
            ORDER BY deleted_at LIMIT 100 FOR UPDATE SKIP LOCKED
        )
    )
    SELECT ended_at FROM deleted",
);

/// Each part of the union uses its own index and reads no more than a page.
pub(super) const REVOCATIONS_SINCE: Statement = Statement::new(
    Operation::RevocationsSince,
    "SELECT ended.id, ended.ended_at FROM (
        (SELECT id, sessions_valid_after AS ended_at FROM users
         WHERE sessions_valid_after > created_at AND (sessions_valid_after, id) > ($1, $2)
         ORDER BY sessions_valid_after, id LIMIT $3)
        UNION ALL
        (SELECT id, deleted_at FROM deleted_users WHERE (deleted_at, id) > ($1, $2) ORDER BY deleted_at, id LIMIT $3)
    ) ended ORDER BY ended.ended_at, ended.id LIMIT $3",
);

pub(super) const ENABLE_TOTP: Statement = Statement::new(
    Operation::EnableTotp,
    "UPDATE users SET totp = $2, totp_step = $3,
        recovery_codes = jsonb_object($4::uuid[]::text[], $5::text[]), updated_at = $6
     WHERE id = $1 AND totp IS NULL AND sessions_valid_after = COALESCE($7::bigint, sessions_valid_after)
     RETURNING true",
);

pub(super) const DISABLE_TOTP: Statement = Statement::new(
    Operation::DisableTotp,
    "UPDATE users SET totp = NULL, totp_step = NULL, recovery_codes = NULL, updated_at = $2
     WHERE id = $1 AND totp IS NOT NULL AND sessions_valid_after = COALESCE($3::bigint, sessions_valid_after)
     RETURNING true",
);

pub(super) const SPEND_TOTP_STEP: Statement = Statement::new(
    Operation::SpendTotpStep,
    "UPDATE users SET totp_step = $2 WHERE id = $1 AND totp IS NOT NULL AND totp_step < $2 RETURNING true",
);

pub(super) const RECOVERY_CODES: Statement = Statement::new(
    Operation::RecoveryCodes,
    "SELECT code.key::uuid AS id, code.value AS hash
     FROM users, jsonb_each_text(users.recovery_codes) AS code WHERE users.id = $1 ORDER BY 1",
);

pub(super) const REPLACE_RECOVERY_CODES: Statement = Statement::new(
    Operation::ReplaceRecoveryCodes,
    "UPDATE users SET recovery_codes = jsonb_object($2::uuid[]::text[], $3::text[]), updated_at = $4
     WHERE id = $1 AND totp IS NOT NULL AND sessions_valid_after = $5 RETURNING true",
);

pub(super) const SPEND_RECOVERY_CODE: Statement = Statement::new(
    Operation::SpendRecoveryCode,
    "UPDATE users SET recovery_codes = recovery_codes - $2::uuid::text
     WHERE id = $1 AND recovery_codes ? $2::uuid::text RETURNING true",
);

pub(super) const SEALED_TOTPS: Statement = Statement::new(
    Operation::SealedTotps,
    "SELECT number, id, totp FROM users WHERE totp IS NOT NULL AND number > $1 ORDER BY number LIMIT $2",
);

pub(super) const RESEAL_TOTP: Statement =
    Statement::new(Operation::ResealTotp, "UPDATE users SET totp = $3 WHERE id = $1 AND totp = $2 RETURNING true");

/// Computes the sums on the locked row and checks them before storing them, because a constraint violation would write
/// the whole row into the server's log.
pub(super) const CHANGE_BILLING: Statement = Statement::new(
    Operation::ChangeBilling,
    concat!(
        "WITH found AS (
        SELECT id, token_balance::numeric + $2::bigint AS balance, tokens_used::numeric + $3::bigint AS used
        FROM users WHERE id = $1 FOR NO KEY UPDATE
    ), billed AS (
        UPDATE users u SET token_balance = found.balance::bigint, tokens_used = found.used::bigint,
            subscription_tier = CASE WHEN $4::bool THEN $5::text ELSE u.subscription_tier END, updated_at = $6
        FROM found
        WHERE u.id = found.id AND LEAST(found.balance, found.used) >= 0
            AND GREATEST(found.balance, found.used) <= 9223372036854775807
        RETURNING u.*
    )
    SELECT ",
        user_select_list!("u"),
        " FROM found LEFT JOIN billed u ON true"
    ),
);

pub(super) const CREATE_PROJECT: Statement = Statement::new(
    Operation::CreateProject,
    "INSERT INTO projects (id, user_id, name, personal, created_at) VALUES ($1, $2, $3, false, $4) RETURNING true",
);

pub(super) const PROJECTS: Statement = Statement::new(
    Operation::Projects,
    "SELECT id, name FROM projects WHERE user_id = $1 ORDER BY personal DESC, created_at, id",
);
