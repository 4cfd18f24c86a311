//! `PATCH /admin/users/{id}/billing`: changes are added atomically, and no balance drops below zero.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::server::{HttpResponse, SendRequest, TestServer, over_both_stores};

over_both_stores!(|plan| plan;
    changes_are_added_to_the_balance, balance_never_drops_below_zero, concurrent_debits_are_all_counted,
    billing_needs_superuser_or_scope, unknown_users_and_invalid_changes_are_rejected);

async fn bill(server: &TestServer, bearer: &str, user_id: &str, change: &Value) -> HttpResponse {
    let path = format!("/admin/users/{user_id}/billing");
    server.request(Method::PATCH, &path).bearer_auth(bearer).json(change).send_checked().await
}

fn billing(user_id: &str, balance: i64, used: i64, tier: Option<&str>) -> Value {
    json!({"user_id": user_id, "token_balance": balance, "tokens_used": used, "subscription_tier": tier})
}

async fn changes_are_added_to_the_balance(server: &TestServer) {
    let root = server.sign_in(&server.create_user(&["--superuser"])).await.access;
    let id = server.create_user(&[]).id;
    for (change, expected) in [
        (json!({}), billing(&id, 0, 0, None)),
        (json!({"token_balance": 1000}), billing(&id, 1000, 0, None)),
        (
            json!({"token_balance": -150, "tokens_used": 150, "subscription_tier": "pro"}),
            billing(&id, 850, 150, Some("pro")),
        ),
        (json!({"tokens_used": 1}), billing(&id, 850, 151, Some("pro"))),
        (json!({"subscription_tier": null}), billing(&id, 850, 151, None)),
        (json!({"token_balance": -850, "tokens_used": -151}), billing(&id, 0, 0, None)),
    ] {
        let response = bill(server, &root, &id, &change).await;
        assert_eq!(response.is(200).json(), expected, "{change}");
        assert_eq!(response.header("cache-control"), "no-store");
    }
}

async fn balance_never_drops_below_zero(server: &TestServer) {
    let root = server.sign_in(&server.create_user(&["--superuser"])).await.access;
    let id = server.create_user(&[]).id;
    bill(server, &root, &id, &json!({"token_balance": 10, "tokens_used": 5})).await.is(200);
    for change in [
        json!({"token_balance": -11}),
        json!({"tokens_used": -6}),
        json!({"token_balance": -11, "tokens_used": 11, "subscription_tier": "pro"}),
        json!({"token_balance": i64::MAX}),
        json!({"token_balance": i64::MIN}),
    ] {
        bill(server, &root, &id, &change).await.is_problem(409, "balance_out_of_range");
        assert_eq!(bill(server, &root, &id, &json!({})).await.json(), billing(&id, 10, 5, None), "{change}");
    }
}

async fn concurrent_debits_are_all_counted(server: &TestServer) {
    let root = server.sign_in(&server.create_user(&["--superuser"])).await.access;
    let id = server.create_user(&[]).id;
    bill(server, &root, &id, &json!({"token_balance": 20})).await.is(200);
    let debit = json!({"token_balance": -1, "tokens_used": 1});
    let responses = join_all((0..30).map(|_| bill(server, &root, &id, &debit))).await;
    assert_eq!(responses.iter().filter(|response| response.status == 200).count(), 20);
    assert_eq!(bill(server, &root, &id, &json!({})).await.json(), billing(&id, 0, 20, None));
}

async fn billing_needs_superuser_or_scope(server: &TestServer) {
    let (user, root) = (server.create_user(&["--role", "admin"]), server.create_user(&["--superuser"]));
    let change = json!({"token_balance": 1});
    let path = format!("/admin/users/{}/billing", user.id);
    server.request(Method::PATCH, &path).json(&change).send_checked().await.is_problem(401, "missing_credentials");
    let access = server.sign_in(&user).await.access;
    bill(server, &access, &user.id, &change).await.is_problem(403, "forbidden");
    // API keys need a superuser as owner, and the scope `billing:write` or `admin`.
    for (owner, scopes, status) in [
        (&user, &[][..], 403),
        (&user, &["read", "admin"][..], 403),
        (&user, &["billing:write"][..], 403),
        (&root, &[][..], 403),
        (&root, &["billing:write"][..], 200),
        (&root, &["admin"][..], 200),
    ] {
        let (key, _) = server.api_key(owner, scopes);
        let by_key = server.request(Method::PATCH, &path).header("x-api-key", &key).json(&change);
        by_key.send_checked().await.is(status);
        bill(server, &server.client_token(&key).await, &user.id, &change).await.is(status);
    }
}

async fn unknown_users_and_invalid_changes_are_rejected(server: &TestServer) {
    let root = server.sign_in(&server.create_user(&["--superuser"])).await.access;
    let id = server.create_user(&[]).id;
    for unknown in ["x", "00000000-0000-7000-8000-000000000000"] {
        bill(server, &root, unknown, &json!({"token_balance": 1})).await.is_problem(404, "not_found");
    }
    for bad in [
        json!({"token_balance": "1"}),
        json!({"tokens_used": 1.5}),
        json!({"token_balance": null}),
        json!({"subscription_tier": 3}),
        json!({"subscription_tier": ""}),
        json!({"subscription_tier": "a\u{0}b"}),
        json!({"subscription_tier": "x".repeat(101)}),
    ] {
        bill(server, &root, &id, &bad).await.is_problem(400, "invalid_fields");
    }
}
