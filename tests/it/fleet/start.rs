//! The start of a fleet: many nodes at once on empty stores, a store that responds late, and a node with the keyring
//! of another fleet.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use super::{Client, Fleet, PASSWORD, kid};
use crate::support::signet::Plan;
use crate::support::until;
use crate::support::{postgres, redis};

/// Passes connections on to Postgres, but for the second, which gets no response: the first applies the migrations, the
/// second is the first of the pool. Returns the URL.
async fn start_relay_that_hangs_once(postgres: &postgres::Database) -> String {
    let url = postgres.url();
    let (credentials, address) = url.rsplit_once('@').unwrap();
    let (address, database) = address.split_once('/').unwrap();
    let server: SocketAddr = address.parse().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let relay = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut hanging = Vec::new();
        for number in 1.. {
            let (mut client, _) = listener.accept().await.unwrap();
            if number == 2 {
                hanging.push(client);
                continue;
            }
            tokio::spawn(async move {
                let mut server = TcpStream::connect(server).await.unwrap();
                _ = copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    format!("{credentials}@{relay}/{database}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_starts_although_postgres_responds_late_at_first() {
    let (redis, postgres) = (redis::Server::start(), postgres::Database::create());
    let url = start_relay_that_hangs_once(&postgres).await;
    // Twice within the time for which a start repeats a step, and much for a Postgres that responds.
    let plan = Plan::on(&redis, &postgres).with_patient_stores().set("SIGNET_POSTGRES__TIMEOUT", "2s");
    let node = plan.set("DATABASE_URL", &url).start();
    let client = Client::new(&node);
    until("the node is ready", async || client.failing_conditions().await.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_nodes_starting_at_once_share_one_keyring() {
    let fleet = Fleet::new();
    let mut nodes = (0..10).map(|_| fleet.plan.another_node().spawn()).collect::<Vec<_>>();
    for node in &mut nodes {
        if !node.wait_until_listening() {
            node.wait_for_exit();
            panic!("a node did not start:\n{}", node.log());
        }
    }
    let clients = nodes.iter().map(Client::new).collect::<Vec<_>>();
    let kids = clients[0].kids().await;
    assert_eq!(kids.len(), 2, "the signing key and the standby: {kids:?}");
    fleet.plan.create_user("ann@example.org", PASSWORD, &[]);
    for node in &clients {
        assert_eq!(node.kids().await, kids);
        let pair = node.sign_in("ann@example.org").await;
        for other in &clients {
            assert_eq!(other.verify(&pair.access).await.status, 200);
        }
        until("the node is ready", async || node.failing_conditions().await.is_empty()).await;
    }
}

/// The data folder of a node may hold the keyring of another fleet with the same secret, with an equal or a newer
/// version.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_with_a_foreign_keyring_adopts_the_fleets() {
    let fleet = Fleet::new();
    let other_redis = redis::Server::start();
    let same_version = Plan::on(&other_redis, &fleet.postgres).with_patient_stores();
    assert!(same_version.start().data_dir().join("keyring.sealed").exists());
    // The command line writes the mirror of its own folder.
    let newer_version = same_version.another_node();
    newer_version.json(&["keys", "rotate"], "");
    assert!(newer_version.dir().join("data/keyring.sealed").exists());

    let node = fleet.plan.start();
    let a = Client::new(&node);
    fleet.plan.create_user("ann@example.org", PASSWORD, &[]);
    let pair = a.sign_in("ann@example.org").await;
    let kids = a.kids().await;
    assert_eq!((kids[0].as_str(), kids.len()), (kid(&pair.access).as_str(), 2), "the signing key and the standby");
    for foreign in [same_version, newer_version] {
        let joined = foreign.set("REDIS_URL", &fleet.redis.url()).start();
        let b = Client::new(&joined);
        for node in [&a, &b] {
            assert_eq!(node.kids().await, kids);
            assert_eq!(node.verify(&pair.access).await.status, 200);
        }
    }
}
