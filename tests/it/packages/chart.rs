//! A value of the Helm chart with which the program must agree. `packaging/check.py` renders the chart.

use serde_json::json;

use crate::support::server::{SendRequest, TestServer};
use crate::support::signet::Plan;
use crate::support::{postgres, redis, until};

const VALUES: &str = include_str!("../../../packaging/helm/signet/values.yaml");

/// The paths of `ingress.verifyPaths`.
fn verify_paths() -> Vec<&'static str> {
    let (_, list) = VALUES.split_once("  verifyPaths:\n").expect("the chart has this value");
    list.lines().map_while(|line| line.strip_prefix("    - ")).collect()
}

#[tokio::test]
async fn verifying_paths_of_the_chart_need_no_store() {
    let (mut redis, mut postgres) = (redis::Server::start(), postgres::Server::start());
    // A busy machine must not make the node stale before the last request.
    let plan = Plan::on(&redis, &postgres).with_patient_stores().set("SIGNET_REVOCATION__STALE_AFTER", "1m");
    let server = TestServer::start(plan);
    let user = server.create_user(&["--verified"]);
    let token = server.sign_in(&user).await.access;
    redis.kill();
    postgres.kill_immediate();
    until("both losses are noticed", async || {
        let page = server.get_management("/readyz").await.json();
        ["store.accounts", "store.ephemeral"].iter().all(|store| page["not_ready"].get(store).is_some())
    })
    .await;

    let body = json!({"token": token});
    let requests = [
        ("/verify", server.get("/verify").bearer_auth(&token)),
        ("/verify", server.post("/verify").json(&body)),
        ("/verify", server.post("/verify/batch").json(&json!({"tokens": [token]}))),
        ("/verify", server.get("/verify/proxy/orders").bearer_auth(&token)),
        ("/.well-known", server.get("/.well-known/jwks.json")),
        ("/.well-known", server.get("/.well-known/oauth-authorization-server")),
        ("/.well-known", server.get("/.well-known/openid-configuration")),
        ("/api/v1/verify", server.post("/api/v1/verify").json(&body)),
        ("/api/v1/verify-token", server.post("/api/v1/verify-token").json(&body)),
        ("/api/v1/authorized/me", server.get("/api/v1/authorized/me").bearer_auth(&token)),
    ];
    let mut requested: Vec<_> = requests.iter().map(|(path, _)| *path).collect();
    requested.dedup();
    assert_eq!(requested, verify_paths());
    for (_, request) in requests {
        request.send_checked().await.is(200);
    }
}
