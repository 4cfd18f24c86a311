//! The names of the keys, and what they contain. Knows no driver.
//!
//! All keys of a user (or of another subject of claims) have the hash tag `{user id}`, and all keys of the fleet the
//! tag `{fleet}`, so that each script stays in one slot of a Redis Cluster.
//!
//! | key | type | content |
//! |---|---|---|
//! | `{user}:s:<session>` | hash | a session, see below |
//! | `{user}:i` | sorted set | the index: session ids, scored by the time until which they are kept |
//! | `{user}:v` | hash | the sign-in mark: `v`alid after, kept `u`ntil |
//! | `{subject}:c:<purpose>:<id>` | hash | a claim: `d`igest, `p`ayload, a`t`tempts left, `e`xpiry |
//! | `{subject}:d` | hash | the wrong attempts of a day: `n`umber, counted `u`ntil |
//! | `{key}:l` | string | a rate limit: when its bucket is full again, in microseconds |
//! | `{key}:l:<requester>` | string | the limit of one requester, as above |
//! | `{user}:n` | sorted set | the networks that the user signed in from, scored by the time of the last sign-in |
//! | `{user}:l:<name>:<network>` | string | the limit of one of these networks, as above |
//! | `{user}:e`, `{user}:t` | stream | the security events of the user: actions, and attempts |
//! | `{key}:r` | hash | a request that may be repeated: `f`ingerprint, sealed `r`esponse, `e`xpiry |
//! | `{fleet}:ring` | hash | the sealed keyring: `v`ersion, `b`ytes |
//! | `{fleet}:floor` | string | the global `not_before` |
//! | `{fleet}:revocations` | stream | `t`arget, kept `u`ntil; ids are milliseconds by the publishers' clocks |
//! | `{fleet}:events`, `{fleet}:attempts` | stream | the security events of all: actions, and attempts |
//! | `{fleet}:privileged` | stream | those actions that are privileged, with the same ids |
//! | `{fleet}:nodes` | hash | the running nodes: by name, server time of the report and position applied |
//! | `{fleet}:node_states` | hash | the nodes' descriptions of themselves: by name, server time and JSON |
//! | `{fleet}:followers` | hash | the reports of followers of the published feed: by name, see `followers` |
//! | `{fleet}:born` | string | the stream's epoch: the server's time when the stream was created |
//! | `{fleet}:check` | string | written by health checks, to find out that writes are accepted |
//!
//! The fields of a session: `c`ounter, `o`pened, `u`sed, `r`otated, `i`dle, `e`nds (times in milliseconds), `d`ialect,
//! `a`ddress, a`g`ent, `p`rofile, `t`ime of authentication (absent if an older build opened it); `m`: the custom claims
//! (absent without any); `k`ept until; `l`ast replay; `s`erver time of the rotation; `x`: the session is over (`ended`,
//! `reused`), but its revocation is not yet published.
//!
//! Every key has a TTL, except `ring`, `floor`, `revocations` and `born` of the fleet: if the keyring, the global
//! `not_before` or the stream expired, everyone would be signed out. These keys are small, and `forget_revocations`
//! trims the stream.

use std::fmt::Write;
use std::sync::Arc;

use uuid::Uuid;

use crate::id::{SessionId, UserId};
use crate::store::ephemeral::{ClaimKey, EventScope};

/// Composes keys with a prefix.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    /// Shared, because tasks that outlast a request have a store of their own.
    prefix: Arc<str>,
}

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.into() }
    }

    pub(super) fn session(&self, user: UserId, session: SessionId) -> String {
        let mut key = self.session_prefix(user);
        key.push_str(hyphenated(session.0, &mut Uuid::encode_buffer()));
        key
    }

    /// The keys of a user's sessions without their ids.
    pub(super) fn session_prefix(&self, user: UserId) -> String {
        self.user_key(user, ":s:")
    }

    pub(super) fn index(&self, user: UserId) -> String {
        self.user_key(user, ":i")
    }

    pub(super) fn sign_in_mark(&self, user: UserId) -> String {
        self.user_key(user, ":v")
    }

    /// Without `format!`, because every refresh composes two keys.
    fn user_key(&self, user: UserId, suffix: &str) -> String {
        let mut key = String::with_capacity(self.prefix.len() + 80);
        key.push_str(&self.prefix);
        key.push('{');
        key.push_str(hyphenated(user.0, &mut Uuid::encode_buffer()));
        key.push('}');
        key.push_str(suffix);
        key
    }

    pub(super) fn claim(&self, key: &ClaimKey) -> String {
        let ClaimKey { subject, purpose, id } = key;
        format!("{}{{{}}}:c:{}:{id}", self.prefix, escaped(subject), escaped(purpose))
    }

    pub(super) fn day(&self, subject: &str) -> String {
        format!("{}{{{}}}:d", self.prefix, escaped(subject))
    }

    pub(super) fn limit(&self, key: &str) -> String {
        format!("{}{{{}}}:l", self.prefix, escaped(key))
    }

    pub(super) fn requester_limit(&self, key: &str, requester: &str) -> String {
        format!("{}{{{}}}:l:{}", self.prefix, escaped(key), escaped(requester))
    }

    pub(super) fn idempotency(&self, key: &str) -> String {
        format!("{}{{{}}}:r", self.prefix, escaped(key))
    }

    pub(super) fn networks(&self, user: UserId) -> String {
        self.user_key(user, ":n")
    }

    pub(super) fn network_limit(&self, user: UserId, name: &str, network: &str) -> String {
        format!("{}{}:{}", self.user_key(user, ":l:"), escaped(name), escaped(network))
    }

    /// The streams of a list of security events, in the order of [`EventScope::classes`].
    pub(super) fn events(&self, scope: EventScope) -> Vec<String> {
        match scope {
            EventScope::Fleet => vec![self.fleet("events"), self.fleet("attempts"), self.fleet("privileged")],
            EventScope::User(user) => vec![self.user_key(user, ":e"), self.user_key(user, ":t")],
        }
    }

    /// The stream of revocations, and its epoch.
    pub(super) fn revocations(&self) -> [String; 2] {
        [self.fleet("revocations"), self.fleet("born")]
    }

    pub(super) fn global_not_before(&self) -> String {
        self.fleet("floor")
    }

    pub(super) fn keyring(&self) -> String {
        self.fleet("ring")
    }

    pub(super) fn followers(&self) -> String {
        self.fleet("followers")
    }

    /// A key of the fleet.
    pub(super) fn fleet(&self, name: &str) -> String {
        format!("{}{{fleet}}:{name}", self.prefix)
    }
}

fn hyphenated(id: Uuid, into: &mut [u8; 45]) -> &str {
    id.as_hyphenated().encode_lower(into)
}

/// Escapes the characters that end a hash tag or separate parts, so that no two keys collide or leave their slot.
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
    fn claims_have_distinct_keys_and_subjects_one_hash_tag() {
        let keys = Keys::new("p:");
        let claim = |subject: &str, purpose, id: &str| {
            keys.claim(&ClaimKey { subject: subject.to_owned(), purpose, id: id.to_owned() })
        };
        assert_eq!(claim("s", "mail", "1"), "p:{s}:c:mail:1");
        assert_ne!(claim("s", "a:b", "c"), claim("s", "a", "b:c"));
        assert_ne!(claim("s}:c:a", "b", ""), claim("s", "a", "b"));
        assert_eq!(keys.limit("at {::1}"), "p:{at %7B%3A%3A1%7D}:l");
        assert!(keys.day("s}x").starts_with("p:{s%7Dx}"));
    }
}
