//! What the parts of the hot path cost: signing and verifying by each library, minting and checking a whole token, reading a
//! refresh token. `cargo bench --bench tokens`.
#![allow(missing_docs, clippy::unwrap_used, reason = "a bench")]

use std::time::Duration;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use criterion::{Criterion, criterion_group, criterion_main};
use ed25519_dalek::{Signer, SigningKey};
use signet::chance::Chance;
use signet::config::{Algorithm, Secret, Tokens};
use signet::id::{SessionId, TokenId, UserId};
use signet::time::Timestamp;
use signet::token::access::{Issuer, Mint};
use signet::token::keyring::Keyring;
use signet::token::keyring::ring::Ring;
use signet::token::refresh::Refresh;
use signet::token::secret::Secrets;

const NOW: Timestamp = Timestamp::from_secs(1_763_130_320);

/// Which library signs and which verifies is decided by this: 300 bytes are a token's header and payload.
fn libraries(c: &mut Criterion) {
    let seed = [7; 32];
    let message = [b'x'; 300];
    let dalek = SigningKey::from_bytes(&seed);
    let aws = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
    let signature = dalek.sign(&message);
    let public = aws.public_key().as_ref().to_vec();
    let mut group = c.benchmark_group("ed25519");
    group.bench_function("sign/dalek", |b| b.iter(|| dalek.sign(&message)));
    group.bench_function("sign/aws-lc", |b| b.iter(|| aws.sign(&message)));
    let verifier = dalek.verifying_key();
    group.bench_function("verify/dalek-strict", |b| b.iter(|| verifier.verify_strict(&message, &signature).unwrap()));
    let key = UnparsedPublicKey::new(&ED25519, &public);
    group.bench_function("verify/aws-lc", |b| b.iter(|| key.verify(&message, &signature.to_bytes()).unwrap()));
    let parsed = aws_lc_rs::signature::ParsedPublicKey::new(&ED25519, &public).unwrap();
    group.bench_function("verify/aws-lc-parsed", |b| {
        b.iter(|| parsed.verify_sig(&message, &signature.to_bytes()).unwrap());
    });
}

fn tokens(c: &mut Criterion) {
    let chance = Chance::system();
    let keyring = Keyring::new(&Ring::first(NOW, &chance), Algorithm::EdDsa).unwrap();
    let issuer = Issuer::new(&Tokens {
        issuer: "https://id.example.org".to_owned(),
        audience: "signet".to_owned(),
        algorithm: Algorithm::EdDsa,
        leeway: Duration::from_secs(5),
        grace: Duration::from_secs(10),
        sessions_per_user: 100,
    });
    let (user, session) = (UserId::new(NOW, &chance), SessionId::new(NOW, &chance));
    let mint = || Mint {
        user,
        session: Some(session),
        api_key: None,
        token: TokenId::new(NOW, &chance),
        issued_at: NOW,
        expires_at: NOW + Duration::from_secs(900),
        profile: r#","email":"someone@example.org","email_verified":true"#,
    };
    let keys = keyring.keys();
    let key = keys.signer(NOW).unwrap();
    let token = issuer.mint(&mint(), key);
    let secrets = Secrets::new(&[Secret([7; 32].into())]).unwrap();
    let refresh = Refresh { user, session, counter: 3 };
    let refresh_token = refresh.mint(&secrets);
    let mut group = c.benchmark_group("tokens");
    group.bench_function("access/mint", |b| b.iter(|| issuer.mint(&mint(), key)));
    group.bench_function("access/check", |b| b.iter(|| issuer.check(&token, &keys, NOW).map(|_| ()).unwrap()));
    group.bench_function("refresh/mint", |b| b.iter(|| refresh.mint(&secrets)));
    group.bench_function("refresh/read", |b| b.iter(|| Refresh::read(&refresh_token, &secrets).unwrap()));
    group.bench_function("refresh/garbage", |b| b.iter(|| Refresh::read("garbage", &secrets).is_none()));
}

criterion_group!(benches, libraries, tokens);
criterion_main!(benches);
