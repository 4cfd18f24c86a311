//! Finds every field error of a value that cannot be deserialized into its type.
//!
//! Serde stops at the first error. So the value is deserialized repeatedly, each time with placeholders at the errors
//! that are already known: a placeholder satisfies any type, so the next pass reaches the next error. A value
//! deserialized with a placeholder is discarded. Types that validate their input (an email address, a number from 1)
//! may refuse a placeholder of the right type, so several placeholder variants are tried. Knows nothing of bodies.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{self, Deserialize, DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::rejection::{ExpectedType, FieldError, FieldErrorKind, ParamLocation, PathSegment, Rejection};

/// Each error costs one pass, so no more than these are reported.
const MAX_ERRORS: usize = 32;

/// The text of a placeholder, by variant.
const PLACEHOLDER_TEXTS: [&str; 4] = ["", "someone@example.org", "00000000-0000-0000-0000-000000000000", "1"];

/// The encoding of scalar values.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// JSON types.
    Json,
    /// Everything is text, including numbers and booleans.
    Text,
}

/// Deserializes `value` into a `T`, or returns all field errors.
pub(super) fn deserialize<'de, T: Deserialize<'de>>(
    value: &Value,
    location: ParamLocation,
    encoding: Encoding,
) -> Result<T, Rejection> {
    let mut errors: Vec<KnownError> = Vec::new();
    let rejection =
        |errors: Vec<KnownError>| Rejection::InvalidFields(errors.into_iter().map(|known| known.error).collect());
    loop {
        let node = Node { value: Some(value), path: Vec::new(), variant: 0, errors: &errors, encoding };
        let Stop { path, kind, .. } = match T::deserialize(node) {
            Ok(value) if errors.is_empty() => return Ok(value),
            Ok(_) => return Err(rejection(errors)),
            Err(stop) => stop,
        };
        let path = path.unwrap_or_default();
        match errors.iter().position(|known| path.starts_with(&known.error.path)) {
            Some(refused) if errors[refused].variant + 1 < PLACEHOLDER_TEXTS.len() => errors[refused].variant += 1,
            None if errors.len() < MAX_ERRORS => {
                errors.push(KnownError { error: FieldError { location, path, kind }, variant: 0 })
            }
            // No placeholder is accepted there, so errors behind it stay unknown.
            _ => return Err(rejection(errors)),
        }
    }
}

/// An error that was found, and the variant of the placeholder at its path.
struct KnownError {
    error: FieldError,
    variant: usize,
}

/// Where deserialization stopped, and why.
#[derive(Debug)]
struct Stop {
    path: Option<Vec<PathSegment>>,
    missing: Option<&'static str>,
    kind: FieldErrorKind,
}

impl Stop {
    fn new(kind: FieldErrorKind) -> Self {
        Self { path: None, missing: None, kind }
    }

    /// Sets the path unless an inner value has set it.
    fn at(mut self, path: &[PathSegment]) -> Self {
        if self.path.is_none() {
            let missing = self.missing.map(|name| PathSegment::Field(name.to_owned()));
            self.path = Some(path.iter().cloned().chain(missing).collect());
        }
        self
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl std::error::Error for Stop {}

impl de::Error for Stop {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(FieldErrorKind::Invalid(message.to_string()))
    }

    fn missing_field(field: &'static str) -> Self {
        Self { path: None, missing: Some(field), kind: FieldErrorKind::Missing }
    }

    /// Types that buffer their input (`flatten`, untagged enums) report the expected type only here.
    fn invalid_type(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let expected = expected.to_string();
        Self::new(match expected.as_str() {
            "a string" | "a borrowed string" => FieldErrorKind::WrongType(ExpectedType::Text),
            "a boolean" => FieldErrorKind::WrongType(ExpectedType::Boolean),
            "f32" | "f64" => FieldErrorKind::WrongType(ExpectedType::Number),
            "i8" | "i16" | "i32" | "i64" | "u8" | "u16" | "u32" | "u64" => {
                FieldErrorKind::WrongType(ExpectedType::Integer)
            }
            "a sequence" => FieldErrorKind::WrongType(ExpectedType::List),
            "a map" => FieldErrorKind::WrongType(ExpectedType::Object),
            _ => FieldErrorKind::Invalid(format!("must be {expected}")),
        })
    }

    /// Leaves out the value, which may be a secret.
    fn invalid_value(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::new(FieldErrorKind::Invalid(format!("is out of range: must be {expected}")))
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::new(FieldErrorKind::Invalid(format!("must be one of: {}", expected.join(", "))))
    }
}

/// A value to deserialize, and its path. `None` is a placeholder.
struct Node<'n> {
    value: Option<&'n Value>,
    path: Vec<PathSegment>,
    variant: usize,
    errors: &'n [KnownError],
    encoding: Encoding,
}

impl<'n> Node<'n> {
    fn child(&self, segment: PathSegment, value: Option<&'n Value>) -> Self {
        let path: Vec<PathSegment> = self.path.iter().cloned().chain([segment]).collect();
        let known = self.errors.iter().find(|known| known.error.path == path);
        let variant = known.map_or(self.variant, |known| known.variant);
        let value = value.filter(|_| known.is_none());
        Self { value, path, variant, errors: self.errors, encoding: self.encoding }
    }

    /// Deserializes the value. An error that the type reports afterwards, from its own validation, also belongs to this
    /// path.
    fn deserialize_with<'de, T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Stop> {
        let path = self.path.clone();
        seed.deserialize(self).map_err(|stop| stop.at(&path))
    }

    fn text(&self) -> Option<&'n str> {
        self.value.filter(|_| self.encoding == Encoding::Text).and_then(Value::as_str)
    }

    fn wrong_type<T>(&self, expected: ExpectedType) -> Result<T, Stop> {
        Err(Stop::new(FieldErrorKind::WrongType(expected)).at(&self.path))
    }

    fn integer<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        let number = |value: &Value| value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from));
        let number = match (self.value, self.text()) {
            (None, _) => Some(i128::from(self.variant > 0)),
            (_, Some(text)) => text.parse().ok(),
            (Some(value), None) => number(value),
        };
        match number {
            Some(number) => match (u64::try_from(number), i64::try_from(number)) {
                (Ok(number), _) => visitor.visit_u64(number),
                (_, Ok(number)) => visitor.visit_i64(number),
                _ => Err(Stop::new(FieldErrorKind::Invalid("is out of range".into()))),
            }
            .map_err(|stop: Stop| stop.at(&self.path)),
            None => self.wrong_type(ExpectedType::Integer),
        }
    }

    fn number<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        let number = match (self.value, self.text()) {
            (None, _) => Some(0.0),
            (_, Some(text)) => text.parse().ok(),
            (Some(value), None) => value.as_f64(),
        };
        match number {
            Some(number) => visitor.visit_f64(number).map_err(|stop: Stop| stop.at(&self.path)),
            None => self.wrong_type(ExpectedType::Number),
        }
    }

    fn object<'de, V: Visitor<'de>>(self, names: &'static [&'static str], visitor: V) -> Result<V::Value, Stop> {
        let object = match self.value {
            Some(Value::Object(object)) => Some(object),
            None => None,
            Some(_) => return self.wrong_type(ExpectedType::Object),
        };
        let entries = Entries::new(&self, object, names);
        visitor.visit_map(entries).map_err(|stop| stop.at(&self.path))
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
            None if self.variant == 1 => self.integer(visitor),
            None if self.variant > 1 => self.deserialize_str(visitor),
            None | Some(Value::Null) => visitor.visit_unit().map_err(|stop: Stop| stop.at(&self.path)),
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
            Some(boolean) => visitor.visit_bool(boolean).map_err(|stop: Stop| stop.at(&self.path)),
            None => self.wrong_type(ExpectedType::Boolean),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        match self.value.map_or(Some(PLACEHOLDER_TEXTS[self.variant]), Value::as_str) {
            Some(text) => visitor.visit_str(text).map_err(|stop: Stop| stop.at(&self.path)),
            None => self.wrong_type(ExpectedType::Text),
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
        let path = self.path.clone();
        visitor.visit_newtype_struct(self).map_err(|stop| stop.at(&path))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        let items = match self.value {
            Some(Value::Array(items)) => items.as_slice(),
            None => &[],
            Some(_) => return self.wrong_type(ExpectedType::List),
        };
        visitor.visit_seq(Items { node: &self, items, next: 0 }).map_err(|stop| stop.at(&self.path))
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
            Some(_) => return self.wrong_type(ExpectedType::Text),
        };
        let variant: StrDeserializer<'_, Stop> = variant.into_deserializer();
        visitor.visit_enum(variant).map_err(|stop| stop.at(&self.path))
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
        let node = self.node.child(PathSegment::Index(self.next), Some(item));
        self.next += 1;
        node.deserialize_with(seed).map(Some)
    }
}

/// The fields of an object, followed by placeholders for the fields known to be missing.
struct Entries<'n, 'p> {
    node: &'p Node<'n>,
    entries: std::vec::IntoIter<(&'n str, Option<&'n Value>)>,
    value: Option<(&'n str, Option<&'n Value>)>,
}

impl<'n, 'p> Entries<'n, 'p> {
    fn new(node: &'p Node<'n>, object: Option<&'n Map<String, Value>>, names: &'static [&'static str]) -> Self {
        let mut entries: Vec<_> = match object {
            Some(object) => object.iter().map(|(name, value)| (name.as_str(), Some(value))).collect(),
            None => names.iter().map(|name| (*name, None)).collect(),
        };
        for known in node.errors {
            if let Some((PathSegment::Field(name), parent)) = known.error.path.split_last()
                && parent == node.path
                && !entries.iter().any(|(present, _)| present == name)
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
            return Err(Stop::new(FieldErrorKind::Missing));
        };
        self.node.child(PathSegment::Field(name.to_owned()), value).deserialize_with(seed)
    }
}
