//! `/admin/users`: searching, creating, reading, changing and deleting users.

use reqwest::Method;
use serde_json::{Value, json};

use crate::reauthentication::grow_old;
use crate::support::server::{HttpResponse, PASSWORD, SendRequest, TestServer, over_both_stores};

over_both_stores!(|plan| plan;
    superuser_reads_and_changes_a_user, address_is_verified_only_if_the_user_has_it, lost_rights_end_sessions,
    invalid_changes_are_refused, other_callers_are_forbidden, users_are_searched_in_pages, created_user_can_sign_in,
    details_name_what_a_user_has, superuser_deletes_a_user, sensitive_changes_need_a_recent_sign_in);

async fn patch(server: &TestServer, bearer: &str, user: &str, body: &Value) -> HttpResponse {
    server.request(Method::PATCH, &format!("/admin/users/{user}")).bearer_auth(bearer).json(body).send_checked().await
}

/// The part of a user, as it is read alone, that lists and changes return.
fn without_details(user: &Value) -> Value {
    let mut user = user.clone();
    for detail in ["sessions_open", "projects", "api_keys"] {
        assert!(user.as_object_mut().unwrap().remove(detail).is_some(), "{detail}");
    }
    user["mfa"].as_object_mut().unwrap().remove("recovery_codes_left");
    user
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
            (json!({"email_verified": false}), "email_verified", json!(false)),
            (json!({"email_verified": true}), "email_verified", json!(true)),
            (json!({"full_name": "Zoe Tam"}), "full_name", json!("Zoe Tam")),
            (json!({"full_name": null}), "full_name", Value::Null),
            (json!({}), "email_verified", json!(true)),
        ] {
            let after = patch(server, bearer, &user.id, &body).await.is(200).json();
            expected[field] = value;
            if body.get("claims") == Some(&Value::Null) {
                expected["claims"] = json!({});
            }
            expected["updated_at"] = after["updated_at"].clone();
            assert_eq!(after, without_details(&expected), "{body}");
            let row = server.plan().json(&["users", "show", &user.email], "");
            for (name, value) in after.as_object().unwrap() {
                let in_row = match name.as_str() {
                    "email_verified" => row["verified"].clone(),
                    "mfa" => json!({"enabled": row["second_factor"]}),
                    "billing" => ["token_balance", "tokens_used", "subscription_tier"]
                        .map(|column| (column.to_owned(), row[column].clone()))
                        .into_iter()
                        .collect::<Value>(),
                    name => row[name].clone(),
                };
                assert_eq!(*value, in_row, "{name}");
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

async fn address_is_verified_only_if_the_user_has_it(server: &TestServer) {
    let root = server.sign_in(&server.create_user(&["--superuser"])).await.access;
    let user = server.create_user(&[]);
    let access = server.sign_in(&user).await.access;
    let moved = format!("moved-{}", user.email);
    let change = json!({"email": moved, "original": PASSWORD});
    let request = server.request(Method::PUT, "/auth/users/me").bearer_auth(&access).json(&change);
    request.send_checked().await.is(200);
    let verify = |email: &str| json!({"email_verified": true, "full_name": "Zoe Tam", "email": email});
    patch(server, &root, &user.id, &verify(&user.email)).await.is_problem(409, "email_changed");
    let row = server.plan().json(&["users", "show", &moved], "");
    assert_eq!((&row["verified"], &row["full_name"]), (&json!(false), &Value::Null));
    patch(server, &root, &user.id, &verify("nobody")).await.is_problem(400, "invalid_email");
    let verified = patch(server, &root, &user.id, &verify(&moved.to_uppercase())).await.is(200).json();
    assert_eq!((&verified["email_verified"], &verified["email"]), (&json!(true), &json!(moved)));
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
        (json!({"full_name": "x".repeat(256)}), "full_name"),
    ] {
        let response = patch(server, &root, &user.id, &body).await;
        response.is_problem(400, "invalid_fields");
        assert!(response.text.contains(why), "{body}: {}", response.text);
    }
    patch(server, &root, &user.id, &json!({"username": "a@b"})).await.is_problem(400, "invalid_username");
    let taken = json!({"username": server.create_user(&[]).username.to_uppercase()});
    patch(server, &root, &user.id, &taken).await.is_problem(409, "username_taken");
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

async fn users_are_searched_in_pages(server: &TestServer) {
    let root = server.create_user(&["--superuser"]);
    let access = server.sign_in(&root).await.access;
    let mut users = vec![root];
    for _ in 0..4 {
        users.push(server.create_user(&["--full-name", "Zoe Tam"]));
    }
    server.plan().json(&["users", "disable", &users[3].email], "");
    let search = async |query: &str| {
        let response = server.get(&format!("/admin/users?{query}")).bearer_auth(&access).send_checked().await;
        assert_eq!(response.is(200).header("cache-control"), "no-store");
        let body = response.json();
        let emails: Vec<String> =
            body["users"].as_array().unwrap().iter().map(|user| user["email"].as_str().unwrap().to_owned()).collect();
        (emails, body["next_cursor"].clone())
    };
    let emails = |indexes: &[usize]| indexes.iter().map(|index| users[*index].email.clone()).collect::<Vec<_>>();
    assert_eq!(search("").await, (emails(&[4, 3, 2, 1, 0]), Value::Null));
    assert_eq!(search("query=zoe+tam&status=active").await, (emails(&[4, 2, 1]), Value::Null));
    assert_eq!(search("status=disabled").await, (emails(&[3]), Value::Null));
    assert_eq!(search("query=NOBODY").await, (vec![], Value::Null));
    // The user who is named exactly comes first.
    let (found, _) = search(&format!("query={}", users[1].username.to_uppercase())).await;
    assert_eq!(found.first(), Some(&users[1].email));
    for exact in [&users[2].id, &users[2].email] {
        assert_eq!(search(&format!("query={exact}")).await, (emails(&[2]), Value::Null));
    }
    assert_eq!(search(&format!("query={}&status=active", users[3].id)).await, (vec![], Value::Null));
    // In pages, each user occurs once.
    for query in ["", "query=example.org"] {
        let (mut cursor, mut all) = (String::new(), Vec::new());
        loop {
            let (page, next) = search(&format!("limit=2&{query}{cursor}")).await;
            assert!(page.len() <= 2);
            all.extend(page);
            let Some(next) = next.as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(all, emails(&[4, 3, 2, 1, 0]), "{query}");
    }
    let long = "x".repeat(255);
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=x", "limit"),
        ("status=gone", "status"),
        ("cursor=x", "cursor"),
        (&format!("query={long}"), "query"),
    ] {
        let response = server.get(&format!("/admin/users?{query}")).bearer_auth(&access).send_checked().await;
        response.is_problem(400, "invalid_fields");
        assert!(response.text.contains(field), "{}", response.text);
    }
}

async fn created_user_can_sign_in(server: &TestServer) {
    let root = server.create_user(&["--superuser"]);
    let (access, (key, _)) = (server.sign_in(&root).await.access, server.api_key(&root, &["admin"]));
    let create = async |bearer: &str, body: &Value| {
        server.post("/admin/users").bearer_auth(bearer).json(body).send_checked().await
    };
    for (bearer, email) in [(&access, "zoe@example.org"), (&key, "ann@example.org")] {
        let body = json!({
            "email": email.to_uppercase(), "password": PASSWORD, "username": email.split('@').next(),
            "full_name": "Zoe Tam", "roles": ["editor"], "claims": {"plan": "pro"}, "verified": true,
        });
        let created = create(bearer, &body).await.is(201).json();
        assert_eq!(created["email"], email);
        assert_eq!(created["roles"], json!(["editor"]));
        assert_eq!(created["claims"], json!({"plan": "pro"}));
        assert_eq!((&created["email_verified"], &created["has_password"]), (&json!(true), &json!(true)));
        server.try_sign_in(email, PASSWORD).await.is(201);
        create(bearer, &body).await.is_problem(409, "email_taken");
        let other = json!({"email": format!("x{email}"), "username": email.split('@').next()});
        create(bearer, &other).await.is_problem(409, "username_taken");
    }
    let bare = create(&access, &json!({"email": "bare@example.org"})).await.is(201).json();
    assert_eq!((&bare["email_verified"], &bare["has_password"]), (&json!(false), &json!(false)));
    assert_eq!(
        create(&access, &json!({"email": "r@example.org", "superuser": true})).await.is(201).json()["superuser"],
        true
    );
    for (body, code) in [
        (json!({"email": "x"}), "invalid_email"),
        (json!({"email": "x@example.org", "username": "a@b"}), "invalid_username"),
        (json!({"email": "x@example.org", "password": "12345678"}), "weak_password"),
        (json!({"email": "x@example.org", "claims": {"sub": "x"}}), "invalid_fields"),
        (json!({"email": "x@example.org", "roles": [""]}), "invalid_fields"),
        (json!({}), "invalid_fields"),
    ] {
        create(&access, &body).await.is_problem(400, code);
    }
    let plain = server.sign_in(&server.create_user(&["--role", "admin"])).await.access;
    create(&plain, &json!({"email": "x@example.org"})).await.is_problem(403, "forbidden");
}

async fn details_name_what_a_user_has(server: &TestServer) {
    let root = server.sign_in(&server.create_user(&["--superuser"])).await.access;
    let user = server.create_user(&[]);
    let path = format!("/admin/users/{}", user.id);
    server.sign_in(&user).await;
    server.sign_in(&user).await;
    let (_, prefix) = server.api_key(&user, &["read"]);
    let details = server.get(&path).bearer_auth(&root).send_checked().await.is(200).json();
    assert_eq!(details["sessions_open"], 2);
    assert_eq!(details["mfa"], json!({"enabled": false, "recovery_codes_left": 0}));
    assert_eq!(details["projects"][0]["name"], "Personal");
    assert_eq!(details["api_keys"][0]["prefix"], prefix);
    assert_eq!(details["api_keys"][0]["active"], true);
    assert_eq!(details["api_keys"][0]["project_id"], details["projects"][0]["id"]);
    assert_eq!(details["api_keys"].as_array().unwrap().len(), 1);
}

async fn superuser_deletes_a_user(server: &TestServer) {
    let root = server.create_user(&["--superuser"]);
    let (access, (key, _)) = (server.sign_in(&root).await.access, server.api_key(&root, &["admin"]));
    let delete = async |bearer: &str, user: &str| {
        server.delete(&format!("/admin/users/{user}")).bearer_auth(bearer).send_checked().await
    };
    for bearer in [&access, &key] {
        let user = server.create_user(&[]);
        let tokens = server.sign_in(&user).await;
        delete(bearer, &user.id).await.is(204);
        assert_eq!(server.rejection_reason(&tokens.access).await, "revoked");
        delete(bearer, &user.id).await.is_problem(404, "not_found");
    }
    delete(&access, &root.id).await.is_problem(403, "cannot_delete_self");
    let plain = server.sign_in(&server.create_user(&["--role", "admin"])).await.access;
    delete(&plain, &root.id).await.is_problem(403, "forbidden");
}

/// With an API key of the scope `admin` they do not: no sign-in belongs to it.
async fn sensitive_changes_need_a_recent_sign_in(server: &TestServer) {
    let root = server.create_user(&["--superuser"]);
    let (key, _) = server.api_key(&root, &["admin"]);
    let user = server.create_user(&[]);
    let path = format!("/admin/users/{}", user.id);
    let changes = |user_path: &str| {
        [
            server.request(Method::PATCH, user_path).json(&json!({"superuser": false})),
            server.post("/admin/users").json(&json!({"email": "r@example.org", "superuser": true})),
            server.delete(user_path),
        ]
    };
    let tokens = server.sign_in(&root).await;
    let access = grow_old(server, &tokens.access, &tokens.refresh).await.access;
    for request in changes(&path) {
        let response = request.bearer_auth(&access).send_checked().await;
        response.is_problem(401, "insufficient_user_authentication");
    }
    server.get(&path).bearer_auth(&access).send_checked().await.is(200);
    patch(server, &access, &user.id, &json!({"roles": ["editor"]})).await.is(200);
    for request in changes(&path) {
        let status = request.bearer_auth(&key).send_checked().await.status;
        assert!((200..300).contains(&status), "{status}");
    }
}
