//! Names and values: what a query and a form are made of.

use percent_encoding::percent_decode;
use serde::de::DeserializeOwned;

use super::json;
use super::rejection::{ParamLocation, Rejection};

/// Names and values in the order in which they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FormFields {
    place: Option<ParamLocation>,
    pairs: Vec<(String, String)>,
}

impl FormFields {
    /// Reads `application/x-www-form-urlencoded`, which a query is as well (WHATWG URL, 5.1), but for one thing: what is not
    /// UTF-8 once decoded is refused rather than replaced, so that no two passwords become one.
    pub(super) fn urlencoded(bytes: &[u8], place: ParamLocation) -> Result<Self, Rejection> {
        let decode = |piece: &[u8]| {
            let spaced: Vec<u8> = piece.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect();
            let decoded = percent_decode(&spaced).decode_utf8().map(|text| text.into_owned());
            decoded.map_err(|_| Rejection::unreadable("a form field is not UTF-8", 0))
        };
        let pairs = bytes.split(|&byte| byte == b'&').filter(|piece| !piece.is_empty()).map(|piece| {
            let at = memchr::memchr(b'=', piece).unwrap_or(piece.len());
            Ok((decode(&piece[..at])?, decode(piece.get(at + 1..).unwrap_or_default())?))
        });
        Ok(Self { place: Some(place), pairs: pairs.collect::<Result<_, _>>()? })
    }

    pub(super) fn form(pairs: Vec<(String, String)>) -> Self {
        Self { place: Some(ParamLocation::Body), pairs }
    }

    /// The value of that name; the last, where there are several.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A name that is there more than once, which RFC 6749, 3.1 forbids in its own requests.
    pub fn repeated(&self) -> Option<&str> {
        let repeats = |at: usize, name: &str| self.pairs[..at].iter().any(|(earlier, _)| earlier == name);
        self.pairs.iter().enumerate().find(|(at, (name, _))| repeats(*at, name)).map(|(_, (name, _))| name.as_str())
    }

    /// All names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Reads them into a `T`, numbers and booleans from their text; unknown names are ignored, of several values the last counts.
    ///
    /// # Errors
    /// [`Rejection::Fields`] with every fault that could be found.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Rejection> {
        json::read_texts(self.iter(), self.place.unwrap_or(ParamLocation::Body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, String)> {
        FormFields::urlencoded(text.as_bytes(), ParamLocation::Body).unwrap().pairs
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
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_utf_8_is_refused() {
        assert!(matches!(FormFields::urlencoded(b"a=%ff", ParamLocation::Body), Err(Rejection::Unreadable { .. })));
    }

    #[test]
    fn the_last_of_several_counts_and_repetition_is_seen() {
        let pairs = FormFields::urlencoded(b"a=1&b=2&a=3", ParamLocation::Query).unwrap();
        assert_eq!(pairs.get("a"), Some("3"));
        assert_eq!(pairs.repeated(), Some("a"));
        assert_eq!(pairs.get("c"), None);
        assert_eq!(FormFields::urlencoded(b"a=1&b=2", ParamLocation::Query).unwrap().repeated(), None);
    }
}
