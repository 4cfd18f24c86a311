//! The revocations that the feed has, and what its documents say of them.

use super::*;
use crate::support::server::{SendRequest, TestServer, over_both_stores};

over_both_stores!(|plan| plan;
    sign_out_is_in_every_document, users_and_api_keys_are_published, revoked_signing_key_is_published);

async fn sign_out_is_in_every_document(server: &TestServer) {
    let client = Client::new(&server.signet);
    let pair = server.sign_in(&server.create_user(&[])).await;
    let mut follower = Follower::start(&client).await;
    let before = follower.position.clone();
    assert!(!follower.revoked.contains(&hash(&pair.session)));
    client.sign_out(&pair).await;
    follower.poll_until_revoked(&pair.session).await;

    // A frame without entries follows, which says that nothing else was revoked. A node that signs it late repeats the
    // last one.
    let mut next = follower.poll().await;
    while next[0]["from"] == before.as_str() {
        next = follower.poll().await;
    }
    assert_eq!((next.len(), revoked(&next[0]).len(), &next[0]["from"]), (1, 0, &next[0]["to"]));
    assert_eq!(next[0]["jwks"], jwks_hash(&client).await);
    assert!(next[0]["not_before"].as_u64().is_some_and(|not_before| not_before > 0));

    let after = follower.position.clone();
    let head = frames(&get(&client, FEED).await).remove(0);
    assert_eq!((&head["to"], &head["from"]), (&after.as_str().into(), &head["to"]));
    assert_eq!(head["segments"].as_array().unwrap().last(), Some(&head["to"]));
    assert_eq!((&head["iss"], head.get("revoked")), (&"http://127.0.0.1:0".into(), None));

    let path = format!("{FEED}/{}/segments/{before}/{after}", follower.epoch);
    let segment = get(&client, &path).await;
    assert_eq!(segment.header("cache-control"), "public, max-age=86400, immutable");
    let [frame] = &frames(&segment)[..] else { panic!("one frame: {segment:?}") };
    assert_eq!(revoked(frame), HashSet::from([hash(&pair.session)]));
    assert_eq!((text(&frame["from"]), text(&frame["to"])), (before.clone(), after));
    assert_eq!((frame.get("not_before"), frame.get("jwks")), (None, None), "a segment has no state");
    follower.poll().await;
    assert_eq!(get(&client, &path).await.text, segment.text, "a segment never changes");

    // A follower that asks again from an older position gets the same.
    let again = get(&client, &format!("{FEED}/{}/after/{before}", follower.epoch)).await;
    assert_eq!(revoked(&frames(&again)[0]), HashSet::from([hash(&pair.session)]));
    until_snapshot_has(&client, &pair.session).await;
}

/// A snapshot serves for ten seconds, so the first one of this test does not have the session.
async fn until_snapshot_has(client: &Client, session: &str) {
    let has_session = async || Follower::start(client).await.revoked.contains(&hash(session));
    crate::support::until("a new snapshot has it", has_session).await;
}

async fn users_and_api_keys_are_published(server: &TestServer) {
    let client = Client::new(&server.signet);
    let user = server.create_user(&[]);
    server.sign_in(&user).await;
    let (key, prefix) = server.api_key(&user, &["read"]);
    let claims = server.verify(&server.client_token(&key).await).await.is(200).json()["claims"].clone();
    let mut follower = Follower::start(&client).await;
    server.plan().json(&["api-keys", "deactivate", &prefix], "");
    follower.poll_until_revoked(claims["client_id"].as_str().unwrap()).await;
    server.plan().json(&["users", "disable", &user.email], "");
    while !follower.users.contains(&hash(&user.id)) {
        follower.poll().await;
    }
}

async fn revoked_signing_key_is_published(server: &TestServer) {
    let client = Client::new(&server.signet);
    let mut follower = Follower::start(&client).await;
    let before = jwks_hash(&client).await;
    let kid = client.kids().await.remove(0);
    server.plan().json(&["keys", "revoke", &kid], "");
    // Signed by another key: a follower that knows the new JWKS accepts it.
    follower.poll_until_revoked(&kid).await;
    let after = jwks_hash(&client).await;
    assert_ne!(before, after);
    let head = head_when(&client, |head| head["jwks"] == after.as_str()).await;
    assert_eq!(revoked(&head), HashSet::from([hash(&kid)]), "also for followers that read only heads");
    server.get(FEED).send_checked().await.is(200);
}
