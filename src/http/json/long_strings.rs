//! Tests of bodies with long strings: the same values as with short ones, and no error that repeats them.

use std::cell::Cell;
use std::collections::HashMap;
use std::marker::PhantomData;

use super::*;
use crate::http::json_bounds::MAX_SHORT_STRING;

thread_local! {
    static LONGEST_ERROR: Cell<usize> = const { Cell::new(0) };
}

/// A `T` that notes the length of the error by which it is refused.
struct Probe<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Probe<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let result = T::deserialize(from);
        if let Err(error) = &result {
            LONGEST_ERROR.set(LONGEST_ERROR.get().max(error.to_string().len()));
        }
        result.map(|_| Self(PhantomData))
    }
}

/// The length of the longest error while this string is refused as a `T`.
fn longest_error<T: for<'de> Deserialize<'de>>(string: &str) -> usize {
    LONGEST_ERROR.set(0);
    let body = format!(r#"{{"value":"{string}"}}"#);
    let result = parse::<HashMap<String, Probe<T>>>(body.as_bytes());
    assert!(matches!(result, Err(Rejection::InvalidFields(_))));
    LONGEST_ERROR.get()
}

#[test]
fn errors_do_not_repeat_long_strings() {
    #[derive(serde::Deserialize)]
    enum Kind {
        One,
    }
    #[derive(serde::Deserialize)]
    struct Inner {
        #[serde(rename = "kind")]
        _kind: Kind,
    }
    // Written as `\u{e000}`: eight bytes instead of three.
    let rare = |bytes: usize| "\u{e000}".repeat(bytes / 3);
    type LongestError = fn(&str) -> usize;
    let types: [(&str, LongestError); 7] = [
        ("list", longest_error::<Vec<u8>>),
        ("bounded list", longest_error::<BoundedList<u8, 2>>),
        ("map", longest_error::<HashMap<String, u8>>),
        ("object", longest_error::<Inner>),
        ("boolean", longest_error::<Option<bool>>),
        ("integer", longest_error::<u64>),
        ("enum", longest_error::<Kind>),
    ];
    for (of_type, longest_error_of) in types {
        let short = longest_error_of(&rare(MAX_SHORT_STRING));
        assert!((MAX_SHORT_STRING / 2..4 * MAX_SHORT_STRING).contains(&short), "{of_type}: {short}");
        let long = longest_error_of(&rare(63 * 1024));
        assert!(long < 64, "{of_type}: {long}");
    }
}

#[test]
fn long_strings_are_parsed_like_short_ones() {
    let long = "é".repeat(MAX_SHORT_STRING);
    let body = format!(r#"{{"a":["{long}","\n"],"b":["c"]}}"#);
    let read: HashMap<String, BoundedList<Text<'_>, 2>> = parse(body.as_bytes()).unwrap();
    let texts = |name: &str| read[name].0.iter().map(AsRef::as_ref).collect::<Vec<&str>>();
    assert_eq!((texts("a"), texts("b")), (vec![&*long, "\n"], vec!["c"]));
}
