//! Reads and writes the values of the accounts' columns, by name.

use rusqlite::Row;
use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

use crate::clock::Timestamp;
use crate::id::{ApiKeyId, ProjectId, UserId};
use crate::store::accounts::{PasswordHash, SealedTotp};
use crate::store::sqlite::JsonList;

impl ToSql for PasswordHash {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        self.0.to_sql()
    }
}

impl FromSql for PasswordHash {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        String::column_result(value).map(Self)
    }
}

impl ToSql for SealedTotp {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        self.0.to_sql()
    }
}

impl FromSql for SealedTotp {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Vec::column_result(value).map(Self)
    }
}

/// A type that a field of a row is read as.
pub(super) trait Column: Sized {
    fn read(row: &Row<'_>, column: &str) -> rusqlite::Result<Self>;
}

macro_rules! columns {
    ($($type:ty),*) => {$(
        impl Column for $type {
            fn read(row: &Row<'_>, column: &str) -> rusqlite::Result<Self> {
                row.get(column)
            }
        }
    )*};
}

columns!(bool, i64, [u8; 32], String, Option<String>, ApiKeyId, ProjectId, UserId);
columns!(Timestamp, Option<Timestamp>, Option<PasswordHash>, Option<SealedTotp>);

impl Column for Vec<String> {
    fn read(row: &Row<'_>, column: &str) -> rusqlite::Result<Self> {
        row.get::<_, JsonList>(column).map(|list| list.0)
    }
}

pub(super) fn read<T: Column>(row: &Row<'_>, column: &str) -> rusqlite::Result<T> {
    T::read(row, column)
}

/// `INSERT INTO table (id, …) VALUES (:id, …)` for those parameters, which are named as their columns.
pub(super) fn insert_into(table: &str, values: &[(&str, &dyn ToSql)]) -> String {
    let parameters = values.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    format!("INSERT INTO {table} ({}) VALUES ({parameters})", parameters.replace(':', ""))
}
