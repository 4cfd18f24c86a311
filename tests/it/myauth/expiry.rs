//! The operations behind the calls, run with a manual clock: when links, tokens and enrollments expire, and which
//! failures leave a link unused.

use std::path::Path;
use std::time::Duration;

use signet::auth::Error;
use signet::auth::User;
use signet::auth::accounts::create;
use signet::auth::action_token::LinkTokenFormat;
use signet::auth::context::Context;
use signet::auth::error::{LinkKind, MfaError};
use signet::auth::mfa;
use signet::auth::mfa::enable;

use signet::auth::passwords::request_reset::{request_password_reset, request_password_reset_by_link};
use signet::auth::passwords::reset::reset_password;
use signet::auth::passwords::{IdentityProof, Password};
use signet::auth::request_context::{ExtraClaims, RequestContext};
use signet::auth::sign_in::login_step::{LoginStep, complete_login};
use signet::auth::sign_in::magic_link;
use signet::auth::sign_in::magic_link::{redeem, redeem_with_code};
use signet::auth::sign_in::password::start_sign_in;
use signet::clock::{Clock, Timestamp};
use signet::config::Config;
use signet::id::SessionId;
use signet::node::build;
use signet::node::stores::Stores;
use signet::store::accounts::Find;

use super::OTHER_PASSWORD;
use crate::support::fleet::STORE_TIMEOUT;
use crate::support::outbox::Mail;
use crate::support::server::PASSWORD;
use crate::support::totp::{code_at, wrong_code_at};
use crate::support::until;

const START: Timestamp = Timestamp::from_secs(1_763_130_320);
const MINUTE: Duration = Duration::from_secs(60);
const MILLISECOND: Duration = Duration::from_millis(1);
const EMAIL: &str = "ada@example.org";
/// The session that enrolls.
const SESSION: SessionId = SessionId(uuid::Uuid::nil());

struct Node {
    ctx: Context,
    clock: Clock,
    data: tempfile::TempDir,
}

/// A node with one user, whose password is [`PASSWORD`].
async fn node() -> Node {
    let node = node_with(|_| {}).await;
    let new_user = create::CreateUser {
        email: EMAIL.to_owned(),
        username: Some("Ada".to_owned()),
        password: Some(password(PASSWORD)),
        ..Default::default()
    };
    create::create_user(&node.ctx, new_user).await.unwrap();
    node
}

async fn node_with(change: impl FnOnce(&mut Config)) -> Node {
    let data = tempfile::tempdir().unwrap();
    let mut config = Config { data_dir: data.path().to_owned(), ..Config::default() };
    config.embedded.timeout = STORE_TIMEOUT;
    (config.passwords.memory_kib, config.passwords.passes, config.limits.enabled) = (64, 1, false);
    change(&mut config);
    let clock = Clock::manual(START);
    let stores = Stores::open(&config, &clock).await.unwrap();
    let ctx = build::build_context(config, clock.clone(), &stores, &[]).await.unwrap();
    Node { ctx, clock, data }
}

fn password(text: &str) -> Password {
    Password::new(text.to_owned())
}

impl Node {
    fn request_ctx(&self) -> RequestContext<'_> {
        let address = std::net::Ipv4Addr::LOCALHOST.into();
        RequestContext {
            dialect: "myauth",
            dialect_config: &self.ctx.node.config.api.myauth,
            client_ip: address,
            rate_limit_ip: address,
            user_agent: None,
            language: None,
            extra_claims: ExtraClaims::None,
            audience: None,
        }
    }

    async fn user(&self) -> User {
        self.ctx.accounts.user(Find::Email(EMAIL)).await.unwrap().unwrap()
    }

    fn mails(&self) -> Vec<Mail> {
        let read = |path: &Path| Mail { source: std::fs::read_to_string(path).unwrap() };
        let Ok(folder) = std::fs::read_dir(self.data.path().join("outbox")) else { return Vec::new() };
        let mut files = folder.map(|file| file.unwrap().path()).collect::<Vec<_>>();
        files.retain(|file| file.extension().is_some_and(|kind| kind == "eml"));
        files.sort();
        files.iter().map(|file| read(file)).collect()
    }

    /// Waits for the mail that follows the first `before` mails; returns its token.
    async fn token(&self, before: usize) -> String {
        until("the mail arrives", async || self.mails().len() > before).await;
        self.mails()[before].token()
    }

    async fn request_magic_link(&self, before: usize) -> (String, String) {
        let secret =
            magic_link::request_link(&self.ctx, EMAIL, LinkTokenFormat::Signed, self.request_ctx()).await.unwrap();
        (self.token(before).await, secret)
    }

    async fn reset(&self, token: &str, secret: Option<&str>) -> Result<(), Error> {
        reset_password(&self.ctx, token, secret, &password(OTHER_PASSWORD), self.request_ctx()).await
    }

    /// Enables TOTP for the user; returns the key.
    async fn enable_totp(&self) -> String {
        let key = mfa::start_enrollment(&self.ctx, &self.user().await, SESSION).await.unwrap().key;
        let code = code_at(&key, self.clock.now().secs());
        enable(&self.ctx, &self.user().await, SESSION, proof(&password(PASSWORD)), &code, self.request_ctx())
            .await
            .unwrap();
        key
    }
}

/// The password as the proof of identity.
fn proof(password: &Password) -> IdentityProof<'_> {
    IdentityProof { password: Some(password), auth_time: None }
}

#[tokio::test]
async fn magic_link_expires_after_15_minutes() {
    let node = node().await;
    let (token, secret) = node.request_magic_link(0).await;
    let (late_token, late_secret) = node.request_magic_link(1).await;
    node.clock.advance(15 * MINUTE - Duration::from_secs(1));
    assert!(matches!(redeem(&node.ctx, &token, &secret, node.request_ctx()).await, Ok(LoginStep::Complete(_))));
    node.clock.advance(Duration::from_secs(1));
    let late = redeem(&node.ctx, &late_token, &late_secret, node.request_ctx()).await;
    assert!(matches!(late, Err(Error::InvalidLink(LinkKind::MagicLink))));
}

#[tokio::test]
async fn reset_link_expires_after_one_hour() {
    let node = node().await;
    let secret = request_password_reset(&node.ctx, EMAIL, LinkTokenFormat::Signed, node.request_ctx()).await.unwrap();
    let token = node.token(0).await;
    node.clock.advance(60 * MINUTE);
    assert!(matches!(node.reset(&token, Some(&secret)).await, Err(Error::InvalidLink(LinkKind::PasswordReset))));
    let secret = request_password_reset(&node.ctx, EMAIL, LinkTokenFormat::Signed, node.request_ctx()).await.unwrap();
    let token = node.token(1).await;
    node.clock.advance(60 * MINUTE - Duration::from_secs(1));
    node.reset(&token, Some(&secret)).await.unwrap();
}

#[tokio::test]
async fn mfa_token_expires_after_5_minutes() {
    let node = node().await;
    let key = node.enable_totp().await;
    let start_login = async || match start_sign_in(&node.ctx, EMAIL, &password(PASSWORD), node.request_ctx()).await {
        Ok(LoginStep::MfaRequired(token)) => token,
        _ => panic!("no MFA token"),
    };
    let late = start_login().await;
    node.clock.advance(5 * MINUTE);
    let code = code_at(&key, node.clock.now().secs());
    let response = complete_login(&node.ctx, &late, &code, node.request_ctx()).await;
    assert!(matches!(response, Err(Error::InvalidToken(_))));
    let token = start_login().await;
    assert!(complete_login(&node.ctx, &token, &code, node.request_ctx()).await.is_ok());
}

#[tokio::test]
async fn totp_enrollment_expires_after_10_minutes() {
    let node = node().await;
    let user = node.user().await;
    let key = mfa::start_enrollment(&node.ctx, &user, SESSION).await.unwrap().key;
    node.clock.advance(10 * MINUTE);
    let code = code_at(&key, node.clock.now().secs());
    let late = enable(&node.ctx, &user, SESSION, proof(&password(PASSWORD)), &code, node.request_ctx()).await;
    assert!(matches!(late, Err(Error::Mfa(MfaError::EnableFailed))));
    let key = mfa::start_enrollment(&node.ctx, &user, SESSION).await.unwrap().key;
    node.clock.advance(10 * MINUTE - MILLISECOND);
    let code = code_at(&key, node.clock.now().secs());
    assert!(enable(&node.ctx, &user, SESSION, proof(&password(PASSWORD)), &code, node.request_ctx()).await.is_ok());
}

#[tokio::test]
async fn missing_or_wrong_totp_code_does_not_consume_the_link() {
    let node = node().await;
    node.ctx.accounts.verify_email(node.user().await.id, EMAIL, node.clock.now()).await.unwrap();
    let key = node.enable_totp().await;
    until("the notice arrives", async || node.mails().len() == 1).await;
    let (token, secret) = node.request_magic_link(1).await;
    node.clock.advance(MINUTE);
    let now = node.clock.now().secs();
    let redeem_in_one_step = async |secret: &str, second: Option<&str>| {
        redeem_with_code(&node.ctx, &token, secret, second, node.request_ctx()).await.map(|tokens| tokens.session.user)
    };
    let (right, wrong) = (code_at(&key, now), wrong_code_at(&key, now));
    // A wrong device secret is reported before the TOTP code, so that it does not reveal whether TOTP is enabled.
    assert!(matches!(redeem_in_one_step("wrong", None).await, Err(Error::InvalidLink(LinkKind::MagicLink))));
    assert!(matches!(redeem_in_one_step("wrong", Some(&right)).await, Err(Error::InvalidLink(LinkKind::MagicLink))));
    for _ in 0..7 {
        assert!(matches!(redeem_in_one_step(&secret, None).await, Err(Error::MfaRequired)));
        assert!(matches!(redeem_in_one_step(&secret, Some(&wrong)).await, Err(Error::InvalidMfaCode)));
    }
    assert_eq!(redeem_in_one_step(&secret, Some(&right)).await.unwrap(), node.user().await.id);
    assert!(matches!(redeem_in_one_step(&secret, Some(&right)).await, Err(Error::InvalidLink(LinkKind::MagicLink))));
}

#[tokio::test]
async fn one_step_redemption_creates_an_account() {
    let node = node_with(|_| {}).await;
    let (token, secret) = node.request_magic_link(0).await;
    assert_eq!(node.ctx.accounts.user(Find::Email(EMAIL)).await.unwrap(), None);
    let tokens = redeem_with_code(&node.ctx, &token, &secret, None, node.request_ctx()).await.unwrap();
    let user = node.user().await;
    assert_eq!((tokens.session.user, user.verified, user.password_hash), (user.id, true, None));
}

#[tokio::test]
async fn link_without_device_secret_needs_address_and_username() {
    let node = node().await;
    for (email, name) in
        [(EMAIL, "bob"), ("bob@example.org", "ada"), (EMAIL, ""), ("no address", "ada"), (EMAIL, "a b")]
    {
        request_password_reset_by_link(&node.ctx, email, name, node.request_ctx()).await.unwrap();
    }
    request_password_reset_by_link(&node.ctx, " Ada@Example.org", "ADA", node.request_ctx()).await.unwrap();
    let token = node.token(0).await;
    // A link issued with a device secret needs it, and a link issued without one accepts none.
    assert!(matches!(node.reset(&token, Some("")).await, Err(Error::InvalidLink(LinkKind::PasswordReset))));
    let secret = request_password_reset(&node.ctx, EMAIL, LinkTokenFormat::Signed, node.request_ctx()).await.unwrap();
    let token_with_secret = node.token(1).await;
    assert!(matches!(node.reset(&token_with_secret, None).await, Err(Error::InvalidLink(LinkKind::PasswordReset))));
    assert!(matches!(node.reset(&token, Some(&secret)).await, Err(Error::InvalidLink(LinkKind::PasswordReset))));
    assert_eq!(node.mails().len(), 2, "one mail per kind, and none for a mismatch");
    node.reset(&token, None).await.unwrap();
    assert!(matches!(node.reset(&token, None).await, Err(Error::InvalidLink(LinkKind::PasswordReset))));
    assert!(
        matches!(node.reset(&token_with_secret, Some(&secret)).await, Err(Error::InvalidLink(LinkKind::PasswordReset))),
        "the link was issued before the password was changed"
    );
}

#[tokio::test]
async fn full_hashing_queue_does_not_consume_the_reset_link() {
    let node = node_with(|config| config.passwords.deadline = Duration::ZERO).await;
    let (token, secret) = node.request_magic_link(0).await;
    redeem_with_code(&node.ctx, &token, &secret, None, node.request_ctx()).await.unwrap();
    let secret = request_password_reset(&node.ctx, EMAIL, LinkTokenFormat::Signed, node.request_ctx()).await.unwrap();
    let token = node.token(1).await;
    for _ in 0..8 {
        assert!(matches!(node.reset(&token, Some(&secret)).await, Err(Error::Overloaded)));
    }
}
