//! The parts of the hot path, each as something that can be done again and again: `tokens` times them, `instructions` counts
//! what they execute. Knows nothing of either.

mod requests;

use std::borrow::Cow;
use std::hint::black_box;
use std::time::Duration;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, ParsedPublicKey};
use ed25519_dalek::{Signer, SigningKey};
use serde::Deserialize;
use signet::auth::context::Context;
use signet::auth::revocation::feed::catch_up;
use signet::auth::tokens::verify::{Demand, verify_access_token, verify_batch};
use signet::clock::{Clock, Timestamp};
use signet::config::{Config, Secret};
use signet::http;
use signet::id::{SessionId, TokenId, UserId};
use signet::node::build;
use signet::node::stores::Stores;
use signet::rng::Rng;
use signet::token::access::Mint;
use signet::token::refresh::Refresh;
use signet::token::secret::Secrets;
use signet::token::signature::Verifier;

const NOW: Timestamp = Timestamp::from_secs(1_763_130_320);

/// How many tokens a batch has.
const BATCH: usize = 256;

/// What is done with each part.
pub(crate) trait Bench {
    /// `part` does it once; each time it is called it finds the same to do.
    fn part(&mut self, name: &str, part: &mut dyn FnMut());
}

/// Goes through all parts.
pub(crate) fn each(bench: &mut impl Bench) {
    signatures(bench);
    tokens(bench);
    bodies(bench);
}

/// Which library signs, and what verifying costs by each way there is: 440 bytes are a token's header and payload.
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
    let ours = Verifier::new(strict.as_bytes()).unwrap();
    bench.part("verify/expanded", &mut || assert!(ours.verifies(black_box(&message), &bytes)));
    bench.part("expand", &mut || drop(black_box(Verifier::new(black_box(strict.as_bytes())))));
}

fn tokens(bench: &mut impl Bench) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let node = |cache: u64| {
        let mut config = Config { data_dir: folder.path().to_owned(), ..Config::default() };
        config.verify.cache = cache;
        runtime.block_on(async {
            let clock = Clock::by_hand(NOW);
            let stores = Stores::open(&config, &clock).await.unwrap();
            let ctx = build::build_context(config, clock, &stores, &[]).await.unwrap();
            catch_up(&ctx).await.unwrap();
            ctx
        })
    };
    let (remembers, forgets) = (node(1000), node(0));
    let rng = Rng::system();
    let (user, session, id) = (UserId::new(NOW, &rng), SessionId::new(NOW, &rng), TokenId::new(NOW, &rng));
    let mint = |ctx: &Context, token: TokenId| {
        let mint = Mint {
            user,
            session: Some(session),
            api_key: None,
            token,
            issued_at: NOW,
            expires_at: NOW + Duration::from_secs(900),
            profile: r#","email":"someone@example.org","email_verified":true"#,
        };
        ctx.node.issuer.mint(&mint, ctx.node.keyring.keys().signer(NOW).unwrap())
    };
    let token = mint(&forgets, id);
    bench.part("access/mint", &mut || drop(black_box(mint(&forgets, id))));
    let keys = forgets.node.keyring.keys();
    bench.part("access/check", &mut || drop(forgets.node.issuer.check(black_box(&token), &keys, NOW).unwrap()));
    bench.part("access/seen", &mut || drop(verify_access_token(&remembers, black_box(&token)).unwrap()));
    requests::requests(bench, &remembers, &token);
    bench.part("access/never-seen", &mut || drop(verify_access_token(&forgets, black_box(&token)).unwrap()));
    let batch: Vec<Cow<'_, str>> = (0..BATCH).map(|_| mint(&forgets, TokenId::new(NOW, &rng)).into()).collect();
    bench.part("access/batch of 256 never seen", &mut || {
        let verdicts = runtime.block_on(verify_batch(&forgets, &batch, Demand::default()));
        assert!(verdicts.unwrap().iter().all(Result::is_ok));
    });

    let secrets = Secrets::new(&[Secret([7; 32].into())]).unwrap();
    let refresh = Refresh { user, session, counter: 3 };
    let text = refresh.mint(&secrets);
    bench.part("refresh/mint", &mut || drop(black_box(refresh.mint(&secrets))));
    bench.part("refresh/read", &mut || assert!(Refresh::read(black_box(&text), &secrets).is_some()));
    bench.part("refresh/garbage", &mut || assert!(Refresh::read(black_box("garbage"), &secrets).is_none()));
}

/// A body as `/verify` reads it.
#[derive(Deserialize)]
struct Asked<'a> {
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
        let asked: Asked<'_> = http::json::read(black_box(body.as_bytes())).unwrap();
        assert!(asked.token.len() == 527 && asked.aud.is_none() && asked.scope.is_none());
    });
}
