//! Drives the load generator in a separate process, and measures the CPU time that servers and client use meanwhile.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use signet_load::{Bound, Client, Http2Client, Load, LoadError};

pub(crate) use signet_load::{Handshakes, Histogram, Requests, RotatedToken};

use super::job::{self, JobProcess};
use super::process::cpu_time;

/// The name of this job for [`JobProcess`].
pub(crate) const JOB: &str = "load";

/// How requests travel.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/1.1 over TLS 1.3.
    Tls(Handshakes),
    /// HTTP/2, with this many requests in flight on each connection.
    Http2 { streams: usize },
}

/// A number of requests to send.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    /// The servers. Connections are distributed over them.
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) connections: usize,
    pub(crate) protocol: Protocol,
    /// Requests that are sent first, on the same connections, and not counted.
    pub(crate) warmup: u64,
    pub(crate) count: u64,
    pub(crate) requests: Requests,
    /// Text that every response must contain.
    pub(crate) expected_text: String,
    /// Processes whose CPU time is measured.
    pub(crate) watched_pids: Vec<u32>,
    /// The server will be killed: the first broken connection ends the job successfully.
    pub(crate) stop_on_disconnect: bool,
}

/// The result of a job.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) count: u64,
    pub(crate) seconds: f64,
    pub(crate) latency: Histogram,
    /// CPU time of each watched process, in nanoseconds.
    pub(crate) watched_cpu_nanos: Vec<u64>,
    /// CPU time of the client, in nanoseconds.
    pub(crate) client_cpu_nanos: u64,
    /// For [`Requests::Rotate`], in the order of its tokens.
    pub(crate) tokens: Vec<RotatedToken>,
}

/// Runs a job in a separate process on the given cores, and waits for its end.
pub(crate) fn run_in_process(job: &Job, cores: &str) -> Outcome {
    JobProcess::start(JOB, job, cores).wait()
}

/// Runs in the started process.
pub(crate) fn serve() {
    job::serve(|job: Job| run(&job).unwrap_or_else(|error| panic!("{error}")));
}

/// A client that speaks one of the protocols.
enum AnyClient<'a> {
    Http1(Client<'a>),
    Http2(Http2Client<'a>),
}

impl<'a> AnyClient<'a> {
    fn connect(load: Load<'a>, protocol: Protocol) -> Result<Self, LoadError> {
        match protocol {
            Protocol::Http1 => Client::connect(load).map(Self::Http1),
            Protocol::Tls(handshakes) => Client::connect_tls(load, handshakes).map(Self::Http1),
            Protocol::Http2 { streams } => Http2Client::connect(load, streams).map(Self::Http2),
        }
    }

    fn drive(&mut self, requests: u64) -> Result<(), String> {
        let driven = match self {
            Self::Http1(client) => client.drive(Bound::requests(requests)),
            Self::Http2(client) => client.drive(Bound::requests(requests)),
        };
        driven.map_err(|error| error.to_string())
    }

    fn take_latency(&mut self) -> Histogram {
        match self {
            Self::Http1(client) => client.take_latency(),
            Self::Http2(client) => client.take_latency(),
        }
    }

    fn into_tokens(self) -> Vec<RotatedToken> {
        match self {
            Self::Http1(client) => client.into_tokens(),
            Self::Http2(_) => Vec::new(),
        }
    }
}

fn run(job: &Job) -> Result<Outcome, String> {
    let load = Load {
        addresses: &job.addresses,
        connections: job.connections,
        requests: &job.requests,
        expected_status: 200,
        expected_text: &job.expected_text,
        stop_on_disconnect: job.stop_on_disconnect,
    };
    let mut client = AnyClient::connect(load, job.protocol).map_err(|error| error.to_string())?;
    client.drive(job.warmup)?;
    client.take_latency();
    let used = |pid: &u32| cpu_time(*pid).map(|used| used.as_nanos() as u64).ok_or("a watched process has exited");
    let before = job.watched_pids.iter().map(used).collect::<Result<Vec<_>, _>>()?;
    let (client_before, started) = (cpu_time(std::process::id()), Instant::now());
    client.drive(job.count)?;
    let seconds = started.elapsed().as_secs_f64();
    // The CPU time of a process that was killed is unknown: report zero.
    let watched = job.watched_pids.iter().zip(&before);
    let watched_cpu_nanos = watched.map(|(pid, before)| used(pid).unwrap_or(*before) - before).collect();
    let client_cpu = cpu_time(std::process::id()).zip(client_before);
    let client_cpu = client_cpu.map_or(Duration::ZERO, |(after, before)| after - before);
    let latency = client.take_latency();
    Ok(Outcome {
        count: latency.count(),
        seconds,
        watched_cpu_nanos,
        client_cpu_nanos: client_cpu.as_nanos() as u64,
        tokens: client.into_tokens(),
        latency,
    })
}
