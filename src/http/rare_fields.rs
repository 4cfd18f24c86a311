//! Header fields that few requests have. Knows no field.

use http::{HeaderMap, HeaderName};

/// Returns true if the field was sent. Comparing its name with those that were sent costs less than hashing it for a
/// lookup, so this comes first where hardly any request has the field.
pub(super) fn is_sent(headers: &HeaderMap, name: &HeaderName) -> bool {
    headers.keys().any(|sent| sent == name)
}
