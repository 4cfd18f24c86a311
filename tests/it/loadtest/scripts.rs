//! The scripts against a correct server, a server with wrong responses, and no server.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{LoadTest, SCRIPTS, shared_settings};
use crate::support::ports::free_port;
use crate::support::server::TestServer;

/// The requests of each script, by operation and route.
fn expected_requests(script: &str) -> Vec<&'static str> {
    let verify = "verify POST /verify";
    let mix = [
        "key GET /verify",
        "key-exchange POST /oauth/token",
        "refresh POST /oauth/token",
        "send-code POST /auth/verification/send-code",
        "sign-in POST /sessions",
        "sign-out DELETE /sessions/{id}",
        verify,
    ];
    match script {
        "verify" => vec![verify],
        "refresh" => vec!["refresh POST /oauth/token"],
        "login" => vec!["sign-in POST /sessions"],
        "jwks" => vec!["jwks GET /.well-known/jwks.json"],
        "soak" => [&["metrics GET /metrics"], &mix[..]].concat(),
        _ => mix.to_vec(),
    }
}

async fn assert_all_scripts_pass(server: TestServer) {
    let load_test = LoadTest::new(server);
    let management = load_test.server.signet.management_url("");
    for script in SCRIPTS {
        load_test.seed();
        let run = load_test.run(script, &[("MANAGEMENT", &management)]).await;
        run.assert_exit(0).assert_nothing_thrown();
        let checks = run.checks();
        assert!(
            !checks.is_empty() && checks.iter().all(|(_, passed, failed)| *passed > 0 && *failed == 0),
            "{checks:?}"
        );
        let mut requests = run.requests();
        requests.retain(|operation| !operation.starts_with("setup "));
        requests.sort_unstable();
        let mut expected = expected_requests(script);
        expected.sort_unstable();
        assert_eq!(requests, expected, "{script}");
        assert!(run.summary().contains("PASSED") && run.summary().contains("p99.9"), "{}", run.summary());
        assert_eq!(run.result["newer"], Value::Null, "without thresholds in the data, k6 prints its own summary");
    }
}

#[tokio::test]
async fn all_scripts_pass_on_the_embedded_store() {
    assert_all_scripts_pass(TestServer::embedded(shared_settings)).await;
}

#[tokio::test]
async fn all_scripts_pass_on_redis_and_postgres() {
    assert_all_scripts_pass(TestServer::redis_and_postgres(shared_settings)).await;
}

#[tokio::test]
async fn call_variants_can_be_selected() {
    let load_test = LoadTest::new(TestServer::embedded(shared_settings));
    load_test.seed();
    for (call, route) in [("proxy", "verify GET /verify"), ("batch", "verify POST /verify/batch")] {
        let run = load_test.run("verify", &[("CALL", call), ("BATCH", "7")]).await;
        assert!(run.assert_exit(0).assert_nothing_thrown().requests().contains(&route), "{call}");
    }
    let run = load_test.run("refresh", &[("CALL", "myauth")]).await;
    assert!(run.assert_exit(0).assert_nothing_thrown().requests().contains(&"refresh POST /auth/login/refresh"));
}

#[tokio::test]
async fn load_shapes_can_be_selected() {
    let load_test = LoadTest::new(TestServer::embedded(shared_settings));
    load_test.seed();
    let load = [("RATE", "100"), ("DURATION", "5m")];
    let scenario = async |shape| {
        let run = load_test.run("jwks", &[&load[..], &[("SHAPE", shape)]].concat()).await;
        run.assert_exit(0).result["options"]["scenarios"]["jwks"].clone()
    };
    let steady = scenario("steady").await;
    assert_eq!((&steady["executor"], &steady["rate"]), (&"constant-arrival-rate".into(), &6000.into()));
    assert_eq!(
        (&steady["timeUnit"], &steady["duration"], &steady["maxVUs"]),
        (&"1m".into(), &"300s".into(), &26.into())
    );
    let ramp = scenario("ramp").await;
    assert_eq!((&ramp["executor"], &ramp["startRate"]), (&"ramping-arrival-rate".into(), &0.into()));
    let stage = |duration: &str, target: u64| json!({"duration": duration, "target": target});
    assert_eq!(ramp["stages"], json!([stage("180s", 6000), stage("90s", 6000), stage("30s", 0)]));
    let spike = scenario("spike").await;
    assert_eq!(spike["startRate"], 600);
    assert_eq!(
        spike["stages"].as_array().unwrap().iter().map(|stage| &stage["target"]).max_by_key(|it| it.as_u64()),
        Some(&6000.into())
    );
    let vus = load_test.run("jwks", &[("VUS", "3")]).await.result["options"]["scenarios"]["jwks"]["maxVUs"].clone();
    assert_eq!(vus, 3);
}

#[tokio::test]
async fn activity_with_zero_weight_is_left_out() {
    let load_test = LoadTest::new(TestServer::embedded(shared_settings));
    load_test.seed();
    let weights = [("SIGN_INS", "0"), ("REFRESHES", "0"), ("CODES", "0"), ("KEYS", "0")];
    let run = load_test.run("mixed", &weights).await;
    assert_eq!(run.assert_exit(0).assert_nothing_thrown().result["options"]["scenarios"].as_object().unwrap().len(), 1);
}

#[tokio::test]
async fn unsuitable_data_set_stops_the_run_before_the_load() {
    let load_test = LoadTest::new(TestServer::embedded(shared_settings));
    load_test.run("verify", &[]).await.assert_stopped("signet seed --out");
    load_test.seed();
    load_test.run("verify", &[("DURATION", "1h")]).await.assert_stopped("--set api.native.access=12h");
    load_test.run("refresh", &[("RATE", "1000")]).await.assert_stopped("need 502 sessions, there are 40");
    load_test.run("mixed", &[]).await.assert_exit(0);
    for script in ["refresh", "mixed", "soak"] {
        load_test.run(script, &[]).await.assert_stopped("used by another run");
    }
    load_test.server.plan().json(&["seed", "--remove"], "");
    load_test.run("verify", &[]).await.assert_stopped("seed again with the server's own settings");
}

#[tokio::test]
async fn invalid_settings_stop_the_run_before_the_load() {
    let load_test = LoadTest::new(TestServer::embedded(shared_settings));
    load_test.seed();
    for (name, value, reason) in [
        ("SHAPE", "square", "steady, ramp, spike"),
        ("RATE", "fast", "must be a number"),
        ("DURATION", "0s", "must be a duration"),
        ("DURATION", "ten minutes", "must be a duration"),
        ("DATA", "data.json", "must be an absolute path"),
        ("BATCH", "2.5", "must be a whole number"),
    ] {
        load_test.run("verify", &[(name, value)]).await.assert_stopped(reason);
    }
    load_test.run("soak", &[("SHAPE", "spike")]).await.assert_stopped("must be one of steady");
    load_test.run("soak", &[("DURATION", "9m")]).await.assert_stopped("needs at least 10m");
}

/// The checks alone must fail the run, without exceptions and without `setup`.
#[tokio::test]
async fn server_that_is_down_fails_the_run() {
    let load_test = LoadTest::new(TestServer::embedded(shared_settings));
    load_test.seed();
    let no_server = format!("http://127.0.0.1:{}", free_port());
    for script in SCRIPTS {
        let urls = [("BASE_URL", no_server.as_str()), ("MANAGEMENT", no_server.as_str())];
        if script != "jwks" {
            load_test.run(script, &urls).await.assert_stopped("no Signet at BASE_URL");
        }
        let run = load_test.run_without_setup(script, &urls).await;
        run.assert_exit(99).assert_nothing_thrown();
        assert!(run.checks().iter().all(|(name, passed, _)| *passed == 0 || name.ends_with("a session is left")));
        assert!(run.summary().contains("FAILED\n  missed: "), "{}", run.summary());
    }
}

/// Starts a server that responds to everything with 200 and `{}`.
fn start_wrong_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("the listener is bound"));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
                head.push(byte[0]);
            }
            let head = String::from_utf8_lossy(&head).to_lowercase();
            let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next()?.parse().ok());
            let mut body = vec![0; length.unwrap_or(0)];
            let _ = stream.read_exact(&mut body);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}");
        }
    });
    url
}

#[tokio::test]
async fn wrong_responses_fail_the_run() {
    let load_test = LoadTest::new(TestServer::embedded(shared_settings));
    load_test.seed();
    let url = start_wrong_server();
    for script in SCRIPTS {
        let run = load_test.run_without_setup(script, &[("BASE_URL", &url), ("MANAGEMENT", &url)]).await;
        let mut operations: Vec<_> =
            expected_requests(script).into_iter().map(|request| request.split(' ').next().expect("a name")).collect();
        // No sign-in succeeded, so there was no sign-out.
        operations.retain(|operation| *operation != "sign-out");
        operations.sort_unstable();
        operations.dedup();
        assert_eq!(run.assert_exit(99).assert_nothing_thrown().failed_operations(), operations, "{script}");
    }
}

#[tokio::test]
async fn removed_data_set_fails_the_run() {
    let load_test = LoadTest::new(TestServer::embedded(shared_settings));
    load_test.seed();
    load_test.server.plan().json(&["seed", "--remove"], "");
    for script in ["verify", "refresh", "login", "mixed"] {
        let run = load_test.run_without_setup(script, &[]).await;
        assert!(!run.assert_exit(99).assert_nothing_thrown().failed_operations().is_empty(), "{script}");
    }
}

/// Otherwise the script would measure refused requests.
#[tokio::test]
async fn session_that_has_ended_is_not_refreshed_again() {
    let load_test = LoadTest::new(TestServer::embedded(shared_settings));
    load_test.seed();
    load_test.server.plan().json(&["seed", "--remove"], "");
    // Each virtual user has two sessions, fewer than it has iterations.
    let run = load_test.run_without_setup("refresh", &[("VUS", "20")]).await;
    let checks = run.assert_exit(99).assert_nothing_thrown().checks();
    let left = checks.iter().find(|(name, ..)| name == "refresh: a session is left");
    assert!(left.is_some_and(|(_, passed, failed)| *passed > 0 && *failed > 0), "{checks:?}");
}

#[tokio::test]
async fn slow_or_drifting_server_fails_the_run() {
    let load_test = LoadTest::new(TestServer::embedded(shared_settings));
    let management = load_test.server.signet.management_url("");
    for (script, thresholds) in [
        ("verify", &[("P99_VERIFY", "0", "http_req_duration{operation:verify}: p(99)<0")][..]),
        ("mixed", &[("P99_SIGN_IN", "0", "http_req_duration{operation:sign-in}: p(99)<0")]),
        (
            "soak",
            &[
                ("P99_REFRESH", "0", "http_req_duration{operation:refresh,phase:late}: p(99)<0"),
                ("DRIFT", "0", "drift{operation:key}: med<0"),
                ("GROWTH", "0.1", "growth{of:memory}: med<0.1"),
            ],
        ),
    ] {
        load_test.seed();
        let mut settings = vec![("MANAGEMENT", management.as_str()), ("SUMMARY", "/tmp/summary.json")];
        settings.extend(thresholds.iter().map(|(name, value, _)| (*name, *value)));
        let run = load_test.run(script, &settings).await;
        run.assert_exit(99).assert_nothing_thrown();
        let written = run.result["summary"]["/tmp/summary.json"].as_str().expect("the summary file");
        let written: Value = serde_json::from_str(written).expect("it is JSON");
        assert_eq!((&written["passed"], &written["script"]), (&false.into(), &script.into()));
        for (_, _, missed) in thresholds {
            assert!(run.summary().contains(missed), "{}", run.summary());
            assert!(written["missed"].as_array().unwrap().contains(&(*missed).into()), "{written}");
        }
    }
}

/// The scripts and their shared modules.
fn sources() -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("loadtest");
    let mut all = Vec::new();
    for folder in [folder.join("lib"), folder] {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "js") {
                let text = std::fs::read_to_string(&path).unwrap();
                all.push((path, text));
            }
        }
    }
    assert_eq!(all.len(), SCRIPTS.len() + 7);
    all
}

/// k6 has no npm, and test machines have no network: scripts import only k6's modules and each other, and nothing of
/// Node.js.
#[test]
fn scripts_import_only_k6_and_each_other() {
    for (path, text) in sources() {
        assert!(text.starts_with("// ") && text.lines().count() < 400, "{}", path.display());
        for line in text.lines().filter(|line| line.contains(" from '") || line.starts_with("import ")) {
            let from = line.rsplit('\'').nth(1).unwrap_or_default();
            let of_k6 = ["k6", "k6/http", "k6/data", "k6/execution", "k6/metrics"].contains(&from);
            let own = from.starts_with("./") && path.with_file_name(from).is_file();
            assert!(of_k6 || own, "{}: {line}", path.display());
        }
    }
}

#[test]
fn every_setting_is_documented() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("loadtest/README.md");
    let readme = std::fs::read_to_string(path).unwrap();
    let table = readme.split("\n## ").find(|part| part.starts_with("Settings")).expect("there is a table of settings");
    let names = table
        .split('`')
        .filter(|word| word.len() > 2 && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'));
    let mut documented: Vec<String> = names.filter(|name| !name.starts_with("P99_")).map(str::to_owned).collect();
    let mut used = Vec::new();
    for (_, text) in sources() {
        for call in ["text('", "number('", "count('", "seconds('", "oneOf('", "['"] {
            let names = text.split(call).skip(1).filter_map(|rest| rest.split('\'').next());
            let variables = names
                .filter(|name| name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_') && name.len() > 2);
            used.extend(variables.filter(|name| !["GET", "POST"].contains(name)).map(str::to_owned));
        }
    }
    for names in [&mut documented, &mut used] {
        names.sort();
        names.dedup();
    }
    assert_eq!(documented, used);
}
