//! The life of a session on a Redis Cluster and behind Sentinel, each with Postgres and two nodes.

use super::{Client, PASSWORD, kid, wait_until_refused};
use crate::support::postgres::Database;
use crate::support::redis::{Cluster, Sentinel};
use crate::support::signet::Plan;
use crate::support::until;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn session_lives_and_ends_on_a_redis_cluster() {
    let (cluster, postgres) = (Cluster::start(), Database::create());
    assert_session_lives_and_ends(&Plan::at(&cluster.url(), &postgres)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn session_lives_and_ends_behind_sentinel() {
    let (sentinel, postgres) = (Sentinel::start(), Database::create());
    assert_session_lives_and_ends(&Plan::at(&sentinel.url(), &postgres)).await;
}

async fn assert_session_lives_and_ends(plan: &Plan) {
    let plan =
        plan.clone().with_patient_stores().set("SIGNET_KEYS__ANNOUNCE", "2s").set("SIGNET_KEYS__JWKS_MAX_AGE", "1s");
    let nodes = [plan.start(), plan.another_node().start()];
    let [a, b] = nodes.each_ref().map(Client::new);
    let mut pairs = Vec::new();
    // Several users, whose keys are spread over the nodes of a cluster.
    for number in 0..12 {
        let email = format!("user{number}@example.org");
        plan.create_user(&email, PASSWORD, &[]);
        let pair = a.sign_in(&email).await;
        let pair = b.refresh(&pair).await;
        for node in [&a, &b] {
            assert_eq!(node.verify(&pair.access).await.status, 200);
        }
        pairs.push(pair);
    }
    let (signed_out, open) = pairs.split_at(pairs.len() / 2);
    for pair in signed_out {
        a.sign_out(pair).await;
        wait_until_refused(&b, &pair.access).await;
        assert_eq!(b.refresh_response(&pair.refresh).await.status, 400);
    }

    let first = kid(&open[0].access);
    plan.json(&["keys", "rotate"], "");
    for (pair, node) in open.iter().zip([&a, &b].into_iter().cycle()) {
        let mut next = pair.clone();
        let new_key_signs = async || {
            next = node.refresh(&next).await;
            kid(&next.access) != first
        };
        until("the new key signs", new_key_signs).await;
        for other in [&a, &b] {
            assert_eq!(other.verify(&next.access).await.status, 200);
            assert_eq!(other.verify(&pair.access).await.status, 200);
        }
    }
    for node in [&a, &b] {
        until("the node is ready", async || node.failing_conditions().await.is_empty()).await;
    }
}
