//! Confirming an address by a mailed code, by the operation itself: how long a code is good, and for what.

use std::net::IpAddr;
use std::time::Duration;

use signet::auth::Error;
use signet::auth::accounts::create::{CreateUser, create_user};
use signet::auth::accounts::verify_email_code::{send_code, verify_email_with_code};
use signet::auth::context::Context;
use signet::auth::sessions::list::list_sessions;
use signet::auth::sessions::open::{ExtraClaims, RequestContext, open_session};
use signet::store::accounts::{Changed, Changes, Find, User};

use crate::support::fleet::{TestFleet, over_both_stores_in_process};
use crate::support::outbox::Mail;

over_both_stores_in_process!(
    a_code_is_good_for_ten_minutes,
    a_code_is_good_at_every_node,
    of_many_uses_at_once_one_confirms,
    a_code_is_bound_to_the_address_it_went_to,
    the_tokens_of_open_sessions_say_it_too,
);

const MINUTE: Duration = Duration::from_secs(60);

async fn user(ctx: &Context, name: &str) -> User {
    let wanted = CreateUser { email: format!("{name}@example.org"), ..CreateUser::default() };
    create_user(ctx, wanted, ctx.node.password_policy).await.unwrap()
}

fn request_ctx(ctx: &Context) -> RequestContext<'_> {
    let address = IpAddr::from([192, 0, 2, 1]);
    let lives = &ctx.node.config.api.codes.dialect;
    RequestContext {
        dialect: "codes",
        dialect_config: lives,
        client_ip: address,
        rate_limit_ip: address,
        user_agent: None,
        language: None,
        extra_claims: ExtraClaims::Nothing,
    }
}

/// Has one sent; it is in the outbox before this comes back.
async fn mailed(ctx: &Context, user: &User) -> String {
    send_code(ctx, user.id, request_ctx(ctx)).await.unwrap();
    let folder = std::fs::read_dir(ctx.node.config.data_dir.join("outbox")).unwrap();
    let mut files = folder.map(|file| file.unwrap().path()).collect::<Vec<_>>();
    files.sort();
    let mails = files.iter().rev().map(|file| Mail { whole: std::fs::read_to_string(file).unwrap() });
    mails.into_iter().find(|mail| mail.header("to").contains(&user.email)).unwrap().code()
}

async fn tries(ctx: &Context, user: &User, code: &str) -> Result<(), Error> {
    verify_email_with_code(ctx, user.id, code, request_ctx(ctx)).await
}

async fn is_verified(ctx: &Context, user: &User) -> bool {
    ctx.accounts.user(Find::Id(user.id)).await.unwrap().unwrap().verified
}

#[track_caller]
fn is_none(answer: Result<(), Error>) {
    assert!(matches!(answer, Err(Error::CodeNotInForce)), "{answer:?}");
}

async fn a_code_is_good_for_ten_minutes(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    let (early, late) = (user(&ctx, "early").await, user(&ctx, "late").await);
    let (one, other) = (mailed(&ctx, &early).await, mailed(&ctx, &late).await);
    fleet.clock.advance(10 * MINUTE - Duration::from_millis(1));
    tries(&ctx, &early, &one).await.unwrap();
    fleet.clock.advance(Duration::from_millis(1));
    is_none(tries(&ctx, &late, &other).await);
    assert!(is_verified(&ctx, &early).await && !is_verified(&ctx, &late).await);
}

async fn a_code_is_good_at_every_node(fleet: &TestFleet) {
    let (one, other) = (fleet.node().await, fleet.node().await);
    let user = user(&one, "elsewhere").await;
    let code = mailed(&one, &user).await;
    tries(&other, &user, &code).await.unwrap();
    is_none(tries(&one, &user, &code).await);
}

async fn of_many_uses_at_once_one_confirms(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    let user = user(&ctx, "parallel").await;
    let code = mailed(&ctx, &user).await;
    let each = (0..20).map(|_| tries(&ctx, &user, &code));
    let confirmed = futures_util::future::join_all(each).await.into_iter().filter(Result::is_ok).count();
    assert_eq!(confirmed, 1);
}

async fn a_code_is_bound_to_the_address_it_went_to(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    let (one, other) = (user(&ctx, "moves").await, user(&ctx, "stays").await);
    let code = mailed(&ctx, &one).await;
    is_none(tries(&ctx, &other, &code).await);
    let changes = Changes { email: Some("moved@example.org".to_owned()), ..Changes::default() };
    let changed = ctx.accounts.change_user(one.id, &changes, fleet.clock.now()).await.unwrap();
    assert!(matches!(changed, Changed::Changed(_)));
    is_none(tries(&ctx, &one, &code).await);
    // Nor does it wait for who has that address next.
    let next = user(&ctx, "moves").await;
    is_none(tries(&ctx, &next, &code).await);
    assert!(!is_verified(&ctx, &one).await && !is_verified(&ctx, &next).await);
}

async fn the_tokens_of_open_sessions_say_it_too(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    let user = user(&ctx, "told").await;
    for _ in 0..2 {
        open_session(&ctx, &user, None, request_ctx(&ctx)).await.unwrap();
    }
    let verified = async |told: &str| {
        let profiles = list_sessions(&ctx, user.id).await.unwrap().into_iter().map(|session| session.profile);
        profiles.filter(|profile| profile.contains(told)).count()
    };
    assert_eq!(verified(r#""email_verified":false"#).await, 2);
    tries(&ctx, &user, &mailed(&ctx, &user).await).await.unwrap();
    assert_eq!(verified(r#""email_verified":true"#).await, 2);
}
