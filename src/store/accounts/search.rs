//! Searching users: what is searched for, and a page of the result. Knows no store.

use super::user::User;

/// The most rows that one search reads. A text can be anywhere in an address, so no index finds it: the bound keeps a
/// search for a rare text from reading every user in one statement. Reading so many takes about 20 ms.
pub const SEARCH_SCAN: u32 = 10_000;

/// The users of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserStatus {
    /// Not disabled.
    Active,
    /// Disabled.
    Disabled,
    /// With an address that was never verified, disabled or not.
    Unverified,
}

/// A search for users.
#[derive(Clone, Debug, Default)]
pub struct UserSearch {
    /// A text that the address, the username or the full name contains, in any case.
    pub text: Option<String>,
    /// Only the users of this state.
    pub status: Option<UserStatus>,
    /// Only users with a lower number; `None` starts with the newest user.
    pub before: Option<i64>,
    /// The most users to return.
    pub limit: u32,
}

impl UserSearch {
    /// The text as addresses and the unique forms of usernames are stored.
    pub(super) fn lowercase_text(&self) -> Option<String> {
        self.text.as_deref().map(str::to_lowercase)
    }

    /// The text for a full name in lower case of ASCII, which is the only one that SQLite computes.
    pub(super) fn ascii_lowercase_text(&self) -> Option<String> {
        self.text.as_deref().map(str::to_ascii_lowercase)
    }

    /// The number before which the page begins.
    pub(super) fn before(&self) -> i64 {
        self.before.unwrap_or(i64::MAX)
    }

    /// How many rows to read. Where every row that is read is returned, no more than those, and one that shows whether
    /// there are more.
    pub(super) fn scan(&self) -> u32 {
        let returns_all = self.text.is_none() && self.status != Some(UserStatus::Active);
        if returns_all { self.limit.saturating_add(1).min(SEARCH_SCAN) } else { SEARCH_SCAN }
    }

    /// The page, of the users that were found among `scanned` rows down to the number `lowest`.
    pub(super) fn page(&self, users: Vec<User>, scanned: u64, lowest: Option<i64>) -> UserPage {
        let stopped_at = match users.last() {
            Some(last) if users.len() >= self.limit as usize => Some(last.number),
            _ => lowest,
        };
        let is_complete = scanned < u64::from(self.scan()) && stopped_at == lowest;
        UserPage { users, next: stopped_at.filter(|_| !is_complete) }
    }
}

/// A page of users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserPage {
    /// The users, the newest first.
    pub users: Vec<User>,
    /// The `before` of the next page; `None` if there is none.
    pub next: Option<i64>,
}
