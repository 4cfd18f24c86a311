//! The document held against a running server, by schemathesis: no answer that is not documented, none that breaks its schema,
//! no 5xx, no bad data let in, no good data refused.
//!
//! In a short form; `SIGNET_EXAMPLES=500 ./test schemathesis` tries that many of each call, in a run that takes an hour.

use std::process::Command;

use serde_json::Value;

use crate::support::server::{PASSWORD, Person, SendRequest, TestServer, over_both_stores};
use crate::support::{fed, tool};

/// What changes the account that asks, so that it could ask no more, by `operationId`: each is tried by an account of its own.
const SPOILING: &[&str] = &["codes_create_otp", "myauth_update_user", "myauth_toggle_state"];

const SETTINGS: &str = include_str!("../schemathesis.toml");

#[allow(clippy::disallowed_methods, reason = "how long it may take is the caller's to say")]
fn examples() -> String {
    std::env::var("SIGNET_EXAMPLES").unwrap_or_else(|_| "8".to_owned())
}

over_both_stores!(|plan| plan; the_document_holds);

async fn the_document_holds(server: &TestServer) {
    let documented = server.get("/openapi.json").send_checked().await.json();
    let spoiling = SPOILING.iter().filter(|id| documented.to_string().contains(&format!("\"operationId\":\"{id}\"")));
    let spoiling: Vec<&str> = spoiling.copied().collect();
    let others = spoiling.iter().flat_map(|id| ["--exclude-operation-id", id]).collect::<Vec<_>>();
    // All but the one by which it gets the document.
    let all = crate::openapi::operations(&documented).len() - 1;
    let mut runs = vec![(others, all - spoiling.len())];
    runs.extend(spoiling.iter().map(|id| (vec!["--include-operation-id", id], 1)));
    for (words, operations) in runs {
        let said = run(server, &refusals(&documented), &words).await;
        assert!(said.contains(&format!("Tested: {operations}\n")), "{words:?}: {said}");
    }
}

/// With which statuses each operation may refuse a request that fits its schema: as settings, but for those that have their own.
fn refusals(document: &Value) -> String {
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

/// What schemathesis says.
async fn run(server: &TestServer, refusals: &str, words: &[&str]) -> String {
    // Not what the document's examples have, of which one changes it.
    let caller_password = "no harbour, and no dusk either";
    let other = server.person(&["--verified"]);
    let email = format!("caller-beside-{}", other.email);
    let made = server.plan().user(&email, caller_password, &["--superuser", "--verified"]);
    let id = made["id"].as_str().expect("a user has an id").to_owned();
    let caller = Person { id, email, username: String::new() };
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
    let filled = values.iter().fold(format!("{SETTINGS}{refusals}"), |text, (name, value)| text.replace(name, value));
    std::fs::write(&settings, filled).expect("the folder is the test's own");
    let mut command = Command::new(tool("venv/bin/python"));
    command.args(["-m", "schemathesis.cli", "--config-file"]).arg(settings);
    // All checks are on unless the settings take one off; named here, they would be on whatever the settings say.
    command.args(["run", &server.signet.at("/openapi.json"), "--url", &server.signet.at("/")]);
    command.args(["--seed", "1", "--max-examples", &examples(), "--continue-on-failure"]).args(words);
    // The secrets in it are of this test alone, and say what was sent.
    command.args(["--no-color", "--output-sanitize", "false"]);
    // It leaves what it has learnt in the folder it is in.
    command.current_dir(server.plan().dir());
    let output = tokio::task::spawn_blocking(move || fed(command, "")).await.expect("it ends");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{words:?}: {said}");
    said
}
