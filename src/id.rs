//! The names things go by: users, sessions, projects, API keys, tokens.
//!
//! Every id is a UUID of version 7, so that ids sort by age, indexes stay dense, and the moment an id was made can be
//! read off it. Knows nothing of who makes them or where they are kept.

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
            /// A new id, made now.
            pub fn new(now: Timestamp, rng: &Rng) -> Self {
                Self(v7(now, rng))
            }

            /// Reads the hyphenated form; anything else is not an id.
            pub fn parse(text: &str) -> Option<Self> {
                Uuid::try_parse(text).ok().map(Self)
            }

            /// The sixteen bytes of the id.
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// The moment the id was made; `None` for an id that carries no time (an imported one).
            pub fn made_at(&self) -> Option<Timestamp> {
                made_at(self.0)
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
    /// A person or a machine that can sign in.
    UserId
);
id!(
    /// One sign-in and all that was refreshed from it: the `sid` of its tokens.
    SessionId
);
id!(
    /// What API keys belong to.
    ProjectId
);
id!(
    /// An API key's row; not its secret, nor its prefix.
    ApiKeyId
);
id!(
    /// One access token: its `jti`.
    TokenId
);

fn v7(now: Timestamp, rng: &Rng) -> Uuid {
    uuid::Builder::from_unix_timestamp_millis(now.millis().max(0) as u64, &rng.distinct()).into_uuid()
}

fn made_at(id: Uuid) -> Option<Timestamp> {
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
    fn an_id_tells_when_it_was_made() {
        let now = Timestamp::from_millis(1_763_130_320_123);
        assert_eq!(UserId::new(now, &Rng::system()).made_at(), Some(now));
        assert_eq!(UserId(Uuid::nil()).made_at(), None);
    }
}
