//! The jobs of the sign-in storm, each in its own process: hashing alone, and the clients that sign in.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use signet_argon2::{Algorithm, Argon2, Block, Implementation, Params, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

use crate::support::http::{is_complete, read_response};
use crate::support::load::Histogram;
use crate::support::process::huge_kib;

/// The names of the jobs for `JobProcess`.
pub(crate) const HASH_JOB: &str = "hash";
pub(crate) const STORM_JOB: &str = "storm";

/// The default parameters of the server.
pub(crate) const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;

/// The nice value of the server's hashing threads. It decides their share beside other work on the machine.
const NICE: i32 = 10;

/// Without a response for this long, the run fails.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Serialize, Deserialize)]
pub(crate) struct HashJob {
    pub(crate) threads: usize,
    pub(crate) seconds: f64,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct HashOutcome {
    /// Hashes a second of all threads.
    pub(crate) per_second: f64,
    /// The fraction of the memory of a hash that was in huge pages.
    pub(crate) huge_fraction: f64,
}

/// Hashes on the cores of this process.
pub(crate) fn hash(job: HashJob) -> HashOutcome {
    let _ = rustix::process::nice(NICE);
    let run_thread = || {
        let params = Params::new(MEMORY_KIB, PASSES, 1, None).unwrap();
        let argon2 = Argon2::new(Implementation::fastest(), Algorithm::Argon2id, Version::V0x13, params);
        let mut blocks = vec![Block::default(); MEMORY_KIB as usize];
        let mut hash = || {
            let mut output = [0; 32];
            argon2.hash_into(b"a quiet harbour", &[7; 16], &mut output, &mut blocks).unwrap();
            std::hint::black_box(output);
        };
        hash();
        let huge_fraction = huge_kib() / f64::from(MEMORY_KIB);
        let (started, mut hashes) = (Instant::now(), 0);
        while started.elapsed().as_secs_f64() < job.seconds {
            hash();
            hashes += 1;
        }
        HashOutcome { per_second: f64::from(hashes) / started.elapsed().as_secs_f64(), huge_fraction }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..job.threads).map(|_| scope.spawn(run_thread)).collect();
        let outcomes = threads.into_iter().map(|thread| thread.join().unwrap());
        outcomes.fold(HashOutcome { per_second: 0.0, huge_fraction: 0.0 }, |all, one| HashOutcome {
            per_second: all.per_second + one.per_second,
            huge_fraction: one.huge_fraction,
        })
    })
}

/// Sign-ins, and one client that verifies a token all the time.
#[derive(Serialize, Deserialize)]
pub(crate) struct StormJob {
    pub(crate) address: SocketAddr,
    pub(crate) seconds: f64,
    /// A sign-in request of each user, used in turn.
    pub(crate) requests: Vec<String>,
    pub(crate) verify: String,
    pub(crate) sign_ins: SignIns,
}

/// The load of sign-ins.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) enum SignIns {
    None,
    /// Starts this many each second, independent of the responses (open loop).
    PerSecond(f64),
    /// Keeps this many in flight (closed loop).
    Concurrent(usize),
}

#[derive(Default, Serialize, Deserialize)]
pub(crate) struct StormOutcome {
    /// The time until the last response.
    pub(crate) seconds: f64,
    pub(crate) started: u64,
    pub(crate) accepted: Histogram,
    pub(crate) rejected: Histogram,
    pub(crate) verify: Histogram,
}

/// Runs the storm. Every response to a sign-in must be 201, or 503 with `retry-after` and without a token.
pub(crate) fn storm(job: StormJob) -> StormOutcome {
    let (job, finished) = (Arc::new(job), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let verifier = scope.spawn(|| verify(&job, &finished));
        let stop = SetWhenDropped(&finished);
        let started = Instant::now();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut outcome = runtime.block_on(async {
            match job.sign_ins {
                SignIns::None => {
                    tokio::time::sleep(Duration::from_secs_f64(job.seconds)).await;
                    StormOutcome::default()
                }
                SignIns::PerSecond(rate) => open_loop(&job, rate).await,
                SignIns::Concurrent(count) => closed_loop(&job, count).await,
            }
        });
        outcome.seconds = started.elapsed().as_secs_f64();
        drop(stop);
        outcome.verify = verifier.join().unwrap();
        outcome
    })
}

/// Ends the other thread of a job, also if this one panics: the scope waits for both.
pub(crate) struct SetWhenDropped<'a>(pub(crate) &'a AtomicBool);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Verifies about every five milliseconds on a separate connection. A shorter interval would be a load of its own: at
/// two milliseconds, waking the worker took 1 % to 2 % of the core from the sign-ins.
fn verify(job: &StormJob, finished: &AtomicBool) -> Histogram {
    let (mut stream, mut latencies) = (TcpStream::connect(job.address).unwrap(), Histogram::default());
    let mut random = 0_u32;
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(RESPONSE_TIMEOUT)).unwrap();
    while !finished.load(Ordering::Relaxed) {
        let started = Instant::now();
        stream.write_all(job.verify.as_bytes()).unwrap();
        let response = read_response(&mut stream);
        assert!(response.starts_with("HTTP/1.1 200"), "{response}");
        latencies.record(started.elapsed());
        // A random pause, so that the requests are not in step with the timer ticks of the kernel.
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        std::thread::sleep(Duration::from_micros(3_000 + u64::from(random >> 20)));
    }
    latencies
}

/// Checks the response to a sign-in. Returns true if it was accepted.
fn is_accepted(response: &[u8]) -> bool {
    let text = String::from_utf8_lossy(response);
    let accepted = text.starts_with("HTTP/1.1 201");
    let rejected = text.starts_with("HTTP/1.1 503") && text.contains("retry-after: ") && !text.contains("token");
    assert!(accepted || rejected, "{text}");
    accepted
}

async fn sign_in(job: &StormJob, number: usize, stream: &mut tokio::net::TcpStream) -> (bool, Duration) {
    let started = Instant::now();
    stream.write_all(job.requests[number % job.requests.len()].as_bytes()).await.unwrap();
    let mut response = Vec::with_capacity(2048);
    while !is_complete(&response) {
        let read = tokio::time::timeout(RESPONSE_TIMEOUT, stream.read_buf(&mut response)).await;
        assert!(read.expect("a response to every sign-in").unwrap() > 0, "the server closed the connection");
    }
    (is_accepted(&response), started.elapsed())
}

async fn connect(job: &StormJob) -> tokio::net::TcpStream {
    let stream = tokio::net::TcpStream::connect(job.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

impl StormOutcome {
    pub(crate) fn merge(&mut self, other: &Self) {
        self.started += other.started;
        self.accepted.merge(&other.accepted);
        self.rejected.merge(&other.rejected);
        self.verify.merge(&other.verify);
    }

    fn record(&mut self, (accepted, duration): (bool, Duration)) {
        if accepted { self.accepted.record(duration) } else { self.rejected.record(duration) }
    }
}

async fn open_loop(job: &Arc<StormJob>, rate: f64) -> StormOutcome {
    let (mut outcome, mut in_flight, mut idle) = (StormOutcome::default(), JoinSet::new(), Vec::new());
    let started = tokio::time::Instant::now();
    loop {
        let elapsed = started.elapsed().as_secs_f64();
        if elapsed >= job.seconds {
            break;
        }
        while (outcome.started as f64) < elapsed * rate {
            outcome.started += 1;
            let (job, stream, number) = (Arc::clone(job), idle.pop(), outcome.started as usize);
            in_flight.spawn(async move {
                let mut stream = match stream {
                    Some(stream) => stream,
                    None => connect(&job).await,
                };
                (sign_in(&job, number, &mut stream).await, stream)
            });
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        while let Some(finished) = in_flight.try_join_next() {
            let (result, stream) = finished.unwrap();
            outcome.record(result);
            idle.push(stream);
        }
    }
    // Sign-ins that still wait are answered too.
    for (result, _) in in_flight.join_all().await {
        outcome.record(result);
    }
    outcome
}

async fn closed_loop(job: &Arc<StormJob>, clients: usize) -> StormOutcome {
    let (mut outcome, mut tasks, started) = (StormOutcome::default(), JoinSet::new(), Instant::now());
    for client in 0..clients {
        let job = Arc::clone(job);
        tasks.spawn(async move {
            let (mut results, mut stream) = (Vec::new(), connect(&job).await);
            while started.elapsed().as_secs_f64() < job.seconds {
                results.push(sign_in(&job, client + clients * results.len(), &mut stream).await);
            }
            results
        });
    }
    for result in tasks.join_all().await.into_iter().flatten() {
        outcome.started += 1;
        outcome.record(result);
    }
    outcome
}
