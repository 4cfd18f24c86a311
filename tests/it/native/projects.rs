//! `/projects`: every user has a personal project, and can create more.

use serde_json::{Value, json};

use crate::support::server::{SendRequest, TestServer, over_both_stores};

over_both_stores!(|plan| plan; user_has_a_personal_project_and_creates_more, invalid_project_names_are_rejected,
    user_has_at_most_a_hundred_projects, user_has_at_most_a_thousand_active_keys, projects_need_a_user_session);

async fn list_projects(server: &TestServer, access: &str) -> Vec<Value> {
    let response = server.get("/projects").bearer_auth(access).send_checked().await;
    assert_eq!(response.is(200).header("cache-control"), "no-store");
    response.json()["projects"].as_array().unwrap().clone()
}

async fn user_has_a_personal_project_and_creates_more(server: &TestServer) {
    let (one, other) = (server.create_user(&[]), server.create_user(&[]));
    let access = server.sign_in(&one).await.access;
    let mut expected = list_projects(server, &access).await;
    assert_eq!((expected.len(), &expected[0]["name"]), (1, &json!("Personal")));
    for name in ["Weather", "Weather", &"\u{e9}".repeat(100)] {
        let created = server
            .post("/projects")
            .bearer_auth(&access)
            .json(&json!({"name": name}))
            .send_checked()
            .await
            .is(201)
            .json();
        assert_eq!(created, json!({"id": created["id"], "name": name}));
        expected.push(created);
    }
    // Projects created in the same millisecond have no defined order.
    let sorted = |mut projects: Vec<Value>| {
        projects.sort_by_key(|project| project["id"].as_str().map(str::to_owned));
        projects
    };
    let all = list_projects(server, &access).await;
    assert_eq!(all[0]["name"], "Personal");
    assert_eq!(sorted(all), sorted(expected));
    let access = server.sign_in(&other).await.access;
    assert_eq!(list_projects(server, &access).await.len(), 1);
}

async fn invalid_project_names_are_rejected(server: &TestServer) {
    let access = server.sign_in(&server.create_user(&[])).await.access;
    for bad in [
        json!({}),
        json!({"name": 1}),
        json!({"name": " "}),
        json!({"name": "a\u{0}"}),
        json!({"name": "x".repeat(101)}),
    ] {
        server.post("/projects").bearer_auth(&access).json(&bad).send_checked().await.is_problem(400, "invalid_fields");
    }
    assert_eq!(list_projects(server, &access).await.len(), 1);
}

async fn user_has_at_most_a_hundred_projects(server: &TestServer) {
    let access = server.sign_in(&server.create_user(&[])).await.access;
    let create =
        async || server.post("/projects").bearer_auth(&access).json(&json!({"name": "One more"})).send_checked().await;
    for _ in 1..100 {
        create().await.is(201);
    }
    create().await.is_problem(403, "forbidden");
    assert_eq!(list_projects(server, &access).await.len(), 100);
}

async fn user_has_at_most_a_thousand_active_keys(server: &TestServer) {
    let user = server.create_user(&[]);
    let (access, (_, prefix)) = (server.sign_in(&user).await.access, server.api_key(&user, &[]));
    server.copy_api_key(&prefix, 999).await;
    let keys = "/projects/personal/api-keys";
    let create =
        async || server.post(keys).bearer_auth(&access).json(&json!({"name": "One more"})).send_checked().await;
    create().await.is_problem(403, "too_many_api_keys");
    server.plan().json(&["api-keys", "deactivate", &prefix], "");
    create().await.is(201);
}

async fn projects_need_a_user_session(server: &TestServer) {
    let user = server.create_user(&[]);
    let (key, _) = server.api_key(&user, &[]);
    server.get("/projects").send_checked().await.is_problem(401, "missing_credentials");
    server.get("/projects").bearer_auth("x").send_checked().await.is_problem(401, "invalid_token");
    server.get("/projects").bearer_auth(&key).send_checked().await.is_problem(403, "forbidden");
    let created = server.post("/projects").bearer_auth(&key).json(&json!({"name": "Weather"})).send_checked().await;
    created.is_problem(403, "forbidden");
}
