//! The program's own types as values of columns. Knows no table.

use std::error::Error;

use bytes::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::id::{ApiKeyId, ProjectId, UserId};
use crate::store::accounts::{PasswordHash, SealedTotp};

/// Stores each type as one that the driver knows.
macro_rules! stored_as {
    ($($name:ty: $stored:ty, |$value:ident| $unwrap:expr, $wrap:expr;)*) => {$(
        impl ToSql for $name {
            fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
                let $value = self;
                $unwrap.to_sql(ty, out)
            }

            fn accepts(ty: &Type) -> bool {
                <$stored as ToSql>::accepts(ty)
            }

            to_sql_checked!();
        }

        impl<'a> FromSql<'a> for $name {
            fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
                <$stored>::from_sql(ty, raw).map($wrap)
            }

            fn accepts(ty: &Type) -> bool {
                <$stored as FromSql>::accepts(ty)
            }
        }
    )*};
}

stored_as! {
    ApiKeyId: Uuid, |id| id.0, ApiKeyId;
    ProjectId: Uuid, |id| id.0, ProjectId;
    UserId: Uuid, |id| id.0, UserId;
    Timestamp: i64, |time| time.millis(), Timestamp::from_millis;
    PasswordHash: String, |hash| hash.0, PasswordHash;
    SealedTotp: Vec<u8>, |secret| secret.0, SealedTotp;
}
