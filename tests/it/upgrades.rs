//! This program beside the next release, which has changed the schema and writes what this one does not know: it goes on
//! working, and starts again after the next release was there. Only a schema that excludes it stops it. `./test upgrade`
//! runs two real programs: `faults::upgrade`.

use reqwest::Method;
use serde_json::json;

use crate::support::client::sid;
use crate::support::server::{PASSWORD, SendRequest, TestServer, TestUser, over_both_stores};
use crate::support::{migrations, until};

over_both_stores!(
    |plan| plan;
    works_beside_the_next_release_until_the_schema_excludes_it,
);

/// The changes of the next release to the tables of accounts. No statement of this program names these columns.
const EXPANSION: &str = "
    ALTER TABLE users ADD COLUMN next_release text NOT NULL DEFAULT 'x';
    ALTER TABLE projects ADD COLUMN next_release text;
    ALTER TABLE api_keys ADD COLUMN next_release text;
    ALTER TABLE deleted_users ADD COLUMN next_release text;
    CREATE TABLE next_release (a text);";

/// Its changes to the other tables of the embedded store, and the rows that it writes into them: a revocation and an
/// event of kinds that this program does not know.
const EMBEDDED_EXPANSION: &str = r#"
    ALTER TABLE sessions ADD COLUMN next_release text;
    ALTER TABLE revocations ADD COLUMN next_release text;
    ALTER TABLE claims ADD COLUMN next_release text NOT NULL DEFAULT 'x';
    ALTER TABLE events ADD COLUMN next_release text;
    ALTER TABLE ring ADD COLUMN next_release text;
    UPDATE sessions SET next_release = 'x';
    INSERT INTO revocations (kind, until, published_at, next_release)
        VALUES ('client', unixepoch() * 1000 + 600000, unixepoch() * 1000, 'x');
    INSERT INTO events (scope, is_attempt, number, at, expires_at, event)
        SELECT x'', 0, coalesce(max(number), 0) + 1, unixepoch() * 1000, unixepoch() * 1000 + 600000, 'EVENT'
        FROM events WHERE scope = x'' AND is_attempt = 0;"#;

/// An event of a type, an outcome and a method that this program does not know, with a member of its own.
const EVENT: &str = concat!(
    r#"{"id":"01930000-0000-7000-8000-000000000009","time":"2026-11-29T00:00:00.000Z","type":"passkey.added","#,
    r#""outcome":"deferred","method":"passkey","next_release":{"a":1}}"#
);

async fn works_beside_the_next_release_until_the_schema_excludes_it(server: &TestServer) {
    let admin = server.create_user(&["--superuser"]);
    let user = server.create_user(&[]);
    let (before, ended) = (server.sign_in(&user).await, server.sign_in(&user).await);
    use_accounts(server, "before").await;
    let (store, folder) = if server.redis().is_some() { ("postgres", "postgres") } else { ("embedded", "sqlite") };
    let known = migrations(folder).len() as i32;

    // The next release beside this program, whose statements are prepared.
    server.sql(EXPANSION).await;
    add_step(server, known + 1, "next_release", known).await;
    write_as_the_next_release(server, &user).await;
    let beside = server.refresh(&before.refresh).await.is(200).tokens();
    use_accounts(server, "beside").await;
    let end = server.request(Method::DELETE, &format!("/sessions/{}", sid(&ended.access)));
    assert!(end.bearer_auth(&beside.access).send_checked().await.status < 300);

    // This program starts on what the next release has left, as after a roll back.
    let after = TestServer::start(server.plan().clone());
    let pair = after.refresh(&beside.refresh).await.is(200).tokens();
    use_accounts(&after, "after").await;
    until("the ended session is refused", async || after.rejection_reason(&ended.access).await == "revoked").await;
    let sessions = after.get("/sessions").bearer_auth(&pair.access).send_checked().await.is(200).json();
    assert!(sessions.to_string().contains(&sid(&pair.access)), "{sessions}");
    let access = after.sign_in(&admin).await.access;
    let events = after.get("/admin/audit?type=passkey.added").bearer_auth(&access).send_checked().await.is(200).json();
    assert_eq!(events["events"][0]["method"], "passkey", "{events}");
    after.get("/admin/overview").bearer_auth(&access).send_checked().await.is(200);
    let newer = format!("{store} has schema {}; this program knows {known}, and works on it", known + 1);
    let found = check(server);
    assert!(found.contains(&newer), "{found}");

    // The release after the next removes what this one uses.
    add_step(server, known + 2, "drop_something", known + 1).await;
    until("this program is not ready", async || after.get_management("/readyz").await.status == 503).await;
    let refused = server.plan().try_start();
    assert_eq!(refused.wait_for_exit().code(), Some(1));
    for said in [after.get_management("/readyz").await.text, check(server), refused.log()] {
        let parts = [
            format!("migration {} (drop_something), but this program knows only {known}", known + 2),
            format!("only programs that know migration {} can work on it", known + 1),
            "run the newer signet, or restore a backup from before the upgrade".to_owned(),
        ];
        assert!(parts.iter().all(|part| said.contains(part.as_str())), "{parts:?}: {said}");
    }
}

/// Records a migration that this program does not know.
async fn add_step(server: &TestServer, number: i32, name: &str, oldest_reader: i32) {
    let applied_at = if server.redis().is_some() { "now()" } else { "0" };
    let columns = "number, name, checksum, applied_at, oldest_reader";
    let values = format!("{number}, '{name}', 'unknown', {applied_at}, {oldest_reader}");
    server.sql(&format!("INSERT INTO signet_migrations ({columns}) VALUES ({values})")).await;
}

/// Writes what a newer program may write: additional fields, and records of new kinds.
async fn write_as_the_next_release(server: &TestServer, user: &TestUser) {
    let Some(redis) = server.redis() else {
        return server.sql(&EMBEDDED_EXPANSION.replace("EVENT", EVENT)).await;
    };
    let sessions = redis.cli(&["KEYS", &format!("*{{{}}}:s:*", user.id)]);
    assert_eq!(sessions.lines().count(), 2, "{sessions}");
    for session in sessions.lines() {
        redis.cli(&["HSET", session, "z", "1", "next_release", "x"]);
    }
    let fleet = |name: &str| format!("signet:{{fleet}}:{name}");
    redis.cli(&["HSET", &fleet("ring"), "next_release", "x"]);
    redis.cli(&["XADD", &fleet("revocations"), "*", "t", "client 42", "u", "99999999999999", "n", "x"]);
    redis.cli(&["XADD", &fleet("events"), "*", "e", EVENT, "n", "x"]);
    let seconds = redis.cli(&["TIME"]).lines().next().unwrap_or_default().to_owned();
    redis.cli(&["HSET", &fleet("node_states"), "a node of the next release", &format!("{seconds}000 {{\"a\":1}}")]);
}

/// Uses each table of accounts: signs up, signs in, refreshes, creates an API key, changes the password, deletes.
async fn use_accounts(server: &TestServer, name: &str) {
    let email = format!("{name}@example.net");
    let sign_up = server.post("/auth/login/signup").json(&json!({"email": email, "password": PASSWORD}));
    sign_up.send_checked().await.is(200);
    let pair = server.try_sign_in(&email, PASSWORD).await.is(201).tokens();
    let access = server.refresh(&pair.refresh).await.is(200).tokens().access;
    let projects = server.get("/projects").bearer_auth(&access).send_checked().await.is(200).json();
    let project = projects["projects"][0]["id"].as_str().unwrap().to_owned();
    let key = server.post("/auth/api-keys/").header("x-project-id", project).bearer_auth(&access);
    let key = key.json(&json!({"name": "a key"})).send_checked().await.is(201).json();
    assert_eq!(server.rejection_reason(key["data"]["full_key"].as_str().unwrap()).await, "");
    let change = json!({"current_password": PASSWORD, "new_password": "another harbour at dawn"});
    let change = server.request(Method::PUT, "/me/password").bearer_auth(&access).json(&change);
    let pair = change.send_checked().await.is(200).tokens();
    server.delete("/auth/users/me").bearer_auth(&pair.access).send_checked().await.is(200);
}

/// The output of `signet check`.
fn check(server: &TestServer) -> String {
    let output = server.plan().run(&["check"], "");
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
