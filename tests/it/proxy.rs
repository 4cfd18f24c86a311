//! nginx in front of a static page, which authorizes requests by Signet's `/verify` (`auth_request`).

use reqwest::Client;
use serde_json::json;

use crate::support::nginx::Nginx;
use crate::support::server::{SendRequest, TestServer, over_both_stores, tamper_signature};
use crate::support::until;

const PAGE: &str = "<!doctype html><title>Inside</title>";

over_both_stores!(|plan| plan; valid_credentials_pass_the_proxy, scope_in_the_verify_url_is_required,
    subject_in_the_verify_url_is_required);

async fn valid_credentials_pass_the_proxy(server: &TestServer) {
    let nginx = Nginx::guarding(PAGE, &server.signet.url_of("/verify"));
    let client = Client::builder().no_proxy().build().unwrap();
    let fetch = async |name: &str, value: &str| {
        let answer = client.get(nginx.url_of("/")).header(name, value).send().await.unwrap();
        let header = |name: &str| answer.headers().get(name).map_or("", |it| it.to_str().unwrap()).to_owned();
        let result = (answer.status().as_u16(), header("x-seen-subject"), header("x-seen-email"));
        let is_page = answer.text().await.unwrap() == PAGE;
        assert_eq!(is_page, result.0 == 200, "{}", nginx.log());
        result
    };
    let user = server.create_user(&["--verified"]);
    let tokens = server.sign_in(&user).await;
    let (key, prefix) = server.api_key(&user, &["read"]);
    let accepted = (200, user.id.clone(), user.email.clone());
    let refused = (401, String::new(), String::new());

    assert_eq!(fetch("accept", "*/*").await, refused, "without credentials");
    assert_eq!(fetch("authorization", &format!("Bearer {}", tokens.access)).await, accepted);
    assert_eq!(fetch("x-api-key", &key).await, accepted);
    for wrong in [tamper_signature(&tokens.access), tokens.refresh.clone(), "x".to_owned(), String::new()] {
        assert_eq!(fetch("authorization", &format!("Bearer {wrong}")).await, refused);
    }
    assert_eq!(fetch("x-api-key", &tamper_signature(&key)).await, refused);

    server.delete("/sessions").bearer_auth(&tokens.access).send_checked().await.is(200);
    let is_refused = async || fetch("authorization", &format!("Bearer {}", tokens.access)).await == refused;
    until("a signed-out user is refused", is_refused).await;
    server.plan().json(&["api-keys", "deactivate", &prefix], "");
    until("a deactivated key is refused", async || fetch("x-api-key", &key).await == refused).await;
}

async fn scope_in_the_verify_url_is_required(server: &TestServer) {
    let nginx = Nginx::guarding(PAGE, &server.signet.url_of("/verify?scope=read"));
    let client = Client::builder().no_proxy().build().unwrap();
    let status =
        async |key: &str| client.get(nginx.url_of("/")).header("x-api-key", key).send().await.unwrap().status();
    let user = server.create_user(&[]);
    assert_eq!(status(&server.api_key(&user, &["read", "write"]).0).await, 200);
    assert_eq!(status(&server.api_key(&user, &["write"]).0).await, 401);
    let answer = server.post("/verify").json(&json!({"token": "x"})).send_checked().await;
    assert_eq!(answer.status, 401, "Signet itself still responds");
}

async fn subject_in_the_verify_url_is_required(server: &TestServer) {
    let nginx = Nginx::guarding(PAGE, &server.signet.url_of("/verify?subject=user"));
    let client = Client::builder().no_proxy().build().unwrap();
    // The client's own query is not that of the call to Signet.
    let status = async |credential: &str| {
        let request = client.get(nginx.url_of("/?subject=client")).bearer_auth(credential);
        request.send().await.unwrap().status().as_u16()
    };
    let user = server.create_user(&[]);
    let (key, _) = server.api_key(&user, &["read"]);
    let grant = [("grant_type", "client_credentials"), ("client_secret", key.as_str())];
    let issued = server.form("/oauth/token", &grant).await.is(200).json();
    assert_eq!(status(&server.sign_in(&user).await.access).await, 200);
    assert_eq!(status(&key).await, 401);
    assert_eq!(status(issued["access_token"].as_str().unwrap()).await, 401);
}
