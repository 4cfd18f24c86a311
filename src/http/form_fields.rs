//! The fields of a query string or a form: names and values, in order. Knows nothing of what they mean.

use std::borrow::Cow;
use std::collections::HashSet;

use percent_encoding::percent_decode;
use serde::de::DeserializeOwned;

use super::json;
use super::rejection::{FieldError, FieldErrorKind, ParamLocation, Rejection};

/// The most fields of one query or form. The largest form that an API documents has eight; clients add a few of their
/// own. Without a bound, 64 KiB hold 32,000 fields with two allocations each.
pub(super) const MAX_FIELDS: usize = 64;

/// Why fields cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InvalidFields {
    /// A name or a value is not UTF-8 after decoding.
    NotUtf8,
    /// There are more than [`MAX_FIELDS`].
    TooMany,
}

/// Names and values in the order in which they were sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FormFields {
    location: Option<ParamLocation>,
    fields: Vec<(String, String)>,
}

impl FormFields {
    /// Parses `application/x-www-form-urlencoded`, the format of queries too, by WHATWG URL, 5.1, with one exception:
    /// text that is not UTF-8 after decoding is refused instead of replaced, so that no two passwords become the same.
    ///
    /// Stops at the first field beyond [`MAX_FIELDS`], without having decoded more.
    pub(super) fn parse_urlencoded(bytes: &[u8], location: ParamLocation) -> Result<Self, InvalidFields> {
        let decode = |piece: &[u8]| decode(piece).ok_or(InvalidFields::NotUtf8);
        let mut fields = Vec::new();
        for piece in bytes.split(|&byte| byte == b'&').filter(|piece| !piece.is_empty()) {
            if fields.len() == MAX_FIELDS {
                return Err(InvalidFields::TooMany);
            }
            let equals = memchr::memchr(b'=', piece).unwrap_or(piece.len());
            fields.push((decode(&piece[..equals])?, decode(piece.get(equals + 1..).unwrap_or_default())?));
        }
        Ok(Self { location: Some(location), fields })
    }

    pub(super) fn from_multipart(fields: Vec<(String, String)>) -> Self {
        Self { location: Some(ParamLocation::Body), fields }
    }

    /// The value of a name; if the name is repeated, the last value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().rev().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// A name that occurs more than once, which RFC 6749, 3.1 forbids in OAuth requests.
    pub fn repeated_name(&self) -> Option<&str> {
        let mut seen = HashSet::with_capacity(self.fields.len());
        self.fields.iter().map(|(name, _)| name.as_str()).find(|name| !seen.insert(*name))
    }

    /// Decodes one form-encoded value that stands outside of a form; `None` if it is not UTF-8 after that.
    pub fn decode(value: &str) -> Option<String> {
        decode(value.as_bytes())
    }

    /// All names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Deserializes the fields into a `T`, numbers and booleans from their text. Unknown names are ignored; if a name
    /// is repeated, the last value counts.
    ///
    /// # Errors
    /// [`Rejection::InvalidFields`] with every field error that was found.
    pub fn deserialize<T: DeserializeOwned>(&self) -> Result<T, Rejection> {
        json::parse_text_fields(self.iter(), self.location.unwrap_or(ParamLocation::Body))
    }
}

/// Decodes a form-encoded name or value; `None` if it is not UTF-8 after that.
fn decode(piece: &[u8]) -> Option<String> {
    let with_spaces: Vec<u8> = piece.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect();
    percent_decode(&with_spaces).decode_utf8().ok().map(Cow::into_owned)
}

impl InvalidFields {
    /// The rejection of a body.
    pub(super) fn in_body(self) -> Rejection {
        match self {
            Self::NotUtf8 => Rejection::malformed("a form field is not UTF-8", 0),
            Self::TooMany => Rejection::malformed(format!("the form has more than {MAX_FIELDS} fields"), 0),
        }
    }

    /// The rejection of a query.
    pub(super) fn in_query(self) -> Rejection {
        let reason = match self {
            Self::NotUtf8 => "is not UTF-8".to_owned(),
            Self::TooMany => format!("has more than {MAX_FIELDS} parameters"),
        };
        let kind = FieldErrorKind::Invalid(reason);
        Rejection::field(FieldError { location: ParamLocation::Query, path: Vec::new(), kind })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Vec<(String, String)> {
        FormFields::parse_urlencoded(text.as_bytes(), ParamLocation::Body).unwrap().fields
    }

    #[test]
    fn names_and_values_are_decoded() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        for (text, expected) in [
            ("", vec![]),
            ("&&", vec![]),
            ("a=1&b=2", vec![pair("a", "1"), pair("b", "2")]),
            ("a", vec![pair("a", "")]),
            ("a=b=c", vec![pair("a", "b=c")]),
            ("=x", vec![pair("", "x")]),
            ("user+name=a%2Bb%26c+d", vec![pair("user name", "a+b&c d")]),
            ("a=%C3%AB", vec![pair("a", "ë")]),
            ("a=100%&b=%zz", vec![pair("a", "100%"), pair("b", "%zz")]),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    #[test]
    fn fields_that_are_not_utf_8_are_refused() {
        let invalid = FormFields::parse_urlencoded(b"a=%ff", ParamLocation::Body).unwrap_err();
        assert!(matches!(invalid.in_body(), Rejection::MalformedBody { .. }));
        assert!(matches!(invalid.in_query(), Rejection::InvalidFields(_)));
    }

    #[test]
    fn a_form_with_too_many_fields_is_refused() {
        let names = |count: usize| (0..count).map(|name| format!("{name}=&")).collect::<String>();
        assert_eq!(parse(&names(MAX_FIELDS)).len(), MAX_FIELDS);
        // The text that follows is not decoded, or this would be the other error.
        let more = names(MAX_FIELDS) + "x=&y=%ff";
        assert_eq!(FormFields::parse_urlencoded(more.as_bytes(), ParamLocation::Body), Err(InvalidFields::TooMany));
        assert_eq!(parse(&"&".repeat(60_000)), [], "empty pieces are no fields");
    }

    #[test]
    fn the_last_value_counts_and_repetition_is_detected() {
        let fields = FormFields::parse_urlencoded(b"a=1&b=2&a=3", ParamLocation::Query).unwrap();
        assert_eq!(fields.get("a"), Some("3"));
        assert_eq!(fields.repeated_name(), Some("a"));
        assert_eq!(fields.get("c"), None);
        assert_eq!(FormFields::parse_urlencoded(b"a=1&b=2", ParamLocation::Query).unwrap().repeated_name(), None);
    }
}
