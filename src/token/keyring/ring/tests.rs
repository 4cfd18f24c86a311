//! The states of keys over time.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::*;
use crate::config::SigningAlgorithm::{EdDsa, Es256};

const DAY: Duration = Duration::from_secs(86_400);
const START: Timestamp = Timestamp::from_secs(1_000_000);

fn policy() -> KeyPolicy {
    KeyPolicy { sign: 30 * DAY, announce: DAY / 24, retain: DAY, es256: false }
}

fn with_es256() -> KeyPolicy {
    KeyPolicy { es256: true, ..policy() }
}

fn rng() -> Rng {
    Rng::system()
}

/// A ring as every running node has it: with a standby.
fn running(policy: &KeyPolicy) -> Ring {
    let mut ring = Ring::generate(START, &rng());
    assert!(ring.advance(START, policy, &rng()));
    assert!(!ring.advance(START, policy, &rng()));
    ring
}

fn states(ring: &Ring, now: Timestamp) -> Vec<KeyState> {
    ring.keys.iter().map(|key| ring.state(key, now, &policy())).collect()
}

#[test]
fn ring_always_has_an_announced_signing_key_and_a_standby() {
    let (rng, policy) = (rng(), with_es256());
    let mut ring = running(&policy);
    for algorithm in [EdDsa, Es256] {
        let mut signers = vec![ring.signing_key(algorithm, START).unwrap().kid.clone()];
        for hour in 0..365 * 24 {
            let now = START + Duration::from_secs(3600) * hour;
            ring.advance(now, &policy, &rng);
            let signing_key = ring.signing_key(algorithm, now).expect("a signing key at every moment");
            if signers.last() != Some(&signing_key.kid) {
                // The standby was announced when its predecessor began to sign.
                assert_eq!(signing_key.signs_from.since(signing_key.announced_at), policy.sign);
                signers.push(signing_key.kid.clone());
            }
            assert!(ring.next(algorithm, now).is_some(), "no standby");
            assert!(ring.usable(algorithm).count() <= 3);
        }
        assert_eq!(signers.len(), 365 / 30 + 1);
        ring = running(&policy);
    }
}

#[test]
fn key_is_announced_signs_verifies_and_is_removed() {
    let rng = rng();
    let mut ring = Ring::generate(START, &rng);
    ring.rotate(EdDsa, START, &policy(), &rng).unwrap();
    assert_eq!(states(&ring, START), [KeyState::Signing, KeyState::Announced]);
    let turn = START + policy().announce;
    assert_eq!(states(&ring, turn), [KeyState::VerifyOnly, KeyState::Signing]);
    assert_eq!(states(&ring, turn + policy().retain), [KeyState::VerifyOnly, KeyState::Signing]);
    let over = turn + policy().retain + Duration::from_millis(1);
    assert_eq!(states(&ring, over), [KeyState::Gone, KeyState::Signing]);
    assert!(ring.advance(over, &policy(), &rng));
    assert_eq!(states(&ring, over), [KeyState::Signing, KeyState::Announced]);
}

#[test]
fn ring_of_an_earlier_build_gains_a_standby() {
    let rng = rng();
    let mut ring = Ring::generate(START, &rng);
    let now = START + 10 * DAY;
    assert!(ring.advance(now, &policy(), &rng));
    assert_eq!(states(&ring, now), [KeyState::Signing, KeyState::Announced]);
    assert_eq!(ring.keys[1].signs_from, START + policy().sign);
    // If the signing key is overdue, the standby is still announced for long enough.
    let mut ring = Ring::generate(START, &rng);
    let late = START + 2 * policy().sign;
    ring.advance(late, &policy(), &rng);
    assert_eq!(ring.keys[1].signs_from, late + policy().announce);
}

#[test]
fn node_whose_clock_is_behind_uses_the_first_key() {
    let rng = rng();
    let mut ring = Ring::generate(START, &rng);
    let behind = START - Duration::from_millis(20);
    assert!(!ring.advance(behind, &policy(), &rng));
    assert_eq!(ring.signing_key(EdDsa, behind), ring.keys.first());
    let mut ring = running(&policy());
    assert!(!ring.advance(behind, &policy(), &rng));
    assert_eq!(ring.signing_key(EdDsa, behind), ring.keys.first());
}

#[test]
fn rotating_lets_a_standby_sign_once_announced_long_enough() {
    let rng = rng();
    let mut ring = running(&policy());
    let standby = ring.keys[1].kid.clone();
    let next = ring.rotate(EdDsa, START, &policy(), &rng).unwrap();
    assert_eq!((&next.kid, next.signs_from), (&standby, START + policy().announce));
    assert_eq!(ring.rotate(EdDsa, START, &policy(), &rng).unwrap(), next, "rotating again changes nothing");
    assert_eq!(states(&ring, START), [KeyState::Signing, KeyState::Announced]);

    let mut ring = running(&policy());
    let now = START + DAY;
    let next = ring.rotate(EdDsa, now, &policy(), &rng).unwrap();
    assert_eq!((next.kid.as_str(), next.signs_from), (ring.keys[1].kid.as_str(), now));
    assert_eq!(states(&ring, now), [KeyState::VerifyOnly, KeyState::Signing, KeyState::Announced]);
    assert_eq!(ring.keys[2].signs_from, now + policy().sign);
}

#[test]
fn shorter_interval_of_rotation_applies_to_the_standby() {
    let rng = rng();
    let mut ring = running(&policy());
    let shorter = KeyPolicy { sign: 7 * DAY, ..policy() };
    assert!(ring.advance(START + DAY, &shorter, &rng));
    assert_eq!(ring.keys[1].signs_from, START + 7 * DAY);
    // A node that still has the longer interval does not undo that.
    assert!(!ring.advance(START + DAY, &policy(), &rng));
}

#[test]
fn imported_key_signs_before_the_standby() {
    let rng = rng();
    let mut ring = running(&policy());
    let now = START + DAY;
    let imported = ring.import(KeyPair::generate(EdDsa, &rng), now, &policy()).unwrap();
    let begins = now + policy().announce;
    assert_eq!(imported.signs_from, begins);
    assert_eq!(ring.signing_key(EdDsa, begins).unwrap().kid, imported.kid);
    assert_eq!(ring.keys[1].signs_from, begins + policy().sign);
    assert!(!ring.advance(begins, &policy(), &rng), "the standby stays as it is");
    let pair = KeyPair::from_private(EdDsa, imported.private.clone()).unwrap();
    assert_eq!(ring.import(pair, now, &policy()), Err(RingError::KnownKey));
}

#[test]
fn standby_replaces_a_revoked_signing_key_immediately() {
    for (policy, algorithm) in [(policy(), EdDsa), (with_es256(), EdDsa), (with_es256(), Es256)] {
        let rng = rng();
        let mut ring = running(&policy);
        let now = START + DAY;
        let (signing_key, standby) =
            (ring.signing_key(algorithm, now).unwrap().clone(), ring.next(algorithm, now).unwrap().clone());
        ring.revoke(&signing_key.kid, now, &policy, &rng).unwrap();
        let promoted = ring.signing_key(algorithm, now).unwrap();
        assert_eq!((&promoted.kid, promoted.signs_from), (&standby.kid, now));
        assert_eq!(promoted.announced_at, START, "verifiers have it");
        let next = ring.next(algorithm, now).unwrap();
        assert_eq!((next.announced_at, next.signs_from), (now, now + policy.sign));
        let revoked = ring.clone();
        ring.revoke(&signing_key.kid, now, &policy, &rng).unwrap();
        assert_eq!(ring, revoked, "revoking again changes nothing");
        assert_eq!(ring.revoke("nobody", now, &policy, &rng), Err(RingError::UnknownKey));
    }
}

#[test]
fn revoked_standby_is_replaced() {
    let rng = rng();
    let mut ring = running(&policy());
    let (now, standby) = (START + DAY, ring.keys[1].kid.clone());
    ring.revoke(&standby, now, &policy(), &rng).unwrap();
    assert_eq!(states(&ring, now), [KeyState::Signing, KeyState::Revoked, KeyState::Announced]);
    assert_eq!((ring.keys[2].announced_at, ring.keys[2].signs_from), (now, START + policy().sign));
}

#[test]
fn key_that_was_announced_first_is_promoted() {
    let rng = rng();
    let mut ring = running(&policy());
    let now = START + DAY;
    ring.import(KeyPair::generate(EdDsa, &rng), now, &policy()).unwrap();
    let [signing_key, standby] = [0, 1].map(|at: usize| ring.keys[at].kid.clone());
    ring.revoke(&signing_key, now, &policy(), &rng).unwrap();
    assert_eq!(ring.signing_key(EdDsa, now).unwrap().kid, standby);
}

#[test]
fn previous_key_signs_again_after_a_revocation() {
    let rng = rng();
    let mut ring = Ring::generate(START, &rng);
    let second = ring.rotate(EdDsa, START, &policy(), &rng).unwrap();
    let now = START + policy().announce;
    ring.revoke(&second.kid, now, &policy(), &rng).unwrap();
    assert_eq!(states(&ring, now), [KeyState::Signing, KeyState::Revoked, KeyState::Announced]);
}

#[test]
fn revocation_of_another_version_is_applied() {
    let rng = rng();
    let mut ring = running(&policy());
    let mut lost = ring.clone();
    let kid = ring.keys[0].kid.clone();
    lost.revoke(&kid, START, &policy(), &rng).unwrap();
    let later = START + Duration::from_secs(1);
    ring.apply_revocations_of(&lost, later, &policy(), &rng);
    assert_eq!(ring.keys[0].revoked_at, Some(later));
    let revoked = ring.clone();
    ring.apply_revocations_of(&lost, later, &policy(), &rng);
    assert_eq!(ring, revoked);
}

#[test]
fn revocation_of_the_only_key_is_applied() {
    let rng = rng();
    let mut ring = Ring::generate(START, &rng);
    let mut other = ring.clone();
    other.revoke(&ring.keys[0].kid, START, &policy(), &rng).unwrap();
    ring.apply_revocations_of(&other, START, &policy(), &rng);
    assert_eq!(ring.keys[0].revoked_at, Some(START));
}

#[test]
fn unused_p256_key_signs_until_no_node_can_need_it() {
    let ring = running(&with_es256());
    let last = ring.next(Es256, START).unwrap();
    let unused_at = last.signs_from + UNUSED_AFTER;
    assert_eq!(ring.state(last, unused_at - Duration::from_millis(1), &policy()), KeyState::Signing);
    assert_eq!(ring.state(last, unused_at, &policy()), KeyState::VerifyOnly);
}

#[test]
fn p256_keys_exist_only_while_an_audience_has_es256() {
    let rng = rng();
    let mut ring = running(&policy());
    assert!(ring.keys.iter().all(|key| key.algorithm() == EdDsa) && ring.signing_key(Es256, START).is_none());
    assert_eq!(ring.rotate(Es256, START, &policy(), &rng), Err(RingError::UnusedAlgorithm));
    assert_eq!(ring.import(KeyPair::generate(Es256, &rng), START, &policy()), Err(RingError::UnusedAlgorithm));

    assert!(ring.advance(START, &with_es256(), &rng));
    assert_eq!(ring.keys.iter().map(Key::algorithm).collect::<Vec<_>>(), [EdDsa, EdDsa, Es256, Es256]);
    // A node whose settings do not have the audience yet, or no longer, leaves the keys alone.
    let used_until = START + policy().sign;
    assert!(!ring.advance(START + 29 * DAY, &policy(), &rng));
    assert!(ring.keys.iter().all(|key| ring.state(key, used_until - DAY, &policy()) != KeyState::Gone));
    // If no node has announced the next key when the standby begins, no node needs them.
    let mut unused = ring.clone();
    unused.advance(used_until + UNUSED_AFTER + policy().retain + DAY, &policy(), &rng);
    assert!(unused.keys.iter().all(|key| key.algorithm() == EdDsa));
    // A node that needs them has.
    ring.advance(used_until, &with_es256(), &rng);
    let later = used_until + UNUSED_AFTER + policy().retain + DAY;
    ring.advance(later, &policy(), &rng);
    assert!(ring.signing_key(Es256, later).is_some_and(|key| ring.state(key, later, &policy()) == KeyState::Signing));
}

#[test]
fn revoked_p256_keys_are_not_replaced_if_nothing_uses_them() {
    let rng = rng();
    let mut ring = running(&with_es256());
    let now = START + DAY;
    for _ in 0..2 {
        let kid = ring.signing_key(Es256, now).unwrap().kid.clone();
        ring.revoke(&kid, now, &policy(), &rng).unwrap();
    }
    assert!(ring.signing_key(Es256, now).is_none());
    assert!(ring.signing_key(EdDsa, now).is_some() && ring.next(EdDsa, now).is_some());
}

/// The record as the previous build parses it and writes it.
#[derive(serde::Serialize, serde::Deserialize)]
struct PreviousRecord {
    edition: u64,
    keys: Vec<PreviousKey>,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct PreviousKey {
    seed: String,
    announced_at: i64,
    signs_from: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revoked_at: Option<i64>,
}

#[test]
fn previous_build_reads_the_record() {
    let rng = rng();
    let mut ring = running(&policy());
    let kid = ring.keys[0].kid.clone();
    ring.revoke(&kid, START, &policy(), &rng).unwrap();
    let written = ring.to_bytes().unwrap();
    let read: PreviousRecord = serde_json::from_slice(&written).unwrap();
    assert_eq!(serde_json::to_vec(&read).unwrap(), *written, "byte for byte what the previous build writes");

    ring.advance(START, &with_es256(), &rng);
    let read: PreviousRecord = serde_json::from_slice(&ring.to_bytes().unwrap()).unwrap();
    assert_eq!(read.keys.len(), ring.usable(EdDsa).count() + 1);
}

/// Dropped by a node of the previous build, which rotated at the same time.
#[test]
fn dropped_p256_keys_are_restored() {
    let rng = rng();
    let mut held = running(&with_es256());
    let revoked = held.keys[2].kid.clone();
    held.revoke(&revoked, START, &with_es256(), &rng).unwrap();
    let dropped: PreviousRecord = serde_json::from_slice(&held.to_bytes().unwrap()).unwrap();
    let mut ring = Ring::from_bytes(&serde_json::to_vec(&dropped).unwrap()).unwrap();
    ring.rotate(EdDsa, START + DAY, &policy(), &rng).unwrap();
    assert!(ring.signing_key(Es256, START + DAY).is_none());

    let dropped = ring.clone();
    ring.restore_dropped_keys_of(&held, START, &with_es256());
    let p256 = |ring: &Ring| ring.keys.iter().filter(|key| key.algorithm() == Es256).cloned().collect::<Vec<_>>();
    assert_eq!(p256(&ring), p256(&held), "the revoked one too");
    // A node with other settings may have removed a key that was revoked before.
    let mut later = dropped;
    later.restore_dropped_keys_of(&held, START + RESTORE_REVOKED, &with_es256());
    assert_eq!(p256(&later), p256(&held)[1..]);
    let mut stranger = Ring::generate(START, &rng);
    stranger.restore_dropped_keys_of(&held, START, &with_es256());
    assert_eq!(stranger.keys.len(), 1);
}

#[test]
fn an_old_version_brings_no_revoked_p256_key_back() {
    let (rng, policy) = (rng(), with_es256());
    let old = running(&policy);
    let mut ring = old.clone();
    let kids = old.keys[2..].iter().map(|key| key.kid.clone()).collect::<Vec<_>>();
    kids.iter().for_each(|kid| ring.revoke(kid, START, &policy, &rng).unwrap());
    let later = START + policy.retain + DAY;
    ring.advance(later, &policy, &rng);
    let newer = ring.clone();
    assert!(ring.shares_a_key_with(&old) && ring.keys.iter().all(|key| !kids.contains(&key.kid)));
    ring.restore_dropped_keys_of(&old, later, &policy);
    assert_eq!(ring, newer);
}

#[test]
fn record_round_trips_and_debug_shows_no_private_key() {
    let rng = rng();
    let mut ring = running(&with_es256());
    for at in [0, 2] {
        let kid = ring.keys[at].kid.clone();
        ring.revoke(&kid, START, &with_es256(), &rng).unwrap();
    }
    ring.rotate(EdDsa, START + DAY, &with_es256(), &rng).unwrap();
    let bytes = ring.to_bytes().unwrap();
    let read = Ring::from_bytes(&bytes).unwrap();
    assert_eq!(read, ring, "in the same order");
    assert_eq!(*read.to_bytes().unwrap(), *bytes);
    for key in &ring.keys {
        assert!(!format!("{ring:?} {key:?}").contains(&URL_SAFE_NO_PAD.encode(key.private.as_slice())));
    }
    assert!(Ring::from_bytes(b"[{}]").is_err());
    // Zero and the order of the group are no scalars of P-256.
    let order = "_____wAAAAD__________7zm-q2nF56E87nKwvxjJVE";
    for bad in ["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", order, "AAAA"] {
        let mut record: Value = serde_json::from_slice(&bytes).unwrap();
        record["p256_keys"][0]["seed"] = json!(bad);
        assert!(Ring::from_bytes(record.to_string().as_bytes()).is_err(), "{bad}");
    }
}
