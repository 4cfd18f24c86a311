//! Twenty times as many want to sign in as can be hashed: those who are too many are told so at once, memory is bounded, who is signed in
//! feels nothing, and who signs in when it is over is served.

use futures_util::future::join_all;
use serde_json::json;

use super::figures::{millis, part};
use super::vitals::Vitals;
use super::*;
use crate::support::client::HttpResponse;

/// How many times what can be hashed.
const TIMES: f64 = 20.0;

/// In what time who is too many must be told so.
const TURNED_AWAY: Duration = Duration::from_millis(100);

const BACK: Duration = Duration::from_secs(2);

/// Of one thread: so large that a test's client can make twenty times as many.
const HASH_KIB: u64 = 64 << 10;

/// As whom they sign in. Nobody looks at its sessions, of which the oldest are ended when there are too many.
const FLOODED: &str = "flooded@example.org";

/// What the flood may take beside the hash: connections, requests, answers, sessions.
const ALLOWANCE: f64 = 48.0 * 1024.0 * 1024.0;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_sign_ins() {
    let plan = Plan::embedded().set("SIGNET_PASSWORDS__THREADS", "1").set("SIGNET_PASSWORDS__PASSES", "2");
    let plan = plan.set("SIGNET_PASSWORDS__MEMORY_KIB", &HASH_KIB.to_string());
    let fleet = Fleet::of(std::slice::from_ref(&plan));
    plan.create_user(FLOODED, PASSWORD, &[]);
    let client = &fleet.places[0].client;
    let pair = client.sign_in(ROOT).await;
    let (times, began) = (short_or_long(5, 20), Instant::now());
    for _ in 0..times {
        client.sign_out(&client.sign_in(ROOT).await).await;
    }
    let capacity = f64::from(times) / began.elapsed().as_secs_f64();

    let mut vitals = Vitals::of(fleet.nodes[0].pid());
    vitals.look(0.0);
    let (span, mut asked, mut verified) = (short_or_long(2.0, 20.0), Vec::new(), Vec::new());
    let began = Instant::now();
    while began.elapsed().as_secs_f64() < span {
        while (asked.len() as f64) < began.elapsed().as_secs_f64() * capacity * TIMES {
            asked.push(tokio::spawn(timed(client.clone())));
        }
        let asked_at = Instant::now();
        assert_eq!(client.verify(&pair.access).await.status, 200);
        verified.push(asked_at.elapsed());
        vitals.look(began.elapsed().as_secs_f64());
    }
    let over = Instant::now();
    // Who comes when it is over, and what of it is in the queue, is served.
    let tried = loop {
        let (tried, _) = timed(client.clone()).await;
        if tried.status != 503 || over.elapsed() > PATIENCE {
            break tried;
        }
    };
    let back = over.elapsed();
    client.sign_out(&tried.is(201).tokens()).await;

    let answers: Vec<(HttpResponse, Duration)> = join_all(asked).await.into_iter().map(|it| it.expect("it asks")).collect();
    let (let_in, away): (Vec<_>, Vec<_>) = answers.iter().partition(|(answer, _)| answer.status == 201);
    for (answer, _) in &away {
        assert!(matches!(answer.status, 429 | 503) && answer.retry_after().is_some_and(|after| after > 0), "{answer:?}");
        assert!(!answer.body.to_string().contains("_token"), "{answer:?}");
    }
    let times: Vec<_> = away.iter().map(|(_, took)| *took).collect();
    let (median, p99) = (part(50, times.clone()), part(99, times));
    let before = vitals.marks[0].resident;
    let most = vitals.marks.iter().map(|mark| mark.resident).fold(0.0, f64::max) - before;
    let line = json!({
        "row": "sign-in flood", "capacity": capacity, "asked": answers.len(), "let_in": let_in.len(), "turned_away": away.len(),
        "told_median_ms": millis(median), "told_p99_ms": millis(p99), "verify_p99_ms": millis(part(99, verified)),
        "back_ms": millis(back), "memory_mib": most / f64::from(1 << 20),
    });
    println!("fault {line}");
    assert!(away.len() > let_in.len() && !let_in.is_empty(), "it was no flood: {line}");
    assert!(!long() || p99 <= TURNED_AWAY, "who is too many waits to be told: {line}");
    assert!(back <= short_or_long(BACK * 5, BACK), "it takes long to be back: {line}");
    assert!(most < (HASH_KIB << 10) as f64 + ALLOWANCE, "it takes memory: {line}");
}

async fn timed(client: Client) -> (HttpResponse, Duration) {
    let asked = Instant::now();
    (client.execute(client.sign_in_request(FLOODED, PASSWORD)).await.expect("the node lives"), asked.elapsed())
}
