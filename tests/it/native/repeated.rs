//! A request with an `Idempotency-Key` that is repeated while the first one is still running.

use serde_json::{Value, json};

use crate::support::server::{SendRequest, TestServer};
use crate::support::signet::Plan;
use crate::support::{postgres, redis, until};

/// Repeats a request while its first execution waits to insert into a table.
async fn repeat_while_running(path: &str, table: &str, body: Value) {
    let (redis, postgres) = (redis::Server::start(), postgres::Database::create());
    let plan = Plan::on(&redis, &postgres).with_patient_stores().set("SIGNET_POSTGRES__TIMEOUT", "20s");
    let server = TestServer::start(plan);
    let access = server.sign_in(&server.create_user(&["--superuser"])).await.access;
    let request = || server.post(path).header("idempotency-key", "mine").bearer_auth(&access).json(&body);

    let (lock_holder, watcher) = (postgres.client().await, postgres.client().await);
    // Rows can be read, and not inserted.
    lock_holder.batch_execute(&format!("BEGIN; LOCK TABLE {table} IN SHARE MODE")).await.unwrap();
    let first = tokio::spawn(request().send_checked());
    let waiting = "SELECT count(*) FROM pg_stat_activity
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
    until("the first request waits", async || watcher.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) > 0)
        .await;
    let repeated = request().send_checked().await;
    assert_eq!(repeated.is_problem(409, "idempotency_key_in_use").header("retry-after"), "1");
    lock_holder.batch_execute("COMMIT").await.unwrap();

    let first = first.await.unwrap();
    assert_eq!(request().send_checked().await.is(201).text, first.is(201).text);
}

#[tokio::test]
async fn repetition_of_a_running_project_creation_is_refused() {
    repeat_while_running("/projects", "projects", json!({"name": "a project"})).await;
}

#[tokio::test]
async fn repetition_of_a_running_key_creation_is_refused() {
    repeat_while_running("/projects/personal/api-keys", "api_keys", json!({"name": "a key"})).await;
}

#[tokio::test]
async fn repetition_of_a_running_user_creation_is_refused() {
    repeat_while_running("/admin/users", "users", json!({"email": "made@example.org"})).await;
}
