//! `GET /users/me`: billing, projects, and a document that another dialect's clients read too.

use serde_json::{Value, json};

use super::{Enveloped, KEYS, Member, key, keys, member, text};
use crate::support::server::{HttpResponse, PASSWORD, SendRequest, TestServer, over_both_stores};

const ME: &str = "/auth/users/me";

over_both_stores!(|plan| plan;
    it_shows_the_account_to_both_kinds_of_client, a_key_shows_its_owner, billing_and_projects_are_as_they_are_now);

async fn me(server: &TestServer, member: &Member) -> Value {
    let answer = server.get(ME).bearer_auth(&member.access).send_checked().await;
    answer.is(200).data();
    answer.json()
}

async fn it_shows_the_account_to_both_kinds_of_client(server: &TestServer) {
    let member = member(server, "shown").await;
    let body = me(server, &member).await;
    let (made, changed) = (text(&body["data"], "created_at"), text(&body["data"], "updated_at"));
    assert!(made.ends_with('Z') && changed >= made, "{body}");
    let both = json!({
        "id": member.id, "email": "shown@example.org", "full_name": null, "is_active": true, "is_superuser": false,
        "is_verified": true, "created_at": made, "updated_at": changed,
    });
    let mut data = both.clone();
    data["projects"] = json!([{"id": member.project, "name": "Personal"}]);
    data["billing"] = json!({"token_balance": 0, "tokens_used": 0, "subscription_tier": null});
    let mut expected = both;
    for (name, value) in [
        ("success", json!(true)),
        ("data", data),
        ("error", Value::Null),
        ("role", json!("user")),
        ("roles", json!([])),
        ("email_validated", json!(true)),
        ("password", json!(false)),
        ("hashed_password", json!(false)),
        ("totp", json!(false)),
        ("created", json!(made)),
        ("modified", json!(changed)),
    ] {
        expected[name] = value;
    }
    assert_eq!(body, expected);
    // With a password and roles.
    let person = server.create_user(&["--role", "editor", "--role", "author", "--superuser"]);
    let access = server.sign_in(&person).await.access;
    let body = server.get(ME).bearer_auth(&access).send_checked().await.is(200).json();
    assert_eq!((&body["role"], &body["roles"]), (&json!("editor"), &json!(["editor", "author"])));
    assert_eq!(
        (&body["password"], &body["is_superuser"], &body["is_verified"]),
        (&true.into(), &true.into(), &false.into())
    );
    assert_eq!(body["data"]["is_superuser"], true);
    let text = body.to_string();
    assert!(!text.contains(PASSWORD) && !text.contains("argon2"), "{text}");
}

async fn a_key_shows_its_owner(server: &TestServer) {
    let member = member(server, "behind-a-key").await;
    let made = key(server, &member, &json!({"name": "a key", "scopes": ["read"]})).await;
    let body = server.get(ME).header("x-api-key", text(&made, "full_key")).send_checked().await.is(200).json();
    assert_eq!(body, me(server, &member).await);
    let end = keys(server, reqwest::Method::DELETE, &format!("{KEYS}{}", text(&made, "id")), &member.project);
    end.bearer_auth(&member.access).send_checked().await.is(200);
    let answer = server.get(ME).header("x-api-key", text(&made, "full_key")).send_checked().await;
    assert_eq!(answer.is(401).header("www-authenticate"), r#"Bearer error="invalid_token""#);
}

async fn billing_and_projects_are_as_they_are_now(server: &TestServer) {
    let member = member(server, "billed").await;
    let root = server.sign_in(&server.create_user(&["--superuser"])).await.access;
    let change = json!({"token_balance": 1000, "tokens_used": 7, "subscription_tier": "pro"});
    let path = format!("/admin/users/{}/billing", member.id);
    server.request(reqwest::Method::PATCH, &path).bearer_auth(&root).json(&change).send_checked().await.is(200);
    let made =
        server.post("/projects").bearer_auth(&member.access).json(&json!({"name": "Weather"})).send_checked().await;
    let data = me(server, &member).await["data"].clone();
    assert_eq!(data["billing"], json!({"token_balance": 1000, "tokens_used": 7, "subscription_tier": "pro"}));
    let project = json!({"id": text(&made.json(), "id"), "name": "Weather"});
    assert_eq!(data["projects"], json!([{"id": member.project, "name": "Personal"}, project]));
}

#[tokio::test]
async fn alone_the_dialect_has_the_call_and_words_its_failures() {
    let server = TestServer::embedded(|plan| {
        ["MYAUTH", "CODES", "UCONTACT", "V1"]
            .into_iter()
            .fold(plan, |plan, dialect| plan.set(&format!("SIGNET_API__{dialect}__ENABLED"), "false"))
    });
    let member = member(&server, "alone").await;
    assert_eq!(me(&server, &member).await["data"]["email"], "alone@example.org");
    let refused = async |request: reqwest::RequestBuilder| -> HttpResponse { request.send_checked().await };
    assert_eq!(refused(server.get(ME)).await.fails(401, "not_authenticated").header("www-authenticate"), "Bearer");
    refused(server.get(ME).bearer_auth("x")).await.fails(401, "invalid_token");
    refused(server.post(ME)).await.fails(405, "method_not_allowed");
    refused(server.get("/auth/users/nobody")).await.fails(404, "not_found");
    server.plan().json(&["users", "disable", &member.email], "");
    refused(server.get(ME).bearer_auth(&member.access)).await.fails(403, "user_disabled");
}
