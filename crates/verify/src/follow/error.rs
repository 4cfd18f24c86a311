//! Why a token is not accepted, and why the feed cannot be followed. Errors contain no token.

use std::time::Duration;

use crate::error::TokenError;
use crate::feed::FrameError;
use crate::jwks::JwksError;

/// Why a token is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The token itself is refused.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// It was revoked.
    #[error("revoked")]
    Revoked,
    /// It was issued to a user, and only tokens of programs are accepted, or the other way round.
    #[error("wrong kind of subject")]
    WrongSubject,
    /// Revocations may have been missed, and the policy is to refuse then. The token may be valid.
    #[error("revocations may be out of date")]
    Stale,
    /// The keys are not known yet, or the token names an unknown key and they cannot be read again, or the policy is to
    /// ask the server and it cannot be asked. The token may be valid.
    #[error("the issuer cannot be reached")]
    Unavailable,
}

impl VerifyError {
    /// The error's name: the same as in the responses of `/verify` and in the verifiers for other languages.
    pub fn code(self) -> &'static str {
        match self {
            Self::Token(error) => error.code(),
            Self::Revoked => "revoked",
            Self::WrongSubject => "wrong_subject",
            Self::Stale => "stale",
            Self::Unavailable => "unavailable",
        }
    }

    /// Returns true if the token may be valid: the client should try again instead of signing in again.
    pub fn is_temporary(self) -> bool {
        matches!(self, Self::Stale | Self::Unavailable)
    }
}

/// Why a verifier cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// The issuer is not an absolute `https` URL without query and fragment, or an `http` URL of this machine.
    #[error("the issuer must be an https URL, or an http URL of this machine")]
    InvalidIssuer,
    /// No audience was given. Without one, the tokens for every other service would be accepted.
    #[error("no audience is set")]
    NoAudience,
    /// The name under which the verifier reports has other characters than it may have, or none or too many; or the API
    /// key is none.
    #[error("the name or the API key for reports is invalid")]
    InvalidReporter,
    /// The verifier needs a runtime of tokio.
    #[error("there is no tokio runtime")]
    NoRuntime,
    /// Random bytes are not available.
    #[error("no random bytes")]
    NoRandomness,
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    NoTls,
}

/// Why the metadata, the keys or the feed could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FollowError {
    /// The request failed.
    #[error("{url}: {reason}")]
    Request {
        /// The URL of the request.
        url: String,
        /// The reason.
        reason: String,
    },
    /// The response has another status than 200.
    #[error("{url}: status {status}")]
    Status {
        /// The URL of the request.
        url: String,
        /// The status.
        status: u16,
        /// `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// The metadata is not that of the issuer, or lacks a member.
    #[error("the metadata of the issuer is invalid: {0}")]
    Metadata(&'static str),
    /// The issuer does not publish its revocations.
    #[error("the issuer has no revocation feed")]
    NoFeed,
    /// The JWKS is refused.
    #[error(transparent)]
    Jwks(#[from] JwksError),
    /// A frame is refused.
    #[error("a frame of the feed is refused: {0}")]
    Frame(#[from] FrameError),
    /// A frame was signed by a revoked key.
    #[error("a frame of the feed is signed by a revoked key")]
    RevokedKey,
    /// A snapshot lacks a part.
    #[error("the snapshot of the feed is incomplete")]
    IncompleteSnapshot,
    /// The position is not kept any more, or belongs to another sequence: the snapshot is needed.
    #[error("the position in the feed is not known any more")]
    Gone,
}
