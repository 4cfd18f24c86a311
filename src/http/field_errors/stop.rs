//! The path to a value, and the error at which deserializing it stopped.

use std::fmt;

use serde::de;

use crate::http::rejection::{ExpectedType, FieldErrorKind, PathSegment};

/// The path to a value: a segment and the path to its parent. On the stack, because nearly all paths are only compared.
#[derive(Clone, Copy)]
pub(super) struct Path<'p> {
    pub(super) parent: Option<&'p Path<'p>>,
    pub(super) segment: Segment<'p>,
}

#[derive(Clone, Copy)]
pub(super) enum Segment<'p> {
    Field(&'p str),
    Index(usize),
}

/// From the value outwards.
fn segments<'p>(path: Option<&'p Path<'p>>) -> impl Iterator<Item = Segment<'p>> {
    std::iter::successors(path, |path| path.parent).map(|path| path.segment)
}

pub(super) fn is_same(known: &[PathSegment], path: Option<&Path<'_>>) -> bool {
    let (mut known, mut path) = (known.iter().rev(), segments(path));
    loop {
        match (known.next(), path.next()) {
            (None, None) => return true,
            (Some(PathSegment::Index(one)), Some(Segment::Index(other))) if *one == other => {}
            (Some(PathSegment::Field(one)), Some(Segment::Field(other))) if one == other => {}
            _ => return false,
        }
    }
}

pub(super) fn to_owned(path: Option<&Path<'_>>) -> Vec<PathSegment> {
    let mut owned: Vec<_> = segments(path)
        .map(|segment| match segment {
            Segment::Field(name) => PathSegment::Field(name.to_owned()),
            Segment::Index(index) => PathSegment::Index(index),
        })
        .collect();
    owned.reverse();
    owned
}

/// The place at which deserialization stopped, and the reason.
#[derive(Debug)]
pub(super) struct Stop {
    pub(super) path: Option<Vec<PathSegment>>,
    missing: Option<&'static str>,
    pub(super) kind: FieldErrorKind,
}

impl Stop {
    pub(super) fn new(kind: FieldErrorKind) -> Self {
        Self { path: None, missing: None, kind }
    }

    /// Sets the path unless an inner value has set it.
    pub(super) fn at(mut self, path: Option<&Path<'_>>) -> Self {
        if self.path.is_none() {
            let missing = self.missing.map(|name| PathSegment::Field(name.to_owned()));
            let mut path = to_owned(path);
            path.extend(missing);
            self.path = Some(path);
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
