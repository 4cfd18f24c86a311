//! Creating and changing a user: the columns that are written, each named beside its value.

use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;

use super::super::{select_list, user_columns, user_select_list};
use super::connections::{Connections, QueryResult};
use super::end_api_keys::change_and_end_api_keys;
use super::named::{NamedStatement, Value};
use super::rows;
use super::statements::Statement;
use crate::clock::Timestamp;
use crate::id::UserId;
use crate::store::Result;
use crate::store::accounts::{Changed, Changes, Created, NewUser};
use crate::store::operation::Operation;

/// The unique index of usernames, as Postgres named it in the first migration.
const USERNAME_KEY_INDEX: &str = "users_username_key_key";

/// Creates a user and its project, or reports what is taken. Looking first saves the numbers that a refused insert
/// would use up; the unique indexes decide. If a row is committed after this statement's snapshot was taken, the result
/// is neither a user nor a reason: executed again, the statement sees that row.
static CREATE_USER: NamedStatement = NamedStatement::new(
    Operation::CreateUser,
    concat!(
        "WITH taken AS (
            SELECT EXISTS (SELECT FROM users WHERE email = {email}) AS email_taken,
                   EXISTS (SELECT FROM users WHERE username_key = {username_key}) AS username_taken,
                   EXISTS (SELECT FROM users WHERE id = {id}) AS id_taken
        ), created AS (
            INSERT INTO users ({columns}) SELECT {values} FROM taken
            WHERE NOT (taken.email_taken OR taken.username_taken OR taken.id_taken)
            ON CONFLICT DO NOTHING
            RETURNING *
        ), personal AS (
            INSERT INTO projects (id, user_id, name, personal, created_at)
            SELECT {project}, id, 'Personal', true, created_at FROM created
        )
        SELECT ",
        user_select_list!("u"),
        ", taken.* FROM taken LEFT JOIN created AS u ON true"
    ),
);

/// [`rows::created`] reads the result.
pub(super) fn creation(user: &NewUser) -> (Statement, Vec<Value<'_>>) {
    let totp_step: Value<'_> = if user.totp.is_some() { &Some(0_i64) } else { &None::<i64> };
    CREATE_USER.bind(
        &[
            ("id", &user.id),
            ("email", &user.email),
            ("username", &user.username),
            ("username_key", &user.username_key),
            ("full_name", &user.full_name),
            ("password_hash", &user.password_hash),
            ("verified", &user.verified),
            ("disabled", &user.disabled),
            ("superuser", &user.superuser),
            ("roles", &user.roles),
            ("custom_claims", &user.custom_claims),
            ("totp", &user.totp),
            ("totp_step", totp_step),
            ("token_balance", &user.billing.token_balance),
            ("tokens_used", &user.billing.tokens_used),
            ("subscription_tier", &user.billing.subscription_tier),
            ("sessions_valid_after", &user.created_at),
            ("created_at", &user.created_at),
            ("updated_at", &user.created_at),
        ],
        &[("project", &user.project)],
    )
}

pub(super) async fn create(connections: &Connections, user: &NewUser) -> QueryResult<Created> {
    let deadline = connections.deadline();
    let (statement, values) = creation(user);
    loop {
        let rows = connections.rows(deadline, &statement, &values).await?;
        if let Some(created) = rows::created(&rows, user)? {
            return Ok(created);
        }
    }
}

/// Looking first detects a taken address or username without an error in the server's log, and without a deadlock
/// between two users that want each other's; the unique indexes decide.
static CHANGE_USER: NamedStatement = NamedStatement::new(
    Operation::ChangeUser,
    concat!(
        "WITH taken AS (
            SELECT EXISTS (SELECT FROM users WHERE email = {email} AND id <> {id}) AS email_taken,
                   EXISTS (SELECT FROM users WHERE username_key = {username_key} AND id <> {id}) AS username_taken
            FROM users WHERE id = {id}
        ), changed AS (
            UPDATE users u SET {changes},
                verified = COALESCE({verified}, verified AND email = COALESCE({email}, email)),
                sessions_valid_after = CASE WHEN {ends_sign_ins}
                    THEN GREATEST(sessions_valid_after + 1, {now}) ELSE sessions_valid_after END,
                updated_at = {now}
            WHERE id = {id} AND NOT EXISTS (SELECT FROM taken WHERE email_taken OR username_taken)
                AND sessions_valid_after = COALESCE({only_if_valid_after}, sessions_valid_after)
                AND email = COALESCE({only_if_email}, email)
            RETURNING *
        )
        SELECT ",
        user_select_list!("u"),
        ", COALESCE(taken.email_taken, false) AS email_taken, COALESCE(taken.username_taken, false) AS username_taken
         FROM (SELECT) AS one LEFT JOIN taken ON true LEFT JOIN changed u ON true"
    ),
);

/// A column, and the value that a change sets it to if the value is given.
struct Change<'a> {
    column: &'static str,
    is_given: bool,
    value: Value<'a>,
}

fn set<'a, T: ToSql + Sync>(column: &'static str, value: &'a Option<T>) -> Change<'a> {
    Change { column, is_given: value.is_some(), value }
}

pub(super) async fn change(
    connections: &Connections,
    user: UserId,
    changes: &Changes,
    now: Timestamp,
) -> Result<Changed> {
    let (username, username_key) = changes.username_columns();
    let columns = [
        set("email", &changes.email),
        set("username", &username),
        set("username_key", &username_key),
        set("full_name", &changes.full_name),
        set("password_hash", &changes.password_hash),
        set("disabled", &changes.disabled),
        set("superuser", &changes.superuser),
        set("roles", &changes.roles),
        set("custom_claims", &changes.custom_claims),
    ];
    let given: Vec<_> = columns.iter().filter(|change| change.is_given).map(|change| change.column).collect();
    let ends_sign_ins = changes.end_sign_ins();
    let (statement, values) = CHANGE_USER.bind(
        &columns.map(|change| (change.column, change.value)),
        &[
            ("given", &given),
            ("id", &user),
            ("verified", &changes.verified),
            ("ends_sign_ins", &ends_sign_ins),
            ("only_if_valid_after", &changes.only_if_valid_after),
            ("only_if_email", &changes.only_if_email),
            ("now", &now),
        ],
    );
    let read = |rows: QueryResult<Vec<_>>| match rows {
        Err(error) if error.constraint() == Some(USERNAME_KEY_INDEX) => Ok(Changed::UsernameTaken),
        Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => Ok(Changed::EmailTaken),
        rows => rows::changed(&rows?),
    };
    let scopes = changes.ends_api_keys_with;
    if scopes.is_empty() {
        return connections.query_result(&statement, &values, read).await;
    }
    let end: [Value<'_>; 3] = [&user, &scopes, &now];
    let change = change_and_end_api_keys(connections, (&statement, &values), &end, read);
    connections.measure(Operation::ChangeUser, change).await
}
