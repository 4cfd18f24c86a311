//! The job of the mixed load, in its own process: clients that verify and refresh, each at times that do not depend on
//! the responses.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use signet_load::refresh_token;

use crate::support::http::{build_request, read_response};
use crate::support::load::Histogram;

/// The name of this job for `JobProcess`.
pub(crate) const JOB: &str = "tail_clients";

/// Every so many requests of a client are a refresh. In `loadtest/mixed.js`, 20 of 86 are.
const REFRESH_EVERY: usize = 4;

/// Without a response for this long, the run fails.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Serialize, Deserialize)]
pub(crate) struct TailJob {
    pub(crate) address: SocketAddr,
    pub(crate) seconds: f64,
    /// Requests of all clients.
    pub(crate) per_second: f64,
    pub(crate) clients: Vec<TailClient>,
}

/// A client has a connection of its own.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct TailClient {
    /// The request that verifies its access token.
    pub(crate) verify: String,
    pub(crate) refresh_token: String,
}

#[derive(Default, Serialize, Deserialize)]
pub(crate) struct TailOutcome {
    pub(crate) verify: Histogram,
    pub(crate) refresh: Histogram,
    /// The refresh token of each client after the run.
    pub(crate) refresh_tokens: Vec<String>,
}

pub(crate) fn run(job: TailJob) -> TailOutcome {
    let interval = Duration::from_secs_f64(job.clients.len() as f64 / job.per_second);
    let (address, seconds, started) = (job.address, job.seconds, Instant::now());
    let spawn = |(number, client): (usize, TailClient)| {
        std::thread::spawn(move || {
            let end = started + Duration::from_secs_f64(seconds);
            client.run(address, Schedule { started, end, interval, random: number as u32 })
        })
    };
    let threads: Vec<_> = job.clients.into_iter().enumerate().map(spawn).collect();
    let mut outcome = TailOutcome::default();
    for thread in threads {
        let (verify, refresh, token) = thread.join().expect("every request succeeds");
        outcome.verify.merge(&verify);
        outcome.refresh.merge(&refresh);
        outcome.refresh_tokens.push(token);
    }
    outcome
}

/// When a client sends.
struct Schedule {
    started: Instant,
    end: Instant,
    interval: Duration,
    random: u32,
}

impl Schedule {
    /// Waits until the request of this number is due, and returns the time from which its latency counts. A request
    /// that is late because the response before it was late counts as slow; a thread that wakes late is no matter of
    /// the server.
    fn wait(&mut self, number: usize) -> Option<Instant> {
        let now = Instant::now();
        // Somewhere in its interval, so that the clients are not in step.
        self.random = self.random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let offset = number as f64 + f64::from(self.random) / f64::from(u32::MAX);
        let due = self.started + self.interval.mul_f64(offset);
        if due >= self.end || now >= self.end {
            return None;
        }
        if now >= due {
            return Some(due);
        }
        std::thread::sleep(due - now);
        Some(Instant::now())
    }
}

impl TailClient {
    fn run(mut self, address: SocketAddr, mut schedule: Schedule) -> (Histogram, Histogram, String) {
        let mut stream = TcpStream::connect(address).expect("the server listens");
        stream.set_nodelay(true).expect("a TCP connection");
        stream.set_read_timeout(Some(RESPONSE_TIMEOUT)).expect("a TCP connection");
        let (mut verify, mut refresh) = (Histogram::default(), Histogram::default());
        let mut number = 0;
        while let Some(due) = schedule.wait(number) {
            number += 1;
            if number % REFRESH_EVERY == 0 {
                let bearer = format!("authorization: Bearer {}\r\n", self.refresh_token);
                let response = exchange(&mut stream, &build_request("POST", "/auth/login/refresh", &bearer, ""));
                refresh.record(due.elapsed());
                self.refresh_token = refresh_token(response.as_bytes()).expect("a refresh token");
            } else {
                let response = exchange(&mut stream, &self.verify);
                verify.record(due.elapsed());
                assert!(response.contains("\"active\":true"), "{response}");
            }
        }
        (verify, refresh, self.refresh_token)
    }
}

fn exchange(stream: &mut TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).expect("the server reads the request");
    let response = read_response(stream);
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    response
}
