//! Until when links that were mailed are good, by the operations themselves: a clock that is moved by hand, from v1's door.

use std::cell::RefCell;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use signet::auth::Error;
use signet::auth::accounts::create::{CreateUser, create_user};
use signet::auth::accounts::verify_email;
use signet::auth::accounts::verify_email::Confirmed;
use signet::auth::context::Context;
use signet::auth::passwords::request_reset::recover_by_link;
use signet::auth::passwords::reset::reset_password;
use signet::auth::passwords::{Password, Policy};
use signet::auth::sessions::open::{ExtraClaims, RequestContext};
use signet::store::accounts::User;

use crate::support::fleet::{TestFleet, over_both_stores_in_process};
use crate::support::outbox::Mail;
use crate::support::until;

const SECOND: Duration = Duration::from_secs(1);

over_both_stores_in_process!(
    a_confirmation_is_good_again_until_its_time_is_over,
    a_confirmation_is_good_for_the_address_that_it_went_to_and_names_none,
    a_reset_is_good_once_until_its_time_is_over,
);

fn request_ctx(ctx: &Context) -> RequestContext<'_> {
    let here = std::net::IpAddr::from([127, 0, 0, 1]);
    let (lives, says) = (&ctx.node.config.api.v1, ExtraClaims::UidAndType);
    RequestContext {
        dialect: "v1",
        dialect_config: lives,
        client_ip: here,
        rate_limit_ip: here,
        user_agent: None,
        language: None,
        extra_claims: says,
    }
}

async fn user(ctx: &Context, name: &str) -> User {
    let (email, username) = (format!("{name}@example.org"), Some(name.to_owned()));
    let wanted = CreateUser { email, username, ..CreateUser::default() };
    create_user(ctx, wanted, ctx.node.password_policy).await.unwrap()
}

/// The token of a link that confirms `address` as the user's.
fn confirmation(ctx: &Context, user: &User, address: &str) -> String {
    let token = RefCell::new(String::new());
    let link = |made: &str| {
        made.clone_into(&mut token.borrow_mut());
        format!("https://id.example.org/{made}")
    };
    verify_email::send_link(ctx, user, address, link, None).unwrap();
    token.into_inner()
}

/// The token of the only mail to an address.
async fn mailed(fleet: &TestFleet, to: &str) -> String {
    let mut token = String::new();
    until("the link is mailed", async || {
        let files = std::fs::read_dir(fleet.config.data_dir.join("outbox")).into_iter().flatten();
        let paths = files.map(|file| file.unwrap().path());
        let letters = paths.filter(|path| path.extension().is_some_and(|kind| kind == "eml"));
        let mut mails = letters.map(|path| Mail { whole: std::fs::read_to_string(path).unwrap() });
        token = mails.find(|mail| mail.header("to").contains(to)).map(|mail| mail.token()).unwrap_or_default();
        !token.is_empty()
    })
    .await;
    token
}

async fn reset(ctx: &Context, token: &str) -> Result<(), Error> {
    let policy = Policy::of(request_ctx(ctx).dialect_config, &ctx.node.config.passwords);
    reset_password(ctx, token, None, &Password::new("654321".to_owned()), policy, request_ctx(ctx)).await
}

async fn a_confirmation_is_good_again_until_its_time_is_over(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    let user = user(&ctx, "again").await;
    let token = confirmation(&ctx, &user, &user.email);
    assert_eq!(verify_email::verify_email(&ctx, &token).await.unwrap(), Confirmed::Now);
    fleet.clock.advance(fleet.config.mailed.confirm - SECOND);
    assert_eq!(verify_email::verify_email(&ctx, &token).await.unwrap(), Confirmed::Already);
    fleet.clock.advance(SECOND);
    let over = verify_email::verify_email(&ctx, &token).await;
    assert!(matches!(over, Err(Error::ConfirmationNotInForce)), "{over:?}");
}

async fn a_confirmation_is_good_for_the_address_that_it_went_to_and_names_none(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    let token = confirmation(&ctx, &user(&ctx, "moved").await, "before@example.org");
    let refused = verify_email::verify_email(&ctx, &token).await;
    assert!(matches!(refused, Err(Error::ConfirmationNotInForce)), "{refused:?}");
    let payload = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let payload = String::from_utf8(payload).unwrap();
    assert!(!payload.contains("before"), "{payload}");
}

async fn a_reset_is_good_once_until_its_time_is_over(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    for (name, late) in [("in-time", Duration::ZERO), ("late", SECOND)] {
        let user = user(&ctx, name).await;
        recover_by_link(&ctx, &user.email, name, request_ctx(&ctx)).await.unwrap();
        let token = mailed(fleet, &user.email).await;
        fleet.clock.advance(fleet.config.mailed.reset - SECOND + late);
        assert_eq!(reset(&ctx, &token).await.is_ok(), late.is_zero(), "{name}");
        assert!(matches!(reset(&ctx, &token).await, Err(Error::ResetNotInForce)), "{name}");
    }
}
