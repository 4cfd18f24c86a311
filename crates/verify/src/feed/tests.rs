//! Frames: what is encoded is decoded again, by the right key only, and within the bounds.

use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Value, json};

use super::*;

const ISSUER: &str = "https://id.example.org";

fn key(seed: u8) -> (SigningKey, PublicKey) {
    let key = SigningKey::from_bytes(&[seed; 32]);
    let public = PublicKey::ed25519("k1", key.verifying_key().as_bytes()).unwrap();
    (key, public)
}

fn frame() -> Frame {
    Frame {
        issuer: ISSUER.to_owned(),
        time: UnixTime::from_millis(1_763_130_320_123),
        epoch: "e-1".to_owned(),
        from: Some("1763130320000-0".to_owned()),
        to: "1763130320100-7".to_owned(),
        not_before: Some(UnixTime::from_millis(1_763_000_000_001)),
        jwks: Some(jwks_hash(b"{\"keys\":[]}")),
        revoked: vec![Revoked { id: IdHash::of("a session"), until: UnixTime::from_secs(1_763_131_220) }],
        revoked_before: vec![RevokedBefore {
            user: IdHash::of("a user"),
            before: UnixTime::from_millis(1_763_130_319_999),
            until: UnixTime::from_secs(1_763_131_220),
        }],
        segments: None,
        part: None,
    }
}

fn signed(key: &SigningKey, frame: &Frame) -> String {
    encode(frame, "k1", |message| key.sign(message).to_bytes()).unwrap()
}

fn signed_json(key: &SigningKey, header: &Value, payload: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(payload));
    let signature = URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()).to_bytes());
    format!("{message}.{signature}")
}

fn payload_of(frame: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(frame.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

#[test]
fn encoded_frame_is_decoded_again() {
    let (signer, public) = key(7);
    let head = Frame {
        from: None,
        revoked: Vec::new(),
        revoked_before: Vec::new(),
        segments: Some(vec!["1-0".to_owned(), "1763130320100-7".to_owned()]),
        ..frame()
    };
    let snapshot = Frame { from: None, part: Some(Part { number: 2, of: 3 }), ..frame() };
    let segment = Frame { not_before: None, jwks: None, ..frame() };
    for frame in [frame(), head, snapshot, segment] {
        assert_eq!(decode(&signed(&signer, &frame), std::slice::from_ref(&public), ISSUER), Ok(frame));
    }
}

#[test]
fn frame_has_the_published_form() {
    let (signer, _) = key(7);
    let text = signed(&signer, &frame());
    let header: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text.split('.').next().unwrap()).unwrap()).unwrap();
    assert_eq!(header, json!({"alg": "EdDSA", "typ": "signet-revocations+jws", "kid": "k1"}));
    let payload = payload_of(&text);
    assert_eq!(payload["time"], 1_763_130_320_123_i64);
    assert_eq!(payload["from"], "1763130320000-0");
    assert!(payload.get("segments").is_none() && payload.get("part").is_none());
    let revoked = URL_SAFE_NO_PAD.decode(payload["revoked"].as_str().unwrap()).unwrap();
    assert_eq!(revoked[..12], IdHash::of("a session").0);
    assert_eq!(revoked[12..], 1_763_131_220_u32.to_be_bytes());
    let before = URL_SAFE_NO_PAD.decode(payload["revoked_before"].as_str().unwrap()).unwrap();
    assert_eq!(before.len(), 22);
    assert_eq!(before[12..18], 1_763_130_319_999_u64.to_be_bytes()[2..]);
    // FIPS 180-4, the example "abc".
    assert_eq!(IdHash::of("abc").0[..4], [0xba, 0x78, 0x16, 0xbf]);
}

#[test]
fn until_is_rounded_up() {
    let entry = Revoked { id: IdHash::of("x"), until: UnixTime::from_millis(1_001) };
    assert_eq!(Revoked::from_bytes(&entry.to_bytes()).until, UnixTime::from_secs(2));
    let forever = Revoked { until: UnixTime::from_millis(i64::MAX), ..entry };
    assert_eq!(Revoked::from_bytes(&forever.to_bytes()).until, UnixTime::from_secs(i64::from(u32::MAX)));
}

#[test]
fn frame_of_another_key_issuer_or_type_is_discarded() {
    let (signer, public) = key(7);
    let keys = [public];
    let (other, _) = key(8);
    assert_eq!(decode(&signed(&other, &frame()), &keys, ISSUER), Err(FrameError::BadSignature));
    assert_eq!(decode(&signed(&signer, &frame()), &keys, "https://other.example"), Err(FrameError::WrongIssuer));
    let elsewhere = encode(&frame(), "k2", |message| signer.sign(message).to_bytes()).unwrap();
    assert_eq!(decode(&elsewhere, &keys, ISSUER), Err(FrameError::UnknownKey));
    let payload = payload_of(&signed(&signer, &frame()));
    let good = json!({"alg": "EdDSA", "typ": FRAME_TYPE, "kid": "k1"});
    assert!(decode(&signed_json(&signer, &good, &payload), &keys, ISSUER).is_ok());
    for (member, value, expected) in [
        ("typ", json!("at+jwt"), FrameError::WrongType),
        ("typ", json!(null), FrameError::WrongType),
        ("alg", json!("Ed25519"), FrameError::WrongType),
        ("alg", json!("none"), FrameError::WrongType),
        ("alg", json!("ES256"), FrameError::WrongType),
        ("kid", json!(null), FrameError::Malformed),
        ("crit", json!(["exp"]), FrameError::Malformed),
        ("jwk", json!({}), FrameError::Malformed),
    ] {
        let mut header = good.clone();
        header[member] = value;
        assert_eq!(decode(&signed_json(&signer, &header, &payload), &keys, ISSUER), Err(expected), "{header}");
    }
}

#[test]
fn frame_with_a_broken_payload_is_discarded() {
    let (signer, public) = key(7);
    let keys = [public];
    let header = json!({"alg": "EdDSA", "typ": FRAME_TYPE, "kid": "k1"});
    let good = payload_of(&signed(&signer, &frame()));
    let with = |member: &str, value: Value| {
        let mut payload = good.clone();
        payload[member] = value;
        decode(&signed_json(&signer, &header, &payload), &keys, ISSUER)
    };
    assert_eq!(with("unknown", json!(1)), Ok(frame()));
    for (member, value) in [
        ("revoked", json!("A")),
        ("revoked", json!("AAAA")),
        ("revoked", json!("====")),
        ("revoked_before", json!("AAAAAAAAAAAAAAAAAAAAAA")),
        ("time", json!("1")),
        ("time", json!(1.5)),
        ("epoch", json!("")),
        ("epoch", json!("a/b")),
        ("to", json!("../..")),
        ("to", json!("x".repeat(65))),
        ("from", json!("a b")),
        ("segments", json!(["a", "%2f"])),
        ("part", json!(1)),
        ("parts", json!(1)),
    ] {
        assert_eq!(with(member, value.clone()), Err(FrameError::Malformed), "{member} {value}");
    }
    for member in ["iss", "time", "epoch", "to"] {
        let mut payload = good.clone();
        payload.as_object_mut().unwrap().remove(member);
        let refused = decode(&signed_json(&signer, &header, &payload), &keys, ISSUER);
        assert_eq!(refused, Err(FrameError::Malformed), "without {member}");
    }
    let mut odd = good.clone();
    (odd["part"], odd["parts"]) = (json!(3), json!(2));
    assert_eq!(decode(&signed_json(&signer, &header, &odd), &keys, ISSUER), Err(FrameError::Malformed));
}

#[test]
fn no_truncated_or_changed_frame_is_accepted() {
    let (signer, public) = key(7);
    let keys = [public];
    let text = signed(&signer, &frame());
    for at in 0..text.len() {
        assert!(decode(&text[..at], &keys, ISSUER).is_err());
        let mut changed = text.clone().into_bytes();
        changed[at] ^= 1;
        assert!(decode(&String::from_utf8(changed).unwrap(), &keys, ISSUER).is_err(), "at {at}");
    }
}

#[test]
fn frames_are_bounded() {
    let (signer, public) = key(7);
    let keys = [public];
    let full = Frame { revoked_before: vec![frame().revoked_before[0]; MAX_ENTRIES], revoked: Vec::new(), ..frame() };
    let text = signed(&signer, &full);
    assert!(text.len() < MAX_FRAME_LENGTH && text.len() / MAX_ENTRIES <= 40, "{}", text.len());
    assert_eq!(decode(&text, &keys, ISSUER).map(|frame| frame.revoked_before.len()), Ok(MAX_ENTRIES));
    let over = Frame { revoked: frame().revoked, ..full };
    let refused = encode(&over, "k1", |message| signer.sign(message).to_bytes());
    assert_eq!(refused, Err(FrameError::TooLong));
    assert_eq!(decode(&"a".repeat(MAX_FRAME_LENGTH + 1), &keys, ISSUER), Err(FrameError::TooLong));
}
