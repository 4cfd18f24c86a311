//! `/api-keys/`: a user creates, lists and deactivates the API keys of its projects.

use reqwest::Method;
use serde_json::{Value, json};

use super::{KEYS, Member, UNKNOWN_ID, UnturnedResponse, create_key, keys_request, member, text};
use crate::support::server::{HttpResponse, SendRequest, TestServer, over_both_stores};

over_both_stores!(
    |plan| plan;
    full_key_is_returned_once_and_works,
    key_expires_after_the_requested_days,
    keys_are_listed_in_pages,
    deactivated_key_is_refused,
    other_users_projects_are_forbidden,
    keys_belong_to_one_project,
    key_lists_its_own_project_only,
    keys_cannot_create_or_deactivate_keys,
    reserved_scopes_are_for_superusers,
    user_has_at_most_a_thousand_active_keys,
    calls_need_valid_credentials,
    each_call_accepts_only_its_kinds_of_credentials,
);

async fn list(server: &TestServer, member: &Member, query: &str) -> HttpResponse {
    keys_request(server, Method::GET, &format!("{KEYS}{query}"), &member.project)
        .bearer_auth(&member.access)
        .send_checked()
        .await
}

async fn deactivate(server: &TestServer, member: &Member, id: &str) -> HttpResponse {
    keys_request(server, Method::DELETE, &format!("{KEYS}{id}"), &member.project)
        .bearer_auth(&member.access)
        .send_checked()
        .await
}

fn key_names(names: std::ops::Range<u32>) -> Vec<String> {
    names.rev().map(|number| format!("key {number}")).collect()
}

async fn full_key_is_returned_once_and_works(server: &TestServer) {
    let member = member(server, "keeper").await;
    let created =
        create_key(server, &member, &json!({"name": "nightly build", "scopes": ["builds:read", "builds:write"]})).await;
    let full_key = text(&created, "full_key");
    let prefix = text(&created, "prefix");
    assert!(
        full_key.starts_with(&format!("{prefix}_")) && prefix.starts_with("sk_") && prefix.len() == 15,
        "{created}"
    );
    assert_eq!(created["scopes"], json!(["builds:read", "builds:write"]));
    assert_eq!((&created["is_active"], &created["name"]), (&json!(true), &json!("nightly build")));
    assert_eq!((&created["last_used_at"], &created["expires_at"]), (&Value::Null, &Value::Null));
    assert_eq!(created["created_at"], created["updated_at"]);

    let claims = server.verify(&full_key).await.is(200).json()["claims"].clone();
    assert_eq!((&claims["sub"], &claims["client_id"]), (&json!(member.id), &created["id"]));
    assert_eq!((&claims["scope"], &claims["project"]), (&json!("builds:read builds:write"), &json!(member.project)));

    let listed = list(server, &member, "").await.is(200).data()["items"][0].clone();
    assert_eq!(listed["full_key"], Value::Null);
    let mut expected = created.clone();
    expected["full_key"] = Value::Null;
    assert_eq!(listed, expected);
    assert!(!list(server, &member, "").await.text.contains(&full_key[16..]));
}

async fn key_expires_after_the_requested_days(server: &TestServer) {
    let member = member(server, "passing").await;
    for (days, expected) in [(json!(1), 1), (json!(36_500), 36_500), (json!("90"), 90)] {
        let created = create_key(server, &member, &json!({"name": "a key", "expires_in_days": days})).await;
        let claims = server.verify(&text(&created, "full_key")).await.is(200).json()["claims"].clone();
        let lifetime = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
        assert_eq!(lifetime, expected * 24 * 60 * 60);
        assert!(text(&created, "expires_at").ends_with('Z'));
    }
    let created = create_key(server, &member, &json!({"name": "over", "expires_in_days": null, "scopes": null})).await;
    assert_eq!((&created["expires_at"], &created["scopes"]), (&Value::Null, &json!([])));
    // An expired key is listed as inactive.
    server.sql("UPDATE api_keys SET expires_at = 1 WHERE name = 'over'").await;
    let listed = list(server, &member, "?limit=1").await.data()["items"][0].clone();
    assert_eq!((&listed["id"], &listed["is_active"]), (&created["id"], &json!(false)));
}

async fn keys_are_listed_in_pages(server: &TestServer) {
    let member = member(server, "collector").await;
    let empty = list(server, &member, "").await.is(200).data();
    assert_eq!(empty, json!({"items": [], "pagination": {"page": 1, "limit": 10, "total": 0, "pages": 0}}));
    for name in key_names(0..12).iter().rev() {
        create_key(server, &member, &json!({"name": name})).await;
    }
    for (query, page, limit, pages, expected) in [
        ("", 1, 10, 2, key_names(2..12)),
        ("?page=2", 2, 10, 2, key_names(0..2)),
        ("?page=3&limit=5", 3, 5, 3, key_names(0..2)),
        ("?limit=100", 1, 100, 1, key_names(0..12)),
        ("?page=7", 7, 10, 2, key_names(0..0)),
        ("?page=9223372036854775807&limit=100", i64::MAX, 100, 1, key_names(0..0)),
    ] {
        let data = list(server, &member, query).await.is(200).data();
        let names: Vec<_> = data["items"].as_array().unwrap().iter().map(|item| text(item, "name")).collect();
        assert_eq!(names, expected, "{query}");
        assert_eq!(data["pagination"], json!({"page": page, "limit": limit, "total": 12, "pages": pages}), "{query}");
    }
    // The trailing slash is optional.
    let without_slash =
        keys_request(server, Method::GET, KEYS.trim_end_matches('/'), &member.project).bearer_auth(&member.access);
    assert_eq!(without_slash.send_checked().await.is(200).data()["pagination"]["total"], 12);
}

async fn deactivated_key_is_refused(server: &TestServer) {
    let member = member(server, "ender").await;
    let (created, other) = (
        create_key(server, &member, &json!({"name": "a key"})).await,
        create_key(server, &member, &json!({"name": "another"})).await,
    );
    let (id, full_key) = (text(&created, "id"), text(&created, "full_key"));
    server.verify(&full_key).await.is(200);
    let response = deactivate(server, &member, &id).await;
    let data = response.is(200).data();
    let deactivated_at = text(&data, "deactivated_at");
    assert_eq!(data, json!({"id": id, "is_active": false, "deactivated_at": deactivated_at}));
    assert_eq!(server.rejection_reason(&full_key).await, "unknown_api_key");
    assert_eq!(
        deactivate(server, &member, &id).await.is(200).clone().without_per_response_headers(),
        response.without_per_response_headers()
    );
    assert_eq!(deactivate(server, &member, &format!("{id}/")).await.is(200).data(), data);
    let items = list(server, &member, "").await.data()["items"].clone();
    let active: Vec<_> = items.as_array().unwrap().iter().map(|item| (&item["id"], &item["is_active"])).collect();
    assert_eq!(active, [(&other["id"], &json!(true)), (&json!(id), &json!(false))]);
    server.verify(&text(&other, "full_key")).await.is(200);
    deactivate(server, &member, UNKNOWN_ID).await.is_error(404, "not_found");
}

async fn other_users_projects_are_forbidden(server: &TestServer) {
    let (owner, other) = (member(server, "project-owner").await, member(server, "project-other").await);
    let created = create_key(server, &owner, &json!({"name": "a key"})).await;
    let id = text(&created, "id");
    for project in [owner.project.as_str(), UNKNOWN_ID] {
        let request =
            |method: Method, path: &str| keys_request(server, method, path, project).bearer_auth(&other.access);
        request(Method::GET, KEYS).send_checked().await.is_error(403, "project_forbidden");
        let body = json!({"name": "a key"});
        request(Method::POST, KEYS).json(&body).send_checked().await.is_error(403, "project_forbidden");
        request(Method::DELETE, &format!("{KEYS}{id}")).send_checked().await.is_error(403, "project_forbidden");
    }
    // The key belongs to another project.
    deactivate(server, &other, &id).await.is_error(404, "not_found");
    server.verify(&text(&created, "full_key")).await.is(200);
}

async fn keys_belong_to_one_project(server: &TestServer) {
    let mut member = member(server, "two-projects").await;
    create_key(server, &member, &json!({"name": "personal"})).await;
    let created =
        server.post("/projects").bearer_auth(&member.access).json(&json!({"name": "Weather"})).send_checked().await;
    member.project = text(&created.is(201).json(), "id");
    assert_eq!(list(server, &member, "").await.data()["pagination"]["total"], 0);
    create_key(server, &member, &json!({"name": "weather"})).await;
    assert_eq!(list(server, &member, "").await.data()["items"][0]["name"], "weather");
}

async fn key_lists_its_own_project_only(server: &TestServer) {
    let member = member(server, "by-key").await;
    let created =
        server.post("/projects").bearer_auth(&member.access).json(&json!({"name": "Weather"})).send_checked().await;
    let other = text(&created.is(201).json(), "id");
    let full_key = text(&create_key(server, &member, &json!({"name": "a key", "scopes": ["read"]})).await, "full_key");
    let by_key = |project: &str| keys_request(server, Method::GET, KEYS, project).header("x-api-key", &full_key);
    assert_eq!(by_key(&member.project).send_checked().await.is(200).data()["pagination"]["total"], 1);
    by_key(&other).send_checked().await.is_error(403, "project_forbidden");
    by_key(UNKNOWN_ID).send_checked().await.is_error(403, "project_forbidden");
    let bearer = keys_request(server, Method::GET, KEYS, &member.project).bearer_auth(&full_key);
    bearer.send_checked().await.is(200).data();
}

async fn keys_cannot_create_or_deactivate_keys(server: &TestServer) {
    let member = member(server, "no-offspring").await;
    let created = create_key(server, &member, &json!({"name": "a key"})).await;
    let (id, full_key) = (text(&created, "id"), text(&created, "full_key"));
    let (body, one) = (json!({"name": "another"}), format!("{KEYS}{id}"));
    for (method, path) in [(Method::POST, KEYS), (Method::DELETE, one.as_str())] {
        let request = || keys_request(server, method.clone(), path, &member.project).json(&body);
        request().bearer_auth(&full_key).send_checked().await.is_error(403, "forbidden");
        let response = request().header("x-api-key", &full_key).send_checked().await;
        response.is_error(401, "not_authenticated");
        let message = response.json()["error"]["message"].clone();
        assert_eq!(message, "An API key cannot do this. Sign in, and send the access token.");
    }
    let token = server.client_token(&full_key).await;
    let created = keys_request(server, Method::POST, KEYS, &member.project).bearer_auth(&token).json(&body);
    created.send_checked().await.is_error(403, "forbidden");
    assert_eq!(list(server, &member, "").await.data()["pagination"]["total"], 1);
}

async fn reserved_scopes_are_for_superusers(server: &TestServer) {
    let plain = member(server, "plain").await;
    let root = server.create_user(&["--superuser"]);
    let (access, refresh) = super::sign_in(server, &root.email).await;
    let projects = server.get("/projects").bearer_auth(&access).send_checked().await.json();
    let project = text(&projects["projects"][0], "id");
    let root = Member { id: root.id, email: root.email, project, access, refresh };
    for scope in ["admin", "billing:write"] {
        let body = json!({"name": "a key", "scopes": ["read", scope]});
        let request = keys_request(server, Method::POST, KEYS, &plain.project).bearer_auth(&plain.access).json(&body);
        request.send_checked().await.is_error(403, "forbidden");
        assert_eq!(create_key(server, &root, &body).await["scopes"], json!(["read", scope]));
    }
}

async fn user_has_at_most_a_thousand_active_keys(server: &TestServer) {
    let member = member(server, "collector").await;
    let body = json!({"name": "one more"});
    let created = create_key(server, &member, &body).await;
    server.copy_api_key(&text(&created, "prefix"), 999).await;
    let create = async || {
        let request = keys_request(server, Method::POST, KEYS, &member.project).bearer_auth(&member.access);
        request.json(&body).send_checked().await
    };
    create().await.is_error(403, "too_many_api_keys");
    deactivate(server, &member, &text(&created, "id")).await.is(200);
    create().await.is(201);
}

async fn calls_need_valid_credentials(server: &TestServer) {
    let member = member(server, "asking").await;
    let one = format!("{KEYS}{UNKNOWN_ID}");
    for (method, path) in [(Method::GET, KEYS), (Method::POST, KEYS), (Method::DELETE, one.as_str())] {
        let request = || keys_request(server, method.clone(), path, &member.project);
        let response = request().send_checked().await;
        assert_eq!(response.is_error(401, "not_authenticated").header("www-authenticate"), "Bearer");
        for bad in ["x", &member.refresh, "sk_0123456789ab_0_0"] {
            let response = request().bearer_auth(bad).send_checked().await;
            let challenge = response.is_error(401, "invalid_token").header("www-authenticate");
            assert_eq!(challenge, r#"Bearer error="invalid_token""#);
        }
    }
    let bad_key = keys_request(server, Method::GET, KEYS, &member.project).header("x-api-key", "sk_x");
    bad_key.send_checked().await.is_error(401, "invalid_token");
}

/// A session may do everything, an API key may list, and a token that was issued for a key may do nothing.
async fn each_call_accepts_only_its_kinds_of_credentials(server: &TestServer) {
    let member = member(server, "kinds").await;
    let created = create_key(server, &member, &json!({"name": "a key", "scopes": ["read"]})).await;
    let (id, key) = (text(&created, "id"), text(&created, "full_key"));
    let of_key = server.client_token(&key).await;
    let one = format!("{KEYS}{id}");
    for (method, path, of_session, of_a_key) in
        [(Method::GET, KEYS, 200, 200), (Method::POST, KEYS, 201, 403), (Method::DELETE, one.as_str(), 200, 403)]
    {
        let request = || {
            let request = keys_request(server, method.clone(), path, &member.project);
            request.json(&json!({"name": "another"}))
        };
        request().bearer_auth(&of_key).send_checked().await.is_error(403, "forbidden");
        request().bearer_auth(&member.refresh).send_checked().await.is_error(401, "invalid_token");
        for token in [&of_key, &member.refresh, &member.access] {
            let response = request().header("x-api-key", token).send_checked().await;
            assert_eq!(response.status, 401, "an API key belongs there: {response:?}");
        }
        request().bearer_auth(&key).send_checked().await.is(of_a_key);
        request().bearer_auth(&member.access).send_checked().await.is(of_session);
    }
}
