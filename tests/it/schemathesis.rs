//! Compares a running server with its OpenAPI document by schemathesis: no undocumented response, no response that
//! violates its schema, no 5xx, no invalid data accepted, no valid data rejected.
//!
//! `SIGNET_EXAMPLES=500 ./test schemathesis` tries 500 examples of each operation instead of a few; that takes an hour.

use std::process::Command;

use serde_json::Value;

use crate::support::server::{PASSWORD, SendRequest, TestServer, TestUser, over_redis_and_postgres};
use crate::support::{run_with_stdin, tool};

/// Ids of operations after which the calling account can make no further calls: each is tested with an account of its
/// own.
const DISRUPTIVE: &[&str] = &[
    "codes_create_otp",
    "myauth_update_user",
    "myauth_toggle_state",
    "native_admin_update_user",
    "native_admin_delete_user",
];

const SETTINGS: &str = include_str!("../schemathesis.toml");

#[allow(clippy::disallowed_methods, reason = "the caller decides how long the test may take")]
fn examples() -> String {
    std::env::var("SIGNET_EXAMPLES").unwrap_or_else(|_| "4".to_owned())
}

over_redis_and_postgres!(|plan| plan; server_conforms_to_its_document);

async fn server_conforms_to_its_document(server: &TestServer) {
    let documented = server.get("/openapi.json").send_checked().await.json();
    let disruptive =
        DISRUPTIVE.iter().filter(|id| documented.to_string().contains(&format!("\"operationId\":\"{id}\"")));
    let disruptive: Vec<&str> = disruptive.copied().collect();
    let others = disruptive.iter().flat_map(|id| ["--exclude-operation-id", id]).collect::<Vec<_>>();
    // All operations except the one that returns the document.
    let all = crate::openapi::operations(&documented).len() - 1;
    let mut runs = vec![(others, all - disruptive.len())];
    runs.extend(disruptive.iter().map(|id| (vec!["--include-operation-id", id], 1)));
    for (arguments, operations) in runs {
        let output = run(server, &expected_statuses(&documented), &arguments).await;
        assert!(output.contains(&format!("Tested: {operations}\n")), "{arguments:?}: {output}");
    }
}

/// Settings with the statuses with which each operation may reject a request that matches its schema, except for
/// operations that have their own.
fn expected_statuses(document: &Value) -> String {
    let own = |id: &str| {
        let mut blocks = SETTINGS.split("[[operations]]").filter(|block| block.contains("positive_data_acceptance"));
        blocks.any(|block| block.contains(&format!("\"{id}\"")))
    };
    let each = crate::openapi::operations(document).into_iter().filter_map(|(_, operation)| {
        let id = operation["operationId"].as_str().filter(|id| !own(id))?;
        let mut statuses = operation.get("x-refused-with")?.as_array()?.clone();
        statuses.extend(["2xx", "3xx", "401", "403", "404", "409", "429"].map(Value::from));
        let (id, statuses) = (Value::from(id), Value::from(statuses));
        let check = "checks.positive_data_acceptance.expected-statuses";
        Some(format!("\n[[operations]]\ninclude-operation-id = {id}\n{check} = {statuses}\n"))
    });
    each.collect()
}

/// Runs schemathesis; returns its output.
async fn run(server: &TestServer, expected_statuses: &str, arguments: &[&str]) -> String {
    // Not the password of the document's examples, one of which changes it.
    let caller_password = "no harbour, and no dusk either";
    let other = server.create_user(&["--verified"]);
    let email = format!("caller-beside-{}", other.email);
    let created = server.plan().create_user(&email, caller_password, &["--superuser", "--verified"]);
    let id = created["id"].as_str().expect("a user has an id").to_owned();
    let caller = TestUser { id, email, username: String::new() };
    let (key, _) = server.api_key(&caller, &["admin", "introspect", "revoke"]);
    let tokens = server.sign_in(&other).await;
    let settings = server.plan().dir().join("schemathesis.toml");
    let values = [
        ("{caller}", caller.email.as_str()),
        ("{caller_password}", caller_password),
        ("{password}", PASSWORD),
        ("{api_key}", &key),
        ("{other_id}", &other.id),
        ("{other_email}", &other.email),
        ("{access_token}", &tokens.access),
        ("{refresh_token}", &tokens.refresh),
    ];
    let filled =
        values.iter().fold(format!("{SETTINGS}{expected_statuses}"), |text, (name, value)| text.replace(name, value));
    std::fs::write(&settings, filled).expect("the folder is writable");
    let mut command = Command::new(tool("venv/bin/python"));
    command.args(["-m", "schemathesis.cli", "--config-file"]).arg(settings);
    // All checks are enabled unless the settings disable one. Naming them here would override the settings.
    command.args(["run", &server.signet.url_of("/openapi.json"), "--url", &server.signet.url_of("/")]);
    command.args(["--seed", "2", "--max-examples", &examples(), "--continue-on-failure"]).args(arguments);
    // The secrets in the output belong to this test, and they show what was sent.
    command.args(["--no-color", "--output-sanitize", "false"]);
    // schemathesis stores its cache in the working directory.
    command.current_dir(server.plan().dir());
    let output = tokio::task::spawn_blocking(move || run_with_stdin(command, "")).await.expect("schemathesis ends");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{arguments:?}: {text}");
    text
}
