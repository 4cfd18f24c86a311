//! Operations on a node that has not heard yet what others did: one embedded node with a clock of its own, and changes made
//! behind its back, in its stores.

use std::time::Duration;

use signet::auth::Error;
use signet::auth::accounts::create;
use signet::auth::accounts::create::create_user;
use signet::auth::accounts::delete::delete_user;
use signet::auth::accounts::identity::Email;
use signet::auth::api_keys;
use signet::auth::api_keys::{NewKey, note_usage};
use signet::auth::context::Context;
use signet::auth::revocation::durable::reapply;
use signet::auth::revocation::feed::catch_up;
use signet::auth::sessions::list::list_sessions;
use signet::auth::sessions::open::{ExtraClaims, RequestContext, TokenPair, open_session};
use signet::auth::sessions::refresh::{RotationPolicy, refresh};
use signet::auth::sessions::sign_out::sign_out;
use signet::auth::sign_in::mailed_code;
use signet::auth::tokens::client_credentials::issue_for_api_key;
use signet::auth::tokens::introspect::{Introspection, introspect};
use signet::auth::tokens::revoke::revoke;
use signet::auth::tokens::verify::{Demand, VerifyError, verify, verify_access_token};
use signet::clock::{Clock, Timestamp};
use signet::config::{Config, WhenStale};
use signet::node::build;
use signet::node::stores::Stores;
use signet::store::accounts::{Changes, Find, PasswordHash, User};
use signet::store::ephemeral::SignOutScope;

use crate::support::outbox::mails_in;
use crate::support::until;

const START: Timestamp = Timestamp::from_secs(1_763_130_320);
const SECOND: Duration = Duration::from_secs(1);

struct Node {
    ctx: Context,
    clock: Clock,
    user: User,
    key: NewKey,
    data: tempfile::TempDir,
}

/// A node that refuses when it is behind, with a user and its API key.
async fn node() -> Node {
    let data = tempfile::tempdir().unwrap();
    let mut config = Config { data_dir: data.path().to_owned(), ..Config::default() };
    config.revocation.when_stale = WhenStale::Refuse;
    let clock = Clock::by_hand(START);
    let stores = Stores::open(&config, &clock).await.unwrap();
    let ctx = build::build_context(config, clock.clone(), &stores, &[]).await.unwrap();
    catch_up(&ctx).await.unwrap();
    let wanted = create::CreateUser { email: "ada@example.org".to_owned(), ..Default::default() };
    let user = create_user(&ctx, wanted, ctx.node.password_policy).await.unwrap();
    let project = ctx.accounts.projects(user.id).await.unwrap()[0].0;
    let name = "a key".to_owned();
    let wanted =
        api_keys::CreateApiKey { user: user.id, project, name, scopes: vec!["read".to_owned()], expires_at: None };
    let key = api_keys::create(&ctx, wanted).await.unwrap().1;
    Node { ctx, clock, user, key, data }
}

impl Node {
    async fn token(&self) -> String {
        issue_for_api_key(&self.ctx, self.key.reveal(), None, 900 * SECOND).await.unwrap().access
    }

    /// Later, and with word from the store, though not of everything.
    fn later(&self, span: Duration) {
        self.clock.advance(span);
        self.ctx.node.revocations.mark_fresh(self.ctx.node.clock.running());
    }

    /// What disabling the user on another node does to the stores.
    async fn disable_elsewhere(&self) {
        let now = self.ctx.now();
        let disabled = Changes { disabled: Some(true), ..Changes::default() };
        self.ctx.accounts.change_user(self.user.id, &disabled, now).await.unwrap();
        let until = now + self.ctx.node.revocation_ttl();
        self.ctx.ephemeral.end_sessions(self.user.id, SignOutScope::All, None, until, now).await.unwrap();
    }
}

#[tokio::test]
async fn a_token_made_for_an_owner_who_is_disabled_by_then_is_revoked_with_the_others() {
    let node = node().await;
    node.token().await;
    node.clock.advance(SECOND);
    node.disable_elsewhere().await;
    node.later(30 * SECOND);
    let late = node.token().await;
    assert!(verify_access_token(&node.ctx, &late).is_ok(), "nothing was heard of it yet");
    catch_up(&node.ctx).await.unwrap();
    assert_eq!(verify_access_token(&node.ctx, &late).err(), Some(VerifyError::Revoked));
    // And for as long as it lives.
    node.later(899 * SECOND);
    node.ctx.node.revocations.remove_expired(node.ctx.now());
    assert_eq!(verify_access_token(&node.ctx, &late).err(), Some(VerifyError::Revoked));
}

#[tokio::test]
async fn a_node_that_is_behind_revokes_nothing_and_says_so() {
    let node = node().await;
    let token = node.token().await;
    node.clock.advance(node.ctx.node.config.revocation.stale_after + SECOND);
    assert!(matches!(revoke(&node.ctx, &token).await, Err(Error::Behind)));
    catch_up(&node.ctx).await.unwrap();
    assert!(verify_access_token(&node.ctx, &token).is_ok());
    revoke(&node.ctx, &token).await.unwrap();
    assert_eq!(verify_access_token(&node.ctx, &token).err(), Some(VerifyError::Revoked));
}

#[tokio::test]
async fn a_node_that_is_behind_believes_no_api_key_from_memory() {
    let node = node().await;
    node.token().await;
    node.disable_elsewhere().await;
    let known = || verify(&node.ctx, node.key.reveal(), Demand::default());
    assert!(known().await.is_ok(), "nothing was heard yet");
    node.clock.advance(node.ctx.node.config.revocation.stale_after + SECOND);
    assert!(matches!(known().await, Err(Error::BadCredentials(VerifyError::UnknownKey))));
}

#[tokio::test]
async fn a_deleted_user_leaves_nothing_that_works() {
    let node = node().await;
    let token = node.token().await;
    delete_user(&node.ctx, node.user.id).await.unwrap();
    assert_eq!(verify_access_token(&node.ctx, &token).err(), Some(VerifyError::Revoked));
    let known = verify(&node.ctx, node.key.reveal(), Demand::default()).await;
    assert!(matches!(known, Err(Error::BadCredentials(VerifyError::UnknownKey))));
    assert!(matches!(delete_user(&node.ctx, node.user.id).await, Err(Error::NotFound)));
}

/// A way in without a password: what is tried here comes after it.
async fn signed_in(node: &Node) -> TokenPair {
    let user = node.ctx.accounts.user(Find::Id(node.user.id)).await.unwrap().unwrap();
    let request_ctx = request_ctx(&node.ctx.node.config.api.native);
    open_session(&node.ctx, &user, None, request_ctx).await.unwrap()
}

fn request_ctx(lives: &signet::config::Dialect) -> RequestContext<'_> {
    let address = std::net::IpAddr::from([127, 0, 0, 1]);
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

async fn refreshed(node: &Node, pair: &TokenPair) -> Result<TokenPair, Error> {
    let lives = node.ctx.node.config.api.native.clone();
    refresh(&node.ctx, &pair.refresh, None, RotationPolicy::Rotate, request_ctx(&lives)).await
}

/// What a failover leaves behind: the row says that the sessions were ended, and they are there.
async fn assert_over(node: &Node, pair: &TokenPair) {
    assert_eq!(verify_access_token(&node.ctx, &pair.access).err(), Some(VerifyError::Revoked));
    assert!(matches!(introspect(&node.ctx, &pair.refresh).await.unwrap(), Introspection::Inactive));
    assert!(list_sessions(&node.ctx, node.user.id).await.unwrap().iter().all(|session| session.id != pair.session.id));
    let (user, session) = (node.user.id, pair.session.id);
    assert!(node.ctx.ephemeral.session(user, session, node.ctx.now()).await.unwrap().is_some());
    assert!(matches!(refreshed(node, pair).await, Err(Error::RefreshNotInForce)));
    assert_eq!(node.ctx.ephemeral.session(user, session, node.ctx.now()).await.unwrap(), None);
}

#[tokio::test]
async fn what_the_row_ended_is_over_though_the_sessions_are_there() {
    let node = node().await;
    reapply(&node.ctx).await.unwrap();
    let (old, spare) = (signed_in(&node).await, signed_in(&node).await);
    let now = node.clock.now();
    let password = Changes { password_hash: Some(PasswordHash("new".to_owned())), ..Changes::default() };
    node.ctx.accounts.change_user(node.user.id, &password, now).await.unwrap();
    // At the very moment of the change, and refreshed by a node that has not read the row yet.
    let new = signed_in(&node).await;
    node.later(SECOND);
    let old = refreshed(&node, &old).await.unwrap();

    node.later(59 * SECOND);
    reapply(&node.ctx).await.unwrap();
    assert_over(&node, &old).await;
    assert!(verify_access_token(&node.ctx, &new.access).is_ok());
    let new = refreshed(&node, &new).await.unwrap();
    assert!(verify_access_token(&node.ctx, &new.access).is_ok());
    assert_eq!(list_sessions(&node.ctx, node.user.id).await.unwrap().len(), 1);

    // For as long as it could be refreshed, and no longer.
    let native = &node.ctx.node.config.api.native;
    node.later(native.idle - 2 * 60 * SECOND);
    node.ctx.node.revocations.remove_expired(node.ctx.now());
    assert!(matches!(refreshed(&node, &spare).await, Err(Error::RefreshNotInForce)));
    node.later(native.absolute);
    node.ctx.node.revocations.remove_expired(node.ctx.now());
    assert_eq!(node.ctx.node.revocations.len(), 0);
    reapply(&node.ctx).await.unwrap();
    assert_eq!(node.ctx.node.revocations.len(), 0);
}

#[tokio::test]
async fn a_row_whose_clock_was_ahead_ends_nothing_that_comes_after() {
    let node = node().await;
    let old = signed_in(&node).await;
    let ahead = node.clock.now() + 3600 * SECOND;
    node.ctx.accounts.end_sign_ins(node.user.id, ahead).await.unwrap();
    reapply(&node.ctx).await.unwrap();
    assert_over(&node, &old).await;
    let new = signed_in(&node).await;
    assert!(verify_access_token(&node.ctx, &new.access).is_ok());
    node.later(SECOND);
    let new = refreshed(&node, &new).await.unwrap();
    // And is reached by the next.
    sign_out(&node.ctx, node.user.id, SignOutScope::All).await.unwrap();
    assert_eq!(verify_access_token(&node.ctx, &new.access).err(), Some(VerifyError::Revoked));
    assert!(matches!(refreshed(&node, &new).await, Err(Error::RefreshNotInForce)));
}

#[tokio::test]
async fn what_is_written_late_by_a_slower_clock_is_read_too() {
    let node = node().await;
    let old = signed_in(&node).await;
    node.later(3600 * SECOND);
    reapply(&node.ctx).await.unwrap();
    node.ctx.accounts.delete_user(node.user.id, node.clock.now() - 60 * SECOND, START).await.unwrap();
    node.later(60 * SECOND);
    reapply(&node.ctx).await.unwrap();
    assert!(matches!(refreshed(&node, &old).await, Err(Error::RefreshNotInForce)));
}

#[tokio::test]
async fn when_a_key_was_used_is_written_for_many_uses_at_once() {
    let node = node().await;
    let used = async || {
        let (row, _) = node.ctx.accounts.api_key(node.key.prefix()).await.unwrap().unwrap();
        row.last_used_at
    };
    for _ in 0..3 {
        verify(&node.ctx, node.key.reveal(), Demand::default()).await.unwrap();
        node.later(SECOND);
    }
    assert_eq!(used().await, None, "nothing is written on a request's own time");
    note_usage(&node.ctx).await;
    assert_eq!(used().await, Some(START + 2 * SECOND));
    note_usage(&node.ctx).await;
    assert_eq!(used().await, Some(START + 2 * SECOND), "and nothing where nothing was used");
}

#[tokio::test]
async fn a_mailed_code_is_good_for_as_long_as_it_was_said() {
    let node = node().await;
    let lives = node.ctx.node.config.api.unturned.clone();
    let email = Email::parse(&node.user.email).unwrap();
    for (early, expected) in [(SECOND, true), (Duration::ZERO, false)] {
        let before = mails_in(node.data.path(), &node.user.email).len();
        let good = mailed_code::send_code(&node.ctx, &email, request_ctx(&lives)).await.unwrap();
        let mut mails = Vec::new();
        until("the mail comes", async || {
            mails = mails_in(node.data.path(), &node.user.email);
            mails.len() > before
        })
        .await;
        node.later(good - early);
        let code = mails[before].code();
        let entered = mailed_code::sign_in_with_code(&node.ctx, &email, &code, None, request_ctx(&lives)).await;
        match expected {
            true => assert_eq!(entered.ok().map(|pair| pair.session.user), Some(node.user.id)),
            false => assert!(matches!(entered.err(), Some(Error::CodeNotInForce))),
        }
    }
}
