//! Calls reserved to superusers and to their API keys with the scope `admin`.

use crate::support::server::{HttpResponse, SendRequest, TestServer, over_both_stores};
use crate::support::until;

over_both_stores!(|plan| plan;
    superuser_signs_out_a_user, other_callers_are_forbidden, api_keys_need_the_admin_scope,
    demoted_superuser_is_forbidden, disabled_superuser_is_forbidden, sign_out_everyone_ends_all_sessions);

async fn sign_out(server: &TestServer, bearer: &str, user_id: &str) -> HttpResponse {
    server.post(&format!("/admin/users/{user_id}/sign-out")).bearer_auth(bearer).send_checked().await
}

async fn superuser_signs_out_a_user(server: &TestServer) {
    let root = server.sign_in(&server.create_user(&["--superuser"])).await.access;
    let user = server.create_user(&[]);
    let all = [server.sign_in(&user).await, server.sign_in(&user).await];
    for tokens in &all {
        server.verify(&tokens.access).await.is(200);
    }
    let signed_out = sign_out(server, &root, &user.id).await.is(200).json();
    assert_eq!(signed_out["ended"], 2);
    // A call waits for a second, in which a busy machine may not let the node acknowledge.
    until("the node acknowledges", async || {
        let again = sign_out(server, &root, &user.id).await.is(200).json();
        assert_eq!(again["ended"], 0);
        let [node] = &again["nodes"].as_array().unwrap()[..] else { return false };
        node["node"].as_str().is_some_and(|name| !name.is_empty()) && node["acknowledged_ms"].is_u64()
    })
    .await;
    for tokens in &all {
        assert_eq!(server.rejection_reason(&tokens.access).await, "revoked");
        server.refresh(&tokens.refresh).await.is_oauth_error(400, "invalid_grant");
    }
    let again = server.sign_in(&user).await;
    server.verify(&again.access).await.is(200);
    for unknown in ["x", "00000000-0000-7000-8000-000000000000"] {
        sign_out(server, &root, unknown).await.is_problem(404, "not_found");
    }
    server.verify(&root).await.is(200);
}

async fn other_callers_are_forbidden(server: &TestServer) {
    let user = server.create_user(&["--role", "admin", "--role", "superuser"]);
    let tokens = server.sign_in(&user).await;
    for path in [format!("/admin/users/{}/sign-out", user.id), "/admin/sign-out-everyone".to_owned()] {
        server.post(&path).send_checked().await.is_problem(401, "missing_credentials");
        server.post(&path).bearer_auth("x").send_checked().await.is_problem(401, "invalid_token");
        server.post(&path).bearer_auth(&tokens.access).send_checked().await.is_problem(403, "forbidden");
        server.post(&path).bearer_auth(&tokens.refresh).send_checked().await.is_problem(401, "invalid_token");
        // The scope grants no right that the key's owner does not have.
        let (key, _) = server.api_key(&user, &["admin"]);
        server.post(&path).header("x-api-key", key).send_checked().await.is_problem(403, "forbidden");
        server.get(&path).send_checked().await.is_problem(405, "method_not_allowed");
    }
    server.verify(&tokens.access).await.is(200);
}

async fn api_keys_need_the_admin_scope(server: &TestServer) {
    let (root, user) = (server.create_user(&["--superuser"]), server.create_user(&[]));
    let path = format!("/admin/users/{}/sign-out", user.id);
    for (scopes, status) in [(&[][..], 403), (&["read", "administrator"][..], 403), (&["read", "admin"][..], 200)] {
        let (key, _) = server.api_key(&root, scopes);
        server.post(&path).header("x-api-key", &key).send_checked().await.is(status);
        server.post(&path).bearer_auth(&key).send_checked().await.is(status);
        server.post(&path).bearer_auth(server.client_token(&key).await).send_checked().await.is(status);
    }
    let (key, _) = server.api_key(&root, &["admin", "read"]);
    let fields = [("grant_type", "client_credentials"), ("client_secret", key.as_str()), ("scope", "read")];
    let body = server.form("/oauth/token", &fields).await.is(200).json();
    let narrower_token = body["access_token"].as_str().unwrap();
    sign_out(server, narrower_token, &user.id).await.is_problem(403, "forbidden");
}

async fn demoted_superuser_is_forbidden(server: &TestServer) {
    let user = server.create_user(&[]);
    let root = server.create_user(&["--superuser"]);
    let (access, (key, _)) = (server.sign_in(&root).await.access, server.api_key(&root, &["admin"]));
    for bearer in [&access, &key] {
        sign_out(server, bearer, &user.id).await.is(200);
    }
    server.sql(&format!("UPDATE users SET superuser = false WHERE email = '{}'", root.email)).await;
    for bearer in [&access, &key] {
        sign_out(server, bearer, &user.id).await.is_problem(403, "forbidden");
    }
}

/// Only the row is changed: nothing publishes the revocations that `disable` publishes.
async fn disabled_superuser_is_forbidden(server: &TestServer) {
    let user = server.create_user(&[]);
    let root = server.create_user(&["--superuser"]);
    let (access, (key, _)) = (server.sign_in(&root).await.access, server.api_key(&root, &["admin"]));
    for bearer in [&access, &key] {
        sign_out(server, bearer, &user.id).await.is(200);
    }
    server.sql(&format!("UPDATE users SET disabled = true WHERE email = '{}'", root.email)).await;
    for bearer in [&access, &key] {
        sign_out(server, bearer, &user.id).await.is_problem(403, "forbidden");
    }
}

async fn sign_out_everyone_ends_all_sessions(server: &TestServer) {
    let (root, user) = (server.create_user(&["--superuser"]), server.create_user(&[]));
    let all = [server.sign_in(&root).await, server.sign_in(&user).await];
    let (key, _) = server.api_key(&user, &["read"]);
    for tokens in &all {
        server.verify(&tokens.access).await.is(200);
    }
    let response = server.post("/admin/sign-out-everyone").bearer_auth(&all[0].access).send_checked().await;
    assert_eq!(response.is(204).text, "");
    for tokens in &all {
        assert_eq!(server.rejection_reason(&tokens.access).await, "revoked");
        server.refresh(&tokens.refresh).await.is_oauth_error(400, "invalid_grant");
    }
    server.verify(&key).await.is(200);
    let again = server.sign_in(&user).await;
    server.verify(&again.access).await.is(200);
    let next = server.refresh(&again.refresh).await.is(200).tokens();
    server.verify(&next.access).await.is(200);
    let listed = server.get("/sessions").bearer_auth(&next.access).send_checked().await.is(200).json();
    assert_eq!(listed["sessions"].as_array().unwrap().len(), 1);
}
