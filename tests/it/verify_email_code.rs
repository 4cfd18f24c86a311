//! Verifying an address, tested by calling the operations: lifetime and scope of a mailed code, and verifying by hand.

use std::net::IpAddr;
use std::time::Duration;

use signet::auth::Error;
use signet::auth::accounts::create::{CreateUser, create_user};
use signet::auth::accounts::update::{UpdateUser, update_user_as_operator};
use signet::auth::accounts::verify_email_code::{send_code, verify_email_with_code};
use signet::auth::audit::Origin;
use signet::auth::context::Context;
use signet::auth::request_context::{ExtraClaims, RequestContext};
use signet::auth::sessions::list::list_sessions;
use signet::auth::sign_in::open_session::open_session;
use signet::store::accounts::{Changed, Changes, Find, User};

use crate::support::fleet::{TestFleet, over_both_stores_in_process};
use crate::support::outbox::Mail;

over_both_stores_in_process!(
    code_is_valid_for_ten_minutes,
    code_is_valid_on_every_node,
    concurrent_uses_verify_once,
    code_is_bound_to_its_address,
    operator_verifies_no_address_that_was_not_read,
    open_sessions_get_the_verified_claim,
);

const MINUTE: Duration = Duration::from_secs(60);

async fn user(ctx: &Context, name: &str) -> User {
    let new_user = CreateUser { email: format!("{name}@example.org"), ..CreateUser::default() };
    create_user(ctx, new_user).await.unwrap()
}

fn request_ctx(ctx: &Context) -> RequestContext<'_> {
    let address = IpAddr::from([192, 0, 2, 1]);
    let dialect_config = &ctx.node.config.api.codes.dialect;
    RequestContext {
        dialect: "codes",
        dialect_config,
        client_ip: address,
        rate_limit_ip: address,
        user_agent: None,
        language: None,
        extra_claims: ExtraClaims::None,
        audience: None,
    }
}

/// Sends a code and reads it from the outbox, where it is when `send_code` returns.
async fn send_and_read_code(ctx: &Context, user: &User) -> String {
    send_code(ctx, user.id, request_ctx(ctx)).await.unwrap();
    let folder = std::fs::read_dir(ctx.node.config.data_dir.join("outbox")).unwrap();
    let mut files = folder.map(|file| file.unwrap().path()).collect::<Vec<_>>();
    files.sort();
    let mails = files.iter().rev().map(|file| Mail { source: std::fs::read_to_string(file).unwrap() });
    mails.into_iter().find(|mail| mail.header("to").contains(&user.email)).unwrap().code()
}

async fn verify(ctx: &Context, user: &User, code: &str) -> Result<(), Error> {
    verify_email_with_code(ctx, user.id, code, request_ctx(ctx)).await
}

async fn is_verified(ctx: &Context, user: &User) -> bool {
    ctx.accounts.user(Find::Id(user.id)).await.unwrap().unwrap().verified
}

#[track_caller]
fn assert_invalid(result: Result<(), Error>) {
    assert!(matches!(result, Err(Error::InvalidCode)), "{result:?}");
}

async fn code_is_valid_for_ten_minutes(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    let (early, late) = (user(&ctx, "early").await, user(&ctx, "late").await);
    let (one, other) = (send_and_read_code(&ctx, &early).await, send_and_read_code(&ctx, &late).await);
    fleet.clock.advance(10 * MINUTE - Duration::from_millis(1));
    verify(&ctx, &early, &one).await.unwrap();
    fleet.clock.advance(Duration::from_millis(1));
    assert_invalid(verify(&ctx, &late, &other).await);
    assert!(is_verified(&ctx, &early).await && !is_verified(&ctx, &late).await);
}

async fn code_is_valid_on_every_node(fleet: &TestFleet) {
    let (one, other) = (fleet.node().await, fleet.node().await);
    let user = user(&one, "elsewhere").await;
    let code = send_and_read_code(&one, &user).await;
    verify(&other, &user, &code).await.unwrap();
    assert_invalid(verify(&one, &user, &code).await);
}

async fn concurrent_uses_verify_once(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    let user = user(&ctx, "parallel").await;
    let code = send_and_read_code(&ctx, &user).await;
    let each = (0..20).map(|_| verify(&ctx, &user, &code));
    let confirmed = futures_util::future::join_all(each).await.into_iter().filter(Result::is_ok).count();
    assert_eq!(confirmed, 1);
}

async fn code_is_bound_to_its_address(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    let (one, other) = (user(&ctx, "moves").await, user(&ctx, "stays").await);
    let code = send_and_read_code(&ctx, &one).await;
    assert_invalid(verify(&ctx, &other, &code).await);
    let changes = Changes { email: Some("moved@example.org".to_owned()), ..Changes::default() };
    let changed = ctx.accounts.change_user(one.id, &changes, fleet.clock.now()).await.unwrap();
    assert!(matches!(changed, Changed::Changed(_)));
    assert_invalid(verify(&ctx, &one, &code).await);
    // The code is not valid for the next owner of the address either.
    let next = user(&ctx, "moves").await;
    assert_invalid(verify(&ctx, &next, &code).await);
    assert!(!is_verified(&ctx, &one).await && !is_verified(&ctx, &next).await);
}

async fn operator_verifies_no_address_that_was_not_read(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    let before = user(&ctx, "known-to-the-operator").await;
    let changes = Changes { email: Some("of-somebody-else@example.org".to_owned()), ..Changes::default() };
    ctx.accounts.change_user(before.id, &changes, fleet.clock.now()).await.unwrap();
    let verify = async |user: &User| {
        let update = UpdateUser { verified: Some(true), ..UpdateUser::default() };
        update_user_as_operator(&ctx, user, update, Origin::process()).await
    };
    assert!(matches!(verify(&before).await, Err(Error::EmailChanged)));
    assert!(!is_verified(&ctx, &before).await);
    let now = ctx.accounts.user(Find::Id(before.id)).await.unwrap().unwrap();
    assert!(verify(&now).await.unwrap().verified);
}

async fn open_sessions_get_the_verified_claim(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    let user = user(&ctx, "open-sessions").await;
    for _ in 0..2 {
        open_session(&ctx, &user, None, request_ctx(&ctx)).await.unwrap();
    }
    let verified = async |claim: &str| {
        let stored = list_sessions(&ctx, user.id).await.unwrap().into_iter().map(|session| session.claims);
        stored.filter(|claims| claims.contains(claim)).count()
    };
    assert_eq!(verified(r#""email_verified":false"#).await, 2);
    verify(&ctx, &user, &send_and_read_code(&ctx, &user).await).await.unwrap();
    assert_eq!(verified(r#""email_verified":true"#).await, 2);
}
