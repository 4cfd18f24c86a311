//! JSON, read strictly: what implementations could read differently is refused. Knows nothing of tokens.
//!
//! Refused are two members of one name in an object, at any depth; half of a character, which an escape can make;
//! numbers beyond those of a double; and more than 127 levels of objects and lists. `serde_json` refuses the last three
//! in everything that it does not skip.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// The largest whole number that all implementations read as the same: 2⁵³ − 1.
pub(crate) const MAX_INTEGER: i64 = (1 << 53) - 1;

/// Parses a text in which each object has each name once.
pub(crate) fn parse<'a, T: Deserialize<'a>>(json: &'a [u8]) -> serde_json::Result<T> {
    serde_json::from_slice::<AnyValue>(json)?;
    serde_json::from_slice(json)
}

/// Any value. It is read and not skipped, because only then all of it is checked.
pub(crate) struct AnyValue;

impl<'de> Deserialize<'de> for AnyValue {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(AnyVisitor)
    }
}

struct AnyVisitor;

impl<'de> Visitor<'de> for AnyVisitor {
    type Value = AnyValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON in which each object has each name once")
    }

    fn visit_unit<E>(self) -> Result<AnyValue, E> {
        Ok(AnyValue)
    }

    fn visit_bool<E>(self, _: bool) -> Result<AnyValue, E> {
        Ok(AnyValue)
    }

    fn visit_i64<E>(self, _: i64) -> Result<AnyValue, E> {
        Ok(AnyValue)
    }

    fn visit_u64<E>(self, _: u64) -> Result<AnyValue, E> {
        Ok(AnyValue)
    }

    fn visit_f64<E>(self, _: f64) -> Result<AnyValue, E> {
        Ok(AnyValue)
    }

    fn visit_str<E>(self, _: &str) -> Result<AnyValue, E> {
        Ok(AnyValue)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<AnyValue, A::Error> {
        while list.next_element::<AnyValue>()?.is_some() {}
        Ok(AnyValue)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<AnyValue, A::Error> {
        let mut names = Names::default();
        while let Some(name) = object.next_key::<Text<'_>>()? {
            names.add(name)?;
            object.next_value::<AnyValue>()?;
        }
        Ok(AnyValue)
    }
}

/// The names of an object's members so far.
#[derive(Default)]
pub(crate) struct Names<'a>(BTreeSet<Cow<'a, str>>);

impl<'a> Names<'a> {
    /// Fails if there is a member of this name already.
    pub(crate) fn add<E: Error>(&mut self, name: Text<'a>) -> Result<(), E> {
        if self.0.insert(name.0) { Ok(()) } else { Err(E::custom("duplicate member")) }
    }
}

/// Reads the value of a member that must not have one yet.
pub(crate) fn read_once<'de, T, A>(into: &mut Option<T>, object: &mut A) -> Result<(), A::Error>
where
    T: Deserialize<'de>,
    A: MapAccess<'de>,
{
    if into.is_some() {
        return Err(A::Error::custom("duplicate member"));
    }
    *into = Some(object.next_value()?);
    Ok(())
}

/// A string, borrowed from the JSON unless it contains escapes. (`Option<Cow<str>>` would always be copied.)
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text<'a>(pub Cow<'a, str>);

impl std::ops::Deref for Text<'_> {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_str(TextVisitor)
    }
}

pub(crate) struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }
}

/// A whole number from −(2⁵³ − 1) to 2⁵³ − 1, written without a fraction and an exponent.
#[derive(Clone, Copy)]
pub(crate) struct Integer(pub(crate) i64);

impl<'de> Deserialize<'de> for Integer {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let number = i64::deserialize(from)?;
        if (-MAX_INTEGER..=MAX_INTEGER).contains(&number) { Ok(Self(number)) } else { Err(Error::custom("too large")) }
    }
}

/// Parses a member that may be absent, but not null: with `#[serde(default)]`.
pub(crate) fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_accepted(json: &str) -> bool {
        parse::<AnyValue>(json.as_bytes()).is_ok()
    }

    #[test]
    fn duplicate_members_are_refused_at_any_depth() {
        for json in ["{}", r#"{"a":{"a":[{"a":1},{"a":1}]},"b":null}"#, r#"[1,-1,1.5,true,"x"]"#] {
            assert!(is_accepted(json), "{json}");
        }
        for json in [r#"{"a":1,"a":1}"#, r#"{"a":1,"\u0061":1}"#, r#"[{"x":[{"b":1,"c":{},"b":1}]}]"#] {
            assert!(!is_accepted(json), "{json}");
        }
    }

    #[test]
    fn json_that_other_parsers_read_differently_is_refused() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(is_accepted(&nested(127)) && !is_accepted(&nested(128)));
        assert!(is_accepted("1e308") && !is_accepted("1e309") && !is_accepted(&"9".repeat(400)));
        assert!(is_accepted(r#""\ud83d\ude00""#) && !is_accepted(r#""\ud83d""#) && !is_accepted(r#"{"\ude00":1}"#));
        assert!(!is_accepted("NaN") && !is_accepted("") && !is_accepted("{}{}"));
    }

    #[test]
    fn integers_are_written_as_such() {
        let integer = |json: &str| serde_json::from_str::<Integer>(json).ok().map(|number| number.0);
        assert_eq!(integer("9007199254740991"), Some(MAX_INTEGER));
        assert_eq!(integer("-9007199254740991"), Some(-MAX_INTEGER));
        for json in ["9007199254740992", "-9007199254740992", "1.0", "1e3", "-0", "\"1\"", "null"] {
            assert_eq!(integer(json), None, "{json}");
        }
    }
}
