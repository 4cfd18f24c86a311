//! The names that custom claims cannot have. Knows nothing of users and tokens.

/// Reserved names, in groups. They are the claims that tokens of any kind and dialect carry, those that `/verify` and
/// introspection add, and those by which libraries decide whom a token is for and what it permits.
pub const RESERVED_CLAIMS: [&[&str]; 5] = [
    // RFC 7519, 4.1.
    &["iss", "sub", "aud", "exp", "nbf", "iat", "jti"],
    // RFC 9068, RFC 8693, RFC 7800, OpenID Connect Core.
    &["sid", "auth_time", "scope", "client_id", "azp", "act", "may_act", "cnf", "acr", "amr", "nonce", "typ"],
    // Those of users, and those that the tokens of a dialect carry besides.
    &["email", "email_verified", "preferred_username", "roles", "superuser", "uid", "token_type", "totp", "refresh"],
    // The full name, and the name of its setting.
    &["name", "full_name"],
    // RFC 7662, 2.2, and what API keys have.
    &["active", "username", "project"],
];

/// The reserved name that `name` is. Names are compared exactly (RFC 7519, 4).
pub fn reserved_claim(name: &str) -> Option<&'static str> {
    RESERVED_CLAIMS.into_iter().flatten().copied().find(|reserved| *reserved == name)
}
