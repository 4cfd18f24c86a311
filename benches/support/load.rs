//! The client: HTTP/1.1 on so many connections, one request in flight on each, the next as soon as the answer is whole.
//!
//! So the load is closed: when the server is slow, fewer requests come, and latencies are those of a server that is as busy as
//! so many clients can make it, not those at a given rate. One thread, one system call to send and one to receive, requests
//! written beforehand: it must cost less than the server, or it is the client that is measured. Every answer is looked at: one
//! that is not 200, or lacks the words it should have, ends the run.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::time::{Duration, Instant};

use memchr::memmem;
use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};
use serde::{Deserialize, Serialize};

use super::folder;
use super::histogram::Histogram;
use super::process::{Process, cpu, pinned};

/// After so long without any answer something hangs.
const PATIENCE: Timespec = Timespec { tv_sec: 60, tv_nsec: 0 };

/// What to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    /// Where to connect to, the connections being dealt out.
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) connections: usize,
    /// Requests that are sent first and not counted, on the same connections.
    pub(crate) warm: u64,
    pub(crate) count: u64,
    pub(crate) work: Work,
    /// What every answer's body must contain.
    pub(crate) expect: String,
    /// Processes whose use of processors is told.
    pub(crate) watch: Vec<u32>,
    /// The server will be killed: the first broken connection ends the job, and is no failure.
    pub(crate) until_cut: bool,
}

/// What to ask for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Work {
    /// These requests, one after the other and from the beginning again, by whichever connection is free.
    Each(Vec<String>),
    /// A request around a refresh token, whose answer brings the next. The tokens are dealt out to the connections, each of which
    /// uses its own in turn.
    Rotate { before: String, tokens: Vec<String>, after: String },
}

/// What came of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) count: u64,
    pub(crate) seconds: f64,
    pub(crate) latency: Histogram,
    /// Nanoseconds of processor that each of the watched used meanwhile.
    pub(crate) watched: Vec<u64>,
    /// The same of the client itself.
    pub(crate) own: u64,
    /// Of [`Work::Rotate`], in the order in which the tokens were given.
    pub(crate) tokens: Vec<Rotated>,
}

/// A refresh token's way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Rotated {
    /// The one that was received last.
    pub(crate) newest: String,
    /// The one it was received for, if there was any.
    pub(crate) before: Option<String>,
    /// It was sent, and nothing came back.
    pub(crate) in_flight: bool,
}

/// Does the job in a process of its own on these cores: this program again, with the word `load`, which calls [`serve`].
pub(crate) fn apart(job: &Job, cores: &str) -> Outcome {
    let mut load = Apart::start(cores);
    load.send(job);
    load.outcome()
}

/// A job under way in a process of its own.
pub(crate) struct Apart {
    process: Process,
    _folder: tempfile::TempDir,
}

impl Apart {
    pub(crate) fn start(cores: &str) -> Self {
        let folder = folder();
        let log = folder.path().join("log");
        let mut command = pinned(cores, std::env::current_exe().expect("it runs"), &log);
        command.arg("load").stdin(Stdio::piped()).stdout(Stdio::piped());
        Self { process: Process::start(command, &log), _folder: folder }
    }

    /// Gives it the job, which it begins at once.
    pub(crate) fn send(&mut self, job: &Job) {
        serde_json::to_writer(self.process.stdin(), job).expect("the client reads");
    }

    /// Waits until it is done.
    ///
    /// # Panics
    /// If anything was not as it should be.
    pub(crate) fn outcome(mut self) -> Outcome {
        let mut told = String::new();
        self.process.stdout().read_to_string(&mut told).expect("the client writes");
        assert!(self.process.ended_well(), "the client: {}", self.process.said());
        serde_json::from_str(&told).expect("the client writes JSON")
    }
}

/// What `load` does: reads a job, does it, writes what came of it.
pub(crate) fn serve() {
    let job: Job = serde_json::from_reader(io::stdin().lock()).expect("a job");
    let outcome = run(&job).unwrap_or_else(|error| panic!("{error}"));
    serde_json::to_writer(io::stdout().lock(), &outcome).expect("somebody reads");
}

/// Does the job here.
pub(crate) fn run(job: &Job) -> Result<Outcome, String> {
    let mut client = Client::connect(job)?;
    client.drive(job.warm)?;
    client.latency = Histogram::default();
    let used = |pid: &u32| cpu(*pid).map(|used| used.as_nanos() as u64).ok_or("a server is gone");
    let before = job.watch.iter().map(used).collect::<Result<Vec<_>, _>>()?;
    let (own, began) = (cpu(std::process::id()), Instant::now());
    client.drive(job.count)?;
    let seconds = began.elapsed().as_secs_f64();
    // One that was killed has used nothing that can be known.
    let watched = job.watch.iter().zip(&before).map(|(pid, before)| used(pid).unwrap_or(*before) - before).collect();
    let own = cpu(std::process::id()).zip(own).map_or(Duration::ZERO, |(after, before)| after - before);
    Ok(Outcome {
        count: client.latency.count(),
        seconds,
        watched,
        own: own.as_nanos() as u64,
        tokens: client.tokens,
        latency: client.latency,
    })
}

struct Line {
    stream: TcpStream,
    /// What is being sent, and how much of it was.
    sending: Vec<u8>,
    sent: usize,
    received: Vec<u8>,
    /// How long the answer will be, once its head is there.
    length: Option<usize>,
    began: Instant,
    /// Which of the tokens is being rotated.
    token: usize,
}

struct Client<'a> {
    job: &'a Job,
    words: memmem::Finder<'a>,
    epoll: OwnedFd,
    lines: Vec<Line>,
    tokens: Vec<Rotated>,
    next: u64,
    latency: Histogram,
}

enum Broken {
    Cut(io::Error),
    Wrong(String),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Cut(error)
    }
}

impl<'a> Client<'a> {
    fn connect(job: &'a Job) -> Result<Self, String> {
        let failed = |error: &dyn std::fmt::Display| format!("connecting to {:?}: {error}", job.addresses);
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(|error| failed(&error))?;
        let mut lines = Vec::with_capacity(job.connections);
        for place in 0..job.connections {
            let stream =
                TcpStream::connect(job.addresses[place % job.addresses.len()]).map_err(|error| failed(&error))?;
            stream.set_nodelay(true).and_then(|()| stream.set_nonblocking(true)).map_err(|error| failed(&error))?;
            let when = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
            epoll::add(&epoll, &stream, EventData::new_u64(place as u64), when).map_err(|error| failed(&error))?;
            let (sending, received, began) = (Vec::new(), Vec::with_capacity(16 * 1024), Instant::now());
            lines.push(Line { stream, sending, sent: 0, received, length: None, began, token: place });
        }
        let tokens = match &job.work {
            Work::Each(requests) if requests.is_empty() => return Err("there is nothing to ask for".to_owned()),
            Work::Each(_) => Vec::new(),
            Work::Rotate { tokens, .. } if tokens.len() < job.connections => return Err("too few tokens".to_owned()),
            Work::Rotate { tokens, .. } => {
                tokens.iter().map(|token| Rotated { newest: token.clone(), before: None, in_flight: false }).collect()
            }
        };
        let words = memmem::Finder::new(&job.expect);
        Ok(Self { job, words, epoll, lines, tokens, next: 0, latency: Histogram::default() })
    }

    /// Sends so many requests, and waits until all are answered.
    fn drive(&mut self, count: u64) -> Result<(), String> {
        let mut left = count;
        let mut waiting = 0_u64;
        let broken = |broken, until_cut| match broken {
            Broken::Cut(_) if until_cut => Ok(()),
            Broken::Cut(error) => Err(format!("a connection broke: {error}")),
            Broken::Wrong(what) => Err(what),
        };
        for place in 0..self.lines.len() {
            if left > 0 {
                left -= 1;
                waiting += 1;
                if let Err(error) = self.begin(place, Instant::now()) {
                    return broken(error, self.job.until_cut);
                }
            }
        }
        let mut events = Vec::with_capacity(self.lines.len());
        while waiting > 0 {
            match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&PATIENCE)) {
                Ok(0) => return Err(format!("{waiting} requests were not answered within a minute")),
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.to_string()),
            }
            for event in events.drain(..) {
                let place = event.data.u64() as usize;
                match self.go_on(place) {
                    Ok(None) => {}
                    Ok(Some(ended)) if left > 0 => {
                        left -= 1;
                        if let Err(error) = self.begin(place, ended) {
                            return broken(error, self.job.until_cut);
                        }
                    }
                    Ok(Some(_)) => waiting -= 1,
                    Err(error) => return broken(error, self.job.until_cut),
                }
            }
        }
        Ok(())
    }

    fn begin(&mut self, place: usize, now: Instant) -> Result<(), Broken> {
        let line = &mut self.lines[place];
        line.sending.clear();
        match &self.job.work {
            Work::Each(requests) => {
                line.sending.extend_from_slice(requests[(self.next % requests.len() as u64) as usize].as_bytes());
                self.next += 1;
            }
            Work::Rotate { before, after, .. } => {
                let token = &mut self.tokens[line.token];
                token.in_flight = true;
                for part in [before, &token.newest, after] {
                    line.sending.extend_from_slice(part.as_bytes());
                }
            }
        }
        (line.sent, line.length, line.began) = (0, None, now);
        line.received.clear();
        line.send()
    }

    /// Does what can be done on a connection; gives the time when the answer is whole.
    fn go_on(&mut self, place: usize) -> Result<Option<Instant>, Broken> {
        let line = &mut self.lines[place];
        line.send()?;
        loop {
            let have = line.received.len();
            let room = line.length.map_or(4096, |length| length - have + 1);
            line.received.resize(have + room, 0);
            let read = line.stream.read(&mut line.received[have..]);
            line.received.truncate(have + *read.as_ref().unwrap_or(&0));
            match read {
                Ok(0) => return Err(io::Error::from(ErrorKind::UnexpectedEof).into()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error.into()),
            }
            if line.length.is_none() {
                line.length = length(&line.received).map_err(|what| wrong(what, &line.received))?;
            }
            if line.length.is_some_and(|length| line.received.len() >= length) {
                break;
            }
        }
        let ended = Instant::now();
        self.latency.note(ended - line.began);
        if self.words.find(&line.received).is_none() {
            return Err(wrong(&format!("an answer without `{}`", self.job.expect), &line.received));
        }
        if matches!(self.job.work, Work::Rotate { .. }) {
            let successor = refresh_token(&line.received)
                .ok_or_else(|| wrong("an answer without refresh token", &line.received))?;
            let token = &mut self.tokens[line.token];
            token.before = Some(std::mem::replace(&mut token.newest, successor));
            token.in_flight = false;
            line.token += self.job.connections;
            if line.token >= self.tokens.len() {
                line.token = place;
            }
        }
        Ok(Some(ended))
    }
}

impl Line {
    fn send(&mut self) -> Result<(), Broken> {
        while self.sent < self.sending.len() {
            match self.stream.write(&self.sending[self.sent..]) {
                Ok(written) => self.sent += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// How long an answer is, head and body, as soon as its head is whole.
fn length(received: &[u8]) -> Result<Option<usize>, &'static str> {
    let Some(end) = memmem::find(received, b"\r\n\r\n") else { return Ok(None) };
    if received.get(9..12) != Some(b"200") {
        return Err("an answer that is not 200");
    }
    const NAME: &[u8] = b"\r\ncontent-length: ";
    let at = memmem::find(&received[..end], NAME).ok_or("an answer without content-length")?;
    let digits = received[at + NAME.len()..].iter().take_while(|byte| byte.is_ascii_digit());
    let body = digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0'));
    Ok(Some(end + 4 + body))
}

fn refresh_token(received: &[u8]) -> Option<String> {
    const NAME: &[u8] = b"\"refresh_token\":\"";
    let begin = memmem::find(received, NAME)? + NAME.len();
    let end = begin + memchr::memchr(b'"', &received[begin..])?;
    String::from_utf8(received[begin..end].to_vec()).ok()
}

fn wrong(what: &str, received: &[u8]) -> Broken {
    Broken::Wrong(format!("{what}:\n{}", String::from_utf8_lossy(received)))
}
