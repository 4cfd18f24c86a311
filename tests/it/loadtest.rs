//! The k6 scripts of `loadtest/`, run against a real server without k6.
//!
//! `loadtest/k6/` in this folder replaces the modules of k6 that the scripts import, and `k6 run`: it validates options,
//! calls `setup`, the scenarios and `handleSummary`, and evaluates thresholds. `./test` installs Node.js for it.

mod scripts;
mod seed;
mod stand_in;

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::server::TestServer;
use crate::support::signet::Plan;
use crate::support::{run_with_stdin, tool};

const SCRIPTS: [&str; 6] = ["verify", "refresh", "login", "jwks", "mixed", "soak"];

/// Settings without thresholds of time, because the speed of the machine is not tested.
const NO_TIME_LIMITS: &[(&str, &str)] = &[
    ("RATE", "10"),
    ("P99_VERIFY", "1e9"),
    ("P99_REFRESH", "1e9"),
    ("P99_SIGN_IN", "1e9"),
    ("P99_SIGN_OUT", "1e9"),
    ("P99_SEND_CODE", "1e9"),
    ("P99_KEY", "1e9"),
    ("P99_KEY_EXCHANGE", "1e9"),
    ("P99_JWKS", "1e9"),
    ("DRIFT", "1e9"),
    ("GROWTH", "1e9"),
];

/// Settings that the command line and the server must share. Without a grace, two users of one session would be detected.
fn shared_settings(plan: Plan) -> Plan {
    plan.set("SIGNET_TOKENS__ISSUER", "http://load.test").set("SIGNET_TOKENS__GRACE", "0s")
}

/// A folder with the scripts, the replacement of k6 and a data set, and the server to run them against.
struct LoadTest {
    server: TestServer,
    dir: tempfile::TempDir,
}

impl LoadTest {
    fn new(server: TestServer) -> Self {
        // Paths with spaces must work.
        let dir = tempfile::Builder::new().prefix("load test ").tempdir().expect("a temporary folder");
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        copy(&root.join("loadtest"), &dir.path().join("loadtest"));
        copy(&root.join("tests/it/loadtest/k6"), &dir.path().join("node_modules/k6"));
        std::fs::write(dir.path().join("package.json"), r#"{"type": "module"}"#).expect("the folder is writable");
        Self { server, dir }
    }

    fn seed(&self) {
        let file = self.dir.path().join("loadtest/data.json");
        let words =
            ["seed", "--users", "60", "--sessions", "40", "--api-keys", "3", "--out", file.to_str().expect("text")];
        let report = self.server.plan().json(&words, "");
        assert_eq!((&report["users"], &report["sessions"], &report["api_keys"]), (&60.into(), &40.into(), &3.into()));
    }

    /// Runs a script with additional environment variables.
    async fn run(&self, script: &str, variables: &[(&str, &str)]) -> RunResult {
        self.run_script(script, variables, true).await
    }

    /// The same without `setup`.
    async fn run_without_setup(&self, script: &str, variables: &[(&str, &str)]) -> RunResult {
        self.run_script(script, variables, false).await
    }

    async fn run_script(&self, script: &str, variables: &[(&str, &str)], setup: bool) -> RunResult {
        let url = self.server.signet.url_of("");
        let settings = [&[("BASE_URL", url.as_str())], NO_TIME_LIMITS, variables].concat();
        let env: serde_json::Map<_, _> =
            settings.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        let iterations = if script == "soak" { 10 } else { 3 };
        let mut command = Command::new(tool("bin/node"));
        command.arg(self.dir.path().join("node_modules/k6/run.mjs"));
        command.arg(self.dir.path().join("loadtest").join(format!("{script}.js")));
        // A run without `setup` fails in every iteration: a second virtual user would show no more.
        let users = if setup { 2 } else { 1 };
        command.arg(json!({"iterations": iterations, "users": users, "setup": setup}).to_string());
        let output = tokio::task::spawn_blocking(move || run_with_stdin(command, &Value::Object(env).to_string()));
        let output = output.await.expect("the process ends");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{script}: {errors}");
        let result: Value = serde_json::from_slice(&output.stdout).expect("it prints JSON");
        RunResult { script: script.to_owned(), result }
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("the folder is writable");
    for entry in std::fs::read_dir(from).expect("the folder exists") {
        let path = entry.expect("the folder can be read").path();
        let to = to.join(path.file_name().expect("an entry has a name"));
        if path.is_dir() {
            copy(&path, &to);
        } else {
            std::fs::copy(&path, &to).expect("the file can be copied");
        }
    }
}

struct RunResult {
    script: String,
    result: Value,
}

impl RunResult {
    /// Asserts the exit code of k6.
    #[track_caller]
    fn assert_exit(&self, code: i64) -> &Self {
        let Self { script, result } = self;
        let details = ["exit", "error", "invalid", "thrown", "checks", "summary"].map(|name| (name, &result[name]));
        assert_eq!(result["exit"], code, "{script}: {details:#?}");
        self
    }

    /// Asserts that the run stopped before the load with this reason.
    #[track_caller]
    fn assert_stopped(&self, reason: &str) {
        self.assert_exit(107);
        let error = self.result["error"].as_str().unwrap_or_default();
        assert!(error.contains(reason), "{}: {error}", self.script);
    }

    /// Asserts that no function threw, because k6 counts an iteration that throws as completed.
    #[track_caller]
    fn assert_nothing_thrown(&self) -> &Self {
        assert_eq!(self.result["thrown"], json!([]), "{}", self.script);
        assert_eq!(self.result["error"], Value::Null, "{}", self.script);
        self
    }

    /// The checks by name, with the numbers of passes and failures.
    #[track_caller]
    fn checks(&self) -> Vec<(String, u64, u64)> {
        let checks = self.result["checks"].as_object().expect("the script ran");
        let count = |check: &Value, outcome: &str| check[outcome].as_u64().expect("a number");
        checks.iter().map(|(name, check)| (name.clone(), count(check, "passed"), count(check, "failed"))).collect()
    }

    /// The operations of the checks that failed at least once.
    fn failed_operations(&self) -> Vec<String> {
        let failed = self.checks().into_iter().filter(|(_, _, failed)| *failed > 0);
        let mut operations: Vec<_> =
            failed.map(|(name, _, _)| name.split(':').next().expect("a name").to_owned()).collect();
        operations.sort();
        operations.dedup();
        operations
    }

    /// The operations and routes that were requested.
    fn requests(&self) -> Vec<&str> {
        self.result["requests"]
            .as_array()
            .expect("the script ran")
            .iter()
            .map(|request| request.as_str().expect("text"))
            .collect()
    }

    /// The summary on stdout.
    fn summary(&self) -> &str {
        self.result["summary"]["stdout"].as_str().expect("there is a summary")
    }
}
