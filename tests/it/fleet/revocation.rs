//! Revocation on one node takes effect on the other, within a second, for every kind of revocation.

use std::time::Instant;

use serde_json::Value;

use super::{Client, DEADLINE, Fleet, PASSWORD, SOON, print_timings, text, wait_until_refused};
use crate::support::until;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sign_out_reaches_the_other_node() {
    let fleet = Fleet::new();
    let nodes = fleet.start_two();
    let [a, b] = nodes.each_ref().map(Client::new);
    fleet.plan.create_user("ann@example.org", PASSWORD, &[]);
    let mut durations = Vec::new();
    for _ in 0..120 {
        let first = a.sign_in("ann@example.org").await;
        let second = b.refresh(&first).await;
        // The other node has one of the tokens in its cache and has never seen the other.
        assert_eq!(b.verify(&second.access).await.status, 200);
        a.sign_out(&second).await;
        let began = Instant::now();
        while b.verify(&second.access).await.status == 200 {
            assert!(began.elapsed() < DEADLINE, "the other node does not know of it");
        }
        durations.push(began.elapsed());
        assert_eq!(b.verify(&second.access).await.rejection_reason(), Some("revoked"));
        assert_eq!(b.verify(&first.access).await.rejection_reason(), Some("revoked"));
        assert_eq!(a.verify(&first.access).await.rejection_reason(), Some("revoked"));
        assert_eq!(b.refresh_response(&second.refresh).await.status, 400);
    }
    let what = "from the response to a sign-out to the first refusal by the other node";
    assert!(print_timings(what, durations) < SOON);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_revocation_reaches_the_other_node() {
    let fleet = Fleet::new();
    let nodes = fleet.start_two();
    let [a, b] = nodes.each_ref().map(Client::new);
    let plan = &fleet.plan;
    plan.create_user("ann@example.org", PASSWORD, &[]);
    plan.create_user("bob@example.org", PASSWORD, &[]);
    plan.create_user("service@example.org", PASSWORD, &["--superuser"]);
    plan.create_user("root@example.org", PASSWORD, &["--superuser"]);
    let bystander = a.sign_in("bob@example.org").await;

    // Reuse: a token two generations old cannot be the retry of a lost response.
    let first = a.sign_in("ann@example.org").await;
    let third = a.refresh(&a.refresh(&first).await).await;
    assert_eq!(b.verify(&third.access).await.status, 200);
    assert_eq!(a.refresh_response(&first.refresh).await.status, 400);
    wait_until_refused(&b, &third.access).await;
    assert_eq!(b.refresh_response(&third.refresh).await.status, 400);

    // One access token, revoked by a service (RFC 7009): its session stays open.
    let service = full_key_and_prefix(
        &plan.json(&["api-keys", "create", "--user", "service@example.org", "--name", "s", "--scope", "revoke"], ""),
    );
    let pair = a.sign_in("ann@example.org").await;
    assert_eq!(b.verify(&pair.access).await.status, 200);
    let revoke = a.post("/oauth/revoke").header("x-api-key", &service.0).form(&[("token", &pair.access)]);
    assert_eq!(a.send(revoke).await.unwrap().status, 200);
    wait_until_refused(&b, &pair.access).await;
    let pair = b.refresh(&pair).await;
    assert_eq!(a.verify(&pair.access).await.status, 200);

    // A user is disabled.
    assert_eq!(b.verify(&pair.access).await.status, 200);
    plan.json(&["users", "disable", "ann@example.org"], "");
    wait_until_refused(&b, &pair.access).await;
    wait_until_refused(&a, &pair.access).await;
    assert_eq!(b.refresh_response(&pair.refresh).await.status, 400);
    assert_eq!(b.try_sign_in("ann@example.org").await.unwrap().status, 403);
    plan.json(&["users", "enable", "ann@example.org"], "");
    assert_eq!(b.verify(&pair.access).await.rejection_reason(), Some("revoked"));

    // An API key is deactivated, and with it the tokens issued for it.
    let api_key =
        full_key_and_prefix(&plan.json(&["api-keys", "create", "--user", "ann@example.org", "--name", "k"], ""));
    let exchanged =
        b.post("/oauth/token").header("x-api-key", &api_key.0).form(&[("grant_type", "client_credentials")]);
    let exchanged = text(&b.send(exchanged).await.unwrap().body["access_token"]);
    for credential in [&api_key.0, &exchanged] {
        assert_eq!(a.verify(credential).await.status, 200);
        assert_eq!(b.verify(credential).await.status, 200);
    }
    plan.json(&["api-keys", "deactivate", &api_key.1], "");
    for node in [&a, &b] {
        wait_until_refused(node, &api_key.0).await;
        wait_until_refused(node, &exchanged).await;
    }

    // A user is deleted, together with the user's API keys.
    let users_key =
        full_key_and_prefix(&plan.json(&["api-keys", "create", "--user", "ann@example.org", "--name", "k"], ""));
    let pair = a.sign_in("ann@example.org").await;
    assert_eq!(b.verify(&pair.access).await.status, 200);
    assert_eq!(b.verify(&users_key.0).await.status, 200);
    plan.json(&["users", "delete", "ann@example.org"], "");
    wait_until_refused(&b, &pair.access).await;
    wait_until_refused(&b, &users_key.0).await;
    assert_eq!(b.refresh_response(&pair.refresh).await.status, 400);
    assert_eq!(b.try_sign_in("ann@example.org").await.unwrap().status, 401);

    // Until here, other users are unaffected. Signing everyone out affects all.
    assert_eq!(b.verify(&bystander.access).await.status, 200);
    let root = a.sign_in("root@example.org").await;
    let sign_out_everyone = a.post("/admin/sign-out-everyone").bearer_auth(&root.access);
    assert_eq!(a.send(sign_out_everyone).await.unwrap().status, 204);
    wait_until_refused(&b, &bystander.access).await;
    wait_until_refused(&b, &root.access).await;
    assert_eq!(b.refresh_response(&bystander.refresh).await.status, 400);
    assert_eq!(a.refresh_response(&bystander.refresh).await.status, 400);
    let again = b.sign_in("bob@example.org").await;
    assert_eq!(a.verify(&again.access).await.status, 200);
    a.refresh(&again).await;
}

/// A refresh in flight on one node while another signs everyone out issues a token that is younger than the sign-out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refresh_during_sign_out_everyone_is_revoked_too() {
    let fleet = Fleet::new();
    let nodes = fleet.start_two();
    let [a, b] = nodes.each_ref().map(Client::new);
    fleet.plan.create_user("root@example.org", PASSWORD, &["--superuser"]);
    for _ in 0..10 {
        let root = a.sign_in("root@example.org").await;
        let mut refreshing = Vec::new();
        for _ in 0..8 {
            let (b, mut pair) = (b.clone(), a.sign_in("root@example.org").await);
            refreshing.push(tokio::spawn(async move {
                let mut seen = Vec::new();
                loop {
                    let answer = b.refresh_response(&pair.refresh).await;
                    if answer.status != 200 {
                        return seen;
                    }
                    pair = answer.is(200).tokens();
                    seen.push(pair.access.clone());
                }
            }));
        }
        let sign_out_everyone = a.post("/admin/sign-out-everyone").bearer_auth(&root.access);
        assert_eq!(a.send(sign_out_everyone).await.unwrap().status, 204);
        let mut seen = vec![root.access];
        for client in refreshing {
            seen.extend(client.await.unwrap());
        }
        for node in [&a, &b] {
            let all_are_refused = async || node.rejection_reasons(&seen).await.iter().all(Option::is_some);
            until("every token from before is refused", all_are_refused).await;
        }
    }
}

/// A new API key and its prefix.
fn full_key_and_prefix(api_key: &Value) -> (String, String) {
    (text(&api_key["full_key"]), text(&api_key["prefix"]))
}
