//! The envelope around every response of this dialect: `{"success", "data", "error"}`.

use std::collections::BTreeMap;

use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::status_code;
use crate::http::Response;

/// A successful response.
#[derive(Serialize)]
struct Success<T> {
    success: bool,
    data: T,
    error: Option<()>,
}

/// A success. Never cached, because it contains tokens, keys and personal data.
pub(super) fn success<T: Serialize>(status: StatusCode, data: T) -> Response {
    Response::json(status, &Success { success: true, data, error: None }).no_store()
}

/// An error response.
#[derive(Serialize, ToSchema)]
pub(super) struct ErrorEnvelope {
    success: bool,
    /// Always empty.
    data: BTreeMap<String, String>,
    error: ErrorInfo,
}

/// The error.
#[derive(Serialize, ToSchema)]
struct ErrorInfo {
    /// Stable identifier for programs.
    code: &'static str,
    /// Description for people.
    message: &'static str,
}

/// An error.
pub(super) fn failure(status: u16, code: &'static str, message: &'static str) -> Response {
    let envelope = ErrorEnvelope { success: false, data: BTreeMap::new(), error: ErrorInfo { code, message } };
    Response::json(status_code(status), &envelope).no_store()
}

/// Declares the schemas of envelopes. The OpenAPI document has a separate schema for each type of `data`.
macro_rules! envelopes {
    ($($(#[$doc:meta])* $name:ident, $schema:ident, $data:ty;)+) => {
        $(
            $(#[$doc])*
            #[derive(ToSchema)]
            #[schema(as = $schema)]
            #[allow(dead_code, reason = "for the OpenAPI document only")]
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
