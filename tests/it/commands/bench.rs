//! `signet bench`: what it prints, and what it does to the configured stores.

use super::*;

#[track_caller]
fn check_results(report: &Value) {
    let results = report["results"].as_array().unwrap();
    let names = results.iter().map(|result| result["operation"].as_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(names, ["verify", "refresh", "sign-in"]);
    for result in results {
        let number = |name: &str| result[name].as_f64().unwrap();
        assert!(number("requests") >= number("connections") && number("per_second") > 0.0, "{result}");
        assert!(number("p50_ms") > 0.0 && number("p99_ms") >= number("p50_ms"), "{result}");
    }
    assert_eq!(report["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn a_bench_needs_no_settings_and_leaves_nothing() {
    // An invalid setting shows that it reads none.
    let plan = Plan::embedded().set("SIGNET_LOG__FILTER", "nonsense=");
    let mut command = plan.command();
    command.args(["bench", "--seconds", "1", "--set", "passwords.memory_kib=64"]).env("TMPDIR", plan.dir());
    let output = run_with_stdin(command, "");
    let printed = text(&output.stdout);
    assert!(output.status.success(), "{printed}{}", text(&output.stderr));
    for start in ["Signet ", "OPERATION ", "verify ", "refresh ", "sign-in "] {
        assert!(printed.lines().any(|line| line.starts_with(start)), "{start}: {printed}");
    }
    assert!(printed.contains("stores: sqlite"), "{printed}");
    assert_eq!(std::fs::read_dir(plan.dir()).unwrap().count(), 0, "the folder is deleted");
}

#[test]
fn bench_of_configured_stores_asks_and_removes_its_users() {
    let plan = Plan::embedded();
    let refused_stores = plan.clone().set("REDIS_URL", "redis://127.0.0.1:1").set("SIGNET_SECRET", SECRET);
    let printed = refused(&refused_stores, &["bench", "--configured"], 2);
    assert!(
        printed.contains("64 users") && printed.contains("redis, sqlite") && printed.contains("--yes"),
        "{printed}"
    );
    let file = plan.dir().join("other.toml");
    std::fs::write(&file, "").unwrap();
    let printed = refused(&plan, &["--config", file.to_str().unwrap(), "bench"], 2);
    assert!(printed.contains("--yes"), "{printed}");
    assert!(!plan.dir().join("data").exists(), "nothing was created");

    let kept = plan.create_user("kept@example.org", PASSWORD, &[]);
    let report = plan.json(&["bench", "--configured", "--yes", "--seconds", "1"], "");
    check_results(&report);
    assert_eq!(report["stores"], "sqlite");
    assert_eq!(plan.json(&["users", "list"], ""), json!([kept]), "its users are gone");
}
