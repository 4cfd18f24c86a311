//! The job of an attack, in its own process: requests at a rate of bytes, and a client that verifies a token at a
//! steady pace.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use memchr::memmem;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

use crate::storm::SetWhenDropped;
use crate::support::http::read_response;
use crate::support::load::Histogram;
use crate::traffic_http2;

/// The name of this job for `JobProcess`.
pub(crate) const JOB: &str = "traffic";

/// Between two verifications.
const PROBE_INTERVAL: Duration = Duration::from_millis(5);

/// Requests in flight. A server that has not answered so many of them holds the attack up.
const MAX_IN_FLIGHT: usize = 1_000;

/// Without a response for this long, the run fails.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);

/// Requests that are sent one after the other, so that at most `bytes_per_second` of them go out.
#[derive(Serialize, Deserialize)]
pub(crate) struct TrafficJob {
    pub(crate) address: SocketAddr,
    pub(crate) seconds: f64,
    pub(crate) bytes_per_second: f64,
    /// As many bytes of responses are taken: nothing is sent while there were more.
    pub(crate) received_per_second: f64,
    /// Enough for the time; none for a calm server.
    pub(crate) requests: Vec<String>,
    /// Bytes of each request that an attacker need not send.
    pub(crate) free_bytes: usize,
    pub(crate) connections: Connections,
    pub(crate) verify: String,
}

/// How the attacker uses connections.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Connections {
    /// HTTP/1.1, each for many requests.
    Kept,
    /// HTTP/1.1, one for each request.
    New,
    /// HTTP/2: `GET /` instead of the given requests.
    Http2,
}

#[derive(Default, Serialize, Deserialize)]
pub(crate) struct TrafficOutcome {
    /// The time until the last response.
    pub(crate) seconds: f64,
    pub(crate) sent: u64,
    /// Responses by status.
    pub(crate) statuses: BTreeMap<u16, u64>,
    pub(crate) received_bytes: u64,
    /// From the time at which a verification was due to its response.
    pub(crate) verify: Histogram,
}

pub(crate) fn run(job: TrafficJob) -> TrafficOutcome {
    let finished = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let probe = scope.spawn(|| verify(&job, &finished));
        let stop = SetWhenDropped(&finished);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut outcome = runtime.block_on(async {
            match job.connections {
                Connections::Http2 => traffic_http2::attack(&job).await,
                Connections::Kept | Connections::New => attack(&job).await,
            }
        });
        drop(stop);
        outcome.verify = probe.join().unwrap();
        outcome
    })
}

/// Verifies 200 times a second. A request that is late because the response before it was late counts as slow, as it is
/// for a client that does not know of the other.
fn verify(job: &TrafficJob, finished: &AtomicBool) -> Histogram {
    let (mut stream, mut latencies) = (TcpStream::connect(job.address).unwrap(), Histogram::default());
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(RESPONSE_TIMEOUT)).unwrap();
    let (started, mut random, mut number) = (Instant::now(), 0_u32, 0_u32);
    while !finished.load(Ordering::Relaxed) {
        // Somewhere in its interval, so that the requests are not in step with the timer ticks of the kernel.
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let due = PROBE_INTERVAL * number + Duration::from_micros(u64::from(random >> 20));
        number += 1;
        let elapsed = started.elapsed();
        // The time at which this thread wakes is no matter of the server.
        let due = if elapsed < due {
            std::thread::sleep(due - elapsed);
            started.elapsed()
        } else {
            due
        };
        std::io::Write::write_all(&mut stream, job.verify.as_bytes()).unwrap();
        let response = read_response(&mut stream);
        assert!(response.starts_with("HTTP/1.1 200"), "{response}");
        latencies.record(started.elapsed() - due);
    }
    latencies
}

async fn attack(job: &TrafficJob) -> TrafficOutcome {
    let (mut outcome, mut in_flight, mut idle) = (TrafficOutcome::default(), JoinSet::new(), Vec::new());
    // The largest response so far: those in flight may be as large.
    let (started, mut sent_bytes, mut largest) = (Instant::now(), 0_usize, 0);
    let mut requests = job.requests.iter();
    loop {
        let elapsed = started.elapsed().as_secs_f64();
        if elapsed >= job.seconds {
            break;
        }
        while in_flight.len() < MAX_IN_FLIGHT
            && sent_bytes as f64 <= elapsed * job.bytes_per_second
            && (outcome.received_bytes + in_flight.len() as u64 * largest) as f64 <= elapsed * job.received_per_second
        {
            let Some(request) = requests.next() else { break };
            sent_bytes += request.len() - job.free_bytes;
            outcome.sent += 1;
            let (stream, address) = (idle.pop(), job.address);
            let request = request.clone();
            in_flight.spawn(async move { exchange(address, stream, request.as_bytes()).await });
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        while let Some(finished) = in_flight.try_join_next() {
            let finished = finished.unwrap();
            largest = finished.1.max(largest);
            outcome.record(job, finished, &mut idle);
        }
    }
    for finished in in_flight.join_all().await {
        outcome.record(job, finished, &mut idle);
    }
    outcome.seconds = started.elapsed().as_secs_f64();
    outcome
}

impl TrafficOutcome {
    fn record(
        &mut self,
        job: &TrafficJob,
        (status, bytes, stream): (u16, u64, Option<tokio::net::TcpStream>),
        idle: &mut Vec<tokio::net::TcpStream>,
    ) {
        *self.statuses.entry(status).or_default() += 1;
        self.received_bytes += bytes;
        idle.extend(stream.filter(|_| job.connections == Connections::Kept));
    }
}

/// Sends a request, and reads its response without keeping it. Returns the status, the size, and the connection if it
/// can be used again. A connection that the server has closed, which it may, counts as status 0.
async fn exchange(
    address: SocketAddr,
    stream: Option<tokio::net::TcpStream>,
    request: &[u8],
) -> (u16, u64, Option<tokio::net::TcpStream>) {
    let mut stream = match stream {
        Some(stream) => stream,
        None => tokio::net::TcpStream::connect(address).await.unwrap(),
    };
    stream.set_nodelay(true).unwrap();
    if stream.write_all(request).await.is_err() {
        return (0, 0, None);
    }
    let (mut head, mut received, mut expected) = (Vec::new(), 0_u64, None);
    let mut piece = vec![0; 64 << 10];
    while expected.is_none_or(|expected| received < expected) {
        let read = tokio::time::timeout(RESPONSE_TIMEOUT, stream.read(&mut piece)).await;
        let Ok(read @ 1..) = read.expect("a response to every request") else { return (0, received, None) };
        received += read as u64;
        if expected.is_none() {
            head.extend_from_slice(&piece[..read]);
            expected = length(&head);
        }
    }
    let status = std::str::from_utf8(&head[9..12]).ok().and_then(|digits| digits.parse().ok()).unwrap_or(0);
    let closes = memmem::find(&head, b"\r\nconnection: close\r\n").is_some();
    (status, received, (!closes).then_some(stream))
}

/// The length of a response, once its head has arrived.
fn length(head: &[u8]) -> Option<u64> {
    let end = memmem::find(head, b"\r\n\r\n")?;
    let text = String::from_utf8_lossy(&head[..end]);
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
    Some((end + 4) as u64 + length.map_or(0, |length| length.parse::<u64>().expect("a number")))
}
