//! Reports of followers: who may send them, and how a command waits for them.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use signet_verify::follow::Verifier;

use super::*;
use crate::support::ports::free_port;
use crate::support::server::{SendRequest, TestServer, over_both_stores};
use crate::support::signet::Plan;

over_both_stores! {
    at_its_issuer;
    reports_need_the_reserved_scope,
    reports_are_checked,
    commands_wait_for_followers,
}

/// Verifiers find the server by its issuer.
fn at_its_issuer(plan: Plan) -> Plan {
    let address = format!("127.0.0.1:{}", free_port());
    plan.set("SIGNET_SERVER__LISTEN", &address).set("SIGNET_SERVER__PUBLIC_URL", &format!("http://{address}"))
}

fn report(name: &str, jwks: &str) -> Value {
    json!({"name": name, "epoch": "e1", "position": "1-0", "time": 1_763_130_321_456_i64, "jwks": jwks})
}

async fn send(server: &TestServer, key: &str, report: &Value) -> HttpResponse {
    server.post(&format!("{FEED}/followers")).bearer_auth(key).json(report).send_checked().await
}

async fn reports_need_the_reserved_scope(server: &TestServer) {
    let (root, user) = (server.create_user(&["--superuser"]), server.create_user(&[]));
    let body = report("one", "n4bQgYhMfWWaL-qg");
    for (owner, scopes, status) in [
        (&root, &["feed:report"][..], 204),
        (&root, &["read", "admin"], 204),
        (&root, &["read"], 403),
        (&root, &["billing:write"], 403),
        (&user, &["feed:report"], 403),
    ] {
        let (key, _) = server.api_key(owner, scopes);
        assert_eq!(send(server, &key, &body).await.status, status, "{scopes:?}");
    }
    let path = format!("{FEED}/followers");
    server.post(&path).json(&body).send_checked().await.is_problem(401, "missing_credentials");
    server.post(&path).bearer_auth("nonsense").json(&body).send_checked().await.is_problem(401, "invalid_token");
    // The key with this scope alone opens nothing else.
    let (key, _) = server.api_key(&root, &["feed:report"]);
    let by_key = server.request(Method::PATCH, &format!("/admin/users/{}/billing", user.id)).bearer_auth(&key);
    by_key.json(&json!({"token_balance": 1})).send_checked().await.is(403);
}

async fn reports_are_checked(server: &TestServer) {
    let (key, _) = server.api_key(&server.create_user(&["--superuser"]), &["feed:report"]);
    let longest = "a".repeat(100);
    for name in ["a", "reports-1.example:8/x_y@z", &longest] {
        send(server, &key, &report(name, "x")).await.is(204);
    }
    let too_long = "a".repeat(101);
    for name in ["", "a b", "a\u{1b}[2J", "ä", "a\n", &too_long] {
        send(server, &key, &report(name, "x")).await.is_problem(400, "invalid_fields");
    }
    for member in ["epoch", "position", "jwks"] {
        for value in ["", "a b", "a/b", &too_long] {
            let mut body = report("one", "x");
            body[member] = value.into();
            send(server, &key, &body).await.is_problem(400, "invalid_fields");
        }
    }
    for (member, value) in [("time", json!("now")), ("time", json!(1.5)), ("name", json!(7)), ("jwks", json!(null))] {
        let mut body = report("one", "x");
        body[member] = value;
        send(server, &key, &body).await.is_problem(400, "invalid_fields");
    }
    send(server, &key, &json!({})).await.is_problem(400, "invalid_fields");
}

/// Runs a command while the verifiers of the test run too. Returns whether it succeeded, stdout and stderr.
async fn run(server: &TestServer, arguments: &'static [&'static str]) -> (bool, String, String) {
    let plan = server.plan().clone();
    let output = tokio::task::spawn_blocking(move || plan.run(arguments, "")).await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}

async fn commands_wait_for_followers(server: &TestServer) {
    let client = Client::new(&server.signet);
    let (succeeded, printed, warned) = run(server, &["keys", "rotate", "--wait"]).await;
    assert!(succeeded && printed.contains("No follower of the revocation feed has reported"), "{printed} {warned}");

    let (key, _) = server.api_key(&server.create_user(&["--superuser"]), &["feed:report"]);
    let issuer = server.signet.url_of("");
    let verifier = Verifier::builder(issuer.trim_end_matches('/'))
        .audience("signet")
        .report_as("reports-1:7", &key)
        .start()
        .unwrap();
    verifier.ready().await;
    crate::support::until("the follower has reported", async || {
        run(server, &["keys", "rotate", "--wait=30s"]).await.1.contains("Followers with the new keys: 1.")
    })
    .await;
    // It reports within seconds after it has read the changed JWKS.
    let kid: &'static str = client.kids().await.remove(0).leak();
    let (succeeded, printed, warned) = run(server, vec!["keys", "revoke", kid, "--wait=30s"].leak()).await;
    assert!(succeeded && printed.contains("Followers with the new keys: 1."), "{printed} {warned}");

    // Another one lags.
    send(server, &key, &report("orders-2", "AAAAAAAAAAAAAAAA")).await.is(204);
    let (succeeded, _, error) = run(server, &["keys", "rotate", "--wait=1s"]).await;
    assert!(!succeeded && error.contains("the change is stored"), "{error}");
    assert!(error.contains("but these followers do not have the new keys: orders-2 (seen "), "{error}");
    // Once it has the keys, the command succeeds.
    send(server, &key, &report("orders-2", &jwks_hash(&client).await)).await.is(204);
    let (succeeded, printed, error) = run(server, &["keys", "rotate", "--wait=30s"]).await;
    assert!(succeeded && printed.contains("Followers with the new keys: 2."), "{printed} {error}");
    drop(verifier);
}

#[tokio::test]
async fn reports_are_not_found_without_the_feed() {
    let server = TestServer::embedded(|plan| plan.set("SIGNET_REVOCATION__FEED", "false"));
    let (key, _) = server.api_key(&server.create_user(&["--superuser"]), &["feed:report"]);
    send(&server, &key, &report("one", "x")).await.is_problem(404, "not_found");
}

/// How far a follower is behind is computed when it reports.
#[tokio::test]
async fn followers_are_listed_until_they_are_silent() {
    use signet::auth::revocation::followers::{Report, followers, report};

    let fleet = crate::support::fleet::TestFleet::new(None).await;
    let ctx = fleet.node().await;
    let of = |name: &str, behind: u64| Report {
        name: name.to_owned(),
        epoch: "e1".to_owned(),
        position: "1-0".to_owned(),
        jwks: ctx.node.keyring.keys().jwks().etag.trim_matches('"').to_owned(),
        complete_at: ctx.now() - Duration::from_secs(behind),
    };
    report(&ctx, of("b", 0)).await.unwrap();
    report(&ctx, Report { jwks: "other".to_owned(), ..of("a", 7) }).await.unwrap();
    fleet.clock.advance(Duration::from_secs(60));
    report(&ctx, of("c", 1)).await.unwrap();
    let listed = followers(&ctx).await.unwrap();
    let summary = listed.iter().map(|one| (&*one.name, one.behind.as_secs(), one.has_current_keys));
    assert_eq!(summary.collect::<Vec<_>>(), [("a", 7, false), ("b", 0, true), ("c", 1, true)]);
    assert_eq!(ctx.now().since(listed[0].seen_at), Duration::from_secs(60));
    fleet.clock.advance(Duration::from_secs(90));
    assert_eq!(followers(&ctx).await.unwrap().iter().map(|one| &*one.name).collect::<Vec<_>>(), ["c"]);
}
