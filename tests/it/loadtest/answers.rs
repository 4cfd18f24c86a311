//! What the scripts make of a server: of one that answers as it should, of one that does not, and of none.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Bench, SCRIPTS, agreed};
use crate::support::server::TestServer;
use crate::support::signet::free_port;

/// What each script asks for in `setup` and under load, by operation and route.
fn asked(script: &str) -> Vec<&'static str> {
    let verify = "verify POST /verify";
    let day = [
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
        "soak" => [&["metrics GET /metrics"], &day[..]].concat(),
        _ => day.to_vec(),
    }
}

async fn all_answers_are_right(server: TestServer) {
    let bench = Bench::beside(server);
    let management = bench.server.signet.ops("");
    for script in SCRIPTS {
        bench.seed();
        let told = bench.run(script, &[("MANAGEMENT", &management)]).await;
        told.exits(0).throws_nothing();
        let checks = told.checks();
        assert!(!checks.is_empty() && checks.iter().all(|(_, right, wrong)| *right > 0 && *wrong == 0), "{checks:?}");
        let mut load = told.asked();
        load.retain(|operation| !operation.starts_with("setup "));
        load.sort_unstable();
        let mut expected = asked(script);
        expected.sort_unstable();
        assert_eq!(load, expected, "{script}");
        assert!(told.said().contains("PASSED") && told.said().contains("p99.9"), "{}", told.said());
        assert_eq!(told.told["newer"], Value::Null, "k6 shows its own summary where ours has no thresholds to go by");
    }
}

#[tokio::test]
async fn all_answers_are_right_embedded() {
    all_answers_are_right(TestServer::embedded(agreed)).await;
}

#[tokio::test]
async fn all_answers_are_right_on_redis_and_postgres() {
    all_answers_are_right(TestServer::on_servers(agreed)).await;
}

#[tokio::test]
async fn calls_and_shapes_can_be_chosen() {
    let bench = Bench::beside(TestServer::embedded(agreed));
    bench.seed();
    for (call, route) in [("proxy", "verify GET /verify"), ("batch", "verify POST /verify/batch")] {
        let told = bench.run("verify", &[("CALL", call), ("BATCH", "7")]).await;
        assert!(told.exits(0).throws_nothing().asked().contains(&route), "{call}");
    }
    let told = bench.run("refresh", &[("CALL", "myauth")]).await;
    assert!(told.exits(0).throws_nothing().asked().contains(&"refresh POST /auth/login/refresh"));

    let minutes = [("RATE", "100"), ("DURATION", "5m")];
    let scenario = async |shape| {
        let told = bench.run("jwks", &[&minutes[..], &[("SHAPE", shape)]].concat()).await;
        told.exits(0).told["options"]["scenarios"]["jwks"].clone()
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
    let vus = bench.run("jwks", &[("VUS", "3")]).await.told["options"]["scenarios"]["jwks"]["maxVUs"].clone();
    assert_eq!(vus, 3);

    // What has no weight is not done, and not demanded.
    bench.seed();
    let weights = [("SIGN_INS", "0"), ("REFRESHES", "0"), ("CODES", "0"), ("KEYS", "0")];
    let told = bench.run("mixed", &weights).await;
    assert_eq!(told.exits(0).throws_nothing().told["options"]["scenarios"].as_object().unwrap().len(), 1);
}

#[tokio::test]
async fn a_data_set_that_will_not_do_is_told_before_the_load() {
    let bench = Bench::beside(TestServer::embedded(agreed));
    bench.run("verify", &[]).await.stopped("signet seed --out");
    bench.seed();
    bench.run("verify", &[("DURATION", "1h")]).await.stopped("--set api.native.access=12h");
    bench.run("refresh", &[("RATE", "1000")]).await.stopped("need 502 sessions, there are 40");
    bench.run("mixed", &[]).await.exits(0);
    for script in ["refresh", "mixed", "soak"] {
        bench.run(script, &[]).await.stopped("used by another run");
    }
    for (name, value, why) in [
        ("SHAPE", "square", "steady, ramp, spike"),
        ("RATE", "fast", "must be a number"),
        ("DURATION", "0s", "must be a length of time"),
        ("DURATION", "ten minutes", "must be a length of time"),
        ("DATA", "data.json", "must be an absolute path"),
        ("BATCH", "2.5", "must be a whole number"),
    ] {
        bench.run("verify", &[(name, value)]).await.stopped(why);
    }
    bench.run("soak", &[("SHAPE", "spike")]).await.stopped("must be one of steady");
    bench.run("soak", &[("DURATION", "9m")]).await.stopped("lasts 10m at least");
    bench.server.plan().json(&["seed", "--remove"], "");
    bench.run("verify", &[]).await.stopped("seed again with the server's own settings");
}

/// The checks alone must do it: nothing that throws, and no look beforehand.
#[tokio::test]
async fn a_server_that_is_down_fails_the_run() {
    let bench = Bench::beside(TestServer::embedded(agreed));
    bench.seed();
    let nobody = format!("http://127.0.0.1:{}", free_port());
    for script in SCRIPTS {
        let there_is_none = [("BASE_URL", nobody.as_str()), ("MANAGEMENT", nobody.as_str())];
        if script != "jwks" {
            bench.run(script, &there_is_none).await.stopped("no Signet at BASE_URL");
        }
        let told = bench.run_unprepared(script, &there_is_none).await;
        told.exits(99).throws_nothing();
        assert!(told.checks().iter().all(|(name, right, _)| *right == 0 || name.ends_with("a session is left")));
        assert!(told.said().contains("FAILED\n  missed: "), "{}", told.said());
    }
}

/// Says 200 and `{}` to everything.
fn yes_man() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
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
async fn wrong_answers_fail_the_run() {
    let bench = Bench::beside(TestServer::embedded(agreed));
    bench.seed();
    let url = yes_man();
    for script in SCRIPTS {
        let told = bench.run_unprepared(script, &[("BASE_URL", &url), ("MANAGEMENT", &url)]).await;
        let mut operations: Vec<_> =
            asked(script).into_iter().map(|it| it.split(' ').next().expect("a name")).collect();
        // Nobody was signed in.
        operations.retain(|operation| *operation != "sign-out");
        operations.sort_unstable();
        operations.dedup();
        assert_eq!(told.exits(99).throws_nothing().faulted(), operations, "{script}");
    }
    // The real server, to whom all of it means nothing any more.
    bench.server.plan().json(&["seed", "--remove"], "");
    for script in ["verify", "refresh", "login", "mixed"] {
        let told = bench.run_unprepared(script, &[]).await;
        assert!(!told.exits(99).throws_nothing().faulted().is_empty(), "{script}");
    }
}

#[tokio::test]
async fn what_is_too_slow_or_drifts_fails_the_run() {
    let bench = Bench::beside(TestServer::embedded(agreed));
    let management = bench.server.signet.ops("");
    for (script, name, value, missed) in [
        ("verify", "P99_VERIFY", "0", "http_req_duration{operation:verify}: p(99)<0"),
        ("mixed", "P99_SIGN_IN", "0", "http_req_duration{operation:sign-in}: p(99)<0"),
        ("soak", "P99_REFRESH", "0", "http_req_duration{operation:refresh,phase:late}: p(99)<0"),
        ("soak", "DRIFT", "0", "drift{operation:key}: med<0"),
        ("soak", "GROWTH", "0.1", "growth{of:memory}: med<0.1"),
    ] {
        bench.seed();
        let summary = [("MANAGEMENT", management.as_str()), ("SUMMARY", "/tmp/summary.json"), (name, value)];
        let told = bench.run(script, &summary).await;
        assert!(told.exits(99).throws_nothing().said().contains(missed), "{}", told.said());
        let written = told.told["summary"]["/tmp/summary.json"].as_str().expect("what is to be written");
        let written: Value = serde_json::from_str(written).expect("it is JSON");
        assert_eq!((&written["passed"], &written["script"]), (&false.into(), &script.into()));
        assert!(written["missed"].as_array().unwrap().contains(&missed.into()), "{written}");
    }
}

/// Every script and what they share.
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

/// k6 has no npm, and machines that test have no way out: nothing but k6's own modules and our own files, and nothing of node's.
#[test]
fn scripts_import_what_k6_has_by_itself() {
    for (path, text) in sources() {
        assert!(text.starts_with("// ") && text.lines().count() < 400, "{}", path.display());
        for line in text.lines().filter(|line| line.contains(" from '") || line.starts_with("import ")) {
            let from = line.rsplit('\'').nth(1).unwrap_or_default();
            let known = ["k6", "k6/http", "k6/data", "k6/execution", "k6/metrics"].contains(&from);
            let ours = from.starts_with("./") && path.with_file_name(from).is_file();
            assert!(known || ours, "{}: {line}", path.display());
        }
    }
}

#[test]
fn every_setting_is_described() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("loadtest/README.md");
    let described = std::fs::read_to_string(home).unwrap();
    let table = described.split("\n## ").find(|part| part.starts_with("Settings")).expect("it has a table of them");
    let described =
        table.split('`').filter(|word| word.len() > 2 && word.bytes().all(|it| it.is_ascii_uppercase() || it == b'_'));
    let mut described: Vec<String> = described.filter(|name| !name.starts_with("P99_")).map(str::to_owned).collect();
    let mut read = Vec::new();
    for (_, text) in sources() {
        for call in ["text('", "number('", "count('", "seconds('", "oneOf('", "['"] {
            let names = text.split(call).skip(1).filter_map(|rest| rest.split('\'').next());
            let loud =
                names.filter(|name| name.bytes().all(|it| it.is_ascii_uppercase() || it == b'_') && name.len() > 2);
            read.extend(loud.filter(|name| !["GET", "POST"].contains(name)).map(str::to_owned));
        }
    }
    for names in [&mut described, &mut read] {
        names.sort();
        names.dedup();
    }
    assert_eq!(described, read);
}
