//! Custom claims: a JSON object that an administrator gives a user, of which access tokens carry the members that their
//! audience lists.
//!
//! Checked once, when they are set. The stored form is compact JSON, and its members are copied into tokens byte for
//! byte. Knows nothing of users, sessions or audiences.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde::ser::{Error as _, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::config::reserved_claim;

/// The largest object, as compact JSON. Every session stores it, and it may be in every token, which travels in a header
/// field: a third more in base64, and the strictest proxies limit a field to 4 KiB.
pub const MAX_LENGTH: usize = 1024;

/// The deepest nesting of objects and lists, the object itself included. Services flatten claims or compare them.
pub const MAX_DEPTH: usize = 4;

/// The most values, at all levels together.
pub const MAX_VALUES: usize = 64;

/// Checked custom claims. May be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomClaims(String);

/// Why claims are not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CustomClaimsError {
    /// Not a JSON object.
    #[error("must be a JSON object")]
    NotAnObject,
    /// A name is empty.
    #[error("must not contain an empty name")]
    EmptyName,
    /// Signet sets this claim itself, or it has a meaning for libraries.
    #[error("must not contain {0:?}, which is reserved")]
    Reserved(&'static str),
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("must not be nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// More than [`MAX_VALUES`].
    #[error("must not contain more than {MAX_VALUES} values")]
    TooMany,
    /// Longer than [`MAX_LENGTH`].
    #[error("must not be longer than {MAX_LENGTH} bytes as compact JSON")]
    TooLong,
}

impl CustomClaims {
    /// Checks an object.
    pub fn new(object: &Map<String, Value>) -> Result<Self, CustomClaimsError> {
        for name in object.keys() {
            if name.is_empty() {
                return Err(CustomClaimsError::EmptyName);
            }
            if let Some(reserved) = reserved_claim(name) {
                return Err(CustomClaimsError::Reserved(reserved));
            }
        }
        let mut values = 0;
        check_values(object.values(), 1, &mut values)?;
        let text = serde_json::to_string(object).map_err(|_| CustomClaimsError::NotAnObject)?;
        if text.len() > MAX_LENGTH { Err(CustomClaimsError::TooLong) } else { Ok(Self(text)) }
    }

    /// The claims that [`into_stored`](Self::into_stored) made this text of.
    pub fn from_stored(stored: Option<&str>) -> Self {
        stored.map_or_else(Self::default, |stored| Self(stored.to_owned()))
    }

    /// The text to store; `None` if there are no claims.
    pub fn into_stored(self) -> Option<String> {
        (self.0 != "{}").then_some(self.0)
    }

    /// True if there are no claims.
    pub fn is_empty(&self) -> bool {
        self.0 == "{}"
    }

    /// The claims as compact JSON.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Checks the values of a list or an object at `depth`. Recursive: the depth is bounded before each step.
fn check_values<'a>(
    level: impl Iterator<Item = &'a Value>,
    depth: usize,
    values: &mut usize,
) -> Result<(), CustomClaimsError> {
    if depth > MAX_DEPTH {
        return Err(CustomClaimsError::TooDeep);
    }
    for value in level {
        *values += 1;
        if *values > MAX_VALUES {
            return Err(CustomClaimsError::TooMany);
        }
        match value {
            Value::Array(items) => check_values(items.iter(), depth + 1, values)?,
            Value::Object(members) => check_values(members.values(), depth + 1, values)?,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    Ok(())
}

impl Default for CustomClaims {
    fn default() -> Self {
        Self("{}".to_owned())
    }
}

impl FromStr for CustomClaims {
    type Err = CustomClaimsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(&serde_json::from_str(text).map_err(|_| CustomClaimsError::NotAnObject)?)
    }
}

impl<'de> Deserialize<'de> for CustomClaims {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::new(&Map::deserialize(from)?).map_err(D::Error::custom)
    }
}

/// As the object, not as text.
impl Serialize for CustomClaims {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        serde_json::from_str::<&RawValue>(&self.0).map_err(S::Error::custom)?.serialize(to)
    }
}

/// Appends the members of `stored` that `listed` names, as [`serialize_extra_claims`] writes them, to those of a token.
/// Costs nothing if there are no claims or none is listed, which is how most tokens are issued.
///
/// [`serialize_extra_claims`]: super::access::serialize_extra_claims
pub fn append_listed(stored: &str, listed: &[String], to: &mut Cow<'_, str>) -> Result<(), serde_json::Error> {
    if stored.is_empty() || listed.is_empty() {
        return Ok(());
    }
    let mut from = serde_json::Deserializer::from_str(stored);
    from.deserialize_map(AppendListed { listed, to })
}

struct AppendListed<'a, 't> {
    listed: &'a [String],
    to: &'a mut Cow<'t, str>,
}

impl<'de> Visitor<'de> for AppendListed<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some((name, value)) = members.next_entry::<String, &RawValue>()? {
            if self.listed.contains(&name) {
                let to = self.to.to_mut();
                to.push(',');
                to.push_str(&serde_json::to_string(&name).map_err(A::Error::custom)?);
                to.push(':');
                to.push_str(value.get());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RESERVED_CLAIMS;

    fn parse(text: &str) -> Result<String, String> {
        text.parse::<CustomClaims>().map(|claims| claims.0).map_err(|error| error.to_string())
    }

    #[test]
    fn claims_are_kept_as_compact_json() {
        assert_eq!(
            parse(r#" {"b": [1, {"c": null}], "a": "\u00e9 \u0000"} "#).unwrap(),
            r#"{"a":"é \u0000","b":[1,{"c":null}]}"#
        );
        assert_eq!(parse("{}").unwrap(), "{}");
        assert_eq!("{}".parse::<CustomClaims>().unwrap().into_stored(), None);
        assert!(CustomClaims::from_stored(None).is_empty());
        let stored = r#"{"plan":"pro"}"#;
        assert_eq!(CustomClaims::from_stored(Some(stored)).into_stored().as_deref(), Some(stored));
        assert_eq!(serde_json::to_string(&[CustomClaims::from_stored(Some(stored))]).unwrap(), format!("[{stored}]"));
    }

    #[test]
    fn reserved_and_empty_names_are_refused() {
        for name in RESERVED_CLAIMS.into_iter().flatten() {
            assert!(parse(&format!(r#"{{"plan":"pro","{name}":1}}"#)).unwrap_err().contains("reserved"), "{name}");
            assert!(parse(&format!(r#"{{"plan":{{"{name}":1}}}}"#)).is_ok(), "within another claim: {name}");
        }
        assert!(parse(r#"{"":1}"#).unwrap_err().contains("empty name"));
        assert!(parse(r#"{"Sub":1,"sub ":1}"#).is_ok(), "claim names are compared exactly (RFC 7519, 4)");
    }

    #[test]
    fn length_depth_and_values_are_bounded() {
        let text = |length: usize| format!(r#"{{"a":"{}"}}"#, "x".repeat(length - 8));
        assert_eq!(parse(&text(MAX_LENGTH)).unwrap().len(), MAX_LENGTH);
        assert!(parse(&text(MAX_LENGTH + 1)).unwrap_err().contains("1024 bytes"));
        let nested = |depth: usize| format!(r#"{{"a":{}{}}}"#, "[".repeat(depth - 1), "]".repeat(depth - 1));
        assert!(parse(&nested(MAX_DEPTH)).is_ok());
        assert!(parse(&nested(MAX_DEPTH + 1)).unwrap_err().contains("4 levels"));
        assert!(parse(&nested(100_000)).is_err());
        let values = |count: usize| format!(r#"{{"a":[{}1]}}"#, "1,".repeat(count - 2));
        assert!(parse(&values(MAX_VALUES)).is_ok());
        assert!(parse(&values(MAX_VALUES + 1)).unwrap_err().contains("64 values"));
        for other in ["", "[]", "1", "null", "{", r#"{"a":1}x"#, r#"{"a":1e999}"#] {
            assert_eq!(parse(other).unwrap_err(), "must be a JSON object", "{other}");
        }
    }

    #[test]
    fn only_listed_members_are_appended() {
        let stored = r#"{"a\"b":{"c":[1,2]},"plan":"pro","seats":3}"#;
        let append = |stored: &str, listed: &[&str]| {
            let listed: Vec<String> = listed.iter().map(|name| (*name).to_owned()).collect();
            let mut claims = Cow::Borrowed(r#","email":"a@example.org""#);
            append_listed(stored, &listed, &mut claims).unwrap();
            claims.into_owned()
        };
        assert_eq!(append(stored, &["plan"]), r#","email":"a@example.org","plan":"pro""#);
        assert_eq!(append(stored, &["seats", "a\"b"]), r#","email":"a@example.org","a\"b":{"c":[1,2]},"seats":3"#);
        for (stored, listed) in [("", ["plan"]), (stored, ["email"])] {
            assert_eq!(append(stored, &listed), r#","email":"a@example.org""#);
        }
        assert_eq!(append(stored, &[]), r#","email":"a@example.org""#);
    }
}
