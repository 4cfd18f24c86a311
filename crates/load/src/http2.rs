//! The client for HTTP/2 (RFC 9113): connections with several requests in flight on each.
//!
//! Like other clients it sends the fields of a request once and then refers to them (RFC 7541, 2.3.2), apart from the
//! length of the body. It encodes every request in advance, opens its windows as far as possible, and of a response
//! head it reads only the status. Requests whose bodies exceed the server's window are refused.

use std::os::fd::OwnedFd;
use std::time::Instant;

use memchr::memmem;

use super::drive::{Pace, check_load, new_epoll, wait};
use super::stream::Stream;
use super::{Bound, Histogram, Load, LoadError, Requests};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

const FRAME_HEAD: usize = 9;

/// The initial window (RFC 9113, 6.9.2), and the largest.
const INITIAL_WINDOW: u32 = 65_535;
const MAX_WINDOW: u32 = i32::MAX as u32;

/// Received bytes after which the window of the connection is opened again.
const WINDOW_STEP: u32 = 1 << 29;

/// The forms of a field that enters the table, of one that does not, and of a reference (RFC 7541, 6).
const INDEXED: u8 = 0x40;
const NOT_INDEXED: u8 = 0;
const REFERENCE: u8 = 0x80;

/// Entries of the table that never change. The newest of the others follows them.
const STATIC_TABLE: u8 = 61;

/// A status of 200 (RFC 7541, appendix A), the only one that is read. An update of the table's size may precede it.
const STATUS_200: u8 = 0x88;

/// An encoded request: its fields as the first request of a connection sends them, and as later requests do, for which
/// the server has them in its table.
#[derive(Debug, PartialEq, Eq)]
struct Encoded {
    first: Vec<u8>,
    later: Vec<u8>,
    length: Vec<u8>,
    body: Vec<u8>,
}

/// A request in flight.
struct InFlight {
    stream_id: u32,
    started: Instant,
    response: Vec<u8>,
}

struct Connection {
    stream: Stream,
    outgoing: Vec<u8>,
    sent: usize,
    incoming: Vec<u8>,
    in_flight: Vec<InFlight>,
    next_stream_id: u32,
    /// Bytes of bodies that the server permits.
    window: i64,
    /// Bytes received since the window was opened.
    received: u32,
}

/// A client with its connections.
pub struct Http2Client<'a> {
    load: Load<'a>,
    requests: Vec<Encoded>,
    expected: memmem::Finder<'a>,
    epoll: OwnedFd,
    connections: Vec<Connection>,
    streams: usize,
    next: usize,
    latency: Histogram,
}

impl<'a> Http2Client<'a> {
    /// Opens the connections, each of which will have up to `streams` requests in flight.
    pub fn connect(load: Load<'a>, streams: usize) -> Result<Self, LoadError> {
        check_load(&load)?;
        let Requests::Cycle(requests) = load.requests else {
            return Err(LoadError::Impossible("refreshes over HTTP/2"));
        };
        if streams == 0 || load.expected_status != 200 {
            return Err(LoadError::Impossible("no streams, or another status than 200"));
        }
        let epoll = new_epoll()?;
        let open = |index: usize| {
            let stream = Stream::open(load.addresses[index % load.addresses.len()], &epoll, index)?;
            Ok(Connection::new(Stream::Plain(stream)))
        };
        let connections = (0..load.connections).map(open).collect::<Result<_, LoadError>>()?;
        let requests = requests.iter().map(|request| encode(request)).collect::<Option<Vec<_>>>();
        let requests = requests.ok_or(LoadError::Impossible("a request that is not complete"))?;
        if requests.iter().any(|request| request.first != requests[0].first) {
            return Err(LoadError::Impossible("requests over HTTP/2 that differ in their fields"));
        }
        let expected = memmem::Finder::new(load.expected_text);
        let latency = Histogram::default();
        Ok(Self { load, requests, expected, epoll, connections, streams, next: 0, latency })
    }

    /// The durations of all requests since the last call.
    pub fn take_latency(&mut self) -> Histogram {
        std::mem::take(&mut self.latency)
    }

    /// Sends requests until `bound` is reached, and waits for all responses.
    pub fn drive(&mut self, bound: Bound<'_>) -> Result<(), LoadError> {
        let mut pace = Pace::new(bound);
        for index in 0..self.connections.len() {
            for _ in 0..self.streams {
                if pace.begin_first() {
                    self.begin_request(index, Instant::now())?;
                }
            }
            self.connections[index].send()?;
        }
        let mut events = Vec::with_capacity(self.connections.len());
        while pace.is_waiting() {
            wait(&self.epoll, &mut events, &pace)?;
            for event in events.drain(..) {
                self.make_progress(event.data.u64() as usize, &mut pace)?;
            }
        }
        Ok(())
    }

    fn begin_request(&mut self, index: usize, now: Instant) -> Result<(), LoadError> {
        let request = &self.requests[self.next % self.requests.len()];
        self.next += 1;
        self.connections[index].begin_request(request, now)
    }

    /// Reads until there is no more. The requests that follow the responses leave in one write.
    fn make_progress(&mut self, index: usize, pace: &mut Pace<'_>) -> Result<(), LoadError> {
        loop {
            const SPACE: usize = 64 * 1024;
            let connection = &mut self.connections[index];
            let before = connection.incoming.len();
            let is_ready = connection.stream.receive(&mut connection.incoming, SPACE)?.is_some();
            let is_all = connection.incoming.len() - before < SPACE;
            let ended = Instant::now();
            let incoming = std::mem::take(&mut connection.incoming);
            let mut frames = &incoming[..];
            while let Some((frame, rest)) = next_frame(frames) {
                if let Some(response) = self.connections[index].receive(frame)? {
                    self.latency.record(ended - response.started);
                    if self.expected.find(&response.response).is_none() {
                        let problem = format!("a response without `{}`", self.load.expected_text);
                        return Err(LoadError::bad_response(&problem, &response.response));
                    }
                    if pace.begin_next(ended) {
                        self.begin_request(index, ended)?;
                    }
                }
                frames = rest;
            }
            let connection = &mut self.connections[index];
            connection.incoming = incoming[incoming.len() - frames.len()..].to_vec();
            if !is_ready || is_all {
                return connection.send();
            }
        }
    }
}

impl Connection {
    fn new(stream: Stream) -> Self {
        let mut outgoing = PREFACE.to_vec();
        const ENABLE_PUSH: [u8; 6] = [0, 2, 0, 0, 0, 0];
        let mut settings = ENABLE_PUSH.to_vec();
        settings.extend_from_slice(&[0, 4]);
        settings.extend_from_slice(&MAX_WINDOW.to_be_bytes());
        push_frame(&mut outgoing, SETTINGS, 0, 0, &settings);
        push_frame(&mut outgoing, WINDOW_UPDATE, 0, 0, &(MAX_WINDOW - INITIAL_WINDOW).to_be_bytes());
        Self {
            stream,
            outgoing,
            sent: 0,
            incoming: Vec::new(),
            in_flight: Vec::new(),
            next_stream_id: 1,
            window: i64::from(INITIAL_WINDOW),
            received: 0,
        }
    }

    fn begin_request(&mut self, request: &Encoded, now: Instant) -> Result<(), LoadError> {
        let stream_id = self.next_stream_id;
        self.next_stream_id += 2;
        self.window -= request.body.len() as i64;
        if self.window < 0 {
            return Err(LoadError::Impossible("more bytes in flight than the server's window"));
        }
        let end = if request.body.is_empty() { END_STREAM } else { 0 };
        let fields = if stream_id == 1 { &request.first } else { &request.later };
        push_frame(&mut self.outgoing, HEADERS, END_HEADERS | end, stream_id, &[&fields[..], &request.length].concat());
        if !request.body.is_empty() {
            push_frame(&mut self.outgoing, DATA, END_STREAM, stream_id, &request.body);
        }
        self.in_flight.push(InFlight { stream_id, started: now, response: Vec::new() });
        Ok(())
    }

    fn send(&mut self) -> Result<(), LoadError> {
        self.stream.send(&self.outgoing, &mut self.sent)?;
        if self.sent == self.outgoing.len() {
            self.outgoing.clear();
            self.sent = 0;
        }
        Ok(())
    }

    /// Takes one frame. Returns the response that is complete with it.
    fn receive(&mut self, frame: Frame<'_>) -> Result<Option<InFlight>, LoadError> {
        let Frame { kind, flags, stream_id, payload } = frame;
        match kind {
            DATA | HEADERS => {
                let position = self.in_flight.iter().position(|request| request.stream_id == stream_id);
                let position = position.ok_or_else(|| LoadError::bad_response("a response to no request", payload))?;
                if kind == HEADERS && payload.iter().find(|byte| **byte & 0xe0 != 0x20) != Some(&STATUS_200) {
                    return Err(LoadError::bad_response("a response that is not 200", payload));
                }
                if kind == DATA {
                    self.in_flight[position].response.extend_from_slice(payload);
                    self.received += payload.len() as u32;
                    if self.received >= WINDOW_STEP {
                        push_frame(&mut self.outgoing, WINDOW_UPDATE, 0, 0, &self.received.to_be_bytes());
                        self.received = 0;
                    }
                }
                return Ok((flags & END_STREAM != 0).then(|| self.in_flight.swap_remove(position)));
            }
            SETTINGS if flags & ACK == 0 => push_frame(&mut self.outgoing, SETTINGS, ACK, 0, &[]),
            PING if flags & ACK == 0 => push_frame(&mut self.outgoing, PING, ACK, 0, payload),
            WINDOW_UPDATE if stream_id == 0 => {
                let step = payload.try_into().map_or(0, u32::from_be_bytes);
                self.window += i64::from(step & MAX_WINDOW);
            }
            RST_STREAM => return Err(LoadError::bad_response("a stream that was reset", payload)),
            GOAWAY => return Err(LoadError::bad_response("the end of the connection", payload)),
            _ => {}
        }
        Ok(None)
    }
}

/// A frame that was received.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Frame<'a> {
    kind: u8,
    flags: u8,
    stream_id: u32,
    payload: &'a [u8],
}

/// The first frame, if it is complete, and the bytes after it.
fn next_frame(bytes: &[u8]) -> Option<(Frame<'_>, &[u8])> {
    let (head, rest) = bytes.split_at_checked(FRAME_HEAD)?;
    let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
    let (payload, rest) = rest.split_at_checked(length)?;
    let stream_id = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & MAX_WINDOW;
    Some((Frame { kind: head[3], flags: head[4], stream_id, payload }, rest))
}

fn push_frame(into: &mut Vec<u8>, kind: u8, flags: u8, stream_id: u32, payload: &[u8]) {
    into.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
    into.extend_from_slice(&[kind, flags]);
    into.extend_from_slice(&stream_id.to_be_bytes());
    into.extend_from_slice(payload);
}

/// Translates a request in HTTP/1.1.
fn encode(request: &str) -> Option<Encoded> {
    let (head, body) = request.split_once("\r\n\r\n")?;
    let (line, lines) = head.split_once("\r\n")?;
    let (method, rest) = line.split_once(' ')?;
    let path = rest.strip_suffix(" HTTP/1.1")?;
    let mut fields = vec![(":method", method), (":scheme", "http"), (":path", path)];
    let mut length = Vec::new();
    for line in lines.split("\r\n") {
        match line.split_once(": ")? {
            ("host", value) => fields.insert(3, (":authority", value)),
            ("content-length", value) => push_field(&mut length, NOT_INDEXED, "content-length", value),
            field => fields.push(field),
        }
    }
    let mut first = Vec::new();
    fields.iter().for_each(|(name, value)| push_field(&mut first, INDEXED, name, value));
    let later = (0..fields.len() as u8).rev().map(|age| REFERENCE | (STATIC_TABLE + 1 + age)).collect();
    Some(Encoded { first, later, length, body: body.as_bytes().to_vec() })
}

/// A field with its name as text.
fn push_field(into: &mut Vec<u8>, form: u8, name: &str, value: &str) {
    into.push(form);
    for text in [name, value] {
        push_length(into, text.len());
        into.extend_from_slice(text.as_bytes());
    }
}

/// A number with a prefix of seven bits (RFC 7541, 5.1).
fn push_length(into: &mut Vec<u8>, length: usize) {
    const PREFIX: usize = 127;
    if length < PREFIX {
        return into.push(length as u8);
    }
    into.push(PREFIX as u8);
    let mut rest = length - PREFIX;
    while rest >= 128 {
        into.push((rest % 128 + 128) as u8);
        rest /= 128;
    }
    into.push(rest as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_encoded_as_in_rfc_7541() {
        let encoded = |length| {
            let mut bytes = Vec::new();
            push_length(&mut bytes, length);
            bytes
        };
        assert_eq!(encoded(126), [126]);
        assert_eq!(encoded(127), [127, 0]);
        assert_eq!(encoded(127 + 1337), [127, 0x80 + 57, 10]);
    }

    #[test]
    fn frames_are_read_as_they_were_written() {
        let mut bytes = Vec::new();
        push_frame(&mut bytes, DATA, END_STREAM, 7, b"body");
        assert_eq!(next_frame(&bytes[..bytes.len() - 1]), None);
        bytes.extend_from_slice(b"next");
        let frame = Frame { kind: DATA, flags: END_STREAM, stream_id: 7, payload: b"body" };
        assert_eq!(next_frame(&bytes), Some((frame, &b"next"[..])));
    }

    #[test]
    fn request_is_translated_from_http1() {
        let request = encode("GET /x HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
        assert_eq!(request.first, b"@\x07:method\x03GET@\x07:scheme\x04http@\x05:path\x02/x@\x0a:authority\x01a");
        assert_eq!(request.later, [0x80 | 65, 0x80 | 64, 0x80 | 63, 0x80 | 62]);
        assert!(request.body.is_empty());
        assert!(encode("GET /x").is_none());
    }
}
