//! The two sides of the storm, each a process of its own: hashing and nothing else, and those who want to sign in.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

use crate::support::histogram::Histogram;

/// What the server hashes with by default.
pub(crate) const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;

/// How much nicer the server's hashing threads are than its others: beside other people's work, that decides what they get.
const NICER: i32 = 10;

/// After so long without an answer something hangs.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Serialize, Deserialize)]
pub(crate) struct Hashing {
    pub(crate) threads: usize,
    pub(crate) seconds: f64,
}

/// How many hashes a second the cores make that this runs on, and how many of the blocks were in huge pages.
pub(crate) fn hash(job: Hashing) -> (f64, f64) {
    let _ = rustix::process::nice(NICER);
    let one = || {
        let params = Params::new(MEMORY_KIB, PASSES, 1, None).unwrap();
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let mut blocks = vec![Block::default(); MEMORY_KIB as usize];
        let mut hash = || {
            let mut made = [0; 32];
            argon2.hash_password_into_with_memory(b"a quiet harbour", &[7; 16], &mut made, &mut blocks).unwrap();
            std::hint::black_box(made);
        };
        hash();
        let huge = huge_kib();
        let (began, mut done) = (Instant::now(), 0);
        while began.elapsed().as_secs_f64() < job.seconds {
            hash();
            done += 1;
        }
        (f64::from(done) / began.elapsed().as_secs_f64(), huge / f64::from(MEMORY_KIB))
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..job.threads).map(|_| scope.spawn(one)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .fold((0.0, 0.0), |(all, _), (one, huge)| (all + one, huge))
    })
}

fn huge_kib() -> f64 {
    let page = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    let line = page.lines().find_map(|line| line.strip_prefix("AnonHugePages:"));
    line.and_then(|kib| kib.trim_end_matches("kB").trim().parse().ok()).unwrap_or(0.0)
}

/// Sign-ins at a rate, or as many at once; and somebody who verifies all the while.
#[derive(Serialize, Deserialize)]
pub(crate) struct Storm {
    pub(crate) address: SocketAddr,
    pub(crate) seconds: f64,
    /// Of as many people, who take turns.
    pub(crate) sign_ins: Vec<String>,
    pub(crate) verify: String,
    pub(crate) how: How,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) enum How {
    /// Nobody signs in.
    Calm,
    /// So many begin each second, whatever becomes of the others.
    Rate(f64),
    /// So many do all the time, each again as soon as it is answered.
    AtOnce(usize),
}

#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Weather {
    /// Until the last was answered.
    pub(crate) seconds: f64,
    pub(crate) begun: u64,
    pub(crate) let_in: Histogram,
    pub(crate) refused: Histogram,
    pub(crate) verify: Histogram,
}

/// Makes the storm, and tells how it was. Every answer to a sign-in is 201, or 503 with `retry-after` and without a token.
pub(crate) fn storm(job: Storm) -> Weather {
    let (job, over) = (Arc::new(job), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let witness = scope.spawn(|| verify(&job, &over));
        let began = Instant::now();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut weather = runtime.block_on(async {
            match job.how {
                How::Calm => {
                    tokio::time::sleep(Duration::from_secs_f64(job.seconds)).await;
                    Weather::default()
                }
                How::Rate(rate) => at_rate(&job, rate).await,
                How::AtOnce(many) => at_once(&job, many).await,
            }
        });
        weather.seconds = began.elapsed().as_secs_f64();
        over.store(true, Ordering::Relaxed);
        weather.verify = witness.join().unwrap();
        weather
    })
}

/// Verifies every five milliseconds or so on a connection of its own. More often it would be a load: at every two, its waking the worker
/// took one or two hundredths of the core from those who sign in.
fn verify(job: &Storm, over: &AtomicBool) -> Histogram {
    let (mut stream, mut seen, mut turn) = (TcpStream::connect(job.address).unwrap(), Histogram::default(), 0_u32);
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    while !over.load(Ordering::Relaxed) {
        let began = Instant::now();
        stream.write_all(job.verify.as_bytes()).unwrap();
        let head = read_answer(&mut stream);
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        seen.note(began.elapsed());
        // Not in step with the kernel's ticks.
        turn = turn.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        std::thread::sleep(Duration::from_micros(3_000 + u64::from(turn >> 20)));
    }
    seen
}

/// Reads one answer, and gives all of it.
pub(crate) fn read_answer(stream: &mut impl std::io::Read) -> String {
    let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
    while !is_whole(&answer) {
        let read = stream.read(&mut piece).expect("the server answers");
        assert!(read > 0, "the connection was closed");
        answer.extend_from_slice(&piece[..read]);
    }
    String::from_utf8(answer).expect("it is text")
}

fn is_whole(answer: &[u8]) -> bool {
    let Some(head) = memchr::memmem::find(answer, b"\r\n\r\n") else { return false };
    let text = String::from_utf8_lossy(&answer[..head]);
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |n| n.parse().unwrap());
    answer.len() >= head + 4 + length
}

/// A sign-in's answer: whether it was let in.
fn judge(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let let_in = text.starts_with("HTTP/1.1 201");
    let told = text.contains("retry-after: ") && !text.contains("token");
    assert!(let_in || (text.starts_with("HTTP/1.1 503") && told), "{text}");
    let_in
}

async fn sign_in(job: &Storm, number: usize, stream: &mut tokio::net::TcpStream) -> (bool, Duration) {
    let began = Instant::now();
    stream.write_all(job.sign_ins[number % job.sign_ins.len()].as_bytes()).await.unwrap();
    let mut answer = Vec::with_capacity(2048);
    while !is_whole(&answer) {
        let read = tokio::time::timeout(PATIENCE, stream.read_buf(&mut answer)).await.expect("everybody is answered");
        assert!(read.unwrap() > 0, "the connection was closed");
    }
    (judge(&answer), began.elapsed())
}

async fn connect(job: &Storm) -> tokio::net::TcpStream {
    let stream = tokio::net::TcpStream::connect(job.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

impl Weather {
    pub(crate) fn add(&mut self, other: &Self) {
        self.begun += other.begun;
        self.let_in.add(&other.let_in);
        self.refused.add(&other.refused);
        self.verify.add(&other.verify);
    }

    fn note(&mut self, (let_in, took): (bool, Duration)) {
        if let_in { self.let_in.note(took) } else { self.refused.note(took) }
    }
}

async fn at_rate(job: &Arc<Storm>, rate: f64) -> Weather {
    let (mut weather, mut under_way, mut free) = (Weather::default(), JoinSet::new(), Vec::new());
    let began = tokio::time::Instant::now();
    loop {
        let passed = began.elapsed().as_secs_f64();
        if passed >= job.seconds {
            break;
        }
        while (weather.begun as f64) < passed * rate {
            weather.begun += 1;
            let (job, stream, number) = (Arc::clone(job), free.pop(), weather.begun as usize);
            under_way.spawn(async move {
                let mut stream = match stream {
                    Some(stream) => stream,
                    None => connect(&job).await,
                };
                (sign_in(&job, number, &mut stream).await, stream)
            });
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        while let Some(done) = under_way.try_join_next() {
            let (seen, stream) = done.unwrap();
            weather.note(seen);
            free.push(stream);
        }
    }
    // Who still waits is answered too.
    for (seen, _) in under_way.join_all().await {
        weather.note(seen);
    }
    weather
}

async fn at_once(job: &Arc<Storm>, many: usize) -> Weather {
    let (mut weather, mut all, began) = (Weather::default(), JoinSet::new(), Instant::now());
    for number in 0..many {
        let job = Arc::clone(job);
        all.spawn(async move {
            let (mut seen, mut stream) = (Vec::new(), connect(&job).await);
            while began.elapsed().as_secs_f64() < job.seconds {
                seen.push(sign_in(&job, number + many * seen.len(), &mut stream).await);
            }
            seen
        });
    }
    for seen in all.join_all().await.into_iter().flatten() {
        weather.begun += 1;
        weather.note(seen);
    }
    weather
}
