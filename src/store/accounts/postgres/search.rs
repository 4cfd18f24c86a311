//! Searching users: one statement for each state, so that each uses the index that fits it.

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::super::{select_list, user_columns, user_select_list};
use super::connections::{Connections, QueryResult};
use super::statements::Statement;
use super::{is_storable, rows};
use crate::store::Result;
use crate::store::accounts::{UserPage, UserSearch, UserStatus};
use crate::store::operation::Operation;

/// A search of the rows that fulfil `$indexed`, for which there is an index, and `$filter`. Returns at least one row, so
/// that an empty page says what was read. Full names are compared in lower case of ASCII, as in SQLite.
macro_rules! search {
    ($indexed:literal, $filter:literal) => {
        Statement::new(
            Operation::SearchUsers,
            concat!(
                "SELECT ",
                user_select_list!("u"),
                ", bounds.scanned, bounds.lowest
                 FROM (
                     SELECT count(*) AS scanned, min(number) AS lowest FROM (
                         SELECT number FROM users WHERE number < $1 AND ",
                $indexed,
                " ORDER BY number DESC LIMIT $2
                     ) read
                 ) bounds
                 LEFT JOIN LATERAL (
                     SELECT * FROM users WHERE number < $1 AND number >= bounds.lowest AND ",
                $indexed,
                " AND ",
                $filter,
                " AND ($3::text IS NULL OR position($3 IN email) > 0 OR position($3 IN username_key) > 0
                          OR position($5 IN lower(full_name COLLATE \"C\")) > 0)
                     ORDER BY number DESC LIMIT $4
                 ) u ON true
                 ORDER BY u.number DESC"
            ),
        )
    };
}

const ALL: Statement = search!("true", "true");
const ACTIVE: Statement = search!("true", "NOT disabled");
const DISABLED: Statement = search!("disabled", "true");
const UNVERIFIED: Statement = search!("NOT verified", "true");

pub(super) async fn search(connections: &Connections, search: &UserSearch) -> Result<UserPage> {
    if search.text.as_deref().is_some_and(|text| !is_storable(text)) {
        return Ok(UserPage { users: Vec::new(), next: None });
    }
    let statement = match search.status {
        None => &ALL,
        Some(UserStatus::Active) => &ACTIVE,
        Some(UserStatus::Disabled) => &DISABLED,
        Some(UserStatus::Unverified) => &UNVERIFIED,
    };
    let (before, scan, limit) = (search.before(), i64::from(search.scan()), i64::from(search.limit));
    let (text, name) = (search.lowercase_text(), search.ascii_lowercase_text());
    let values: [&(dyn ToSql + Sync); 5] = [&before, &scan, &text, &limit, &name];
    connections.query(statement, &values, |rows| page(search, rows)).await
}

fn page(search: &UserSearch, rows: &[Row]) -> QueryResult<UserPage> {
    let first = rows::first(rows)?;
    let scanned: i64 = rows::read(first, "scanned")?;
    let lowest = rows::read(first, "lowest")?;
    Ok(search.page(rows::joined_users(rows)?, scanned.unsigned_abs(), lowest))
}
