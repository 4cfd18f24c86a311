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
