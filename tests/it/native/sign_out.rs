//! Disabling and deleting a user on the command line takes effect in a running server, also for tokens that the server
//! has verified before. How soon it does is tested in `commands/propagation`.

use crate::support::server::{PASSWORD, SendRequest, TestServer, TestUser, TokenPair, over_both_stores};
use crate::support::until;

over_both_stores!(|plan| plan;
    disabled_user_is_signed_out, deleted_user_is_signed_out, enabled_user_gets_no_old_session_back);

/// Signs in twice and verifies both access tokens, so that the server has cached them.
async fn sign_in_twice(server: &TestServer, user: &TestUser) -> [TokenPair; 2] {
    let all = [server.sign_in(user).await, server.sign_in(user).await];
    for tokens in &all {
        server.verify(&tokens.access).await.is(200);
    }
    all
}

async fn assert_signed_out(server: &TestServer, all: &[TokenPair]) {
    for tokens in all {
        // This does not depend on the revocation feed: the store itself refuses.
        server.refresh(&tokens.refresh).await.is_oauth_error(400, "invalid_grant");
        until("the access token is refused", async || server.rejection_reason(&tokens.access).await == "revoked").await;
        server.get("/sessions").bearer_auth(&tokens.access).send_checked().await.is_problem(401, "invalid_token");
    }
}

async fn disabled_user_is_signed_out(server: &TestServer) {
    let (user, bystander) = (server.create_user(&[]), server.create_user(&[]));
    let (all, other) = (sign_in_twice(server, &user).await, sign_in_twice(server, &bystander).await);
    server.plan().json(&["users", "disable", &user.email], "");
    assert_signed_out(server, &all).await;
    server.try_sign_in(&user.email, PASSWORD).await.is_problem(403, "account_disabled");
    for tokens in &other {
        server.verify(&tokens.access).await.is(200);
        server.refresh(&tokens.refresh).await.is(200);
    }
}

async fn deleted_user_is_signed_out(server: &TestServer) {
    let user = server.create_user(&[]);
    let all = sign_in_twice(server, &user).await;
    let (key, _) = server.api_key(&user, &["read"]);
    server.verify(&key).await.is(200);
    server.plan().json(&["users", "delete", &user.username], "");
    assert_signed_out(server, &all).await;
    assert_eq!(server.rejection_reason(&key).await, "unknown_api_key");
    server.try_sign_in(&user.email, PASSWORD).await.is_problem(401, "invalid_credentials");
    // The address is free again, and the new user gets nothing of the old one.
    server.plan().create_user(&user.email, PASSWORD, &[]);
    let new_tokens = server.try_sign_in(&user.email, PASSWORD).await.is(201).tokens();
    server.verify(&new_tokens.access).await.is(200);
    for tokens in &all {
        assert_eq!(server.rejection_reason(&tokens.access).await, "revoked");
        server.refresh(&tokens.refresh).await.is_oauth_error(400, "invalid_grant");
    }
}

async fn enabled_user_gets_no_old_session_back(server: &TestServer) {
    let user = server.create_user(&[]);
    let all = sign_in_twice(server, &user).await;
    server.plan().json(&["users", "disable", &user.id], "");
    assert_signed_out(server, &all).await;
    server.plan().json(&["users", "enable", &user.id], "");
    for tokens in &all {
        assert_eq!(server.rejection_reason(&tokens.access).await, "revoked");
        server.refresh(&tokens.refresh).await.is_oauth_error(400, "invalid_grant");
    }
    let new_tokens = server.sign_in(&user).await;
    server.verify(&new_tokens.access).await.is(200);
}
