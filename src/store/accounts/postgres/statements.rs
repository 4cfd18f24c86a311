//! The statements, as text. `rows.rs` reads what they give, in the order of the columns here.

macro_rules! user {
    () => {
        "u.id, u.number, u.email, u.username, u.full_name, u.password_hash, u.verified, u.disabled, u.superuser, u.roles, \
         u.sessions_valid_after, u.created_at, u.updated_at, u.totp, u.token_balance, u.tokens_used, u.subscription_tier"
    };
}

macro_rules! api_key {
    () => {
        "k.id, k.project_id, k.user_id, k.prefix, k.digest, k.name, k.scopes, k.last_used_at, k.expires_at, \
         k.deactivated_at, k.created_at, k.updated_at"
    };
}

/// Makes a user and its project, or says what is taken. Looking first spares the numbers that a refused insert would use up;
/// the unique indexes decide. Who loses to a row that is committed after this statement's snapshot was taken gets no
/// user and no reason: asked again, the statement sees that row.
pub(super) const CREATE_USER: &str = concat!(
    "WITH taken AS (
        SELECT EXISTS (SELECT FROM users WHERE email = $2) AS email,
               EXISTS (SELECT FROM users WHERE username_key = $4) AS username,
               EXISTS (SELECT FROM users WHERE id = $1) AS id
    ), made AS (
        INSERT INTO users AS u (id, email, username, username_key, full_name, password_hash, verified, disabled,
                                superuser, roles, sessions_valid_after, created_at, updated_at)
        SELECT $1::uuid, $2::text, $3::text, $4::text, $5::text, $6::text, $7::bool, $8::bool,
               $9::bool, $10::text[], $11::bigint, $11, $11
        FROM taken WHERE NOT (taken.email OR taken.username OR taken.id)
        ON CONFLICT DO NOTHING
        RETURNING *
    ), personal AS (
        INSERT INTO projects (id, user_id, name, personal, created_at)
        SELECT $12::uuid, id, 'Personal', true, created_at FROM made
    )
    SELECT ",
    user!(),
    ", taken.email, taken.username, taken.id FROM taken LEFT JOIN made AS u ON true"
);

pub(super) const USER_BY_ID: &str = concat!("SELECT ", user!(), " FROM users u WHERE u.id = $1");
pub(super) const USER_BY_EMAIL: &str = concat!("SELECT ", user!(), " FROM users u WHERE u.email = $1");
pub(super) const USER_BY_USERNAME_KEY: &str = concat!("SELECT ", user!(), " FROM users u WHERE u.username_key = $1");
pub(super) const USERS: &str =
    concat!("SELECT ", user!(), " FROM users u WHERE u.number > $1 ORDER BY u.number LIMIT $2");
pub(super) const USERS_PAGE: &str = concat!("SELECT ", user!(), " FROM users u ORDER BY u.number OFFSET $1 LIMIT $2");

pub(super) const REHASH: &str =
    "UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2 RETURNING true";

/// Looking first tells who has the address without an error in the server's log, and without two that want each other's waiting for
/// each other; the unique index decides.
pub(super) const CHANGE_USER: &str = concat!(
    "WITH taken AS (
        SELECT FROM users WHERE email = $4 AND id <> $1 AND EXISTS (SELECT FROM users WHERE id = $1)
    ), changed AS (
        UPDATE users u SET full_name = CASE WHEN $2::bool THEN $3::text ELSE u.full_name END,
            email = COALESCE($4::text, u.email),
            verified = COALESCE($5::bool, u.verified AND u.email = COALESCE($4, u.email)),
            password_hash = COALESCE($6::text, u.password_hash),
            disabled = COALESCE($7::bool, u.disabled),
            superuser = COALESCE($8::bool, u.superuser),
            roles = COALESCE($9::text[], u.roles),
            sessions_valid_after = CASE WHEN $11::bool
                THEN GREATEST(u.sessions_valid_after + 1, $10) ELSE u.sessions_valid_after END,
            updated_at = $10::bigint
        WHERE u.id = $1::uuid AND NOT EXISTS (SELECT FROM taken)
        RETURNING u.*
    )
    SELECT ",
    user!(),
    ", EXISTS (SELECT FROM taken) FROM (SELECT) AS one LEFT JOIN changed u ON true"
);

/// The lock makes whoever comes second look at the row that the first has left.
pub(super) const CONFIRM_EMAIL: &str = "WITH found AS (
        SELECT id, verified FROM users WHERE id = $1 AND email = $2 FOR NO KEY UPDATE
    ), confirmed AS (
        UPDATE users u SET verified = true, updated_at = $3 FROM found WHERE u.id = found.id AND NOT found.verified
    )
    SELECT verified FROM found";

pub(super) const END_SIGN_INS: &str = concat!(
    "UPDATE users u SET updated_at = $2, sessions_valid_after = GREATEST(u.sessions_valid_after + 1, $2)
     WHERE u.id = $1 RETURNING ",
    user!()
);

/// The projects are locked before the user, as an API key that is being kept locks them: the other way round, the two could wait for
/// each other. Notes the deletion and forgets old ones; those that another deletion is forgetting are left to it.
pub(super) const DELETE_USER: &str = "WITH locked AS (
        SELECT id FROM projects WHERE user_id = $1 ORDER BY id FOR UPDATE
    ), gone AS (
        DELETE FROM users WHERE id = $1 AND (SELECT count(*) FROM locked) >= 0
        RETURNING id, GREATEST(sessions_valid_after, $2::bigint) AS moment
    ), noted AS (
        INSERT INTO deleted_users AS d (id, deleted_at) SELECT id, moment FROM gone
        ON CONFLICT (id) DO UPDATE SET deleted_at = GREATEST(d.deleted_at, EXCLUDED.deleted_at)
    ), forgotten AS (
        DELETE FROM deleted_users WHERE id IN (
            SELECT id FROM deleted_users WHERE deleted_at < $3 AND id <> $1
            ORDER BY deleted_at LIMIT 100 FOR UPDATE SKIP LOCKED
        )
    )
    SELECT true FROM gone";

/// Each half by an index of its own, and no further than the page goes.
pub(super) const ENDED_SINCE: &str = "SELECT ended.id, ended.moment FROM (
        (SELECT id, sessions_valid_after AS moment FROM users
         WHERE sessions_valid_after > created_at AND (sessions_valid_after, id) > ($1, $2)
         ORDER BY sessions_valid_after, id LIMIT $3)
        UNION ALL
        (SELECT id, deleted_at FROM deleted_users WHERE (deleted_at, id) > ($1, $2) ORDER BY deleted_at, id LIMIT $3)
    ) ended ORDER BY ended.moment, ended.id LIMIT $3";

pub(super) const ENABLE_TOTP: &str = "UPDATE users SET totp = $2, totp_step = $3,
        recovery_codes = jsonb_object($4::uuid[]::text[], $5::text[]), updated_at = $6
     WHERE id = $1 AND totp IS NULL RETURNING true";

pub(super) const DISABLE_TOTP: &str =
    "UPDATE users SET totp = NULL, totp_step = NULL, recovery_codes = NULL, updated_at = $2
     WHERE id = $1 AND totp IS NOT NULL RETURNING true";

pub(super) const SPEND_TOTP_STEP: &str =
    "UPDATE users SET totp_step = $2 WHERE id = $1 AND totp IS NOT NULL AND totp_step < $2 RETURNING true";

pub(super) const RECOVERY_CODES: &str = "SELECT code.key::uuid AS id, code.value AS hash
     FROM users, jsonb_each_text(users.recovery_codes) AS code WHERE users.id = $1 ORDER BY 1";

pub(super) const SPEND_RECOVERY_CODE: &str = "UPDATE users SET recovery_codes = recovery_codes - $2::uuid::text
     WHERE id = $1 AND recovery_codes ? $2::uuid::text RETURNING true";

pub(super) const SEALED_TOTPS: &str =
    "SELECT number, id, totp FROM users WHERE totp IS NOT NULL AND number > $1 ORDER BY number LIMIT $2";

pub(super) const RESEAL_TOTP: &str = "UPDATE users SET totp = $3 WHERE id = $1 AND totp = $2 RETURNING true";

/// The sums are those of the locked row. They are looked at before they are kept: a constraint that refuses one would write
/// the whole row into the server's log.
pub(super) const CHANGE_BILLING: &str = concat!(
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
    user!(),
    " FROM found LEFT JOIN billed u ON true"
);

pub(super) const CREATE_PROJECT: &str =
    "INSERT INTO projects (id, user_id, name, personal, created_at) VALUES ($1, $2, $3, false, $4) RETURNING true";

pub(super) const PROJECTS: &str =
    "SELECT id, name FROM projects WHERE user_id = $1 ORDER BY personal DESC, created_at, id";

pub(super) const CREATE_API_KEY: &str =
    "INSERT INTO api_keys (id, project_id, user_id, prefix, digest, name, scopes, last_used_at, expires_at,
                           deactivated_at, created_at, updated_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
     ON CONFLICT (prefix) DO NOTHING RETURNING true";

pub(super) const API_KEYS_BY_PREFIX: &str = concat!(
    "SELECT ",
    api_key!(),
    ", ",
    user!(),
    " FROM api_keys k JOIN users u ON u.id = k.user_id WHERE k.prefix = ANY ($1::text[])"
);

/// One row at least, so that the number is there when the page is empty.
pub(super) const API_KEYS: &str = concat!(
    "SELECT ",
    api_key!(),
    ", counted.total
     FROM (SELECT count(*) AS total FROM api_keys WHERE project_id = $1) counted
     LEFT JOIN LATERAL (
         SELECT * FROM api_keys WHERE project_id = $1 ORDER BY created_at DESC, id DESC OFFSET $2 LIMIT $3
     ) k ON true
     ORDER BY k.created_at DESC, k.id DESC"
);

pub(super) const DEACTIVATE_API_KEY: &str = concat!(
    "UPDATE api_keys k SET deactivated_at = COALESCE(k.deactivated_at, $3),
        updated_at = CASE WHEN k.deactivated_at IS NULL THEN $3 ELSE k.updated_at END
     WHERE k.project_id = $1 AND k.id = $2 RETURNING ",
    api_key!()
);

pub(super) const DEACTIVATED_SINCE: &str = "SELECT id, deactivated_at FROM api_keys
     WHERE deactivated_at IS NOT NULL AND (deactivated_at, id) > ($1, $2)
     ORDER BY deactivated_at, id LIMIT $3";

/// The rows are locked in the order of their ids before any is changed: nodes that note the same keys in other orders queue up
/// instead of waiting for each other.
pub(super) const TOUCH_API_KEYS: &str = "WITH used AS (
        SELECT id, max(moment) AS moment FROM unnest($1::uuid[], $2::bigint[]) AS used (id, moment) GROUP BY id
    ), locked AS (
        SELECT k.id, used.moment FROM api_keys k JOIN used ON used.id = k.id ORDER BY k.id FOR NO KEY UPDATE OF k
    )
    UPDATE api_keys k SET last_used_at = GREATEST(k.last_used_at, locked.moment)
    FROM locked WHERE k.id = locked.id AND (k.last_used_at IS NULL OR k.last_used_at < locked.moment)";
