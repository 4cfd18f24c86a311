//! An attack over HTTP/2, where a request takes thirteen bytes: all its fields are in the tables of the connection.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::traffic::{TrafficJob, TrafficOutcome};

/// Enough that the limit of streams of a connection does not slow the attack down.
const CONNECTIONS: usize = 16;

/// The streams that the server allows in a connection.
const MAX_STREAMS: usize = 32;

/// The preface, a window for streams of two gigabytes, and the same for the connection.
const OPENING: &[&[u8]] = &[
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    &[0, 0, 6, SETTINGS, 0, 0, 0, 0, 0, 0, 4, 0x7f, 0xff, 0xff, 0xff],
    &[0, 0, 4, 8, 0, 0, 0, 0, 0, 0x7f, 0xff, 0, 0],
];

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const GO_AWAY: u8 = 7;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;

/// `GET /` of the host `x`: indexes into the static table, and a field that enters the dynamic table, to which all
/// other requests refer.
const FIRST_BLOCK: &[u8] = &[0x82, 0x84, 0x86, 0x41, 1, b'x'];
const BLOCK: &[u8] = &[0x82, 0x84, 0x86, 0xbe];

pub(crate) async fn attack(job: &TrafficJob) -> TrafficOutcome {
    let (started, mut tasks, mut outcome) = (Instant::now(), JoinSet::new(), TrafficOutcome::default());
    for _ in 0..CONNECTIONS {
        let share = CONNECTIONS as f64;
        tasks.spawn(connection(
            job.address,
            job.seconds,
            job.bytes_per_second / share,
            job.received_per_second / share,
        ));
    }
    for (sent, answered, received) in tasks.join_all().await {
        outcome.sent += sent;
        *outcome.statuses.entry(200).or_default() += answered;
        outcome.received_bytes += received;
    }
    outcome.seconds = started.elapsed().as_secs_f64();
    outcome
}

/// Returns the requests that were sent and answered, and the bytes that were received.
async fn connection(address: SocketAddr, seconds: f64, sending: f64, receiving: f64) -> (u64, u64, u64) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream.write_all(&OPENING.concat()).await.unwrap();
    let (mut from, mut to) = stream.into_split();
    let (started, mut sent, mut answered, mut sent_bytes, mut received_bytes) = (Instant::now(), 0_u64, 0_u64, 0, 0);
    let (mut received, mut tick) = (Vec::new(), tokio::time::interval(Duration::from_millis(1)));
    loop {
        let elapsed = started.elapsed().as_secs_f64();
        if elapsed >= seconds {
            return (sent, answered, received_bytes);
        }
        let mut frames = Vec::new();
        while sent - answered < MAX_STREAMS as u64
            && (sent_bytes + frames.len()) as f64 <= elapsed * sending
            && received_bytes as f64 <= elapsed * receiving
        {
            let block = if sent == 0 { FIRST_BLOCK } else { BLOCK };
            let stream_id = (sent * 2 + 1) as u32;
            // END_HEADERS and END_STREAM.
            frames.extend([0, 0, block.len() as u8, HEADERS, 5]);
            frames.extend(stream_id.to_be_bytes());
            frames.extend(block);
            sent += 1;
        }
        sent_bytes += frames.len();
        to.write_all(&frames).await.expect("the server keeps the connection");
        tokio::select! {
            _ = tick.tick() => {}
            read = from.read_buf(&mut received) => {
                let read = read.expect("the server keeps the connection");
                assert!(read > 0, "the server keeps the connection");
                received_bytes += read as u64;
                let (ended, acknowledge) = take_frames(&mut received);
                answered += ended;
                if acknowledge {
                    to.write_all(&[0, 0, 0, SETTINGS, ACK, 0, 0, 0, 0]).await.unwrap();
                }
            }
        }
    }
}

/// Removes whole frames. Returns how many streams they end, and whether they have settings to acknowledge.
fn take_frames(received: &mut Vec<u8>) -> (u64, bool) {
    let (mut ended, mut acknowledge, mut at) = (0, false, 0);
    while let Some(head) = received.get(at..at + 9) {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let (kind, flags) = (head[3], head[4]);
        if received.len() < at + 9 + length {
            break;
        }
        assert_ne!(kind, GO_AWAY, "the server keeps the connection");
        ended += u64::from(kind == RESET || [DATA, HEADERS].contains(&kind) && flags & END_STREAM != 0);
        acknowledge |= kind == SETTINGS && flags & ACK == 0;
        at += 9 + length;
    }
    received.drain(..at);
    (ended, acknowledge)
}
