//! Floods of HTTP/2 frames. The server closes the connection, or keeps it at no cost to itself; memory stays bounded,
//! and other clients are served.
//!
//! CVE-2019-9511 to 9518 (pings, settings, resets, empty frames, windows that are never opened), CVE-2023-44487 and
//! CVE-2025-8671 (rapid resets of either side), CVE-2024-27316 (endless header blocks).

use std::time::Duration;

use reqwest::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::support::http2::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, LAST_PING, PING, PREFACE, PRIORITY, PUSH, RESET,
    SETTINGS, WINDOW, frame, get, post,
};
use crate::support::metric;
use crate::support::server::{SendRequest, TestServer};

/// Twice the time of the slowest flood on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(30);
/// A server that reads nothing for this long waits until the client reads its responses.
const STALL_TIMEOUT: Duration = Duration::from_secs(2);
const MEMORY: &str = "process_resident_memory_bytes";

/// The stream ids of a client, which are odd.
fn streams(count: u32) -> impl Iterator<Item = u32> {
    (0..count).map(|number| 2 * number + 1)
}

fn repeated(frame: &[u8], times: usize) -> Vec<u8> {
    frame.repeat(times)
}

/// The expected end of the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum ConnectionEnd {
    /// The server closes it, whatever the client still sends.
    Closed,
    /// The server may keep it, because it costs nothing.
    Either,
}

struct Flood {
    name: &'static str,
    bytes: Vec<u8>,
    end: ConnectionEnd,
    /// True if the client reads responses while it sends, false if it reads only after it can send no more.
    reads_responses: bool,
}

fn flood(name: &'static str, bytes: Vec<u8>, end: ConnectionEnd) -> Flood {
    Flood { name, bytes, end, reads_responses: true }
}

fn floods() -> Vec<Flood> {
    use ConnectionEnd::{Closed, Either};
    let settings = frame(SETTINGS, 0, 0, &[]);
    let no_window = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    let opened = |stream: u32, block: &[u8], flags: u8| frame(HEADERS, flags, stream, block);
    let complete = END_HEADERS | END_STREAM;
    let per_stream = |count: u32, each: &dyn Fn(u32) -> Vec<u8>| streams(count).flat_map(each).collect::<Vec<u8>>();
    let cancel = 8_u32.to_be_bytes();
    let zeroes = [0; 8];
    let opened_post = opened(1, &post("/verify"), END_HEADERS);
    let big_field = [&[0x40, 1, b'x', 0x7f, 0x81, 0x1e][..], &[b'v'; 4000]].concat();
    vec![
        flood(
            "resets",
            per_stream(20_000, &|it| [opened(it, &get("/verify"), complete), frame(RESET, 0, it, &cancel)].concat()),
            Closed,
        ),
        flood(
            "resets of bodies",
            per_stream(20_000, &|it| {
                [opened(it, &post("/verify"), END_HEADERS), frame(RESET, 0, it, &cancel)].concat()
            }),
            Closed,
        ),
        // Resets by the server: a window update of zero (RFC 9113, 6.9).
        flood(
            "server resets",
            per_stream(20_000, &|it| {
                [opened(it, &post("/verify"), END_HEADERS), frame(WINDOW, 0, it, &[0; 4])].concat()
            }),
            Closed,
        ),
        flood("streams without end", per_stream(20_000, &|it| opened(it, &post("/verify"), END_HEADERS)), Either),
        flood("pings", repeated(&frame(PING, 0, 0, &zeroes), 100_000), Either),
        Flood {
            reads_responses: false,
            ..flood("pings, unread", repeated(&frame(PING, 0, 0, &zeroes), 100_000), Either)
        },
        flood("settings", repeated(&settings, 100_000), Either),
        Flood {
            reads_responses: false,
            ..flood(
                "settings, unread",
                repeated(&frame(SETTINGS, 0, 0, &[0, 1, 0, 0, 16, 0].repeat(50)), 20_000),
                Either,
            )
        },
        flood("priorities", repeated(&frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 1]), 100_000), Either),
        flood("a stream that depends on itself", repeated(&frame(PRIORITY, 0, 1, &[0, 0, 0, 1, 1]), 1000), Either),
        flood("empty data", [opened_post.clone(), repeated(&frame(DATA, 0, 1, &[]), 100_000)].concat(), Either),
        flood(
            "data of padding",
            [opened_post.clone(), repeated(&frame(DATA, 8, 1, &[255; 256]), 1000)].concat(),
            Either,
        ),
        flood("windows", repeated(&frame(WINDOW, 0, 0, &1_u32.to_be_bytes()), 100_000), Either),
        flood("a window too large", repeated(&frame(WINDOW, 0, 0, &0x7fff_ffff_u32.to_be_bytes()), 3), Closed),
        flood("a window update of zero", frame(WINDOW, 0, 0, &[0; 4]), Closed),
        flood(
            "endless continuations",
            [opened(1, &get("/verify"), 0), repeated(&frame(CONTINUATION, 0, 1, &big_field), 2000)].concat(),
            Closed,
        ),
        flood(
            "empty continuations",
            [opened(1, &get("/verify"), 0), repeated(&frame(CONTINUATION, 0, 1, &[]), 100_000)].concat(),
            Closed,
        ),
        flood(
            "an interrupted header block",
            [opened(1, &get("/verify"), 0), repeated(&frame(PING, 0, 0, &zeroes), 10)].concat(),
            Closed,
        ),
        // An indexed field that is referenced again and again: a kilobyte becomes megabytes.
        flood(
            "an HPACK bomb",
            {
                let indexed = [get("/verify"), big_field.clone()].concat();
                let bomb =
                    per_stream(200, &|it| opened(it + 2, &[get("/verify"), vec![0xbe; 4000]].concat(), complete));
                [opened(1, &indexed, complete), bomb].concat()
            },
            Either,
        ),
        flood(
            "a huge dynamic table",
            opened(1, &[&[0x3f, 0xff, 0xff, 0xff, 0xff, 0x07][..], &get("/verify")].concat(), complete),
            Closed,
        ),
        flood("an endless integer", opened(1, &[0xff; 200], complete), Closed),
        Flood {
            reads_responses: false,
            ..flood(
                "unread responses",
                [no_window, per_stream(20_000, &|it| opened(it, &get("/openapi.json"), complete))].concat(),
                Either,
            )
        },
        flood("a push promise", frame(PUSH, END_HEADERS, 1, &[&[0, 0, 0, 2][..], &get("/verify")].concat()), Closed),
        flood("goaways", repeated(&frame(GOAWAY, 0, 0, &zeroes), 10_000), Either),
        flood("even stream ids", per_stream(100, &|it| opened(it + 1, &get("/verify"), complete)), Closed),
        flood("a reused stream id", repeated(&opened(1, &get("/verify"), complete), 1000), Closed),
        flood("a frame too large", frame(DATA, 0, 1, &[0; 20_000]), Closed),
        flood("frames of an unknown type", repeated(&frame(0xbe, 0xff, 1, &[0; 100]), 50_000), Either),
        flood("no settings", repeated(&frame(0xbe, 0, 0, &[0xff; 100]), 10), Either),
        flood(
            "garbage",
            (0..50_000_u32).flat_map(|number| number.wrapping_mul(0x9e37_79b9).to_be_bytes()).collect(),
            Closed,
        ),
    ]
}

/// The client of a flood.
struct Client {
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
    unsent: Vec<u8>,
    received: Vec<u8>,
    closed: bool,
}

impl Client {
    async fn connect(server: &TestServer, bytes: &[u8]) -> Self {
        let stream = TcpStream::connect(server.signet.url_of("").trim_start_matches("http://")).await.unwrap();
        let (from, to) = stream.into_split();
        let settings = frame(SETTINGS, 0, 0, &[]);
        let unsent = [PREFACE, &settings, bytes, &frame(PING, 0, 0, LAST_PING)].concat();
        Self { from, to, unsent, received: Vec::new(), closed: false }
    }

    /// Sends until everything is sent, the server closes, or it reads nothing more.
    async fn write(to: &mut OwnedWriteHalf, unsent: &mut Vec<u8>) {
        while let Ok(Ok(taken @ 1..)) =
            tokio::time::timeout(STALL_TIMEOUT, to.write(&unsent[..unsent.len().min(64 * 1024)])).await
        {
            unsent.drain(..taken);
            if unsent.is_empty() {
                break;
            }
        }
    }

    /// Sends the rest and reads until the server has processed everything or closes.
    async fn exchange(&mut self) {
        let writing = Self::write(&mut self.to, &mut self.unsent);
        tokio::pin!(writing);
        let (mut piece, mut writes) = (vec![0; 64 * 1024], true);
        loop {
            tokio::select! {
                () = &mut writing, if writes => writes = false,
                read = self.from.read(&mut piece) => match read {
                    Ok(read @ 1..) => self.received.extend_from_slice(&piece[..read]),
                    Ok(0) | Err(_) => return self.closed = true,
                },
            }
            if is_processed(&self.received) {
                return;
            }
        }
    }
}

/// A request of another client, on a connection of its own: an idle one could be reused at the moment at which the
/// server closes it.
async fn assert_served(server: &TestServer) {
    server.get("/verify").header("connection", "close").send_checked().await.is(401);
}

/// The resident memory of the server process, asked on a connection of its own.
async fn memory(server: &TestServer) -> u64 {
    let request = server.management_request(Method::GET, "/metrics").header("connection", "close");
    metric(&request.send().await.unwrap().text().await.unwrap(), MEMORY)
}

#[tokio::test]
async fn frame_floods_affect_only_their_own_connection() {
    let server = TestServer::embedded(|plan| plan.set("SIGNET_SERVER__IDLE_TIMEOUT", "2s"));
    assert_served(&server).await;
    let before = memory(&server).await;
    for Flood { name, bytes, end, reads_responses } in floods() {
        let mut client = Client::connect(&server, &bytes).await;
        let all = client.unsent.len();
        // Requests of other clients during the flood.
        let others = async {
            for _ in 0..50 {
                assert_served(&server).await;
            }
        };
        let flooding = async {
            if !reads_responses {
                Client::write(&mut client.to, &mut client.unsent).await;
                // The memory held for a client that does not read.
                assert_memory_bounded(&server, name, before).await;
            }
            client.exchange().await;
        };
        let both = tokio::time::timeout(TIMEOUT, async { tokio::join!(flooding, others) });
        both.await.unwrap_or_else(|_| panic!("{name}: neither processed nor closed"));
        // The connection is still open if the server keeps it.
        assert_memory_bounded(&server, name, before).await;
        assert!(client.unsent.len() < all && !client.received.is_empty(), "{name}: nothing was sent or received");
        assert!(client.closed || (end == ConnectionEnd::Either && is_processed(&client.received)), "{name}: {end:?}");
        assert_served(&server).await;
    }
}

/// True if the server has processed everything: the last bytes received contain the response to the last ping.
fn is_processed(received: &[u8]) -> bool {
    let response = frame(PING, 1, 0, LAST_PING);
    received[received.len().saturating_sub(128 * 1024)..].windows(response.len()).any(|piece| piece == response)
}

/// Asserts that one client does not make the process grow.
async fn assert_memory_bounded(server: &TestServer, name: &str, before: u64) {
    let growth = memory(server).await.saturating_sub(before);
    assert!(growth < 64 << 20, "{name}: memory grew by {growth} bytes");
}

/// The frames of this file are valid: a request made of them is answered, and a flood gets a GOAWAY.
#[tokio::test]
async fn valid_request_is_answered_and_flood_gets_goaway() {
    let server = TestServer::embedded(|plan| plan.set("SIGNET_SERVER__IDLE_TIMEOUT", "1s"));
    let settings = frame(SETTINGS, 0, 0, &[]);
    let request = frame(HEADERS, END_HEADERS | END_STREAM, 1, &get("/verify"));
    let frames_received = frames(&server, &[PREFACE, &settings, &request].concat()).await;
    assert!(frames_received.contains(&(HEADERS, 1)) && frames_received.contains(&(DATA, 1)), "{frames_received:?}");
    let resets = floods().into_iter().find(|flood| flood.name == "resets").unwrap();
    let frames_received = frames(&server, &[PREFACE, &settings, &resets.bytes].concat()).await;
    assert!(frames_received.contains(&(GOAWAY, 0)), "{frames_received:?}");
}

/// The types and streams of the frames that the server sends until it closes.
async fn frames(server: &TestServer, bytes: &[u8]) -> Vec<(u8, u32)> {
    let stream = TcpStream::connect(server.signet.url_of("").trim_start_matches("http://")).await.unwrap();
    let (mut from, mut to) = stream.into_split();
    let mut received = Vec::new();
    let exchange = async { tokio::join!(to.write_all(bytes), from.read_to_end(&mut received)) };
    let _ = tokio::time::timeout(TIMEOUT, exchange).await.expect("the server closes");
    let (mut frames_received, mut remaining) = (Vec::new(), &received[..]);
    while let Some((header, after_head)) = remaining.split_at_checked(9) {
        let length = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
        frames_received.push((header[3], u32::from_be_bytes(header[5..9].try_into().unwrap())));
        remaining = after_head.get(length..).unwrap_or_default();
    }
    frames_received
}
