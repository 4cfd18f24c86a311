//! Sentences about invalid input that the published dialects put on the wire. They are fixed here, apart from the
//! messages of the error types, so that rewording a log message does not change a published API.

use crate::auth::error::MfaError;
use crate::auth::identity::{EmailError, UsernameError};
use crate::auth::passwords::PolicyViolation;
use crate::http::{ExpectedType, FieldError, FieldErrorKind, PathSegment};

pub(super) fn email(error: EmailError) -> &'static str {
    match error {
        EmailError::Empty => "it is empty",
        EmailError::NoAt => "it must have exactly one @ between two parts",
        EmailError::Local => "the part before the @ is not valid",
        EmailError::Domain => "the part after the @ is not a domain name",
        EmailError::TooLong => "it is too long",
    }
}

pub(super) fn username(error: UsernameError) -> &'static str {
    match error {
        UsernameError::Empty => "it is empty",
        UsernameError::TooLong => "it is longer than 64 characters",
        UsernameError::Character => "it has a character that a username cannot have",
    }
}

pub(super) fn password(violation: PolicyViolation) -> String {
    match violation {
        PolicyViolation::TooShort { min } => format!("the password has fewer than {min} characters"),
        PolicyViolation::TooLong { max } => format!("the password has more than {max} characters"),
        PolicyViolation::Blank => "the password is blank".to_owned(),
        PolicyViolation::Common => "the password is one of the most common ones".to_owned(),
    }
}

pub(super) fn mfa(error: MfaError) -> &'static str {
    match error {
        MfaError::NotEnabled => "the user has no second factor",
        MfaError::EnableFailed => "the second factor was not turned on",
        MfaError::DisableFailed => "the second factor was not turned off",
        MfaError::AlreadyEnabled => "the second factor is on already",
        MfaError::AlreadyDisabled => "the second factor is off already",
    }
}

pub(super) fn field_error(error: &FieldError) -> String {
    let mut text = error.location.to_string();
    for segment in &error.path {
        match segment {
            PathSegment::Field(name) => text.extend([".", name]),
            PathSegment::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    let reason = match &error.kind {
        FieldErrorKind::Missing => "is missing",
        FieldErrorKind::WrongType(ExpectedType::Text) => "must be a string",
        FieldErrorKind::WrongType(ExpectedType::Integer) => "must be a whole number",
        FieldErrorKind::WrongType(ExpectedType::Number) => "must be a number",
        FieldErrorKind::WrongType(ExpectedType::Boolean) => "must be true or false",
        FieldErrorKind::WrongType(ExpectedType::List) => "must be a list",
        FieldErrorKind::WrongType(ExpectedType::Object) => "must be an object",
        FieldErrorKind::Invalid(reason) => reason,
    };
    text + " " + reason
}
