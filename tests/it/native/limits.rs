//! Rate limits of sign-ins, and load shedding when the hashing queue is full.

use serde_json::json;

use crate::support::server::{HttpResponse, PASSWORD, SendRequest, TestServer, over_both_stores};
use crate::support::signet::Plan;
use crate::support::until;

fn plan(plan: Plan) -> Plan {
    plan.set("SIGNET_LIMITS__ENABLED", "true")
        .set("SIGNET_LIMITS__SIGN_IN_ACCOUNT", "4 per 1h")
        .set("SIGNET_LIMITS__SIGN_IN_ADDRESS", "12 per 1h")
        .set("SIGNET_SERVER__TRUSTED_PROXIES", "127.0.0.1")
}

over_both_stores!(plan; all_spellings_of_an_account_share_a_limit, unknown_accounts_are_limited_like_known_ones,
    an_ipv6_network_shares_a_limit);

/// Tries to sign in through the trusted proxy, as a client at `address`.
async fn sign_in(server: &TestServer, address: &str, name: &str, password: &str) -> HttpResponse {
    let field = if name.contains('@') { "email" } else { "username" };
    let request = server.post("/sessions").json(&json!({field: name, "password": password}));
    request.header("x-forwarded-for", address).send_checked().await
}

#[track_caller]
fn assert_rate_limited(response: &HttpResponse) {
    response.is_problem(429, "rate_limited");
    let seconds: u64 = response.header("retry-after").parse().unwrap();
    assert!((1..=3600).contains(&seconds), "{response:?}");
}

async fn all_spellings_of_an_account_share_a_limit(server: &TestServer) {
    let (user, other) = (server.create_user(&[]), server.create_user(&[]));
    let (local, domain) = user.email.split_once('@').unwrap();
    let spellings = [
        user.email.clone(),
        user.email.to_uppercase(),
        format!("  {}\t", user.email),
        format!("{}@{}", local.to_uppercase(), domain),
    ];
    for (at, spelling) in spellings.iter().enumerate() {
        sign_in(server, &format!("192.0.2.{at}"), spelling, "not the password")
            .await
            .is_problem(401, "invalid_credentials");
    }
    // The fifth attempt is limited although it has the right password and comes from yet another address.
    for spelling in &spellings {
        assert_rate_limited(&sign_in(server, "192.0.2.99", spelling, PASSWORD).await);
    }
    // The username of the same account shares the limit.
    assert_rate_limited(&sign_in(server, "192.0.2.98", &user.username, PASSWORD).await);
    sign_in(server, "192.0.2.99", &other.email, PASSWORD).await.is(201);
}

async fn unknown_accounts_are_limited_like_known_ones(server: &TestServer) {
    for _ in 0..4 {
        sign_in(server, "192.0.2.50", "nobody@example.org", "x").await.is_problem(401, "invalid_credentials");
    }
    assert_rate_limited(&sign_in(server, "192.0.2.51", "nobody@example.org", "x").await);
}

async fn an_ipv6_network_shares_a_limit(server: &TestServer) {
    let users = (0..4).map(|_| server.create_user(&[])).collect::<Vec<_>>();
    // One limit for the whole /64, because an IPv6 client can use any address in it.
    for at in 0..12 {
        let address = format!("2001:db8:1:2::{at:x}");
        sign_in(server, &address, &users[at % 4].email, "not the password")
            .await
            .is_problem(401, "invalid_credentials");
    }
    let fresh = server.create_user(&[]);
    for name in [fresh.email.as_str(), "nobody-else@example.org", "no name at all"] {
        assert_rate_limited(&sign_in(server, "2001:db8:1:2:ffff::1", name, PASSWORD).await);
    }
    sign_in(server, "2001:db8:1:3::1", &fresh.email, PASSWORD).await.is(201);
    // Only the last hop was written by the proxy.
    assert_rate_limited(&sign_in(server, "198.51.100.1, 2001:db8:1:2::1", &fresh.email, PASSWORD).await);
}

/// Without a trusted proxy, the client could write anything into the header.
#[tokio::test]
async fn untrusted_forwarded_header_is_ignored() {
    let server = TestServer::embedded(|base| plan(base).set("SIGNET_SERVER__TRUSTED_PROXIES", "192.0.2.1"));
    for at in 0..12 {
        let (address, name) = (format!("198.51.100.{at}"), format!("nobody-{at}@example.org"));
        sign_in(&server, &address, &name, "x").await.is_problem(401, "invalid_credentials");
    }
    assert_rate_limited(&sign_in(&server, "203.0.113.1", "somebody@example.org", "x").await);
}

mod full_hashing_queue {
    use super::*;

    fn plan(plan: Plan) -> Plan {
        plan.set("SIGNET_PASSWORDS__THREADS", "1")
            .set("SIGNET_PASSWORDS__QUEUE", "1")
            .set("SIGNET_PASSWORDS__DEADLINE", "1m")
            .set("SIGNET_PASSWORDS__MEMORY_KIB", "65536")
            .set("SIGNET_PASSWORDS__PASSES", "8")
    }

    over_both_stores!(plan; only_sign_ins_are_shed);

    async fn only_sign_ins_are_shed(server: &TestServer) {
        let user = server.create_user(&[]);
        let tokens = server.sign_in(&user).await;
        // One is hashed and one waits. The others are held for half a second, in which few of them get a place, also on a
        // fast machine.
        let names = [user.email.as_str(), "nobody@example.org"];
        let attempts: Vec<_> = (0..64)
            .map(|number| tokio::spawn(server.sign_in_request(names[number % 2], PASSWORD).send_checked()))
            .collect();
        until("one sign-in waits", async || server.metric("signet_hash_queue_waiting").await == 1).await;
        server.verify(&tokens.access).await.is(200);
        let refreshed = server.refresh(&tokens.refresh).await.is(200).tokens();
        server.verify(&refreshed.access).await.is(200);
        let mut refused = [0, 0];
        for (number, attempt) in attempts.into_iter().enumerate() {
            let response = attempt.await.unwrap();
            match (response.status, number % 2) {
                (503, kind) => {
                    response.is_problem(503, "overloaded");
                    refused[kind] += 1;
                }
                (201, 0) => (),
                _ => {
                    response.is_problem(401, "invalid_credentials");
                }
            }
        }
        assert!(refused.iter().all(|count| *count > 0), "{refused:?}");
        assert!(server.metric("signet_hashes_shed_total{reason=\"queue_full\"}").await > 0);
        server.sign_in(&user).await;
    }
}
