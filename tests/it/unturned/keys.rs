//! `/api-keys/`: API keys are made, listed and deactivated, in projects of one's own.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Enveloped, KEYS, Member, NOBODY, key, keys, member, text};
use crate::support::server::{HttpResponse, SendRequest, TestServer, over_both_stores};

over_both_stores!(|plan| plan;
    a_key_is_told_once_and_works, it_expires_when_it_should, they_are_listed_in_pages, a_deactivated_one_is_over,
    a_project_is_its_owners, projects_are_apart, through_a_key_one_sees_its_own_project_alone,
    keys_make_no_keys, what_reaches_further_is_for_superusers_to_give, who_asks_must_say_who_it_is);

async fn list(server: &TestServer, member: &Member, query: &str) -> HttpResponse {
    keys(server, Method::GET, &format!("{KEYS}{query}"), &member.project)
        .bearer_auth(&member.access)
        .send_checked()
        .await
}

async fn end(server: &TestServer, member: &Member, id: &str) -> HttpResponse {
    keys(server, Method::DELETE, &format!("{KEYS}{id}"), &member.project)
        .bearer_auth(&member.access)
        .send_checked()
        .await
}

fn named(names: std::ops::Range<u32>) -> Vec<String> {
    names.rev().map(|number| format!("key {number}")).collect()
}

async fn a_key_is_told_once_and_works(server: &TestServer) {
    let member = member(server, "keeper").await;
    let made = key(server, &member, &json!({"name": "nightly build", "scopes": ["builds:read", "builds:write"]})).await;
    let whole = text(&made, "full_key");
    let prefix = text(&made, "prefix");
    assert!(whole.starts_with(&format!("{prefix}_")) && prefix.starts_with("sk_") && prefix.len() == 15, "{made}");
    assert_eq!(made["scopes"], json!(["builds:read", "builds:write"]));
    assert_eq!((&made["is_active"], &made["name"]), (&json!(true), &json!("nightly build")));
    assert_eq!((&made["last_used_at"], &made["expires_at"]), (&Value::Null, &Value::Null));
    assert_eq!(made["created_at"], made["updated_at"]);

    let claims = server.verify(&whole).await.is(200).json()["claims"].clone();
    assert_eq!((&claims["sub"], &claims["client_id"]), (&json!(member.id), &made["id"]));
    assert_eq!((&claims["scope"], &claims["project"]), (&json!("builds:read builds:write"), &json!(member.project)));

    let listed = list(server, &member, "").await.is(200).data()["items"][0].clone();
    assert_eq!(listed["full_key"], Value::Null);
    let mut without = made.clone();
    without["full_key"] = Value::Null;
    assert_eq!(listed, without);
    assert!(!list(server, &member, "").await.text.contains(&whole[16..]));
}

async fn it_expires_when_it_should(server: &TestServer) {
    let member = member(server, "passing").await;
    for (days, expected) in [(json!(1), 1), (json!(36_500), 36_500), (json!("90"), 90)] {
        let made = key(server, &member, &json!({"name": "a key", "expires_in_days": days})).await;
        let claims = server.verify(&text(&made, "full_key")).await.is(200).json()["claims"].clone();
        let lives = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
        assert_eq!(lives, expected * 24 * 60 * 60);
        assert!(text(&made, "expires_at").ends_with('Z'));
    }
    let made = key(server, &member, &json!({"name": "over", "expires_in_days": null, "scopes": null})).await;
    assert_eq!((&made["expires_at"], &made["scopes"]), (&Value::Null, &json!([])));
    // One whose time is over is shown as what it is.
    server.sql("UPDATE api_keys SET expires_at = 1 WHERE name = 'over'").await;
    let listed = list(server, &member, "?limit=1").await.data()["items"][0].clone();
    assert_eq!((&listed["id"], &listed["is_active"]), (&made["id"], &json!(false)));
}

async fn they_are_listed_in_pages(server: &TestServer) {
    let member = member(server, "collector").await;
    let empty = list(server, &member, "").await.is(200).data();
    assert_eq!(empty, json!({"items": [], "pagination": {"page": 1, "limit": 10, "total": 0, "pages": 0}}));
    for name in named(0..12).iter().rev() {
        key(server, &member, &json!({"name": name})).await;
    }
    for (query, page, limit, pages, expected) in [
        ("", 1, 10, 2, named(2..12)),
        ("?page=2", 2, 10, 2, named(0..2)),
        ("?page=3&limit=5", 3, 5, 3, named(0..2)),
        ("?limit=100", 1, 100, 1, named(0..12)),
        ("?page=7", 7, 10, 2, named(0..0)),
        ("?page=9223372036854775807&limit=100", i64::MAX, 100, 1, named(0..0)),
    ] {
        let data = list(server, &member, query).await.is(200).data();
        let names: Vec<_> = data["items"].as_array().unwrap().iter().map(|item| text(item, "name")).collect();
        assert_eq!(names, expected, "{query}");
        assert_eq!(data["pagination"], json!({"page": page, "limit": limit, "total": 12, "pages": pages}), "{query}");
    }
    // A slash at the end may be there or not.
    let same = keys(server, Method::GET, KEYS.trim_end_matches('/'), &member.project).bearer_auth(&member.access);
    assert_eq!(same.send_checked().await.is(200).data()["pagination"]["total"], 12);
}

async fn a_deactivated_one_is_over(server: &TestServer) {
    let member = member(server, "ender").await;
    let (made, other) = (
        key(server, &member, &json!({"name": "a key"})).await,
        key(server, &member, &json!({"name": "another"})).await,
    );
    let (id, whole) = (text(&made, "id"), text(&made, "full_key"));
    server.verify(&whole).await.is(200);
    let answer = end(server, &member, &id).await;
    let data = answer.is(200).data();
    let moment = text(&data, "deactivated_at");
    assert_eq!(data, json!({"id": id, "is_active": false, "deactivated_at": moment}));
    assert_eq!(server.rejection_reason(&whole).await, "unknown_api_key");
    assert_eq!(
        end(server, &member, &id).await.is(200).clone().without_per_response_headers(),
        answer.without_per_response_headers()
    );
    assert_eq!(end(server, &member, &format!("{id}/")).await.is(200).data(), data);
    let items = list(server, &member, "").await.data()["items"].clone();
    let active: Vec<_> = items.as_array().unwrap().iter().map(|item| (&item["id"], &item["is_active"])).collect();
    assert_eq!(active, [(&other["id"], &json!(true)), (&json!(id), &json!(false))]);
    server.verify(&text(&other, "full_key")).await.is(200);
    end(server, &member, NOBODY).await.fails(404, "not_found");
}

async fn a_project_is_its_owners(server: &TestServer) {
    let (owner, other) = (member(server, "project-owner").await, member(server, "project-other").await);
    let made = key(server, &owner, &json!({"name": "a key"})).await;
    let id = text(&made, "id");
    for project in [owner.project.as_str(), NOBODY] {
        let with = |method: Method, path: &str| keys(server, method, path, project).bearer_auth(&other.access);
        with(Method::GET, KEYS).send_checked().await.fails(403, "project_forbidden");
        let body = json!({"name": "a key"});
        with(Method::POST, KEYS).json(&body).send_checked().await.fails(403, "project_forbidden");
        with(Method::DELETE, &format!("{KEYS}{id}")).send_checked().await.fails(403, "project_forbidden");
    }
    // A key of another project is none of this one's.
    end(server, &other, &id).await.fails(404, "not_found");
    server.verify(&text(&made, "full_key")).await.is(200);
}

async fn projects_are_apart(server: &TestServer) {
    let mut member = member(server, "two-projects").await;
    key(server, &member, &json!({"name": "personal"})).await;
    let made =
        server.post("/projects").bearer_auth(&member.access).json(&json!({"name": "Weather"})).send_checked().await;
    member.project = text(&made.is(201).json(), "id");
    assert_eq!(list(server, &member, "").await.data()["pagination"]["total"], 0);
    key(server, &member, &json!({"name": "weather"})).await;
    assert_eq!(list(server, &member, "").await.data()["items"][0]["name"], "weather");
}

async fn through_a_key_one_sees_its_own_project_alone(server: &TestServer) {
    let member = member(server, "by-key").await;
    let made =
        server.post("/projects").bearer_auth(&member.access).json(&json!({"name": "Weather"})).send_checked().await;
    let other = text(&made.is(201).json(), "id");
    let whole = text(&key(server, &member, &json!({"name": "a key", "scopes": ["read"]})).await, "full_key");
    let by_key = |project: &str| keys(server, Method::GET, KEYS, project).header("x-api-key", &whole);
    assert_eq!(by_key(&member.project).send_checked().await.is(200).data()["pagination"]["total"], 1);
    by_key(&other).send_checked().await.fails(403, "project_forbidden");
    by_key(NOBODY).send_checked().await.fails(403, "project_forbidden");
    let bearer = keys(server, Method::GET, KEYS, &member.project).bearer_auth(&whole);
    bearer.send_checked().await.is(200).data();
}

async fn keys_make_no_keys(server: &TestServer) {
    let member = member(server, "no-offspring").await;
    let made = key(server, &member, &json!({"name": "a key"})).await;
    let (id, whole) = (text(&made, "id"), text(&made, "full_key"));
    let (body, one) = (json!({"name": "another"}), format!("{KEYS}{id}"));
    for (method, path) in [(Method::POST, KEYS), (Method::DELETE, one.as_str())] {
        let request = || keys(server, method.clone(), path, &member.project).json(&body);
        request().bearer_auth(&whole).send_checked().await.fails(403, "forbidden");
        request().header("x-api-key", &whole).send_checked().await.fails(401, "not_authenticated");
    }
    let fields = [("grant_type", "client_credentials"), ("client_secret", whole.as_str())];
    let token = text(&server.form("/oauth/token", &fields).await.is(200).json(), "access_token");
    let made = keys(server, Method::POST, KEYS, &member.project).bearer_auth(&token).json(&body);
    made.send_checked().await.fails(403, "forbidden");
    assert_eq!(list(server, &member, "").await.data()["pagination"]["total"], 1);
}

async fn what_reaches_further_is_for_superusers_to_give(server: &TestServer) {
    let plain = member(server, "plain").await;
    let root = server.create_user(&["--superuser"]);
    let (access, refresh) = super::signed_in(server, &root.email).await;
    let projects = server.get("/projects").bearer_auth(&access).send_checked().await.json();
    let project = text(&projects["projects"][0], "id");
    let root = Member { id: root.id, email: root.email, project, access, refresh };
    for scope in ["admin", "billing:write"] {
        let body = json!({"name": "a key", "scopes": ["read", scope]});
        let wanted = keys(server, Method::POST, KEYS, &plain.project).bearer_auth(&plain.access).json(&body);
        wanted.send_checked().await.fails(403, "forbidden");
        assert_eq!(key(server, &root, &body).await["scopes"], json!(["read", scope]));
    }
}

async fn who_asks_must_say_who_it_is(server: &TestServer) {
    let member = member(server, "asking").await;
    let one = format!("{KEYS}{NOBODY}");
    for (method, path) in [(Method::GET, KEYS), (Method::POST, KEYS), (Method::DELETE, one.as_str())] {
        let request = || keys(server, method.clone(), path, &member.project);
        let answer = request().send_checked().await;
        assert_eq!(answer.fails(401, "not_authenticated").header("www-authenticate"), "Bearer");
        for bad in ["x", &member.refresh, "sk_0123456789ab_0_0"] {
            let answer = request().bearer_auth(bad).send_checked().await;
            let challenge = answer.fails(401, "invalid_token").header("www-authenticate");
            assert_eq!(challenge, r#"Bearer error="invalid_token""#);
        }
    }
    let bad_key = keys(server, Method::GET, KEYS, &member.project).header("x-api-key", "sk_x");
    bad_key.send_checked().await.fails(401, "invalid_token");
}
