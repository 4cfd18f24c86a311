//! How the program's own values are written in a column. Knows no table.

use std::error::Error;
use std::time::Duration;

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::id::{ApiKeyId, ProjectId, SessionId, TokenId, UserId};
use crate::store::accounts::PasswordHash;

macro_rules! id {
    ($($name:ident),*) => {$(
        impl ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(ToSqlOutput::Borrowed(ValueRef::Blob(self.as_bytes())))
            }
        }

        impl FromSql for $name {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                <[u8; 16]>::column_result(value).map(|bytes| Self(Uuid::from_bytes(bytes)))
            }
        }
    )*};
}

id!(ApiKeyId, ProjectId, SessionId, TokenId, UserId);

impl ToSql for Timestamp {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.millis().into())
    }
}

impl FromSql for Timestamp {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        i64::column_result(value).map(Self::from_millis)
    }
}

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

/// A list of words, as a JSON array.
pub(in crate::store) struct Words(pub(in crate::store) Vec<String>);

impl ToSql for Words {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let text = serde_json::to_string(&self.0).map_err(|e| rusqlite::Error::ToSqlConversionFailure(e.into()))?;
        Ok(text.into())
    }
}

impl FromSql for Words {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        // serde_json's own message could quote the column.
        serde_json::from_str(value.as_str()?).map(Self).map_err(|_| unreadable("a list of words was expected"))
    }
}

/// A span, in milliseconds.
pub(in crate::store) struct Span(pub(in crate::store) Duration);

impl ToSql for Span {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(i64::try_from(self.0.as_millis()).unwrap_or(i64::MAX).into())
    }
}

impl FromSql for Span {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        i64::column_result(value).map(|millis| Self(Duration::from_millis(millis.max(0) as u64)))
    }
}

/// A number that only rises, kept as the same sixty-four bits.
pub(in crate::store) struct Count(pub(in crate::store) u64);

impl ToSql for Count {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.cast_signed().into())
    }
}

impl FromSql for Count {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        i64::column_result(value).map(|bits| Self(bits.cast_unsigned()))
    }
}

/// Refuses text that holds a NUL. SQLite would keep it and Postgres would not: what one store keeps, each must keep.
pub(in crate::store) fn refuse_nul<'a>(texts: impl IntoIterator<Item = &'a str>) -> rusqlite::Result<()> {
    if texts.into_iter().any(|text| text.contains('\0')) {
        return Err(rusqlite::Error::ToSqlConversionFailure("text with a NUL".into()));
    }
    Ok(())
}

/// A column that this program never wrote so.
pub(in crate::store) fn unreadable(what: &'static str) -> FromSqlError {
    FromSqlError::Other(Box::<dyn Error + Send + Sync>::from(what))
}
