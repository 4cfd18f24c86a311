//! The scopes of a new API key in the OpenAPI document.

use utoipa::openapi::schema::{Array, ArrayBuilder, ObjectBuilder, SchemaType, Type};

use crate::auth::api_keys::{MAX_SCOPE_LENGTH, MAX_SCOPES};

/// The pattern of a scope (RFC 6749, 3.3).
pub(super) const SCOPE_PATTERN: &str = r"^[\x21\x23-\x5B\x5D-\x7E]+$";

/// The schema of a list of scopes, or null.
pub(super) fn scopes_schema() -> Array {
    let scope = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(MAX_SCOPE_LENGTH));
    let scope = scope.pattern(Some(SCOPE_PATTERN));
    let list = SchemaType::from_iter([Type::Array, Type::Null]);
    ArrayBuilder::new().schema_type(list).items(scope).max_items(Some(MAX_SCOPES)).build()
}
