//! Operations one of whose steps a store refuses. If it is the second step, which is that of Redis, the same node or
//! the durable revocations make up for it.

use signet::auth::api_keys::administer::deactivate_all;
use signet::auth::audit::{self, EventFilter, EventRange};
use signet::auth::revocation::durable::{reapply, reapply_after_failover};
use signet::auth::tokens::client_credentials::issue_for_api_key;
use signet::auth::tokens::verify::{VerifyError, verify_access_token};

use super::*;
use crate::support::fleet::native_request;
use crate::support::{postgres, redis};

over_both_stores_in_process!(sign_in_under_way_opens_nothing_though_a_node_stopped);

async fn fleet_on_servers() -> TestFleet {
    TestFleet::new(Some((redis::Server::start(), postgres::Database::create()))).await
}

/// Runs an operation while Redis refuses writes.
async fn while_redis_refuses_writes<T>(fleet: &TestFleet, work: impl Future<Output = Result<T, Error>>) {
    assert_eq!(fleet.redis().cli(&["CONFIG", "SET", "maxmemory", "1"]), "OK");
    let answer = work.await;
    assert!(matches!(answer, Err(Error::Unavailable(_))), "Redis did not refuse it");
    assert_eq!(fleet.redis().cli(&["CONFIG", "SET", "maxmemory", "0"]), "OK");
}

/// Runs an operation while Redis answers the question whether it accepts writes, and refuses every script.
async fn while_redis_refuses_scripts<T>(
    fleet: &TestFleet,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    assert_eq!(fleet.redis().cli(&["ACL", "SETUSER", "default", "-evalsha", "-eval"]), "OK");
    let answer = work.await;
    assert_eq!(fleet.redis().cli(&["ACL", "SETUSER", "default", "+evalsha", "+eval"]), "OK");
    answer
}

#[track_caller]
fn assert_revoked(ctx: &Context, token: &str) {
    assert_eq!(verify_access_token(ctx, token).err(), Some(VerifyError::Revoked));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deactivated_key_is_revoked_though_redis_refuses() {
    let fleet = fleet_on_servers().await;
    let [a, b] = [fleet.node().await, fleet.node().await];
    let user = user(&a, "holder").await;
    let (key, new) = create_key(&a, &user).await;
    let made = issue_for_api_key(&b, new.reveal(), None, native_request(&b)).await.unwrap().access;
    while_redis_refuses_writes(&fleet, api_keys::deactivate(&a, key.project, key.id, Origin::process())).await;
    assert_revoked(&a, &made);
    assert!(verify_access_token(&b, &made).is_ok(), "node b does not know of it yet");
    let c = fleet.node().await;
    for node in [&b, &c] {
        reapply(node).await.unwrap();
        assert_revoked(node, &made);
    }
    // Services that follow the feed read no rows.
    reapply_after_failover(&a).await;
    assert!(is_published(&a, &Target::ApiKey(key.id)).await);
}

/// Its row says that it is deactivated, so a repetition passes over it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unpublished_key_counts_as_deactivated() {
    let fleet = fleet_on_servers().await;
    let a = fleet.node().await;
    let user = user(&a, "holder").await;
    for _ in 0..3 {
        create_key(&a, &user).await;
    }
    let deactivate = async || deactivate_all(&a, Origin::process(), async || {}).await;
    while_redis_refuses_writes(&fleet, deactivate()).await;
    fleet.clock.advance(Duration::from_secs(1));
    assert_eq!(deactivate().await.unwrap(), 2);
    audit::flush(&a).await;
    let filter = EventFilter { types: vec!["api_key.all_deactivated".to_owned()], ..EventFilter::default() };
    let recorded = audit::list(&a, &filter, EventRange::Newest, 10, Duration::ZERO).await.unwrap().events;
    let counts: Vec<_> = recorded.iter().map(|event| event.record.details["count"].clone()).collect();
    assert_eq!(counts, [2, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deactivated_key_is_revoked_though_redis_forgot_it() {
    let fleet = fleet_on_servers().await;
    let a = fleet.node().await;
    let user = user(&a, "holder").await;
    let mut made = Vec::new();
    for _ in 0..2 {
        let (key, new) = create_key(&a, &user).await;
        made.push((key, issue_for_api_key(&a, new.reveal(), None, native_request(&a)).await.unwrap().access));
    }
    let [(ended, ended_token), (_, other_token)] = &made[..] else { unreachable!("there are two") };
    api_keys::deactivate(&a, ended.project, ended.id, Origin::process()).await.unwrap();
    // Like a failover to a server that has global_not_before but not the latest revocations.
    fleet.redis().cli(&["DEL", "signet:{fleet}:revocations", "signet:{fleet}:born"]);
    let b = fleet.node().await;
    reapply(&b).await.unwrap();
    assert_revoked(&b, ended_token);
    assert!(verify_access_token(&b, other_token).is_ok());
}

/// True if the end of the user's sessions is in the stream that every node follows.
async fn is_end_published(ctx: &Context, user: &User) -> bool {
    is_published(ctx, &Target::User { user: user.id, before: user.sessions_valid_after }).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn password_change_ends_sessions_though_redis_refuses() {
    let fleet = fleet_on_servers().await;
    let [a, b] = [fleet.node().await, fleet.node().await];
    let by = user(&a, "by").await;
    // The row as a concurrent sign-in has read it, which is still hashing.
    let before = user(&a, "changes").await;
    let old = open_session(&b, &before, None, request_ctx(&b)).await.unwrap();
    fleet.clock.advance(Duration::from_secs(1));
    let new_password =
        UpdateUser { password: Some(Password::new("another harbour at dawn".to_owned())), ..UpdateUser::default() };
    let answer =
        while_redis_refuses_scripts(&fleet, update_user(&a, &by, before.id, new_password, request_ctx(&a))).await;
    assert!(matches!(answer, Err(Error::Unavailable(_))), "Redis did not refuse it");
    let now = row(&a, before.id).await;
    assert_ne!(now.password_hash, before.password_hash);

    // On every node, although Redis may not have the revocation yet.
    let late_sign_in = async |node| open_session(node, &before, None, request_ctx(node)).await;
    for node in [&a, &b] {
        assert!(matches!(late_sign_in(node).await, Err(Error::InvalidCredentials)));
    }
    let fresh = open_session(&b, &now, None, request_ctx(&b)).await.unwrap();
    until("the end of the sessions is published", async || is_end_published(&b, &now).await).await;
    assert!(matches!(late_sign_in(&a).await, Err(Error::InvalidCredentials)));

    let open: Vec<_> = list_sessions(&b, now.id).await.unwrap().iter().map(|session| session.id).collect();
    assert!(!open.contains(&old.session.id), "the session is ended in Redis as well");
    assert!(open.contains(&fresh.session.id), "the new password opened it");
    assert!(verify_access_token(&b, &fresh.access_token).is_ok());
    open_session(&a, &now, None, request_ctx(&a)).await.unwrap();
}

/// A repetition would find no such user.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deletion_succeeds_though_redis_fails_midway() {
    let fleet = fleet_on_servers().await;
    let [a, b] = [fleet.node().await, fleet.node().await];
    let (by, person) = (user(&a, "by").await, user(&a, "leaves").await);
    let session = open_session(&b, &person, None, request_ctx(&b)).await.unwrap();
    fleet.clock.advance(Duration::from_secs(1));
    while_redis_refuses_scripts(&fleet, delete_user_as_admin(&a, &by, person.id, request_ctx(&a))).await.unwrap();
    assert_eq!(a.accounts.user(Find::Id(person.id)).await.unwrap(), None);
    assert_revoked(&a, &session.access_token);
    until("the owner is told", async || !mails_in(&a.node.config.data_dir, &person.email).is_empty()).await;
    until("the session is ended in Redis", async || list_sessions(&b, person.id).await.unwrap().is_empty()).await;
    // A sign-in that has read the row before.
    let late_sign_in = open_session(&b, &person, None, request_ctx(&b)).await;
    assert!(matches!(late_sign_in, Err(Error::InvalidCredentials)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_changes_if_postgres_refuses_a_deletion() {
    let fleet = fleet_on_servers().await;
    let a = fleet.node().await;
    let (by, person) = (user(&a, "by").await, user(&a, "stays").await);
    let session = open_session(&a, &person, None, request_ctx(&a)).await.unwrap();
    let postgres = fleet.postgres().client().await;
    let refuse = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'refused'; END $$;
        CREATE TRIGGER refused BEFORE DELETE ON users FOR EACH ROW EXECUTE FUNCTION refuse()";
    postgres.batch_execute(refuse).await.unwrap();
    let answer = delete_user_as_admin(&a, &by, person.id, request_ctx(&a)).await;
    assert!(answer.is_err(), "Postgres did not refuse it");
    assert_eq!(row(&a, person.id).await, person);
    assert!(verify_access_token(&a, &session.access_token).is_ok());
    postgres.batch_execute("DROP FUNCTION refuse CASCADE").await.unwrap();
    delete_user_as_admin(&a, &by, person.id, request_ctx(&a)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_changes_if_redis_refuses_writes() {
    let fleet = fleet_on_servers().await;
    let a = fleet.node().await;
    let (by, person) = (user(&a, "by").await, user(&a, "stays").await);
    let session = open_session(&a, &person, None, request_ctx(&a)).await.unwrap();
    let new_password =
        UpdateUser { password: Some(Password::new("another harbour at dawn".to_owned())), ..UpdateUser::default() };
    let demotion = UpdateUser { superuser: Some(false), ..UpdateUser::default() };
    for update in [new_password, demotion] {
        while_redis_refuses_writes(&fleet, update_user(&a, &by, person.id, update, request_ctx(&a))).await;
    }
    while_redis_refuses_writes(&fleet, delete_user_as_admin(&a, &by, person.id, request_ctx(&a))).await;
    assert_eq!(row(&a, person.id).await, person);
    assert!(verify_access_token(&a, &session.access_token).is_ok());
}

/// The node that changed the row has stopped before it changed the other store, which therefore stops no sign-in.
async fn sign_in_under_way_opens_nothing_though_a_node_stopped(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    let (changed, deleted) = (user(&ctx, "changed").await, user(&ctx, "deleted").await);
    let now = ctx.accounts.end_sign_ins(changed.id, ctx.now()).await.unwrap().unwrap();
    ctx.accounts.delete_user(deleted.id, None, ctx.now(), ctx.now()).await.unwrap().unwrap();
    // The rows as the sign-ins have read them.
    for before in [changed, deleted] {
        let late_sign_in = open_session(&ctx, &before, None, request_ctx(&ctx)).await;
        assert!(matches!(late_sign_in, Err(Error::InvalidCredentials)));
        assert!(list_sessions(&ctx, before.id).await.unwrap().is_empty());
    }
    open_session(&ctx, &now, None, request_ctx(&ctx)).await.unwrap();
    assert_eq!(list_sessions(&ctx, now.id).await.unwrap().len(), 1);
}
