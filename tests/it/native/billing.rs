//! `PATCH /admin/users/{id}/billing`: sums are added, all at once, and never sink below zero.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::server::{HttpResponse, SendRequest, TestServer, over_both_stores};

over_both_stores!(|plan| plan;
    sums_are_added, nothing_sinks_below_zero, of_many_at_once_none_is_lost, only_who_charges_may, what_will_not_do_is_told);

async fn bill(server: &TestServer, bearer: &str, user: &str, change: &Value) -> HttpResponse {
    let path = format!("/admin/users/{user}/billing");
    server.request(Method::PATCH, &path).bearer_auth(bearer).json(change).send_checked().await
}

fn billing(user: &str, balance: i64, used: i64, tier: Option<&str>) -> Value {
    json!({"user_id": user, "token_balance": balance, "tokens_used": used, "subscription_tier": tier})
}

async fn sums_are_added(server: &TestServer) {
    let root = server.sign_in(&server.person(&["--superuser"])).await.access;
    let id = server.person(&[]).id;
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
        let answer = bill(server, &root, &id, &change).await;
        assert_eq!(answer.is(200).json(), expected, "{change}");
        assert_eq!(answer.header("cache-control"), "no-store");
    }
}

async fn nothing_sinks_below_zero(server: &TestServer) {
    let root = server.sign_in(&server.person(&["--superuser"])).await.access;
    let id = server.person(&[]).id;
    bill(server, &root, &id, &json!({"token_balance": 10, "tokens_used": 5})).await.is(200);
    for change in [
        json!({"token_balance": -11}),
        json!({"tokens_used": -6}),
        json!({"token_balance": -11, "tokens_used": 11, "subscription_tier": "pro"}),
        json!({"token_balance": i64::MAX}),
        json!({"token_balance": i64::MIN}),
    ] {
        bill(server, &root, &id, &change).await.is_problem(409, "balance-out-of-range");
        assert_eq!(bill(server, &root, &id, &json!({})).await.json(), billing(&id, 10, 5, None), "{change}");
    }
}

async fn of_many_at_once_none_is_lost(server: &TestServer) {
    let root = server.sign_in(&server.person(&["--superuser"])).await.access;
    let id = server.person(&[]).id;
    bill(server, &root, &id, &json!({"token_balance": 20})).await.is(200);
    let debit = json!({"token_balance": -1, "tokens_used": 1});
    let answers = join_all((0..30).map(|_| bill(server, &root, &id, &debit))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 20);
    assert_eq!(bill(server, &root, &id, &json!({})).await.json(), billing(&id, 0, 20, None));
}

async fn only_who_charges_may(server: &TestServer) {
    let (person, root) = (server.person(&["--role", "admin"]), server.person(&["--superuser"]));
    let change = json!({"token_balance": 1});
    let path = format!("/admin/users/{}/billing", person.id);
    server.request(Method::PATCH, &path).json(&change).send_checked().await.is_problem(401, "no-credentials");
    let access = server.sign_in(&person).await.access;
    bill(server, &access, &person.id, &change).await.is_problem(403, "not-permitted");
    // Keys: by their scope, whosever they are; a superuser's by `admin` too.
    for (owner, scopes, status) in [
        (&person, &[][..], 403),
        (&person, &["read", "admin"][..], 403),
        (&person, &["billing:write"][..], 200),
        (&root, &[][..], 403),
        (&root, &["admin"][..], 200),
    ] {
        let (key, _) = server.api_key(owner, scopes);
        let by_key = server.request(Method::PATCH, &path).header("x-api-key", &key).json(&change);
        by_key.send_checked().await.is(status);
        let fields = [("grant_type", "client_credentials"), ("client_secret", key.as_str())];
        let exchanged = server.form("/oauth/token", &fields).await.is(200).json();
        bill(server, exchanged["access_token"].as_str().unwrap(), &person.id, &change).await.is(status);
    }
}

async fn what_will_not_do_is_told(server: &TestServer) {
    let root = server.sign_in(&server.person(&["--superuser"])).await.access;
    let id = server.person(&[]).id;
    for nobody in ["x", "00000000-0000-7000-8000-000000000000"] {
        bill(server, &root, nobody, &json!({"token_balance": 1})).await.is_problem(404, "absent");
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
        bill(server, &root, &id, &bad).await.is_problem(400, "fields");
    }
}
