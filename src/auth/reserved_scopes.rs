//! Reserved scopes: scopes that only superusers may grant.
//!
//! An API key has such a scope only as long as its owner is a superuser, by the row that is read with the key. The key
//! is deactivated when the owner stops being one or gets another password, and creating it needs more than an access
//! token: see [`crate::auth::api_keys`]. An operation that such a scope allows reads the owner's row each time.

/// Every operation of an administrator.
pub(in crate::auth) const ADMIN: &str = "admin";

/// Changing any user's billing.
pub(in crate::auth) const BILLING: &str = "billing:write";

/// Reporting as a follower of the revocation feed.
pub(in crate::auth) const FEED_REPORT: &str = "feed:report";

/// All reserved scopes.
pub(in crate::auth) const RESERVED_SCOPES: &[&str] = &[ADMIN, BILLING, FEED_REPORT];

/// True if `scope` is reserved.
pub fn is_reserved(scope: &str) -> bool {
    RESERVED_SCOPES.contains(&scope)
}
