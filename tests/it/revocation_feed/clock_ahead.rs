//! A node whose clock is hours ahead of its store's from the start: it removes no revocation that is in force.

use std::time::Duration;

use signet::auth::accounts::create::{CreateUser, create_user};
use signet::auth::accounts::projects::personal_project;
use signet::auth::api_keys;
use signet::auth::audit::Origin;
use signet::auth::context::Context;
use signet::auth::revocation::durable::reapply;
use signet::auth::revocation::responses::snapshot;
use signet::auth::revocation::stream::{catch_up, remove_expired};
use signet::auth::sessions::sign_out::{SignOutScope, sign_out};
use signet::auth::sign_in::open_session::open_session;
use signet::auth::tokens::verify::{VerifyError, verify_access_token};
use signet::clock::Clock;
use signet::store::accounts::User;
use signet::store::ephemeral::Target;

use super::in_process::Publisher;
use super::*;
use crate::support::fleet::{TestFleet, native_request};
use crate::support::{postgres, redis};

/// Longer than a revocation is kept.
const LEAD: Duration = Duration::from_secs(10 * 60 * 60);

/// A fleet whose clock is that of Redis.
async fn fleet_on_time() -> TestFleet {
    TestFleet::at(Clock::system().now(), Some((redis::Server::start(), postgres::Database::create()))).await
}

/// A node that starts with a clock that is ahead.
async fn node_ahead(fleet: &TestFleet) -> Context {
    let ctx = fleet.node_with_clock(Clock::manual(fleet.clock.now() + LEAD), |_| {}).await;
    assert!(LEAD > ctx.node.retention.revocation_ttl());
    ctx
}

async fn user(ctx: &Context) -> User {
    let new_user = CreateUser { email: "ada@example.org".to_owned(), ..CreateUser::default() };
    create_user(ctx, new_user).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_ahead_removes_nothing_in_force() {
    let fleet = fleet_on_time().await;
    let (on_time, ahead) = (fleet.node().await, node_ahead(&fleet).await);
    let user = user(&on_time).await;
    let pair = open_session(&on_time, &user, None, native_request(&on_time)).await.unwrap();
    sign_out(&on_time, user.id, SignOutScope::One(pair.session.id), Origin::process()).await.unwrap();
    catch_up(&ahead).await.unwrap();
    remove_expired(&ahead).await;
    assert!(ahead.node.revocations.contains(&Target::Session(pair.session.id)));
    let started_later = fleet.node().await;
    assert_eq!(verify_access_token(&started_later, &pair.access_token).err(), Some(VerifyError::Revoked));

    // A follower that starts with the snapshot of this node.
    let publisher = Publisher::of(ahead).await;
    let frames = payloads(std::str::from_utf8(&snapshot(&publisher.ctx).await.unwrap().body).unwrap());
    assert!(revoked(&frames[0]).contains(&hash(&pair.session.id.to_string())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_ahead_removes_what_is_expired() {
    let fleet = fleet_on_time().await;
    // The revocation is old by every clock.
    let early = fleet.node_with_clock(Clock::manual(fleet.clock.now() - LEAD), |_| {}).await;
    let user = user(&early).await;
    let pair = open_session(&early, &user, None, native_request(&early)).await.unwrap();
    sign_out(&early, user.id, SignOutScope::One(pair.session.id), Origin::process()).await.unwrap();
    let ahead = node_ahead(&fleet).await;
    let target = Target::Session(pair.session.id);
    assert!(ahead.node.revocations.contains(&target));
    remove_expired(&ahead).await;
    assert!(!ahead.node.revocations.contains(&target));
    assert!(!fleet.node().await.node.revocations.contains(&target));
}

/// Redis has lost the revocation, so that only the row has it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_ahead_reads_the_rows_of_what_is_in_force() {
    let fleet = fleet_on_time().await;
    let on_time = fleet.node().await;
    let user = user(&on_time).await;
    let new_key = api_keys::CreateApiKey {
        user: user.id,
        project: personal_project(&on_time, user.id).await.unwrap(),
        name: "a key".to_owned(),
        scopes: Vec::new(),
        expires_at: None,
        owner_valid_after: user.sessions_valid_after,
    };
    let (key, _) = api_keys::create(&on_time, new_key, Origin::process()).await.unwrap();
    api_keys::deactivate(&on_time, key.project, key.id, Origin::process()).await.unwrap();
    fleet.redis().cli(&["DEL", "signet:{fleet}:revocations", "signet:{fleet}:born"]);
    let ahead = node_ahead(&fleet).await;
    let target = Target::ApiKey(key.id);
    assert!(!ahead.node.revocations.contains(&target), "the stream does not have it");
    reapply(&ahead).await.unwrap();
    assert!(ahead.node.revocations.contains(&target));
}
