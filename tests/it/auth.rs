//! Operations on a node that has not heard yet what others did: one embedded node with a clock of its own, and changes made
//! behind its back, in its stores.

use std::time::Duration;

use signet::auth::Failure;
use signet::auth::accounts::create;
use signet::auth::accounts::create::create_user;
use signet::auth::accounts::delete::delete_user;
use signet::auth::accounts::identity::Email;
use signet::auth::api_keys;
use signet::auth::api_keys::{NewKey, note_usage};
use signet::auth::context::Context;
use signet::auth::revocation::durable::recall;
use signet::auth::revocation::feed::catch_up;
use signet::auth::sessions::list::sessions;
use signet::auth::sessions::open::{Door, Pair, Says, open_session};
use signet::auth::sessions::refresh::{Then, refresh};
use signet::auth::sessions::sign_out::sign_out;
use signet::auth::sign_in::mailed_code;
use signet::auth::tokens::client_credentials::exchange;
use signet::auth::tokens::introspect::{Introspected, introspect};
use signet::auth::tokens::revoke::revoke;
use signet::auth::tokens::verify::{Demand, Reason, access_token, verify};
use signet::clock::{Clock, Timestamp};
use signet::config::{Config, WhenStale};
use signet::node::build;
use signet::node::stores::Stores;
use signet::store::accounts::{Changes, Find, PasswordHash, User};
use signet::store::ephemeral::Which;

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
    let ctx = build::ctx(config, clock.clone(), &stores, &[]).await.unwrap();
    catch_up(&ctx).await.unwrap();
    let wanted = create::Wanted { email: "ada@example.org".to_owned(), ..Default::default() };
    let user = create_user(&ctx, wanted, ctx.node.password_policy).await.unwrap();
    let project = ctx.accounts.projects(user.id).await.unwrap()[0].0;
    let name = "a key".to_owned();
    let wanted = api_keys::Wanted { user: user.id, project, name, scopes: vec!["read".to_owned()], expires_at: None };
    let key = api_keys::create(&ctx, wanted).await.unwrap().1;
    Node { ctx, clock, user, key, data }
}

impl Node {
    async fn token(&self) -> String {
        exchange(&self.ctx, self.key.reveal(), None, 900 * SECOND).await.unwrap().access
    }

    /// Later, and with word from the store, though not of everything.
    fn later(&self, span: Duration) {
        self.clock.advance(span);
        self.ctx.node.revocations.hear(self.ctx.node.clock.running());
    }

    /// What disabling the user on another node does to the stores.
    async fn disable_elsewhere(&self) {
        let now = self.ctx.now();
        let disabled = Changes { disabled: Some(true), ..Changes::default() };
        self.ctx.accounts.change_user(self.user.id, &disabled, now).await.unwrap();
        let until = now + self.ctx.node.remember();
        self.ctx.ephemeral.end_sessions(self.user.id, Which::All, None, until, now).await.unwrap();
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
    assert!(access_token(&node.ctx, &late).is_ok(), "nothing was heard of it yet");
    catch_up(&node.ctx).await.unwrap();
    assert_eq!(access_token(&node.ctx, &late).err(), Some(Reason::Revoked));
    // And for as long as it lives.
    node.later(899 * SECOND);
    node.ctx.node.revocations.forget(node.ctx.now());
    assert_eq!(access_token(&node.ctx, &late).err(), Some(Reason::Revoked));
}

#[tokio::test]
async fn a_node_that_is_behind_revokes_nothing_and_says_so() {
    let node = node().await;
    let token = node.token().await;
    node.clock.advance(node.ctx.node.config.revocation.stale_after + SECOND);
    assert!(matches!(revoke(&node.ctx, &token).await, Err(Failure::Behind)));
    catch_up(&node.ctx).await.unwrap();
    assert!(access_token(&node.ctx, &token).is_ok());
    revoke(&node.ctx, &token).await.unwrap();
    assert_eq!(access_token(&node.ctx, &token).err(), Some(Reason::Revoked));
}

#[tokio::test]
async fn a_node_that_is_behind_believes_no_api_key_from_memory() {
    let node = node().await;
    node.token().await;
    node.disable_elsewhere().await;
    let known = || verify(&node.ctx, node.key.reveal(), Demand::default());
    assert!(known().await.is_ok(), "nothing was heard yet");
    node.clock.advance(node.ctx.node.config.revocation.stale_after + SECOND);
    assert!(matches!(known().await, Err(Failure::BadCredentials(Reason::UnknownKey))));
}

#[tokio::test]
async fn a_deleted_user_leaves_nothing_that_works() {
    let node = node().await;
    let token = node.token().await;
    delete_user(&node.ctx, node.user.id).await.unwrap();
    assert_eq!(access_token(&node.ctx, &token).err(), Some(Reason::Revoked));
    let known = verify(&node.ctx, node.key.reveal(), Demand::default()).await;
    assert!(matches!(known, Err(Failure::BadCredentials(Reason::UnknownKey))));
    assert!(matches!(delete_user(&node.ctx, node.user.id).await, Err(Failure::Absent)));
}

/// A way in without a password: what is tried here comes after it.
async fn signed_in(node: &Node) -> Pair {
    let user = node.ctx.accounts.user(Find::Id(node.user.id)).await.unwrap().unwrap();
    let door = door(&node.ctx.node.config.api.native);
    open_session(&node.ctx, &user, None, door).await.unwrap()
}

fn door(lives: &signet::config::Dialect) -> Door<'_> {
    let address = std::net::IpAddr::from([127, 0, 0, 1]);
    Door { dialect: "native", lives, address, counted_by: address, agent: None, language: None, says: Says::Nothing }
}

async fn refreshed(node: &Node, pair: &Pair) -> Result<Pair, Failure> {
    let lives = node.ctx.node.config.api.native.clone();
    refresh(&node.ctx, &pair.refresh, None, Then::Rotate, door(&lives)).await
}

/// What a failover leaves behind: the row says that the sessions were ended, and they are there.
async fn assert_over(node: &Node, pair: &Pair) {
    assert_eq!(access_token(&node.ctx, &pair.access).err(), Some(Reason::Revoked));
    assert!(matches!(introspect(&node.ctx, &pair.refresh).await.unwrap(), Introspected::Inactive));
    assert!(sessions(&node.ctx, node.user.id).await.unwrap().iter().all(|session| session.id != pair.session.id));
    let (user, session) = (node.user.id, pair.session.id);
    assert!(node.ctx.ephemeral.session(user, session, node.ctx.now()).await.unwrap().is_some());
    assert!(matches!(refreshed(node, pair).await, Err(Failure::RefreshNotInForce)));
    assert_eq!(node.ctx.ephemeral.session(user, session, node.ctx.now()).await.unwrap(), None);
}

#[tokio::test]
async fn what_the_row_ended_is_over_though_the_sessions_are_there() {
    let node = node().await;
    recall(&node.ctx).await.unwrap();
    let (old, spare) = (signed_in(&node).await, signed_in(&node).await);
    let now = node.clock.now();
    let password = Changes { password_hash: Some(PasswordHash("new".to_owned())), ..Changes::default() };
    node.ctx.accounts.change_user(node.user.id, &password, now).await.unwrap();
    // At the very moment of the change, and refreshed by a node that has not read the row yet.
    let new = signed_in(&node).await;
    node.later(SECOND);
    let old = refreshed(&node, &old).await.unwrap();

    node.later(59 * SECOND);
    recall(&node.ctx).await.unwrap();
    assert_over(&node, &old).await;
    assert!(access_token(&node.ctx, &new.access).is_ok());
    let new = refreshed(&node, &new).await.unwrap();
    assert!(access_token(&node.ctx, &new.access).is_ok());
    assert_eq!(sessions(&node.ctx, node.user.id).await.unwrap().len(), 1);

    // For as long as it could be refreshed, and no longer.
    let native = &node.ctx.node.config.api.native;
    node.later(native.idle - 2 * 60 * SECOND);
    node.ctx.node.revocations.forget(node.ctx.now());
    assert!(matches!(refreshed(&node, &spare).await, Err(Failure::RefreshNotInForce)));
    node.later(native.absolute);
    node.ctx.node.revocations.forget(node.ctx.now());
    assert_eq!(node.ctx.node.revocations.remembered(), 0);
    recall(&node.ctx).await.unwrap();
    assert_eq!(node.ctx.node.revocations.remembered(), 0);
}

#[tokio::test]
async fn a_row_whose_clock_was_ahead_ends_nothing_that_comes_after() {
    let node = node().await;
    let old = signed_in(&node).await;
    let ahead = node.clock.now() + 3600 * SECOND;
    node.ctx.accounts.end_sign_ins(node.user.id, ahead).await.unwrap();
    recall(&node.ctx).await.unwrap();
    assert_over(&node, &old).await;
    let new = signed_in(&node).await;
    assert!(access_token(&node.ctx, &new.access).is_ok());
    node.later(SECOND);
    let new = refreshed(&node, &new).await.unwrap();
    // And is reached by the next.
    sign_out(&node.ctx, node.user.id, Which::All).await.unwrap();
    assert_eq!(access_token(&node.ctx, &new.access).err(), Some(Reason::Revoked));
    assert!(matches!(refreshed(&node, &new).await, Err(Failure::RefreshNotInForce)));
}

#[tokio::test]
async fn what_is_written_late_by_a_slower_clock_is_read_too() {
    let node = node().await;
    let old = signed_in(&node).await;
    node.later(3600 * SECOND);
    recall(&node.ctx).await.unwrap();
    node.ctx.accounts.delete_user(node.user.id, node.clock.now() - 60 * SECOND, START).await.unwrap();
    node.later(60 * SECOND);
    recall(&node.ctx).await.unwrap();
    assert!(matches!(refreshed(&node, &old).await, Err(Failure::RefreshNotInForce)));
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
    let email = Email::read(&node.user.email).unwrap();
    for (early, expected) in [(SECOND, true), (Duration::ZERO, false)] {
        let before = mails_in(node.data.path(), &node.user.email).len();
        let good = mailed_code::send(&node.ctx, &email, door(&lives)).await.unwrap();
        let mut mails = Vec::new();
        until("the mail comes", async || {
            mails = mails_in(node.data.path(), &node.user.email);
            mails.len() > before
        })
        .await;
        node.later(good - early);
        let code = mails[before].code();
        let entered = mailed_code::sign_in_with_code(&node.ctx, &email, &code, None, door(&lives)).await;
        match expected {
            true => assert_eq!(entered.ok().map(|pair| pair.session.user), Some(node.user.id)),
            false => assert!(matches!(entered.err(), Some(Failure::CodeNotInForce))),
        }
    }
}
