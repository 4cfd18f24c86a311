//! The revocations that a follower knows, in memory, so that checking a token costs no call.
//!
//! Reading takes no lock and allocates nothing. Entries that no token can match any more are removed. Knows nothing of
//! how revocations arrive.

mod sharded;
mod table;

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::claims::Claims;
use crate::feed::{Frame, Revoked, RevokedBefore, until_secs};
use crate::id_hash::IdHash;
use crate::keys::PublicKey;
use crate::time::UnixTime;
pub(crate) use sharded::SHARDS;
use sharded::ShardedTable;

/// Subtracted from the time at which a token without a session began, before that is compared with the revocation of
/// its user: the clock that stamped the token may be ahead of the one that stamped the revocation.
pub const CLOCK_SKEW: Duration = Duration::from_secs(120);

/// The ids of a token by which it can be revoked, hashed once when the token is verified.
#[derive(Clone, Copy, Debug)]
pub struct TokenIds {
    /// `sid`, `jti`, `client_id` and `kid`.
    ids: [Option<IdHash>; 4],
    user: IdHash,
    began: UnixTime,
    /// `began`, as it is compared with the revocation of the user.
    began_for_user: UnixTime,
}

impl TokenIds {
    /// The ids of a token with these claims, signed by `key`.
    pub fn new(claims: &Claims<'_>, key: &PublicKey) -> Self {
        let hash = |id: &Option<crate::claims::Text<'_>>| id.as_deref().map(IdHash::of);
        let session_began = claims.sid.as_deref().and_then(uuid_v7_time);
        let issued_at = || {
            let from_id = claims.jti.as_deref().and_then(uuid_v7_time);
            from_id.or(claims.iat.map(UnixTime::from_secs)).unwrap_or_default()
        };
        let began = session_began.unwrap_or_else(issued_at);
        Self {
            ids: [hash(&claims.sid), hash(&claims.jti), hash(&claims.client_id), Some(key.id_hash())],
            user: IdHash::of(&claims.sub),
            began,
            began_for_user: if session_began.is_some() { began } else { began - CLOCK_SKEW },
        }
    }
}

/// The time in a UUID of version 7 (RFC 9562, 5.7); `None` for another text.
fn uuid_v7_time(text: &str) -> Option<UnixTime> {
    let bytes: &[u8; 36] = text.as_bytes().try_into().ok()?;
    let is_uuid = bytes.iter().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => *byte == b'-',
        14 => *byte == b'7',
        19 => matches!(byte, b'8' | b'9' | b'a' | b'b' | b'A' | b'B'),
        _ => byte.is_ascii_hexdigit(),
    });
    if !is_uuid {
        return None;
    }
    let digits = bytes[..8].iter().chain(&bytes[9..13]);
    let millis = digits
        .into_iter()
        .try_fold(0, |millis, digit| char::from(*digit).to_digit(16).map(|digit| millis << 4 | i64::from(digit)))?;
    Some(UnixTime::from_millis(millis))
}

/// The revocations in force.
#[derive(Default)]
pub struct RevocationSet {
    tables: ArcSwap<Tables>,
    /// Held by those who change the tables.
    changing: Mutex<()>,
    /// Everything that began before this is revoked.
    not_before: AtomicI64,
    /// The number of entries of both kinds, so that checking against an empty set costs two loads.
    count: AtomicUsize,
}

/// Replaced when a shard is full, or has entries to remove.
#[derive(Clone, Default)]
struct Tables {
    revoked: ShardedTable<()>,
    /// With `before` in milliseconds.
    revoked_before: ShardedTable<AtomicI64>,
}

impl RevocationSet {
    /// Returns true if a token with these ids is revoked.
    pub fn is_revoked(&self, token: &TokenIds) -> bool {
        if token.began.millis() < self.not_before.load(Ordering::Relaxed) {
            return true;
        }
        if self.count.load(Ordering::Acquire) == 0 {
            return false;
        }
        let tables = self.tables.load();
        token.ids.iter().flatten().any(|id| tables.revoked.get(id).is_some())
            || tables.revoked_before.get(&token.user).is_some_and(|before| token.began_for_user.millis() <= before)
    }

    /// Returns true if `key` is revoked: then it signs nothing that is accepted, neither tokens nor frames.
    pub fn is_key_revoked(&self, key: &PublicKey) -> bool {
        self.tables.load().revoked.get(&key.id_hash()).is_some()
    }

    /// Applies the entries of a frame. A frame can be applied twice, and frames of another order do no harm.
    pub fn apply(&self, frame: &Frame) {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.tables.load_full();
        // Not copied unless a shard is full.
        let (mut tables, mut added) = (known.clone(), 0);
        for Revoked { id, until } in &frame.revoked {
            if tables.revoked.is_full_at(id) {
                Arc::make_mut(&mut tables).revoked.grow_at(id);
            }
            added += usize::from(tables.revoked.add(id, until_secs(*until), ()));
        }
        for RevokedBefore { user, before, until } in &frame.revoked_before {
            if tables.revoked_before.is_full_at(user) {
                Arc::make_mut(&mut tables).revoked_before.grow_at(user);
            }
            added += usize::from(tables.revoked_before.add(user, until_secs(*until), before.millis()));
        }
        if !Arc::ptr_eq(&tables, &known) {
            self.tables.store(tables);
        }
        self.count.fetch_add(added, Ordering::Release);
        if let Some(not_before) = frame.not_before {
            self.not_before.fetch_max(not_before.millis(), Ordering::Relaxed);
        }
    }

    /// Removes entries that no token can match any more.
    pub fn remove_expired(&self, now: UnixTime) {
        (0..SHARDS).for_each(|shard| self.remove_expired_of(shard, now));
    }

    /// The same for one shard: a thread that removes all at once does nothing else for long, if there are many.
    pub(crate) fn remove_expired_of(&self, shard: usize, now: UnixTime) {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let now = u32::try_from(now.secs().max(0)).unwrap_or(u32::MAX);
        let mut tables = Tables::clone(&self.tables.load());
        let removed = tables.revoked.remove_expired(shard, now) + tables.revoked_before.remove_expired(shard, now);
        if removed > 0 {
            self.count.fetch_sub(removed, Ordering::Release);
            self.tables.store(Arc::new(tables));
        }
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Returns true if there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Everything that began before this is revoked.
    pub fn not_before(&self) -> UnixTime {
        UnixTime::from_millis(self.not_before.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use ed25519_dalek::SigningKey;
    use serde_json::json;

    use super::*;

    const ISSUER: &str = "https://id.example.org";
    /// Version 7, begun at `BEGAN`.
    const SID: &str = "019a83b6-1ac0-7000-8000-000000000001";
    const JTI: &str = "019a83b6-1ea8-7000-8000-000000000002";
    const BEGAN: i64 = 0x019a_83b6_1ac0;

    fn key() -> PublicKey {
        PublicKey::ed25519("k1", SigningKey::from_bytes(&[7; 32]).verifying_key().as_bytes()).unwrap()
    }

    fn ids(more: serde_json::Value) -> TokenIds {
        let mut claims = json!({"iss": ISSUER, "aud": "a", "sub": "user", "exp": 2, "iat": 1000});
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let json = claims.to_string();
        TokenIds::new(&Claims::parse(&json, ISSUER).unwrap(), &key())
    }

    /// A frame without entries.
    pub(crate) fn frame() -> Frame {
        Frame {
            issuer: ISSUER.to_owned(),
            time: UnixTime::default(),
            epoch: "e".to_owned(),
            from: None,
            to: "1".to_owned(),
            not_before: None,
            jwks: None,
            revoked: Vec::new(),
            revoked_before: Vec::new(),
            segments: None,
            part: None,
        }
    }

    const UNTIL: UnixTime = UnixTime::from_secs(2_000_000_000);

    fn revoked(id: &str) -> Frame {
        Frame { revoked: vec![Revoked { id: IdHash::of(id), until: UNTIL }], ..frame() }
    }

    fn revoked_before(before: i64) -> Frame {
        let entry = RevokedBefore { user: IdHash::of("user"), before: UnixTime::from_millis(before), until: UNTIL };
        Frame { revoked_before: vec![entry], ..frame() }
    }

    #[test]
    fn each_id_of_a_token_revokes_it() {
        let token = ids(json!({"sid": SID, "jti": JTI, "client_id": "client"}));
        for id in [SID, JTI, "client", "k1"] {
            let set = RevocationSet::default();
            assert!(!set.is_revoked(&token));
            set.apply(&revoked(id));
            assert!(set.is_revoked(&token), "{id}");
        }
        let set = RevocationSet::default();
        for other in ["user", "K1", "", &SID[1..]] {
            set.apply(&revoked(other));
        }
        assert!(!set.is_revoked(&token));
        assert!(!set.is_revoked(&ids(json!({}))), "a token without ids is not revoked by an empty id");
    }

    #[test]
    fn token_of_a_session_began_with_the_session() {
        let token = ids(json!({"sid": SID, "jti": JTI}));
        for (before, expected) in [(BEGAN - 1, false), (BEGAN, true)] {
            let set = RevocationSet::default();
            set.apply(&revoked_before(before));
            assert_eq!(set.is_revoked(&token), expected);
        }
        for (not_before, expected) in [(BEGAN, false), (BEGAN + 1, true)] {
            let set = RevocationSet::default();
            set.apply(&Frame { not_before: Some(UnixTime::from_millis(not_before)), ..frame() });
            assert_eq!(set.is_revoked(&token), expected);
        }
    }

    #[test]
    fn token_without_a_session_began_when_it_was_issued() {
        let skew = CLOCK_SKEW.as_millis() as i64;
        for (token, began) in [
            (ids(json!({"jti": JTI})), BEGAN + 1000),
            (ids(json!({"jti": "other"})), 1_000_000),
            (ids(json!({"jti": JTI.replace("-7", "-4")})), 1_000_000),
        ] {
            for (before, expected) in [(began - skew - 1, false), (began - skew, true)] {
                let set = RevocationSet::default();
                set.apply(&revoked_before(before));
                assert_eq!(set.is_revoked(&token), expected, "{began}");
            }
        }
    }

    #[test]
    fn the_later_limit_is_kept() {
        let (set, token) = (RevocationSet::default(), ids(json!({"sid": SID})));
        set.apply(&revoked_before(BEGAN));
        set.apply(&revoked_before(BEGAN - 5));
        assert!(set.is_revoked(&token));
        set.apply(&Frame { not_before: Some(UnixTime::from_millis(5)), ..frame() });
        set.apply(&frame());
        assert_eq!(set.not_before(), UnixTime::from_millis(5));
        let (mut early, late) = (revoked(SID), revoked(SID));
        early.revoked[0].until = UnixTime::from_secs(1);
        set.apply(&late);
        set.apply(&early);
        set.remove_expired(UnixTime::from_secs(2));
        assert_eq!(set.len(), 2);
    }

    #[test]
    fn entries_stay_while_the_tables_grow() {
        let set = RevocationSet::default();
        let sid = |number: usize| format!("019a83b6-1ac0-7000-8000-{number:012}");
        for _ in 0..2 {
            for number in 0..2000 {
                set.apply(&revoked(&sid(number)));
            }
            set.apply(&revoked_before(BEGAN - 1));
            assert_eq!(set.len(), 2001);
        }
        assert!((0..2000).all(|number| set.is_revoked(&ids(json!({"sid": sid(number)})))));
        assert!(!set.is_revoked(&ids(json!({"sid": sid(2000)}))));
    }

    #[test]
    fn expired_entries_are_removed() {
        let set = RevocationSet::default();
        set.apply(&revoked(SID));
        set.apply(&revoked_before(BEGAN));
        set.remove_expired(UNTIL - Duration::from_millis(1));
        assert_eq!(set.len(), 2);
        set.remove_expired(UNTIL);
        assert!(set.is_empty() && !set.is_revoked(&ids(json!({"sid": SID}))));
    }
}
