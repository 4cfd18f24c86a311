//! JSON bodies. Reports every field error that can be found, not only the first.
//!
//! A valid body is parsed once, directly into its type. Only if that fails, or if a string is so long that an error of
//! serde_json about it would be expensive, `field_errors` reads it to find every error; that costs more, so it is
//! bounded. Knows nothing of what the fields mean.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, Visitor};
use serde_json::Value;

use super::field_errors::{self, Encoding};
use super::json_bounds::{self, Strings};
use super::rejection::{ExpectedType, FieldError, FieldErrorKind, ParamLocation, Rejection};

/// A `Content-Type` is JSON: `application/json`, or any type with the suffix `+json` (RFC 6839, 3.1).
pub fn is_json_media_type(content_type: &str) -> bool {
    // Nearly every client writes it like this.
    if content_type == "application/json" {
        return true;
    }
    let essence = media_type_essence(content_type);
    let suffix = || essence.len().checked_sub("+json".len()).and_then(|at| essence.get(at..)).unwrap_or_default();
    essence.eq_ignore_ascii_case("application/json")
        || (essence.contains('/') && suffix().eq_ignore_ascii_case("+json"))
}

pub use super::json_bounds::{BoundedList, bounded_list};
pub use super::json_single_field::single_string_field;

/// The media type of a `Content-Type` without its parameters.
pub(super) fn media_type_essence(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

/// Parses a JSON object into a `T`. Unknown fields are ignored; if a field is repeated, the last value counts.
///
/// To borrow from the body, use `Cow<str>`: a `&str` cannot hold an escaped string.
///
/// # Errors
/// [`Rejection::MalformedBody`] if it is not JSON in UTF-8, is too deep or has too many values,
/// [`Rejection::InvalidFields`] if it is not a `T`.
pub fn parse<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Result<T, Rejection> {
    let text = std::str::from_utf8(body)
        .map_err(|error| Rejection::malformed("the body is not UTF-8", error.valid_up_to()))?;
    let strings = json_bounds::check(body)?;
    // serde would read a list into a struct by position, so only an object is accepted.
    let is_object = text.bytes().find(|byte| !byte.is_ascii_whitespace()) == Some(b'{');
    // serde_json reports an enum that is not a string as a syntax error, so the kind of error is known only after
    // parsing into a `Value`. The errors of `field_errors` repeat no values, so it reads long strings at once.
    if is_object
        && strings == Strings::Short
        && let Ok(value) = serde_json::from_str(text)
    {
        return Ok(value);
    }
    if text.trim_ascii().is_empty() {
        return Err(whole_body(FieldErrorKind::Missing));
    }
    match serde_json::from_str(text) {
        Ok(value @ Value::Object(_)) => field_errors::deserialize(&value, ParamLocation::Body, Encoding::Json),
        Ok(_) => Err(whole_body(FieldErrorKind::WrongType(ExpectedType::Object))),
        Err(error) => Err(syntax_error(&error, text)),
    }
}

/// The worker that received a body parses it if it is not larger, which takes a fraction of a millisecond. A body of
/// megabytes takes milliseconds, and more if it consists of escapes or is invalid: see [`parse_on_thread`].
pub const MAX_ON_WORKER: usize = 64 * 1024;

/// Parses a body on another thread, so that the worker serves its other requests meanwhile. `parse` calls [`parse()`]
/// and makes the result own its parts.
///
/// # Errors
/// Those of `parse`, and [`Rejection::Overloaded`] if the process is ending.
pub async fn parse_on_thread<T: Send + 'static>(
    body: Bytes,
    parse: impl FnOnce(&[u8]) -> Result<T, Rejection> + Send + 'static,
) -> Result<T, Rejection> {
    tokio::task::spawn_blocking(move || parse(&body)).await.unwrap_or(Err(Rejection::Overloaded))
}

/// A string that borrows from the body unless it has escapes, within lists too: serde borrows a `Cow<str>` only where
/// it is a field itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text<'a>(pub Cow<'a, str>);

impl AsRef<str> for Text<'_> {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Cow<'de, str>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Cow::Borrowed(text))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Cow::Owned(text.to_owned()))
            }
        }
        from.deserialize_str(TextVisitor).map(Self)
    }
}

/// Distinguishes a missing field (`None`) from null (`Some(None)`); use with `#[serde(default)]`.
///
/// # Errors
/// Those of the field's own type.
pub fn double_option<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(from).map(Some)
}

/// Deserializes names and texts, as in queries and forms, into a `T`.
pub(super) fn parse_text_fields<'p, 'de, T: Deserialize<'de>>(
    fields: impl Iterator<Item = (&'p str, &'p str)>,
    location: ParamLocation,
) -> Result<T, Rejection> {
    let object = fields.map(|(name, value)| (name.to_owned(), Value::String(value.to_owned()))).collect();
    field_errors::deserialize(&Value::Object(object), location, Encoding::Text)
}

fn whole_body(kind: FieldErrorKind) -> Rejection {
    Rejection::field(FieldError { location: ParamLocation::Body, path: Vec::new(), kind })
}

/// serde_json's message for a syntax error quotes nothing of the body, so it is safe to return.
fn syntax_error(error: &serde_json::Error, text: &str) -> Rejection {
    let message = error.to_string();
    let detail = message.split(" at line ").next().unwrap_or(&message);
    let line_start: usize = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    Rejection::malformed(detail, (line_start + error.column().saturating_sub(1)).min(text.len()))
}

#[cfg(test)]
mod long_strings;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::PathSegment;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct SignIn<'b> {
        #[serde(borrow)]
        email: Cow<'b, str>,
        password: String,
        tries: u8,
        #[serde(default)]
        remember: bool,
        totp_code: Option<String>,
    }

    fn field_errors(body: &str) -> Vec<String> {
        match parse::<SignIn<'_>>(body.as_bytes()) {
            Err(Rejection::InvalidFields(errors)) => errors.iter().map(ToString::to_string).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_valid_body_is_parsed_without_copying() {
        let body = br#" {"email":"a@b.example","password":"x","tries":3,"unknown":[1,{"a":2}]}"#;
        let read: SignIn<'_> = parse(body).unwrap();
        assert!(matches!(read.email, Cow::Borrowed("a@b.example")));
        assert_eq!((read.tries, read.remember, read.totp_code), (3, false, None));
    }

    #[test]
    fn a_text_in_a_list_is_not_copied_unless_it_has_escapes() {
        #[derive(serde::Deserialize)]
        struct Batch<'b> {
            #[serde(borrow)]
            tokens: BoundedList<Text<'b>, 2>,
        }
        let read: Batch<'_> = parse(br#"{"tokens":["a","b\n"]}"#).unwrap();
        assert!(matches!(&read.tokens.0[..], [Text(Cow::Borrowed("a")), Text(Cow::Owned(b))] if b == "b\n"));
        for (body, expected) in [
            (r#"{"tokens":["a","b","c"]}"#, "body.tokens has more than 2 items"),
            (r#"{"tokens":["a",1]}"#, "body.tokens[1] must be a string"),
            (r#"{"tokens":"a"}"#, "body.tokens must be a list"),
        ] {
            let Err(Rejection::InvalidFields(errors)) = parse::<Batch<'_>>(body.as_bytes()) else { panic!("{body}") };
            assert_eq!(errors.iter().map(ToString::to_string).collect::<Vec<_>>(), [expected]);
        }
    }

    #[tokio::test]
    async fn parsing_on_a_thread_does_not_stall_the_worker() {
        use std::sync::mpsc::sync_channel;
        // Parsing ends only after the worker has done something else.
        let (worker_goes_on, wait) = sync_channel(1);
        let parse_slowly = move |body: &[u8]| {
            wait.recv().unwrap();
            parse::<Value>(body)
        };
        let mut parsing = Box::pin(parse_on_thread(Bytes::from(r#"{"a":1}"#), parse_slowly));
        assert!(futures_util::poll!(&mut parsing).is_pending());
        worker_goes_on.send(()).unwrap();
        assert_eq!(parsing.await.unwrap()["a"], 1);
        let result = parse_on_thread(Bytes::from("{"), |body: &[u8]| parse::<Value>(body)).await;
        assert!(matches!(result, Err(Rejection::MalformedBody { .. })), "{result:?}");
    }

    #[test]
    fn every_field_error_is_reported() {
        assert_eq!(field_errors("{}"), ["body.email is missing", "body.password is missing", "body.tries is missing"]);
        assert_eq!(
            field_errors(r#"{"email":1,"password":null,"tries":"3","remember":"yes","totp_code":[]}"#),
            [
                "body.email must be a string",
                "body.password must be a string",
                "body.remember must be true or false",
                "body.totp_code must be a string",
                "body.tries must be a whole number",
            ]
        );
        assert_eq!(
            field_errors(r#"{"password":"x","tries":1.5}"#),
            ["body.tries must be a whole number", "body.email is missing"]
        );
    }

    #[test]
    fn errors_behind_a_refused_value_are_reported_too() {
        struct Address;
        impl<'de> Deserialize<'de> for Address {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = String::deserialize(from)?;
                text.contains('@').then_some(Self).ok_or_else(|| serde::de::Error::custom("is no address"))
            }
        }
        #[derive(serde::Deserialize)]
        struct Form {
            #[serde(rename = "address")]
            _address: Address,
            #[serde(rename = "count")]
            _count: std::num::NonZero<u8>,
            #[serde(rename = "who")]
            _who: Who,
            #[serde(rename = "zeal")]
            _zeal: bool,
        }
        #[derive(serde::Deserialize)]
        struct Who {
            #[serde(rename = "address")]
            _address: Address,
        }
        let Err(Rejection::InvalidFields(errors)) = parse::<Form>(br#"{"address":"x","count":"1","who":3,"zeal":"x"}"#)
        else {
            panic!("read")
        };
        let shown: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "body.address is no address",
                "body.count must be a whole number",
                "body.who must be an object",
                "body.zeal must be true or false"
            ]
        );
    }

    #[test]
    fn a_wide_value_with_many_errors_is_read_a_few_times() {
        #[derive(serde::Deserialize)]
        struct Form {
            #[serde(rename = "counts")]
            _counts: Vec<std::num::NonZero<u8>>,
        }
        // Each zero ends a pass, which begins with the ones.
        let body = format!(r#"{{"counts":[{}{}1]}}"#, "1,".repeat(4000), "0,".repeat(30));
        let Err(Rejection::InvalidFields(errors)) = parse::<Form>(body.as_bytes()) else { panic!("read") };
        assert!((1..10).contains(&errors.len()), "{errors:?}");
    }

    #[test]
    fn a_number_out_of_range_is_invalid_not_of_another_type() {
        let Err(Rejection::InvalidFields(errors)) = parse::<SignIn<'_>>(br#"{"email":"","password":"","tries":256}"#)
        else {
            panic!("read")
        };
        assert!(matches!(&errors[..], [FieldError { kind: FieldErrorKind::Invalid(_), .. }]), "{errors:?}");
    }

    #[test]
    fn an_enum_that_is_not_a_string_is_a_field_error() {
        #[derive(Debug, serde::Deserialize)]
        struct Outer {
            #[serde(rename = "kind")]
            _kind: Kind,
        }
        #[derive(Debug, serde::Deserialize)]
        enum Kind {
            One,
        }
        assert!(matches!(parse::<Outer>(br#"{"kind":"One"}"#), Ok(Outer { _kind: Kind::One })));
        for value in ["null", "7", "[]", "true"] {
            let Err(Rejection::InvalidFields(errors)) = parse::<Outer>(format!("{{\"kind\":{value}}}").as_bytes())
            else {
                panic!("{value}")
            };
            assert_eq!(errors.iter().map(ToString::to_string).collect::<Vec<_>>(), ["body.kind must be a string"]);
        }
    }

    #[test]
    fn a_nested_field_error_has_its_path() {
        #[derive(Debug, serde::Deserialize)]
        struct Outer {
            #[serde(rename = "items")]
            _items: Vec<Inner>,
        }
        #[derive(Debug, serde::Deserialize)]
        struct Inner {
            #[serde(rename = "name")]
            _name: String,
        }
        let Err(Rejection::InvalidFields(errors)) = parse::<Outer>(br#"{"items":[{"name":"a"},{},{"name":3},7]}"#)
        else {
            panic!("read")
        };
        let shown: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            ["body.items[1].name is missing", "body.items[2].name must be a string", "body.items[3] must be an object"]
        );
        assert_eq!(errors[0].path[..2], [PathSegment::Field("items".into()), PathSegment::Index(1)]);
    }

    #[test]
    fn the_last_of_repeated_fields_counts() {
        let body = br#"{"email":"one","password":"x","tries":1,"email":"two"}"#;
        assert_eq!(parse::<SignIn<'_>>(body).unwrap().email, "two");
    }

    #[test]
    fn a_body_must_be_an_object() {
        assert_eq!(field_errors("[\"a@b.example\",\"x\",3]"), ["body must be an object"]);
        assert_eq!(field_errors("null"), ["body must be an object"]);
        assert_eq!(field_errors("  "), ["body is missing"]);
    }

    #[test]
    fn a_syntax_error_has_its_offset() {
        for (body, expected) in [
            (&b"{"[..], 1),
            (b"{\"email\":}", 9),
            (b"{\n\"email\": x}", 11),
            (b"{\"a\":1,}", 7),
            (b"{} x", 3),
            (b"\xef\xbb\xbf{}", 0),
            (b"{\"email\":\"\xff\"}", 10),
            (b"{\"email\":\"a\nb\"}", 12),
            (b"nonsense", 1),
        ] {
            match parse::<SignIn<'_>>(body) {
                Err(Rejection::MalformedBody { at, .. }) => {
                    assert!(at.abs_diff(expected) <= 1, "{:?}: at {at}", String::from_utf8_lossy(body));
                }
                other => panic!("{:?}: {other:?}", String::from_utf8_lossy(body)),
            }
        }
    }

    #[test]
    fn deep_nesting_is_refused() {
        let deep = format!("{{\"email\":{}", "[".repeat(60_000));
        assert!(parse::<SignIn<'_>>(deep.as_bytes()).is_err());
        let ignored = format!("{{\"other\":{}{}}}", "[".repeat(30_000), "]".repeat(30_000));
        assert!(parse::<SignIn<'_>>(ignored.as_bytes()).is_err());
    }

    #[test]
    fn json_media_types_are_recognized() {
        for yes in ["application/json", "Application/JSON ; charset=utf-8", "application/problem+json"] {
            assert!(is_json_media_type(yes), "{yes}");
        }
        for no in ["", "text/json", "application/jsonp", "application/x-www-form-urlencoded", "+json"] {
            assert!(!is_json_media_type(no), "{no}");
        }
    }
}
