//! Measures the revocation feed: when followers refuse a signed-out user, what followers cost the server, and the bytes
//! that each receives.
//!
//!     cargo bench --bench followers -- [--followers N] [--rates 0,100,1000] [--seconds S] [--server PATH]
//!                                      [--through-cache] [--pollers M] [--threads T]
//!
//! The server has one core, and all followers run in this process, on the other cores if there are any. Each of the N
//! (1,000) is a complete `signet-verify` with a connection, keys and revocations of its own. Every second a user signs
//! out, and every follower is asked until it says that the user's token is revoked. Others sign out too, so that all
//! together are as many each second as the rate says; at a rate below one, these alone. A run takes S seconds (20) and
//! the time to start for each rate.
//!
//! The latencies are from the response to the sign-out to the refusal, of all pairs of a sign-out and a follower. They
//! include the time until the follower is asked again: a millisecond or more, so that asking takes a twentieth of a core
//! at most. The processor time of the server includes the sign-outs: `--followers 0` tells what those cost. That of the
//! followers is of the threads that follow, without what asks them.
//!
//! Requests and bytes are those of further clients, which read what followers read, but verify nothing: one by long
//! polls, or with `--through-cache` M (10,000). Bytes are those of the responses with their heads. Each sign-out is
//! that of all sessions of a user, the longer kind of entry.
//!
//! With `--through-cache` followers and clients poll an nginx that caches (`proxy_cache`). Each needs a connection, in
//! this process and in nginx: `ulimit -n 20000`.

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
use signet_verify::follow::VerifyError;
use support::cores::Cores;
use support::load::Histogram;
use support::process::{cpu_time_of_threads, pin_this_process, thread_cpu_time};
use support::signet::{SeededSession, SignetSettings};
use support::{free_port, lock_machine, temp_folder};

/// Time between two sign-outs whose effect is measured. Each token is verified once by every follower before, which takes
/// a thousand of them some 25 ms of the core on which they follow.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);

/// So many followers verify the next token before those of earlier sign-outs are asked again. All at once would delay the
/// frames that the followers read just then.
const VERIFIED_AT_ONCE: usize = 10;

/// Between the starts of two followers or clients, so that they do not all ask for the snapshot at once.
const START_INTERVAL: Duration = Duration::from_millis(2);

/// The longest wait for a follower to start, and to refuse a token: more is a failure of the bench.
const START_TIMEOUT: Duration = Duration::from_secs(120);
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(30);

/// The time between two rounds of asking, as a multiple of the processor time of a round: or the asking would take the
/// core that the followers need.
const PAUSE_FACTOR: u32 = 19;

/// The shortest such time.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);

/// The name of the threads that follow.
const THREAD_NAME: &str = "followers";

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

impl Options {
    /// The number of clients whose requests are counted.
    fn clients(&self) -> usize {
        if self.through_cache { self.pollers.max(1) } else { 1 }
    }
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
    // Or the kernel lets followers run on the core of the server.
    pin_this_process(&cores.beside_server());
    println!("{} followers, {} further clients, {} cores", options.followers, options.clients(), cores.count());
    println!(
        "  rate/s  signed out/s  refusals   p50 ms   p99 ms   max ms  server CPU %  followers CPU %  of each client: \
         requests/s   bytes/s  MB/day"
    );
    for rate in &options.rates {
        measure(&options, &cores, *rate);
    }
}

fn measure(options: &Options, cores: &Cores, rate: f64) {
    let samples = (options.seconds * 1000).div_ceil(SAMPLE_INTERVAL.as_millis() as u64) as usize;
    let others_rate = (rate - 1.0 / SAMPLE_INTERVAL.as_secs_f64()).max(0.0);
    // The others go on until the last sample is refused.
    let others = (others_rate * (options.seconds as f64 + REFUSAL_TIMEOUT.as_secs_f64())) as usize;
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let proxy = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let public = if options.through_cache { proxy } else { address };
    let issuer = format!("http://{public}");
    let settings = SignetSettings::new(&options.server, &cores.server())
        .set("SIGNET_SERVER__PUBLIC_URL", &issuer)
        .set("SIGNET_SERVER__LISTEN", &address.to_string());
    let signet = settings.start();
    let sessions = settings.seed_sessions(samples + others);
    let folder = temp_folder();
    let cache = options.through_cache.then(|| proxy::start(folder.path(), proxy, address, &cores.beside_server()));

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(options.threads)
        .thread_name(THREAD_NAME)
        .enable_all()
        .build()
        .expect("a runtime");
    let verifiers = runtime.block_on(start_followers(options, &issuer));
    let traffic = Arc::new(Traffic::default());
    for number in 0..options.clients() {
        let traffic = traffic.clone();
        let through_cache = options.through_cache;
        runtime.spawn(async move {
            tokio::time::sleep(START_INTERVAL * number as u32).await;
            pollers::run(public, through_cache, number, &traffic).await;
        });
    }
    let (sampled, others) = sessions.split_at(samples);
    let ended = Arc::new(AtomicBool::new(false));
    // The cost of starting is not counted.
    let started = Instant::now();
    while traffic.clients() < options.clients() {
        assert!(started.elapsed() < START_TIMEOUT, "{} clients have a response", traffic.clients());
        std::thread::sleep(Duration::from_millis(10));
    }
    let sign_outs = sign_outs::spawn(others, address, others_rate, &ended);
    std::thread::sleep(Duration::from_secs(2));
    let followers_cpu = || cpu_time_of_threads(std::process::id(), THREAD_NAME).expect("this process runs");
    let (cpu_before, traffic_before) = ((signet.process.cpu_time(), followers_cpu()), traffic.counts());
    let (others_before, began) = (sign_outs.count(), Instant::now());
    let latencies = sign_out_and_wait(sampled, address, &verifiers);
    let elapsed = began.elapsed().as_secs_f64();
    let cpu = (signet.process.cpu_time() - cpu_before.0, followers_cpu() - cpu_before.1);
    let ((requests, bytes), others) = (traffic.counts(), sign_outs.count() - others_before);
    ended.store(true, Ordering::Relaxed);
    sign_outs.join();
    let of_each = |now: u64, before: u64| (now - before) as f64 / elapsed / options.clients() as f64;
    let bytes = of_each(bytes, traffic_before.1);
    println!(
        "{rate:>8.1}  {:>12.1}  {:>8}  {:>7.1}  {:>7.1}  {:>7.1}  {:>12.1}  {:>15.1}  {:>26.1}  {bytes:>8.0}  {:>6.1}",
        (samples + others) as f64 / elapsed,
        latencies.count(),
        latencies.percentile_micros(0.5) / 1000.0,
        latencies.percentile_micros(0.99) / 1000.0,
        latencies.percentile_micros(1.0) / 1000.0,
        cpu.0.as_secs_f64() / elapsed * 100.0,
        cpu.1.as_secs_f64() / elapsed * 100.0,
        of_each(requests, traffic_before.0),
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

/// A sign-out, and the followers that do not know of it yet.
struct Sample<'a> {
    token: &'a str,
    signed_out: Instant,
    waiting: Vec<&'a Verifier>,
}

/// Signs users out at a steady rate, however long followers take. Returns the times from each response until each
/// follower refused the token.
fn sign_out_and_wait(sessions: &[SeededSession], address: SocketAddr, verifiers: &[Verifier]) -> Histogram {
    let mut latencies = Histogram::default();
    let mut connection = sign_outs::Connection::open(address);
    let (mut samples, mut next) = (Vec::<Sample<'_>>::new(), Instant::now());
    for session in sessions {
        let token = &*session.access_token;
        for some in verifiers.chunks(VERIFIED_AT_ONCE) {
            for verifier in some {
                assert_eq!(verifier.verify_now(token).map(|_| ()), Ok(()), "{:?}", verifier.last_error());
            }
            if Instant::now() < next {
                observe(&mut samples, &mut latencies);
            }
        }
        while Instant::now() < next {
            observe(&mut samples, &mut latencies);
        }
        next += SAMPLE_INTERVAL;
        connection.sign_out(token);
        samples.push(Sample { token, signed_out: Instant::now(), waiting: verifiers.iter().collect() });
    }
    // The last interval passes in any case, so that the rate is steady for the whole time.
    while Instant::now() < next || !samples.is_empty() {
        observe(&mut samples, &mut latencies);
    }
    latencies
}

/// Asks all followers that have not refused a token yet, and pauses.
fn observe(samples: &mut Vec<Sample<'_>>, latencies: &mut Histogram) {
    let before = thread_cpu_time();
    for sample in &mut *samples {
        sample.waiting.retain(|verifier| match verifier.verify_now(sample.token) {
            Ok(_) => true,
            Err(VerifyError::Revoked) => {
                latencies.record(sample.signed_out.elapsed());
                false
            }
            Err(error) => panic!("{error}: {:?}", verifier.last_error()),
        });
        assert!(sample.signed_out.elapsed() < REFUSAL_TIMEOUT, "{} followers accept a token", sample.waiting.len());
    }
    samples.retain(|sample| !sample.waiting.is_empty());
    std::thread::sleep(((thread_cpu_time() - before) * PAUSE_FACTOR).max(SHORTEST_PAUSE));
}
