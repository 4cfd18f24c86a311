//! The client for HTTP/1.1, on plain connections or over TLS.

use std::os::fd::OwnedFd;
use std::time::Instant;

use memchr::memmem;

use super::drive::{Pace, check_load, new_epoll, wait};
use super::stream::Stream;
#[cfg(feature = "tls")]
use super::tls::{self, Connector, Handshakes};
use super::{Bound, Histogram, Load, LoadError, Requests, RotatedToken};

/// Longer responses are refused before they are buffered.
const MAX_RESPONSE: usize = 64 << 20;

struct Connection {
    stream: Stream,
    #[cfg(feature = "tls")]
    connector: Option<Connector>,
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
    /// Opens plain connections.
    pub fn connect(load: Load<'a>) -> Result<Self, LoadError> {
        Self::open(load, |stream| Ok(Connection::new(Stream::Plain(stream))))
    }

    /// Opens connections with TLS 1.3.
    #[cfg(feature = "tls")]
    pub fn connect_tls(load: Load<'a>, handshakes: Handshakes) -> Result<Self, LoadError> {
        Self::open(load, |stream| {
            let mut connector = Connector::new(handshakes)?;
            let stream = connector.begin(stream)?;
            Ok(Connection { connector: Some(connector), ..Connection::new(stream) })
        })
    }

    fn open(
        load: Load<'a>,
        connection: impl Fn(std::net::TcpStream) -> Result<Connection, LoadError>,
    ) -> Result<Self, LoadError> {
        check_load(&load)?;
        let tokens = match load.requests {
            Requests::Cycle(_) => Vec::new(),
            Requests::Rotate { tokens, .. } if tokens.len() < load.connections => {
                return Err(LoadError::Impossible("fewer tokens than connections"));
            }
            Requests::Rotate { tokens, .. } => {
                let unused = |token: &String| RotatedToken { newest: token.clone(), previous: None, in_flight: false };
                tokens.iter().map(unused).collect()
            }
        };
        let epoll = new_epoll()?;
        let open = |index: usize| {
            let stream = Stream::open(load.addresses[index % load.addresses.len()], &epoll, index)?;
            Ok(Connection { token: index, ..connection(stream)? })
        };
        let connections = (0..load.connections).map(open).collect::<Result<Vec<_>, LoadError>>()?;
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
        let mut pace = Pace::new(bound);
        for index in 0..self.connections.len() {
            if pace.begin_first() {
                self.send_next(index, Instant::now())?;
            }
        }
        let mut events = Vec::with_capacity(self.connections.len());
        while pace.is_waiting() {
            wait(&self.epoll, &mut events, &pace)?;
            for event in events.drain(..) {
                let index = event.data.u64() as usize;
                if let Some(ended) = self.make_progress(index)?
                    && pace.begin_next(ended)
                {
                    self.send_next(index, ended)?;
                }
            }
        }
        Ok(())
    }

    fn send_next(&mut self, index: usize, now: Instant) -> Result<(), LoadError> {
        let connection = &mut self.connections[index];
        #[cfg(feature = "tls")]
        connection.reopen(&self.load, &self.epoll, index)?;
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
            if connection.stream.receive(&mut connection.received, space)?.is_none() {
                return Ok(None);
            }
            if connection.length.is_none() {
                connection.length = response_length(&connection.received, self.load.expected_status)
                    .map_err(|problem| LoadError::bad_response(&problem, &connection.received))?;
            }
            if connection.length.is_some_and(|length| connection.received.len() >= length) {
                break;
            }
        }
        let ended = Instant::now();
        #[cfg(feature = "tls")]
        if let Some(connector) = &connection.connector {
            connector.check(&connection.stream)?;
        }
        self.latency.record(ended - connection.started);
        if self.expected.find(&connection.received).is_none() {
            return Err(LoadError::bad_response(
                &format!("a response without `{}`", self.load.expected_text),
                &connection.received,
            ));
        }
        if matches!(self.load.requests, Requests::Rotate { .. }) {
            let successor = refresh_token(&connection.received)
                .ok_or_else(|| LoadError::bad_response("a response without a refresh token", &connection.received))?;
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
    fn new(stream: Stream) -> Self {
        Self {
            stream,
            #[cfg(feature = "tls")]
            connector: None,
            request: Vec::new(),
            sent: 0,
            received: Vec::with_capacity(16 * 1024),
            length: None,
            started: Instant::now(),
            token: 0,
        }
    }

    /// Replaces a connection that was used by a new one, if each request needs a handshake.
    #[cfg(feature = "tls")]
    fn reopen(&mut self, load: &Load<'_>, epoll: &OwnedFd, index: usize) -> Result<(), LoadError> {
        if let Some(connector) = &mut self.connector
            && connector.reconnects()
            && !self.request.is_empty()
        {
            tls::close(&mut self.stream);
            let stream = Stream::open(load.addresses[index % load.addresses.len()], epoll, index)?;
            self.stream = connector.begin(stream)?;
        }
        Ok(())
    }

    fn send(&mut self) -> Result<(), LoadError> {
        self.stream.send(&self.request, &mut self.sent)
    }
}

/// The length of a response, head and body, or `None` if its head is incomplete.
fn response_length(received: &[u8], expected_status: u16) -> Result<Option<usize>, String> {
    const NAME: &[u8] = b"\r\ncontent-length: ";
    // As nginx writes it.
    const OTHER_NAME: &[u8] = b"\r\nContent-Length: ";
    let Some(end) = memmem::find(received, b"\r\n\r\n") else { return Ok(None) };
    let status = received.get(9..12).and_then(|status| std::str::from_utf8(status).ok()?.parse::<u16>().ok());
    if status != Some(expected_status) {
        return Err(format!("a response that is not {expected_status}"));
    }
    let head = &received[..end];
    let start = memmem::find(head, NAME)
        .or_else(|| memmem::find(head, OTHER_NAME))
        .ok_or("a response without content-length")?;
    let digits = received[start + NAME.len()..].iter().take_while(|byte| byte.is_ascii_digit());
    // Saturates: the length can have any number of digits.
    let body =
        digits.fold(0_usize, |number, digit| number.saturating_mul(10).saturating_add(usize::from(digit - b'0')));
    if body > MAX_RESPONSE {
        return Err(format!("a response of {body} bytes"));
    }
    Ok(Some(end + 4 + body))
}

/// The refresh token in a response.
pub fn refresh_token(received: &[u8]) -> Option<String> {
    const NAME: &[u8] = b"\"refresh_token\":\"";
    let begin = memmem::find(received, NAME)? + NAME.len();
    let end = begin + memchr::memchr(b'"', &received[begin..])?;
    String::from_utf8(received[begin..end].to_vec()).ok()
}
