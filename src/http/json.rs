//! JSON bodies: what is wrong with one is said as far as it can be found, not up to the first fault.
//!
//! A good body is read once, straight into its type. Only where that fails is it read again, by `fields`, to
//! name every fault; that costs more, so it is bounded. Knows nothing of what fields mean.

use serde::de::{Deserialize, Deserializer};
use serde_json::Value;

use super::fields;
use super::rejection::{Expected, FieldError, FieldErrorKind, ParamLocation, Rejection};

/// Whether a `Content-Type` says JSON: `application/json`, or anything `+json` (RFC 6839, 3.1).
pub fn is_media_type(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let suffix = || essence.len().checked_sub("+json".len()).and_then(|at| essence.get(at..)).unwrap_or_default();
    essence.eq_ignore_ascii_case("application/json")
        || (essence.contains('/') && suffix().eq_ignore_ascii_case("+json"))
}

/// Reads a JSON object into a `T`. Unknown fields are ignored; of a field that is there twice the last counts.
///
/// To borrow from the body, use `Cow<str>`: a `&str` cannot hold an escaped string.
///
/// # Errors
/// [`Rejection::Unreadable`] if it is not JSON in UTF-8, [`Rejection::Fields`] if it is not a `T`.
pub fn read<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Result<T, Rejection> {
    let text = std::str::from_utf8(body)
        .map_err(|error| Rejection::unreadable("the body is not UTF-8", error.valid_up_to()))?;
    // A list is no object, though serde would read one into a struct, by position.
    let begins_object = text.bytes().find(|byte| !byte.is_ascii_whitespace()) == Some(b'{');
    // serde_json calls it bad syntax that an enum is no text, so what is wrong is only known by reading it as it is.
    if begins_object && let Ok(value) = serde_json::from_str(text) {
        return Ok(value);
    }
    if text.trim_ascii().is_empty() {
        return Err(whole(FieldErrorKind::Missing));
    }
    match serde_json::from_str(text) {
        Ok(value @ Value::Object(_)) => fields::read(&value, ParamLocation::Body, fields::Values::Typed),
        Ok(_) => Err(whole(FieldErrorKind::Not(Expected::Object))),
        Err(error) => Err(syntax(&error, text)),
    }
}

/// A field that says nothing if it is left out, and that there is nothing if it is null; with `#[serde(default)]`.
///
/// # Errors
/// Those of the field's own type.
pub fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(from).map(Some)
}

/// Reads names and texts, as queries and forms have them, into a `T`.
pub(super) fn read_texts<'p, 'de, T: Deserialize<'de>>(
    pairs: impl Iterator<Item = (&'p str, &'p str)>,
    place: ParamLocation,
) -> Result<T, Rejection> {
    let object = pairs.map(|(name, value)| (name.to_owned(), Value::String(value.to_owned()))).collect();
    fields::read(&Value::Object(object), place, fields::Values::Texts)
}

fn whole(trouble: FieldErrorKind) -> Rejection {
    Rejection::field(FieldError { place: ParamLocation::Body, path: Vec::new(), trouble })
}

/// What serde_json says of a syntax error quotes nothing of the body.
fn syntax(error: &serde_json::Error, text: &str) -> Rejection {
    let said = error.to_string();
    let detail = said.split(" at line ").next().unwrap_or(&said);
    let line_start: usize = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    Rejection::unreadable(detail, (line_start + error.column().saturating_sub(1)).min(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::PathSegment;
    use std::borrow::Cow;

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

    fn faults(body: &str) -> Vec<String> {
        match read::<SignIn<'_>>(body.as_bytes()) {
            Err(Rejection::Fields(faults)) => faults.iter().map(ToString::to_string).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_good_body_is_read_without_copying() {
        let body = br#" {"email":"a@b.example","password":"x","tries":3,"unknown":[1,{"a":2}]}"#;
        let read: SignIn<'_> = read(body).unwrap();
        assert!(matches!(read.email, Cow::Borrowed("a@b.example")));
        assert_eq!((read.tries, read.remember, read.totp_code), (3, false, None));
    }

    #[test]
    fn every_fault_is_found_at_once() {
        assert_eq!(faults("{}"), ["body.email is missing", "body.password is missing", "body.tries is missing"]);
        assert_eq!(
            faults(r#"{"email":1,"password":null,"tries":"3","remember":"yes","totp_code":[]}"#),
            [
                "body.email must be a string",
                "body.password must be a string",
                "body.remember must be true or false",
                "body.totp_code must be a string",
                "body.tries must be a whole number",
            ]
        );
        assert_eq!(
            faults(r#"{"password":"x","tries":1.5}"#),
            ["body.tries must be a whole number", "body.email is missing"]
        );
    }

    #[test]
    fn behind_a_value_that_its_type_refuses_faults_are_found_too() {
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
        let Err(Rejection::Fields(faults)) = read::<Form>(br#"{"address":"x","count":"1","who":3,"zeal":"x"}"#) else {
            panic!("read")
        };
        let shown: Vec<String> = faults.iter().map(ToString::to_string).collect();
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
    fn a_number_out_of_range_is_invalid_rather_than_of_another_type() {
        let Err(Rejection::Fields(faults)) = read::<SignIn<'_>>(br#"{"email":"","password":"","tries":256}"#) else {
            panic!("read")
        };
        assert!(matches!(&faults[..], [FieldError { trouble: FieldErrorKind::Invalid(_), .. }]), "{faults:?}");
    }

    #[test]
    fn a_choice_that_is_no_text_is_a_fault_of_its_field() {
        #[derive(Debug, serde::Deserialize)]
        struct Outer {
            #[serde(rename = "kind")]
            _kind: Kind,
        }
        #[derive(Debug, serde::Deserialize)]
        enum Kind {
            One,
        }
        assert!(matches!(read::<Outer>(br#"{"kind":"One"}"#), Ok(Outer { _kind: Kind::One })));
        for value in ["null", "7", "[]", "true"] {
            let Err(Rejection::Fields(faults)) = read::<Outer>(format!("{{\"kind\":{value}}}").as_bytes()) else {
                panic!("{value}")
            };
            assert_eq!(faults.iter().map(ToString::to_string).collect::<Vec<_>>(), ["body.kind must be a string"]);
        }
    }

    #[test]
    fn a_fault_further_in_is_named_by_its_way() {
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
        let Err(Rejection::Fields(faults)) = read::<Outer>(br#"{"items":[{"name":"a"},{},{"name":3},7]}"#) else {
            panic!("read")
        };
        let shown: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            ["body.items[1].name is missing", "body.items[2].name must be a string", "body.items[3] must be an object"]
        );
        assert_eq!(faults[0].path[..2], [PathSegment::Field("items".into()), PathSegment::Item(1)]);
    }

    #[test]
    fn of_a_field_that_is_there_twice_the_last_counts() {
        let body = br#"{"email":"one","password":"x","tries":1,"email":"two"}"#;
        assert_eq!(read::<SignIn<'_>>(body).unwrap().email, "two");
    }

    #[test]
    fn what_is_no_object_is_said_to_be_none() {
        assert_eq!(faults("[\"a@b.example\",\"x\",3]"), ["body must be an object"]);
        assert_eq!(faults("null"), ["body must be an object"]);
        assert_eq!(faults("  "), ["body is missing"]);
    }

    #[test]
    fn what_is_no_json_is_unreadable_where_it_breaks() {
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
            match read::<SignIn<'_>>(body) {
                Err(Rejection::Unreadable { at, .. }) => {
                    assert!(at.abs_diff(expected) <= 1, "{:?}: at {at}", String::from_utf8_lossy(body));
                }
                other => panic!("{:?}: {other:?}", String::from_utf8_lossy(body)),
            }
        }
    }

    #[test]
    fn deep_nesting_does_no_harm() {
        let deep = format!("{{\"email\":{}", "[".repeat(60_000));
        assert!(read::<SignIn<'_>>(deep.as_bytes()).is_err());
        let ignored = format!("{{\"other\":{}{}}}", "[".repeat(30_000), "]".repeat(30_000));
        assert!(read::<SignIn<'_>>(ignored.as_bytes()).is_err());
    }

    #[test]
    fn media_types() {
        for yes in ["application/json", "Application/JSON ; charset=utf-8", "application/problem+json"] {
            assert!(is_media_type(yes), "{yes}");
        }
        for no in ["", "text/json", "application/jsonp", "application/x-www-form-urlencoded", "+json"] {
            assert!(!is_media_type(no), "{no}");
        }
    }
}
