//! Lifetime and scope of mailed links, tested by calling the operations with a manual clock and the settings of v1.

use std::cell::RefCell;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use signet::auth::Error;
use signet::auth::accounts::create::{CreateUser, create_user};
use signet::auth::accounts::verify_email;
use signet::auth::accounts::verify_email::Verification;
use signet::auth::context::Context;
use signet::auth::error::LinkKind;
use signet::auth::passwords::Password;
use signet::auth::passwords::request_reset::request_password_reset_by_link;
use signet::auth::passwords::reset::reset_password;
use signet::auth::request_context::{ExtraClaims, RequestContext};
use signet::store::accounts::User;

use crate::support::fleet::{TestFleet, over_both_stores_in_process};
use crate::support::outbox::Mail;
use crate::support::until;

const SECOND: Duration = Duration::from_secs(1);

over_both_stores_in_process!(
    verification_link_is_repeatable_until_it_expires,
    verification_link_is_bound_to_an_unnamed_address,
    reset_link_works_once_until_it_expires,
);

fn request_ctx(ctx: &Context) -> RequestContext<'_> {
    let here = std::net::IpAddr::from([127, 0, 0, 1]);
    let (dialect_config, extra_claims) = (&ctx.node.config.api.v1, ExtraClaims::UidAndType);
    RequestContext {
        dialect: "v1",
        dialect_config,
        client_ip: here,
        rate_limit_ip: here,
        user_agent: None,
        language: None,
        extra_claims,
        audience: None,
    }
}

async fn user(ctx: &Context, name: &str) -> User {
    let (email, username) = (format!("{name}@example.org"), Some(name.to_owned()));
    let new_user = CreateUser { email, username, ..CreateUser::default() };
    create_user(ctx, new_user).await.unwrap()
}

/// The token of a link that verifies `address` for the user.
fn verification_token(ctx: &Context, user: &User, address: &str) -> String {
    let token = RefCell::new(String::new());
    let link = |link_token: &str| {
        link_token.clone_into(&mut token.borrow_mut());
        format!("https://id.example.org/{link_token}")
    };
    verify_email::send_link(ctx, user, address, link, None).unwrap();
    token.into_inner()
}

/// Waits for the only mail to an address; returns its token.
async fn wait_for_mailed_token(fleet: &TestFleet, to: &str) -> String {
    let mut token = String::new();
    until("the link is mailed", async || {
        let files = std::fs::read_dir(fleet.config.data_dir.join("outbox")).into_iter().flatten();
        let paths = files.map(|file| file.unwrap().path());
        let mail_files = paths.filter(|path| path.extension().is_some_and(|kind| kind == "eml"));
        let mut mails = mail_files.map(|path| Mail { source: std::fs::read_to_string(path).unwrap() });
        token = mails.find(|mail| mail.header("to").contains(to)).map(|mail| mail.token()).unwrap_or_default();
        !token.is_empty()
    })
    .await;
    token
}

async fn reset(ctx: &Context, token: &str) -> Result<(), Error> {
    reset_password(ctx, token, None, &Password::new("654321".to_owned()), request_ctx(ctx)).await
}

async fn verification_link_is_repeatable_until_it_expires(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    let user = user(&ctx, "again").await;
    let token = verification_token(&ctx, &user, &user.email);
    assert_eq!(verify_email::verify_email(&ctx, &token, request_ctx(&ctx)).await.unwrap(), Verification::Verified);
    fleet.clock.advance(fleet.config.mailed.confirm - SECOND);
    assert_eq!(
        verify_email::verify_email(&ctx, &token, request_ctx(&ctx)).await.unwrap(),
        Verification::AlreadyVerified
    );
    fleet.clock.advance(SECOND);
    let expired = verify_email::verify_email(&ctx, &token, request_ctx(&ctx)).await;
    assert!(matches!(expired, Err(Error::InvalidLink(LinkKind::EmailVerification))), "{expired:?}");
}

async fn verification_link_is_bound_to_an_unnamed_address(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    let token = verification_token(&ctx, &user(&ctx, "moved").await, "before@example.org");
    let refused = verify_email::verify_email(&ctx, &token, request_ctx(&ctx)).await;
    assert!(matches!(refused, Err(Error::InvalidLink(LinkKind::EmailVerification))), "{refused:?}");
    let payload = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let payload = String::from_utf8(payload).unwrap();
    assert!(!payload.contains("before"), "{payload}");
}

async fn reset_link_works_once_until_it_expires(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    for (name, delay) in [("in-time", Duration::ZERO), ("late", SECOND)] {
        let user = user(&ctx, name).await;
        request_password_reset_by_link(&ctx, &user.email, name, request_ctx(&ctx)).await.unwrap();
        let token = wait_for_mailed_token(fleet, &user.email).await;
        fleet.clock.advance(fleet.config.mailed.reset - SECOND + delay);
        assert_eq!(reset(&ctx, &token).await.is_ok(), delay.is_zero(), "{name}");
        assert!(matches!(reset(&ctx, &token).await, Err(Error::InvalidLink(LinkKind::PasswordReset))), "{name}");
    }
}
