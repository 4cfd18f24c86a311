//! What is ended on one node is ended on the other: how soon, and whichever way it was ended.

use std::time::Instant;

use serde_json::Value;

use super::{Client, PASSWORD, SOON, TestFleet, print_figures, refused, text, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_out_is_felt_by_the_other_node() {
    let fleet = TestFleet::new();
    let nodes = fleet.two();
    let [a, b] = nodes.each_ref().map(Client::of);
    fleet.plan.user("ann@example.org", PASSWORD, &[]);
    let mut spans = Vec::new();
    for _ in 0..120 {
        let first = a.sign_in("ann@example.org").await;
        let second = b.refresh(&first).await;
        // One token that the other node has in its cache, and one that it has never seen.
        assert_eq!(b.verify(&second.access).await.status, 200);
        a.sign_out(&second).await;
        let began = Instant::now();
        while b.verify(&second.access).await.status == 200 {
            assert!(began.elapsed() < SOON, "the other node has not heard of it");
        }
        spans.push(began.elapsed());
        assert_eq!(b.verify(&second.access).await.reason(), Some("revoked"));
        assert_eq!(b.verify(&first.access).await.reason(), Some("revoked"));
        assert_eq!(a.verify(&first.access).await.reason(), Some("revoked"));
        assert_eq!(b.present(&second.refresh).await.status, 400);
    }
    print_figures("from the answer to a sign-out to the first refusal by the other node", spans);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_ends_tokens_ends_them_on_the_other_node() {
    let fleet = TestFleet::new();
    let nodes = fleet.two();
    let [a, b] = nodes.each_ref().map(Client::of);
    let plan = &fleet.plan;
    plan.user("ann@example.org", PASSWORD, &[]);
    plan.user("bob@example.org", PASSWORD, &[]);
    plan.user("root@example.org", PASSWORD, &["--superuser"]);
    let bystander = a.sign_in("bob@example.org").await;

    // Reuse: a token two behind is no lost reply.
    let first = a.sign_in("ann@example.org").await;
    let third = a.refresh(&a.refresh(&first).await).await;
    assert_eq!(b.verify(&third.access).await.status, 200);
    assert_eq!(a.present(&first.refresh).await.status, 400);
    refused(&b, &third.access).await;
    assert_eq!(b.present(&third.refresh).await.status, 400);

    // One token, revoked by a service (RFC 7009): its session goes on.
    let service =
        key(&plan.json(&["api-keys", "create", "--user", "bob@example.org", "--name", "s", "--scope", "revoke"], ""));
    let pair = a.sign_in("ann@example.org").await;
    assert_eq!(b.verify(&pair.access).await.status, 200);
    let revoke = a.post("/oauth/revoke").header("x-api-key", &service.0).form(&[("token", &pair.access)]);
    assert_eq!(a.send(revoke).await.unwrap().status, 200);
    refused(&b, &pair.access).await;
    let pair = b.refresh(&pair).await;
    assert_eq!(a.verify(&pair.access).await.status, 200);

    // A user who is disabled.
    assert_eq!(b.verify(&pair.access).await.status, 200);
    plan.json(&["users", "disable", "ann@example.org"], "");
    refused(&b, &pair.access).await;
    refused(&a, &pair.access).await;
    assert_eq!(b.present(&pair.refresh).await.status, 400);
    assert_eq!(b.try_sign_in("ann@example.org").await.unwrap().status, 403);
    plan.json(&["users", "enable", "ann@example.org"], "");
    assert_eq!(b.verify(&pair.access).await.reason(), Some("revoked"));

    // An API key that is deactivated, and what was made from it.
    let made = key(&plan.json(&["api-keys", "create", "--user", "ann@example.org", "--name", "k"], ""));
    let exchanged = b.post("/oauth/token").header("x-api-key", &made.0).form(&[("grant_type", "client_credentials")]);
    let exchanged = text(&b.send(exchanged).await.unwrap().body["access_token"]);
    for credential in [&made.0, &exchanged] {
        assert_eq!(a.verify(credential).await.status, 200);
        assert_eq!(b.verify(credential).await.status, 200);
    }
    plan.json(&["api-keys", "deactivate", &made.1], "");
    for node in [&a, &b] {
        refused(node, &made.0).await;
        refused(node, &exchanged).await;
    }

    // A user who is deleted, with the keys that were hers.
    let hers = key(&plan.json(&["api-keys", "create", "--user", "ann@example.org", "--name", "k"], ""));
    let pair = a.sign_in("ann@example.org").await;
    assert_eq!(b.verify(&pair.access).await.status, 200);
    assert_eq!(b.verify(&hers.0).await.status, 200);
    plan.json(&["users", "delete", "ann@example.org"], "");
    refused(&b, &pair.access).await;
    refused(&b, &hers.0).await;
    assert_eq!(b.present(&pair.refresh).await.status, 400);
    assert_eq!(b.try_sign_in("ann@example.org").await.unwrap().status, 401);

    // Nobody else has felt anything of all that; of this, everybody.
    assert_eq!(b.verify(&bystander.access).await.status, 200);
    let root = a.sign_in("root@example.org").await;
    let everyone = a.post("/admin/sign-out-everyone").bearer_auth(&root.access);
    assert_eq!(a.send(everyone).await.unwrap().status, 204);
    refused(&b, &bystander.access).await;
    refused(&b, &root.access).await;
    assert_eq!(b.present(&bystander.refresh).await.status, 400);
    assert_eq!(a.present(&bystander.refresh).await.status, 400);
    let again = b.sign_in("bob@example.org").await;
    assert_eq!(a.verify(&again.access).await.status, 200);
    a.refresh(&again).await;
}

/// A refresh that is under way on one node while everyone is signed out on another makes a token that is younger than that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refreshed_while_everyone_is_signed_out_does_not_outlive_it() {
    let fleet = TestFleet::new();
    let nodes = fleet.two();
    let [a, b] = nodes.each_ref().map(Client::of);
    fleet.plan.user("root@example.org", PASSWORD, &["--superuser"]);
    for _ in 0..10 {
        let root = a.sign_in("root@example.org").await;
        let mut refreshing = Vec::new();
        for _ in 0..8 {
            let (b, mut pair) = (b.clone(), a.sign_in("root@example.org").await);
            refreshing.push(tokio::spawn(async move {
                let mut seen = Vec::new();
                loop {
                    let answer = b.present(&pair.refresh).await;
                    if answer.status != 200 {
                        return seen;
                    }
                    pair = answer.pair(200);
                    seen.push(pair.access.clone());
                }
            }));
        }
        let everyone = a.post("/admin/sign-out-everyone").bearer_auth(&root.access);
        assert_eq!(a.send(everyone).await.unwrap().status, 204);
        let mut seen = vec![root.access];
        for each in refreshing {
            seen.extend(each.await.unwrap());
        }
        for node in [&a, &b] {
            let all = async || node.verdicts(&seen).await.iter().all(Option::is_some);
            until("every token from before is refused", SOON, all).await;
        }
    }
}

/// A new API key and its visible beginning.
fn key(made: &Value) -> (String, String) {
    (text(&made["full_key"]), text(&made["prefix"]))
}
