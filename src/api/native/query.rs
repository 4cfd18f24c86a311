//! Parameters of queries that several calls have.

use std::ops::RangeInclusive;

use utoipa::IntoParams;

use crate::http::{FieldError, FieldErrorKind, FormFields, ParamLocation, Rejection};

/// Items on a page, unless the request asks for another number.
const DEFAULT_LIMIT: u32 = 50;

/// The most items on a page: rendering them takes a worker less than a millisecond.
const MAX_LIMIT: u32 = 200;

/// `limit` of a list, for the document.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "only the OpenAPI document uses it")]
pub(super) struct Limit {
    /// The most items on the page; 50 by default.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

/// `limit` of a list.
pub(super) fn limit(query: &FormFields) -> Result<u32, Rejection> {
    number(query, "limit", DEFAULT_LIMIT, 1..=MAX_LIMIT)
}

/// A number; `default` if it is absent.
pub(super) fn number(
    query: &FormFields,
    name: &str,
    default: u32,
    allowed: RangeInclusive<u32>,
) -> Result<u32, Rejection> {
    let number = query.get(name).map_or(Ok(default), str::parse).ok();
    let number = number.filter(|number| allowed.contains(number));
    let rule = || format!("must be a number from {} to {}", allowed.start(), allowed.end());
    number.ok_or_else(|| invalid_query(name, &rule()))
}

/// The rejection of a parameter that breaks a rule.
pub(super) fn invalid_query(name: &str, rule: &str) -> Rejection {
    Rejection::field(FieldError::new(ParamLocation::Query, name, FieldErrorKind::Invalid(rule.to_owned())))
}
