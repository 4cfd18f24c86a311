//! How often a sign-in may be tried, and what happens when there is more to hash than can be hashed.

use std::time::{Duration, Instant};

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

over_both_stores!(plan; an_account_has_one_counter, an_address_has_one_counter);

/// A sign-in through the proxy, for a client at `address`.
async fn sign_in(server: &TestServer, address: &str, name: &str, password: &str) -> HttpResponse {
    let field = if name.contains('@') { "email" } else { "username" };
    let request = server.post("/sessions").json(&json!({field: name, "password": password}));
    request.header("x-forwarded-for", address).send_checked().await
}

fn is_limited(answer: &HttpResponse) {
    answer.is_problem(429, "too-many");
    let seconds: u64 = answer.header("retry-after").parse().unwrap();
    assert!((1..=3600).contains(&seconds), "{answer:?}");
}

async fn an_account_has_one_counter(server: &TestServer) {
    let (person, other) = (server.person(&[]), server.person(&[]));
    let (local, domain) = person.email.split_once('@').unwrap();
    let spellings = [
        person.email.clone(),
        person.email.to_uppercase(),
        format!("  {}\t", person.email),
        format!("{}@{}", local.to_uppercase(), domain),
    ];
    for (at, spelling) in spellings.iter().enumerate() {
        sign_in(server, &format!("192.0.2.{at}"), spelling, "not the password").await.is_problem(401, "wrong-password");
    }
    // The right password, from yet another address, and for the fifth time.
    for spelling in &spellings {
        is_limited(&sign_in(server, "192.0.2.99", spelling, PASSWORD).await);
    }
    // And by the other name of the same account, which was not tried before.
    is_limited(&sign_in(server, "192.0.2.98", &person.username, PASSWORD).await);
    sign_in(server, "192.0.2.99", &other.email, PASSWORD).await.is(201);
    // Somebody who is not there is counted as everybody is.
    for _ in 0..4 {
        sign_in(server, "192.0.2.50", "nobody@example.org", "x").await.is_problem(401, "wrong-password");
    }
    is_limited(&sign_in(server, "192.0.2.51", "nobody@example.org", "x").await);
}

async fn an_address_has_one_counter(server: &TestServer) {
    let people = (0..4).map(|_| server.person(&[])).collect::<Vec<_>>();
    // An IPv6 client has a whole /64 to choose from.
    for at in 0..12 {
        let address = format!("2001:db8:1:2::{at:x}");
        sign_in(server, &address, &people[at % 4].email, "not the password").await.is_problem(401, "wrong-password");
    }
    let fresh = server.person(&[]);
    for name in [fresh.email.as_str(), "nobody-else@example.org", "no name at all"] {
        is_limited(&sign_in(server, "2001:db8:1:2:ffff::1", name, PASSWORD).await);
    }
    sign_in(server, "2001:db8:1:3::1", &fresh.email, PASSWORD).await.is(201);
    // Only the last hop is the proxy's own word.
    is_limited(&sign_in(server, "198.51.100.1, 2001:db8:1:2::1", &fresh.email, PASSWORD).await);
}

/// Without a proxy that is believed, the header is the client's own invention.
#[tokio::test]
async fn a_client_does_not_choose_its_address() {
    let server = TestServer::embedded(|it| plan(it).set("SIGNET_SERVER__TRUSTED_PROXIES", "192.0.2.1"));
    for at in 0..12 {
        let (address, name) = (format!("198.51.100.{at}"), format!("nobody-{at}@example.org"));
        sign_in(&server, &address, &name, "x").await.is_problem(401, "wrong-password");
    }
    is_limited(&sign_in(&server, "203.0.113.1", "somebody@example.org", "x").await);
}

mod a_full_queue {
    use super::*;

    fn plan(plan: Plan) -> Plan {
        plan.set("SIGNET_PASSWORDS__THREADS", "1")
            .set("SIGNET_PASSWORDS__QUEUE", "1")
            .set("SIGNET_PASSWORDS__DEADLINE", "1m")
            .set("SIGNET_PASSWORDS__MEMORY_KIB", "65536")
            .set("SIGNET_PASSWORDS__PASSES", "8")
    }

    over_both_stores!(plan; sheds_sign_ins_and_nothing_else);

    async fn sheds_sign_ins_and_nothing_else(server: &TestServer) {
        let person = server.person(&[]);
        let tokens = server.sign_in(&person).await;
        let idle = async || server.figure("signet_hash_queue_running").await == 0;
        let running = async || server.figure("signet_hash_queue_running").await == 1;
        let waiting = async || server.figure("signet_hash_queue_waiting").await == 1;
        let (mut rounds, mut shedding, mut refreshed) = (0, Duration::ZERO, tokens.clone());
        // How many come while one waits is the machine's affair: until enough have come, another is let wait.
        for _ in 0..10 {
            // A hash is answered a moment before it is counted as done.
            until("the one before is over", idle).await;
            let first = tokio::spawn(server.signing_in(&person.email, PASSWORD).send_checked());
            until("one is hashed", running).await;
            let second = tokio::spawn(server.signing_in("nobody@example.org", "x").send_checked());
            until("one waits", waiting).await;
            // Whoever comes now is sent away at once, known or not, and everything else goes on.
            while waiting().await {
                let began = Instant::now();
                let name = if rounds % 2 == 0 { person.email.as_str() } else { "nobody@example.org" };
                let answer = server.try_sign_in(name, PASSWORD).await;
                let took = began.elapsed();
                server.verify(&tokens.access).await.is(200);
                refreshed = server.refresh(&refreshed.refresh).await.is(200).tokens();
                server.verify(&refreshed.access).await.is(200);
                if waiting().await {
                    answer.is_problem(503, "busy");
                    (rounds, shedding) = (rounds + 1, shedding + took);
                }
            }
            first.await.unwrap().is(201);
            second.await.unwrap().is_problem(401, "wrong-password");
            if rounds > 1 {
                break;
            }
        }
        let each = shedding / rounds.max(1);
        assert!(rounds > 1 && each < Duration::from_secs(1), "{rounds} rounds, each {each:?}");
        assert!(server.figure("signet_hashes_shed_total{reason=\"queue_full\"}").await > 0);
        server.sign_in(&person).await;
    }
}
