//! The program's own types as values of columns. Knows no table.

use std::error::Error;
use std::time::Duration;

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::id::{ApiKeyId, ProjectId, SessionId, TokenId, UserId};

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

/// A list of strings, as a JSON array. Refuses a NUL, as [`refuse_nul`] does.
pub(in crate::store) struct JsonList(pub(in crate::store) Vec<String>);

impl ToSql for JsonList {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        refuse_nul(self.0.iter().map(String::as_str))?;
        let text = serde_json::to_string(&self.0).map_err(|e| rusqlite::Error::ToSqlConversionFailure(e.into()))?;
        Ok(text.into())
    }
}

impl FromSql for JsonList {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        // Not serde_json's own message, which could quote the column.
        serde_json::from_str(value.as_str()?).map(Self).map_err(|_| unexpected("a list of strings was expected"))
    }
}

/// A duration, in milliseconds.
pub(in crate::store) struct Millis(pub(in crate::store) Duration);

impl ToSql for Millis {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(i64::try_from(self.0.as_millis()).unwrap_or(i64::MAX).into())
    }
}

impl FromSql for Millis {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        i64::column_result(value).map(|millis| Self(Duration::from_millis(millis.max(0) as u64)))
    }
}

/// A `u64`, stored as an integer with the same 64 bits.
pub(in crate::store) struct BitsU64(pub(in crate::store) u64);

impl ToSql for BitsU64 {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.cast_signed().into())
    }
}

impl FromSql for BitsU64 {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        i64::column_result(value).map(|bits| Self(bits.cast_unsigned()))
    }
}

/// Refuses text that contains a NUL. SQLite would store it and Postgres would not; both stores accept the same values.
pub(in crate::store) fn refuse_nul<'a>(texts: impl IntoIterator<Item = &'a str>) -> rusqlite::Result<()> {
    if texts.into_iter().any(|text| text.contains('\0')) {
        return Err(text_with_nul());
    }
    Ok(())
}

/// Like [`refuse_nul`], for all texts among the values of parameters.
pub(in crate::store) fn refuse_nul_in(parameters: &[(&str, &dyn ToSql)]) -> rusqlite::Result<()> {
    for (_, value) in parameters {
        if let ToSqlOutput::Borrowed(ValueRef::Text(text)) = value.to_sql()?
            && text.contains(&0)
        {
            return Err(text_with_nul());
        }
    }
    Ok(())
}

fn text_with_nul() -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure("text with a NUL".into())
}

/// The error for a value that this program never writes.
pub(in crate::store) fn unexpected(what: &'static str) -> FromSqlError {
    FromSqlError::Other(Box::<dyn Error + Send + Sync>::from(what))
}
