//! The reasons why a user could not be imported, or not in full.

use serde::Serialize;

/// A kind of reason. Reports count by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ReasonCode {
    /// The record cannot be read.
    InvalidRecord,
    /// The user has no e-mail address.
    NoEmail,
    /// The address is not one that Signet accepts.
    InvalidEmail,
    /// Another user has the id.
    IdTaken,
    /// Another user has the address.
    EmailTaken,
    /// Another user has the username.
    UsernameTaken,
    /// The user was deleted in the other system.
    Deleted,
    /// The record belongs to a program.
    ServiceAccount,
    /// The password hash cannot be used.
    Password,
    /// A second factor cannot be used.
    SecondFactor,
    /// An account at an identity provider.
    SocialIdentity,
    /// A phone number.
    PhoneNumber,
    /// An e-mail address besides the first.
    FurtherEmail,
    /// The username is not one that Signet accepts.
    Username,
    /// The full name is too long.
    FullName,
    /// A claim that was asked for is not possible.
    Claim,
    /// Data for which no `--claim` asks.
    Metadata,
    /// Roles for which no `--role` asks, and groups.
    Role,
    /// An action that the other system demands at the next sign-in.
    RequiredAction,
    /// A ban that has an end.
    Ban,
}

impl ReasonCode {
    /// The number of users that it concerns, in words for people.
    pub(super) fn describe(self, count: u64) -> String {
        let what = match self {
            Self::InvalidRecord => "cannot be read",
            Self::NoEmail => "without an e-mail address",
            Self::InvalidEmail => "with an invalid address",
            Self::IdTaken => "whose id another user has",
            Self::EmailTaken => "whose address another user has",
            Self::UsernameTaken => "whose username another user has",
            Self::Deleted => "deleted before",
            Self::ServiceAccount => "for programs",
            Self::Password => "without their password: they reset it or sign in by mail",
            Self::SecondFactor => "without a second factor that they had: they must enroll it again",
            Self::SocialIdentity => "without the sign-in of another provider: they sign in by mail or reset a password",
            Self::PhoneNumber => "without their phone number",
            Self::FurtherEmail => "without their further addresses",
            Self::Username => "without their username",
            Self::FullName => "without their full name",
            Self::Claim => "without claims that --claim or --id-claim asks for",
            Self::Metadata => "without metadata or attributes",
            Self::Role => "without roles or groups",
            Self::RequiredAction => "without an action that was required at the next sign-in",
            Self::Ban => "banned for a time: they are disabled until you enable them",
        };
        format!("{count} {what}")
    }

    /// Why a record without further detail is left out.
    pub(super) fn describe_one(self) -> &'static str {
        match self {
            Self::NoEmail => "no e-mail address",
            Self::Deleted => "was deleted before",
            Self::ServiceAccount => "a service account",
            _ => "cannot be imported",
        }
    }
}

/// A reason, with what is specific to the user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Reason {
    pub(super) code: ReasonCode,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) detail: String,
}

impl Reason {
    pub(super) fn new(code: ReasonCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }

    pub(super) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(ReasonCode::InvalidRecord, detail)
    }
}
