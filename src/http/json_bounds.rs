//! Bounds of a JSON text, applied in one pass before it is parsed, and bounds of its lists, applied while they are
//! parsed.
//!
//! A text of 64 KiB can hold 32,000 values, and parsed into a map each takes a hundred times its two bytes. So a text
//! with more values than any call needs is refused unparsed. Knows nothing of what the fields mean.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, SeqAccess, Visitor};

use super::rejection::Rejection;

/// Maximum number of values in one text, including those within lists and objects. A full batch of credentials has
/// little more than 1,024; all other bodies have fewer than a hundred.
pub(super) const MAX_VALUES: usize = 4 * 1024;

/// Maximum nesting of lists and objects. Documented bodies have two levels. Clients may send additional fields, which
/// are ignored and may be nested deeper.
const MAX_DEPTH: usize = 32;

/// Maximum length of a string in bytes, as it is written. A credential has at most 8 KiB, and a longer one is refused
/// for itself.
const MAX_STRING: usize = 128 * 1024;

/// Maximum length of a short string in bytes, as it is written. If a string stands where another type is expected,
/// serde_json formats the whole of it into an error that nobody reads, and escapes rare characters: a request with one
/// of 64 KiB took 12 ms. Access tokens are usually shorter.
pub(super) const MAX_SHORT_STRING: usize = 2 * 1024;

/// The strings of a text that is within the bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strings {
    /// None is longer than [`MAX_SHORT_STRING`].
    Short,
    /// At least one is.
    Long,
}

/// Checks a text against the bounds without parsing it: it only recognizes strings, to skip them. Invalid JSON may
/// pass.
pub(super) fn check(text: &[u8]) -> Result<Strings, Rejection> {
    if is_within_bounds_by_length(text) {
        return Ok(Strings::Short);
    }
    let (mut at, mut depth, mut values, mut strings) = (0, 0_usize, 1, Strings::Short);
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => {
                let length = string_length(&text[at + 1..]);
                // With its closing quote.
                if length > MAX_STRING + 1 {
                    return Err(Rejection::malformed(format!("a string of more than {MAX_STRING} bytes"), at));
                }
                if length > MAX_SHORT_STRING + 1 {
                    strings = Strings::Long;
                }
                at += length;
            }
            b'[' | b'{' => (depth, values) = (depth + 1, values + 1),
            b']' | b'}' => depth = depth.saturating_sub(1),
            // A value begins after each comma, and one more in each list and object that is not empty.
            b',' => values += 1,
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(Rejection::malformed(format!("nested deeper than {MAX_DEPTH} levels"), at));
        }
        if values > MAX_VALUES {
            return Err(Rejection::malformed(format!("more than {MAX_VALUES} values"), at));
        }
        at += 1;
    }
    Ok(strings)
}

/// A text shorter than a long string is below all bounds but that of depth, which takes a bracket for each level.
/// Nearly every body is one, with a bracket or two. The full check takes 420 of the 20,000 instructions of `/verify`.
fn is_within_bounds_by_length(text: &[u8]) -> bool {
    const { assert!(MAX_SHORT_STRING <= MAX_VALUES && MAX_SHORT_STRING <= MAX_STRING) };
    text.len() < MAX_SHORT_STRING && memchr::memchr2_iter(b'[', b'{', text).take(MAX_DEPTH + 1).count() <= MAX_DEPTH
}

/// The length of a string whose opening quote was read, with its closing quote.
fn string_length(text: &[u8]) -> usize {
    // Most strings have no escapes, and are skipped by the fastest search. One with many is read byte by byte, because
    // a search for each escape would cost more.
    let mut at = memchr::memchr2(b'"', b'\\', text).unwrap_or(text.len());
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}

/// Reads a list of at most `max` items. Items beyond are counted and not kept: the inner error is how many there are.
///
/// # Errors
/// Those of the items.
pub fn bounded_list<'de, T, D>(from: D, max: usize) -> Result<Result<Vec<T>, usize>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    struct List<T>(usize, PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for List<T> {
        type Value = Result<Vec<T>, usize>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a sequence")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Self::Value, A::Error> {
            let mut items = Vec::new();
            while items.len() < self.0 {
                match from.next_element()? {
                    Some(item) => items.push(item),
                    None => return Ok(Ok(items)),
                }
            }
            let mut length = items.len();
            while from.next_element::<IgnoredAny>()?.is_some() {
                length += 1;
            }
            Ok(if length > self.0 { Err(length) } else { Ok(items) })
        }
    }
    from.deserialize_seq(List(max, PhantomData))
}

/// A list of at most `MAX` items.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BoundedList<T, const MAX: usize>(pub Vec<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for BoundedList<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        bounded_list(from, MAX)?.map(Self).map_err(|_| D::Error::custom(format!("has more than {MAX} items")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_depth_are_bounded() {
        let list = |items: usize| format!("[{}1]", "1,".repeat(items - 1));
        // The list is a value too, and an item before the first comma is not counted apart from it.
        assert_eq!(check(list(MAX_VALUES - 1).as_bytes()), Ok(Strings::Short));
        assert!(matches!(check(list(MAX_VALUES).as_bytes()), Err(Rejection::MalformedBody { .. })));
        assert!(check("[{}".repeat(MAX_VALUES).as_bytes()).is_err());
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert_eq!(check(nested(MAX_DEPTH).as_bytes()), Ok(Strings::Short));
        assert!(check(nested(MAX_DEPTH + 1).as_bytes()).is_err());
        assert_eq!(
            check(format!("[{}]", [nested(2), nested(2), nested(2)].join(",")).as_bytes()),
            Ok(Strings::Short),
            "depth is not a sum"
        );
    }

    #[test]
    fn brackets_in_the_strings_of_a_short_text_do_not_count() {
        let text = format!(r#"{{"a":"{}"}}"#, "[".repeat(MAX_DEPTH + 1));
        assert!(!is_within_bounds_by_length(text.as_bytes()));
        assert_eq!(check(text.as_bytes()), Ok(Strings::Short));
    }

    #[test]
    fn strings_do_not_count() {
        for string in [r#"",,,[[[[{{""#, r#""\\""#, r#""\",[{""#, r#""\\\"[""#, r#""é\u0022,,""#, r#"",,"#, r#""\"#] {
            let text = format!("[{string}");
            assert_eq!(string_length(&text.as_bytes()[2..]), text.len() - 2, "{string}");
        }
        let long = format!("[\"{}\", \"{}\"]", ",[".repeat(MAX_VALUES), r"\\,".repeat(MAX_VALUES));
        assert_eq!(check(long.as_bytes()), Ok(Strings::Long));
    }

    #[test]
    fn strings_are_bounded() {
        let text = |length: usize| format!("[\"{}\"]", "a".repeat(length));
        assert_eq!(check(text(MAX_STRING).as_bytes()), Ok(Strings::Long));
        assert_eq!(check(text(MAX_SHORT_STRING).as_bytes()), Ok(Strings::Short));
        assert_eq!(check(text(MAX_SHORT_STRING + 1).as_bytes()), Ok(Strings::Long));
        assert!(matches!(check(text(MAX_STRING + 1).as_bytes()), Err(Rejection::MalformedBody { .. })));
        assert!(check(format!("[\"{}", r"\ud83d\ude00".repeat(MAX_STRING / 12 + 1)).as_bytes()).is_err());
    }

    #[test]
    fn lists_are_bounded_while_they_are_read() {
        let read = |text: &str| serde_json::from_str::<BoundedList<u8, 2>>(text).map(|list| list.0);
        assert!(read("[]").unwrap().is_empty());
        assert_eq!(read("[1,2]").unwrap(), [1, 2]);
        assert!(read("[1,2,3]").unwrap_err().to_string().starts_with("has more than 2 items"));
        // Items beyond the bound are not parsed.
        let count = |text: &str| bounded_list::<u8, _>(&mut serde_json::Deserializer::from_str(text), 2).unwrap();
        assert_eq!(count("[1,2,{},[]]"), Err(4));
        assert!(read("7").unwrap_err().to_string().contains("a sequence"));
    }
}
