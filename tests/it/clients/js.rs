//! `@signet/verify`: its own checks, and its tests against a running server.
//!
//! `./test` installs what they need beside the tests' own temporary folder.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{DescribedServer, run_all};
use crate::support::tool;

fn package() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/js");
    assert!(package.join("node_modules/jose").exists(), "clients/js/node_modules is missing: `./test` installs it");
    package
}

/// Node in the folder of the package.
fn node(arguments: &[&str]) -> Command {
    let mut command = Command::new(tool("bin/node"));
    command.current_dir(package()).args(arguments).stdin(Stdio::null());
    command
}

/// Node's test runner with the test files of a folder, one after the other. Not all versions of Node accept a folder.
fn node_test(folder: &str) -> Command {
    let files = std::fs::read_dir(package().join(folder)).expect("it is a folder").map(|entry| entry.unwrap().path());
    let mut files = files.filter(|path| path.to_string_lossy().ends_with(".test.js")).collect::<Vec<_>>();
    files.sort();
    assert!(!files.is_empty());
    let mut command = node(&["--test", "--test-concurrency=1", "--test-reporter=spec"]);
    command.args(files);
    command
}

#[test]
fn lint_types_and_unit_tests_pass() {
    run_all(vec![
        node(&["node_modules/eslint/bin/eslint.js", "--max-warnings", "0", "."]),
        node(&["node_modules/typescript/bin/tsc", "--noEmit"]),
        node_test("test/unit"),
    ]);
}

#[tokio::test]
async fn follows_a_running_server() {
    let server = DescribedServer::start().await;
    let mut command = node_test("test/real");
    command.env("SIGNET_NPM", tool("bin/npm"));
    server.run(command).await;
}
