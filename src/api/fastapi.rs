//! What the dialects that were written with FastAPI share in wording: 422 and `{"detail": …}` as FastAPI 0.115 and pydantic 2
//! say them, and wire types that are as lax as theirs. Knows nothing of what any call does.
//!
//! An entry of a 422 has `type`, `loc`, `msg` and, where pydantic has one, `ctx`, but never `input`: what was sent may be a
//! password, a code or a token, and a body that quotes it ends up in the logs of whoever reads answers. Nothing tells a
//! secret's field from another once a client has mixed them up, so none is quoted. Clients show `msg` and find the field by `loc`.

use std::fmt;

use http::StatusCode;
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::SOON;
use crate::auth::accounts::identity::{BadEmail, Email};
use crate::auth::passwords::Weak;
use crate::http::{Expected, FieldError, FieldErrorKind, ParamLocation, PathSegment, Rejection, Response};

/// `{"detail": "…"}`: an `HTTPException`.
pub(super) fn detail(status: u16, text: &str) -> Response {
    Response::json(status_of(status), &json!({"detail": text}))
}

/// Words a rejection as FastAPI does. Exhaustive, for dialects that have no words of their own for any of it.
pub(super) fn rejected(rejection: Rejection) -> Response {
    let cause = rejection.to_string();
    let response = match rejection {
        Rejection::NotFound => detail(404, "Not Found"),
        Rejection::MethodNotAllowed { .. } => detail(405, "Method Not Allowed"),
        Rejection::TooLarge { .. } => detail(413, "Content Too Large"),
        Rejection::UnsupportedMediaType => detail(415, "Unsupported Media Type"),
        Rejection::Unreadable { detail, at } => unreadable(&detail, at),
        Rejection::Fields(faults) => unprocessable(&faults),
        Rejection::BodyTimeout => detail(408, "Request Timeout"),
        Rejection::Crowded | Rejection::Timeout { .. } => detail(503, "Service Unavailable").retry_after(SOON),
        Rejection::Internal => detail(500, "Internal Server Error"),
    };
    response.because(cause)
}

/// 422 of a body that is no JSON.
pub(super) fn unreadable(why: &str, at: usize) -> Response {
    unprocessed(vec![ValidationError {
        r#type: "json_invalid",
        loc: vec![Loc::Name("body".to_owned()), Loc::At(at)],
        msg: "JSON decode error".to_owned(),
        ctx: Some(json!({"error": why})),
    }])
}

/// 422 of fields that will not do, an entry each.
pub(super) fn unprocessable(faults: &[FieldError]) -> Response {
    unprocessed(faults.iter().map(ValidationError::of).collect())
}

fn unprocessed(detail: Vec<ValidationError>) -> Response {
    Response::json(StatusCode::UNPROCESSABLE_ENTITY, &HttpValidationError { detail })
}

/// What is wrong with a request's fields.
#[derive(Serialize, ToSchema)]
#[schema(as = HTTPValidationError)]
pub(super) struct HttpValidationError {
    detail: Vec<ValidationError>,
}

/// One fault.
#[derive(Serialize, ToSchema)]
pub(super) struct ValidationError {
    /// What is wrong, in a word that pydantic knows.
    r#type: &'static str,
    /// Where: the part of the request, and the way from there.
    loc: Vec<Loc>,
    /// What is wrong, for people.
    msg: String,
    /// What the sentence is made of.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object, required = false)]
    ctx: Option<Value>,
}

#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum Loc {
    Name(String),
    At(usize),
}

/// Both parts of a request, or what is wrong with either and with both: FastAPI says all of it at once.
pub(super) fn both<A, B>(one: Result<A, Rejection>, other: Result<B, Rejection>) -> Result<(A, B), Rejection> {
    match (one, other) {
        (Err(Rejection::Fields(mut faults)), Err(Rejection::Fields(more))) => {
            faults.extend(more);
            Err(Rejection::Fields(faults))
        }
        // What is no matter of fields is said alone: there is nothing to be said of fields that were not read.
        (_, Err(rejection)) | (Err(rejection), Ok(_)) => Err(rejection),
        (Ok(one), Ok(other)) => Ok((one, other)),
    }
}

/// Reads an id in the path or in a header field.
pub(super) fn uuid(place: ParamLocation, name: &str, text: Option<&str>) -> Result<Uuid, Rejection> {
    let text = text.ok_or_else(|| Rejection::field(FieldError::missing(place, name)))?;
    Uuid::parse_str(text).map_err(|error| {
        let trouble = FieldErrorKind::Invalid(format!("Input should be a valid UUID, {}", as_pydantic_says(&error)));
        Rejection::field(FieldError::new(place, name, trouble))
    })
}

/// The sentences of the library's version that pydantic 2 was built with then, which counted characters from one.
fn as_pydantic_says(error: &uuid::Error) -> String {
    let error = error.to_string();
    let of_a_character = error.strip_prefix("invalid character: found ").and_then(|rest| rest.rsplit_once(" at "));
    match (of_a_character, error.strip_prefix("invalid length: ")) {
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

fn status_of(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// What pydantic says of values of the right type that will not do: how the sentence begins, its `type`, and what the rest of it
/// is in `ctx`. Serde carries nothing but text from a type to whoever words it, so the sentence is what travels, and the rest
/// is read off it.
const SENTENCES: [(&str, &str, Option<&str>); 12] = [
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

impl ValidationError {
    fn of(fault: &FieldError) -> Self {
        let place = match fault.place {
            ParamLocation::Body => "body",
            ParamLocation::Query => "query",
            ParamLocation::Header => "header",
            ParamLocation::Path => "path",
        };
        let steps = fault.path.iter().map(|step| match step {
            PathSegment::Field(name) => Loc::Name(name.clone()),
            PathSegment::Item(at) => Loc::At(*at),
        });
        let loc = [Loc::Name(place.to_owned())].into_iter().chain(steps).collect();
        let (r#type, msg, ctx) = match &fault.trouble {
            FieldErrorKind::Missing => ("missing", "Field required".to_owned(), None),
            FieldErrorKind::Not(expected) => of_another_type(*expected),
            FieldErrorKind::Invalid(sentence) => will_not_do(sentence),
        };
        Self { r#type, loc, msg, ctx }
    }
}

type Said = (&'static str, String, Option<Value>);

fn of_another_type(expected: Expected) -> Said {
    let (kind, msg) = match expected {
        Expected::Text => ("string_type", "Input should be a valid string"),
        Expected::Integer => ("int_type", "Input should be a valid integer"),
        Expected::Number => ("float_type", "Input should be a valid number"),
        Expected::Boolean => ("bool_type", "Input should be a valid boolean"),
        Expected::List => ("list_type", "Input should be a valid list"),
        Expected::Object => {
            ("model_attributes_type", "Input should be a valid dictionary or object to extract fields from")
        }
    };
    (kind, msg.to_owned(), None)
}

fn will_not_do(sentence: &str) -> Said {
    let known = SENTENCES.iter().find_map(|known| sentence.strip_prefix(known.0).map(|rest| (known, rest)));
    let Some(((_, kind, context), rest)) = known else {
        return ("value_error", format!("Value error, {sentence}"), None);
    };
    let context = context.map(|name| {
        let number = rest.split(' ').next().and_then(|word| word.parse::<i64>().ok());
        Value::Object(Map::from_iter([(
            name.to_owned(),
            number.map_or_else(|| json!(rest.trim_matches('\'')), |number| json!(number)),
        )]))
    });
    (kind, sentence.to_owned(), context)
}

/// pydantic's `EmailStr`: an address, in its one form.
#[derive(Clone, Debug)]
pub(super) struct EmailStr(pub(super) Email);

impl<'de> Deserialize<'de> for EmailStr {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Email::parse(&text).map(Self).map_err(|bad| de::Error::custom(no_address(&text, bad)))
    }
}

/// Reads an address in the path.
pub(super) fn email(place: ParamLocation, name: &str, text: &str) -> Result<Email, Rejection> {
    Email::parse(text).map_err(|bad| bad_email(place, name, text, bad))
}

/// An address that will not do, wherever it was found out.
pub(super) fn bad_email(place: ParamLocation, name: &str, text: &str, bad: BadEmail) -> Rejection {
    Rejection::field(FieldError::new(place, name, FieldErrorKind::Invalid(no_address(text, bad))))
}

fn no_address(text: &str, bad: BadEmail) -> String {
    let text = text.trim();
    let reason = match bad {
        BadEmail::NoAt if text.starts_with('@') => "There must be something before the @-sign.",
        BadEmail::NoAt if text.ends_with('@') => "There must be something after the @-sign.",
        BadEmail::NoAt if text.contains('@') => "The part after the @-sign contains invalid characters: '@'.",
        BadEmail::Empty | BadEmail::NoAt => "An email address must have an @-sign.",
        BadEmail::Local | BadEmail::Domain if text.contains("..") => {
            "An email address cannot have two periods in a row."
        }
        BadEmail::Local => "The email address contains invalid characters before the @-sign.",
        BadEmail::Domain if text.rsplit('@').next().is_some_and(|domain| domain.contains('.')) => {
            "The part after the @-sign is not valid."
        }
        BadEmail::Domain => "The part after the @-sign is not valid. It should have a period.",
        BadEmail::TooLong => "The email address is too long.",
    };
    format!("value is not a valid email address: {reason}")
}

/// A new password that will not do, in the field in which it was chosen.
pub(super) fn weak_password(field: &str, weak: Weak) -> FieldError {
    let sentence = match weak {
        Weak::TooShort { min } => at_least(min),
        Weak::TooLong { max } => at_most(max),
        Weak::Common => "the password is one of the most common ones".to_owned(),
    };
    FieldError::new(ParamLocation::Body, field, FieldErrorKind::Invalid(sentence))
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

/// A text of so many characters.
#[derive(Clone, Debug)]
pub(super) struct Text<const MIN: usize, const MAX: usize>(pub(super) String);

impl<'de, const MIN: usize, const MAX: usize> Deserialize<'de> for Text<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        // Postgres has no place for it in a text.
        if text.contains('\0') {
            return Err(de::Error::custom("must not contain NUL"));
        }
        match text.chars().count() {
            few if few < MIN => Err(de::Error::custom(at_least(MIN))),
            many if many > MAX => Err(de::Error::custom(at_most(MAX))),
            _ => Ok(Self(text)),
        }
    }
}

/// A whole number in these bounds, read as laxly as pydantic reads one: from a text, from `1.0` and from a boolean too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Whole<const MIN: i64, const MAX: i64>(pub(super) i64);

impl<'de, const MIN: i64, const MAX: i64> Deserialize<'de> for Whole<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let number = from.deserialize_any(LaxInteger)?;
        if number < MIN {
            Err(de::Error::custom(format!("Input should be greater than or equal to {MIN}")))
        } else if number > MAX {
            Err(de::Error::custom(format!("Input should be less than or equal to {MAX}")))
        } else {
            Ok(Self(number))
        }
    }
}

struct LaxInteger;

impl Visitor<'_> for LaxInteger {
    type Value = i64;

    /// By this word the reading of fields knows what was expected.
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

/// A boolean, read as laxly as pydantic reads one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flag(pub(super) bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(LaxBoolean).map(Self)
    }
}

struct LaxBoolean;

fn no_boolean<E: de::Error>() -> E {
    E::custom("Input should be a valid boolean, unable to interpret input")
}

impl Visitor<'_> for LaxBoolean {
    type Value = bool;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a boolean")
    }

    fn visit_bool<E: de::Error>(self, yes: bool) -> Result<bool, E> {
        Ok(yes)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<bool, E> {
        u64::try_from(number).map_err(|_| no_boolean()).and_then(|number| self.visit_u64(number))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<bool, E> {
        if number < 2 { Ok(number == 1) } else { Err(no_boolean()) }
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<bool, E> {
        if number == 0.0 || number == 1.0 { Ok(number == 1.0) } else { Err(no_boolean()) }
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<bool, E> {
        match text.to_ascii_lowercase().as_str() {
            "1" | "true" | "t" | "yes" | "y" | "on" => Ok(true),
            "0" | "false" | "f" | "no" | "n" | "off" => Ok(false),
            _ => Err(no_boolean()),
        }
    }
}

#[cfg(test)]
mod tests;
