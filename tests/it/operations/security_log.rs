//! Security events in the log: one line each at info, with structured fields and without login names.

use serde_json::Value;

use crate::support::server::{PASSWORD, SendRequest, TestServer, over_both_stores};
use crate::support::signet::Plan;

fn plan(plan: Plan) -> Plan {
    plan.set("SIGNET_LOG__FILTER", "info").set("SIGNET_LOG__FORMAT", "json")
}

over_both_stores!(
    plan;
    failed_sign_in_is_logged_once,
    reused_refresh_token_is_logged_once,
    signing_everyone_out_is_logged_once,
    disabling_and_enabling_are_logged_once,
);

/// The lines about `message` at info, once the log has at least one.
fn lines_about(server: &TestServer, message: &str) -> Vec<Value> {
    server.signet.wait_for_log(message);
    let mut lines = server.signet.log_lines();
    lines.retain(|line| line["message"].as_str().is_some_and(|it| it.contains(message)));
    lines
}

fn only_line_of(server: &TestServer, message: &str, user: &str) -> Value {
    let mut lines = lines_about(server, message);
    lines.retain(|line| line["user"] == user);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(lines[0]["level"], "INFO");
    lines.remove(0)
}

async fn failed_sign_in_is_logged_once(server: &TestServer) {
    let person = server.create_user(&[]);
    server.try_sign_in(&person.email, "wrong password of a test").await.is(401);
    let line = only_line_of(server, "sign-in failed", &person.id);
    assert_eq!((&line["reason"], &line["dialect"]), (&"wrong password".into(), &"native".into()));
    assert_eq!(line["client_ip"], "127.0.0.1");

    server.try_sign_in("nobody-of-the-log@example.org", PASSWORD).await.is(401);
    // The line about the other sign-in is there already.
    server.signet.wait_for_log("unknown account");
    let mut lines = lines_about(server, "sign-in failed");
    lines.retain(|line| line["reason"] == "unknown account");
    assert!(!lines.is_empty() && lines.iter().all(|line| line["user"].is_null()), "{lines:?}");
    assert!(!server.signet.log().contains("nobody-of-the-log"), "a login name is in the log");
}

async fn reused_refresh_token_is_logged_once(server: &TestServer) {
    let person = server.create_user(&[]);
    let first = server.sign_in(&person).await;
    let second = server.refresh(&first.refresh).await.is(200).tokens();
    server.refresh(&second.refresh).await.is(200);
    server.refresh(&first.refresh).await.is(400);
    let line = only_line_of(server, "refresh token reused", &person.id);
    assert_eq!(line["client_ip"], "127.0.0.1");
    assert!(line["session"].is_string());
}

async fn signing_everyone_out_is_logged_once(server: &TestServer) {
    let root = server.create_user(&["--superuser"]);
    let session = server.sign_in(&root).await;
    server.post("/admin/sign-out-everyone").bearer_auth(&session.access).send_checked().await.is(204);
    let mut lines = lines_about(server, "everyone signed out");
    lines.retain(|line| line["by"] == root.id.as_str());
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(lines[0]["level"], "INFO");
}

async fn disabling_and_enabling_are_logged_once(server: &TestServer) {
    let root = server.create_user(&["--superuser"]);
    let person = server.create_user(&[]);
    let session = server.sign_in(&root).await;
    let toggle = async || {
        let body = serde_json::json!({"user_email": person.email});
        server.post("/auth/users/toggle-state").bearer_auth(&session.access).json(&body).send_checked().await
    };
    toggle().await.is(200);
    only_line_of(server, "user disabled", &person.id);
    toggle().await.is(200);
    only_line_of(server, "user enabled", &person.id);
}
