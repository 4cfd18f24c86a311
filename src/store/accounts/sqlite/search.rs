//! Searching users: the statements for each state, so that each uses the index that fits it.

use rusqlite::{Connection, params};

use super::super::{select_list, user_columns, user_select_list};
use super::users::read_row;
use crate::store::accounts::{UserPage, UserSearch, UserStatus};
use crate::store::sqlite::BitsU64;

/// The statement that finds where a search of the rows that fulfil `$indexed` ends, and the search itself: see the
/// statements for Postgres.
macro_rules! statements {
    ($indexed:literal, $filter:literal) => {
        (
            concat!(
                "SELECT count(*) AS scanned, min(number) AS lowest FROM (
                     SELECT number FROM users WHERE number < ?1 AND ",
                $indexed,
                " ORDER BY number DESC LIMIT ?2
                 )"
            ),
            concat!(
                "SELECT ",
                user_select_list!("users"),
                " FROM users WHERE number < ?1 AND number >= ?2 AND ",
                $indexed,
                " AND ",
                $filter,
                " AND (?3 IS NULL OR instr(email, ?3) OR instr(username_key, ?3) OR instr(lower(full_name), ?5))
                  ORDER BY number DESC LIMIT ?4"
            ),
        )
    };
}

pub(super) fn search(tx: &Connection, search: &UserSearch) -> rusqlite::Result<UserPage> {
    let (bounds, users) = match search.status {
        None => statements!("true", "true"),
        Some(UserStatus::Active) => statements!("true", "NOT disabled"),
        Some(UserStatus::Disabled) => statements!("disabled = 1", "true"),
        Some(UserStatus::Unverified) => statements!("verified = 0", "true"),
    };
    // One transaction, so that both statements read the same rows.
    let snapshot = tx.unchecked_transaction()?;
    let (scanned, lowest) =
        snapshot.prepare_cached(bounds)?.query_row(params![search.before(), search.scan()], |row| {
            Ok((row.get::<_, BitsU64>("scanned")?.0, row.get::<_, Option<i64>>("lowest")?))
        })?;
    let (text, name) = (search.lowercase_text(), search.ascii_lowercase_text());
    let users = snapshot
        .prepare_cached(users)?
        .query_map(params![search.before(), lowest, text, search.limit, name], read_row)?
        .collect::<rusqlite::Result<_>>()?;
    Ok(search.page(users, scanned, lowest))
}
