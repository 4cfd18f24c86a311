//! `/projects`: a personal one from the start, and more.

use serde_json::{Value, json};

use crate::support::server::{SendRequest, TestServer, over_both_stores};

over_both_stores!(|plan| plan; everybody_has_one_and_may_make_more, a_person_has_a_hundred_at_the_most, they_are_a_persons);

async fn listed(server: &TestServer, access: &str) -> Vec<Value> {
    let answer = server.get("/projects").bearer_auth(access).send_checked().await;
    assert_eq!(answer.is(200).header("cache-control"), "no-store");
    answer.json()["projects"].as_array().unwrap().clone()
}

async fn everybody_has_one_and_may_make_more(server: &TestServer) {
    let (one, other) = (server.person(&[]), server.person(&[]));
    let access = server.sign_in(&one).await.access;
    let first = listed(server, &access).await;
    assert_eq!((first.len(), &first[0]["name"]), (1, &json!("Personal")));
    let mut expected = first;
    for name in ["Weather", "Weather", &"\u{e9}".repeat(100)] {
        let made = server
            .post("/projects")
            .bearer_auth(&access)
            .json(&json!({"name": name}))
            .send_checked()
            .await
            .is(201)
            .json();
        assert_eq!(made, json!({"id": made["id"], "name": name}));
        expected.push(made);
    }
    // Those of one millisecond are in no order.
    let sorted = |mut projects: Vec<Value>| {
        projects.sort_by_key(|project| project["id"].as_str().map(str::to_owned));
        projects
    };
    let all = listed(server, &access).await;
    assert_eq!(all[0]["name"], "Personal");
    assert_eq!(sorted(all), sorted(expected));
    let access = server.sign_in(&other).await.access;
    assert_eq!(listed(server, &access).await.len(), 1);
    for bad in [
        json!({}),
        json!({"name": 1}),
        json!({"name": " "}),
        json!({"name": "a\u{0}"}),
        json!({"name": "x".repeat(101)}),
    ] {
        server.post("/projects").bearer_auth(&access).json(&bad).send_checked().await.is_problem(400, "fields");
    }
    assert_eq!(listed(server, &access).await.len(), 1);
}

async fn a_person_has_a_hundred_at_the_most(server: &TestServer) {
    let access = server.sign_in(&server.person(&[])).await.access;
    let make =
        async || server.post("/projects").bearer_auth(&access).json(&json!({"name": "One more"})).send_checked().await;
    for _ in 1..100 {
        make().await.is(201);
    }
    make().await.is_problem(403, "not-permitted");
    assert_eq!(listed(server, &access).await.len(), 100);
}

async fn they_are_a_persons(server: &TestServer) {
    let person = server.person(&[]);
    let (key, _) = server.api_key(&person, &[]);
    server.get("/projects").send_checked().await.is_problem(401, "no-credentials");
    server.get("/projects").bearer_auth("x").send_checked().await.is_problem(401, "bad-credentials");
    server.get("/projects").bearer_auth(&key).send_checked().await.is_problem(403, "not-permitted");
    let made = server.post("/projects").bearer_auth(&key).json(&json!({"name": "Weather"})).send_checked().await;
    made.is_problem(403, "not-permitted");
}
