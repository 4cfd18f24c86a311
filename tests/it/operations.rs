//! Operating a running server: health, metrics, the log, and stopping.

use std::collections::HashMap;

use serde_json::{Value, json};

mod audit;
mod first_start;
mod security_log;
mod stopping;
mod webhook;

use crate::support::server::{PASSWORD, SendRequest, TestServer, over_both_stores};
use crate::support::signet::{Plan, SECRET};
use crate::support::{postgres, redis, until};

/// The conditions that `/readyz` names as not ready.
async fn not_ready(server: &TestServer) -> Vec<String> {
    let answer = server.get_management("/readyz").await;
    let body = answer.json();
    assert_eq!(answer.header("cache-control"), "no-store");
    match answer.status {
        200 => {
            assert_eq!(body, json!({"status": "ready"}));
            Vec::new()
        }
        503 => {
            assert_eq!(body["status"], "not ready");
            body["not_ready"].as_object().unwrap().keys().cloned().collect()
        }
        other => panic!("{other}: {answer:?}"),
    }
}

async fn wait_until_ready_except(server: &TestServer, parts: &[&str]) {
    until(&format!("not ready: {parts:?}"), async || {
        server.get_management("/healthz").await.is(200);
        not_ready(server).await == parts
    })
    .await;
}

/// A call that needs an unavailable store answers 503. Returns its request id.
async fn is_unavailable(answer: impl Future<Output = crate::support::server::HttpResponse>) -> String {
    let answer = answer.await;
    assert_eq!(answer.status, 503, "{answer:?}");
    answer.header("x-request-id").to_owned()
}

#[tokio::test]
async fn a_lost_store_is_named_and_recovers_without_a_restart() {
    let (mut redis, mut postgres) = (redis::Server::start(), postgres::Server::start());
    // A busy machine must not make the node stale while Redis is down.
    let plan = Plan::on(&redis, &postgres).with_patient_stores().set("SIGNET_REVOCATION__STALE_AFTER", "1m");
    let server = TestServer::start(plan);
    let person = server.create_user(&[]);
    let tokens = server.sign_in(&person).await;
    wait_until_ready_except(&server, &[]).await;
    assert_eq!(server.get_management("/healthz").await.json(), json!({"status": "alive"}));

    postgres.kill_immediate();
    wait_until_ready_except(&server, &["store.accounts"]).await;
    let id = is_unavailable(server.try_sign_in(&person.email, PASSWORD)).await;
    server.signet.wait_for_log(&id);
    // Neither verification nor a refresh needs Postgres.
    server.verify(&tokens.access).await.is(200);
    let tokens = server.refresh(&tokens.refresh).await.is(200).tokens();
    postgres.restart();
    wait_until_ready_except(&server, &[]).await;
    // Each worker has connections of its own, which may come back later.
    let signs_in = async || server.try_sign_in(&person.email, PASSWORD).await.status == 201;
    until("users sign in again", &signs_in).await;

    redis.kill();
    wait_until_ready_except(&server, &["store.ephemeral"]).await;
    let id = is_unavailable(server.refresh(&tokens.refresh)).await;
    is_unavailable(server.try_sign_in(&person.email, PASSWORD)).await;
    is_unavailable(server.delete("/sessions").bearer_auth(&tokens.access).send_checked()).await;
    server.verify(&tokens.access).await.is(200);
    server.get("/.well-known/jwks.json").send_checked().await.is(200);

    // A failed request is one log line, with the request id of the response.
    server.signet.wait_for_log(&id);
    let mut about = server.signet.log_lines();
    about.retain(|line| line["request_id"] == id.as_str());
    assert_eq!(about.len(), 1, "{about:?}");
    assert_eq!((&about[0]["level"], &about[0]["status"]), (&"ERROR".into(), &503.into()));
    assert_eq!((&about[0]["route"], &about[0]["client"]), (&"native.token".into(), &"127.0.0.1".into()));
    assert!(about[0]["cause"].as_str().unwrap().contains("Redis"), "{about:?}");

    // It comes back empty: earlier tokens are refused, and everything works again without a restart.
    redis.restart();
    wait_until_ready_except(&server, &[]).await;
    until("the loss is noticed", async || server.rejection_reason(&tokens.access).await == "revoked").await;
    until("users sign in again", &signs_in).await;
    server.refresh(&tokens.refresh).await.is_oauth_error(400, "invalid_grant");
    let anew = server.sign_in(&person).await;
    server.verify(&anew.access).await.is(200);
    server.refresh(&anew.refresh).await.is(200);
}

/// Alerts before the certificate expires, also after one that was renewed without a restart.
#[tokio::test]
async fn certificate_expiry_is_a_metric() {
    let write = |folder: &std::path::Path, year: i32| {
        let mut parameters = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        parameters.not_after = rcgen::date_time_ymd(year, 2, 3);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        std::fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
        std::fs::write(folder.join("chain.pem"), certificate.pem()).unwrap();
    };
    let server = TestServer::embedded(|plan| {
        write(plan.dir(), 2100);
        let file = |name: &str| plan.dir().join(name).to_str().unwrap().to_owned();
        let (certificate, key) = (file("chain.pem"), file("key.pem"));
        plan.set("SIGNET_SERVER__TLS__CERTIFICATE", &certificate).set("SIGNET_SERVER__TLS__KEY", &key)
    });
    let expiry = async || metrics(&server).await["signet_tls_certificate_expiry_timestamp_seconds"];
    // The third of February, 2100 and 2101.
    assert_eq!(expiry().await, 4_105_296_000.0);
    write(server.plan().dir(), 2101);
    until("the renewed certificate is in use", async || expiry().await == 4_136_832_000.0).await;
}

/// Samples by name and labels, each family described once and before its samples.
async fn metrics(server: &TestServer) -> HashMap<String, f64> {
    let page = server.get_management("/metrics").await;
    assert_eq!(page.is(200).header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let mut kinds = HashMap::new();
    let mut samples = HashMap::new();
    for line in page.text.lines() {
        if let Some(described) = line.strip_prefix("# ") {
            let mut words = described.splitn(3, ' ');
            let (what, name, rest) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap_or_default());
            assert!(!rest.is_empty(), "{line}");
            match what {
                "HELP" => {}
                "TYPE" => assert!(kinds.insert(name.to_owned(), rest.to_owned()).is_none(), "twice: {line}"),
                other => panic!("{other}: {line}"),
            }
            continue;
        }
        let (sample, value) = line.rsplit_once(' ').unwrap();
        let name = sample.split('{').next().unwrap();
        let family = ["_bucket", "_sum", "_count"].iter().filter_map(|end| name.strip_suffix(end));
        let family = family.chain([name]).find(|family| kinds.contains_key(*family));
        assert!(family.is_some(), "not described: {line}");
        assert!(samples.insert(sample.to_owned(), value.parse::<f64>().unwrap()).is_none(), "twice: {line}");
    }
    samples
}

mod counting {
    use super::*;

    over_both_stores!(|plan| plan; requests_and_store_calls_are_counted);

    async fn requests_and_store_calls_are_counted(server: &TestServer) {
        let person = server.create_user(&[]);
        let before = metrics(server).await;
        let tokens = server.sign_in(&person).await;
        server.try_sign_in(&person.email, "not the password").await.is(401);
        for _ in 0..5 {
            server.verify(&tokens.access).await.is(200);
        }
        server.verify("garbage").await.is(401);
        server.refresh(&tokens.refresh).await.is(200);
        server.get("/nothing").send_checked().await.is(404);
        server.delete("/sessions").bearer_auth(&tokens.access).send_checked().await.is(200);
        // A hash is counted after its caller has the result.
        let hashes = |samples: &HashMap<String, f64>| samples["signet_hashes_total"];
        until("both hashes are counted", async || hashes(&metrics(server).await) == hashes(&before) + 2.0).await;
        let after = metrics(server).await;
        let rose = |name: &str| after.get(name).unwrap_or(&0.0) - before.get(name).unwrap_or(&0.0);
        let requests = |route: &str, status: &str| {
            rose(&format!("signet_http_requests_total{{route=\"{route}\",status=\"{status}\"}}"))
        };
        for (route, status, count) in [
            ("native.sign-in", "201", 1.0),
            ("native.sign-in", "401", 1.0),
            ("native.verify", "200", 5.0),
            ("native.verify", "401", 1.0),
            ("native.token", "200", 1.0),
            ("native.sign-out-all", "200", 1.0),
        ] {
            assert_eq!(requests(route, status), count, "{route} {status}");
        }
        assert_eq!(rose("signet_http_request_duration_seconds_count{route=\"native.verify\"}"), 6.0);
        assert_eq!(rose("signet_http_request_duration_seconds_bucket{route=\"native.verify\",le=\"+Inf\"}"), 6.0);
        assert_eq!(rose("signet_verify_cache_lookups_total{result=\"miss\"}"), 1.0);
        assert_eq!(rose("signet_verify_cache_lookups_total{result=\"hit\"}"), 5.0);
        let stored = |operation| rose(&format!("signet_store_duration_seconds_count{{{operation}}}"));
        assert_eq!(stored("store=\"ephemeral\",operation=\"open_session\""), 1.0);
        assert_eq!(stored("store=\"ephemeral\",operation=\"present\""), 1.0);
        assert_eq!(stored("store=\"ephemeral\",operation=\"end_sessions\""), 1.0);
        // A sign-in that succeeds reads the row again once the session is open.
        assert_eq!(stored("store=\"accounts\",operation=\"user\""), 3.0);
        assert!(after.iter().all(|(name, value)| !name.starts_with("signet_store_errors_total") || *value == 0.0));
        assert_eq!(after["signet_revocations"], 1.0);
        assert!((0.0..60.0).contains(&after["signet_revocation_lag_seconds"]));
        assert!((0.0..600.0).contains(&after["signet_signing_key_age_seconds"]));
        for condition in ["store.accounts", "store.ephemeral", "keyring", "revocations", "connections", "accepting"] {
            assert_eq!(after[&format!("signet_ready{{condition=\"{condition}\"}}")], 1.0);
        }
        assert!(after["signet_open_connections"] >= 1.0 && after["process_resident_memory_bytes"] > 1e6);
        let total = |samples: &HashMap<String, f64>| {
            let requests = samples.iter().filter(|(name, _)| name.starts_with("signet_http_requests_total"));
            requests.map(|(_, count)| count).sum::<f64>()
        };
        assert_eq!(total(&after) - total(&before), 11.0, "no other request was sent");
    }
}

mod the_log {
    use super::*;

    fn plan(plan: Plan) -> Plan {
        plan.set("SIGNET_LOG__FILTER", "trace").set("SIGNET_SECRET", SECRET)
    }

    over_both_stores!(plan; trace_log_holds_no_secret);

    async fn trace_log_holds_no_secret(server: &TestServer) {
        let mut secrets =
            vec![PASSWORD.to_owned(), SECRET.to_owned(), "correct horse".to_owned(), "hunter2".to_owned()];
        let person = server.create_user(&["--superuser"]);
        let hash = "$2b$04$YXpCTVM8S5jhlTAxQ1xjGO/kXsjEvD9qN6QuhxHmQO2770JfbyI6.";
        let imported = json!({"email": "imported@example.org", "password_hash": hash}).to_string();
        server.plan().json(&["users", "import", "-"], &imported);
        server.try_sign_in("imported@example.org", "correct horse").await.is(201);
        server.try_sign_in(&person.email, "hunter2 is wrong").await.is(401);
        let (key, prefix) = server.api_key(&person, &["introspect", "revoke", "admin"]);
        let all = [server.sign_in(&person).await, server.sign_in(&person).await];
        let next = server.refresh(&all[0].refresh).await.is(200).tokens();
        server
            .post("/verify/batch")
            .json(&json!({"tokens": [next.access, key, "garbage"]}))
            .send_checked()
            .await
            .is(200);
        for access in [&all[0].access, &next.access, &key] {
            server.verify(access).await.is(200);
            server.get("/verify").bearer_auth(access).send_checked().await.is(200);
        }
        server.get("/verify").header("x-api-key", &key).send_checked().await.is(200);
        server.get("/verify").header("x-api-key", &next.access).send_checked().await.is(401);
        let basic = server.post("/oauth/token").basic_auth("client", Some(&key));
        let made = basic.form(&[("grant_type", "client_credentials")]).send_checked().await.is(200).json();
        let token = ("token", next.refresh.as_str());
        server.form("/oauth/introspect", &[("client_secret", &key), token]).await.is(200);
        server.form("/oauth/introspect", &[("client_secret", "sk_hunter2"), token]).await.is(401);
        server.form("/oauth/token", &[("grant_type", "refresh_token"), ("refresh_token", "hunter2")]).await.is(400);
        server.get("/sessions").bearer_auth(&next.access).send_checked().await.is(200);
        server
            .post("/sessions")
            .header("content-type", "application/json")
            .body("{\"password\":\"hunter2")
            .send_checked()
            .await
            .is(400);
        let third = server.refresh(&next.refresh).await.is(200).tokens();
        server.refresh(&all[0].refresh).await.is(400);
        server.form("/oauth/revoke", &[("client_secret", &key), ("token", &all[1].refresh)]).await.is(200);
        server.plan().json(&["keys", "rotate"], "");
        let kid = server.plan().json(&["keys", "list"], "")[0]["kid"].as_str().unwrap().to_owned();
        let pem = server.plan().json(&["keys", "export", &kid], "")["pem"].as_str().unwrap().to_owned();
        server.plan().json(&["api-keys", "deactivate", &prefix], "");
        server.plan().json(&["users", "disable", "imported@example.org"], "");
        let anew = server.sign_in(&person).await;
        server.post("/admin/sign-out-everyone").bearer_auth(&anew.access).send_checked().await.is(204);
        // The last request to be logged.
        let last = server.get("/nothing").header("x-request-id", "the-last-of-all").send_checked().await;
        server.signet.wait_for_log(last.is(404).header("x-request-id"));

        secrets.extend(all.iter().chain([&next, &third, &anew]).flat_map(|it| [it.access.clone(), it.refresh.clone()]));
        secrets.extend([key[prefix.len()..].to_owned(), made["access_token"].as_str().unwrap().to_owned()]);
        secrets.push(pem.lines().nth(1).unwrap()[20..].to_owned());
        secrets.extend(["$argon2id$".to_owned(), hash.to_owned(), hash[7..].to_owned()]);
        // A signature completes a token: neither may be in the log.
        let tails = secrets.iter().filter_map(|it| it.rsplit_once('.').map(|(_, tail)| tail.to_owned()));
        let tails = tails.filter(|tail| tail.len() > 40).collect::<Vec<_>>();
        secrets.extend(tails);
        let log = server.signet.log();
        let mut levels = HashMap::<String, usize>::new();
        for line in log.lines() {
            let read: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            assert!(read["timestamp"].is_string() && read["target"].is_string(), "{line}");
            *levels.entry(read["level"].as_str().unwrap().to_owned()).or_default() += 1;
            for secret in &secrets {
                assert!(!line.contains(secret.as_str()), "{secret} is in the log: {line}");
            }
            let bytes = format!("{:?}", PASSWORD.as_bytes());
            assert!(!line.contains(&bytes), "{line}");
        }
        assert!(levels["DEBUG"] >= 5, "the log was not detailed: {levels:?}");
    }

    #[tokio::test]
    async fn risky_settings_are_warned_of_at_the_start() {
        let server = TestServer::embedded(|plan| plan);
        server.signet.wait_for_log("limits.enabled is false");
        let log = server.signet.log();
        let line = log.lines().find(|line| line.contains("limits.enabled is false")).unwrap();
        assert_eq!(serde_json::from_str::<Value>(line).unwrap()["level"], "WARN");
    }

    #[tokio::test]
    async fn pretty_format_is_not_json() {
        let server = TestServer::embedded(|plan| plan.set("SIGNET_LOG__FORMAT", "pretty"));
        server.signet.wait_for_log(" INFO ");
        assert!(!server.signet.log().contains("\"level\""), "{}", server.signet.log());
    }
}

#[tokio::test]
async fn old_mails_are_removed_from_the_outbox_at_start() {
    let plan = Plan::embedded();
    let outbox = plan.dir().join("data/outbox");
    std::fs::create_dir_all(&outbox).unwrap();
    let (old, recent) = ("20200131T120000.000Z-000000-00000000.eml", "29990131T120000.000Z-000000-00000000.eml");
    for name in [old, recent, "notes.txt"] {
        std::fs::write(outbox.join(name), "").unwrap();
    }
    let server = TestServer::start(plan);
    until("the old mail is gone", async || !outbox.join(old).exists()).await;
    assert!(outbox.join(recent).exists() && outbox.join("notes.txt").exists());
    server.signet.wait_for_log("old mails removed from the outbox");
}
