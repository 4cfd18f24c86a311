//! The stand-in for k6 is itself tried: on scripts that k6 would refuse, and on some that are wrong in ways that only a run shows.

use super::{Bench, Told, agreed};
use crate::support::server::TestServer;

impl Bench {
    async fn made_up(&self, text: &str) -> Told {
        std::fs::write(self.dir.path().join("loadtest/made-up.js"), text).expect("the folder is ours");
        self.run("made-up", &[]).await
    }
}

/// A script that asks the server for its keys, with more in its options, before its function, and in it.
fn script(thresholds: &str, before: &str, inside: &str) -> String {
    format!(
        "import {{ check }} from 'k6';
        import http from 'k6/http';
        import exec from 'k6/execution';
        import {{ SharedArray }} from 'k6/data';
        import {{ BASE_URL }} from './lib/settings.js';
        import {{ sessions }} from './lib/dataset.js';
        import {{ refresh }} from './lib/operations.js';
        import {{ options as optionsOf, summary }} from './lib/verdict.js';
        {before}
        const pace = {{ executor: 'constant-arrival-rate', exec: 'go', rate: 1, duration: '1s', preAllocatedVUs: 2, maxVUs: 2 }};
        export const options = optionsOf({{ go: pace }}, {{ {thresholds} }});
        export const handleSummary = summary('made-up', {{}}, {{ shape: 'steady', rate: 1 }});
        export function go() {{ {inside} }}"
    )
}

const ASK: &str = "http.get(`${BASE_URL}/.well-known/jwks.json`, { tags: { operation: 'jwks' } });";

#[tokio::test]
async fn what_k6_refuses_is_refused() {
    let bench = Bench::beside(TestServer::embedded(agreed));
    bench.seed();
    bench.made_up(&script("http_reqs: ['count>0']", "", ASK)).await.exits(0).throws_nothing();
    for (thresholds, why) in [
        ("http_req_duration: ['p99<10']", "p99<10"),
        ("http_req_duration: ['count>1']", "count>1"),
        ("http_reqs: ['count>one']", "count>one"),
        ("'http_reqs{operation}': ['count>0']", "tags that cannot be read"),
        ("nothing: ['count>0']", "a threshold of no metric"),
        ("http_reqs: []", "has no thresholds"),
    ] {
        let told = bench.made_up(&script(thresholds, "", ASK)).await;
        assert!(told.exits(104).told["wrong"].to_string().contains(why), "{thresholds}: {}", told.told["wrong"]);
    }
    let good = script("", "", ASK);
    for (from, to, why) in [
        ("'constant-arrival-rate'", "'constant-rate'", "no such executor"),
        ("rate: 1,", "rate: 1.5,", "rate is 1.5"),
        ("duration: '1s'", "duration: 1", "duration is 1"),
        ("duration: '1s',", "", "duration is missing"),
        ("maxVUs: 2", "maxVUs: 1", "fewer than preAllocatedVUs"),
        ("maxVUs: 2", "maxVus: 2", "maxVus is 2"),
        ("exec: 'go'", "exec: 'gone'", "gone is not exported"),
    ] {
        let told = bench.made_up(&good.replace(from, to)).await;
        assert!(told.exits(104).told["wrong"].to_string().contains(why), "{from}: {}", told.told["wrong"]);
    }
    for before in
        ["process.exit();", "fetch('http://127.0.0.1/');", "setTimeout(() => {}, 1);", "new URL('http://a');", ASK]
    {
        bench.made_up(&script("", before, ASK)).await.exits(107);
    }
}

#[tokio::test]
async fn what_only_a_run_shows_is_shown() {
    let bench = Bench::beside(TestServer::embedded(agreed));
    bench.seed();
    for inside in [
        "open('/etc/hostname');",
        "new SharedArray('late', () => []);",
        "sessions.map((one) => one);",
        "exec.nothing.at.all;",
    ] {
        let told = bench.made_up(&script("", "", &format!("{ASK} {inside}"))).await;
        assert_eq!(told.told["thrown"].as_array().map(Vec::len), Some(6), "{inside}: {}", told.told);
    }
    // k6 holds that a rate of nothing and a percentile of nothing have missed no threshold; a count of nothing has.
    let never = "'http_req_failed{operation:never}': ['rate<0.1'], 'http_req_duration{operation:never}': ['p(99)<1']";
    bench.made_up(&script(never, "", ASK)).await.exits(0);
    bench.made_up(&script("'http_reqs{operation:never}': ['count>0']", "", ASK)).await.exits(99);
    bench.made_up(&script("'http_reqs{operation:jwks}': ['count>0']", "", ASK)).await.exits(0);
    bench.made_up(&script("checks: ['rate>0.5']", "", "check(1, { one: (it) => it === 2 });")).await.exits(99);
    // Two virtual users with one session: the second comes with a token that the first has replaced.
    let shared = "const { refresh_token, access_token } = sessions[0]; const mine = { refresh: refresh_token, access: access_token };";
    let told = bench.made_up(&script("checks: ['rate>=1']", shared, "refresh(mine);")).await;
    assert_eq!(told.exits(99).throws_nothing().faulted(), ["refresh"]);
}
