//! `users update`, `users sign-out`, `sessions`, `audit`, `verify` and `config show`: what an operator does about a user
//! on the command line.

use super::*;
use crate::support::server::over_both_stores;

// The issuer follows from the address, which a command does not know if the test lets the server choose the port.
over_both_stores!(
    |plan| plan.set("SIGNET_TOKENS__ISSUER", "https://id.example.org");
    user_is_updated,
    sessions_are_listed_and_ended,
    sessions_are_listed_with_their_devices,
    tokens_are_explained,
    events_are_printed,
);

async fn user_is_updated(server: &TestServer) {
    let user = server.create_user(&["--role", "editor"]);
    let tokens = server.sign_in(&user).await;
    let plan = server.plan();
    let update = |arguments: &[&str]| plan.json(&[&["users", "update", &user.email], arguments].concat(), "");
    let row = update(&["--full-name", "Zoe Tam", "--verified", "true", "--role", "editor", "--role", "author"]);
    assert_eq!((&row["full_name"], &row["verified"]), (&json!("Zoe Tam"), &json!(true)));
    assert_eq!(row["roles"], json!(["editor", "author"]));
    server.verify(&tokens.access).await.is(200);
    let row = update(&["--full-name", "", "--username", "zoe", "--claims", r#"{"plan":"pro"}"#]);
    assert_eq!(
        (&row["full_name"], &row["username"], &row["claims"]),
        (&Value::Null, &json!("zoe"), &json!({"plan": "pro"}))
    );
    // A role that is lost ends the sessions, and the command waits for the server.
    assert_eq!(update(&["--no-roles", "--superuser", "true"])["roles"], json!([]));
    assert_eq!(server.rejection_reason(&tokens.access).await, "revoked");
    let other = server.create_user(&[]);
    assert!(refused(plan, &["users", "update", &other.email, "--username", "ZOE"], 1).contains("username is taken"));
    assert!(refused(plan, &["users", "update", &other.email, "--username", "a@b"], 1).contains("username"));
    assert!(refused(plan, &["users", "update", &other.email], 2).contains("--claims"));
    assert!(refused(plan, &["users", "update", &user.email, "--superuser", "false"], 1).contains("last superuser"));
    assert_eq!(update(&["--superuser", "false", "--yes"])["superuser"], false);
    for (email, warns) in [(&user.email, false), (&other.email, true)] {
        let output = plan.run(&["users", "update", email, "--superuser", "true"], "");
        assert!(output.status.success(), "{output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr).contains("not verified"), warns, "{output:?}");
    }
}

async fn sessions_are_listed_and_ended(server: &TestServer) {
    let user = server.create_user(&[]);
    let (one, other) = (server.sign_in(&user).await, server.sign_in(&user).await);
    let plan = server.plan();
    let listed = || {
        let rows = plan.json(&["sessions", "list", &user.email], "");
        rows.as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(listed(), [other.session.clone(), one.session.clone()]);
    let row = plan.json(&["sessions", "end", &user.email, &one.session], "");
    assert_eq!((&row["id"], &row["dialect"]), (&json!(one.session), &json!("native")));
    assert_eq!(server.rejection_reason(&one.access).await, "revoked");
    server.verify(&other.access).await.is(200);
    assert!(refused(plan, &["sessions", "end", &user.email, &one.session], 1).contains("there is no session"));
    let row = plan.json(&["users", "sign-out", &user.email], "");
    assert_eq!((&row["id"], &row["ended"]), (&json!(user.id), &json!(1)));
    assert_eq!(server.rejection_reason(&other.access).await, "revoked");
    assert!(listed().is_empty());
}

async fn sessions_are_listed_with_their_devices(server: &TestServer) {
    let user = server.create_user(&[]);
    let agent = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";
    server.sign_in_request(&user.email, PASSWORD).header("user-agent", agent).send_checked().await.is(201);
    let list = ["sessions", "list", user.email.as_str()];
    let table = done(server.plan(), &list, "");
    assert!(table.contains("DEVICE") && table.contains("Firefox, Linux") && !table.contains("Mozilla"), "{table}");
    assert_eq!(server.plan().json(&list, "")[0]["agent"], agent);
}

async fn tokens_are_explained(server: &TestServer) {
    let user = server.create_user(&[]);
    let tokens = server.sign_in(&user).await;
    let plan = server.plan();
    let good = plan.json(&["verify", &tokens.access], "");
    assert_eq!(
        (&good["kind"], &good["valid"], &good["email"]),
        (&json!("access_token"), &json!(true), &json!(user.email))
    );
    assert_eq!(plan.json(&["verify", "-"], &format!("{}\n", tokens.refresh))["kind"], "refresh_token");
    plan.json(&["users", "sign-out", &user.email], "");
    for (token, reason) in [(&tokens.access, "revoked"), (&tokens.refresh, "session_ended")] {
        let output = plan.run(&["--json", "verify", token], "");
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let row: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&row["valid"], &row["reason"], &row["revoked"]), (&json!(false), &json!(reason), &json!("user")));
    }
    assert!(refused(plan, &["verify", "x"], 1).contains("malformed"));
}

async fn events_are_printed(server: &TestServer) {
    let (user, other) = (server.create_user(&[]), server.create_user(&[]));
    let plan = server.plan();
    plan.json(&["users", "disable", &user.email], "");
    plan.json(&["users", "disable", &other.email], "");
    let types = |arguments: &[&str]| {
        let events = plan.json(&[&["audit"], arguments].concat(), "");
        events.as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(types(&["--user", &user.email]), ["user.disabled", "user.created"]);
    assert_eq!(types(&["--type", "user.disabled"]).len(), 2);
    assert_eq!(types(&["--type", "user", "--limit", "3"]).len(), 3);
    let table = plan.run(&["audit", "--limit", "1"], "");
    assert!(text(&table.stdout).contains("user.disabled"), "{table:?}");
}

/// No store is needed for it.
#[test]
fn settings_are_shown() {
    let plan =
        Plan::embedded().set("SIGNET_MAIL__QUEUE", "7").set("SMTP_URL", "smtp://signet:hunter2@mail.example.com");
    let all = plan.json(&["config", "show"], "");
    let find = |name: &str| all.as_array().unwrap().iter().find(|row| row["name"] == name).unwrap().clone();
    assert_eq!(
        (&find("mail.queue")["value"], &find("mail.queue")["from"]),
        (&json!("7"), &json!("SIGNET_MAIL__QUEUE"))
    );
    assert_eq!((&find("mail.smtp_url")["value"], &find("mail.smtp_url")["secret"]), (&json!("…"), &json!(true)));
    assert_eq!(
        (&find("verify.cache")["source"], &find("verify.cache")["from"]),
        (&json!("default"), &json!("built in"))
    );
    let default = find("verify.cache")["value"].as_str().unwrap().to_owned();
    let changed = plan.set("SIGNET_VERIFY__CACHE", &default).run(&["config", "show", "--changed"], "");
    let printed = text(&changed.stdout);
    assert!(printed.contains("mail.queue") && !printed.contains("verify.cache"), "{printed}");
    assert!(!format!("{all}{printed}").contains("hunter2"));
}

/// Redis accepts writes when the command asks whether it does, and refuses the scripts that end the sessions.
#[test]
fn deletion_succeeds_though_redis_fails_midway() {
    let (redis, postgres) = (redis::Server::start(), postgres::Database::create());
    let plan = Plan::on(&redis, &postgres).with_patient_stores();
    let user = plan.create_user("a@example.org", PASSWORD, &[]);
    assert_eq!(redis.cli(&["ACL", "SETUSER", "default", "-evalsha", "-eval"]), "OK");
    let output = plan.run(&["--json", "users", "delete", "a@example.org", "--yes"], "");
    let printed = text(&output.stderr);
    assert!(output.status.success(), "{printed}");
    assert_eq!(serde_json::from_slice::<Value>(&output.stdout).unwrap()["id"], user["id"]);
    assert!(printed.contains("the user is deleted, but Redis is unavailable"), "{printed}");
    assert_eq!(redis.cli(&["ACL", "SETUSER", "default", "+evalsha", "+eval"]), "OK");
    assert_eq!(plan.json(&["users", "list"], ""), json!([]));
}
