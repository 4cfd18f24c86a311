//! The operations behind the calls, with the clock in hand: what is over when, and what is left as it was.

use std::path::Path;
use std::time::Duration;

use signet::auth::Error;
use signet::auth::User;
use signet::auth::accounts::create;
use signet::auth::context::Context;
use signet::auth::error::{LinkKind, MfaError};
use signet::auth::mfa;
use signet::auth::mfa::enable;
use signet::auth::passwords::request_reset::{request_password_reset, request_password_reset_by_link};
use signet::auth::passwords::reset::reset_password;
use signet::auth::passwords::{Password, Policy};
use signet::auth::request_context::{ExtraClaims, RequestContext};
use signet::auth::sign_in::login_step::LoginStep;
use signet::auth::sign_in::magic_link;
use signet::auth::sign_in::magic_link::{redeem, redeem_with_code};
use signet::auth::sign_in::password::start_sign_in;
use signet::clock::{Clock, Timestamp};
use signet::config::Config;
use signet::node::build;
use signet::node::stores::Stores;
use signet::store::accounts::Find;

use super::OTHER;
use crate::support::outbox::Mail;
use crate::support::server::PASSWORD;
use crate::support::totp::{code_at, wrong_code_at};
use crate::support::until;

const START: Timestamp = Timestamp::from_secs(1_763_130_320);
const MINUTE: Duration = Duration::from_secs(60);
const MILLISECOND: Duration = Duration::from_millis(1);
const EMAIL: &str = "ada@example.org";

struct Node {
    ctx: Context,
    clock: Clock,
    data: tempfile::TempDir,
}

/// A node with one user, whose password is everybody's.
async fn node() -> Node {
    let node = empty(|_| {}).await;
    let wanted = create::CreateUser {
        email: EMAIL.to_owned(),
        username: Some("Ada".to_owned()),
        password: Some(password(PASSWORD)),
        ..Default::default()
    };
    create::create_user(&node.ctx, wanted, node.ctx.node.password_policy).await.unwrap();
    node
}

async fn empty(change: impl FnOnce(&mut Config)) -> Node {
    let data = tempfile::tempdir().unwrap();
    let mut config = Config { data_dir: data.path().to_owned(), ..Config::default() };
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
        let lives = &self.ctx.node.config.api.myauth;
        let says = ExtraClaims::None;
        RequestContext {
            dialect: "myauth",
            dialect_config: lives,
            client_ip: address,
            rate_limit_ip: address,
            user_agent: None,
            language: None,
            extra_claims: says,
        }
    }

    fn policy(&self) -> Policy {
        self.ctx.node.password_policy
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

    /// The token of the mail after the first `before`.
    async fn token(&self, before: usize) -> String {
        until("the mail is there", async || self.mails().len() > before).await;
        self.mails()[before].token()
    }

    async fn magic(&self, before: usize) -> (String, String) {
        let half = magic_link::request_link(&self.ctx, EMAIL, self.request_ctx()).await.unwrap();
        (self.token(before).await, half)
    }

    async fn reset(&self, token: &str, half: Option<&str>) -> Result<(), Error> {
        reset_password(&self.ctx, token, half, &password(OTHER), self.policy(), self.request_ctx()).await
    }

    /// Turns the user's second factor on; its secret.
    async fn guard(&self) -> String {
        let key = mfa::start_enrollment(&self.ctx, &self.user().await).await.unwrap().key;
        let code = code_at(&key, self.clock.now().secs());
        enable(&self.ctx, &self.user().await, Some(&password(PASSWORD)), &code, self.request_ctx()).await.unwrap();
        key
    }
}

#[tokio::test]
async fn a_magic_link_is_over_after_its_time() {
    let node = node().await;
    let (token, half) = node.magic(0).await;
    let (late_token, late_half) = node.magic(1).await;
    node.clock.advance(15 * MINUTE - Duration::from_secs(1));
    assert!(matches!(redeem(&node.ctx, &token, &half, node.request_ctx()).await, Ok(LoginStep::Complete(_))));
    node.clock.advance(Duration::from_secs(1));
    let late = redeem(&node.ctx, &late_token, &late_half, node.request_ctx()).await;
    assert!(matches!(late, Err(Error::InvalidLink(LinkKind::MagicLink))));
}

#[tokio::test]
async fn a_reset_is_over_after_its_time() {
    let node = node().await;
    let half = request_password_reset(&node.ctx, EMAIL, node.request_ctx()).await.unwrap();
    let token = node.token(0).await;
    node.clock.advance(60 * MINUTE);
    assert!(matches!(node.reset(&token, Some(&half)).await, Err(Error::InvalidLink(LinkKind::PasswordReset))));
    let half = request_password_reset(&node.ctx, EMAIL, node.request_ctx()).await.unwrap();
    let token = node.token(1).await;
    node.clock.advance(60 * MINUTE - Duration::from_secs(1));
    node.reset(&token, Some(&half)).await.unwrap();
}

#[tokio::test]
async fn a_second_step_is_taken_within_five_minutes() {
    let node = node().await;
    let key = node.guard().await;
    let due = async || match start_sign_in(&node.ctx, EMAIL, &password(PASSWORD), node.request_ctx()).await {
        Ok(LoginStep::MfaRequired(token)) => token,
        _ => panic!("no second step"),
    };
    let late = due().await;
    node.clock.advance(5 * MINUTE);
    let code = code_at(&key, node.clock.now().secs());
    let answer = signet::auth::sign_in::login_step::complete_login(&node.ctx, &late, &code, node.request_ctx()).await;
    assert!(matches!(answer, Err(Error::InvalidToken(_))));
    let token = due().await;
    assert!(
        signet::auth::sign_in::login_step::complete_login(&node.ctx, &token, &code, node.request_ctx()).await.is_ok()
    );
}

#[tokio::test]
async fn a_secret_is_pending_for_ten_minutes() {
    let node = node().await;
    let user = node.user().await;
    let key = mfa::start_enrollment(&node.ctx, &user).await.unwrap().key;
    node.clock.advance(10 * MINUTE);
    let code = code_at(&key, node.clock.now().secs());
    let late = enable(&node.ctx, &user, Some(&password(PASSWORD)), &code, node.request_ctx()).await;
    assert!(matches!(late, Err(Error::Mfa(MfaError::EnableFailed))));
    let key = mfa::start_enrollment(&node.ctx, &user).await.unwrap().key;
    node.clock.advance(10 * MINUTE - MILLISECOND);
    let code = code_at(&key, node.clock.now().secs());
    assert!(enable(&node.ctx, &user, Some(&password(PASSWORD)), &code, node.request_ctx()).await.is_ok());
}

#[tokio::test]
async fn in_one_step_a_second_factor_that_is_due_or_wrong_uses_nothing_up() {
    let node = node().await;
    let key = node.guard().await;
    until("the notice is there", async || node.mails().len() == 1).await;
    let (token, half) = node.magic(1).await;
    node.clock.advance(MINUTE);
    let now = node.clock.now().secs();
    let at_once = async |half: &str, second: Option<&str>| {
        redeem_with_code(&node.ctx, &token, half, second, node.request_ctx()).await.map(|pair| pair.session.user)
    };
    let (right, wrong) = (code_at(&key, now), wrong_code_at(&key, now));
    // Whoever has not both halves is not asked for a code: it would tell that there is one.
    assert!(matches!(at_once("wrong", None).await, Err(Error::InvalidLink(LinkKind::MagicLink))));
    assert!(matches!(at_once("wrong", Some(&right)).await, Err(Error::InvalidLink(LinkKind::MagicLink))));
    for _ in 0..7 {
        assert!(matches!(at_once(&half, None).await, Err(Error::MfaRequired)));
        assert!(matches!(at_once(&half, Some(&wrong)).await, Err(Error::InvalidMfaCode)));
    }
    assert!(!node.user().await.verified, "not before they are used up");
    assert_eq!(at_once(&half, Some(&right)).await.unwrap(), node.user().await.id);
    assert!(node.user().await.verified);
    assert!(matches!(at_once(&half, Some(&right)).await, Err(Error::InvalidLink(LinkKind::MagicLink))));
}

#[tokio::test]
async fn in_one_step_a_new_address_has_an_account() {
    let node = empty(|_| {}).await;
    let (token, half) = node.magic(0).await;
    assert_eq!(node.ctx.accounts.user(Find::Email(EMAIL)).await.unwrap(), None);
    let pair = redeem_with_code(&node.ctx, &token, &half, None, node.request_ctx()).await.unwrap();
    let user = node.user().await;
    assert_eq!((pair.session.user, user.verified, user.password_hash), (user.id, true, None));
}

#[tokio::test]
async fn a_link_without_a_half_is_for_who_knows_address_and_name() {
    let node = node().await;
    for (email, name) in
        [(EMAIL, "bob"), ("bob@example.org", "ada"), (EMAIL, ""), ("no address", "ada"), (EMAIL, "a b")]
    {
        request_password_reset_by_link(&node.ctx, email, name, node.request_ctx()).await.unwrap();
    }
    request_password_reset_by_link(&node.ctx, " Ada@Example.org", "ADA", node.request_ctx()).await.unwrap();
    let token = node.token(0).await;
    // Each kind in its own way: the half of one is not the lack of one.
    assert!(matches!(node.reset(&token, Some("")).await, Err(Error::InvalidLink(LinkKind::PasswordReset))));
    let half = request_password_reset(&node.ctx, EMAIL, node.request_ctx()).await.unwrap();
    let halved = node.token(1).await;
    assert!(matches!(node.reset(&halved, None).await, Err(Error::InvalidLink(LinkKind::PasswordReset))));
    assert!(matches!(node.reset(&token, Some(&half)).await, Err(Error::InvalidLink(LinkKind::PasswordReset))));
    assert_eq!(node.mails().len(), 2, "one a kind, and none to who did not know both");
    node.reset(&token, None).await.unwrap();
    assert!(matches!(node.reset(&token, None).await, Err(Error::InvalidLink(LinkKind::PasswordReset))));
    assert!(
        matches!(node.reset(&halved, Some(&half)).await, Err(Error::InvalidLink(LinkKind::PasswordReset))),
        "the other link is older"
    );
}

#[tokio::test]
async fn a_full_queue_of_hashes_uses_no_link_up() {
    let node = empty(|config| config.passwords.deadline = Duration::ZERO).await;
    let (token, half) = node.magic(0).await;
    redeem_with_code(&node.ctx, &token, &half, None, node.request_ctx()).await.unwrap();
    let half = request_password_reset(&node.ctx, EMAIL, node.request_ctx()).await.unwrap();
    let token = node.token(1).await;
    for _ in 0..8 {
        assert!(matches!(node.reset(&token, Some(&half)).await, Err(Error::Overloaded)));
    }
}
