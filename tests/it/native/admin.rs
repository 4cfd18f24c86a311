//! What only a superuser may do, or an API key of one's with the scope `admin`.

use serde_json::json;

use crate::support::server::{HttpResponse, Person, SendRequest, TestServer, over_both_stores};

over_both_stores!(|plan| plan;
    a_superuser_signs_somebody_out, nobody_else_may, api_keys_need_the_scope, standing_is_as_the_row_says_now,
    everyone_is_signed_out);

async fn sign_out(server: &TestServer, bearer: &str, user: &str) -> HttpResponse {
    server.post(&format!("/admin/users/{user}/sign-out")).bearer_auth(bearer).send_checked().await
}

async fn a_superuser_signs_somebody_out(server: &TestServer) {
    let root = server.sign_in(&server.person(&["--superuser"])).await.access;
    let person = server.person(&[]);
    let all = [server.sign_in(&person).await, server.sign_in(&person).await];
    for tokens in &all {
        server.verify(&tokens.access).await.is(200);
    }
    assert_eq!(sign_out(server, &root, &person.id).await.is(200).json(), json!({"ended": 2}));
    for tokens in &all {
        assert_eq!(server.reason(&tokens.access).await, "revoked");
        server.refresh(&tokens.refresh).await.is_oauth_error(400, "invalid_grant");
    }
    assert_eq!(sign_out(server, &root, &person.id).await.is(200).json(), json!({"ended": 0}));
    let again = server.sign_in(&person).await;
    server.verify(&again.access).await.is(200);
    for nobody in ["x", "00000000-0000-7000-8000-000000000000"] {
        sign_out(server, &root, nobody).await.is_problem(404, "absent");
    }
    server.verify(&root).await.is(200);
}

async fn nobody_else_may(server: &TestServer) {
    let person = server.person(&["--role", "admin", "--role", "superuser"]);
    let tokens = server.sign_in(&person).await;
    for path in [format!("/admin/users/{}/sign-out", person.id), "/admin/sign-out-everyone".to_owned()] {
        server.post(&path).send_checked().await.is_problem(401, "no-credentials");
        server.post(&path).bearer_auth("x").send_checked().await.is_problem(401, "bad-credentials");
        server.post(&path).bearer_auth(&tokens.access).send_checked().await.is_problem(403, "not-permitted");
        server.post(&path).bearer_auth(&tokens.refresh).send_checked().await.is_problem(401, "bad-credentials");
        // The scope gives nobody a right that its owner has not.
        let (key, _) = server.api_key(&person, &["admin"]);
        server.post(&path).header("x-api-key", key).send_checked().await.is_problem(403, "not-permitted");
        server.get(&path).send_checked().await.is_problem(405, "method-not-allowed");
    }
    server.verify(&tokens.access).await.is(200);
}

async fn api_keys_need_the_scope(server: &TestServer) {
    let (root, person) = (server.person(&["--superuser"]), server.person(&[]));
    let path = format!("/admin/users/{}/sign-out", person.id);
    let exchanged = async |key: &str| {
        let fields = [("grant_type", "client_credentials"), ("client_secret", key)];
        let body = server.form("/oauth/token", &fields).await.is(200).json();
        body["access_token"].as_str().unwrap().to_owned()
    };
    for (scopes, status) in [(&[][..], 403), (&["read", "administrator"][..], 403), (&["read", "admin"][..], 200)] {
        let (key, _) = server.api_key(&root, scopes);
        server.post(&path).header("x-api-key", &key).send_checked().await.is(status);
        server.post(&path).bearer_auth(&key).send_checked().await.is(status);
        server.post(&path).bearer_auth(exchanged(&key).await).send_checked().await.is(status);
    }
    let (key, _) = server.api_key(&root, &["admin", "read"]);
    let fields = [("grant_type", "client_credentials"), ("client_secret", key.as_str()), ("scope", "read")];
    let body = server.form("/oauth/token", &fields).await.is(200).json();
    let less = body["access_token"].as_str().unwrap();
    sign_out(server, less, &person.id).await.is_problem(403, "not-permitted");
}

async fn standing_is_as_the_row_says_now(server: &TestServer) {
    let person = server.person(&[]);
    let demote = async |root: &Person| {
        server.sql(&format!("UPDATE users SET superuser = false WHERE email = '{}'", root.email)).await;
    };
    let root = server.person(&["--superuser"]);
    let (access, (key, _)) = (server.sign_in(&root).await.access, server.api_key(&root, &["admin"]));
    for bearer in [&access, &key] {
        sign_out(server, bearer, &person.id).await.is(200);
    }
    demote(&root).await;
    for bearer in [&access, &key] {
        sign_out(server, bearer, &person.id).await.is_problem(403, "not-permitted");
    }

    // The row alone, without the revocations that a disabling spreads.
    let root = server.person(&["--superuser"]);
    let (access, (key, _)) = (server.sign_in(&root).await.access, server.api_key(&root, &["admin"]));
    for bearer in [&access, &key] {
        sign_out(server, bearer, &person.id).await.is(200);
    }
    server.sql(&format!("UPDATE users SET disabled = true WHERE email = '{}'", root.email)).await;
    for bearer in [&access, &key] {
        sign_out(server, bearer, &person.id).await.is_problem(403, "not-permitted");
    }
}

/// The last: it ends what the others use.
async fn everyone_is_signed_out(server: &TestServer) {
    let (root, person) = (server.person(&["--superuser"]), server.person(&[]));
    let all = [server.sign_in(&root).await, server.sign_in(&person).await];
    let (key, _) = server.api_key(&person, &["read"]);
    for tokens in &all {
        server.verify(&tokens.access).await.is(200);
    }
    let answer = server.post("/admin/sign-out-everyone").bearer_auth(&all[0].access).send_checked().await;
    assert_eq!(answer.is(204).text, "");
    for tokens in &all {
        assert_eq!(server.reason(&tokens.access).await, "revoked");
        server.refresh(&tokens.refresh).await.is_oauth_error(400, "invalid_grant");
    }
    server.verify(&key).await.is(200);
    let again = server.sign_in(&person).await;
    server.verify(&again.access).await.is(200);
    let next = server.refresh(&again.refresh).await.is(200).tokens();
    server.verify(&next.access).await.is(200);
    let listed = server.get("/sessions").bearer_auth(&next.access).send_checked().await.is(200).json();
    assert_eq!(listed["sessions"].as_array().unwrap().len(), 1);
}
