//! What comes of operations whose second half Redis refuses: it is made up for, by the same node or by what every node reads.

use signet::auth::endings::recall;
use signet::auth::exchange::exchange;
use signet::auth::verify::{Reason, access_token};

use super::*;
use crate::support::{postgres, redis};

const HOUR: Duration = Duration::from_secs(3600);

async fn on_servers() -> Ground {
    Ground::over(Some((redis::Server::start(), postgres::Server::start()))).await
}

/// Does something while Redis refuses whatever would be written.
async fn refused<T>(ground: &Ground, work: impl Future<Output = Result<T, Failure>>) {
    assert_eq!(ground.redis().cli(&["CONFIG", "SET", "maxmemory", "1"]), "OK");
    let answer = work.await;
    assert!(matches!(answer, Err(Failure::Unavailable(_))), "it was not refused");
    assert_eq!(ground.redis().cli(&["CONFIG", "SET", "maxmemory", "0"]), "OK");
}

#[track_caller]
fn is_revoked(app: &App, token: &str) {
    assert_eq!(access_token(app, token).err(), Some(Reason::Revoked));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_over_though_redis_refuses_to_tell() {
    let ground = on_servers().await;
    let [a, b] = [ground.node().await, ground.node().await];
    let user = user(&a, "holder").await;
    let (key, new) = key(&a, &user).await;
    let made = exchange(&b, new.reveal(), None, HOUR).await.unwrap().access;
    refused(&ground, api_key::deactivate(&a, key.project, key.id)).await;
    is_revoked(&a, &made);
    assert!(access_token(&b, &made).is_ok(), "it has heard of nothing");
    let c = ground.node().await;
    for node in [&b, &c] {
        recall(node).await.unwrap();
        is_revoked(node, &made);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_over_though_redis_has_forgotten_it() {
    let ground = on_servers().await;
    let a = ground.node().await;
    let user = user(&a, "holder").await;
    let mut made = Vec::new();
    for _ in 0..2 {
        let (key, new) = key(&a, &user).await;
        made.push((key, exchange(&a, new.reveal(), None, HOUR).await.unwrap().access));
    }
    let [(ended, ended_token), (_, other_token)] = &made[..] else { unreachable!("there are two") };
    api_key::deactivate(&a, ended.project, ended.id).await.unwrap();
    // A server takes its place that has the floor and not what was published last.
    ground.redis().cli(&["DEL", "signet:{fleet}:revocations", "signet:{fleet}:born"]);
    let b = ground.node().await;
    recall(&b).await.unwrap();
    is_revoked(&b, ended_token);
    assert!(access_token(&b, other_token).is_ok());
}
