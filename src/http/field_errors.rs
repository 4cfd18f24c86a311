//! Finds every field error of a value that cannot be deserialized into its type.
//!
//! Serde stops at the first error. So a value of the wrong type is noted and replaced by a placeholder, which satisfies
//! any type, and the reading goes on. An error that a type reports itself (an address without `@`) and a missing field
//! end the reading. Then the value is read again, with placeholders at the errors that are already known, so that the
//! next pass reaches the next error. Values that were read with a placeholder are discarded. Types that validate their
//! input (an email address, a number from 1) may refuse a placeholder of the right type, so several placeholder
//! variants are tried. Knows nothing of bodies.

mod stop;

use std::borrow::Cow;
use std::cell::{Cell, RefCell};

use serde::de::value::StrDeserializer;
use serde::de::{self, Deserialize, DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use self::stop::{Path, Segment, Stop, is_same, to_owned};
use super::json_bounds::MAX_VALUES;
use super::rejection::{ExpectedType, FieldError, FieldErrorKind, ParamLocation, PathSegment, Rejection};

/// The most errors that are reported: nobody reads more, and some cost a pass each.
const MAX_ERRORS: usize = 32;

/// After so many values, counted over all passes, the value is not read again, and the errors found so far are
/// reported: a wide value with many errors costs no more than a few passes. A value of twenty fields is read more than
/// a thousand times before that.
const MAX_VISITS: usize = 8 * MAX_VALUES;

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
    let found = Found { errors: RefCell::default(), visits: Cell::new(0), location, encoding };
    loop {
        let result = T::deserialize(Node::new(&found, None, Some(value), 0));
        let mut errors = found.errors.borrow_mut();
        let Stop { path, kind, .. } = match result {
            Ok(value) if errors.is_empty() => return Ok(value),
            Ok(_) => return Err(rejection(&mut errors)),
            Err(stop) => stop,
        };
        let path = path.unwrap_or_default();
        match errors.iter().position(|known| path.starts_with(&known.error.path)) {
            Some(refused) if errors[refused].variant + 1 < PLACEHOLDER_TEXTS.len() => errors[refused].variant += 1,
            None if errors.len() < MAX_ERRORS => {
                errors.push(KnownError { error: FieldError { location, path, kind }, variant: 0 })
            }
            // No placeholder is accepted there, so errors behind it stay unknown.
            _ => return Err(rejection(&mut errors)),
        }
        if found.visits.get() > MAX_VISITS {
            return Err(rejection(&mut errors));
        }
    }
}

fn rejection(errors: &mut Vec<KnownError>) -> Rejection {
    Rejection::InvalidFields(errors.drain(..).map(|known| known.error).collect())
}

/// State shared by all passes over one value.
struct Found {
    errors: RefCell<Vec<KnownError>>,
    visits: Cell<usize>,
    location: ParamLocation,
    encoding: Encoding,
}

/// An error that was found, and the variant of the placeholder at its path.
struct KnownError {
    error: FieldError,
    variant: usize,
}

/// A value to deserialize, and its path. `None` is a placeholder.
struct Node<'n, 'p> {
    value: Option<&'n Value>,
    path: Option<&'p Path<'p>>,
    variant: usize,
    found: &'n Found,
}

impl<'n, 'p> Node<'n, 'p> {
    /// A placeholder takes the place of a value with a known error. `variant` is that of the parent.
    fn new(found: &'n Found, path: Option<&'p Path<'p>>, value: Option<&'n Value>, variant: usize) -> Self {
        found.visits.set(found.visits.get() + 1);
        let errors = found.errors.borrow();
        let known = errors.iter().find(|known| is_same(&known.error.path, path));
        let variant = known.map_or(variant, |known| known.variant);
        let value = value.filter(|_| known.is_none());
        Self { value, path, variant, found }
    }

    /// Deserializes the value. An error that the type reports afterwards, from its own validation, also belongs to this
    /// path.
    fn deserialize_with<'de, T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Stop> {
        let path = self.path;
        seed.deserialize(self).map_err(|stop| stop.at(path))
    }

    fn text(&self) -> Option<&'n str> {
        self.value.filter(|_| self.found.encoding == Encoding::Text).and_then(Value::as_str)
    }

    /// Notes that the value has the wrong type, and puts a placeholder in its place.
    fn refuse(self, expected: ExpectedType) -> Result<Self, Stop> {
        let kind = FieldErrorKind::WrongType(expected);
        let mut errors = self.found.errors.borrow_mut();
        if errors.len() == MAX_ERRORS {
            return Err(Stop::new(kind).at(self.path));
        }
        let error = FieldError { location: self.found.location, path: to_owned(self.path), kind };
        errors.push(KnownError { error, variant: 0 });
        drop(errors);
        Ok(Self { value: None, ..self })
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
            .map_err(|stop: Stop| stop.at(self.path)),
            None => self.refuse(ExpectedType::Integer)?.integer(visitor),
        }
    }

    fn number<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        let number = match (self.value, self.text()) {
            (None, _) => Some(0.0),
            (_, Some(text)) => text.parse().ok(),
            (Some(value), None) => value.as_f64(),
        };
        match number {
            Some(number) => visitor.visit_f64(number).map_err(|stop: Stop| stop.at(self.path)),
            None => self.refuse(ExpectedType::Number)?.number(visitor),
        }
    }

    fn object<'de, V: Visitor<'de>>(self, names: &'static [&'static str], visitor: V) -> Result<V::Value, Stop> {
        let object = match self.value {
            Some(Value::Object(object)) => Some(object),
            None => None,
            Some(_) => return self.refuse(ExpectedType::Object)?.object(names, visitor),
        };
        let entries = Entries::new(&self, object, names);
        visitor.visit_map(entries).map_err(|stop| stop.at(self.path))
    }
}

macro_rules! forward {
    ($to:ident: $($name:ident)*) => {
        $(fn $name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
            self.$to(visitor)
        })*
    };
}

impl<'de> de::Deserializer<'de> for Node<'_, '_> {
    type Error = Stop;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        match self.value {
            None if self.variant == 1 => self.integer(visitor),
            None if self.variant > 1 => self.deserialize_str(visitor),
            None | Some(Value::Null) => visitor.visit_unit().map_err(|stop: Stop| stop.at(self.path)),
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
            Some(boolean) => visitor.visit_bool(boolean).map_err(|stop: Stop| stop.at(self.path)),
            None => self.refuse(ExpectedType::Boolean)?.deserialize_bool(visitor),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        match self.value.map_or(Some(PLACEHOLDER_TEXTS[self.variant]), Value::as_str) {
            Some(text) => visitor.visit_str(text).map_err(|stop: Stop| stop.at(self.path)),
            None => self.refuse(ExpectedType::Text)?.deserialize_str(visitor),
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
        let path = self.path;
        visitor.visit_newtype_struct(self).map_err(|stop| stop.at(path))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        let items = match self.value {
            Some(Value::Array(items)) => items.as_slice(),
            None => &[],
            Some(_) => return self.refuse(ExpectedType::List)?.deserialize_seq(visitor),
        };
        visitor.visit_seq(Items { node: &self, items, next: 0 }).map_err(|stop| stop.at(self.path))
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
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        let variant = match self.value {
            Some(Value::String(variant)) => variant,
            None => variants.first().copied().unwrap_or_default(),
            Some(_) => return self.refuse(ExpectedType::Text)?.deserialize_enum(name, variants, visitor),
        };
        let variant: StrDeserializer<'_, Stop> = variant.into_deserializer();
        visitor.visit_enum(variant).map_err(|stop| stop.at(self.path))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        visitor.visit_unit()
    }
}

struct Items<'n, 'p> {
    node: &'p Node<'n, 'p>,
    items: &'n [Value],
    next: usize,
}

impl<'de> SeqAccess<'de> for Items<'_, '_> {
    type Error = Stop;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Stop> {
        let Some(item) = self.items.get(self.next) else { return Ok(None) };
        let path = Path { parent: self.node.path, segment: Segment::Index(self.next) };
        self.next += 1;
        Node::new(self.node.found, Some(&path), Some(item), self.node.variant).deserialize_with(seed).map(Some)
    }
}

type Entry<'n> = (Cow<'n, str>, Option<&'n Value>);

/// The fields of an object, followed by placeholders for the fields known to be missing.
struct Entries<'n, 'p> {
    node: &'p Node<'n, 'p>,
    present: Option<serde_json::map::Iter<'n>>,
    placeholders: std::vec::IntoIter<Cow<'n, str>>,
    value: Option<Entry<'n>>,
}

impl<'n, 'p> Entries<'n, 'p> {
    fn new(node: &'p Node<'n, 'p>, object: Option<&'n Map<String, Value>>, names: &'static [&'static str]) -> Self {
        let mut placeholders: Vec<Cow<'n, str>> = match object {
            Some(_) => Vec::new(),
            None => names.iter().map(|name| Cow::Borrowed(*name)).collect(),
        };
        for known in node.found.errors.borrow().iter() {
            if let Some((PathSegment::Field(name), parent)) = known.error.path.split_last()
                && is_same(parent, node.path)
                && !object.is_some_and(|object| object.contains_key(name))
                && !placeholders.iter().any(|placeholder| placeholder == name)
            {
                placeholders.push(Cow::Owned(name.clone()));
            }
        }
        let present = object.map(Map::iter);
        Self { node, present, placeholders: placeholders.into_iter(), value: None }
    }

    fn next(&mut self) -> Option<Entry<'n>> {
        let present = self.present.as_mut().and_then(Iterator::next);
        let present = present.map(|(name, value)| (Cow::Borrowed(name.as_str()), Some(value)));
        present.or_else(|| self.placeholders.next().map(|name| (name, None)))
    }
}

impl<'de> MapAccess<'de> for Entries<'_, '_> {
    type Error = Stop;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Stop> {
        self.value = self.next();
        let Some((name, _)) = &self.value else { return Ok(None) };
        seed.deserialize(IntoDeserializer::<Stop>::into_deserializer(name.as_ref())).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Stop> {
        let Some((name, value)) = self.value.take() else {
            return Err(Stop::new(FieldErrorKind::Missing));
        };
        let path = Path { parent: self.node.path, segment: Segment::Field(&name) };
        Node::new(self.node.found, Some(&path), value, self.node.variant).deserialize_with(seed)
    }
}
