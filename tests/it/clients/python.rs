//! `signet-token-verify`, the library for Python: its own checks, and its tests against a running server.
//!
//! `./test` installs what they need beside the tests' own temporary folder.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{DescribedServer, run_all};
use crate::support::tool;

/// Python in the folder of the package, which it leaves as it is.
fn python(module: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(tool("venv/bin/python"));
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/python")).stdin(Stdio::null());
    command.env("PYTHONDONTWRITEBYTECODE", "1").args(["-m", module]).args(arguments);
    // The other tools in the same environment have plugins for pytest, which take seconds to import.
    command.env("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1");
    command
}

/// The folder in which mypy keeps what it found out about the frameworks, which takes it some seconds.
fn type_cache() -> PathBuf {
    tool("venv").join("../mypy")
}

#[test]
fn lint_types_and_unit_tests_pass() {
    let mut types = python("mypy", &[]);
    types.arg("--cache-dir").arg(type_cache());
    run_all(vec![
        python("ruff", &["format", "--no-cache", "--check", "."]),
        python("ruff", &["check", "--no-cache", "."]),
        types,
        python("pytest", &["tests/unit"]),
    ]);
}

#[tokio::test]
async fn follows_a_running_server() {
    let server = DescribedServer::start().await;
    // The user of README.
    server.server.plan().create_user("you@example.org", "correct horse battery staple", &[]);
    server.run(python("pytest", &["tests/real"])).await;
}
