//! What only a superuser may do, or an API key of one's with the scope `admin`.

use serde_json::json;

use crate::support::desk::{HttpResponse, Person, SendRequest, TestServer, over_both_stores};

over_both_stores!(|plan| plan;
    a_superuser_signs_somebody_out, nobody_else_may, api_keys_need_the_scope, standing_is_as_the_row_says_now,
    everyone_is_signed_out);

async fn sign_out(desk: &TestServer, bearer: &str, user: &str) -> HttpResponse {
    desk.post(&format!("/admin/users/{user}/sign-out")).bearer_auth(bearer).send_checked().await
}

async fn a_superuser_signs_somebody_out(desk: &TestServer) {
    let root = desk.sign_in(&desk.person(&["--superuser"])).await.access;
    let person = desk.person(&[]);
    let all = [desk.sign_in(&person).await, desk.sign_in(&person).await];
    for tokens in &all {
        desk.verify(&tokens.access).await.is(200);
    }
    assert_eq!(sign_out(desk, &root, &person.id).await.is(200).json(), json!({"ended": 2}));
    for tokens in &all {
        assert_eq!(desk.reason(&tokens.access).await, "revoked");
        desk.refresh(&tokens.refresh).await.is_oauth_error(400, "invalid_grant");
    }
    assert_eq!(sign_out(desk, &root, &person.id).await.is(200).json(), json!({"ended": 0}));
    let again = desk.sign_in(&person).await;
    desk.verify(&again.access).await.is(200);
    for nobody in ["x", "00000000-0000-7000-8000-000000000000"] {
        sign_out(desk, &root, nobody).await.is_problem(404, "absent");
    }
    desk.verify(&root).await.is(200);
}

async fn nobody_else_may(desk: &TestServer) {
    let person = desk.person(&["--role", "admin", "--role", "superuser"]);
    let tokens = desk.sign_in(&person).await;
    for path in [format!("/admin/users/{}/sign-out", person.id), "/admin/sign-out-everyone".to_owned()] {
        desk.post(&path).send_checked().await.is_problem(401, "no-credentials");
        desk.post(&path).bearer_auth("x").send_checked().await.is_problem(401, "bad-credentials");
        desk.post(&path).bearer_auth(&tokens.access).send_checked().await.is_problem(403, "not-permitted");
        desk.post(&path).bearer_auth(&tokens.refresh).send_checked().await.is_problem(401, "bad-credentials");
        // The scope gives nobody a right that its owner has not.
        let (key, _) = desk.api_key(&person, &["admin"]);
        desk.post(&path).header("x-api-key", key).send_checked().await.is_problem(403, "not-permitted");
        desk.get(&path).send_checked().await.is_problem(405, "method-not-allowed");
    }
    desk.verify(&tokens.access).await.is(200);
}

async fn api_keys_need_the_scope(desk: &TestServer) {
    let (root, person) = (desk.person(&["--superuser"]), desk.person(&[]));
    let path = format!("/admin/users/{}/sign-out", person.id);
    let exchanged = async |key: &str| {
        let fields = [("grant_type", "client_credentials"), ("client_secret", key)];
        let body = desk.form("/oauth/token", &fields).await.is(200).json();
        body["access_token"].as_str().unwrap().to_owned()
    };
    for (scopes, status) in [(&[][..], 403), (&["read", "administrator"][..], 403), (&["read", "admin"][..], 200)] {
        let (key, _) = desk.api_key(&root, scopes);
        desk.post(&path).header("x-api-key", &key).send_checked().await.is(status);
        desk.post(&path).bearer_auth(&key).send_checked().await.is(status);
        desk.post(&path).bearer_auth(exchanged(&key).await).send_checked().await.is(status);
    }
    let (key, _) = desk.api_key(&root, &["admin", "read"]);
    let fields = [("grant_type", "client_credentials"), ("client_secret", key.as_str()), ("scope", "read")];
    let body = desk.form("/oauth/token", &fields).await.is(200).json();
    let less = body["access_token"].as_str().unwrap();
    sign_out(desk, less, &person.id).await.is_problem(403, "not-permitted");
}

async fn standing_is_as_the_row_says_now(desk: &TestServer) {
    let person = desk.person(&[]);
    let demote = async |root: &Person| {
        desk.sql(&format!("UPDATE users SET superuser = false WHERE email = '{}'", root.email)).await;
    };
    let root = desk.person(&["--superuser"]);
    let (access, (key, _)) = (desk.sign_in(&root).await.access, desk.api_key(&root, &["admin"]));
    for bearer in [&access, &key] {
        sign_out(desk, bearer, &person.id).await.is(200);
    }
    demote(&root).await;
    for bearer in [&access, &key] {
        sign_out(desk, bearer, &person.id).await.is_problem(403, "not-permitted");
    }

    // The row alone, without the revocations that a disabling spreads.
    let root = desk.person(&["--superuser"]);
    let (access, (key, _)) = (desk.sign_in(&root).await.access, desk.api_key(&root, &["admin"]));
    for bearer in [&access, &key] {
        sign_out(desk, bearer, &person.id).await.is(200);
    }
    desk.sql(&format!("UPDATE users SET disabled = true WHERE email = '{}'", root.email)).await;
    for bearer in [&access, &key] {
        sign_out(desk, bearer, &person.id).await.is_problem(403, "not-permitted");
    }
}

/// The last: it ends what the others use.
async fn everyone_is_signed_out(desk: &TestServer) {
    let (root, person) = (desk.person(&["--superuser"]), desk.person(&[]));
    let all = [desk.sign_in(&root).await, desk.sign_in(&person).await];
    let (key, _) = desk.api_key(&person, &["read"]);
    for tokens in &all {
        desk.verify(&tokens.access).await.is(200);
    }
    let answer = desk.post("/admin/sign-out-everyone").bearer_auth(&all[0].access).send_checked().await;
    assert_eq!(answer.is(204).text, "");
    for tokens in &all {
        assert_eq!(desk.reason(&tokens.access).await, "revoked");
        desk.refresh(&tokens.refresh).await.is_oauth_error(400, "invalid_grant");
    }
    desk.verify(&key).await.is(200);
    let again = desk.sign_in(&person).await;
    desk.verify(&again.access).await.is(200);
    let next = desk.refresh(&again.refresh).await.is(200).tokens();
    desk.verify(&next.access).await.is(200);
    let listed = desk.get("/sessions").bearer_auth(&next.access).send_checked().await.is(200).json();
    assert_eq!(listed["sessions"].as_array().unwrap().len(), 1);
}
