//! `/admin/users/{id}`: reading and changing a user.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::server::{HttpResponse, SendRequest, TestServer, over_both_stores};

over_both_stores!(|plan| plan;
    superuser_reads_and_changes_a_user, lost_rights_end_sessions, invalid_changes_are_refused,
    other_callers_are_forbidden);

async fn patch(server: &TestServer, bearer: &str, user: &str, body: &Value) -> HttpResponse {
    server.request(Method::PATCH, &format!("/admin/users/{user}")).bearer_auth(bearer).json(body).send_checked().await
}

async fn superuser_reads_and_changes_a_user(server: &TestServer) {
    let root = server.create_user(&["--superuser"]);
    let (access, (key, _)) = (server.sign_in(&root).await.access, server.api_key(&root, &["admin"]));
    let user = server.create_user(&["--verified", "--role", "editor"]);
    for bearer in [&access, &key] {
        let before = server.get(&format!("/admin/users/{}", user.id)).bearer_auth(bearer).send_checked().await;
        assert_eq!(before.is(200).header("cache-control"), "no-store");
        let mut expected = before.json();
        assert_eq!((&expected["id"], &expected["email"]), (&json!(user.id), &json!(user.email)));
        assert!(!before.text.contains("argon2"));
        for (body, field, value) in [
            (json!({"claims": {"plan": "pro", "a": [1]}}), "claims", json!({"a": [1], "plan": "pro"})),
            (json!({"roles": ["editor", "author", "editor"], "unknown": 1}), "roles", json!(["editor", "author"])),
            (json!({"superuser": true, "claims": null}), "superuser", json!(true)),
            (json!({"superuser": false}), "superuser", json!(false)),
            (json!({"disabled": true}), "disabled", json!(true)),
            (json!({"disabled": false}), "disabled", json!(false)),
            (json!({}), "verified", json!(true)),
        ] {
            let after = patch(server, bearer, &user.id, &body).await.is(200).json();
            expected[field] = value;
            if body.get("claims") == Some(&Value::Null) {
                expected["claims"] = json!({});
            }
            expected["updated_at"] = after["updated_at"].clone();
            assert_eq!(after, expected, "{body}");
            let row = server.plan().json(&["users", "show", &user.email], "");
            for (name, value) in after.as_object().unwrap() {
                assert_eq!(*value, row[name], "{name}");
            }
        }
        patch(server, bearer, &user.id, &json!({"roles": ["editor"]})).await.is(200);
    }
    for unknown in ["x", "00000000-0000-7000-8000-000000000000"] {
        patch(server, &access, unknown, &json!({})).await.is_problem(404, "not_found");
        let path = format!("/admin/users/{unknown}");
        server.get(&path).bearer_auth(&access).send_checked().await.is_problem(404, "not_found");
    }
}

async fn lost_rights_end_sessions(server: &TestServer) {
    let root = server.sign_in(&server.create_user(&["--superuser"])).await.access;
    let user = server.create_user(&["--role", "editor"]);
    for (body, ends) in [
        (json!({"claims": {"plan": "pro"}}), false),
        (json!({"roles": ["editor", "author"]}), false),
        (json!({"roles": ["author"]}), true),
        (json!({"superuser": true}), false),
        (json!({"superuser": false}), true),
        (json!({"disabled": true}), true),
    ] {
        let access = server.sign_in(&user).await.access;
        patch(server, &root, &user.id, &body).await.is(200);
        server.verify(&access).await.is(if ends { 401 } else { 200 });
    }
}

async fn invalid_changes_are_refused(server: &TestServer) {
    let root = server.sign_in(&server.create_user(&["--superuser"])).await.access;
    let user = server.create_user(&["--claims", r#"{"plan":"pro"}"#]);
    let nested = |depth: usize| format!(r#"{{"a":{}{}}}"#, "[".repeat(depth - 1), "]".repeat(depth - 1));
    let many: Vec<u8> = vec![1; 64];
    for (body, why) in [
        (json!({"claims": {"sub": "x"}}), "reserved"),
        (json!({"claims": {"": "x"}}), "empty name"),
        (json!({"claims": {"a": "x".repeat(1024)}}), "1024 bytes"),
        (json!({"claims": {"a": many}}), "64 values"),
        (json!({"claims": serde_json::from_str::<Value>(&nested(5)).unwrap()}), "4 levels"),
        (json!({"claims": []}), "claims"),
        (json!({"claims": "{}"}), "claims"),
        (json!({"roles": [""]}), "roles"),
        (json!({"roles": ["x".repeat(65)]}), "roles"),
        (json!({"roles": vec!["x"; 33]}), "roles"),
        (json!({"roles": null, "superuser": "yes"}), "superuser"),
        (json!({"disabled": 1}), "disabled"),
    ] {
        let response = patch(server, &root, &user.id, &body).await;
        response.is_problem(400, "invalid_fields");
        assert!(response.text.contains(why), "{body}: {}", response.text);
    }
    assert_eq!(server.plan().json(&["users", "show", &user.email], "")["claims"], json!({"plan": "pro"}));
}

async fn other_callers_are_forbidden(server: &TestServer) {
    let user = server.create_user(&["--role", "admin"]);
    let (access, (key, _)) = (server.sign_in(&user).await.access, server.api_key(&user, &["admin"]));
    let (narrow_key, _) = server.api_key(&server.create_user(&["--superuser"]), &["read"]);
    let path = format!("/admin/users/{}", user.id);
    for bearer in [&access, &key, &narrow_key] {
        server.get(&path).bearer_auth(bearer).send_checked().await.is_problem(403, "forbidden");
        // Before the body is read.
        patch(server, bearer, &user.id, &json!([])).await.is_problem(403, "forbidden");
    }
    server.get(&path).send_checked().await.is_problem(401, "missing_credentials");
    server.request(Method::PATCH, &path).json(&json!({})).send_checked().await.is_problem(401, "missing_credentials");
}
