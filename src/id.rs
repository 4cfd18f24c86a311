//! Ids of users, sessions, projects, API keys and tokens.
//!
//! Every id is a UUID of version 7 (RFC 9562), so that ids sort by age, indexes stay dense, and an id contains its
//! creation time. Knows nothing of where ids are stored.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::rng::Rng;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new id with the timestamp `now`.
            pub fn new(now: Timestamp, rng: &Rng) -> Self {
                Self(v7(now, rng))
            }

            /// Parses a UUID in a form that [`Uuid::try_parse`] accepts.
            pub fn parse(text: &str) -> Option<Self> {
                Uuid::try_parse(text).ok().map(Self)
            }

            /// The 16 bytes of the id.
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// The timestamp in the id; `None` for an id without one, such as an imported one.
            pub fn created_at(&self) -> Option<Timestamp> {
                created_at(self.0)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }
    };
}

id!(
    /// A user.
    UserId
);
id!(
    /// A session, from its sign-in on: the `sid` of its tokens.
    SessionId
);
id!(
    /// A project, to which API keys belong.
    ProjectId
);
id!(
    /// An API key's row; neither its secret nor its prefix.
    ApiKeyId
);
id!(
    /// A token: its `jti`.
    TokenId
);
id!(
    /// A security event.
    EventId
);

fn v7(now: Timestamp, rng: &Rng) -> Uuid {
    uuid::Builder::from_unix_timestamp_millis(now.millis().max(0) as u64, &rng.distinct()).into_uuid()
}

fn created_at(id: Uuid) -> Option<Timestamp> {
    let bytes = id.as_bytes();
    (id.get_version_num() == 7).then(|| {
        let millis = bytes[..6].iter().fold(0_i64, |millis, byte| millis << 8 | i64::from(*byte));
        Timestamp::from_millis(millis)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_contains_its_creation_time() {
        let now = Timestamp::from_millis(1_763_130_320_123);
        assert_eq!(UserId::new(now, &Rng::system()).created_at(), Some(now));
        assert_eq!(UserId(Uuid::nil()).created_at(), None);
    }
}
