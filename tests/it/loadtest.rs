//! The scripts of `loadtest/`, which are written for k6, run against a real server without it.
//!
//! `loadtest/k6/` here stands in for the modules of k6 that they import, and for `k6 run`: options are read as k6 reads them,
//! `setup`, scenarios and `handleSummary` are called, thresholds are held against what came of it. `./test` installs the node that it takes.

mod answers;
mod seed;
mod stand_in;

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::server::TestServer;
use crate::support::signet::Plan;
use crate::support::{fed, tool};

const SCRIPTS: [&str; 6] = ["verify", "refresh", "login", "jwks", "mixed", "soak"];

/// No threshold of time: how fast this machine is today is not tested.
const PATIENT: &[(&str, &str)] = &[
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

/// What the command line and the server must agree on. Without a grace, two who used one session would be found out.
fn agreed(plan: Plan) -> Plan {
    plan.set("SIGNET_TOKENS__ISSUER", "http://load.test").set("SIGNET_TOKENS__GRACE", "0s")
}

/// The scripts, a place where they find the stand-in, and a data set.
struct Bench {
    server: TestServer,
    dir: tempfile::TempDir,
}

impl Bench {
    fn beside(server: TestServer) -> Self {
        // Folders have spaces, too.
        let dir = tempfile::Builder::new().prefix("load test ").tempdir().expect("a temporary folder");
        let home = Path::new(env!("CARGO_MANIFEST_DIR"));
        copy(&home.join("loadtest"), &dir.path().join("loadtest"));
        copy(&home.join("tests/it/loadtest/k6"), &dir.path().join("node_modules/k6"));
        std::fs::write(dir.path().join("package.json"), r#"{"type": "module"}"#).expect("the folder is ours");
        Self { server, dir }
    }

    fn seed(&self) {
        let file = self.dir.path().join("loadtest/data.json");
        let words =
            ["seed", "--users", "60", "--sessions", "40", "--api-keys", "3", "--out", file.to_str().expect("text")];
        let done = self.server.plan().json(&words, "");
        assert_eq!((&done["users"], &done["sessions"], &done["api_keys"]), (&60.into(), &40.into(), &3.into()));
    }

    /// Runs a script with more in its environment.
    async fn run(&self, script: &str, more: &[(&str, &str)]) -> Told {
        self.told(script, more, true).await
    }

    /// The same, as if `setup` had found nothing amiss.
    async fn run_unprepared(&self, script: &str, more: &[(&str, &str)]) -> Told {
        self.told(script, more, false).await
    }

    async fn told(&self, script: &str, more: &[(&str, &str)], setup: bool) -> Told {
        let url = self.server.signet.at("");
        let settings = [&[("BASE_URL", url.as_str())], PATIENT, more].concat();
        let env: serde_json::Map<_, _> =
            settings.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        let iterations = if script == "soak" { 10 } else { 3 };
        let mut command = Command::new(tool("bin/node"));
        command.arg(self.dir.path().join("node_modules/k6/run.mjs"));
        command.arg(self.dir.path().join("loadtest").join(format!("{script}.js")));
        command.arg(json!({"iterations": iterations, "users": 2, "setup": setup}).to_string());
        let output = tokio::task::spawn_blocking(move || fed(command, &Value::Object(env).to_string()));
        let output = output.await.expect("it ends");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{script}: {errors}");
        let told: Value = serde_json::from_slice(&output.stdout).expect("it prints JSON");
        Told { script: script.to_owned(), told }
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("the folder is ours");
    for entry in std::fs::read_dir(from).expect("it is in the tree") {
        let path = entry.expect("it can be listed").path();
        let to = to.join(path.file_name().expect("it has a name"));
        if path.is_dir() {
            copy(&path, &to);
        } else {
            std::fs::copy(&path, &to).expect("it can be copied");
        }
    }
}

/// What came of a run.
struct Told {
    script: String,
    told: Value,
}

impl Told {
    /// Demands k6's exit code.
    #[track_caller]
    fn exits(&self, code: i64) -> &Self {
        let Self { script, told } = self;
        let short = ["exit", "error", "wrong", "thrown", "checks", "summary"].map(|name| (name, &told[name]));
        assert_eq!(told["exit"], code, "{script}: {short:#?}");
        self
    }

    /// Demands that it stopped before the load for this reason.
    #[track_caller]
    fn stopped(&self, why: &str) {
        self.exits(107);
        let error = self.told["error"].as_str().unwrap_or_default();
        assert!(error.contains(why), "{}: {error}", self.script);
    }

    /// Demands that no function threw: k6 takes an iteration that throws for one that was done.
    #[track_caller]
    fn throws_nothing(&self) -> &Self {
        assert_eq!(self.told["thrown"], json!([]), "{}", self.script);
        assert_eq!(self.told["error"], Value::Null, "{}", self.script);
        self
    }

    /// The checks by name: how many were right, and how many wrong.
    #[track_caller]
    fn checks(&self) -> Vec<(String, u64, u64)> {
        let checks = self.told["checks"].as_object().expect("it ran");
        let many = |one: &Value, of: &str| one[of].as_u64().expect("a number");
        checks.iter().map(|(name, one)| (name.clone(), many(one, "right"), many(one, "wrong"))).collect()
    }

    /// The operations of the checks that were wrong at least once.
    fn faulted(&self) -> Vec<String> {
        let wrong = self.checks().into_iter().filter(|(_, _, wrong)| *wrong > 0);
        let mut named: Vec<_> = wrong.map(|(name, _, _)| name.split(':').next().expect("a name").to_owned()).collect();
        named.sort();
        named.dedup();
        named
    }

    fn asked(&self) -> Vec<&str> {
        self.told["asked"].as_array().expect("it ran").iter().map(|one| one.as_str().expect("text")).collect()
    }

    fn said(&self) -> &str {
        self.told["summary"]["stdout"].as_str().expect("it says something")
    }
}
