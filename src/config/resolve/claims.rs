//! Lists of claims in settings. A name that would add nothing to a token is refused.

use super::super::claim_names::{RESERVED_CLAIMS, reserved_claim};
use crate::config::values::{Text, ValueType};

/// A claim that the tokens of an audience can carry.
pub(super) const OF_AUDIENCE: ListedClaim =
    ListedClaim(&["email", "email_verified", "username", "full_name", "roles", "superuser"]);

/// A claim that tokens for `tokens.audience` can carry besides those that they have anyway.
pub(super) const OF_TOKENS: ListedClaim = ListedClaim(&["full_name"]);

/// A claim about the user: one of these, by its name in settings or in a token, or a custom claim. The value is its
/// name in a token.
pub(super) struct ListedClaim(&'static [&'static str]);

impl ListedClaim {
    fn lists(&self, name: &str) -> bool {
        self.0.iter().any(|listed| *listed == name || name_in_token(listed) == name)
    }
}

impl ValueType for ListedClaim {
    type Value = String;
    fn allowed(&self) -> String {
        let refused = RESERVED_CLAIMS.into_iter().flatten().copied().filter(|name| !self.lists(name));
        format!(
            "{}, and names of custom claims (1 to 200 characters), which cannot be {}",
            self.0.join(", "),
            refused.collect::<Vec<_>>().join(", ")
        )
    }
    fn parse(&self, text: &str) -> Option<String> {
        let name = Text.parse(text)?;
        (self.lists(&name) || reserved_claim(&name).is_none()).then(|| name_in_token(&name).to_owned())
    }
}

/// The name in a token of a claim as the settings name it: profile claims have the names of the profile there.
fn name_in_token(name: &str) -> &str {
    match name {
        "username" => "preferred_username",
        "full_name" => "name",
        _ => name,
    }
}
