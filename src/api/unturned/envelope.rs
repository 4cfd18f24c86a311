//! The envelope around everything that this dialect says: `{"success", "data", "error"}`.

use std::collections::BTreeMap;

use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::Response;

/// What went well.
#[derive(Serialize)]
struct Success<T> {
    success: bool,
    data: T,
    error: Option<()>,
}

/// Words what went well. Nobody keeps it: there are tokens, keys and people's affairs in it.
pub(super) fn success<T: Serialize>(status: StatusCode, data: T) -> Response {
    Response::json(status, &Success { success: true, data, error: None }).no_store()
}

/// What went wrong.
#[derive(Serialize, ToSchema)]
pub(super) struct ErrorEnvelope {
    success: bool,
    /// Empty.
    data: BTreeMap<String, String>,
    error: ErrorInfo,
}

/// What went wrong.
#[derive(Serialize, ToSchema)]
struct ErrorInfo {
    /// In a word that stays the same from one version to the next.
    code: &'static str,
    /// The same for people.
    message: &'static str,
}

/// Words what went wrong.
pub(super) fn error(status: u16, code: &'static str, message: &'static str) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let envelope = ErrorEnvelope { success: false, data: BTreeMap::new(), error: ErrorInfo { code, message } };
    Response::json(status, &envelope).no_store()
}

/// Schemas of envelopes, which in the document each have a name of their own.
macro_rules! envelopes {
    ($($(#[$doc:meta])* $name:ident, $schema:ident, $data:ty;)+) => {
        $(
            $(#[$doc])*
            #[derive(ToSchema)]
            #[schema(as = $schema)]
            #[allow(dead_code, reason = "for the document alone")]
            pub(super) struct $name {
                success: bool,
                data: $data,
                /// Always null.
                #[schema(value_type = Option<Object>)]
                error: Option<()>,
            }
        )+
    };
}
pub(super) use envelopes;
