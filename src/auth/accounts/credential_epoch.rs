//! Of whom something was asked that is mailed, and whether it still opens that account. Ending a user's sign-ins ends what was mailed
//! before as well: who locks somebody out does not wait for a mailbox to run dry.

use crate::clock::Timestamp;
use crate::store::accounts::User;

/// No moment: all are later.
const NOBODY: [u8; 8] = i64::MIN.to_be_bytes();

/// As the row was when it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::auth) enum CredentialEpoch {
    /// The row's `sessions_valid_after`.
    Of(Timestamp),
    /// The address was nobody's.
    Nobody,
}

impl CredentialEpoch {
    pub(in crate::auth) fn for_user(user: Option<&User>) -> Self {
        user.map_or(Self::Nobody, |user| Self::Of(user.sessions_valid_after))
    }

    /// Whether no sign-in of the user was ended since. Of one who was made since: none at all.
    pub(in crate::auth) fn is_current(self, user: &User) -> bool {
        let then = match self {
            Self::Of(then) => then,
            Self::Nobody => user.created_at,
        };
        user.sessions_valid_after == then
    }

    /// As it is kept beside a code: as long for nobody as for anybody.
    pub(in crate::auth) fn to_bytes(self) -> Vec<u8> {
        match self {
            Self::Of(then) => then.millis().to_be_bytes().into(),
            Self::Nobody => NOBODY.into(),
        }
    }

    pub(in crate::auth) fn from_bytes(kept: &[u8]) -> Option<Self> {
        let bytes = kept.try_into().ok()?;
        Some(if bytes == NOBODY { Self::Nobody } else { Self::Of(Timestamp::from_millis(i64::from_be_bytes(bytes))) })
    }
}
