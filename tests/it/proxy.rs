//! nginx in front of a static page, letting in whom Signet's `/verify` knows (`auth_request`).

use reqwest::Client;
use serde_json::json;

use crate::support::nginx::Nginx;
use crate::support::server::{SendRequest, TestServer, over_both_stores, tampered};
use crate::support::until;

const PAGE: &str = "<!doctype html><title>Inside</title>";

over_both_stores!(|plan| plan; who_is_known_is_let_in, what_the_page_demands_is_asked_for);

async fn who_is_known_is_let_in(server: &TestServer) {
    let nginx = Nginx::guarding(PAGE, &server.signet.at("/verify"));
    let client = Client::builder().no_proxy().build().unwrap();
    let seen = async |name: &str, value: &str| {
        let answer = client.get(nginx.at("/")).header(name, value).send().await.unwrap();
        let header = |name: &str| answer.headers().get(name).map_or("", |it| it.to_str().unwrap()).to_owned();
        let told = (answer.status().as_u16(), header("x-seen-subject"), header("x-seen-email"));
        let inside = answer.text().await.unwrap() == PAGE;
        assert_eq!(inside, told.0 == 200, "{}", nginx.log());
        told
    };
    let person = server.person(&[]);
    let tokens = server.sign_in(&person).await;
    let (key, prefix) = server.api_key(&person, &["read"]);
    let known = (200, person.id.clone(), person.email.clone());
    let nobody = (401, String::new(), String::new());

    assert_eq!(seen("accept", "*/*").await, nobody, "without credentials");
    assert_eq!(seen("authorization", &format!("Bearer {}", tokens.access)).await, known);
    assert_eq!(seen("x-api-key", &key).await, known);
    for wrong in [tampered(&tokens.access), tokens.refresh.clone(), "x".to_owned(), String::new()] {
        assert_eq!(seen("authorization", &format!("Bearer {wrong}")).await, nobody);
    }
    assert_eq!(seen("x-api-key", &tampered(&key)).await, nobody);

    server.delete("/sessions").bearer_auth(&tokens.access).send_checked().await.is(200);
    let out = async || seen("authorization", &format!("Bearer {}", tokens.access)).await == nobody;
    until("who has signed out is kept out", out).await;
    server.plan().json(&["api-keys", "deactivate", &prefix], "");
    until("a deactivated key is kept out", async || seen("x-api-key", &key).await == nobody).await;
}

async fn what_the_page_demands_is_asked_for(server: &TestServer) {
    let nginx = Nginx::guarding(PAGE, &server.signet.at("/verify?scope=read"));
    let client = Client::builder().no_proxy().build().unwrap();
    let status = async |key: &str| client.get(nginx.at("/")).header("x-api-key", key).send().await.unwrap().status();
    let person = server.person(&[]);
    assert_eq!(status(&server.api_key(&person, &["read", "write"]).0).await, 200);
    assert_eq!(status(&server.api_key(&person, &["write"]).0).await, 401);
    let answer = server.post("/verify").json(&json!({"token": "x"})).send_checked().await;
    assert_eq!(answer.status, 401, "and Signet itself goes on answering");
}
