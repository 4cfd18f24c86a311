//! The whole of a session's life on a Redis Cluster and behind Sentinel, each with Postgres, and two nodes.

use std::time::Duration;

use super::{Client, PASSWORD, SOON, kid, refused, until};
use crate::support::postgres;
use crate::support::redis::{Cluster, Sentinel};
use crate::support::signet::Plan;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_redis_cluster() {
    let (cluster, postgres) = (Cluster::start(), postgres::Server::start());
    a_sessions_life(&Plan::at(&cluster.url(), &postgres)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_sentinel() {
    let (sentinel, postgres) = (Sentinel::start(), postgres::Server::start());
    a_sessions_life(&Plan::at(&sentinel.url(), &postgres)).await;
}

async fn a_sessions_life(plan: &Plan) {
    let plan = plan.clone().set("SIGNET_KEYS__ANNOUNCE", "2s").set("SIGNET_KEYS__JWKS_MAX_AGE", "1s");
    let nodes = [plan.start(), plan.another().start()];
    let [a, b] = nodes.each_ref().map(Client::of);
    let mut pairs = Vec::new();
    // Several users, whose keys lie all over a cluster.
    for number in 0..12 {
        let email = format!("user{number}@example.org");
        plan.user(&email, PASSWORD, &[]);
        let pair = a.sign_in(&email).await;
        let pair = b.refresh(&pair).await;
        for node in [&a, &b] {
            assert_eq!(node.verify(&pair.access).await.status, 200);
        }
        pairs.push(pair);
    }
    let (out, stay) = pairs.split_at(pairs.len() / 2);
    for pair in out {
        a.sign_out(pair).await;
        refused(&b, &pair.access).await;
        assert_eq!(b.present(&pair.refresh).await.status, 400);
    }

    let first = kid(&stay[0].access);
    plan.json(&["keys", "rotate"], "");
    for (pair, node) in stay.iter().zip([&a, &b].into_iter().cycle()) {
        let mut next = pair.clone();
        let signs = async || {
            next = node.refresh(&next).await;
            kid(&next.access) != first
        };
        until("the new key signs", Duration::from_secs(10), signs).await;
        for other in [&a, &b] {
            assert_eq!(other.verify(&next.access).await.status, 200);
            assert_eq!(other.verify(&pair.access).await.status, 200);
        }
    }
    for node in [&a, &b] {
        until("it is ready", SOON * 3, async || node.not_ready().await.is_empty()).await;
    }
}
