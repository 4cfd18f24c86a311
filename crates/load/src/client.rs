//! The client.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::time::Instant;

use memchr::memmem;
use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};

use super::{Bound, Histogram, Load, LoadError, MAX_CONNECTIONS, Requests, RotatedToken};

/// Without any response for this long, the run fails.
const RESPONSE_TIMEOUT: Timespec = Timespec { tv_sec: 60, tv_nsec: 0 };

/// Longer responses are refused before they are buffered.
const MAX_RESPONSE: usize = 64 << 20;

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

/// A client with its connections.
pub struct Client<'a> {
    load: Load<'a>,
    expected: memmem::Finder<'a>,
    epoll: OwnedFd,
    connections: Vec<Connection>,
    tokens: Vec<RotatedToken>,
    next: u64,
    latency: Histogram,
}

impl<'a> Client<'a> {
    /// Opens the connections.
    pub fn connect(load: Load<'a>) -> Result<Self, LoadError> {
        if let Some(address) = load.addresses.iter().find(|address| !address.ip().is_loopback()) {
            return Err(LoadError::NotLoopback(*address));
        }
        if load.addresses.is_empty() || !(1..=MAX_CONNECTIONS).contains(&load.connections) {
            return Err(LoadError::Impossible("no address, no connection or too many"));
        }
        let tokens = match load.requests {
            Requests::Cycle(requests) if requests.is_empty() => return Err(LoadError::Impossible("no requests")),
            Requests::Cycle(_) => Vec::new(),
            Requests::Rotate { tokens, .. } if tokens.len() < load.connections => {
                return Err(LoadError::Impossible("fewer tokens than connections"));
            }
            Requests::Rotate { tokens, .. } => {
                let unused = |token: &String| RotatedToken { newest: token.clone(), previous: None, in_flight: false };
                tokens.iter().map(unused).collect()
            }
        };
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(io::Error::from);
        let epoll = epoll.map_err(LoadError::Disconnected)?;
        let mut connections = Vec::with_capacity(load.connections);
        for index in 0..load.connections {
            let address = load.addresses[index % load.addresses.len()];
            let open = || {
                let stream = TcpStream::connect(address)?;
                stream.set_nodelay(true)?;
                stream.set_nonblocking(true)?;
                let events = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
                epoll::add(&epoll, &stream, EventData::new_u64(index as u64), events)?;
                Ok(stream)
            };
            let stream = open().map_err(|cause| LoadError::Connect { address, cause })?;
            let (request, received, started) = (Vec::new(), Vec::with_capacity(16 * 1024), Instant::now());
            connections.push(Connection { stream, request, sent: 0, received, length: None, started, token: index });
        }
        let expected = memmem::Finder::new(load.expected_text);
        Ok(Self { load, expected, epoll, connections, tokens, next: 0, latency: Histogram::default() })
    }

    /// The durations of all requests since the last call.
    pub fn take_latency(&mut self) -> Histogram {
        std::mem::take(&mut self.latency)
    }

    /// For [`Requests::Rotate`], the state of each token, in the order of its tokens.
    pub fn into_tokens(self) -> Vec<RotatedToken> {
        self.tokens
    }

    /// Sends requests until `bound` is reached, and waits for all responses.
    pub fn drive(&mut self, bound: Bound<'_>) -> Result<(), LoadError> {
        match self.drive_connected(bound) {
            Err(LoadError::Disconnected(_)) if self.load.stop_on_disconnect => Ok(()),
            result => result,
        }
    }

    fn drive_connected(&mut self, bound: Bound<'_>) -> Result<(), LoadError> {
        let mut left = bound.requests;
        let mut waiting = 0_u64;
        let end = bound.time.map(|time| Instant::now() + time);
        let is_over = |now: Instant| {
            end.is_some_and(|end| now >= end) || bound.stop.is_some_and(|stop| stop.load(Ordering::Relaxed))
        };
        for index in 0..self.connections.len() {
            if left > 0 {
                left -= 1;
                waiting += 1;
                self.send_next(index, Instant::now())?;
            }
        }
        let mut events = Vec::with_capacity(self.connections.len());
        while waiting > 0 {
            match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&RESPONSE_TIMEOUT)) {
                Ok(0) => return Err(LoadError::NoResponse(waiting)),
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(LoadError::Disconnected(error.into())),
            }
            for event in events.drain(..) {
                let index = event.data.u64() as usize;
                match self.make_progress(index)? {
                    None => {}
                    Some(ended) if left > 0 && !is_over(ended) => {
                        left -= 1;
                        self.send_next(index, ended)?;
                    }
                    Some(_) => waiting -= 1,
                }
            }
        }
        Ok(())
    }

    fn send_next(&mut self, index: usize, now: Instant) -> Result<(), LoadError> {
        let connection = &mut self.connections[index];
        connection.request.clear();
        match self.load.requests {
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
    fn make_progress(&mut self, index: usize) -> Result<Option<Instant>, LoadError> {
        let connection = &mut self.connections[index];
        connection.send()?;
        loop {
            let len = connection.received.len();
            let space = connection.length.map_or(4096, |length| length - len + 1);
            connection.received.resize(len + space, 0);
            let read = connection.stream.read(&mut connection.received[len..]);
            connection.received.truncate(len + *read.as_ref().unwrap_or(&0));
            match read {
                Ok(0) => return Err(LoadError::Disconnected(ErrorKind::UnexpectedEof.into())),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(LoadError::Disconnected(error)),
            }
            if connection.length.is_none() {
                connection.length = response_length(&connection.received, self.load.expected_status)
                    .map_err(|problem| bad_response(&problem, &connection.received))?;
            }
            if connection.length.is_some_and(|length| connection.received.len() >= length) {
                break;
            }
        }
        let ended = Instant::now();
        self.latency.record(ended - connection.started);
        if self.expected.find(&connection.received).is_none() {
            return Err(bad_response(
                &format!("a response without `{}`", self.load.expected_text),
                &connection.received,
            ));
        }
        if matches!(self.load.requests, Requests::Rotate { .. }) {
            let successor = refresh_token(&connection.received)
                .ok_or_else(|| bad_response("a response without a refresh token", &connection.received))?;
            let token = &mut self.tokens[connection.token];
            token.previous = Some(std::mem::replace(&mut token.newest, successor));
            token.in_flight = false;
            connection.token += self.load.connections;
            if connection.token >= self.tokens.len() {
                connection.token = index;
            }
        }
        Ok(Some(ended))
    }
}

impl Connection {
    fn send(&mut self) -> Result<(), LoadError> {
        while self.sent < self.request.len() {
            match self.stream.write(&self.request[self.sent..]) {
                Ok(written) => self.sent += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(LoadError::Disconnected(error)),
            }
        }
        Ok(())
    }
}

/// The length of a response, head and body, or `None` if its head is incomplete.
fn response_length(received: &[u8], expected_status: u16) -> Result<Option<usize>, String> {
    const NAME: &[u8] = b"\r\ncontent-length: ";
    let Some(end) = memmem::find(received, b"\r\n\r\n") else { return Ok(None) };
    let status = received.get(9..12).and_then(|status| std::str::from_utf8(status).ok()?.parse::<u16>().ok());
    if status != Some(expected_status) {
        return Err(format!("a response that is not {expected_status}"));
    }
    let start = memmem::find(&received[..end], NAME).ok_or("a response without content-length")?;
    let digits = received[start + NAME.len()..].iter().take_while(|byte| byte.is_ascii_digit());
    // A server that is not ours may claim anything.
    let body =
        digits.fold(0_usize, |number, digit| number.saturating_mul(10).saturating_add(usize::from(digit - b'0')));
    if body > MAX_RESPONSE {
        return Err(format!("a response of {body} bytes"));
    }
    Ok(Some(end + 4 + body))
}

fn refresh_token(received: &[u8]) -> Option<String> {
    const NAME: &[u8] = b"\"refresh_token\":\"";
    let begin = memmem::find(received, NAME)? + NAME.len();
    let end = begin + memchr::memchr(b'"', &received[begin..])?;
    String::from_utf8(received[begin..end].to_vec()).ok()
}

fn bad_response(problem: &str, received: &[u8]) -> LoadError {
    LoadError::BadResponse { problem: problem.to_owned(), response: String::from_utf8_lossy(received).into_owned() }
}
