//! Measures the revocation feed: when followers refuse a signed-out user, what followers cost the server, and the bytes
//! that each receives.
//!
//!     cargo bench --bench followers -- [--followers N] [--rates 0,100,1000] [--seconds S] [--server PATH]
//!                                      [--through-cache] [--pollers M] [--threads T]
//!
//! The server has one core, and all followers run in this process, on other cores if there are any. Each of the N (1,000)
//! is a complete `signet-verify` with a connection, keys and revocations of its own. Every 250 ms a user signs out, and
//! every follower is asked until it refuses the user's token. At each of the rates, so many further users sign out each
//! second. A run takes S seconds (20) and the time to start for each rate.
//!
//! With `--through-cache` the followers poll an nginx that caches (`proxy_cache`), and so do M (10,000) further clients,
//! which read heads and segments as followers do but verify nothing. Each needs a connection: `ulimit -n 65536`.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench"
)]

mod pollers;
mod proxy;
mod sign_outs;
#[path = "../support/mod.rs"]
mod support;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pollers::Traffic;
use signet_verify::follow::Verifier;
use support::cores::Cores;
use support::load::Histogram;
use support::signet::{SeededSession, SignetSettings};
use support::{free_port, lock_machine, temp_folder};

/// Time between two sign-outs whose effect is measured.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(250);

/// Between the starts of two followers, so that they do not all ask for the snapshot at once.
const START_INTERVAL: Duration = Duration::from_millis(2);

/// The longest wait for a follower to start, and to refuse a token: more is a failure of the bench.
const START_TIMEOUT: Duration = Duration::from_secs(120);
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(30);

/// A million revocations a day, as a rate.
const MILLION_A_DAY: f64 = 1_000_000.0 / 86_400.0;

const SECONDS_A_DAY: f64 = 86_400.0;

struct Options {
    server: PathBuf,
    followers: usize,
    pollers: usize,
    rates: Vec<f64>,
    seconds: u64,
    threads: usize,
    through_cache: bool,
}

fn main() {
    let cores = Cores::detect();
    let mut options = Options {
        server: PathBuf::from(env!("CARGO_BIN_EXE_signet")),
        followers: 1000,
        pollers: 10_000,
        rates: vec![0.0, MILLION_A_DAY, 100.0, 1000.0],
        seconds: 20,
        threads: cores.count().saturating_sub(1).max(1),
        through_cache: false,
    };
    let mut args = std::env::args().skip(1);
    while let Some(option) = args.next() {
        let mut value = || args.next().unwrap_or_else(|| panic!("{option} needs a value"));
        match option.as_str() {
            "--server" => {
                options.server = PathBuf::from(value()).canonicalize().expect("--server is the path of a program");
            }
            "--followers" => options.followers = value().parse().expect("a number"),
            "--pollers" => options.pollers = value().parse().expect("a number"),
            "--threads" => options.threads = value().parse().expect("a number"),
            "--seconds" => options.seconds = value().parse().expect("a number"),
            "--rates" => options.rates = value().split(',').map(|rate| rate.parse().expect("numbers")).collect(),
            "--through-cache" => options.through_cache = true,
            // `cargo bench` passes this to every bench.
            "--bench" => {}
            _ => panic!("unknown option: {option}"),
        }
    }
    let _lock = lock_machine();
    let clients = if options.through_cache { options.pollers } else { 0 };
    println!("{} followers, {clients} further clients, {} cores", options.followers, cores.count());
    println!(
        "  rate/s  signed out  refusals   p50 ms   p99 ms   max ms  server CPU %  requests/s  bytes/s and MB/day each"
    );
    for rate in &options.rates {
        measure(&options, &cores, *rate);
    }
}

fn measure(options: &Options, cores: &Cores, rate: f64) {
    let samples = (options.seconds * 1000).div_ceil(SAMPLE_INTERVAL.as_millis() as u64) as usize;
    // The others go on until the last sample is refused.
    let others = (rate * (options.seconds as f64 + REFUSAL_TIMEOUT.as_secs_f64())) as usize;
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let proxy = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let public = if options.through_cache { proxy } else { address };
    let issuer = format!("http://{public}");
    let settings = SignetSettings::new(&options.server, &cores.server())
        .set("SIGNET_SERVER__PUBLIC_URL", &issuer)
        .set("SIGNET_SERVER__LISTEN", &address.to_string());
    let sessions = settings.seed_sessions(samples + others);
    let signet = settings.start();
    let folder = temp_folder();
    let cache = options.through_cache.then(|| proxy::start(folder.path(), proxy, address, &cores.client()));

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(options.threads)
        .enable_all()
        .build()
        .expect("a runtime");
    let verifiers = runtime.block_on(start_followers(options, &issuer));
    let traffic = Arc::new(Traffic::default());
    let clients = if options.through_cache { options.pollers.max(1) } else { 1 };
    for number in 0..clients {
        let traffic = traffic.clone();
        let through_cache = options.through_cache;
        runtime.spawn(async move { pollers::run(public, through_cache, number, &traffic).await });
    }
    let (sampled, others) = sessions.split_at(samples);
    let ended = Arc::new(AtomicBool::new(false));
    let sign_outs = sign_outs::spawn(others, address, rate, &ended);

    // What starting costs is not counted.
    std::thread::sleep(Duration::from_secs(2));
    let (cpu_before, traffic_before, began) = (signet.process.cpu_time(), traffic.counts(), Instant::now());
    let latencies = sign_out_and_wait(sampled, address, &verifiers);
    let (elapsed, cpu) = (began.elapsed().as_secs_f64(), signet.process.cpu_time() - cpu_before);
    let (requests, bytes) = traffic.counts();
    ended.store(true, Ordering::Relaxed);
    let signed_out = sign_outs.join();
    let per_second = |now: u64, before: u64| (now - before) as f64 / elapsed;
    let bytes = per_second(bytes, traffic_before.1) / clients as f64;
    println!(
        "{rate:>8.1}  {signed_out:>10}  {:>8}  {:>7.1}  {:>7.1}  {:>7.1}  {:>12.1}  {:>10.0}  {bytes:>9.0}  {:>9.1}",
        latencies.count(),
        latencies.percentile_micros(0.5) / 1000.0,
        latencies.percentile_micros(0.99) / 1000.0,
        latencies.percentile_micros(1.0) / 1000.0,
        cpu.as_secs_f64() / elapsed * 100.0,
        per_second(requests, traffic_before.0),
        bytes * SECONDS_A_DAY / 1e6,
    );
    drop((verifiers, runtime, cache, signet));
}

async fn start_followers(options: &Options, issuer: &str) -> Vec<Verifier> {
    let mut verifiers = Vec::with_capacity(options.followers);
    for _ in 0..options.followers {
        let builder = Verifier::builder(issuer).audience("signet").cache(64);
        let builder = if options.through_cache { builder.through_cache() } else { builder };
        verifiers.push(builder.start().expect("the settings are valid"));
        tokio::time::sleep(START_INTERVAL).await;
    }
    for verifier in &verifiers {
        let ready = tokio::time::timeout(START_TIMEOUT, verifier.ready()).await;
        ready.unwrap_or_else(|_| panic!("a follower is not ready: {:?}", verifier.last_error()));
    }
    verifiers
}

/// Signs users out one after the other. Returns the times from each response until each follower refused the token.
fn sign_out_and_wait(sessions: &[SeededSession], address: SocketAddr, verifiers: &[Verifier]) -> Histogram {
    let mut latencies = Histogram::default();
    let mut connection = sign_outs::Connection::open(address);
    for session in sessions {
        let next = Instant::now() + SAMPLE_INTERVAL;
        let token = &session.access_token;
        for verifier in verifiers {
            let result = verifier.verify_now(token).map(|_| ());
            assert_eq!(result, Ok(()), "{:?}", verifier.last_error());
        }
        connection.sign_out(token);
        let signed_out = Instant::now();
        let mut waiting = verifiers.iter().collect::<Vec<_>>();
        while !waiting.is_empty() {
            waiting.retain(|verifier| {
                let is_accepted = verifier.verify_now(token).is_ok();
                if !is_accepted {
                    latencies.record(signed_out.elapsed());
                }
                is_accepted
            });
            assert!(signed_out.elapsed() < REFUSAL_TIMEOUT, "{} followers accept the token", waiting.len());
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    latencies
}
