//! Responses that the client does not take, over HTTP/2 with closed windows and over HTTP/1.1 without reading: they have
//! a time limit, and a budget of memory.

use super::*;
use crate::support::http2::{self, DATA, END_HEADERS, END_STREAM, HEADERS, PING, PREFACE, RESET, SETTINGS, frame};
use signet::http::buffered_bytes;

const SHORT: Duration = Duration::from_millis(150);
const MAX_CONCURRENT_STREAMS: u16 = 3;
const INITIAL_WINDOW: u16 = 4;
const CANCEL: [u8; 4] = [0, 0, 0, 8];
/// `:status: 200` by HPACK's static table.
const STATUS_200: u8 = 0x88;

/// A frame that the server sent.
#[derive(Debug)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

/// An HTTP/2 client that sends and reads frames as they are.
struct RawClient {
    stream: TcpStream,
}

impl RawClient {
    /// Connects, and gives each stream a window of this many bytes.
    async fn connect(server: &InProcessServer, window: u32) -> Self {
        let mut client = Self { stream: server.connect().await };
        let setting = [&INITIAL_WINDOW.to_be_bytes()[..], &window.to_be_bytes()].concat();
        client.send(&[PREFACE, &frame(SETTINGS, 0, 0, &setting)].concat()).await;
        client
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Requests a path on the streams with these numbers, counted from 0.
    async fn get(&mut self, path: &str, streams: std::ops::Range<u32>) {
        let block = http2::get(path);
        for number in streams {
            self.send(&frame(HEADERS, END_HEADERS | END_STREAM, 2 * number + 1, &block)).await;
        }
    }

    /// The next frame; `None` if the server has closed the connection.
    async fn next(&mut self) -> Option<Frame> {
        let reading = async {
            let mut head = [0; 9];
            self.stream.read_exact(&mut head).await.ok()?;
            let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
            self.stream.read_exact(&mut payload).await.ok()?;
            let stream = u32::from_be_bytes(head[5..].try_into().unwrap());
            Some(Frame { kind: head[3], flags: head[4], stream, payload })
        };
        tokio::time::timeout(TIMEOUT, reading).await.expect("the server sends or closes")
    }

    /// The next frame of a kind.
    async fn next_of(&mut self, kind: u8) -> Frame {
        loop {
            let frame = self.next().await.expect("the connection is open");
            if frame.kind == kind {
                return frame;
            }
        }
    }

    /// The server has processed everything, and the connection is open.
    async fn is_answered(&mut self) {
        self.send(&frame(PING, 0, 0, &[1; 8])).await;
        while self.next_of(PING).await.flags == 0 {}
    }

    async fn is_closed(&mut self) {
        while self.next().await.is_some() {}
    }
}

async fn until_nothing_is_held() {
    until("nothing is held", || buffered_bytes() == Default::default()).await;
}

#[tokio::test]
async fn streams_that_are_not_taken_are_reset() {
    let server = serve(config::Server { write_timeout: SHORT, ..settings() });
    for path in ["/hello", "/nobody", "/large/60000", "/large/100000"] {
        let mut client = RawClient::connect(&server, 0).await;
        client.get(path, 0..3).await;
        let mut reset = Vec::new();
        while reset.len() < 3 {
            let frame = client.next_of(RESET).await;
            assert_eq!(frame.payload, CANCEL, "{path}");
            reset.push(frame.stream);
        }
        reset.sort_unstable();
        assert_eq!(reset, [1, 3, 5], "{path}");
        // Only the streams are closed.
        client.is_answered().await;
        until_nothing_is_held().await;
    }
    assert_eq!(server.log.streams_timed_out.load(Ordering::SeqCst), 12);
    assert!(server.cut_off().is_empty());
}

/// HTTP/2 has taken the whole response from its task, and holds what does not fit in the window.
#[tokio::test]
async fn connection_of_a_response_taken_in_part_is_closed() {
    let server = serve(config::Server { write_timeout: SHORT, ..settings() });
    let mut client = RawClient::connect(&server, 1).await;
    client.get("/large/9000", 0..1).await;
    assert_eq!(client.next_of(DATA).await.payload, b"x");
    client.is_closed().await;
    assert_eq!(server.cut_off(), [CutOffReason::WriteTimeout]);
    until_nothing_is_held().await;
}

#[tokio::test]
async fn client_that_reads_nothing_over_http1_is_closed() {
    let server = serve(config::Server { write_timeout: SHORT, ..settings() });
    let (read, mut write) = server.connect().await.into_split();
    // Together far more than the kernel buffers for a client that does not read.
    let requests = b"GET /large/60000 HTTP/1.1\r\nhost: x\r\n\r\n".repeat(400);
    let sender = tokio::spawn(async move { write.write_all(&requests).await });
    until("the connection is closed", || server.cut_off() == [CutOffReason::WriteTimeout]).await;
    until_nothing_is_held().await;
    let _ = sender.await.unwrap();
    drop(read);
}

#[tokio::test]
async fn connection_that_holds_most_closes_when_memory_runs_short() {
    let server = serve(config::Server { workers: 1, max_held: 1 << 20, ..settings() });
    let mut modest = RawClient::connect(&server, 0).await;
    modest.get("/large/60000", 0..2).await;
    let mut greedy = Vec::new();
    for _ in 0..5 {
        let mut client = RawClient::connect(&server, 0).await;
        client.get("/large/60000", 0..10).await;
        greedy.push(client);
    }
    until("four connections are closed", || server.cut_off() == [CutOffReason::HeldBytes; 4]).await;
    assert!(buffered_bytes().connections <= 1 << 20);
    modest.is_answered().await;
    let mut other = server.connect().await;
    other.write_all(b"GET /hello HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert!(read_response(&mut other).await.unwrap().starts_with("HTTP/1.1 200"));
    drop((modest, greedy));
    until_nothing_is_held().await;
}

/// Requests that wait, and heads that arrive in part, count as well.
#[tokio::test]
async fn requests_in_flight_and_unfinished_heads_are_held() {
    let server = serve(config::Server { workers: 1, ..settings() });
    let mut client = RawClient::connect(&server, 0xffff).await;
    client.get("/gate", 0..32).await;
    until("the requests wait", || server.waiting.load(Ordering::SeqCst) == 32).await;
    client.is_answered().await;
    assert!(buffered_bytes().connections > 32 * 4096);
    server.gate.send_replace(true);
    for _ in 0..32 {
        client.next_of(DATA).await;
    }
    until_nothing_is_held().await;

    let mut unfinished = server.connect().await;
    unfinished.write_all(format!("GET /hello HTTP/1.1\r\nx: {}", "y".repeat(9000)).as_bytes()).await.unwrap();
    until("the head is held", || buffered_bytes().connections > 9000).await;
    unfinished.write_all(b"\r\nhost: x\r\n\r\n").await.unwrap();
    read_response(&mut unfinished).await.unwrap();
    until_nothing_is_held().await;
}

/// Responses above the usual size get 503 beyond the budget, whichever handler makes them.
#[tokio::test]
async fn large_responses_beyond_the_budget_get_503() {
    const FITTING: usize = 10;
    let server = serve(config::Server { workers: 1, max_held: FITTING * 100_000, ..settings() });
    let mut client = RawClient::connect(&server, 0).await;
    client.get("/large/100000", 0..32).await;
    let mut fitting = 0;
    for _ in 0..32 {
        fitting += usize::from(client.next_of(HEADERS).await.payload[0] == STATUS_200);
    }
    assert_eq!((fitting, buffered_bytes().large_bodies), (FITTING, FITTING * 100_000));
    drop(client);
    until_nothing_is_held().await;
}

#[tokio::test]
async fn a_connection_has_few_streams() {
    let server = serve(settings());
    let mut client = RawClient::connect(&server, 0).await;
    let settings = client.next_of(SETTINGS).await.payload;
    let streams = settings.chunks(6).find(|setting| setting[..2] == MAX_CONCURRENT_STREAMS.to_be_bytes());
    assert_eq!(streams.map(|setting| &setting[2..]), Some(&[0, 0, 0, 32][..]));
    // A stream beyond that is refused, and costs nothing else.
    client.get("/gate", 0..33).await;
    let refused = client.next_of(RESET).await;
    assert_eq!((refused.stream, &refused.payload[..]), (65, &[0, 0, 0, 7][..]));
    server.gate.send_replace(true);
}

/// Clients open a hundred streams before they know the limit (nghttp2, Go). They lose the streams and not the connection.
#[tokio::test]
async fn streams_opened_before_the_limit_is_known_are_refused() {
    let server = serve(settings());
    let mut client = RawClient::connect(&server, 0).await;
    client.get("/gate", 0..100).await;
    for _ in 32..100 {
        assert_eq!(client.next_of(RESET).await.payload, [0, 0, 0, 7]);
    }
    client.is_answered().await;
    server.gate.send_replace(true);
}
