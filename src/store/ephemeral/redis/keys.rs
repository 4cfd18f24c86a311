//! The names of the keys, and what is kept under them. Knows no driver.
//!
//! All keys of a user (or of another subject of claims) carry the hash tag `{user id}`, and all keys of the fleet the tag
//! `{fleet}`, so that each script stays in one slot of a Redis Cluster.
//!
//! | key | type | what |
//! |---|---|---|
//! | `{user}:s:<session>` | hash | a session: `c`ounter, `o`pened, `u`sed, `r`otated, `i`dle, `e`nds (milliseconds), `d`ialect, `a`ddress, a`g`ent, `p`rofile; `k`ept until; `l`ast repetition; `x`: over (`ended`, `reused`), its revocation not yet published |
//! | `{user}:i` | sorted set | the index: session ids by when they are no longer kept |
//! | `{user}:v` | hash | the mark of an ending: `v`alid after, `u`ntil when it is kept |
//! | `{subject}:c:<purpose>:<id>` | hash | a claim: `d`igest, `p`ayload, `t`ries left, `e`xpiry |
//! | `{subject}:d` | hash | the wrong tries of a day: `n`umber, `u`ntil |
//! | `{key}:l` | string | a limit: when its bucket is full again, microseconds |
//! | `{fleet}:ring` | hash | the sealed keyring: `v`ersion, `b`ytes |
//! | `{fleet}:floor` | string | the floor |
//! | `{fleet}:revocations` | stream | `t`arget, `u`ntil; ids are milliseconds by the publishers' clocks |
//! | `{fleet}:born` | string | which stream that is: the server's time when it began |
//!
//! Every key has a TTL except those of the fleet: a ring, a floor or a stream that vanished by itself would sign everyone
//! out. They are few and small, and the stream is cut by `forget_revocations`.

use std::fmt::Write;

use uuid::Uuid;

use crate::id::{SessionId, UserId};

/// Writes keys after a prefix.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    prefix: String,
}

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    pub(super) fn session(&self, user: UserId, session: SessionId) -> String {
        let mut key = self.sessions(user);
        key.push_str(hyphenated(session.0, &mut Uuid::encode_buffer()));
        key
    }

    /// What stands before the id in the keys of a user's sessions.
    pub(super) fn sessions(&self, user: UserId) -> String {
        self.of_user(user, ":s:")
    }

    pub(super) fn index(&self, user: UserId) -> String {
        self.of_user(user, ":i")
    }

    pub(super) fn mark(&self, user: UserId) -> String {
        self.of_user(user, ":v")
    }

    /// By hand, since every refresh writes two of them.
    fn of_user(&self, user: UserId, what: &str) -> String {
        let mut key = String::with_capacity(self.prefix.len() + 80);
        key.push_str(&self.prefix);
        key.push('{');
        key.push_str(hyphenated(user.0, &mut Uuid::encode_buffer()));
        key.push('}');
        key.push_str(what);
        key
    }

    pub(super) fn claim(&self, subject: &str, purpose: &str, id: &str) -> String {
        format!("{}{{{}}}:c:{}:{id}", self.prefix, escaped(subject), escaped(purpose))
    }

    pub(super) fn day(&self, subject: &str) -> String {
        format!("{}{{{}}}:d", self.prefix, escaped(subject))
    }

    pub(super) fn limit(&self, key: &str) -> String {
        format!("{}{{{}}}:l", self.prefix, escaped(key))
    }

    /// One of the fleet's.
    pub(super) fn fleet(&self, what: &str) -> String {
        format!("{}{{fleet}}:{what}", self.prefix)
    }
}

fn hyphenated(id: Uuid, into: &mut [u8; 45]) -> &str {
    id.as_hyphenated().encode_lower(into)
}

/// Without what ends a tag or parts a key, so that no two things share a key or leave their slot.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '%' | '{' | '}' | ':' => _ = write!(out, "%{:02X}", u32::from(char)),
            plain => out.push(plain),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_claims_share_a_key_and_all_of_a_subject_share_a_tag() {
        let keys = Keys::new("p:");
        assert_eq!(keys.claim("s", "mail", "1"), "p:{s}:c:mail:1");
        assert_ne!(keys.claim("s", "a:b", "c"), keys.claim("s", "a", "b:c"));
        assert_ne!(keys.claim("s}:c:a", "b", ""), keys.claim("s", "a", "b"));
        assert_eq!(keys.limit("at {::1}"), "p:{at %7B%3A%3A1%7D}:l");
        assert!(keys.day("s}x").starts_with("p:{s%7Dx}"));
    }
}
