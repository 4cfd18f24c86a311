//! Shared by the dialects that were written with FastAPI: 422 and `{"detail": …}` as in FastAPI 0.115 and pydantic 2,
//! and wire types that are as lax as pydantic's. Knows nothing of what any call does.
//!
//! An entry of a 422 has `type`, `loc`, `msg` and, where pydantic has one, `ctx`, but never `input`: the value may be a
//! password, a code or a token, and a response that quotes it ends up in the logs of clients. A client may send a
//! secret in any field by mistake, so no value is quoted. Clients show `msg` and find the field by `loc`.

use std::fmt;

use http::StatusCode;
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{SOON, status_code, wire_text};
use crate::auth::identity::{Email, EmailError};
use crate::auth::passwords::PolicyViolation;
use crate::http::{ExpectedType, FieldError, FieldErrorKind, ParamLocation, PathSegment, Rejection, Response};

/// An error.
#[derive(Serialize, ToSchema)]
pub(super) struct Detail<'a> {
    detail: &'a str,
}

/// The response to an `HTTPException`.
pub(super) fn detail(status: u16, text: &str) -> Response {
    Response::json(status_code(status), &Detail { detail: text })
}

/// Renders a rejection as FastAPI does, for dialects that have no texts of their own.
pub(super) fn render_rejection(rejection: Rejection) -> Response {
    let cause = rejection.to_string();
    let response = match rejection {
        Rejection::NotFound => detail(404, "Not Found"),
        Rejection::MethodNotAllowed => detail(405, "Method Not Allowed"),
        Rejection::BodyTooLarge { .. } => detail(413, "Content Too Large"),
        Rejection::UnsupportedMediaType => detail(415, "Unsupported Media Type"),
        Rejection::MalformedBody { detail, at } => malformed_json(&detail, at),
        Rejection::InvalidFields(errors) => invalid_fields(&errors),
        Rejection::BodyTimeout => detail(408, "Request Timeout"),
        Rejection::Overloaded | Rejection::Timeout { .. } => detail(503, "Service Unavailable").retry_after(SOON),
        Rejection::Internal => detail(500, "Internal Server Error"),
    };
    response.with_cause(cause)
}

/// 422 for a body that is not JSON.
pub(super) fn malformed_json(reason: &str, at: usize) -> Response {
    validation_error(vec![ValidationError {
        r#type: "json_invalid",
        loc: vec![Loc::Name("body".to_owned()), Loc::Index(at)],
        msg: "JSON decode error".to_owned(),
        ctx: Some(json!({"error": reason})),
    }])
}

/// 422 with one entry per invalid field.
pub(super) fn invalid_fields(errors: &[FieldError]) -> Response {
    validation_error(errors.iter().map(ValidationError::from).collect())
}

fn validation_error(detail: Vec<ValidationError>) -> Response {
    Response::json(StatusCode::UNPROCESSABLE_ENTITY, &HttpValidationError { detail })
}

/// The invalid fields of a request.
#[derive(Serialize, ToSchema)]
#[schema(as = HTTPValidationError)]
pub(super) struct HttpValidationError {
    detail: Vec<ValidationError>,
}

/// One invalid field.
#[derive(Serialize, ToSchema)]
pub(super) struct ValidationError {
    /// The error type that pydantic uses.
    r#type: &'static str,
    /// The part of the request and the path to the field.
    loc: Vec<Loc>,
    /// Description for people.
    msg: String,
    /// The values in `msg`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object, required = false)]
    ctx: Option<Value>,
}

#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum Loc {
    Name(String),
    Index(usize),
}

/// Combines two parts of a request. Like FastAPI, lists the invalid fields of both in one 422.
pub(super) fn both<A, B>(first: Result<A, Rejection>, second: Result<B, Rejection>) -> Result<(A, B), Rejection> {
    match (first, second) {
        (Err(Rejection::InvalidFields(mut errors)), Err(Rejection::InvalidFields(more))) => {
            errors.extend(more);
            Err(Rejection::InvalidFields(errors))
        }
        // Any other rejection stands alone: the fields could not be read.
        (_, Err(rejection)) | (Err(rejection), Ok(_)) => Err(rejection),
        (Ok(first), Ok(second)) => Ok((first, second)),
    }
}

/// Parses an id in the path or in a header field.
pub(super) fn uuid(location: ParamLocation, name: &str, text: Option<&str>) -> Result<Uuid, Rejection> {
    let text = text.ok_or_else(|| Rejection::field(FieldError::missing(location, name)))?;
    Uuid::parse_str(text).map_err(|error| {
        let kind = FieldErrorKind::Invalid(format!("Input should be a valid UUID, {}", pydantic_uuid_error(&error)));
        Rejection::field(FieldError::new(location, name, kind))
    })
}

/// The text of the version of the `uuid` crate that pydantic 2 was built with, which counts characters from one.
fn pydantic_uuid_error(error: &uuid::Error) -> String {
    let error = error.to_string();
    let invalid_character = error.strip_prefix("invalid character: found ").and_then(|rest| rest.rsplit_once(" at "));
    match (invalid_character, error.strip_prefix("invalid length: ")) {
        (Some((character, at)), _) => {
            let at = at.parse::<usize>().map_or_else(|_| at.to_owned(), |at| (at + 1).to_string());
            format!(
                "invalid character: expected an optional prefix of `urn:uuid:` followed by [0-9a-fA-F-], found {character} at {at}"
            )
        }
        (None, Some(found)) => format!("invalid length: expected length 32 for simple format, {found}"),
        (None, None) => error,
    }
}

/// Pydantic's errors for values of the right type: the beginning of `msg`, `type`, and the key in `ctx` for the rest of
/// `msg`. Serde passes errors on as text only, so `type` and `ctx` are derived from the text.
const VALUE_ERRORS: [(&str, &str, Option<&str>); 12] = [
    ("value is not a valid email address: ", "value_error", Some("reason")),
    ("String should have at least ", "string_too_short", Some("min_length")),
    ("String should have at most ", "string_too_long", Some("max_length")),
    ("String should match pattern ", "string_pattern_mismatch", Some("pattern")),
    ("List should have at most ", "too_long", Some("max_length")),
    ("Input should be greater than or equal to ", "greater_than_equal", Some("ge")),
    ("Input should be less than or equal to ", "less_than_equal", Some("le")),
    ("Input should be a valid UUID, ", "uuid_parsing", Some("error")),
    ("Input should be a valid integer, got a number with a fractional part", "int_from_float", None),
    ("Input should be a valid integer, unable to parse string as an integer", "int_parsing", None),
    ("Input should be a valid boolean, unable to interpret input", "bool_parsing", None),
    ("Unable to parse input string as an integer, exceeded maximum size", "int_parsing_size", None),
];

impl From<&FieldError> for ValidationError {
    fn from(error: &FieldError) -> Self {
        let location = match error.location {
            ParamLocation::Body => "body",
            ParamLocation::Query => "query",
            ParamLocation::Header => "header",
            ParamLocation::Path => "path",
        };
        let segments = error.path.iter().map(|segment| match segment {
            PathSegment::Field(name) => Loc::Name(name.clone()),
            PathSegment::Index(index) => Loc::Index(*index),
        });
        let loc = [Loc::Name(location.to_owned())].into_iter().chain(segments).collect();
        let (r#type, msg, ctx) = match &error.kind {
            FieldErrorKind::Missing => ("missing", "Field required".to_owned(), None),
            FieldErrorKind::WrongType(expected) => type_error(*expected),
            FieldErrorKind::Invalid(msg) => value_error(msg),
        };
        Self { r#type, loc, msg, ctx }
    }
}

/// `type`, `msg` and `ctx` of an entry.
type PydanticError = (&'static str, String, Option<Value>);

fn type_error(expected: ExpectedType) -> PydanticError {
    let (r#type, msg) = match expected {
        ExpectedType::Text => ("string_type", "Input should be a valid string"),
        ExpectedType::Integer => ("int_type", "Input should be a valid integer"),
        ExpectedType::Number => ("float_type", "Input should be a valid number"),
        ExpectedType::Boolean => ("bool_type", "Input should be a valid boolean"),
        ExpectedType::List => ("list_type", "Input should be a valid list"),
        ExpectedType::Object => {
            ("model_attributes_type", "Input should be a valid dictionary or object to extract fields from")
        }
    };
    (r#type, msg.to_owned(), None)
}

fn value_error(msg: &str) -> PydanticError {
    let known = VALUE_ERRORS.iter().find_map(|known| msg.strip_prefix(known.0).map(|rest| (known, rest)));
    let Some(((_, r#type, key), rest)) = known else {
        return ("value_error", format!("Value error, {msg}"), None);
    };
    let ctx = key.map(|key| {
        let number = rest.split(' ').next().and_then(|word| word.parse::<i64>().ok());
        Value::Object(Map::from_iter([(
            key.to_owned(),
            number.map_or_else(|| json!(rest.trim_matches('\'')), |number| json!(number)),
        )]))
    });
    (r#type, msg.to_owned(), ctx)
}

/// Pydantic's `EmailStr`: an address in canonical form.
#[derive(Clone, Debug)]
pub(super) struct EmailStr(pub(super) Email);

impl<'de> Deserialize<'de> for EmailStr {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Email::parse(&text).map(Self).map_err(|error| de::Error::custom(email_error(&text, error)))
    }
}

/// Parses an address in the path.
pub(super) fn email(location: ParamLocation, name: &str, text: &str) -> Result<Email, Rejection> {
    let kind = |error| FieldErrorKind::Invalid(email_error(text, error));
    Email::parse(text).map_err(|error| Rejection::field(FieldError::new(location, name, kind(error))))
}

fn email_error(text: &str, error: EmailError) -> String {
    let text = text.trim();
    let reason = match error {
        EmailError::NoAt if text.starts_with('@') => "There must be something before the @-sign.",
        EmailError::NoAt if text.ends_with('@') => "There must be something after the @-sign.",
        EmailError::NoAt if text.contains('@') => "The part after the @-sign contains invalid characters: '@'.",
        EmailError::Empty | EmailError::NoAt => "An email address must have an @-sign.",
        EmailError::Local | EmailError::Domain if text.contains("..") => {
            "An email address cannot have two periods in a row."
        }
        EmailError::Local => "The email address contains invalid characters before the @-sign.",
        EmailError::Domain if text.rsplit('@').next().is_some_and(|domain| domain.contains('.')) => {
            "The part after the @-sign is not valid."
        }
        EmailError::Domain => "The part after the @-sign is not valid. It should have a period.",
        EmailError::TooLong => "The email address is too long.",
    };
    format!("value is not a valid email address: {reason}")
}

/// The error of the field `field` for a new password that violates the policy.
pub(super) fn password_error(field: &str, violation: PolicyViolation) -> FieldError {
    let reason = match violation {
        PolicyViolation::TooShort { min } => at_least(min),
        PolicyViolation::TooLong { max } => at_most(max),
        PolicyViolation::Blank | PolicyViolation::Common => wire_text::password(violation),
    };
    FieldError::new(ParamLocation::Body, field, FieldErrorKind::Invalid(reason))
}

fn at_least(min: usize) -> String {
    format!("String should have at least {}", characters(min))
}

fn at_most(max: usize) -> String {
    format!("String should have at most {}", characters(max))
}

fn characters(count: usize) -> String {
    if count == 1 { "1 character".to_owned() } else { format!("{count} characters") }
}

/// A string of `MIN` to `MAX` characters.
#[derive(Clone, Debug)]
pub(super) struct BoundedString<const MIN: usize, const MAX: usize>(pub(super) String);

impl<'de, const MIN: usize, const MAX: usize> Deserialize<'de> for BoundedString<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        // Postgres cannot store NUL in text.
        if text.contains('\0') {
            return Err(de::Error::custom("must not contain NUL"));
        }
        match text.chars().count() {
            short if short < MIN => Err(de::Error::custom(at_least(MIN))),
            long if long > MAX => Err(de::Error::custom(at_most(MAX))),
            _ => Ok(Self(text)),
        }
    }
}

/// An integer from `MIN` to `MAX`, parsed as laxly as pydantic does: strings, `1.0` and booleans are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LaxInteger<const MIN: i64, const MAX: i64>(pub(super) i64);

impl<'de, const MIN: i64, const MAX: i64> Deserialize<'de> for LaxInteger<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let number = from.deserialize_any(LaxIntegerVisitor)?;
        if number < MIN {
            Err(de::Error::custom(format!("Input should be greater than or equal to {MIN}")))
        } else if number > MAX {
            Err(de::Error::custom(format!("Input should be less than or equal to {MAX}")))
        } else {
            Ok(Self(number))
        }
    }
}

struct LaxIntegerVisitor;

impl Visitor<'_> for LaxIntegerVisitor {
    type Value = i64;

    /// `http::field_errors` recognizes the expected type by this word.
    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("i64")
    }

    fn visit_bool<E: de::Error>(self, yes: bool) -> Result<i64, E> {
        Ok(yes.into())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<i64, E> {
        Ok(number)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<i64, E> {
        Ok(i64::try_from(number).unwrap_or(i64::MAX))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<i64, E> {
        if number.fract() != 0.0 {
            Err(E::custom("Input should be a valid integer, got a number with a fractional part"))
        } else if number.abs() >= 9.2e18 {
            Err(E::custom("Unable to parse input string as an integer, exceeded maximum size"))
        } else {
            Ok(number as i64)
        }
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<i64, E> {
        let plain = text.trim();
        let plain =
            plain.split_once('.').filter(|(_, zeros)| zeros.bytes().all(|b| b == b'0')).map_or(plain, |(n, _)| n);
        plain.parse().map_err(|error: std::num::ParseIntError| match error.kind() {
            std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow => {
                E::custom("Unable to parse input string as an integer, exceeded maximum size")
            }
            _ => E::custom("Input should be a valid integer, unable to parse string as an integer"),
        })
    }
}

/// A boolean, parsed as laxly as pydantic does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LaxBool(pub(super) bool);

impl<'de> Deserialize<'de> for LaxBool {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(LaxBoolVisitor).map(Self)
    }
}

struct LaxBoolVisitor;

fn bool_error<E: de::Error>() -> E {
    E::custom("Input should be a valid boolean, unable to interpret input")
}

impl Visitor<'_> for LaxBoolVisitor {
    type Value = bool;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a boolean")
    }

    fn visit_bool<E: de::Error>(self, yes: bool) -> Result<bool, E> {
        Ok(yes)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<bool, E> {
        u64::try_from(number).map_err(|_| bool_error()).and_then(|number| self.visit_u64(number))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<bool, E> {
        if number < 2 { Ok(number == 1) } else { Err(bool_error()) }
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<bool, E> {
        if number == 0.0 || number == 1.0 { Ok(number == 1.0) } else { Err(bool_error()) }
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<bool, E> {
        match text.to_ascii_lowercase().as_str() {
            "1" | "true" | "t" | "yes" | "y" | "on" => Ok(true),
            "0" | "false" | "f" | "no" | "n" | "off" => Ok(false),
            _ => Err(bool_error()),
        }
    }
}

#[cfg(test)]
mod tests;
