//! The states of keys over time.

use super::*;

const DAY: Duration = Duration::from_secs(86_400);

fn lifetimes() -> KeyLifetimes {
    KeyLifetimes { sign: 30 * DAY, announce: DAY / 24, retain: DAY }
}

fn states(ring: &Ring, now: Timestamp) -> Vec<KeyState> {
    ring.keys.iter().map(|key| ring.state(key, now, &lifetimes())).collect()
}

#[test]
fn ring_always_has_a_signer_that_was_announced() {
    let (rng, start) = (Rng::system(), Timestamp::from_secs(1_000_000));
    let mut ring = Ring::generate(start, &rng);
    let mut signers = vec![ring.keys[0].kid.clone()];
    for minute in 0..365 * 24 * 60 {
        let now = start + Duration::from_secs(60) * minute;
        ring.advance(now, &lifetimes(), &rng);
        let signer = ring.signer(now).expect("a signer at every moment");
        if signers.last() != Some(&signer.kid) {
            assert!(signer.signs_from.since(signer.announced_at) >= lifetimes().announce);
            signers.push(signer.kid.clone());
        }
        assert!(ring.keys.len() <= 3);
    }
    assert_eq!(signers.len(), 365 / 30 + 1);
}

#[test]
fn key_is_announced_signs_verifies_and_is_removed() {
    let (rng, start) = (Rng::system(), Timestamp::from_secs(1_000_000));
    let mut ring = Ring::generate(start, &rng);
    ring.rotate(start, &lifetimes(), &rng);
    assert_eq!(states(&ring, start), [KeyState::Signing, KeyState::Announced]);
    let turn = start + lifetimes().announce;
    assert_eq!(states(&ring, turn), [KeyState::VerifyOnly, KeyState::Signing]);
    assert_eq!(states(&ring, turn + lifetimes().retain), [KeyState::VerifyOnly, KeyState::Signing]);
    let over = turn + lifetimes().retain + Duration::from_millis(1);
    assert_eq!(states(&ring, over), [KeyState::Gone, KeyState::Signing]);
    assert!(ring.advance(over, &lifetimes(), &rng));
    assert_eq!(ring.keys.len(), 1);
}

#[test]
fn node_whose_clock_is_behind_uses_the_first_key() {
    let (rng, now) = (Rng::system(), Timestamp::from_secs(1_000_000));
    let mut ring = Ring::generate(now, &rng);
    let behind = now - Duration::from_millis(20);
    assert!(!ring.advance(behind, &lifetimes(), &rng));
    assert_eq!(ring.signer(behind), ring.keys.first());
}

#[test]
fn rotating_twice_announces_one_key() {
    let (rng, now) = (Rng::system(), Timestamp::from_secs(1_000_000));
    let mut ring = Ring::generate(now, &rng);
    let first = ring.rotate(now, &lifetimes(), &rng);
    assert_eq!(ring.rotate(now, &lifetimes(), &rng), first);
}

#[test]
fn revoked_signer_is_replaced_immediately() {
    let (rng, now) = (Rng::system(), Timestamp::from_secs(1_000_000));
    let mut ring = Ring::generate(now, &rng);
    let kid = ring.keys[0].kid.clone();
    ring.revoke(&kid, now, &rng).unwrap();
    assert_eq!(states(&ring, now), [KeyState::Revoked, KeyState::Signing]);
    assert_eq!(ring.revoke("nobody", now, &rng), Err(RingError::UnknownKey));
}

#[test]
fn previous_key_signs_again_after_a_revocation() {
    let (rng, start) = (Rng::system(), Timestamp::from_secs(1_000_000));
    let mut ring = Ring::generate(start, &rng);
    let second = ring.rotate(start, &lifetimes(), &rng);
    let now = start + lifetimes().announce;
    ring.revoke(&second.kid, now, &rng).unwrap();
    assert_eq!(states(&ring, now), [KeyState::Signing, KeyState::Revoked]);
}

#[test]
fn revocation_of_another_version_is_applied() {
    let (rng, now) = (Rng::system(), Timestamp::from_secs(1_000_000));
    let mut ring = Ring::generate(now, &rng);
    ring.rotate(now, &lifetimes(), &rng);
    let mut lost = ring.clone();
    let kid = ring.keys[0].kid.clone();
    lost.revoke(&kid, now, &rng).unwrap();
    let later = now + Duration::from_secs(1);
    ring.apply_revocations_of(&lost, later, &rng);
    assert_eq!(ring.keys[0].revoked_at, Some(later));
    let revoked = ring.clone();
    ring.apply_revocations_of(&lost, later, &rng);
    assert_eq!(ring, revoked);
}

#[test]
fn record_round_trips_and_debug_shows_no_seed() {
    let (rng, now) = (Rng::system(), Timestamp::from_secs(1_000_000));
    let mut ring = Ring::generate(now, &rng);
    ring.rotate(now, &lifetimes(), &rng);
    let kid = ring.keys[0].kid.clone();
    ring.revoke(&kid, now, &rng).unwrap();
    let read = Ring::from_bytes(&ring.to_bytes().unwrap()).unwrap();
    assert_eq!(read, ring);
    let seed = URL_SAFE_NO_PAD.encode(ring.keys[0].seed.as_slice());
    assert!(!format!("{ring:?}").contains(&seed));
    assert!(Ring::from_bytes(b"[{}]").is_err());
}
