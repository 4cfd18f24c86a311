//! Every way in which an operation can fail, in the words of the domain. Status codes and wire formats belong to the
//! dialects: each has one exhaustive match over [`Error`].

use std::time::Duration;

use crate::auth::identity::{EmailError, UsernameError};
use crate::auth::passwords::{Busy, PolicyViolation};
use crate::store;
use crate::token::access::TokenError;
use crate::token::keyring::SigningError;

/// Why an operation failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The request carries no access token and no API key.
    #[error("no credentials")]
    MissingCredentials,
    /// The request carries an API key as such, and the call takes only the access token of a user session.
    #[error("an API key where an access token is required")]
    ApiKeyNotAccepted,
    /// The access token or API key is refused.
    #[error("invalid token or API key: {0}")]
    InvalidToken(VerifyError),
    /// Unknown user or wrong password. Deliberately one variant: the response must not reveal which.
    #[error("wrong login or password")]
    InvalidCredentials,
    /// The password or code is right, but the account is disabled.
    #[error("the account is disabled")]
    AccountDisabled,
    /// The dialect requires a verified address, and the user's is not.
    #[error("the e-mail address is not verified")]
    EmailNotVerified,
    /// The user has a second factor and the request carries no code of it.
    #[error("a second factor is required")]
    MfaRequired,
    /// The code of the second factor is wrong or was used before.
    #[error("wrong code of the second factor")]
    InvalidMfaCode,
    /// The second factor is not in the state that the operation needs, or could not be changed.
    #[error(transparent)]
    Mfa(MfaError),
    /// A mailed code is wrong, used or expired.
    #[error("the code is wrong, used or expired")]
    InvalidCode,
    /// A mailed link, or the device secret that belongs to it, is wrong, used or expired.
    #[error("the {0} is wrong, used or expired")]
    InvalidLink(LinkKind),
    /// The change needs the current password, and it is wrong or missing.
    #[error("the current password is wrong or missing")]
    WrongCurrentPassword,
    /// The change needs a recent sign-in, and the session's is older than `tokens.recent_sign_in`.
    #[error("a recent sign-in is required")]
    RecentSignInRequired,
    /// The refresh token is malformed, expired or of a session that has ended.
    #[error("the refresh token is malformed, expired or revoked")]
    InvalidRefreshToken,
    /// The refresh token was rotated before. Its session is revoked.
    #[error("refresh token reused")]
    RefreshTokenReused,
    /// A token for an audience that does not exist, or that this request cannot have a token for.
    #[error("unknown audience")]
    InvalidTarget,
    /// The token to exchange is refused.
    #[error("the subject token is refused: {0}")]
    InvalidSubjectToken(SubjectTokenError),
    /// The caller may not do this.
    #[error("forbidden: {0}")]
    Forbidden(Denial),
    /// The settings do not let users create accounts.
    #[error("registration is closed")]
    RegistrationClosed,
    /// Another user has this address.
    #[error("the e-mail address is taken")]
    EmailTaken,
    /// The user has another address than the one that the request is about.
    #[error("the user has another e-mail address by now")]
    EmailChanged,
    /// Another user has this name.
    #[error("the username is taken")]
    UsernameTaken,
    /// An address, username or password that is not accepted.
    #[error(transparent)]
    InvalidInput(InputError),
    /// The idempotency key of the request cannot be used.
    #[error(transparent)]
    Idempotency(IdempotencyError),
    /// A balance would become negative, or larger than can be stored.
    #[error("the balance would be out of range")]
    BalanceOutOfRange,
    /// The object does not exist.
    #[error("not found")]
    NotFound,
    /// A rate limit is exhausted.
    #[error("rate limited")]
    RateLimited {
        /// When the next attempt is allowed.
        retry_after: Duration,
    },
    /// The password queue is so long that this request would miss its deadline.
    #[error("too many passwords are waiting to be hashed")]
    Overloaded,
    /// This node may have missed revocations and is set to refuse then.
    #[error("revocations may be out of date")]
    Stale,
    /// The mail could not be sent.
    #[error("the mail could not be sent")]
    MailNotSent,
    /// A store is unavailable or corrupt.
    #[error(transparent)]
    Unavailable(#[from] store::Error),
    /// A defect or a broken installation; no input explains it.
    #[error("internal: {0}")]
    Internal(&'static str),
}

/// Why an idempotency key cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdempotencyError {
    /// A request with another content had it.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// The first request with it has not ended.
    #[error("a request with this idempotency key is in progress")]
    InProgress,
}

/// Why a second factor cannot be used or changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MfaError {
    /// A code was given for a user without a second factor.
    #[error("the user has no second factor")]
    NotEnabled,
    /// Wrong password, wrong code, or no enrollment is pending.
    #[error("the second factor was not turned on")]
    EnableFailed,
    /// Wrong password.
    #[error("the second factor was not turned off")]
    DisableFailed,
    /// Enabling a second factor that is enabled.
    #[error("the second factor is on already")]
    AlreadyEnabled,
    /// Disabling a second factor that is disabled.
    #[error("the second factor is off already")]
    AlreadyDisabled,
}

/// Why a token cannot be exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubjectTokenError {
    /// Not an access token of ours, or one that has expired or was revoked.
    #[error("it is no access token, or has expired or was revoked")]
    NotAccepted,
    /// Issued from an API key, which gets tokens for other audiences by itself.
    #[error("it does not belong to a user who signed in")]
    NoSession,
    /// Exchanged too often.
    #[error("it was exchanged by too many clients, one after the other")]
    TooManyActors,
}

/// Purpose of a mailed link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkKind {
    /// Signs in.
    #[error("magic link")]
    MagicLink,
    /// Sets a new password.
    #[error("password reset link")]
    PasswordReset,
    /// Verifies an address.
    #[error("verification link")]
    EmailVerification,
}

/// Why a caller may not do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// Neither a role nor a scope of the caller allows it.
    #[error("the caller lacks the permission")]
    MissingPermission,
    /// The call needs a user session, and the credential is an API key, or a token issued from one.
    #[error("an API key where a user session is required")]
    SessionRequired,
    /// The project is not one of the caller's.
    #[error("not a project of the caller")]
    OtherProject,
    /// Superusers cannot delete themselves: the last one would leave nobody to create another.
    #[error("superusers cannot delete themselves")]
    CannotDeleteSelf,
    /// The user has as many API keys as one may have.
    #[error("the user has too many API keys")]
    TooManyApiKeys,
}

/// The input that is not accepted, and the reason.
#[derive(Clone, Debug, thiserror::Error)]
pub enum InputError {
    /// Not an address that mail can be sent to.
    #[error("invalid e-mail address: {0}")]
    Email(EmailError),
    /// Not a valid username.
    #[error("invalid username: {0}")]
    Username(UsernameError),
    /// Violates the password policy.
    #[error("invalid password: {0}")]
    Password(PolicyViolation),
}

/// Why a credential is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The token by itself is not valid.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The token is valid by itself, but has been revoked.
    #[error("revoked")]
    Revoked,
    /// The token is valid, but not issued for the required audience.
    #[error("not for this audience")]
    OtherAudience,
    /// The credential is valid, but of a user where one of a client is required, or the other way round.
    #[error("not issued to the required kind of subject")]
    OtherSubject,
    /// The credential is valid, but lacks a required scope.
    #[error("insufficient scope")]
    InsufficientScope,
    /// Not an API key of ours, or a deactivated one.
    #[error("unknown API key")]
    UnknownKey,
    /// The API key has expired.
    #[error("expired API key")]
    ExpiredKey,
    /// This node is stale, so it may have missed revocations, and is configured to refuse credentials then.
    #[error("revocations may be out of date")]
    Stale,
}

impl VerifyError {
    /// The reason as programs read it: the codes of `/verify` and of the libraries that verify tokens.
    pub fn code(self) -> &'static str {
        match self {
            Self::Token(TokenError::Malformed) => "malformed",
            Self::Token(TokenError::WrongType | TokenError::UnsupportedAlgorithm) => "wrong_type",
            Self::Token(TokenError::UnknownKey | TokenError::MissingKid) => "unknown_key",
            Self::Token(TokenError::RevokedKey) => "revoked_key",
            Self::Token(TokenError::BadSignature) => "bad_signature",
            Self::Token(TokenError::Expired) | Self::ExpiredKey => "expired",
            Self::Token(TokenError::NotYetValid) => "not_yet_valid",
            Self::Token(TokenError::WrongIssuer) => "wrong_issuer",
            Self::Token(TokenError::WrongAudience) | Self::OtherAudience => "wrong_audience",
            Self::OtherSubject => "wrong_subject",
            Self::Revoked => "revoked",
            Self::InsufficientScope => "insufficient_scope",
            Self::UnknownKey => "unknown_api_key",
            Self::Stale => "stale",
        }
    }
}

impl From<Busy> for Error {
    fn from(_: Busy) -> Self {
        Self::Overloaded
    }
}

impl From<VerifyError> for Error {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Stale => Self::Stale,
            error => Self::InvalidToken(error),
        }
    }
}

impl From<SigningError> for Error {
    fn from(_: SigningError) -> Self {
        Self::Internal("signing a token failed")
    }
}

impl From<EmailError> for Error {
    fn from(error: EmailError) -> Self {
        Self::InvalidInput(InputError::Email(error))
    }
}

impl From<UsernameError> for Error {
    fn from(error: UsernameError) -> Self {
        Self::InvalidInput(InputError::Username(error))
    }
}

impl From<PolicyViolation> for Error {
    fn from(error: PolicyViolation) -> Self {
        Self::InvalidInput(InputError::Password(error))
    }
}
