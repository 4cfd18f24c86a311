//! The feed of two nodes on one Redis, and of a Redis that loses its content.

use super::*;
use crate::support::server::TestServer;

#[tokio::test]
async fn all_nodes_publish_the_same() {
    let server = TestServer::redis_and_postgres(|plan| plan);
    let other = server.plan().another_node().start();
    let (one, other) = (Client::new(&server.signet), Client::new(&other));
    let user = server.create_user(&[]);
    let (first, second) = (server.sign_in(&user).await, server.sign_in(&user).await);
    let mut follower = Follower::start(&other).await;
    let start = follower.position.clone();
    one.sign_out(&first).await;
    follower.poll_until_revoked(&first.session).await;
    let middle = follower.position.clone();
    let segment = format!("{FEED}/{}/segments/{start}/{middle}", follower.epoch);
    let from_other = get(&other, &segment).await;
    // The node that wrote the revocation reads it back like every other, maybe later.
    Follower::start(&one).await.poll_until_revoked(&first.session).await;
    assert_eq!(get(&one, &segment).await.is(200).text, from_other.is(200).text);

    // The follower goes on at the other node, and back.
    follower.client = one.clone();
    one.sign_out(&second).await;
    follower.poll_until_revoked(&second.session).await;
    follower.client = other.clone();
    follower.poll().await;

    // Redis loses everything: positions mean nothing any more, and what was revoked is still in the snapshot.
    assert_eq!(server.redis().unwrap().cli(&["FLUSHALL"]), "OK");
    let lost = format!("{FEED}/{}/after/{}", follower.epoch, follower.position);
    for client in [&one, &other] {
        let head = head_when(client, |head| text(&head["epoch"]) != follower.epoch).await;
        assert!(head["not_before"].as_u64().is_some_and(|not_before| not_before > 0));
        get(client, &lost).await.is(410);
        let again = Follower::start(client).await;
        assert_eq!(again.epoch, text(&head["epoch"]));
        assert!([&first, &second].iter().all(|pair| again.revoked.contains(&hash(&pair.session))));
    }
}

/// The nodes have read a revocation that Redis then loses, and Redis keeps the identity of the stream.
#[tokio::test]
async fn lost_entries_begin_a_new_epoch() {
    let server = TestServer::redis_and_postgres(|plan| plan);
    let other = server.plan().another_node().start();
    let (one, other) = (Client::new(&server.signet), Client::new(&other));
    let pair = server.sign_in(&server.create_user(&[])).await;
    let mut follower = Follower::start(&one).await;
    one.sign_out(&pair).await;
    follower.poll_until_revoked(&pair.session).await;
    let redis = server.redis().unwrap();
    assert_eq!(redis.cli(&["XDEL", "signet:{fleet}:revocations", &follower.position]), "1");
    // It was not the oldest entry, so it cannot have been trimmed.
    let left = redis.cli(&["XLEN", "signet:{fleet}:revocations"]).parse::<u64>();
    assert!(left.is_ok_and(|left| left > 0));
    let heads = [
        head_when(&one, |head| text(&head["epoch"]) != follower.epoch).await,
        head_when(&other, |head| text(&head["epoch"]) != follower.epoch).await,
    ];
    assert_eq!(heads[0]["epoch"], heads[1]["epoch"], "all nodes have the same new epoch");
}
