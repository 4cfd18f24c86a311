//! `client_id` in the tokens of users (RFC 9068, 2.2), and what tells programs from people besides.

use serde_json::{Value, json};

use crate::support::every_token::{TokenKind, TokenSet};
use crate::support::forge::{decode, sign, signing_key, with};
use crate::support::server::{SendRequest, TestServer};

#[tokio::test]
async fn every_access_token_has_a_client_id() {
    let server = TestServer::embedded(|plan| plan.set("SIGNET_TOKENS__CLIENT_ID", "our \"app\""));
    let set = TokenSet::make(&server).await;
    for token in set.tokens.iter().filter(|token| token.kind.is_access()) {
        let claims = decode(&token.text).1;
        let (subject, other) = match token.kind {
            TokenKind::Client => ("client", "user"),
            _ => ("user", "client"),
        };
        let is_key = claims["client_id"].as_str().unwrap().parse::<uuid::Uuid>().is_ok();
        assert_eq!(is_key, subject == "client", "{claims}");
        assert!(is_key || claims["client_id"] == "our \"app\"", "{claims}");
        assert_eq!(claims["sid"].is_null(), is_key, "{claims}");
        for (demanded, status) in [(subject, 200), (other, 401)] {
            let body = json!({"token": token.text, "subject": demanded});
            server.post("/verify").json(&body).send_checked().await.is(status);
        }
    }
}

/// While a fleet is upgraded, and for the lifetime of the tokens after that.
#[tokio::test]
async fn tokens_of_users_without_client_id_are_of_users() {
    let server = TestServer::embedded(|plan| plan);
    let access = server.sign_in(&server.create_user(&[])).await.access;
    let ((key, _), (header, claims)) = (signing_key(&server), decode(&access));
    assert_eq!(claims["client_id"], "signet");
    let id = "019a8b1c-2d3e-7f40-8a1b-2c3d4e5f6071";
    for (client_id, session, subject) in [
        (Value::Null, &claims["sid"], "user"),
        (json!("another name"), &claims["sid"], "user"),
        (json!(id), &Value::Null, "client"),
    ] {
        let token = sign(&key, &header, &with(claims.clone(), &json!({"client_id": client_id, "sid": session})));
        for (demanded, status) in [("user", 200), ("client", 200)] {
            let status = if demanded == subject { status } else { 401 };
            let body = json!({"token": token, "subject": demanded});
            server.post("/verify").json(&body).send_checked().await.is(status);
        }
    }
}

#[tokio::test]
async fn client_id_can_be_left_out() {
    let server = TestServer::embedded(|plan| plan.set("SIGNET_TOKENS__CLIENT_ID", "off"));
    let user = server.create_user(&[]);
    assert_eq!(decode(&server.sign_in(&user).await.access).1["client_id"], Value::Null);
    let (key, _) = server.api_key(&user, &["read"]);
    assert!(decode(&server.client_token(&key).await).1["client_id"].is_string());
}
