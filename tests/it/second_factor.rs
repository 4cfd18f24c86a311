//! The second factor, by the operations themselves: two nodes over one pair of stores, with a clock that is moved by hand.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use signet::auth::Error;
use signet::auth::accounts::create::{CreateUser, create_user};
use signet::auth::context::Context;
use signet::auth::mfa;
use signet::auth::mfa::{
    LoginStep, TotpEnrollment, complete_login, enrollment_uri, reseal_secrets, start_enrollment, start_login,
};
use signet::auth::passwords::Password;
use signet::auth::sessions::list::list_sessions;
use signet::auth::sessions::open::{ExtraClaims, RequestContext, TokenPair, open_session};
use signet::config::{Rate, Secret};
use signet::store::accounts::{Changes, Find, RecoveryCode, User};
use zeroize::Zeroizing;

use crate::support::fleet::{TestFleet, over_both_stores_in_process};
use crate::support::server::{self, SendRequest, TestServer};
use crate::support::signet::SECRET;
use crate::support::totp;

const STEP: Duration = Duration::from_secs(30);
const PASSWORD: &str = "a quiet harbour at dusk";

over_both_stores_in_process!(
    a_code_of_one_step_before_or_after_will_do,
    a_step_is_used_up_for_every_node_and_dialect,
    of_many_uses_of_one_code_at_once_one_opens_a_session,
    wrong_tries_are_counted_together_before_they_are_compared,
    right_ones_are_not_counted,
    the_rate_of_tries_is_limited_by_account_and_by_address,
    a_secret_is_sealed_for_its_user_alone,
    a_secret_is_sealed_anew_and_the_old_one_taken_out,
    only_the_pending_secret_turns_it_on,
    what_is_pending_waits_ten_minutes,
    recovery_codes_are_good_once_in_whatever_spelling,
    short_recovery_codes_are_hashed_slowly,
    the_second_step_is_only_for_who_was_recognised,
);

async fn user(ctx: &Context, name: &str) -> User {
    let email = format!("{name}@example.org");
    let password = Some(Password::new(PASSWORD.to_owned()));
    let wanted = CreateUser { email, password, ..CreateUser::default() };
    create_user(ctx, wanted, ctx.node.password_policy).await.unwrap()
}

async fn reread(ctx: &Context, user: &User) -> User {
    ctx.accounts.user(Find::Id(user.id)).await.unwrap().unwrap()
}

/// Turned on as `codes` has it; gives the row as it is then, the key and the backup codes.
async fn with_factor(ctx: &Context, name: &str) -> (User, String, Vec<String>) {
    let user = user(ctx, name).await;
    let (key, backup) = mfa::enable_without_confirmation(ctx, &user, 3, request_ctx(ctx, 1)).await.unwrap();
    (reread(ctx, &user).await, key, backup)
}

fn request_ctx(ctx: &Context, address: u8) -> RequestContext<'_> {
    let address = IpAddr::from([192, 0, 2, address]);
    let lives = &ctx.node.config.api.native;
    RequestContext {
        dialect: "native",
        dialect_config: lives,
        client_ip: address,
        rate_limit_ip: address,
        user_agent: None,
        language: None,
        extra_claims: ExtraClaims::Nothing,
    }
}

async fn enters(ctx: &Context, user: &User, code: &str) -> Result<TokenPair, Error> {
    open_session(ctx, user, Some(code), request_ctx(ctx, 1)).await
}

#[track_caller]
fn is_wrong(answer: Result<TokenPair, Error>) {
    assert!(matches!(answer, Err(Error::WrongSecondFactor)), "{:?}", answer.err());
}

#[track_caller]
fn is_too_many<T>(answer: Result<T, Error>) {
    assert!(matches!(answer, Err(Error::TooMany { .. })), "{:?}", answer.err());
}

async fn a_code_of_one_step_before_or_after_will_do(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    let (user, key, _) = with_factor(&ctx, "skew").await;
    is_wrong(enters(&ctx, &user, &fleet.code(&key, -2)).await);
    is_wrong(enters(&ctx, &user, &fleet.code(&key, 2)).await);
    for steps in [-1, 0, 1] {
        enters(&ctx, &user, &fleet.code(&key, steps)).await.unwrap();
    }
    // The steps before the latest are used up with it.
    fleet.clock.advance(3 * STEP);
    enters(&ctx, &user, &fleet.code(&key, 1)).await.unwrap();
    is_wrong(enters(&ctx, &user, &fleet.code(&key, 0)).await);
}

async fn a_step_is_used_up_for_every_node_and_dialect(fleet: &TestFleet) {
    let (one, other) = (fleet.node().await, fleet.node().await);
    let (user, key, _) = with_factor(&one, "replay").await;
    let code = fleet.code(&key, 0);
    enters(&one, &user, &code).await.unwrap();
    for (name, lives) in other.node.config.api.all() {
        let request_ctx =
            RequestContext { dialect: name, dialect_config: &config_for_all(lives), ..request_ctx(&other, 1) };
        is_wrong(open_session(&other, &user, Some(&code), request_ctx).await);
    }
}

/// A dialect as it is, but open to who has not confirmed an address.
fn config_for_all(lives: &signet::config::Dialect) -> signet::config::Dialect {
    signet::config::Dialect { verified_only: false, ..lives.clone() }
}

async fn of_many_uses_of_one_code_at_once_one_opens_a_session(fleet: &TestFleet) {
    let nodes = [fleet.node().await, fleet.node().await];
    let (user, key, backup) = with_factor(&nodes[0], "parallel").await;
    for code in [fleet.code(&key, 0), backup[0].clone()] {
        let before = list_sessions(&nodes[0], user.id).await.unwrap().len();
        let tries = (0..20).map(|at| {
            let (ctx, user, code) = (nodes[at % 2].clone(), user.clone(), code.clone());
            tokio::spawn(async move { enters(&ctx, &user, &code).await.is_ok() })
        });
        let inside = join_all(tries).await.into_iter().filter(|inside| *inside.as_ref().unwrap()).count();
        assert_eq!(inside, 1);
        assert_eq!(list_sessions(&nodes[0], user.id).await.unwrap().len(), before + 1);
        fleet.clock.advance(Duration::from_secs(24 * 60 * 60));
    }
}

async fn wrong_tries_are_counted_together_before_they_are_compared(fleet: &TestFleet) {
    let ctx = fleet.node_with(|config| config.mailed.daily_tries = 5).await;
    let (user, key, backup) = with_factor(&ctx, "capped").await;
    let unlike = |not: &[&String]| (0..).map(|n| format!("{n:06}")).find(|code| !not.contains(&code)).unwrap();
    let shown = [-1, 0, 1].map(|steps| fleet.code(&key, steps));
    let wrong = unlike(&shown.iter().chain(&backup).collect::<Vec<_>>());
    // What anybody can try who knows the address keeps its owner from no second factor.
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
    is_too_many(
        signet::auth::accounts::verify_email_code::verify_email_with_code(
            &ctx,
            user.id,
            "no code",
            request_ctx(&ctx, 1),
        )
        .await,
    );
    for _ in 0..3 {
        is_wrong(enters(&ctx, &user, &wrong).await);
    }
    for _ in 0..2 {
        is_wrong(enters(&ctx, &user, "0000-0000-0000-0000-0000-0000").await);
    }
    // Nothing is compared any more, right or wrong, wherever it is tried.
    is_too_many(enters(&ctx, &user, &fleet.code(&key, 0)).await);
    is_too_many(enters(&ctx, &user, &backup[0]).await);
    is_too_many(enters(&fleet.node_with(|config| config.mailed.daily_tries = 5).await, &user, &wrong).await);
    fleet.clock.advance(Duration::from_secs(24 * 60 * 60));
    enters(&ctx, &user, &fleet.code(&key, 0)).await.unwrap();
    enters(&ctx, &user, &backup[0]).await.unwrap();
}

async fn right_ones_are_not_counted(fleet: &TestFleet) {
    let ctx = fleet.node_with(|config| config.mailed.daily_tries = 5).await;
    let (user, key, _) = with_factor(&ctx, "right").await;
    for _ in 0..12 {
        enters(&ctx, &user, &fleet.code(&key, 0)).await.unwrap();
        fleet.clock.advance(STEP);
    }
}

async fn the_rate_of_tries_is_limited_by_account_and_by_address(fleet: &TestFleet) {
    let ctx = fleet
        .node_with(|config| {
            config.limits.enabled = true;
            let hour = Duration::from_secs(60 * 60);
            config.limits.code_account = Rate { burst: 4, per: hour };
            config.limits.code_address = Rate { burst: 6, per: hour };
        })
        .await;
    let (one, key, _) = with_factor(&ctx, "rate-one").await;
    let (other, _, _) = with_factor(&ctx, "rate-other").await;
    let tries = async |user: &User, code: &str, address: u8| {
        open_session(&ctx, user, Some(code), request_ctx(&ctx, address)).await
    };
    // Turning it on was one.
    for _ in 0..3 {
        is_wrong(tries(&one, "no code", 2).await);
    }
    is_too_many(tries(&one, &fleet.code(&key, 0), 3).await);
    // Who is over the limit by address uses up no account's.
    for _ in 0..3 {
        is_wrong(tries(&other, "no code", 2).await);
    }
    is_too_many(tries(&other, "no code", 2).await);
}

async fn a_secret_is_sealed_for_its_user_alone(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    let (ann, key, _) = with_factor(&ctx, "sealed-ann").await;
    let (bob, _, _) = with_factor(&ctx, "sealed-bob").await;
    let secret = totp_rs::Totp::from_url(format!("otpauth://totp/a?secret={key}")).unwrap();
    let secret: &[u8] = secret.secret().as_ref();
    let (anns, bobs) = (ann.totp.clone().unwrap(), bob.totp.clone().unwrap());
    let holds = |hay: &[u8], needle: &[u8]| hay.windows(needle.len()).any(|part| part == needle);
    for part in secret.windows(8) {
        assert!(!holds(&anns.0, part), "a part of the secret can be read");
    }
    assert!(!holds(&anns.0, key.as_bytes()) && !holds(&anns.0, &key.as_bytes()[..8]));
    assert!(!format!("{ann:?}").contains(&key));
    // One who can write rows gives Bob the factor of his own.
    assert!(ctx.accounts.reseal_totp(bob.id, &bobs, &anns).await.unwrap());
    let bob = reread(&ctx, &bob).await;
    assert_eq!(bob.totp.as_ref(), Some(&anns));
    let answer = enters(&ctx, &bob, &fleet.code(&key, 0)).await;
    assert!(matches!(answer, Err(Error::Internal(_))), "{:?}", answer.err());
    enters(&ctx, &ann, &fleet.code(&key, 0)).await.unwrap();
}

async fn a_secret_is_sealed_anew_and_the_old_one_taken_out(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    let (user, key, backup) = with_factor(&ctx, "resealed").await;
    assert_eq!(reseal_secrets(&ctx).await.unwrap(), 0, "it was sealed with the first");
    let old = fleet.config.secrets.clone().unwrap();
    let new = Secret(Zeroizing::new([7; 32]));
    let secrets = [vec![new.clone()], old].concat();
    let both = fleet.node_with(|config| config.secrets = Some(secrets)).await;
    enters(&both, &user, &fleet.code(&key, -1)).await.unwrap();
    assert!(reseal_secrets(&both).await.unwrap() >= 1);
    assert_eq!(reseal_secrets(&both).await.unwrap(), 0, "once");
    let resealed = reread(&both, &user).await;
    assert_ne!(resealed.totp, user.totp);
    // The fleet's keyring was sealed anew at the start, so a node with the new one alone comes up.
    let alone = fleet.node_with(|config| config.secrets = Some(vec![new.clone()])).await;
    enters(&alone, &resealed, &fleet.code(&key, 0)).await.unwrap();
    enters(&alone, &resealed, &backup[0]).await.unwrap();
    is_wrong(enters(&alone, &resealed, &fleet.code(&key, -1)).await);
    // Back, for the cases after this one.
    let back = fleet.node_with(|config| {
        let old = config.secrets.clone().unwrap();
        config.secrets = Some([old, vec![new.clone()]].concat());
    });
    assert!(reseal_secrets(&back.await).await.unwrap() >= 1);
    enters(&fleet.node().await, &reread(&ctx, &user).await, &fleet.code(&key, 1)).await.unwrap();
}

async fn only_the_pending_secret_turns_it_on(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    let user = user(&ctx, "pending").await;
    let password = Password::new(PASSWORD.to_owned());
    let on = async |password: Option<&Password>, code: &str| {
        mfa::enable(&ctx, &user, password, code, request_ctx(&ctx, 1)).await
    };
    let refused = |answer: Result<Vec<String>, Error>| assert!(matches!(answer, Err(Error::SecondFactorNotOn)));
    refused(on(Some(&password), "123456").await);
    let TotpEnrollment { key: first, .. } = start_enrollment(&ctx, &user).await.unwrap();
    let TotpEnrollment { key, uri } = start_enrollment(&ctx, &user).await.unwrap();
    assert_eq!(enrollment_uri(&ctx, &user).await.unwrap(), uri);
    assert!(uri.starts_with("otpauth://totp/Signet:pending%40example.org?") && uri.contains(&key), "{uri}");
    assert!(reread(&ctx, &user).await.totp.is_none());
    refused(on(Some(&password), &fleet.code(&first, 0)).await);
    refused(on(Some(&password), "no code").await);
    refused(on(None, &fleet.code(&key, 0)).await);
    refused(on(Some(&Password::new("not the password".to_owned())), &fleet.code(&key, 0)).await);
    let codes = on(Some(&password), &fleet.code(&key, 0)).await.unwrap();
    assert_eq!(codes.iter().collect::<BTreeSet<_>>().len(), 10);
    assert!(matches!(enrollment_uri(&ctx, &user).await, Err(Error::NotFound)));
    // The code that turned it on is used up.
    let row = reread(&ctx, &user).await;
    is_wrong(enters(&ctx, &row, &fleet.code(&key, 0)).await);
    enters(&ctx, &row, &fleet.code(&key, 1)).await.unwrap();
    start_enrollment(&ctx, &row).await.unwrap();
    let again = mfa::enable(&ctx, &row, Some(&password), "123456", request_ctx(&ctx, 1)).await;
    assert!(matches!(again, Err(Error::SecondFactorAlreadyOn)));
    let off = mfa::disable(&ctx, &row, Some(None), request_ctx(&ctx, 1)).await;
    assert!(matches!(off, Err(Error::SecondFactorNotOff)));
    mfa::disable(&ctx, &row, Some(Some(&password)), request_ctx(&ctx, 1)).await.unwrap();
    let row = reread(&ctx, &user).await;
    let off = mfa::disable(&ctx, &row, Some(Some(&password)), request_ctx(&ctx, 1)).await;
    assert!(matches!(off, Err(Error::SecondFactorAlreadyOff)));
    assert!(ctx.accounts.recovery_codes(user.id).await.unwrap().is_empty());
}

async fn what_is_pending_waits_ten_minutes(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    let user = user(&ctx, "waiting").await;
    start_enrollment(&ctx, &user).await.unwrap();
    fleet.clock.advance(Duration::from_secs(10 * 60 - 1));
    enrollment_uri(&ctx, &user).await.unwrap();
    fleet.clock.advance(Duration::from_secs(1));
    assert!(matches!(enrollment_uri(&ctx, &user).await, Err(Error::NotFound)));
}

async fn recovery_codes_are_good_once_in_whatever_spelling(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    let user = user(&ctx, "recovery").await;
    let TotpEnrollment { key, .. } = start_enrollment(&ctx, &user).await.unwrap();
    let password = Password::new(PASSWORD.to_owned());
    let code = fleet.code(&key, 0);
    let codes = mfa::enable(&ctx, &user, Some(&password), &code, request_ctx(&ctx, 1)).await.unwrap();
    let row = reread(&ctx, &user).await;
    // 24 letters of five bits each.
    assert!(codes.iter().all(|code| code.len() == 24 + 5 && code.split('-').count() == 6), "{codes:?}");
    let spelt = [codes[0].clone(), codes[1].to_uppercase(), codes[2].replace('-', " "), codes[3].replace('0', "O")];
    for spelling in &spelt {
        enters(&ctx, &row, spelling).await.unwrap();
        is_wrong(enters(&ctx, &row, spelling).await);
    }
    assert_eq!(ctx.accounts.recovery_codes(user.id).await.unwrap().len(), 6);
    for RecoveryCode { hash, .. } in ctx.accounts.recovery_codes(user.id).await.unwrap() {
        assert!(codes.iter().all(|code| !hash.0.contains(&code.replace('-', ""))), "{}", hash.0);
    }
}

async fn short_recovery_codes_are_hashed_slowly(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    let (user, _, backup) = with_factor(&ctx, "slow").await;
    assert_eq!(backup.iter().collect::<BTreeSet<_>>().len(), 3);
    let kept = ctx.accounts.recovery_codes(user.id).await.unwrap();
    assert!(kept.len() == 3 && kept.iter().all(|code| code.hash.0.starts_with("$argon2id$")), "{}", kept.len());
    assert!(kept.iter().all(|code| backup.iter().all(|told| !code.hash.0.contains(told))));
}

async fn the_second_step_is_only_for_who_was_recognised(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    let (user, key, backup) = with_factor(&ctx, "steps").await;
    let due = async |user: &User| match start_login(&ctx, user, request_ctx(&ctx, 1)).await.unwrap() {
        LoginStep::Due(token) => token,
        LoginStep::In(_) => panic!("inside without the second factor"),
    };
    let token = due(&user).await;
    is_wrong(complete_login(&ctx, &token, "123", request_ctx(&ctx, 1)).await);
    complete_login(&ctx, &token, &fleet.code(&key, 0), request_ctx(&ctx, 1)).await.unwrap();
    for no_token in ["", "x", &enters(&ctx, &user, &backup[0]).await.unwrap().access] {
        let answer = complete_login(&ctx, no_token, &fleet.code(&key, 1), request_ctx(&ctx, 1)).await;
        assert!(matches!(answer, Err(Error::BadCredentials(_))), "{no_token}");
    }
    let late = due(&user).await;
    fleet.clock.advance(Duration::from_secs(5 * 60));
    let answer = complete_login(&ctx, &late, &fleet.code(&key, 0), request_ctx(&ctx, 1)).await;
    assert!(matches!(answer, Err(Error::BadCredentials(_))));
    // A password that was changed since recognises nobody.
    let token = due(&user).await;
    let hash = ctx.node.hasher.hash(&Password::new("another password".to_owned())).await.unwrap();
    let changes = Changes { password_hash: Some(hash), ..Changes::default() };
    ctx.accounts.change_user(user.id, &changes, fleet.clock.now()).await.unwrap();
    let answer = complete_login(&ctx, &token, &fleet.code(&key, 0), request_ctx(&ctx, 1)).await;
    assert!(matches!(answer, Err(Error::BadCredentials(_))));
}

/// As `config.toml` says that a secret is replaced, with the program as it is.
#[tokio::test]
async fn a_secret_is_replaced_and_nobody_is_locked_out() {
    const NEW: &str = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";
    let server = TestServer::embedded(|plan| plan.set("SIGNET_SECRET", SECRET));
    let person = server.person(&[]);
    let access = server.sign_in(&person).await.access;
    let made = server.post("/auth/create/otp").bearer_auth(access).send_checked().await.is(200).json();
    let key = made["otp_key"].as_str().unwrap();
    let anew = |server: &TestServer, secrets: &str| {
        server.signet.terminate();
        assert!(server.signet.ended().success());
        TestServer::beside(server.plan().clone().set("SIGNET_SECRET", secrets))
    };
    let server = anew(&server, &format!("{NEW},{SECRET}"));
    server.signet.wait_for_log("second factors are sealed with the first of the secrets now");
    let server = anew(&server, NEW);
    let body = json!({"email": person.email, "password": server::PASSWORD, "totp_code": totp::code(key, 0)});
    server.post("/sessions").json(&body).send_checked().await.is(201);
}
