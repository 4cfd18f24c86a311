//! The second factor, tested by calling the operations: nodes over one pair of stores, with a manual clock.

mod secret_rotation;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use futures_util::future::join_all;
use signet::auth::Error;
use signet::auth::accounts::create::{CreateUser, create_user};
use signet::auth::audit::SignInMethod;
use signet::auth::context::Context;
use signet::auth::error::MfaError;
use signet::auth::mfa;
use signet::auth::mfa::{TotpEnrollment, enrollment_uri, start_enrollment};
use signet::auth::passwords::{IdentityProof, Password};
use signet::auth::request_context::{ExtraClaims, RequestContext};
use signet::auth::sessions::list::list_sessions;
use signet::auth::sessions::tokens::TokenPair;
use signet::auth::sign_in::login_step::{LoginStep, complete_login, start_login};
use signet::auth::sign_in::open_session::open_session;
use signet::config::{LimitedAction, Rate};
use signet::id::SessionId;
use signet::store::accounts::{Changes, Find, RecoveryCode, User};

use crate::support::fleet::{TestFleet, over_both_stores_in_process};

const STEP: Duration = Duration::from_secs(30);
const PASSWORD: &str = "a quiet harbour at dusk";
/// The session that enrolls.
const SESSION: SessionId = SessionId(uuid::Uuid::nil());

over_both_stores_in_process!(
    code_of_the_adjacent_step_is_accepted,
    used_code_is_refused_on_every_node_and_dialect,
    concurrent_uses_of_one_code_open_one_session,
    daily_cap_counts_wrong_codes_before_comparing,
    right_codes_do_not_count_against_the_cap,
    attempts_are_limited_by_account_and_by_address,
    totp_secret_is_sealed_for_its_user_only,
    only_the_latest_enrollment_can_be_confirmed,
    enrollment_expires_after_ten_minutes,
    recovery_codes_work_once_in_any_spelling,
    short_recovery_codes_are_hashed_with_argon2id,
    second_step_needs_a_valid_mfa_token,
    mfa_token_opens_few_sessions_without_a_code,
);

async fn user(ctx: &Context, name: &str) -> User {
    let email = format!("{name}@example.org");
    let password = Some(Password::new(PASSWORD.to_owned()));
    let new_user = CreateUser { email, password, ..CreateUser::default() };
    create_user(ctx, new_user).await.unwrap()
}

async fn reload(ctx: &Context, user: &User) -> User {
    ctx.accounts.user(Find::Id(user.id)).await.unwrap().unwrap()
}

/// Creates a user with TOTP enabled as in `codes`; returns the row, the TOTP key and the backup codes.
async fn create_user_with_totp(ctx: &Context, name: &str) -> (User, String, Vec<String>) {
    let user = user(ctx, name).await;
    let (key, backup) = mfa::enable_without_confirmation(ctx, &user, 3, request_ctx(ctx, 1)).await.unwrap();
    (reload(ctx, &user).await, key, backup)
}

fn request_ctx(ctx: &Context, address: u8) -> RequestContext<'_> {
    let address = IpAddr::from([192, 0, 2, address]);
    let dialect_config = &ctx.node.config.api.native;
    RequestContext {
        dialect: "native",
        dialect_config,
        client_ip: address,
        rate_limit_ip: address,
        user_agent: None,
        language: None,
        extra_claims: ExtraClaims::None,
        audience: None,
    }
}

async fn sign_in(ctx: &Context, user: &User, code: &str) -> Result<TokenPair, Error> {
    open_session(ctx, user, Some(code), request_ctx(ctx, 1)).await
}

#[track_caller]
fn assert_wrong_code(answer: Result<TokenPair, Error>) {
    assert!(matches!(answer, Err(Error::InvalidMfaCode)), "{:?}", answer.err());
}

#[track_caller]
fn assert_rate_limited<T>(answer: Result<T, Error>) {
    assert!(matches!(answer, Err(Error::RateLimited { .. })), "{:?}", answer.err());
}

async fn code_of_the_adjacent_step_is_accepted(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    let (user, key, _) = create_user_with_totp(&ctx, "skew").await;
    assert_wrong_code(sign_in(&ctx, &user, &fleet.code(&key, -2)).await);
    assert_wrong_code(sign_in(&ctx, &user, &fleet.code(&key, 2)).await);
    for steps in [-1, 0, 1] {
        sign_in(&ctx, &user, &fleet.code(&key, steps)).await.unwrap();
    }
    // Using a code also invalidates those of earlier steps.
    fleet.clock.advance(3 * STEP);
    sign_in(&ctx, &user, &fleet.code(&key, 1)).await.unwrap();
    assert_wrong_code(sign_in(&ctx, &user, &fleet.code(&key, 0)).await);
}

async fn used_code_is_refused_on_every_node_and_dialect(fleet: &TestFleet) {
    let (one, other) = (fleet.node().await, fleet.node().await);
    let (user, key, _) = create_user_with_totp(&one, "replay").await;
    let code = fleet.code(&key, 0);
    sign_in(&one, &user, &code).await.unwrap();
    for (name, dialect_config) in other.node.config.api.all() {
        let request_ctx = RequestContext {
            dialect: name,
            dialect_config: &without_verified_only(dialect_config),
            ..request_ctx(&other, 1)
        };
        assert_wrong_code(open_session(&other, &user, Some(&code), request_ctx).await);
    }
}

/// The same dialect, but open to users without a verified address.
fn without_verified_only(dialect_config: &signet::config::Dialect) -> signet::config::Dialect {
    signet::config::Dialect { verified_only: false, ..dialect_config.clone() }
}

async fn concurrent_uses_of_one_code_open_one_session(fleet: &TestFleet) {
    let nodes = [fleet.node().await, fleet.node().await];
    let (user, key, backup) = create_user_with_totp(&nodes[0], "parallel").await;
    for code in [fleet.code(&key, 0), backup[0].clone()] {
        let before = list_sessions(&nodes[0], user.id).await.unwrap().len();
        let attempt = (0..20).map(|at| {
            let (ctx, user, code) = (nodes[at % 2].clone(), user.clone(), code.clone());
            tokio::spawn(async move { sign_in(&ctx, &user, &code).await.is_ok() })
        });
        let successes = join_all(attempt).await.into_iter().filter(|successes| *successes.as_ref().unwrap()).count();
        assert_eq!(successes, 1);
        assert_eq!(list_sessions(&nodes[0], user.id).await.unwrap().len(), before + 1);
        fleet.clock.advance(Duration::from_secs(24 * 60 * 60));
    }
}

async fn daily_cap_counts_wrong_codes_before_comparing(fleet: &TestFleet) {
    let ctx = fleet.node_with(|config| config.mailed.daily_tries = 5).await;
    let (user, key, backup) = create_user_with_totp(&ctx, "capped").await;
    let code_other_than =
        |excluded: &[&String]| (0..).map(|n| format!("{n:06}")).find(|code| !excluded.contains(&code)).unwrap();
    let right_codes = [-1, 0, 1].map(|steps| fleet.code(&key, steps));
    let wrong = code_other_than(&right_codes.iter().chain(&backup).collect::<Vec<_>>());
    // Attempts at mailed codes, which anyone who knows the address can make, do not lock the owner out of the second
    // factor.
    for _ in 0..2 {
        signet::auth::accounts::verify_email_code::send_code(&ctx, user.id, request_ctx(&ctx, 1)).await.unwrap();
        for _ in 0..5 {
            let _ = signet::auth::accounts::verify_email_code::verify_email_with_code(
                &ctx,
                user.id,
                "no code",
                request_ctx(&ctx, 1),
            )
            .await;
        }
    }
    assert_rate_limited(
        signet::auth::accounts::verify_email_code::verify_email_with_code(
            &ctx,
            user.id,
            "no code",
            request_ctx(&ctx, 1),
        )
        .await,
    );
    for _ in 0..3 {
        assert_wrong_code(sign_in(&ctx, &user, &wrong).await);
    }
    for _ in 0..2 {
        assert_wrong_code(sign_in(&ctx, &user, "0000-0000-0000-0000-0000-0000").await);
    }
    // No code is compared any more, right or wrong, on any node.
    assert_rate_limited(sign_in(&ctx, &user, &fleet.code(&key, 0)).await);
    assert_rate_limited(sign_in(&ctx, &user, &backup[0]).await);
    assert_rate_limited(sign_in(&fleet.node_with(|config| config.mailed.daily_tries = 5).await, &user, &wrong).await);
    fleet.clock.advance(Duration::from_secs(24 * 60 * 60));
    sign_in(&ctx, &user, &fleet.code(&key, 0)).await.unwrap();
    sign_in(&ctx, &user, &backup[0]).await.unwrap();
}

async fn right_codes_do_not_count_against_the_cap(fleet: &TestFleet) {
    let ctx = fleet.node_with(|config| config.mailed.daily_tries = 5).await;
    let (user, key, _) = create_user_with_totp(&ctx, "right").await;
    for _ in 0..12 {
        sign_in(&ctx, &user, &fleet.code(&key, 0)).await.unwrap();
        fleet.clock.advance(STEP);
    }
}

async fn attempts_are_limited_by_account_and_by_address(fleet: &TestFleet) {
    let ctx = fleet
        .node_with(|config| {
            config.limits.enabled = true;
            let hour = Duration::from_secs(60 * 60);
            config.limits[LimitedAction::CodeAccount] = Rate { burst: 4, per: hour };
            config.limits[LimitedAction::CodeClient] = Rate { burst: 6, per: hour };
        })
        .await;
    let (one, key, _) = create_user_with_totp(&ctx, "rate-one").await;
    let (other, _, _) = create_user_with_totp(&ctx, "rate-other").await;
    let attempt = async |user: &User, code: &str, address: u8| {
        open_session(&ctx, user, Some(code), request_ctx(&ctx, address)).await
    };
    // Enabling it was the first attempt.
    for _ in 0..3 {
        assert_wrong_code(attempt(&one, "no code", 2).await);
    }
    assert_rate_limited(attempt(&one, &fleet.code(&key, 0), 3).await);
    // An attempt over the address limit does not count against the account's limit.
    for _ in 0..3 {
        assert_wrong_code(attempt(&other, "no code", 2).await);
    }
    assert_rate_limited(attempt(&other, "no code", 2).await);
}

async fn totp_secret_is_sealed_for_its_user_only(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    let (ann, key, _) = create_user_with_totp(&ctx, "sealed-ann").await;
    let (bob, _, _) = create_user_with_totp(&ctx, "sealed-bob").await;
    let secret = totp_rs::Totp::from_url(format!("otpauth://totp/a?secret={key}")).unwrap();
    let secret: &[u8] = secret.secret().as_ref();
    let (ann_totp, bob_totp) = (ann.totp.clone().unwrap(), bob.totp.clone().unwrap());
    let contains_bytes = |bytes: &[u8], needle: &[u8]| bytes.windows(needle.len()).any(|part| part == needle);
    for part in secret.windows(8) {
        assert!(!contains_bytes(&ann_totp.0, part), "a part of the secret is readable");
    }
    assert!(!contains_bytes(&ann_totp.0, key.as_bytes()) && !contains_bytes(&ann_totp.0, &key.as_bytes()[..8]));
    assert!(!format!("{ann:?}").contains(&key));
    // An attacker who can write rows copies another user's secret into Bob's row.
    assert!(ctx.accounts.reseal_totp(bob.id, &bob_totp, &ann_totp).await.unwrap());
    let bob = reload(&ctx, &bob).await;
    assert_eq!(bob.totp.as_ref(), Some(&ann_totp));
    let answer = sign_in(&ctx, &bob, &fleet.code(&key, 0)).await;
    assert!(matches!(answer, Err(Error::Internal(_))), "{:?}", answer.err());
    sign_in(&ctx, &ann, &fleet.code(&key, 0)).await.unwrap();
}

fn with_password(password: &Password) -> IdentityProof<'_> {
    IdentityProof { password: Some(password), auth_time: None }
}

async fn only_the_latest_enrollment_can_be_confirmed(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    let user = user(&ctx, "pending").await;
    let password = Password::new(PASSWORD.to_owned());
    let enable = async |password: Option<&Password>, code: &str| {
        let proof = IdentityProof { password, auth_time: None };
        mfa::enable(&ctx, &user, SESSION, proof, code, request_ctx(&ctx, 1)).await
    };
    let assert_refused =
        |answer: Result<Vec<String>, Error>| assert!(matches!(answer, Err(Error::Mfa(MfaError::EnableFailed))));
    assert_refused(enable(Some(&password), "123456").await);
    let TotpEnrollment { key: first, .. } = start_enrollment(&ctx, &user, SESSION).await.unwrap();
    let TotpEnrollment { key, uri } = start_enrollment(&ctx, &user, SESSION).await.unwrap();
    assert_eq!(enrollment_uri(&ctx, &user, SESSION, request_ctx(&ctx, 1)).await.unwrap(), uri);
    assert!(uri.starts_with("otpauth://totp/Signet:pending%40example.org?") && uri.contains(&key), "{uri}");
    assert!(reload(&ctx, &user).await.totp.is_none());
    assert_refused(enable(Some(&password), &fleet.code(&first, 0)).await);
    assert_refused(enable(Some(&password), "no code").await);
    assert_refused(enable(None, &fleet.code(&key, 0)).await);
    assert_refused(enable(Some(&Password::new("not the password".to_owned())), &fleet.code(&key, 0)).await);
    let codes = enable(Some(&password), &fleet.code(&key, 0)).await.unwrap();
    assert_eq!(codes.iter().collect::<BTreeSet<_>>().len(), 10);
    assert!(matches!(enrollment_uri(&ctx, &user, SESSION, request_ctx(&ctx, 1)).await, Err(Error::NotFound)));
    // The code that confirmed the enrollment is used up.
    let row = reload(&ctx, &user).await;
    assert_wrong_code(sign_in(&ctx, &row, &fleet.code(&key, 0)).await);
    sign_in(&ctx, &row, &fleet.code(&key, 1)).await.unwrap();
    start_enrollment(&ctx, &row, SESSION).await.unwrap();
    let (proof, no_proof) = (with_password(&password), IdentityProof::default());
    let again = mfa::enable(&ctx, &row, SESSION, proof, "123456", request_ctx(&ctx, 1)).await;
    assert!(matches!(again, Err(Error::Mfa(MfaError::AlreadyEnabled))));
    let off = mfa::disable(&ctx, &row, Some(no_proof), request_ctx(&ctx, 1)).await;
    assert!(matches!(off, Err(Error::Mfa(MfaError::DisableFailed))));
    mfa::disable(&ctx, &row, Some(proof), request_ctx(&ctx, 1)).await.unwrap();
    let row = reload(&ctx, &user).await;
    let off = mfa::disable(&ctx, &row, Some(proof), request_ctx(&ctx, 1)).await;
    assert!(matches!(off, Err(Error::Mfa(MfaError::AlreadyDisabled))));
    assert!(ctx.accounts.recovery_codes(user.id).await.unwrap().is_empty());
}

async fn enrollment_expires_after_ten_minutes(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    let user = user(&ctx, "waiting").await;
    start_enrollment(&ctx, &user, SESSION).await.unwrap();
    fleet.clock.advance(Duration::from_secs(10 * 60 - 1));
    enrollment_uri(&ctx, &user, SESSION, request_ctx(&ctx, 1)).await.unwrap();
    fleet.clock.advance(Duration::from_secs(1));
    assert!(matches!(enrollment_uri(&ctx, &user, SESSION, request_ctx(&ctx, 1)).await, Err(Error::NotFound)));
}

async fn recovery_codes_work_once_in_any_spelling(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    let user = user(&ctx, "recovery").await;
    let TotpEnrollment { key, .. } = start_enrollment(&ctx, &user, SESSION).await.unwrap();
    let password = Password::new(PASSWORD.to_owned());
    let code = fleet.code(&key, 0);
    let codes = mfa::enable(&ctx, &user, SESSION, with_password(&password), &code, request_ctx(&ctx, 1)).await.unwrap();
    let row = reload(&ctx, &user).await;
    // 24 letters of five bits each.
    assert!(codes.iter().all(|code| code.len() == 24 + 5 && code.split('-').count() == 6), "{codes:?}");
    let spellings = [codes[0].clone(), codes[1].to_uppercase(), codes[2].replace('-', " "), codes[3].replace('0', "O")];
    for spelling in &spellings {
        sign_in(&ctx, &row, spelling).await.unwrap();
        assert_wrong_code(sign_in(&ctx, &row, spelling).await);
    }
    assert_eq!(ctx.accounts.recovery_codes(user.id).await.unwrap().len(), 6);
    for RecoveryCode { hash, .. } in ctx.accounts.recovery_codes(user.id).await.unwrap() {
        assert!(codes.iter().all(|code| !hash.0.contains(&code.replace('-', ""))), "{}", hash.0);
    }
}

async fn short_recovery_codes_are_hashed_with_argon2id(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    let (user, _, backup) = create_user_with_totp(&ctx, "slow").await;
    assert_eq!(backup.iter().collect::<BTreeSet<_>>().len(), 3);
    let hashes = ctx.accounts.recovery_codes(user.id).await.unwrap();
    assert!(hashes.len() == 3 && hashes.iter().all(|code| code.hash.0.starts_with("$argon2id$")), "{}", hashes.len());
    assert!(hashes.iter().all(|code| backup.iter().all(|code_text| !code.hash.0.contains(code_text))));
}

async fn second_step_needs_a_valid_mfa_token(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    let (user, key, backup) = create_user_with_totp(&ctx, "steps").await;
    let mfa_token = async |user: &User| match start_login(&ctx, user, SignInMethod::Password, request_ctx(&ctx, 1))
        .await
        .unwrap()
    {
        LoginStep::MfaRequired(token) => token,
        LoginStep::Complete(_) => panic!("signed in without the second factor"),
    };
    let token = mfa_token(&user).await;
    assert_wrong_code(complete_login(&ctx, &token, "123", request_ctx(&ctx, 1)).await);
    complete_login(&ctx, &token, &fleet.code(&key, 0), request_ctx(&ctx, 1)).await.unwrap();
    for no_token in ["", "x", &sign_in(&ctx, &user, &backup[0]).await.unwrap().access_token] {
        let answer = complete_login(&ctx, no_token, &fleet.code(&key, 1), request_ctx(&ctx, 1)).await;
        assert!(matches!(answer, Err(Error::InvalidToken(_))), "{no_token}");
    }
    let late = mfa_token(&user).await;
    fleet.clock.advance(Duration::from_secs(5 * 60));
    let answer = complete_login(&ctx, &late, &fleet.code(&key, 0), request_ctx(&ctx, 1)).await;
    assert!(matches!(answer, Err(Error::InvalidToken(_))));
    // A password change invalidates MFA tokens.
    let token = mfa_token(&user).await;
    let hash = ctx.node.hasher.hash(&Password::new("another password".to_owned())).await.unwrap();
    let changes = Changes { password_hash: Some(hash), ..Changes::default() };
    ctx.accounts.change_user(user.id, &changes, fleet.clock.now()).await.unwrap();
    let answer = complete_login(&ctx, &token, &fleet.code(&key, 0), request_ctx(&ctx, 1)).await;
    assert!(matches!(answer, Err(Error::InvalidToken(_))));
}

/// No code is compared if the second factor was turned off between the two steps.
async fn mfa_token_opens_few_sessions_without_a_code(fleet: &TestFleet) {
    let ctx = fleet.node_with(|config| config.limits.enabled = true).await;
    let (user, ..) = create_user_with_totp(&ctx, "off").await;
    let step = start_login(&ctx, &user, SignInMethod::Password, request_ctx(&ctx, 1)).await.unwrap();
    let LoginStep::MfaRequired(token) = step else { panic!("signed in without the second factor") };
    mfa::disable(&ctx, &user, None, request_ctx(&ctx, 1)).await.unwrap();
    let mut opened = 0;
    for _ in 0..30 {
        match complete_login(&ctx, &token, "", request_ctx(&ctx, 1)).await {
            Ok(_) => opened += 1,
            refused => assert_rate_limited(refused),
        }
    }
    // The limit of the account, and as many again in its own network.
    assert!((1..=20).contains(&opened), "{opened}");
}
