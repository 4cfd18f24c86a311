//! The client: HTTP/1.1 on a number of connections with one request in flight on each. It sends the next request as
//! soon as the response is complete.
//!
//! This is a closed loop: a slow server receives fewer requests, and latencies are those under full load, not those at
//! a given rate. The client must be cheaper than the server, or it would measure itself. So it uses one thread, one
//! system call to send and one to receive, and requests that are built in advance. It checks every response: one that
//! is not 200, or does not contain the expected text, ends the run.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use memchr::memmem;
use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};
use serde::{Deserialize, Serialize};

use super::job::{self, JobProcess};
use super::process::cpu_time;
use super::stats::Histogram;

/// Without any response for this long, the run fails.
const RESPONSE_TIMEOUT: Timespec = Timespec { tv_sec: 60, tv_nsec: 0 };

/// The name of this job for [`JobProcess`].
pub(crate) const JOB: &str = "load";

/// A number of requests to send.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    /// The servers. Connections are distributed over them.
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) connections: usize,
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

/// The requests of a job.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Requests {
    /// These requests in a cycle. Each free connection sends the next one.
    Cycle(Vec<String>),
    /// Refreshes: the token between `prefix` and `suffix`, where each response contains the next token. The tokens are
    /// distributed over the connections, each of which uses its own in turn.
    Rotate { prefix: String, tokens: Vec<String>, suffix: String },
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

/// The state of a refresh token at the end of the job.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RotatedToken {
    /// The token that was received last.
    pub(crate) newest: String,
    /// The token before it, if there was any.
    pub(crate) previous: Option<String>,
    /// `newest` was sent, and no response arrived.
    pub(crate) in_flight: bool,
}

/// Runs a job in a separate process on the given cores, and waits for its end.
pub(crate) fn run_in_process(job: &Job, cores: &str) -> Outcome {
    JobProcess::start(JOB, job, cores).wait()
}

/// Runs in the started process.
pub(crate) fn serve() {
    job::serve(|job: Job| run(&job).unwrap_or_else(|error| panic!("{error}")));
}

fn run(job: &Job) -> Result<Outcome, String> {
    let mut client = Client::connect(job)?;
    client.drive(job.warmup)?;
    client.latency = Histogram::default();
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
    Ok(Outcome {
        count: client.latency.count(),
        seconds,
        watched_cpu_nanos,
        client_cpu_nanos: client_cpu.as_nanos() as u64,
        tokens: client.tokens,
        latency: client.latency,
    })
}

struct Connection {
    stream: TcpStream,
    /// The current request, of which `sent` bytes were sent.
    request: Vec<u8>,
    sent: usize,
    received: Vec<u8>,
    /// The length of the response, known once its head has arrived.
    length: Option<usize>,
    started: Instant,
    /// The index of the token that is being rotated.
    token: usize,
}

struct Client<'a> {
    job: &'a Job,
    expected: memmem::Finder<'a>,
    epoll: OwnedFd,
    connections: Vec<Connection>,
    tokens: Vec<RotatedToken>,
    next: u64,
    latency: Histogram,
}

enum ClientError {
    Disconnected(io::Error),
    BadResponse(String),
}

impl From<io::Error> for ClientError {
    fn from(error: io::Error) -> Self {
        Self::Disconnected(error)
    }
}

impl<'a> Client<'a> {
    fn connect(job: &'a Job) -> Result<Self, String> {
        let failed = |error: &dyn std::fmt::Display| format!("connecting to {:?}: {error}", job.addresses);
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(|error| failed(&error))?;
        let mut connections = Vec::with_capacity(job.connections);
        for index in 0..job.connections {
            let stream =
                TcpStream::connect(job.addresses[index % job.addresses.len()]).map_err(|error| failed(&error))?;
            stream.set_nodelay(true).and_then(|()| stream.set_nonblocking(true)).map_err(|error| failed(&error))?;
            let events = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
            epoll::add(&epoll, &stream, EventData::new_u64(index as u64), events).map_err(|error| failed(&error))?;
            let (request, received, started) = (Vec::new(), Vec::with_capacity(16 * 1024), Instant::now());
            connections.push(Connection { stream, request, sent: 0, received, length: None, started, token: index });
        }
        let tokens = match &job.requests {
            Requests::Cycle(requests) if requests.is_empty() => return Err("no requests".to_owned()),
            Requests::Cycle(_) => Vec::new(),
            Requests::Rotate { tokens, .. } if tokens.len() < job.connections => {
                return Err("fewer tokens than connections".to_owned());
            }
            Requests::Rotate { tokens, .. } => {
                let unused = |token: &String| RotatedToken { newest: token.clone(), previous: None, in_flight: false };
                tokens.iter().map(unused).collect()
            }
        };
        let expected = memmem::Finder::new(&job.expected_text);
        Ok(Self { job, expected, epoll, connections, tokens, next: 0, latency: Histogram::default() })
    }

    /// Sends `count` requests and waits for all responses.
    fn drive(&mut self, count: u64) -> Result<(), String> {
        let mut left = count;
        let mut waiting = 0_u64;
        let stop_on_disconnect = self.job.stop_on_disconnect;
        let stop = |error| match error {
            ClientError::Disconnected(_) if stop_on_disconnect => Ok(()),
            ClientError::Disconnected(error) => Err(format!("a connection broke: {error}")),
            ClientError::BadResponse(message) => Err(message),
        };
        for index in 0..self.connections.len() {
            if left > 0 {
                left -= 1;
                waiting += 1;
                if let Err(error) = self.send_next(index, Instant::now()) {
                    return stop(error);
                }
            }
        }
        let mut events = Vec::with_capacity(self.connections.len());
        while waiting > 0 {
            match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&RESPONSE_TIMEOUT)) {
                Ok(0) => return Err(format!("no response to {waiting} requests within a minute")),
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.to_string()),
            }
            for event in events.drain(..) {
                let index = event.data.u64() as usize;
                match self.make_progress(index) {
                    Ok(None) => {}
                    Ok(Some(ended)) if left > 0 => {
                        left -= 1;
                        if let Err(error) = self.send_next(index, ended) {
                            return stop(error);
                        }
                    }
                    Ok(Some(_)) => waiting -= 1,
                    Err(error) => return stop(error),
                }
            }
        }
        Ok(())
    }

    fn send_next(&mut self, index: usize, now: Instant) -> Result<(), ClientError> {
        let connection = &mut self.connections[index];
        connection.request.clear();
        match &self.job.requests {
            Requests::Cycle(requests) => {
                let request = &requests[(self.next % requests.len() as u64) as usize];
                connection.request.extend_from_slice(request.as_bytes());
                self.next += 1;
            }
            Requests::Rotate { prefix, suffix, .. } => {
                let token = &mut self.tokens[connection.token];
                token.in_flight = true;
                for part in [prefix, &token.newest, suffix] {
                    connection.request.extend_from_slice(part.as_bytes());
                }
            }
        }
        (connection.sent, connection.length, connection.started) = (0, None, now);
        connection.received.clear();
        connection.send()
    }

    /// Sends and receives as far as possible without blocking. Returns the time at which the response was complete.
    fn make_progress(&mut self, index: usize) -> Result<Option<Instant>, ClientError> {
        let connection = &mut self.connections[index];
        connection.send()?;
        loop {
            let len = connection.received.len();
            let space = connection.length.map_or(4096, |length| length - len + 1);
            connection.received.resize(len + space, 0);
            let read = connection.stream.read(&mut connection.received[len..]);
            connection.received.truncate(len + *read.as_ref().unwrap_or(&0));
            match read {
                Ok(0) => return Err(io::Error::from(ErrorKind::UnexpectedEof).into()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error.into()),
            }
            if connection.length.is_none() {
                connection.length = response_length(&connection.received)
                    .map_err(|message| bad_response(message, &connection.received))?;
            }
            if connection.length.is_some_and(|length| connection.received.len() >= length) {
                break;
            }
        }
        let ended = Instant::now();
        self.latency.record(ended - connection.started);
        if self.expected.find(&connection.received).is_none() {
            return Err(bad_response(
                &format!("a response without `{}`", self.job.expected_text),
                &connection.received,
            ));
        }
        if matches!(self.job.requests, Requests::Rotate { .. }) {
            let successor = refresh_token(&connection.received)
                .ok_or_else(|| bad_response("a response without a refresh token", &connection.received))?;
            let token = &mut self.tokens[connection.token];
            token.previous = Some(std::mem::replace(&mut token.newest, successor));
            token.in_flight = false;
            connection.token += self.job.connections;
            if connection.token >= self.tokens.len() {
                connection.token = index;
            }
        }
        Ok(Some(ended))
    }
}

impl Connection {
    fn send(&mut self) -> Result<(), ClientError> {
        while self.sent < self.request.len() {
            match self.stream.write(&self.request[self.sent..]) {
                Ok(written) => self.sent += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// The length of a response, head and body, or `None` if its head is incomplete.
fn response_length(received: &[u8]) -> Result<Option<usize>, &'static str> {
    let Some(end) = memmem::find(received, b"\r\n\r\n") else { return Ok(None) };
    if received.get(9..12) != Some(b"200") {
        return Err("a response that is not 200");
    }
    const NAME: &[u8] = b"\r\ncontent-length: ";
    let start = memmem::find(&received[..end], NAME).ok_or("a response without content-length")?;
    let digits = received[start + NAME.len()..].iter().take_while(|byte| byte.is_ascii_digit());
    let body = digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0'));
    Ok(Some(end + 4 + body))
}

fn refresh_token(received: &[u8]) -> Option<String> {
    const NAME: &[u8] = b"\"refresh_token\":\"";
    let begin = memmem::find(received, NAME)? + NAME.len();
    let end = begin + memchr::memchr(b'"', &received[begin..])?;
    String::from_utf8(received[begin..end].to_vec()).ok()
}

fn bad_response(message: &str, received: &[u8]) -> ClientError {
    ClientError::BadResponse(format!("{message}:\n{}", String::from_utf8_lossy(received)))
}
