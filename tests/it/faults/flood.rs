//! Twenty times as many sign-ins as can be hashed: excess sign-ins are refused within a second, memory is bounded,
//! signed-in users are not affected, and sign-ins work again when the flood is over.

use futures_util::future::join_all;
use serde_json::json;

use super::process_stats::ProcessStats;
use super::report::{as_millis, percentile};
use super::*;
use crate::support::client::HttpResponse;

/// The sign-ins per second, as a multiple of what can be hashed.
const OVERLOAD: f64 = 20.0;

/// The time within which an excess sign-in must be refused: it is held for half a second.
const MAX_REFUSAL_DELAY: Duration = Duration::from_millis(600);

const MAX_RECOVERY: Duration = Duration::from_secs(2);

/// The memory of one hash: so large that the test's client can send twenty times as many sign-ins as one thread can
/// hash.
const HASH_KIB: u64 = 64 << 10;

/// The user of the flood. The test ignores its sessions, of which the oldest are ended when there are too many.
const FLOODED_USER: &str = "flooded@example.org";

/// The memory that the flood may need beside the hash: connections, requests, responses, sessions.
const MAX_EXTRA_MEMORY: f64 = 48.0 * 1024.0 * 1024.0;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn excess_sign_ins_are_refused_quickly() {
    let plan = Plan::embedded().set("SIGNET_PASSWORDS__THREADS", "1").set("SIGNET_PASSWORDS__PASSES", "2");
    let plan = plan.set("SIGNET_PASSWORDS__MEMORY_KIB", &HASH_KIB.to_string());
    let fleet = ServerFleet::start(std::slice::from_ref(&plan));
    plan.create_user(FLOODED_USER, PASSWORD, &[]);
    let client = &fleet.endpoints[0].client;
    let tokens = client.sign_in(ROOT).await;
    let mut rounds = Vec::new();
    for _ in 0..short_or_long(5, 20) {
        let began = Instant::now();
        client.sign_out(&client.sign_in(ROOT).await).await;
        rounds.push(began.elapsed());
    }
    // By the median: with one round of seconds, on a busy machine, the flood would be none.
    let capacity = percentile(50, rounds).as_secs_f64().recip();

    let mut stats = ProcessStats::of(fleet.nodes[0].pid());
    stats.sample(0.0);
    let (duration, mut tasks, mut verify_times) = (short_or_long(2.0, 20.0), Vec::new(), Vec::new());
    let began = Instant::now();
    while began.elapsed().as_secs_f64() < duration {
        while (tasks.len() as f64) < began.elapsed().as_secs_f64() * capacity * OVERLOAD {
            tasks.push(tokio::spawn(timed_sign_in(client.clone())));
        }
        let sent_at = Instant::now();
        assert_eq!(client.verify(&tokens.access).await.status, 200);
        verify_times.push(sent_at.elapsed());
        stats.sample(began.elapsed().as_secs_f64());
    }
    let ended = Instant::now();
    // After the flood, and once the queue is empty, sign-ins are served.
    let last = loop {
        let (last, _) = timed_sign_in(client.clone()).await;
        if last.status != 503 || ended.elapsed() > TIMEOUT {
            break last;
        }
    };
    let recovery = ended.elapsed();
    client.sign_out(&last.is(201).tokens()).await;

    let responses: Vec<(HttpResponse, Duration)> =
        join_all(tasks).await.into_iter().map(|it| it.expect("the task does not panic")).collect();
    let (accepted, refused): (Vec<_>, Vec<_>) = responses.iter().partition(|(response, _)| response.status == 201);
    for (response, _) in &refused {
        assert!(
            matches!(response.status, 429 | 503) && response.retry_after().is_some_and(|after| after > 0),
            "{response:?}"
        );
        assert!(!response.body.to_string().contains("_token"), "{response:?}");
    }
    let times: Vec<_> = refused.iter().map(|(_, duration)| *duration).collect();
    let (median, p99) = (percentile(50, times.clone()), percentile(99, times));
    let before = stats.samples[0].memory;
    let growth = stats.samples.iter().map(|sample| sample.memory).fold(0.0, f64::max) - before;
    let line = json!({
        "row": "sign-in flood", "capacity": capacity, "sent": responses.len(), "accepted": accepted.len(),
        "refused": refused.len(), "refused_median_ms": as_millis(median), "refused_p99_ms": as_millis(p99),
        "verify_p99_ms": as_millis(percentile(99, verify_times)),
        "recovery_ms": as_millis(recovery), "memory_mib": growth / f64::from(1 << 20),
    });
    println!("fault {line}");
    assert!(refused.len() > accepted.len() && !accepted.is_empty(), "there were too few sign-ins for a flood: {line}");
    assert!(!long() || p99 <= MAX_REFUSAL_DELAY, "excess sign-ins are refused slowly: {line}");
    assert!(!long() || recovery <= MAX_RECOVERY, "recovery is slow: {line}");
    assert!(growth < (HASH_KIB << 10) as f64 + MAX_EXTRA_MEMORY, "memory grows: {line}");
}

async fn timed_sign_in(client: Client) -> (HttpResponse, Duration) {
    let tasks = Instant::now();
    (client.execute(client.sign_in_request(FLOODED_USER, PASSWORD)).await.expect("the node is up"), tasks.elapsed())
}
