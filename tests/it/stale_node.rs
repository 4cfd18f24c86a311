//! Operations on a node that has not yet learned of changes made elsewhere: one embedded node with a manual clock, and
//! changes made directly in its stores.

use std::time::Duration;

use signet::auth::Error;
use signet::auth::accounts::create;
use signet::auth::accounts::create::create_user;
use signet::auth::accounts::delete::delete_user;
use signet::auth::api_keys;
use signet::auth::api_keys::NewApiKey;
use signet::auth::audit::Origin;
use signet::auth::context::Context;
use signet::auth::identity::Email;
use signet::auth::request_context::{ExtraClaims, RequestContext};
use signet::auth::revocation::durable::{reapply, reapply_after_failover};
use signet::auth::revocation::stream::catch_up;
use signet::auth::sessions::list::list_sessions;
use signet::auth::sessions::refresh::refresh;
use signet::auth::sessions::sign_out::sign_out;
use signet::auth::sessions::tokens::TokenPair;
use signet::auth::sign_in::mailed_code;
use signet::auth::sign_in::open_session::open_session;
use signet::auth::tokens::caller::authenticate;
use signet::auth::tokens::client_credentials::issue_for_api_key;
use signet::auth::tokens::introspect::{Introspection, introspect_in_dialect};
use signet::auth::tokens::revoke::revoke;
use signet::auth::tokens::verify::{Requirements, VerifyError, flush_api_key_usage, verify, verify_access_token};
use signet::clock::{Clock, Timestamp};
use signet::config::{Config, WhenStale};
use signet::id::ApiKeyId;
use signet::node::build;
use signet::node::stores::Stores;
use signet::store::accounts::{ApiKey, Changes, Find, PasswordHash, User};
use signet::store::ephemeral::{Cursor, SignOutScope, Target};

use crate::conformance::Follow;
use crate::support::fleet::{STORE_TIMEOUT, native_request};
use crate::support::outbox::mails_in;
use crate::support::until;

const START: Timestamp = Timestamp::from_secs(1_763_130_320);
const SECOND: Duration = Duration::from_secs(1);

struct Node {
    ctx: Context,
    clock: Clock,
    user: User,
    key: NewApiKey,
    data: tempfile::TempDir,
}

/// A node that refuses while stale, with a user and an API key.
async fn node() -> Node {
    let data = tempfile::tempdir().unwrap();
    let mut config = Config { data_dir: data.path().to_owned(), ..Config::default() };
    config.embedded.timeout = STORE_TIMEOUT;
    config.revocation.when_stale = WhenStale::Refuse;
    let clock = Clock::manual(START);
    let stores = Stores::open(&config, &clock).await.unwrap();
    let ctx = build::build_context(config, clock.clone(), &stores, &[]).await.unwrap();
    catch_up(&ctx).await.unwrap();
    let new_user = create::CreateUser { email: "ada@example.org".to_owned(), ..Default::default() };
    let user = create_user(&ctx, new_user).await.unwrap();
    let project = ctx.accounts.projects(user.id).await.unwrap()[0].0;
    let name = "a key".to_owned();
    let new_key = api_keys::CreateApiKey {
        user: user.id,
        project,
        name,
        scopes: vec!["read".to_owned()],
        expires_at: None,
        owner_valid_after: user.sessions_valid_after,
    };
    let key = api_keys::create(&ctx, new_key, Origin::process()).await.unwrap().1;
    Node { ctx, clock, user, key, data }
}

impl Node {
    async fn token(&self) -> String {
        issue_for_api_key(&self.ctx, self.key.reveal(), None, native_request(&self.ctx)).await.unwrap().access
    }

    /// When the key was last used, by its row.
    async fn last_used_at(&self) -> Option<Timestamp> {
        let (row, _) = self.ctx.accounts.api_key(self.key.prefix()).await.unwrap().unwrap();
        row.last_used_at
    }

    /// Advances the clock and marks the revocations as fresh, without reading them.
    fn advance_fresh(&self, span: Duration) {
        self.clock.advance(span);
        self.ctx.node.revocations.mark_fresh(self.ctx.node.clock.monotonic());
    }

    /// Changes the stores like disabling the user on another node.
    async fn disable_elsewhere(&self) {
        let now = self.ctx.now();
        let disabled = Changes { disabled: Some(true), ..Changes::default() };
        self.ctx.accounts.change_user(self.user.id, &disabled, now).await.unwrap();
        let until = now + self.ctx.node.retention.revocation_ttl();
        self.ctx.ephemeral.end_sessions(self.user.id, SignOutScope::All, None, until, now).await.unwrap();
    }
}

#[tokio::test]
async fn token_issued_after_an_unseen_disabling_is_revoked() {
    let node = node().await;
    node.token().await;
    node.clock.advance(SECOND);
    node.disable_elsewhere().await;
    node.advance_fresh(30 * SECOND);
    let late_token = node.token().await;
    assert!(verify_access_token(&node.ctx, &late_token).is_ok(), "the node does not know of it yet");
    catch_up(&node.ctx).await.unwrap();
    assert_eq!(verify_access_token(&node.ctx, &late_token).err(), Some(VerifyError::Revoked));
    // It stays revoked until it expires.
    node.advance_fresh(899 * SECOND);
    node.ctx.node.revocations.remove_expired(node.ctx.now());
    assert_eq!(verify_access_token(&node.ctx, &late_token).err(), Some(VerifyError::Revoked));
}

#[tokio::test]
async fn stale_node_refuses_to_revoke() {
    let node = node().await;
    let token = node.token().await;
    node.clock.advance(node.ctx.node.config.revocation.stale_after + SECOND);
    assert!(matches!(revoke(&node.ctx, &token, Origin::process()).await, Err(Error::Stale)));
    catch_up(&node.ctx).await.unwrap();
    assert!(verify_access_token(&node.ctx, &token).is_ok());
    revoke(&node.ctx, &token, Origin::process()).await.unwrap();
    assert_eq!(verify_access_token(&node.ctx, &token).err(), Some(VerifyError::Revoked));
}

#[tokio::test]
async fn stale_node_does_not_trust_cached_api_keys() {
    let node = node().await;
    node.token().await;
    node.disable_elsewhere().await;
    let verify_key = || verify(&node.ctx, node.key.reveal(), Requirements::default());
    assert!(verify_key().await.is_ok(), "the node does not know of it yet");
    node.clock.advance(node.ctx.node.config.revocation.stale_after + SECOND);
    assert!(matches!(verify_key().await, Err(Error::InvalidToken(VerifyError::UnknownKey))));
}

#[tokio::test]
async fn deleted_users_credentials_are_rejected() {
    let node = node().await;
    let token = node.token().await;
    delete_user(&node.ctx, node.user.id, Origin::process()).await.unwrap();
    assert_eq!(verify_access_token(&node.ctx, &token).err(), Some(VerifyError::Revoked));
    let verify_key = verify(&node.ctx, node.key.reveal(), Requirements::default()).await;
    assert!(matches!(verify_key, Err(Error::InvalidToken(VerifyError::UnknownKey))));
    assert!(matches!(delete_user(&node.ctx, node.user.id, Origin::process()).await, Err(Error::NotFound)));
}

/// Opens a session without a password.
async fn open_native_session(node: &Node) -> TokenPair {
    let user = node.ctx.accounts.user(Find::Id(node.user.id)).await.unwrap().unwrap();
    let request_ctx = request_ctx(&node.ctx.node.config.api.native);
    open_session(&node.ctx, &user, None, request_ctx).await.unwrap()
}

fn request_ctx(dialect_config: &signet::config::Dialect) -> RequestContext<'_> {
    let address = std::net::IpAddr::from([127, 0, 0, 1]);
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

/// An access token of the user, who is a superuser from now on.
async fn superuser_token(node: &Node) -> String {
    let superuser = Changes { superuser: Some(true), ..Changes::default() };
    node.ctx.accounts.change_user(node.user.id, &superuser, node.ctx.now()).await.unwrap();
    open_native_session(node).await.access_token
}

/// The owner has set a new password on another node: the session may be that of a thief.
#[tokio::test]
async fn row_ends_the_session_of_a_superuser_before_the_revocation() {
    let node = node().await;
    let access = superuser_token(&node).await;
    let require = async || authenticate(&node.ctx, Some(&access)).await.unwrap().require_superuser(&node.ctx).await;
    require().await.unwrap();
    node.ctx.accounts.end_sign_ins(node.user.id, node.ctx.now()).await.unwrap();
    assert!(verify_access_token(&node.ctx, &access).is_ok(), "the node does not know of it yet");
    assert!(matches!(require().await, Err(Error::InvalidToken(VerifyError::Revoked))));
}

#[tokio::test]
async fn sign_in_by_a_clock_that_was_ahead_is_not_recent() {
    let node = node().await;
    let ahead = 3600 * SECOND;
    node.advance_fresh(ahead);
    let access = superuser_token(&node).await;
    let require =
        async || authenticate(&node.ctx, Some(&access)).await.unwrap().require_recent_superuser(&node.ctx).await;
    require().await.unwrap();
    node.clock.set_back(ahead);
    assert!(matches!(require().await, Err(Error::RecentSignInRequired)));
}

async fn try_refresh(node: &Node, tokens: &TokenPair) -> Result<TokenPair, Error> {
    let dialect_config = node.ctx.node.config.api.native.clone();
    refresh(&node.ctx, &tokens.refresh_token, None, request_ctx(&dialect_config)).await
}

/// Asserts that a session is refused that the row records as ended but that the store still has, as after a failover.
async fn assert_ended(node: &Node, tokens: &TokenPair) {
    assert_eq!(verify_access_token(&node.ctx, &tokens.access_token).err(), Some(VerifyError::Revoked));
    let dialect_config = node.ctx.node.config.api.native.clone();
    let introspection = introspect_in_dialect(&node.ctx, &tokens.refresh_token, request_ctx(&dialect_config)).await;
    assert!(matches!(introspection.unwrap(), Introspection::Inactive));
    assert!(
        list_sessions(&node.ctx, node.user.id).await.unwrap().iter().all(|session| session.id != tokens.session.id)
    );
    let (user, session) = (node.user.id, tokens.session.id);
    assert!(node.ctx.ephemeral.session(user, session, node.ctx.now()).await.unwrap().is_some());
    assert!(matches!(try_refresh(node, tokens).await, Err(Error::InvalidRefreshToken)));
    assert_eq!(node.ctx.ephemeral.session(user, session, node.ctx.now()).await.unwrap(), None);
}

#[tokio::test]
async fn sessions_ended_in_the_row_are_refused() {
    let node = node().await;
    reapply(&node.ctx).await.unwrap();
    let (old, spare) = (open_native_session(&node).await, open_native_session(&node).await);
    let now = node.clock.now();
    let password = Changes { password_hash: Some(PasswordHash("new".to_owned())), ..Changes::default() };
    node.ctx.accounts.change_user(node.user.id, &password, now).await.unwrap();
    // Opened at the time of the change, and refreshed by a node that has not read the row yet.
    let new = open_native_session(&node).await;
    node.advance_fresh(SECOND);
    let old = try_refresh(&node, &old).await.unwrap();

    node.advance_fresh(59 * SECOND);
    reapply(&node.ctx).await.unwrap();
    assert_ended(&node, &old).await;
    assert!(verify_access_token(&node.ctx, &new.access_token).is_ok());
    let new = try_refresh(&node, &new).await.unwrap();
    assert!(verify_access_token(&node.ctx, &new.access_token).is_ok());
    assert_eq!(list_sessions(&node.ctx, node.user.id).await.unwrap().len(), 1);

    // The revocation is kept for as long as the session could be refreshed, and no longer.
    let native = &node.ctx.node.config.api.native;
    node.advance_fresh(native.idle - 2 * 60 * SECOND);
    node.ctx.node.revocations.remove_expired(node.ctx.now());
    assert!(matches!(try_refresh(&node, &spare).await, Err(Error::InvalidRefreshToken)));
    node.advance_fresh(native.absolute);
    node.ctx.node.revocations.remove_expired(node.ctx.now());
    assert_eq!(node.ctx.node.revocations.count(), 0);
    reapply(&node.ctx).await.unwrap();
    assert_eq!(node.ctx.node.revocations.count(), 0);
}

#[tokio::test]
async fn row_from_a_clock_ahead_ends_no_later_session() {
    let node = node().await;
    let old = open_native_session(&node).await;
    let ahead = node.clock.now() + 3600 * SECOND;
    node.ctx.accounts.end_sign_ins(node.user.id, ahead).await.unwrap();
    reapply(&node.ctx).await.unwrap();
    assert_ended(&node, &old).await;
    let new = open_native_session(&node).await;
    assert!(verify_access_token(&node.ctx, &new.access_token).is_ok());
    node.advance_fresh(SECOND);
    let new = try_refresh(&node, &new).await.unwrap();
    // A later sign-out ends it.
    sign_out(&node.ctx, node.user.id, SignOutScope::All, Origin::process()).await.unwrap();
    assert_eq!(verify_access_token(&node.ctx, &new.access_token).err(), Some(VerifyError::Revoked));
    assert!(matches!(try_refresh(&node, &new).await, Err(Error::InvalidRefreshToken)));
}

#[tokio::test]
async fn late_write_by_a_slower_clock_is_read() {
    let node = node().await;
    let old = open_native_session(&node).await;
    node.advance_fresh(3600 * SECOND);
    reapply(&node.ctx).await.unwrap();
    node.ctx.accounts.delete_user(node.user.id, None, node.clock.now() - 60 * SECOND, START).await.unwrap();
    node.advance_fresh(60 * SECOND);
    reapply(&node.ctx).await.unwrap();
    assert!(matches!(try_refresh(&node, &old).await, Err(Error::InvalidRefreshToken)));
}

#[tokio::test]
async fn revocation_read_before_a_failure_is_published() {
    let node = node().await;
    reapply(&node.ctx).await.unwrap();
    node.advance_fresh(SECOND);
    let ended = node.ctx.accounts.end_sign_ins(node.user.id, node.clock.now()).await.unwrap().unwrap();
    // The users can be read, and the API keys that are read after them cannot.
    let database = rusqlite::Connection::open(node.data.path().join("signet.db")).unwrap();
    database.execute_batch("ALTER TABLE api_keys RENAME TO hidden").unwrap();
    reapply_after_failover(&node.ctx).await;
    database.execute_batch("ALTER TABLE hidden RENAME TO api_keys").unwrap();
    reapply_after_failover(&node.ctx).await;
    let expected = Target::User { user: node.user.id, before: ended.sessions_valid_after };
    let (published, _) = node.ctx.ephemeral.follow(&Cursor::start(), Duration::ZERO).await.unwrap();
    assert!(published.iter().any(|revocation| revocation.target == expected));
}

#[tokio::test]
async fn last_use_of_keys_is_written_in_batches() {
    let node = node().await;
    let last_used_at = || node.last_used_at();
    for _ in 0..3 {
        verify(&node.ctx, node.key.reveal(), Requirements::default()).await.unwrap();
        node.advance_fresh(SECOND);
    }
    assert_eq!(last_used_at().await, None, "a request does not write it");
    flush_api_key_usage(&node.ctx).await;
    assert_eq!(last_used_at().await, Some(START + 2 * SECOND));
    flush_api_key_usage(&node.ctx).await;
    assert_eq!(last_used_at().await, Some(START + 2 * SECOND), "nothing is written without a use");
}

#[tokio::test]
async fn last_use_is_kept_while_it_cannot_be_written() {
    let node = node().await;
    verify(&node.ctx, node.key.reveal(), Requirements::default()).await.unwrap();
    let database = rusqlite::Connection::open(node.data.path().join("signet.db")).unwrap();
    database.execute_batch("ALTER TABLE api_keys RENAME TO hidden").unwrap();
    flush_api_key_usage(&node.ctx).await;
    database.execute_batch("ALTER TABLE hidden RENAME TO api_keys").unwrap();
    assert_eq!(node.last_used_at().await, None);
    flush_api_key_usage(&node.ctx).await;
    assert_eq!(node.last_used_at().await, Some(START));
}

#[tokio::test]
async fn last_use_of_more_keys_than_a_batch_has_is_written() {
    let node = node().await;
    let (ctx, rng) = (&node.ctx, &node.ctx.node.rng);
    let (first, _) = ctx.accounts.api_key(node.key.prefix()).await.unwrap().unwrap();
    for _ in 0..1001 {
        let key = NewApiKey::generate(rng);
        let (id, prefix, digest) = (ApiKeyId::new(START, rng), key.prefix().to_owned(), key.digest());
        assert!(ctx.accounts.create_api_key(&ApiKey { id, prefix, digest, ..first.clone() }, None).await.unwrap());
        verify(ctx, key.reveal(), Requirements::default()).await.unwrap();
    }
    flush_api_key_usage(ctx).await;
    let (keys, _) = ctx.accounts.api_keys(first.project, 0, 2000).await.unwrap();
    assert_eq!(keys.iter().filter(|key| key.last_used_at == Some(START)).count(), 1001);
}

#[tokio::test]
async fn mailed_code_is_valid_until_its_stated_expiry() {
    let node = node().await;
    let dialect_config = node.ctx.node.config.api.unturned.clone();
    let email = Email::parse(&node.user.email).unwrap();
    // A notice of the first sign-in may arrive at any time.
    let codes = || {
        let mut mails = mails_in(node.data.path(), &node.user.email);
        mails.retain(|mail| mail.header("subject").bytes().filter(u8::is_ascii_digit).count() == 6);
        mails
    };
    for (margin, expected) in [(SECOND, true), (Duration::ZERO, false)] {
        let before = codes().len();
        let lifetime = mailed_code::send_code(&node.ctx, &email, request_ctx(&dialect_config)).await.unwrap();
        until("the mail arrives", async || codes().len() > before).await;
        node.advance_fresh(lifetime - margin);
        let code = codes()[before].code();
        let result = mailed_code::sign_in_with_code(&node.ctx, &email, &code, None, request_ctx(&dialect_config)).await;
        match expected {
            true => assert_eq!(result.ok().map(|tokens| tokens.session.user), Some(node.user.id)),
            false => assert!(matches!(result.err(), Some(Error::InvalidCode))),
        }
    }
}
