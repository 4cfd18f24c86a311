//! Errors that a request can have before its meaning is looked at: a closed list without status codes, which each
//! dialect renders in one exhaustive match. Knows nothing of any dialect.

use std::fmt;
use std::time::Duration;

/// Why a request was refused, or could not be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// No route has this path.
    NotFound,
    /// The path has routes, but not for this method. The router adds `Allow` to the response.
    MethodNotAllowed,
    /// The body is too large.
    BodyTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The body's media type is not supported here, or missing.
    UnsupportedMediaType,
    /// The body does not match its media type (not UTF-8, JSON or a form), or it ended early.
    MalformedBody {
        /// A description of the error that quotes none of the content.
        detail: String,
        /// Byte offset of the error, or 0 if unknown.
        at: usize,
    },
    /// Fields are missing or invalid: every error that was found.
    InvalidFields(Vec<FieldError>),
    /// The body did not arrive in time.
    BodyTimeout,
    /// The memory budget for buffered bodies is used up, so this body or the response to it is refused.
    Overloaded,
    /// The response was not ready in time.
    Timeout {
        /// The timeout that passed.
        after: Duration,
    },
    /// The handler panicked.
    Internal,
}

impl Rejection {
    /// One missing or invalid field.
    pub fn field(error: FieldError) -> Self {
        Self::InvalidFields(vec![error])
    }

    pub(crate) fn malformed(detail: impl Into<String>, at: usize) -> Self {
        Self::MalformedBody { detail: detail.into(), at }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("path not found"),
            Self::MethodNotAllowed => f.write_str("method not allowed"),
            Self::BodyTooLarge { limit } => write!(f, "the body is larger than {limit} bytes"),
            Self::UnsupportedMediaType => f.write_str("unsupported media type"),
            Self::MalformedBody { detail, at } => write!(f, "malformed body: {detail} (at byte {at})"),
            Self::InvalidFields(errors) => {
                f.write_str("invalid fields:")?;
                errors.iter().try_for_each(|error| write!(f, " {error};"))
            }
            Self::BodyTimeout => f.write_str("the body did not arrive in time"),
            Self::Overloaded => f.write_str("overloaded: the memory budget for buffered bodies is used up"),
            Self::Timeout { after } => write!(f, "no response within {after:?}"),
            Self::Internal => f.write_str("the handler panicked"),
        }
    }
}

/// An error in one field of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The part of the request.
    pub location: ParamLocation,
    /// The path to the field within that part; empty for the part as a whole.
    pub path: Vec<PathSegment>,
    /// The kind of error.
    pub kind: FieldErrorKind,
}

impl FieldError {
    /// An error in a top-level field.
    pub fn new(location: ParamLocation, field: impl Into<String>, kind: FieldErrorKind) -> Self {
        Self { location, path: vec![PathSegment::Field(field.into())], kind }
    }

    /// A missing field.
    pub fn missing(location: ParamLocation, field: impl Into<String>) -> Self {
        Self::new(location, field, FieldErrorKind::Missing)
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.location)?;
        for segment in &self.path {
            match segment {
                PathSegment::Field(name) => write!(f, ".{name}")?,
                PathSegment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        write!(f, " {}", self.kind)
    }
}

/// A part of a request that has fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamLocation {
    /// The body.
    Body,
    /// The query.
    Query,
    /// The header fields.
    Header,
    /// The path parameters.
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

/// One step of the path to a nested field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathSegment {
    /// A field of an object.
    Field(String),
    /// An item of a list.
    Index(usize),
}

/// The kind of error in a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldErrorKind {
    /// The field is required and missing.
    Missing,
    /// The value has another type.
    WrongType(ExpectedType),
    /// The type is right, but the value is not allowed; with the reason.
    Invalid(String),
}

impl fmt::Display for FieldErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("is missing"),
            Self::WrongType(expected) => write!(f, "must be {expected}"),
            Self::Invalid(reason) => f.write_str(reason),
        }
    }
}

/// The type that a field must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpectedType {
    /// A string.
    Text,
    /// An integer.
    Integer,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// An array.
    List,
    /// An object.
    Object,
}

impl fmt::Display for ExpectedType {
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
