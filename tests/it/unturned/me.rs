//! `GET /users/me`: the account with billing and projects, in a body that `myauth` clients read too.

use serde_json::{Value, json};

use super::{KEYS, Member, UnturnedResponse, create_key, keys_request, member, text};
use crate::support::server::{HttpResponse, PASSWORD, SendRequest, TestServer, over_both_stores};

const ME: &str = "/auth/users/me";

over_both_stores!(
    |plan| plan;
    response_serves_both_kinds_of_client,
    api_key_returns_its_owner,
    billing_and_projects_are_current,
);

async fn me(server: &TestServer, member: &Member) -> Value {
    let response = server.get(ME).bearer_auth(&member.access).send_checked().await;
    response.is(200).data();
    response.json()
}

async fn response_serves_both_kinds_of_client(server: &TestServer) {
    let member = member(server, "shown").await;
    let body = me(server, &member).await;
    let (created, updated) = (text(&body["data"], "created_at"), text(&body["data"], "updated_at"));
    assert!(created.ends_with('Z') && updated >= created, "{body}");
    let shared = json!({
        "id": member.id, "email": "shown@example.org", "full_name": null, "is_active": true, "is_superuser": false,
        "is_verified": true, "created_at": created, "updated_at": updated,
    });
    let mut data = shared.clone();
    data["projects"] = json!([{"id": member.project, "name": "Personal"}]);
    data["billing"] = json!({"token_balance": 0, "tokens_used": 0, "subscription_tier": null});
    let mut expected = shared;
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
        ("totp_secret", json!(false)),
        ("created", json!(created)),
        ("modified", json!(updated)),
    ] {
        expected[name] = value;
    }
    assert_eq!(body, expected);
    // A user with a password and roles.
    let user = server.create_user(&["--role", "editor", "--role", "author", "--superuser"]);
    let access = server.sign_in(&user).await.access;
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

async fn api_key_returns_its_owner(server: &TestServer) {
    let member = member(server, "behind-a-key").await;
    let created = create_key(server, &member, &json!({"name": "a key", "scopes": ["read"]})).await;
    let body = server.get(ME).header("x-api-key", text(&created, "full_key")).send_checked().await.is(200).json();
    assert_eq!(body, me(server, &member).await);
    let deactivate =
        keys_request(server, reqwest::Method::DELETE, &format!("{KEYS}{}", text(&created, "id")), &member.project);
    deactivate.bearer_auth(&member.access).send_checked().await.is(200);
    let response = server.get(ME).header("x-api-key", text(&created, "full_key")).send_checked().await;
    assert_eq!(response.is(401).header("www-authenticate"), r#"Bearer error="invalid_token""#);
}

async fn billing_and_projects_are_current(server: &TestServer) {
    let member = member(server, "billed").await;
    let root = server.sign_in(&server.create_user(&["--superuser"])).await.access;
    let update = json!({"token_balance": 1000, "tokens_used": 7, "subscription_tier": "pro"});
    let path = format!("/admin/users/{}/billing", member.id);
    server.request(reqwest::Method::PATCH, &path).bearer_auth(&root).json(&update).send_checked().await.is(200);
    let created =
        server.post("/projects").bearer_auth(&member.access).json(&json!({"name": "Weather"})).send_checked().await;
    let data = me(server, &member).await["data"].clone();
    assert_eq!(data["billing"], json!({"token_balance": 1000, "tokens_used": 7, "subscription_tier": "pro"}));
    let project = json!({"id": text(&created.json(), "id"), "name": "Weather"});
    assert_eq!(data["projects"], json!([{"id": member.project, "name": "Personal"}, project]));
}

#[tokio::test]
async fn dialect_alone_serves_the_call_and_its_errors() {
    let server = TestServer::embedded(|plan| {
        ["MYAUTH", "CODES", "UCONTACT", "V1"]
            .into_iter()
            .fold(plan, |plan, dialect| plan.set(&format!("SIGNET_API__{dialect}__ENABLED"), "false"))
    });
    let member = member(&server, "alone").await;
    assert_eq!(me(&server, &member).await["data"]["email"], "alone@example.org");
    let send = async |request: reqwest::RequestBuilder| -> HttpResponse { request.send_checked().await };
    assert_eq!(send(server.get(ME)).await.is_error(401, "not_authenticated").header("www-authenticate"), "Bearer");
    send(server.get(ME).bearer_auth("x")).await.is_error(401, "invalid_token");
    send(server.post(ME)).await.is_error(405, "method_not_allowed");
    send(server.get("/auth/users/nobody")).await.is_error(404, "not_found");
    server.plan().json(&["users", "disable", &member.email], "");
    send(server.get(ME).bearer_auth(&member.access)).await.is_error(403, "user_disabled");
}
