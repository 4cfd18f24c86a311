//! What can be wrong with a request before anybody looks at what it means, as a closed list without status codes: each
//! dialect words all of it in one exhaustive match. Knows nothing of any dialect.

use std::fmt;
use std::time::Duration;

use http::HeaderValue;

/// Why a request was turned away, or could not be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// The path is nobody's.
    NotFound,
    /// The path is known, but not with this method. The router adds `Allow` to the answer by itself.
    MethodNotAllowed {
        /// The methods that would do, as the header `Allow` lists them.
        allow: HeaderValue,
    },
    /// The body is larger than bodies may be.
    TooLarge {
        /// How large they may be, in bytes.
        limit: usize,
    },
    /// The body is of a media type that is not read here, or names none.
    UnsupportedMediaType,
    /// The body is not what its media type says: no UTF-8, no JSON, no form, or it ended early.
    Unreadable {
        /// What is wrong with it, in plain words without any of the content.
        detail: String,
        /// At which byte, where that is known; otherwise 0.
        at: usize,
    },
    /// The request could be read, but its fields are not those that were asked for: every fault that could be found.
    Fields(Vec<FieldError>),
    /// The body did not arrive in time.
    BodyTimeout,
    /// So much is held for others that there is no room for this body, or for the answer to it.
    Crowded,
    /// The answer was not ready in time.
    Timeout {
        /// The time it had.
        after: Duration,
    },
    /// The handler panicked.
    Internal,
}

impl Rejection {
    /// One missing or wrong field.
    pub fn field(fault: FieldError) -> Self {
        Self::Fields(vec![fault])
    }

    pub(crate) fn unreadable(detail: impl Into<String>, at: usize) -> Self {
        Self::Unreadable { detail: detail.into(), at }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("no such path"),
            Self::MethodNotAllowed { .. } => f.write_str("no such method here"),
            Self::TooLarge { limit } => write!(f, "the body is larger than {limit} bytes"),
            Self::UnsupportedMediaType => f.write_str("the body's media type is not read here"),
            Self::Unreadable { detail, at } => write!(f, "unreadable body: {detail} (at byte {at})"),
            Self::Fields(faults) => {
                f.write_str("faulty fields:")?;
                faults.iter().try_for_each(|fault| write!(f, " {fault};"))
            }
            Self::BodyTimeout => f.write_str("the body did not arrive in time"),
            Self::Crowded => f.write_str("too much is held for others"),
            Self::Timeout { after } => write!(f, "no answer within {after:?}"),
            Self::Internal => f.write_str("the handler panicked"),
        }
    }
}

/// One fault in a request's fields: where it is, and what is wrong there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// In which part of the request.
    pub place: ParamLocation,
    /// The way to it from there; empty: the part as a whole.
    pub path: Vec<PathSegment>,
    /// What is wrong.
    pub trouble: FieldErrorKind,
}

impl FieldError {
    /// A fault of one named field.
    pub fn new(place: ParamLocation, field: impl Into<String>, trouble: FieldErrorKind) -> Self {
        Self { place, path: vec![PathSegment::Field(field.into())], trouble }
    }

    /// A field that must be there and is not.
    pub fn missing(place: ParamLocation, field: impl Into<String>) -> Self {
        Self::new(place, field, FieldErrorKind::Missing)
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.place)?;
        for step in &self.path {
            match step {
                PathSegment::Field(name) => write!(f, ".{name}")?,
                PathSegment::Item(at) => write!(f, "[{at}]")?,
            }
        }
        write!(f, " {}", self.trouble)
    }
}

/// The parts of a request that have fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamLocation {
    /// The body.
    Body,
    /// What follows `?`.
    Query,
    /// The header fields.
    Header,
    /// The path's parameters.
    Path,
}

impl fmt::Display for ParamLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Body => "body",
            Self::Query => "query",
            Self::Header => "header",
            Self::Path => "path",
        })
    }
}

/// One step into a nested value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathSegment {
    /// Into an object, by name.
    Field(String),
    /// Into a list, by place.
    Item(usize),
}

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldErrorKind {
    /// It must be there and is not.
    Missing,
    /// It is of another type.
    Not(Expected),
    /// It is of the right type, but its value will not do; why, in plain words.
    Invalid(String),
}

impl fmt::Display for FieldErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("is missing"),
            Self::Not(expected) => write!(f, "must be {expected}"),
            Self::Invalid(why) => f.write_str(why),
        }
    }
}

/// The types a field can be asked to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// A string.
    Text,
    /// A whole number.
    Integer,
    /// Any number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// An array.
    List,
    /// An object.
    Object,
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "a string",
            Self::Integer => "a whole number",
            Self::Number => "a number",
            Self::Boolean => "true or false",
            Self::List => "a list",
            Self::Object => "an object",
        })
    }
}
