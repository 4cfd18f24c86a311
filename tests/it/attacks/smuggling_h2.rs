//! Floods of HTTP/2 frames, each bounded here and none bounded by a client who means harm: the connection ends or is kept at its
//! cost to the client, memory stays, and everybody else is answered.
//!
//! CVE-2019-9511 to 9518 (pings, settings, resets, empty frames, windows that are never opened), CVE-2023-44487 and CVE-2025-8671 (rapid
//! resets of either side), CVE-2024-27316 (endless header blocks).

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::support::server::{SendRequest, TestServer};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Twice what the slowest flood takes on a machine that others use as well.
const PATIENCE: Duration = Duration::from_secs(30);
/// A server that takes nothing for so long will not until it is read.
const STALLED: Duration = Duration::from_secs(2);
/// What the process holds.
const MEMORY: &str = "process_resident_memory_bytes";
/// What no flood says: it is answered when all that came before it was looked at.
const LAST: &[u8; 8] = b"the last";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// GET or POST of a path, by HPACK's static table; a literal is not kept.
fn block(method: u8, path: &str) -> Vec<u8> {
    [&[method, 0x86, 0x04, path.len() as u8], path.as_bytes(), &[0x01, 0x01, b'x']].concat()
}

fn get(path: &str) -> Vec<u8> {
    block(0x82, path)
}

fn post(path: &str) -> Vec<u8> {
    block(0x83, path)
}

/// The odd numbers, by which clients name their streams.
fn streams(count: u32) -> impl Iterator<Item = u32> {
    (0..count).map(|number| 2 * number + 1)
}

fn repeated(frame: &[u8], times: usize) -> Vec<u8> {
    frame.repeat(times)
}

/// What must become of the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    /// The server ends it, whatever the client still sends.
    Ended,
    /// It may go on, for as long as it costs nothing.
    Either,
}

struct Flood {
    name: &'static str,
    bytes: Vec<u8>,
    end: End,
    /// Whether the client takes what it is answered as it goes, or only when all is sent or nothing more is taken.
    reads: bool,
}

fn flood(name: &'static str, bytes: Vec<u8>, end: End) -> Flood {
    Flood { name, bytes, end, reads: true }
}

fn floods() -> Vec<Flood> {
    use End::{Either, Ended};
    let settings = frame(SETTINGS, 0, 0, &[]);
    let no_window = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    let opened = |stream: u32, block: &[u8], flags: u8| frame(HEADERS, flags, stream, block);
    let whole = END_HEADERS | END_STREAM;
    let many = |count: u32, each: &dyn Fn(u32) -> Vec<u8>| streams(count).flat_map(each).collect::<Vec<u8>>();
    let cancel = 8_u32.to_be_bytes();
    let zeroes = [0; 8];
    let started = opened(1, &post("/verify"), END_HEADERS);
    let big_field = [&[0x40, 1, b'x', 0x7f, 0x81, 0x1e][..], &[b'v'; 4000]].concat();
    vec![
        flood(
            "resets",
            many(20_000, &|it| [opened(it, &get("/verify"), whole), frame(RESET, 0, it, &cancel)].concat()),
            Ended,
        ),
        flood(
            "resets of bodies",
            many(20_000, &|it| [opened(it, &post("/verify"), END_HEADERS), frame(RESET, 0, it, &cancel)].concat()),
            Ended,
        ),
        // We are made to reset: a window of no width (RFC 9113, 6.9).
        flood(
            "made to reset",
            many(20_000, &|it| [opened(it, &post("/verify"), END_HEADERS), frame(WINDOW, 0, it, &[0; 4])].concat()),
            Ended,
        ),
        flood("streams without end", many(20_000, &|it| opened(it, &post("/verify"), END_HEADERS)), Either),
        flood("pings", repeated(&frame(PING, 0, 0, &zeroes), 100_000), Either),
        Flood { reads: false, ..flood("pings, unread", repeated(&frame(PING, 0, 0, &zeroes), 100_000), Either) },
        flood("settings", repeated(&settings, 100_000), Either),
        Flood {
            reads: false,
            ..flood(
                "settings, unread",
                repeated(&frame(SETTINGS, 0, 0, &[0, 1, 0, 0, 16, 0].repeat(50)), 20_000),
                Either,
            )
        },
        flood("priorities", repeated(&frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 1]), 100_000), Either),
        flood("a stream that hangs from itself", repeated(&frame(PRIORITY, 0, 1, &[0, 0, 0, 1, 1]), 1000), Either),
        flood("empty data", [started.clone(), repeated(&frame(DATA, 0, 1, &[]), 100_000)].concat(), Either),
        flood("data of padding", [started.clone(), repeated(&frame(DATA, 8, 1, &[255; 256]), 1000)].concat(), Either),
        flood("windows", repeated(&frame(WINDOW, 0, 0, &1_u32.to_be_bytes()), 100_000), Either),
        flood("a window too wide", repeated(&frame(WINDOW, 0, 0, &0x7fff_ffff_u32.to_be_bytes()), 3), Ended),
        flood("no window at all", frame(WINDOW, 0, 0, &[0; 4]), Ended),
        flood(
            "endless continuations",
            [opened(1, &get("/verify"), 0), repeated(&frame(CONTINUATION, 0, 1, &big_field), 2000)].concat(),
            Ended,
        ),
        flood(
            "empty continuations",
            [opened(1, &get("/verify"), 0), repeated(&frame(CONTINUATION, 0, 1, &[]), 100_000)].concat(),
            Ended,
        ),
        flood(
            "a block that nobody ends",
            [opened(1, &get("/verify"), 0), repeated(&frame(PING, 0, 0, &zeroes), 10)].concat(),
            Ended,
        ),
        // A field that is kept, and then named again and again: a kilobyte becomes megabytes.
        flood(
            "a bomb",
            {
                let kept = [get("/verify"), big_field.clone()].concat();
                let bomb = many(200, &|it| opened(it + 2, &[get("/verify"), vec![0xbe; 4000]].concat(), whole));
                [opened(1, &kept, whole), bomb].concat()
            },
            Either,
        ),
        flood(
            "a table of great size",
            opened(1, &[&[0x3f, 0xff, 0xff, 0xff, 0xff, 0x07][..], &get("/verify")].concat(), whole),
            Ended,
        ),
        flood("a number without end", opened(1, &[0xff; 200], whole), Ended),
        Flood {
            reads: false,
            ..flood(
                "answers that nobody takes",
                [no_window, many(20_000, &|it| opened(it, &get("/openapi.json"), whole))].concat(),
                Either,
            )
        },
        flood("a promise", frame(PUSH, END_HEADERS, 1, &[&[0, 0, 0, 2][..], &get("/verify")].concat()), Ended),
        flood("farewells", repeated(&frame(GOAWAY, 0, 0, &zeroes), 10_000), Either),
        flood("streams of even number", many(100, &|it| opened(it + 1, &get("/verify"), whole)), Ended),
        flood("a stream again", repeated(&opened(1, &get("/verify"), whole), 1000), Ended),
        flood("a frame too large", frame(DATA, 0, 1, &[0; 20_000]), Ended),
        flood("frames of no kind", repeated(&frame(0xbe, 0xff, 1, &[0; 100]), 50_000), Either),
        flood("no settings", repeated(&frame(0xbe, 0, 0, &[0xff; 100]), 10), Either),
        flood(
            "garbage",
            (0..50_000_u32).flat_map(|number| number.wrapping_mul(0x9e37_79b9).to_be_bytes()).collect(),
            Ended,
        ),
    ]
}

/// A client's side of a flood.
struct Client {
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
    left: Vec<u8>,
    said: Vec<u8>,
    closed: bool,
}

impl Client {
    async fn connect(server: &TestServer, bytes: &[u8]) -> Self {
        let stream = TcpStream::connect(server.signet.url_of("").trim_start_matches("http://")).await.unwrap();
        let (from, to) = stream.into_split();
        let settings = frame(SETTINGS, 0, 0, &[]);
        let left = [PREFACE, &settings, bytes, &frame(PING, 0, 0, LAST)].concat();
        Self { from, to, left, said: Vec::new(), closed: false }
    }

    /// Sends what is left until all is sent, the server closes, or it takes nothing more.
    async fn write(to: &mut OwnedWriteHalf, left: &mut Vec<u8>) {
        while let Ok(Ok(taken @ 1..)) =
            tokio::time::timeout(STALLED, to.write(&left[..left.len().min(64 * 1024)])).await
        {
            left.drain(..taken);
            if left.is_empty() {
                break;
            }
        }
    }

    /// Takes what the server says until all is heard or it closes, sending what is left.
    async fn talk(&mut self) {
        let writing = Self::write(&mut self.to, &mut self.left);
        tokio::pin!(writing);
        let (mut piece, mut writes) = (vec![0; 64 * 1024], true);
        loop {
            tokio::select! {
                () = &mut writing, if writes => writes = false,
                read = self.from.read(&mut piece) => match read {
                    Ok(read @ 1..) => self.said.extend_from_slice(&piece[..read]),
                    Ok(0) | Err(_) => return self.closed = true,
                },
            }
            if is_heard(&self.said) {
                return;
            }
        }
    }
}

#[tokio::test]
async fn a_flood_is_its_own_connections_affair() {
    let server = TestServer::embedded(|plan| plan.set("SIGNET_SERVER__IDLE_TIMEOUT", "2s"));
    server.get("/verify").send_checked().await.is(401);
    let before = server.metric(MEMORY).await;
    for Flood { name, bytes, end, reads } in floods() {
        let mut client = Client::connect(&server, &bytes).await;
        let all = client.left.len();
        // Others meanwhile, and after.
        let others = async {
            for _ in 0..50 {
                server.get("/verify").send_checked().await.is(401);
            }
        };
        let flooding = async {
            if !reads {
                Client::write(&mut client.to, &mut client.left).await;
                // What it holds for somebody who does not take it.
                bounded(&server, name, before).await;
            }
            client.talk().await;
        };
        let both = tokio::time::timeout(PATIENCE, async { tokio::join!(flooding, others) });
        both.await.unwrap_or_else(|_| panic!("{name}: neither heard nor ended"));
        // It is still there, if it may be.
        bounded(&server, name, before).await;
        assert!(client.left.len() < all && !client.said.is_empty(), "{name}: it was spoken to");
        assert!(client.closed || (end == End::Either && is_heard(&client.said)), "{name}: {end:?}");
        server.get("/verify").send_checked().await.is(401);
    }
}

/// Whether the server has looked at everything: among the last that it said is the answer to the last that it was asked.
fn is_heard(said: &[u8]) -> bool {
    let answer = frame(PING, 1, 0, LAST);
    said[said.len().saturating_sub(128 * 1024)..].windows(answer.len()).any(|piece| piece == answer)
}

/// One client does not make it grow.
async fn bounded(server: &TestServer, name: &str, before: u64) {
    let grown = server.metric(MEMORY).await.saturating_sub(before);
    assert!(grown < 64 << 20, "{name}: {grown} bytes more");
}

/// The frames of this file are frames: a request made of them is answered, and a flood is told why it ends.
#[tokio::test]
async fn what_is_lawful_is_answered() {
    let server = TestServer::embedded(|plan| plan.set("SIGNET_SERVER__IDLE_TIMEOUT", "1s"));
    let settings = frame(SETTINGS, 0, 0, &[]);
    let asked = frame(HEADERS, END_HEADERS | END_STREAM, 1, &get("/verify"));
    let kinds = frames(&server, &[PREFACE, &settings, &asked].concat()).await;
    assert!(kinds.contains(&(HEADERS, 1)) && kinds.contains(&(DATA, 1)), "{kinds:?}");
    let resets = floods().into_iter().find(|flood| flood.name == "resets").unwrap();
    let kinds = frames(&server, &[PREFACE, &settings, &resets.bytes].concat()).await;
    assert!(kinds.contains(&(GOAWAY, 0)), "{kinds:?}");
}

/// The kinds and streams of the frames that come back until the server closes.
async fn frames(server: &TestServer, bytes: &[u8]) -> Vec<(u8, u32)> {
    let stream = TcpStream::connect(server.signet.url_of("").trim_start_matches("http://")).await.unwrap();
    let (mut from, mut to) = stream.into_split();
    let mut said = Vec::new();
    let talk = async { tokio::join!(to.write_all(bytes), from.read_to_end(&mut said)) };
    let _ = tokio::time::timeout(PATIENCE, talk).await.expect("the server closes");
    let (mut kinds, mut rest) = (Vec::new(), &said[..]);
    while let Some((head, behind)) = rest.split_at_checked(9) {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        kinds.push((head[3], u32::from_be_bytes(head[5..9].try_into().unwrap())));
        rest = behind.get(length..).unwrap_or_default();
    }
    kinds
}
