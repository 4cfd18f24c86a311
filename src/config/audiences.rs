//! Audiences: the services that tokens are issued for, besides `tokens.audience`.

use std::time::Duration;

/// One service, or a group of services, that accepts tokens of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audience {
    /// The `aud` of its tokens, and the `resource` by which requests choose it: a name or a URL.
    pub name: String,
    /// Longest lifetime of its access tokens. That of the dialect is a limit too, and the only one if this is `None`.
    pub lifetime: Option<Duration>,
    /// The algorithm that signs its tokens.
    pub algorithm: SigningAlgorithm,
    /// The claims about the user that its tokens carry, by their names in the token: profile claims and custom claims.
    /// `None`: those that tokens for `tokens.audience` carry.
    pub claims: Option<Vec<String>>,
    /// The scopes that its tokens may have. `None`: any.
    pub scopes: Option<Vec<String>>,
}

/// An algorithm that signs access tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigningAlgorithm {
    /// EdDSA with Ed25519. `tokens.algorithm` chooses between its two names in the header.
    EdDsa,
    /// ECDSA with P-256 and SHA-256.
    Es256,
}

impl Audience {
    /// The lifetime of its tokens in a dialect where access tokens live for `access`.
    pub fn lifetime(&self, access: Duration) -> Duration {
        self.lifetime.map_or(access, |lifetime| lifetime.min(access))
    }

    /// Returns true if its tokens may have `scope`.
    pub fn allows_scope(&self, scope: &str) -> bool {
        self.scopes.as_ref().is_none_or(|scopes| scopes.iter().any(|allowed| allowed == scope))
    }
}
