//! The cost of verifying a token: `cargo bench -p signet-verify --bench verify`.
//!
//! `signature` is the Ed25519 check alone, `uncached` the whole verification of a token that is seen for the first
//! time, and `cached` that of one that was seen before, both with 100,000 revocations in memory.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use criterion::{Criterion, criterion_group, criterion_main};
use ed25519_dalek::{Signer, SigningKey};
use signet_verify::cache::TokenCache;
use signet_verify::feed::{Frame, IdHash, Revoked};
use signet_verify::freshness::Freshness;
use signet_verify::revocations::RevocationSet;
use signet_verify::{Expectations, PublicKey, UnixTime};

const ISSUER: &str = "https://id.example.org";

fn frame(revoked: Vec<Revoked>) -> Frame {
    Frame {
        issuer: ISSUER.to_owned(),
        time: UnixTime::now(),
        epoch: "e".to_owned(),
        from: None,
        to: "1".to_owned(),
        not_before: None,
        jwks: None,
        revoked,
        revoked_before: Vec::new(),
        segments: None,
        part: None,
    }
}

fn verify(criterion: &mut Criterion) {
    let signer = SigningKey::from_bytes(&[7; 32]);
    let key = Arc::new(PublicKey::ed25519("AbCdEfGhIjKlMnOp", signer.verifying_key().as_bytes()).unwrap());
    let now = UnixTime::now();
    let header = r#"{"alg":"EdDSA","typ":"at+jwt","kid":"AbCdEfGhIjKlMnOp"}"#;
    // The claims of a token of a session, as Signet writes them.
    let claims = format!(
        concat!(
            r#"{{"iss":"{2}","aud":"signet","sub":"019a83b6-1ac0-7000-8000-000000000001","#,
            r#""sid":"019a83b6-1ac0-7000-8000-000000000002","client_id":"signet","auth_time":{0},"iat":{0},"exp":{1},"#,
            r#""jti":"019a83b6-1ac0-7000-8000-000000000003","email":"someone@example.org","email_verified":true,"#,
            r#""scope":"read write"}}"#
        ),
        now.secs(),
        now.secs() + 900,
        ISSUER
    );
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = signer.sign(message.as_bytes()).to_bytes();
    let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature));

    let revocations = RevocationSet::default();
    let until = now + Duration::from_secs(3600);
    for at in 0..25 {
        let ids = (0..4000).map(|id| Revoked { id: IdHash::of(&format!("{at} {id}")), until });
        revocations.apply(&frame(ids.collect()));
    }
    let (freshness, started) = (Freshness::default(), Instant::now());
    freshness.record(now, started.elapsed(), now);
    let (expectations, keys) = (Expectations::new(ISSUER, "signet"), [key.clone()]);
    let cache = TokenCache::new(10_000, [3, 5]);

    let mut group = criterion.benchmark_group("verify");
    group.bench_function("signature", |bencher| {
        bencher.iter(|| assert!(key.verify(black_box(message.as_bytes()), black_box(&signature))));
    });
    group.bench_function("uncached", |bencher| {
        bencher.iter(|| {
            let verified = Arc::new(expectations.verify(black_box(&token), &keys, UnixTime::now()).unwrap());
            assert!(!revocations.is_revoked(verified.ids()));
            verified
        });
    });
    cache.insert(&token, &Arc::new(expectations.verify(&token, &keys, now).unwrap()), now);
    group.bench_function("cached", |bencher| {
        bencher.iter(|| {
            let (now, monotonic) = (UnixTime::now(), started.elapsed());
            let verified = cache.get(black_box(&token)).unwrap();
            verified.validity().check(now, expectations.leeway).unwrap();
            assert!(keys.iter().any(|key| Arc::ptr_eq(key, verified.key())));
            assert!(!revocations.is_revoked(verified.ids()));
            assert!(freshness.is_fresh(monotonic, now, Duration::MAX));
            verified
        });
    });
    group.finish();
}

criterion_group!(benches, verify);
criterion_main!(benches);
