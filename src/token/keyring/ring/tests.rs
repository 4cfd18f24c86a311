//! A key's life, moment by moment.

use super::*;

const DAY: Duration = Duration::from_secs(86_400);

fn lives() -> KeyLifetimes {
    KeyLifetimes { sign: 30 * DAY, announce: DAY / 24, retain: DAY }
}

fn states(ring: &Ring, now: Timestamp) -> Vec<KeyState> {
    ring.keys.iter().map(|key| ring.state(key, now, &lives())).collect()
}

#[test]
fn a_year_of_rotation_leaves_no_moment_without_a_signer_and_no_key_signs_unannounced() {
    let (rng, start) = (Rng::system(), Timestamp::from_secs(1_000_000));
    let mut ring = Ring::generate(start, &rng);
    let mut signers = vec![ring.keys[0].kid.clone()];
    for minute in 0..365 * 24 * 60 {
        let now = start + Duration::from_secs(60) * minute;
        ring.advance(now, &lives(), &rng);
        let signer = ring.signer(now).expect("a signer at every moment");
        if signers.last() != Some(&signer.kid) {
            assert!(signer.signs_from.since(signer.announced_at) >= lives().announce);
            signers.push(signer.kid.clone());
        }
        assert!(ring.keys.len() <= 3);
    }
    assert_eq!(signers.len(), 365 / 30 + 1);
}

#[test]
fn a_key_is_announced_then_signs_then_only_verifies_then_is_gone() {
    let (rng, start) = (Rng::system(), Timestamp::from_secs(1_000_000));
    let mut ring = Ring::generate(start, &rng);
    ring.rotate(start, &lives(), &rng);
    assert_eq!(states(&ring, start), [KeyState::Signing, KeyState::Announced]);
    let turn = start + lives().announce;
    assert_eq!(states(&ring, turn), [KeyState::VerifyOnly, KeyState::Signing]);
    assert_eq!(states(&ring, turn + lives().retain), [KeyState::VerifyOnly, KeyState::Signing]);
    let over = turn + lives().retain + Duration::from_millis(1);
    assert_eq!(states(&ring, over), [KeyState::Gone, KeyState::Signing]);
    assert!(ring.advance(over, &lives(), &rng));
    assert_eq!(ring.keys.len(), 1);
}

#[test]
fn a_node_whose_clock_is_behind_takes_the_ring_as_it_is() {
    let (rng, now) = (Rng::system(), Timestamp::from_secs(1_000_000));
    let mut ring = Ring::generate(now, &rng);
    let behind = now - Duration::from_millis(20);
    assert!(!ring.advance(behind, &lives(), &rng));
    assert_eq!(ring.signer(behind), ring.keys.first());
}

#[test]
fn rotating_twice_announces_one_key() {
    let (rng, now) = (Rng::system(), Timestamp::from_secs(1_000_000));
    let mut ring = Ring::generate(now, &rng);
    let first = ring.rotate(now, &lives(), &rng);
    assert_eq!(ring.rotate(now, &lives(), &rng), first);
}

#[test]
fn a_revoked_signer_is_replaced_at_once() {
    let (rng, now) = (Rng::system(), Timestamp::from_secs(1_000_000));
    let mut ring = Ring::generate(now, &rng);
    let kid = ring.keys[0].kid.clone();
    ring.revoke(&kid, now, &rng).unwrap();
    assert_eq!(states(&ring, now), [KeyState::Revoked, KeyState::Signing]);
    assert_eq!(ring.revoke("nobody", now, &rng), Err(RingError::UnknownKey));
}

#[test]
fn a_revoked_signer_gives_way_to_the_one_before_if_that_is_still_there() {
    let (rng, start) = (Rng::system(), Timestamp::from_secs(1_000_000));
    let mut ring = Ring::generate(start, &rng);
    let second = ring.rotate(start, &lives(), &rng);
    let now = start + lives().announce;
    ring.revoke(&second.kid, now, &rng).unwrap();
    assert_eq!(states(&ring, now), [KeyState::Signing, KeyState::Revoked]);
}

#[test]
fn a_revocation_is_heeded_whichever_edition_knows_it() {
    let (rng, now) = (Rng::system(), Timestamp::from_secs(1_000_000));
    let mut ring = Ring::generate(now, &rng);
    ring.rotate(now, &lives(), &rng);
    let mut lost = ring.clone();
    let kid = ring.keys[0].kid.clone();
    lost.revoke(&kid, now, &rng).unwrap();
    let later = now + Duration::from_secs(1);
    ring.apply_revocations_of(&lost, later, &rng);
    assert_eq!(ring.keys[0].revoked_at, Some(later));
    let heeded = ring.clone();
    ring.apply_revocations_of(&lost, later, &rng);
    assert_eq!(ring, heeded);
}

#[test]
fn the_record_says_all_and_shows_no_seed_in_debug() {
    let (rng, now) = (Rng::system(), Timestamp::from_secs(1_000_000));
    let mut ring = Ring::generate(now, &rng);
    ring.rotate(now, &lives(), &rng);
    let kid = ring.keys[0].kid.clone();
    ring.revoke(&kid, now, &rng).unwrap();
    let read = Ring::from_bytes(&ring.to_bytes().unwrap()).unwrap();
    assert_eq!(read, ring);
    let seed = URL_SAFE_NO_PAD.encode(ring.keys[0].seed.as_slice());
    assert!(!format!("{ring:?}").contains(&seed));
    assert!(Ring::from_bytes(b"[{}]").is_err());
}
