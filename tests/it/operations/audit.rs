//! Security events: each type by a real action, without secrets, in the log and in the list; reading and following the
//! list; what an owner sees of it.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use signet::auth::audit::{EventType, Outcome};

use crate::monitoring::{describe, metrics};
use crate::support::server::{PASSWORD, SendRequest, TestServer, TestUser, over_both_stores};
use crate::support::signet::{CLIENT_LIMITS, NEVER_REACHED, Plan};
use crate::support::{outbox, totp, until};

fn plan(plan: Plan) -> Plan {
    let plan = plan.limits(&CLIENT_LIMITS, NEVER_REACHED).limits(&["SIGN_IN_ACCOUNT"], "10 per 1d");
    plan.set("SIGNET_LOG__FILTER", "info").set("SIGNET_LOG__FORMAT", "json")
}

over_both_stores!(
    plan;
    every_event_type_is_produced_by_a_real_action,
    events_are_filtered_paged_and_followed,
    owner_sees_what_happened_but_not_which_administrator_did_it,
);

/// Types that need time to pass: `signing_key_events_of_the_schedule` produces them.
const BY_SCHEDULE: &[EventType] = &[EventType::SigningKeyRemoved];

/// One page of the list.
async fn page(server: &TestServer, access: &str, query: &str) -> Value {
    server.get(&format!("/admin/audit?{query}")).bearer_auth(access).send_checked().await.is(200).json()
}

/// All events, the newest first.
async fn all_events(server: &TestServer, access: &str) -> Vec<Value> {
    let (mut events, mut before) = (Vec::new(), String::new());
    loop {
        let page = page(server, access, &format!("limit=200{before}")).await;
        events.extend(page["events"].as_array().unwrap().iter().cloned());
        match page["next"].as_str() {
            Some(next) => before = format!("&before={next}"),
            None => return events,
        }
    }
}

fn types(events: &[Value]) -> BTreeSet<String> {
    events.iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
}

async fn put(server: &TestServer, path: &str, access: &str, body: Value) {
    let response = server.request(Method::PUT, path).bearer_auth(access).json(&body).send_checked().await;
    assert!(response.status < 300, "{path}: {response:?}");
}

async fn post(server: &TestServer, path: &str, body: Value) -> Value {
    let response = server.post(path).json(&body).send_checked().await;
    assert!(response.status < 300, "{path}: {response:?}");
    if response.text.is_empty() { Value::Null } else { response.json() }
}

/// Everything that must not be in an event.
#[derive(Default)]
struct Secrets(Vec<String>);

impl Secrets {
    fn keep(&mut self, secret: impl Into<String>) -> String {
        self.0.push(secret.into());
        self.0.last().unwrap().clone()
    }

    async fn sign_in(&mut self, server: &TestServer, user: &TestUser) -> String {
        let pair = server.sign_in(user).await;
        self.keep(pair.refresh);
        self.keep(pair.access)
    }
}

async fn every_event_type_is_produced_by_a_real_action(server: &TestServer) {
    let mut secrets = Secrets(vec![PASSWORD.to_owned(), "example.org".to_owned()]);
    let root = server.create_user(&["--superuser", "--verified"]);
    let admin = secrets.sign_in(server, &root).await;
    sign_ins_and_sessions(server, &mut secrets, &admin).await;
    credentials(server, &mut secrets).await;
    second_factor(server, &mut secrets).await;
    administration(server, &mut secrets, &admin).await;
    server.post("/admin/sign-out-everyone").bearer_auth(&admin).send_checked().await.is(204);

    let admin = secrets.sign_in(server, &root).await;
    let expected: BTreeSet<String> =
        EventType::ALL.iter().filter(|of| !BY_SCHEDULE.contains(of)).map(|of| of.name().to_owned()).collect();
    let mut events = Vec::new();
    until("every event is stored", async || {
        events = all_events(server, &admin).await;
        let missing: Vec<_> = expected.difference(&types(&events)).cloned().collect();
        if !missing.is_empty() {
            println!("missing: {missing:?}");
        }
        missing.is_empty()
    })
    .await;
    assert_eq!(types(&events), expected, "no event has another type");

    // The addresses are added when the list is read.
    let party = |event: &Value| event["user"].clone();
    assert!(events.iter().map(party).any(|user| user["id"] == json!(root.id) && user["email"] == json!(root.email)));
    for event in &mut events {
        for party in ["user", "actor"] {
            event.get_mut(party).and_then(Value::as_object_mut).and_then(|party| party.remove("email"));
        }
    }
    let text = serde_json::to_string(&events).unwrap();
    // The log has a thread of its own, which may be late.
    for event in events.iter().filter(|event| event["actor"]["id"] != "cli") {
        server.signet.wait_for_log(event["id"].as_str().unwrap());
    }
    let log = server.signet.log();
    let logged: Vec<&str> = log.lines().filter(|line| line.contains(r#""target":"signet::audit""#)).collect();
    for secret in &secrets.0 {
        assert!(!text.contains(secret.as_str()), "{secret} is in an event");
        assert!(!logged.iter().any(|line| line.contains(secret.as_str())), "{secret} is in the log");
    }
    for event in &events {
        let of = EventType::ALL.iter().find(|of| event["type"] == of.name()).unwrap();
        let outcome = if of.outcome() == Outcome::Success { "success" } else { "refused" };
        assert_eq!(event["outcome"], outcome);
        assert!(event["id"].as_str().is_some_and(|id| id.len() == 36) && event["time"].is_string(), "{event}");
        // The actions of the command line are in its own log.
        if event["actor"]["id"] != "cli" {
            let id = event["id"].as_str().unwrap();
            assert_eq!(logged.iter().filter(|line| line.contains(id)).count(), 1, "{event} is one line of the log");
        }
    }
    let granted = |event: &&Value| event["type"] == "superuser.granted" && event["user"]["id"] == json!(root.id);
    assert_eq!(events.iter().find(granted).unwrap()["actor"]["id"], "cli");
    let signed_out = events.iter().find(|event| event["type"] == "user.signed_out").unwrap();
    assert_eq!(signed_out["actor"]["id"], json!(root.id));
    let metric = async |series: &str| server.metric(series).await;
    assert!(metric(r#"signet_sign_ins_total{method="password",outcome="success"}"#).await > 3);
    assert!(metric(r#"signet_sign_ins_total{method="password",outcome="refused"}"#).await > 1);
    assert!(metric(r#"signet_sign_ins_total{method="code",outcome="success"}"#).await > 0);
    assert_eq!(metric("signet_refresh_tokens_reused_total").await, 1);
    assert!(metric(r#"signet_rate_limited_total{limit="sign_in_account"}"#).await > 0);
    assert_eq!(metric("signet_audit_events_lost_total").await, 0);
}

async fn sign_ins_and_sessions(server: &TestServer, secrets: &mut Secrets, admin: &str) {
    let person = server.create_user(&[]);
    let pair = server.sign_in(&person).await;
    server.try_sign_in(&person.email, &secrets.keep("wrong and secret")).await.is(401);
    // Its owner typed a password into the wrong field.
    server.try_sign_in(&secrets.keep("typed-into-the-wrong-field"), PASSWORD).await.is(401);
    let next = server.refresh(&pair.refresh).await.is(200).tokens();
    server.refresh(&next.refresh).await.is(200);
    server.refresh(&pair.refresh).await.is(400);

    let one = secrets.sign_in(server, &person).await;
    secrets.sign_in(server, &person).await;
    server.delete("/sessions?except=current").bearer_auth(&one).send_checked().await.is(200);
    let sign_out = format!("/admin/users/{}/sign-out", person.id);
    server.post(&sign_out).bearer_auth(admin).send_checked().await.is(200);

    let (key, _) = server.api_key(&person, &["revoke"]);
    let token = server.client_token(&secrets.keep(key.clone())).await;
    let revoke = server.post("/oauth/revoke").header("x-api-key", &key).form(&[("token", &secrets.keep(token))]);
    revoke.send_checked().await.is(200);

    let victim = server.create_user(&[]);
    for _ in 0..10 {
        server.try_sign_in(&victim.email, "guessed").await.is(401);
    }
    server.try_sign_in(&victim.email, "guessed").await.is(429);
}

/// Registration, addresses and passwords.
async fn credentials(server: &TestServer, secrets: &mut Secrets) {
    let email = "newcomer@example.org";
    let password = secrets.keep("a password of a newcomer");
    post(server, "/users", json!({"email": email, "password": password})).await;
    let token = secrets.keep(outbox::wait_for_mail(server, email, 0).await.token());
    post(server, "/email-confirmations/redeem", json!({"token": token})).await;
    let access = post(server, "/sessions", json!({"email": email, "password": password})).await;
    let access = secrets.keep(access["access_token"].as_str().unwrap());

    let named = server.request(Method::PATCH, "/me").bearer_auth(&access);
    named.json(&json!({"full_name": secrets.keep("Newcomer of the Test")})).send_checked().await.is(200);
    let before = outbox::mails(server, "moved@example.org").len();
    let change = server.post("/me/email").bearer_auth(&access);
    change.json(&json!({"email": "moved@example.org", "current_password": password})).send_checked().await.is(202);
    let token = secrets.keep(outbox::wait_for_mail(server, "moved@example.org", before).await.token());
    post(server, "/email-confirmations/redeem", json!({"token": token})).await;

    let new = secrets.keep("another password of a newcomer");
    put(server, "/me/password", &access, json!({"current_password": password, "new_password": new})).await;
    outbox::wait_until_queue_is_empty(server).await;
    let before = outbox::mails(server, "moved@example.org").len();
    let secret = post(server, "/password-resets", json!({"email": "moved@example.org"})).await;
    let secret = secrets.keep(secret["device_secret"].as_str().unwrap());
    let token = secrets.keep(outbox::wait_for_mail(server, "moved@example.org", before).await.token());
    let new = secrets.keep("a third password of a newcomer");
    let body = json!({"token": token, "device_secret": secret, "new_password": new});
    post(server, "/password-resets/redeem", body).await;

    // Somebody else signed up with the address of a person, who proves that they read its mail.
    let planted = server.create_user(&[]);
    post(server, "/codes", json!({"email": planted.email})).await;
    let code = outbox::wait_for_mail(server, &planted.email, 0).await.code();
    post(server, "/sessions", json!({"email": planted.email, "code": code})).await;
}

async fn second_factor(server: &TestServer, secrets: &mut Secrets) {
    let person = server.create_user(&["--verified"]);
    let access = secrets.sign_in(server, &person).await;
    server
        .request(Method::PUT, "/totp")
        .bearer_auth(&access)
        .json(&json!({"code": "000000", "password": "wrong"}))
        .send_checked()
        .await;
    let (key, codes) = totp::enable_totp(server, &access, PASSWORD).await;
    secrets.keep(key);
    let body = json!({"email": person.email, "password": PASSWORD, "totp_code": secrets.keep(codes[0].clone())});
    post(server, "/sessions", body).await;
    let replace = server.post("/totp/recovery-codes").bearer_auth(&access).json(&json!({"password": PASSWORD}));
    let replaced = replace.send_checked().await;
    assert!(replaced.status < 300, "{replaced:?}");
    let codes = replaced.json()["recovery_codes"].as_array().unwrap().clone();
    codes.iter().for_each(|code| _ = secrets.keep(code.as_str().unwrap()));
    server.delete("/totp").bearer_auth(&access).json(&json!({"password": PASSWORD})).send_checked().await.is(204);

    let (key, _) = totp::enable_totp(server, &access, PASSWORD).await;
    secrets.keep(key);
    server.plan().json(&["users", "reset-mfa", &person.email], "");
}

/// The actions of administrators and of the command line.
async fn administration(server: &TestServer, secrets: &mut Secrets, admin: &str) {
    let plan = server.plan();
    let other = server.create_user(&["--superuser"]);
    let demote = server.request(Method::PATCH, &format!("/admin/users/{}", other.id)).bearer_auth(admin);
    demote.json(&json!({"superuser": false})).send_checked().await.is(200);
    plan.json(&["users", "disable", &other.email], "");
    plan.json(&["users", "enable", &other.email], "");
    let (key, prefix) = server.api_key(&other, &[]);
    secrets.keep(key);
    plan.json(&["api-keys", "deactivate", &prefix], "");
    plan.json(&["api-keys", "deactivate", "--all"], "");
    plan.json(&["users", "delete", &other.email], "");
    let export = plan.run(&["users", "export", "--with-hashes"], "");
    assert!(export.status.success(), "{export:?}");
    let imported = plan.run(&["users", "import", "-"], r#"{"email":"imported@example.org"}"#);
    assert!(imported.status.success(), "{imported:?}");

    let keys = plan.json(&["keys", "list"], "");
    let kid = |index: usize| keys[index]["kid"].as_str().unwrap().to_owned();
    let pem = plan.run(&["keys", "export", &kid(0)], "");
    secrets.keep(String::from_utf8(pem.stdout).unwrap().lines().nth(1).unwrap());
    plan.json(&["keys", "rotate"], "");
    plan.json(&["keys", "revoke", &kid(1)], "");
    let elsewhere = Plan::embedded();
    elsewhere.json(&["migrate"], "");
    let foreign = elsewhere.json(&["keys", "list"], "")[0]["kid"].as_str().unwrap().to_owned();
    let foreign = String::from_utf8(elsewhere.run(&["keys", "export", &foreign], "").stdout).unwrap();
    plan.json(&["keys", "import", "-"], &foreign);

    let test = server.post("/admin/mail/test").bearer_auth(admin).json(&json!({"to": "tested@example.org"}));
    assert_eq!(test.send_checked().await.is(200).json()["accepted"], true);
    let listed = server.get("/admin/mail/outbox?limit=1").bearer_auth(admin).send_checked().await.is(200).json();
    let name = listed["letters"][0]["name"].as_str().unwrap();
    server.get(&format!("/admin/mail/outbox/{name}")).bearer_auth(admin).send_checked().await.is(200);
}

async fn events_are_filtered_paged_and_followed(server: &TestServer) {
    let root = server.create_user(&["--superuser", "--verified"]);
    let (one, other) = (server.create_user(&[]), server.create_user(&[]));
    let admin = server.sign_in(&root).await.access;
    for _ in 0..3 {
        server.try_sign_in(&one.email, "wrong").await.is(401);
        server.sign_in(&other).await;
    }
    let count = async |query: &str| page(server, &admin, query).await["events"].as_array().unwrap().len();
    until("the sign-ins are stored", async || count("type=sign_in&limit=200").await == 7).await;
    assert_eq!(count("type=sign_in.refused").await, 3);
    assert_eq!(count("type=user.created,superuser.granted").await, 4);
    assert_eq!(count("actor=cli").await, 4);
    assert_eq!(count(&format!("user={}", one.id)).await, 4, "created, and three refusals");
    assert_eq!(count(&format!("user={}&type=sign_in.succeeded", other.id)).await, 3);
    assert_eq!(count("type=nothing").await, 0);

    // Pages of one, down to the oldest, are the same events as one page.
    let all = page(server, &admin, "limit=200").await;
    let (mut paged, mut before) = (Vec::new(), String::new());
    loop {
        let next = page(server, &admin, &format!("limit=1{before}")).await;
        paged.extend(next["events"].as_array().unwrap().iter().cloned());
        match next["next"].as_str() {
            Some(cursor) => before = format!("&before={cursor}"),
            None => break,
        }
    }
    assert_eq!(json!(paged), all["events"]);
    assert_eq!(all["newest"], all["events"][0]["cursor"]);

    // A request that waits has the next event as soon as it is stored, and none twice.
    let newest = all["newest"].as_str().unwrap();
    let follow = format!("after={newest}&wait=20&type=sign_in.refused");
    let waiting = page(server, &admin, &follow);
    let (followed, refused) = tokio::join!(waiting, server.try_sign_in(&other.email, "wrong"));
    refused.is(401);
    let [event] = &followed["events"].as_array().unwrap()[..] else { panic!("{followed}") };
    assert_eq!((&event["type"], &event["user"]["id"]), (&json!("sign_in.refused"), &json!(other.id)));
    let after = followed["next"].as_str().unwrap();
    assert_eq!(count(&format!("after={after}&type=sign_in.refused")).await, 0);

    let stranger = server.sign_in(&one).await.access;
    server.get("/admin/audit").bearer_auth(&stranger).send_checked().await.is_problem(403, "forbidden");
    for invalid in ["after=x", "before=1", "limit=0", "limit=201", "wait=26", "user=x"] {
        let response = server.get(&format!("/admin/audit?{invalid}")).bearer_auth(&admin).send_checked().await;
        response.is_problem(400, "invalid_fields");
    }
}

async fn owner_sees_what_happened_but_not_which_administrator_did_it(server: &TestServer) {
    let (root, person) = (server.create_user(&["--superuser", "--verified"]), server.create_user(&[]));
    let admin = server.sign_in(&root).await.access;
    server.sign_in(&person).await;
    server.try_sign_in(&person.email, "wrong").await.is(401);
    let sign_out = format!("/admin/users/{}/sign-out", person.id);
    server.post(&sign_out).bearer_auth(&admin).send_checked().await.is(200);
    let access = server.sign_in(&person).await.access;
    let mut events = Vec::new();
    let expected = ["sign_in.succeeded", "user.signed_out", "sign_in.refused", "sign_in.succeeded", "user.created"];
    until("the events are stored", async || {
        let activity = server.get("/me/activity").bearer_auth(&access).send_checked().await.is(200).json();
        events = activity["events"].as_array().unwrap().clone();
        events.iter().map(|event| event["type"].as_str().unwrap()).eq(expected)
    })
    .await;
    assert_eq!((&events[0]["client_ip"], &events[0]["dialect"]), (&json!("127.0.0.1"), &json!("native")));
    assert_eq!(events[1]["actor"], json!({"id": "administrator"}));
    assert!(events[1]["client_ip"].is_null() && events[1]["user_agent"].is_null(), "{}", events[1]);
    assert!(!json!(events).to_string().contains(&root.id));
    let page = server.get("/me/activity?limit=1").bearer_auth(&access).send_checked().await.is(200).json();
    let before = format!("/me/activity?limit=2&before={}", page["next"].as_str().unwrap());
    let page = server.get(&before).bearer_auth(&access).send_checked().await.is(200).json();
    assert_eq!(page["events"], json!(events[1..3]));
    let (key, _) = server.api_key(&person, &[]);
    server.get("/me/activity").bearer_auth(&key).send_checked().await.is(403);
}

/// A fresh server shows few series, and every one that an alert needs.
#[tokio::test]
async fn fresh_server_shows_few_series() {
    let server = TestServer::embedded(|plan| plan);
    let page = server.get_management("/metrics").await.text;
    let series: Vec<&str> = page.lines().filter(|line| !line.starts_with('#')).collect();
    // About half belong to the store operations that the start and the maintenance have used, twenty to each.
    assert!(series.len() < 300, "{} series", series.len());
    for name in [
        r#"signet_sign_ins_total{method="magic_link",outcome="refused"} 0"#,
        "signet_refresh_tokens_reused_total 0",
        r#"signet_rate_limited_total{limit="mail_total"} 0"#,
        r#"signet_rate_limited_total{limit="mailed.daily_tries"} 0"#,
        "signet_mail_oldest_seconds 0",
        "signet_audit_events_lost_total 0",
    ] {
        assert!(series.contains(&name), "{name}\n{page}");
    }
    assert!(series.iter().any(|line| line.starts_with("signet_disk_free_bytes ")));
    assert!(!series.iter().any(|line| line.starts_with("signet_hash_wait_seconds")), "nothing was hashed");
    // The dashboard and the alerts are checked against this list.
    let expected = metrics().into_iter().map(|metric| metric.name);
    let expected: Vec<_> = expected.filter(|name| !name.starts_with("signet_tls_certificate_expiry")).collect();
    let names: Vec<_> = describe(&page).into_iter().map(|metric| metric.name).collect();
    assert_eq!(names, expected, "without TLS there is no certificate");
    for action in signet::config::LimitedAction::ALL {
        let name = format!(r#"signet_rate_limited_total{{limit="{}"}} 0"#, action.setting());
        assert!(series.contains(&name.as_str()), "{name}");
    }
}
