//! The point in an account's history at which a mailed code or link was issued. Revoking a user's sign-ins also voids
//! the codes and links issued before: a user who is locked out must not get back in with a mail that is still unread.

use crate::clock::Timestamp;
use crate::store::accounts::User;

/// The encoding of [`CredentialEpoch::NoAccount`], a timestamp that no account has.
const NO_ACCOUNT: [u8; 8] = i64::MIN.to_be_bytes();

/// The state of the account when a code or link was issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::auth) enum CredentialEpoch {
    /// The row's `sessions_valid_after`.
    Of(Timestamp),
    /// No account had the address.
    NoAccount,
}

impl CredentialEpoch {
    pub(in crate::auth) fn for_user(user: Option<&User>) -> Self {
        user.map_or(Self::NoAccount, |user| Self::Of(user.sessions_valid_after))
    }

    /// Returns true if no sign-in of the user was revoked since. For an account that was created since, returns true if
    /// none was ever revoked.
    pub(in crate::auth) fn is_current(self, user: &User) -> bool {
        let issued_at = match self {
            Self::Of(valid_after) => valid_after,
            Self::NoAccount => user.created_at,
        };
        user.sessions_valid_after == issued_at
    }

    /// The form that is stored beside a code. Its length does not depend on whether there is an account.
    pub(in crate::auth) fn to_bytes(self) -> Vec<u8> {
        match self {
            Self::Of(valid_after) => valid_after.millis().to_be_bytes().into(),
            Self::NoAccount => NO_ACCOUNT.into(),
        }
    }

    pub(in crate::auth) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.try_into().ok()?;
        if bytes == NO_ACCOUNT {
            return Some(Self::NoAccount);
        }
        Some(Self::Of(Timestamp::from_millis(i64::from_be_bytes(bytes))))
    }
}
