//! The fields of one record, whether it was JSON or a row of CSV.
//!
//! In CSV every value is text, and lists and objects are JSON within the text, so the accessors accept both forms.

use std::borrow::Cow;

use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use zeroize::Zeroizing;

use super::reason::Reason;
use crate::clock::Timestamp;

/// The texts that programs write into CSV in place of an absent value.
const NULLS: &[&str] = &["null", "NULL", "\\N"];

/// A record's fields. Absent, null and empty are the same.
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    pub(super) fn new(object: Map<String, Value>) -> Self {
        Self(object)
    }

    pub(super) fn from_json(text: &[u8]) -> Result<Self, Reason> {
        serde_json::from_slice(text).map(Self).map_err(|error| Reason::invalid(format!("not a JSON object: {error}")))
    }

    /// A row of CSV, with the names of its columns. A row may have fields after the last column if they are empty.
    pub(super) fn from_row<N: AsRef<str>>(columns: &[N], row: &[Zeroizing<Vec<u8>>]) -> Result<Self, Reason> {
        if row.len() < columns.len() || row.iter().skip(columns.len()).any(|field| !field.is_empty()) {
            return Err(Reason::invalid(format!("{} fields instead of {}", row.len(), columns.len())));
        }
        let mut object = Map::new();
        for (column, field) in columns.iter().zip(row) {
            let text = std::str::from_utf8(field).map_err(|_| Reason::invalid("not UTF-8"))?;
            if !text.is_empty() && !NULLS.contains(&text) {
                object.insert(column.as_ref().to_owned(), Value::String(text.to_owned()));
            }
        }
        Ok(Self(object))
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, Reason> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            Some(_) => Err(Reason::invalid(format!("{name} is not text"))),
        }
    }

    /// A boolean; `false` if there is none.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Reason> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(Value::String(text)) => match text.as_str() {
                "true" | "t" => Ok(true),
                "false" | "f" | "" => Ok(false),
                _ => Err(Reason::invalid(format!("{name} is neither true nor false"))),
            },
            Some(_) => Err(Reason::invalid(format!("{name} is neither true nor false"))),
        }
    }

    /// An object; empty if there is none.
    pub(super) fn object(&self, name: &str) -> Result<Map<String, Value>, Reason> {
        let parsed = self.parsed(name)?;
        match parsed.as_deref() {
            None => Ok(Map::new()),
            Some(Value::Object(object)) => Ok(object.clone()),
            Some(_) => Err(Reason::invalid(format!("{name} is not an object"))),
        }
    }

    /// A list; empty if there is none.
    pub(super) fn list(&self, name: &str) -> Result<Vec<Value>, Reason> {
        let parsed = self.parsed(name)?;
        match parsed.as_deref() {
            None => Ok(Vec::new()),
            Some(Value::Array(list)) => Ok(list.clone()),
            Some(_) => Err(Reason::invalid(format!("{name} is not a list"))),
        }
    }

    /// A list of objects.
    pub(super) fn objects(&self, name: &str) -> Result<Vec<Self>, Reason> {
        let object = |value| match value {
            Value::Object(object) => Ok(Self(object)),
            _ => Err(Reason::invalid(format!("{name} has an element that is not an object"))),
        };
        self.list(name)?.into_iter().map(object).collect()
    }

    /// The texts in a list.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<String>, Reason> {
        let text = |value| match value {
            Value::String(text) => Ok(text),
            _ => Err(Reason::invalid(format!("{name} has an element that is not text"))),
        };
        self.list(name)?.into_iter().map(text).collect()
    }

    /// A time: RFC 3339, Postgres' form of it, or milliseconds since 1970.
    pub(super) fn time(&self, name: &str) -> Result<Option<Timestamp>, Reason> {
        let time = match self.0.get(name) {
            Some(Value::Number(number)) => number.as_i64(),
            _ => match self.text(name)? {
                None => return Ok(None),
                Some(text) => text.parse().ok().or_else(|| parse_time(text)),
            },
        };
        // Until the year 9999, the last that RFC 3339 can write.
        let valid = time.filter(|millis| (0..253_402_300_800_000).contains(millis));
        valid
            .map(|millis| Some(Timestamp::from_millis(millis)))
            .ok_or_else(|| Reason::invalid(format!("{name} is not a time")))
    }

    /// A number that may be text.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        match self.0.get(name)? {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        }
    }

    fn parsed(&self, name: &str) -> Result<Option<Cow<'_, Value>>, Reason> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => {
                let value = serde_json::from_str(text).map_err(|_| Reason::invalid(format!("{name} is not JSON")))?;
                Ok(Some(Cow::Owned(value)))
            }
            Some(value) => Ok(Some(Cow::Borrowed(value))),
        }
    }
}

/// Milliseconds since 1970. Postgres writes `2024-01-31 12:00:00.5+00`.
fn parse_time(text: &str) -> Option<i64> {
    let mut text = text.replacen(' ', "T", 1);
    let zone = text.rfind(['+', '-']).filter(|at| text.get(..*at).is_some_and(|time| time.contains(':')));
    match zone.map(|at| text.len() - at) {
        Some(3) => text.push_str(":00"),
        // `+0000`.
        Some(5) => text.insert(text.len() - 2, ':'),
        _ => {}
    }
    let moment = OffsetDateTime::parse(&text, &Rfc3339).ok()?;
    Some((moment.unix_timestamp_nanos() / 1_000_000) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_all_forms() {
        for (value, expected) in [
            ("\"2024-01-31T12:00:00.500Z\"", 1_706_702_400_500),
            ("\"2024-01-31 12:00:00.5+00\"", 1_706_702_400_500),
            ("\"2024-01-31 14:00:00.5+02:00\"", 1_706_702_400_500),
            ("\"2024-01-31 14:00:00.5+0200\"", 1_706_702_400_500),
            ("1706702400500", 1_706_702_400_500),
            ("\"1706702400500\"", 1_706_702_400_500),
        ] {
            let fields = Fields::from_json(format!("{{\"t\":{value}}}").as_bytes()).ok().unwrap();
            assert_eq!(fields.time("t"), Ok(Some(Timestamp::from_millis(expected))), "{value}");
        }
        for value in ["true", "\"yesterday\"", "-5", "\"2024-01-31\"", "1e300", "9999999999999999"] {
            let fields = Fields::from_json(format!("{{\"t\":{value}}}").as_bytes()).ok().unwrap();
            assert!(fields.time("t").is_err(), "{value}");
        }
    }

    #[test]
    fn fields_of_csv_are_those_of_json() {
        let row = |values: &[&str]| values.iter().map(|v| Zeroizing::new(v.as_bytes().to_vec())).collect::<Vec<_>>();
        let columns = ["a", "b", "c", "d"];
        let fields = Fields::from_row(&columns, &row(&["x", "t", "{\"k\":[1]}", "null", ""])).ok().unwrap();
        assert_eq!((fields.text("a"), fields.flag("b"), fields.text("d")), (Ok(Some("x")), Ok(true), Ok(None)));
        assert_eq!(fields.object("c").unwrap()["k"][0], 1);
        assert!(Fields::from_row(&columns, &row(&["x"])).is_err());
        assert!(Fields::from_row(&columns, &row(&["x", "", "", "", "more"])).is_err());
    }
}
