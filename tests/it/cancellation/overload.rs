//! Operations that compute several hashes, rejected because the queue is full.

use std::time::Duration;

use futures_util::future::join_all;
use signet::auth::Error;
use signet::auth::accounts::update::{UpdateSelf, update_self};
use signet::auth::mfa::enable_without_confirmation;
use signet::auth::passwords::Password;

use super::{request_ctx, user};
use crate::support::fleet::{TestFleet, over_both_stores_in_process};
use crate::support::until;

over_both_stores_in_process!(overload_rejects_before_the_first_of_many_hashes);

/// With a queue of one hash, many operations are rejected and retried. They must be rejected before their first hash,
/// not after some of their hashes are computed.
async fn overload_rejects_before_the_first_of_many_hashes(fleet: &TestFleet) {
    let ctx = fleet.node_with(|config| {
        (config.passwords.threads, config.passwords.queue) = (1, 1);
        (config.passwords.memory_kib, config.passwords.deadline) = (4096, Duration::from_secs(60));
    });
    let (ctx, other) = (&ctx.await, fleet.node().await);
    let mut users = Vec::new();
    for number in 0..6 {
        users.push(user(&other, &format!("hashed-{number}")).await);
    }
    let user_count = users.len() as u64;
    let load = || ctx.node.hasher.load();
    // An operation returns before its hash is counted.
    let all_counted = || until("all are counted", async || load().running + load().waiting == 0);

    // While another job has the only slot, all are rejected.
    let before = load();
    let slot = ctx.node.hasher.acquire_slot(None).await.unwrap();
    let rejected = users.iter().map(|user| enable_without_confirmation(ctx, user, 5, request_ctx(ctx)));
    assert!(join_all(rejected).await.iter().all(|result| matches!(result, Err(Error::Overloaded))));
    assert_eq!(load().shed_full - before.shed_full, user_count, "not every operation was rejected once");
    drop(slot);
    join_all(
        users.iter().map(|user| retry_while_overloaded(|| enable_without_confirmation(ctx, user, 5, request_ctx(ctx)))),
    )
    .await;
    all_counted().await;
    assert_eq!(load().done - before.done, 5 * user_count, "hashes were computed for rejected operations");

    let before = load();
    let password = |text: &str| Some(Password::new(text.to_owned()));
    let update = || UpdateSelf {
        password: password("another harbour at dawn"),
        current_password: password("a quiet harbour at dusk"),
        ..UpdateSelf::default()
    };
    let slot = ctx.node.hasher.acquire_slot(None).await.unwrap();
    let rejected = users.iter().map(|user| update_self(ctx, user, update(), request_ctx(ctx)));
    assert!(join_all(rejected).await.iter().all(|result| matches!(result, Err(Error::Overloaded))));
    assert_eq!(load().shed_full - before.shed_full, user_count, "not every operation was rejected once");
    drop(slot);
    join_all(users.iter().map(|user| retry_while_overloaded(|| update_self(ctx, user, update(), request_ctx(ctx)))))
        .await;
    all_counted().await;
    assert_eq!(load().done - before.done, 2 * user_count, "a password was checked for a rejected change");
}

async fn retry_while_overloaded<T>(mut operation: impl AsyncFnMut() -> Result<T, Error>) -> T {
    loop {
        match operation().await {
            Ok(result) => return result,
            Err(Error::Overloaded) => tokio::task::yield_now().await,
            Err(other) => panic!("{other:?}"),
        }
    }
}
