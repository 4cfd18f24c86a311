//! `signet-verify` for Rust: the page for newcomers, carried out with the example that cargo builds for the tests.

use std::process::{Command, Stdio};

use reqwest::Method;

use super::start_at_its_url;
use crate::support::example_service::ExampleService;
use crate::support::until;

const README: &str = include_str!("../../../crates/verify/README.md");
const EXAMPLE: &str = include_str!("../../../crates/verify/examples/axum.rs");

/// The code blocks below the title of the first page, in this language.
fn blocks(language: &str) -> Vec<&'static str> {
    let (_, section) = README.split_once("\n## From an empty folder to a protected route\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let fence = format!("```{language}\n");
    section.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

/// The page is complete: cargo finds all that it names, with the features that it names.
#[test]
fn page_names_packages_that_cargo_finds() {
    let folder = tempfile::tempdir().unwrap();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/crates/verify");
    let install =
        blocks("sh")[0].replace("../signet/crates/verify", path).replace("cargo add", "cargo add -q --offline");
    let script = format!(
        "{install}cp '{}/Cargo.lock' . && cargo metadata -q --offline --format-version 1",
        env!("CARGO_MANIFEST_DIR")
    );
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", &script]).current_dir(folder.path());
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let named = metadata["packages"].as_array().unwrap().iter().find(|package| package["name"] == "notes").unwrap();
    let mut names = named["dependencies"].as_array().unwrap().iter().map(|one| &one["name"]).collect::<Vec<_>>();
    names.sort_by_key(|name| name.as_str());
    assert_eq!(names, ["axum", "serde_json", "signet-verify", "tokio"]);
}

#[tokio::test]
async fn readme_leads_from_nothing_to_a_protected_route() {
    let (_, example) = EXAMPLE.split_once("\n\n").unwrap();
    assert_eq!(blocks("rust"), [example], "README has the code of examples/axum.rs");
    let (server, url) = start_at_its_url();
    server.plan().create_user("you@example.org", "correct horse battery staple", &[]);
    let owner = server.create_user(&[]);
    let by_key = server.client_token(&server.api_key(&owner, &["notes:write"]).0).await;
    let service = ExampleService::start(&url, 0);
    until("the service has read the feed", async || service.result(&by_key).await == "accepted").await;

    let host = url.trim_start_matches("http://");
    let session = blocks("sh")[1].replace("localhost:8000", host).replace("localhost:9000", &service.address);
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", &session.replace("curl -s ", "curl -sw '\\n' ")]);
    let output = tokio::task::spawn_blocking(move || crate::support::run_with_stdin(command, "")).await.unwrap();
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{errors}");
    let mut seen = text.lines().filter(|line| line.contains("\"type\"") || line.contains("\"user\""));
    for word in ["\"missing\"", "\"user\"", "\"insufficient_scope\"", "\"revoked\""] {
        let line = seen.next().unwrap_or_default();
        assert!(line.contains(word), "{line} has {word}: {text}");
    }
    assert_eq!(seen.next(), None);

    let reply = service.send(Method::GET, "/me", "x").await.unwrap();
    assert_eq!((reply.status, reply.challenge.as_str()), (401, r#"Bearer error="invalid_token""#));
    let reply = service.send(Method::DELETE, "/notes", &by_key).await.unwrap();
    assert_eq!((reply.status, reply.text), (200, format!("deleted by {}\n", owner.id)));
    assert!(service.staleness().await < 10.0);
}
