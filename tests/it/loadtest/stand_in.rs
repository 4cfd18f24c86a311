//! Tests of the replacement of k6: with scripts that k6 would reject, and with scripts that fail only when they run.

use super::{LoadTest, RunResult, shared_settings};
use crate::support::server::TestServer;

impl LoadTest {
    async fn run_source(&self, text: &str) -> RunResult {
        std::fs::write(self.dir.path().join("loadtest/made-up.js"), text).expect("the folder is writable");
        self.run("made-up", &[]).await
    }
}

/// A script with these thresholds, this code in the init context and this code in the scenario's function.
fn script(thresholds: &str, init: &str, body: &str) -> String {
    format!(
        "import {{ check }} from 'k6';
        import http from 'k6/http';
        import exec from 'k6/execution';
        import {{ SharedArray }} from 'k6/data';
        import {{ BASE_URL }} from './lib/settings.js';
        import {{ sessions }} from './lib/dataset.js';
        import {{ refresh }} from './lib/operations.js';
        import {{ options as optionsOf, summary }} from './lib/verdict.js';
        {init}
        const pace = {{
          executor: 'constant-arrival-rate', exec: 'go', rate: 1, duration: '1s', preAllocatedVUs: 2, maxVUs: 2
        }};
        export const options = optionsOf({{ go: pace }}, {{ {thresholds} }});
        export const handleSummary = summary('made-up', {{}}, {{ shape: 'steady', rate: 1 }});
        export function go() {{ {body} }}"
    )
}

const FETCH_JWKS: &str = "http.get(`${BASE_URL}/.well-known/jwks.json`, { tags: { operation: 'jwks' } });";

#[tokio::test]
async fn options_that_k6_rejects_are_rejected() {
    let load_test = LoadTest::new(TestServer::embedded(shared_settings));
    load_test.seed();
    load_test
        .run_source(&script("http_reqs: ['count>0']", "", FETCH_JWKS))
        .await
        .assert_exit(0)
        .assert_nothing_thrown();
    for (thresholds, reason) in [
        ("http_req_duration: ['p99<10']", "p99<10"),
        ("http_req_duration: ['count>1']", "count>1"),
        ("http_reqs: ['count>one']", "count>one"),
        ("'http_reqs{operation}': ['count>0']", "invalid tags"),
        ("nothing: ['count>0']", "threshold of an unknown metric"),
        ("http_reqs: []", "has no thresholds"),
    ] {
        let run = load_test.run_source(&script(thresholds, "", FETCH_JWKS)).await;
        assert!(
            run.assert_exit(104).result["invalid"].to_string().contains(reason),
            "{thresholds}: {}",
            run.result["invalid"]
        );
    }
    let valid = script("", "", FETCH_JWKS);
    for (from, to, reason) in [
        ("'constant-arrival-rate'", "'constant-rate'", "no such executor"),
        ("rate: 1,", "rate: 1.5,", "rate is 1.5"),
        ("duration: '1s'", "duration: 1", "duration is 1"),
        ("duration: '1s',", "", "duration is missing"),
        ("maxVUs: 2", "maxVUs: 1", "fewer than preAllocatedVUs"),
        ("maxVUs: 2", "maxVus: 2", "maxVus is 2"),
        ("exec: 'go'", "exec: 'gone'", "gone is not exported"),
    ] {
        let run = load_test.run_source(&valid.replace(from, to)).await;
        assert!(
            run.assert_exit(104).result["invalid"].to_string().contains(reason),
            "{from}: {}",
            run.result["invalid"]
        );
    }
    for init in [
        "process.exit();",
        "fetch('http://127.0.0.1/');",
        "setTimeout(() => {}, 1);",
        "new URL('http://a');",
        FETCH_JWKS,
    ] {
        load_test.run_source(&script("", init, FETCH_JWKS)).await.assert_exit(107);
    }
}

#[tokio::test]
async fn errors_at_run_time_are_reported() {
    let load_test = LoadTest::new(TestServer::embedded(shared_settings));
    load_test.seed();
    for body in [
        "open('/etc/hostname');",
        "new SharedArray('late', () => []);",
        "sessions.map((one) => one);",
        "exec.nothing.at.all;",
    ] {
        let run = load_test.run_source(&script("", "", &format!("{FETCH_JWKS} {body}"))).await;
        assert_eq!(run.result["thrown"].as_array().map(Vec::len), Some(6), "{body}: {}", run.result);
    }
    // In k6, a threshold on the rate or percentile of no samples passes; one on their count does not.
    let never = "'http_req_failed{operation:never}': ['rate<0.1'], 'http_req_duration{operation:never}': ['p(99)<1']";
    load_test.run_source(&script(never, "", FETCH_JWKS)).await.assert_exit(0);
    load_test.run_source(&script("'http_reqs{operation:never}': ['count>0']", "", FETCH_JWKS)).await.assert_exit(99);
    load_test.run_source(&script("'http_reqs{operation:jwks}': ['count>0']", "", FETCH_JWKS)).await.assert_exit(0);
    load_test
        .run_source(&script("checks: ['rate>0.5']", "", "check(1, { one: (it) => it === 2 });"))
        .await
        .assert_exit(99);
    // Two virtual users with one session: the second presents a token that the first has rotated.
    let shared = "const session = { refresh: sessions[0].refresh_token, access: sessions[0].access_token };";
    let run = load_test.run_source(&script("checks: ['rate>=1']", shared, "refresh(session);")).await;
    assert_eq!(run.assert_exit(99).assert_nothing_thrown().failed_operations(), ["refresh"]);
}
