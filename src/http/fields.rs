//! Finds every fault of a value that did not become the type it was read into.
//!
//! Serde stops at the first fault. So a value is read again and again, each time with stand-ins where faults are known
//! already: a stand-in becomes whatever it is asked to be, which lets the reading go on to the next fault. What is read
//! with a stand-in is thrown away. Types that look at what they are given (an address, a number from 1) refuse a stand-in of
//! the right type too, so it takes one shape after the other. Knows nothing of bodies.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{self, Deserialize, DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::rejection::{Expected, FieldError, FieldErrorKind, ParamLocation, PathSegment, Rejection};

/// Each fault costs a reading, so whoever sends more is told of these.
const MOST_FAULTS: usize = 32;

/// What a stand-in says where a text is asked for: in each shape another.
const TEXTS: [&str; 4] = ["", "someone@example.org", "00000000-0000-0000-0000-000000000000", "1"];

/// How values are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Values {
    /// As JSON writes them.
    Typed,
    /// As texts, numbers and booleans too.
    Texts,
}

/// Reads `value` into a `T`, or names its faults.
pub(super) fn read<'de, T: Deserialize<'de>>(
    value: &Value,
    place: ParamLocation,
    values: Values,
) -> Result<T, Rejection> {
    let mut known: Vec<Known> = Vec::new();
    let told = |known: Vec<Known>| Rejection::Fields(known.into_iter().map(|known| known.fault).collect());
    loop {
        let node = Node { value: Some(value), at: Vec::new(), shape: 0, known: &known, values };
        let Stop { path, trouble, .. } = match T::deserialize(node) {
            Ok(read) if known.is_empty() => return Ok(read),
            Ok(_) => return Err(told(known)),
            Err(stop) => stop,
        };
        let path = path.unwrap_or_default();
        match known.iter().position(|known| path.starts_with(&known.fault.path)) {
            Some(refused) if known[refused].shape + 1 < TEXTS.len() => known[refused].shape += 1,
            None if known.len() < MOST_FAULTS => {
                known.push(Known { fault: FieldError { place, path, trouble }, shape: 0 })
            }
            // No stand-in will do there, so what lies behind it stays unknown.
            _ => return Err(told(known)),
        }
    }
}

/// A fault that was found, and the shape of the stand-in for what is at fault.
struct Known {
    fault: FieldError,
    shape: usize,
}

/// Where a reading stopped, and why.
#[derive(Debug)]
struct Stop {
    path: Option<Vec<PathSegment>>,
    missing: Option<&'static str>,
    trouble: FieldErrorKind,
}

impl Stop {
    fn of(trouble: FieldErrorKind) -> Self {
        Self { path: None, missing: None, trouble }
    }

    /// The innermost place that learns of it is where it is.
    fn at(mut self, at: &[PathSegment]) -> Self {
        if self.path.is_none() {
            let missing = self.missing.map(|name| PathSegment::Field(name.to_owned()));
            self.path = Some(at.iter().cloned().chain(missing).collect());
        }
        self
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.trouble.fmt(f)
    }
}

impl std::error::Error for Stop {}

impl de::Error for Stop {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::of(FieldErrorKind::Invalid(message.to_string()))
    }

    fn missing_field(field: &'static str) -> Self {
        Self { path: None, missing: Some(field), trouble: FieldErrorKind::Missing }
    }

    /// Types that buffer before they read (`flatten`, untagged enums) say only here what they expected.
    fn invalid_type(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let expected = expected.to_string();
        Self::of(match expected.as_str() {
            "a string" | "a borrowed string" => FieldErrorKind::Not(Expected::Text),
            "a boolean" => FieldErrorKind::Not(Expected::Boolean),
            "f32" | "f64" => FieldErrorKind::Not(Expected::Number),
            "i8" | "i16" | "i32" | "i64" | "u8" | "u16" | "u32" | "u64" => FieldErrorKind::Not(Expected::Integer),
            "a sequence" => FieldErrorKind::Not(Expected::List),
            "a map" => FieldErrorKind::Not(Expected::Object),
            _ => FieldErrorKind::Invalid(format!("must be {expected}")),
        })
    }

    /// Without the value itself, which may be a secret.
    fn invalid_value(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::of(FieldErrorKind::Invalid(format!("is out of range: must be {expected}")))
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::of(FieldErrorKind::Invalid(format!("must be one of: {}", expected.join(", "))))
    }
}

/// A value on its way into a type, and the way to it. `None`: a stand-in.
struct Node<'n> {
    value: Option<&'n Value>,
    at: Vec<PathSegment>,
    shape: usize,
    known: &'n [Known],
    values: Values,
}

impl<'n> Node<'n> {
    fn child(&self, step: PathSegment, value: Option<&'n Value>) -> Self {
        let at: Vec<PathSegment> = self.at.iter().cloned().chain([step]).collect();
        let known = self.known.iter().find(|known| known.fault.path == at);
        let shape = known.map_or(self.shape, |known| known.shape);
        Self { value: value.filter(|_| known.is_none()), at, shape, known: self.known, values: self.values }
    }

    /// A type may find fault with a value after it has been read: that is this value's fault too.
    fn read_by<'de, T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Stop> {
        let at = self.at.clone();
        seed.deserialize(self).map_err(|stop| stop.at(&at))
    }

    fn text(&self) -> Option<&'n str> {
        self.value.filter(|_| self.values == Values::Texts).and_then(Value::as_str)
    }

    fn not<T>(&self, expected: Expected) -> Result<T, Stop> {
        Err(Stop::of(FieldErrorKind::Not(expected)).at(&self.at))
    }

    fn integer<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        let number = |value: &Value| value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from));
        let number = match (self.value, self.text()) {
            (None, _) => Some(i128::from(self.shape > 0)),
            (_, Some(text)) => text.parse().ok(),
            (Some(value), None) => number(value),
        };
        match number {
            Some(number) => match (u64::try_from(number), i64::try_from(number)) {
                (Ok(number), _) => visitor.visit_u64(number),
                (_, Ok(number)) => visitor.visit_i64(number),
                _ => Err(Stop::of(FieldErrorKind::Invalid("is out of range".into()))),
            }
            .map_err(|stop: Stop| stop.at(&self.at)),
            None => self.not(Expected::Integer),
        }
    }

    fn number<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        let number = match (self.value, self.text()) {
            (None, _) => Some(0.0),
            (_, Some(text)) => text.parse().ok(),
            (Some(value), None) => value.as_f64(),
        };
        match number {
            Some(number) => visitor.visit_f64(number).map_err(|stop: Stop| stop.at(&self.at)),
            None => self.not(Expected::Number),
        }
    }

    fn object<'de, V: Visitor<'de>>(self, names: &'static [&'static str], visitor: V) -> Result<V::Value, Stop> {
        let object = match self.value {
            Some(Value::Object(object)) => Some(object),
            None => None,
            Some(_) => return self.not(Expected::Object),
        };
        let entries = Entries::of(&self, object, names);
        visitor.visit_map(entries).map_err(|stop| stop.at(&self.at))
    }
}

macro_rules! forward {
    ($to:ident: $($name:ident)*) => {
        $(fn $name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
            self.$to(visitor)
        })*
    };
}

impl<'de> de::Deserializer<'de> for Node<'_> {
    type Error = Stop;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        match self.value {
            None if self.shape == 1 => self.integer(visitor),
            None if self.shape > 1 => self.deserialize_str(visitor),
            None | Some(Value::Null) => visitor.visit_unit().map_err(|stop: Stop| stop.at(&self.at)),
            Some(Value::Bool(_)) => self.deserialize_bool(visitor),
            Some(Value::Number(number)) if number.is_f64() => self.number(visitor),
            Some(Value::Number(_)) => self.integer(visitor),
            Some(Value::String(_)) => self.deserialize_str(visitor),
            Some(Value::Array(_)) => self.deserialize_seq(visitor),
            Some(Value::Object(_)) => self.object(&[], visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        let boolean = match (self.value, self.text()) {
            (None, _) => Some(false),
            (_, Some("true" | "1")) => Some(true),
            (_, Some("false" | "0")) => Some(false),
            (Some(value), _) => value.as_bool(),
        };
        match boolean {
            Some(boolean) => visitor.visit_bool(boolean).map_err(|stop: Stop| stop.at(&self.at)),
            None => self.not(Expected::Boolean),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        match self.value.map_or(Some(TEXTS[self.shape]), Value::as_str) {
            Some(text) => visitor.visit_str(text).map_err(|stop: Stop| stop.at(&self.at)),
            None => self.not(Expected::Text),
        }
    }

    forward!(integer: deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64);
    forward!(integer: deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64);
    forward!(number: deserialize_f32 deserialize_f64);
    forward!(deserialize_str: deserialize_string deserialize_char deserialize_identifier);
    forward!(deserialize_str: deserialize_bytes deserialize_byte_buf);

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        match self.value {
            None | Some(Value::Null) => visitor.visit_none(),
            Some(_) => visitor.visit_some(self),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        self.deserialize_any(visitor)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Stop> {
        self.deserialize_any(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Stop> {
        let at = self.at.clone();
        visitor.visit_newtype_struct(self).map_err(|stop| stop.at(&at))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        let items = match self.value {
            Some(Value::Array(items)) => items.as_slice(),
            None => &[],
            Some(_) => return self.not(Expected::List),
        };
        visitor.visit_seq(Items { node: &self, items, next: 0 }).map_err(|stop| stop.at(&self.at))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Stop> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(self, _: &'static str, _: usize, to: V) -> Result<V::Value, Stop> {
        self.deserialize_seq(to)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        self.object(&[], visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.object(names, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        let variant = match self.value {
            Some(Value::String(variant)) => variant,
            None => variants.first().copied().unwrap_or_default(),
            Some(_) => return self.not(Expected::Text),
        };
        let variant: StrDeserializer<'_, Stop> = variant.into_deserializer();
        visitor.visit_enum(variant).map_err(|stop| stop.at(&self.at))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        visitor.visit_unit()
    }
}

struct Items<'n, 'p> {
    node: &'p Node<'n>,
    items: &'n [Value],
    next: usize,
}

impl<'de> SeqAccess<'de> for Items<'_, '_> {
    type Error = Stop;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Stop> {
        let Some(item) = self.items.get(self.next) else { return Ok(None) };
        let node = self.node.child(PathSegment::Item(self.next), Some(item));
        self.next += 1;
        node.read_by(seed).map(Some)
    }
}

/// An object's fields, and after them those that are known to be missing, as stand-ins.
struct Entries<'n, 'p> {
    node: &'p Node<'n>,
    entries: std::vec::IntoIter<(&'n str, Option<&'n Value>)>,
    value: Option<(&'n str, Option<&'n Value>)>,
}

impl<'n, 'p> Entries<'n, 'p> {
    fn of(node: &'p Node<'n>, object: Option<&'n Map<String, Value>>, names: &'static [&'static str]) -> Self {
        let mut entries: Vec<_> = match object {
            Some(object) => object.iter().map(|(name, value)| (name.as_str(), Some(value))).collect(),
            None => names.iter().map(|name| (*name, None)).collect(),
        };
        for known in node.known {
            if let Some((PathSegment::Field(name), parent)) = known.fault.path.split_last()
                && parent == node.at
                && !entries.iter().any(|(there, _)| there == name)
            {
                entries.push((name, None));
            }
        }
        Self { node, entries: entries.into_iter(), value: None }
    }
}

impl<'de> MapAccess<'de> for Entries<'_, '_> {
    type Error = Stop;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Stop> {
        self.value = self.entries.next();
        let Some((name, _)) = self.value else { return Ok(None) };
        seed.deserialize(IntoDeserializer::<Stop>::into_deserializer(name)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Stop> {
        let Some((name, value)) = self.value.take() else {
            return Err(Stop::of(FieldErrorKind::Missing));
        };
        self.node.child(PathSegment::Field(name.to_owned()), value).read_by(seed)
    }
}
