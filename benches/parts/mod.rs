//! The parts of the hot path, as repeatable functions. The bench `tokens` measures their time, and `instructions`
//! counts their instructions. This module depends on neither.

pub(crate) mod bench;
mod requests;

use std::borrow::Cow;
use std::hint::black_box;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    ParsedPublicKey,
};
use ed25519_dalek::{Signer, SigningKey};
use serde::Deserialize;
use signet::auth::context::Context;
use signet::auth::revocation::stream::catch_up;
use signet::auth::tokens::verify::{Requirements, verify_access_token, verify_batch};
use signet::clock::{Clock, Timestamp};
use signet::config::{Audience, Config, Secret, SigningAlgorithm};
use signet::http;
use signet::id::{SessionId, TokenId, UserId};
use signet::node::build;
use signet::node::stores::Stores;
use signet::rng::Rng;
use signet::token::access::{IssuedFrom, NewAccessToken};
use signet::token::refresh::RefreshToken;
use signet::token::secret::Secrets;
use signet_verify::ed25519::Verifier;

use self::bench::Bench;

const NOW: Timestamp = Timestamp::from_secs(1_763_130_320);

/// Tokens in a batch.
const BATCH: usize = 256;

/// Measures all parts.
pub(crate) fn run_all(bench: &mut impl Bench) {
    signatures(bench);
    tokens(bench);
    bodies(bench);
}

/// Signing and verifying with each library. A message of 440 bytes is as long as the header and payload of a token.
fn signatures(bench: &mut impl Bench) {
    let (seed, message) = ([7; 32], [b'x'; 440]);
    let dalek = SigningKey::from_bytes(&seed);
    let aws = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
    let signature = dalek.sign(&message);
    let bytes = signature.to_bytes();
    bench.part("sign/dalek", &mut || {
        black_box(dalek.sign(black_box(&message)));
    });
    bench.part("sign/aws-lc", &mut || {
        black_box(aws.sign(black_box(&message)));
    });
    let strict = dalek.verifying_key();
    bench.part("verify/dalek-strict", &mut || strict.verify_strict(black_box(&message), &signature).unwrap());
    let parsed = ParsedPublicKey::new(&ED25519, aws.public_key().as_ref()).unwrap();
    bench.part("verify/aws-lc", &mut || parsed.verify_sig(black_box(&message), &bytes).unwrap());
    let expanded = Verifier::new(strict.as_bytes()).unwrap();
    bench.part("verify/expanded", &mut || assert!(expanded.verify(black_box(&message), &bytes)));
    let p256 = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let random = SystemRandom::new();
    bench.part("sign/P-256 aws-lc", &mut || {
        black_box(p256.sign(&random, black_box(&message)).unwrap());
    });
    let p256_signature = p256.sign(&random, &message).unwrap();
    let p256_public = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, p256.public_key().as_ref()).unwrap();
    bench.part("verify/P-256 aws-lc", &mut || {
        p256_public.verify_sig(black_box(&message), p256_signature.as_ref()).unwrap();
    });
    bench.part("verify/first", &mut || {
        let new = Verifier::new(black_box(strict.as_bytes())).unwrap();
        assert!(new.verify(black_box(&message), &bytes));
    });
}

fn tokens(bench: &mut impl Bench) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let node = |cache: u64| {
        let mut config = Config { data_dir: folder.path().to_owned(), ..Config::default() };
        config.verify.cache = cache;
        config.audiences.push(Audience {
            name: "es256".to_owned(),
            lifetime: None,
            algorithm: SigningAlgorithm::Es256,
            claims: None,
            scopes: None,
        });
        runtime.block_on(async {
            let clock = Clock::manual(NOW);
            let stores = Stores::open(&config, &clock).await.unwrap();
            let ctx = build::build_context(config, clock, &stores, &[]).await.unwrap();
            catch_up(&ctx).await.unwrap();
            ctx
        })
    };
    let (cached_ctx, uncached_ctx) = (node(1000), node(0));
    let rng = Rng::system();
    let (user, session, id) = (UserId::new(NOW, &rng), SessionId::new(NOW, &rng), TokenId::new(NOW, &rng));
    let mint_with = |algorithm: SigningAlgorithm, ctx: &Context, token_id: TokenId| {
        let token = NewAccessToken {
            user,
            audience: None,
            issued_from: IssuedFrom::Session { id: session, auth_time: NOW },
            token_id,
            issued_at: NOW,
            expires_at: NOW + Duration::from_secs(900),
            extra_claims: r#","email":"someone@example.org","email_verified":true"#,
        };
        ctx.node.issuer.mint(&token, ctx.node.keyring.keys().signing_key(algorithm, NOW).unwrap()).unwrap()
    };
    let mint = |ctx: &Context, token_id: TokenId| mint_with(SigningAlgorithm::EdDsa, ctx, token_id);
    let token = mint(&uncached_ctx, id);
    bench.part("access/mint", &mut || drop(black_box(mint(&uncached_ctx, id))));
    let es256 = mint_with(SigningAlgorithm::Es256, &uncached_ctx, id);
    bench.part("access/mint ES256", &mut || {
        drop(black_box(mint_with(SigningAlgorithm::Es256, &uncached_ctx, id)));
    });
    let keys = uncached_ctx.node.keyring.keys();
    bench.part("access/check", &mut || drop(uncached_ctx.node.issuer.check(black_box(&token), &keys, NOW).unwrap()));
    bench.part("access/check ES256", &mut || {
        drop(uncached_ctx.node.issuer.check(black_box(&es256), &keys, NOW).unwrap());
    });
    bench.part("access/seen", &mut || drop(verify_access_token(&cached_ctx, black_box(&token)).unwrap()));
    requests::run(bench, &cached_ctx, &token);
    bench.part("access/never-seen", &mut || drop(verify_access_token(&uncached_ctx, black_box(&token)).unwrap()));
    let batch: Vec<Cow<'_, str>> = (0..BATCH).map(|_| mint(&uncached_ctx, TokenId::new(NOW, &rng)).into()).collect();
    bench.part("access/batch of 256 never seen", &mut || {
        let verdicts = runtime.block_on(verify_batch(&uncached_ctx, &batch, Requirements::default()));
        assert!(verdicts.unwrap().iter().all(Result::is_ok));
    });

    let secrets = Secrets::new(&[Secret([7; 32].into())]).unwrap();
    let refresh = RefreshToken { user, session, counter: 3 };
    let text = refresh.mint(&secrets);
    bench.part("refresh/mint", &mut || drop(black_box(refresh.mint(&secrets))));
    bench.part("refresh/read", &mut || assert!(RefreshToken::parse(black_box(&text), &secrets).is_some()));
    bench.part("refresh/garbage", &mut || assert!(RefreshToken::parse(black_box("garbage"), &secrets).is_none()));
}

/// The request body of `/verify`.
#[derive(Deserialize)]
struct VerifyBody<'a> {
    #[serde(borrow)]
    token: Cow<'a, str>,
    #[serde(borrow)]
    aud: Option<Cow<'a, str>>,
    #[serde(borrow)]
    scope: Option<Cow<'a, str>>,
}

fn bodies(bench: &mut impl Bench) {
    let body = format!(r#"{{"token":"{}"}}"#, "x".repeat(527));
    bench.part("json/verify", &mut || {
        let request: VerifyBody<'_> = http::json::parse(black_box(body.as_bytes())).unwrap();
        assert!(request.token.len() == 527 && request.aud.is_none() && request.scope.is_none());
    });
}
