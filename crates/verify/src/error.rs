//! Why a token is refused. Knows nothing of revocations.

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a signed JWT in compact form, or one with a forbidden header member.
    #[error("malformed")]
    Malformed,
    /// Its `alg` is unknown, or is not that of the key that it names.
    #[error("unsupported algorithm")]
    UnsupportedAlgorithm,
    /// A JWT of another type.
    #[error("wrong type of token")]
    WrongType,
    /// No key of the set has its `kid`.
    #[error("unknown key")]
    UnknownKey,
    /// It names no key. Signet issues no such token, so no newer key set can verify it.
    #[error("no kid")]
    MissingKid,
    /// Its key was revoked.
    #[error("revoked key")]
    RevokedKey,
    /// The signature does not match the key that it names.
    #[error("bad signature")]
    BadSignature,
    /// It has expired.
    #[error("expired")]
    Expired,
    /// It is not valid yet.
    #[error("not yet valid")]
    NotYetValid,
    /// Issued by another issuer.
    #[error("wrong issuer")]
    WrongIssuer,
    /// Issued for another audience.
    #[error("wrong audience")]
    WrongAudience,
}

impl TokenError {
    /// The code that programs read.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::UnsupportedAlgorithm => "unsupported_algorithm",
            Self::WrongType => "wrong_type",
            Self::UnknownKey | Self::MissingKid => "unknown_key",
            Self::RevokedKey => "revoked_key",
            Self::BadSignature => "bad_signature",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::WrongIssuer => "wrong_issuer",
            Self::WrongAudience => "wrong_audience",
        }
    }
}
