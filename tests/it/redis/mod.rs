//! What is true of Redis alone: its keys, and what becomes of a node when Redis is refused, frozen, full, flushed or
//! failed over.

mod connecting;
mod failing;
mod failover;
mod keys;
mod outage;

use std::time::{Duration, Instant};

use signet::clock::Timestamp;
use signet::id::{SessionId, UserId};
use signet::store::ephemeral::redis::Redis;
use signet::store::ephemeral::{Opened, RotateRequest, Rotation, Session};
use signet::store::{Ephemeral, Error, Result};
use uuid::Uuid;

const START: Timestamp = Timestamp::from_secs(2_000_000_000);
const HOUR: Duration = Duration::from_secs(3600);

fn user(number: u128) -> UserId {
    UserId(Uuid::from_u128(0xa11ce << 64 | number))
}

/// That user's one session.
fn session(number: u128) -> Session {
    Session {
        id: SessionId(Uuid::from_u128(0x5e55 << 64 | number)),
        user: user(number),
        counter: 0,
        opened_at: START,
        used_at: START,
        rotated_at: START,
        idle_timeout: HOUR,
        ends_at: START + HOUR * 24,
        dialect: "native".into(),
        client_ip: "192.0.2.1".into(),
        user_agent: "agent".into(),
        profile: "{}".into(),
    }
}

fn presented(number: u128, counter: u64) -> RotateRequest {
    RotateRequest {
        user: user(number),
        session: session(number).id,
        counter,
        rotate: true,
        grace: Duration::from_secs(10),
        not_before: Timestamp::default(),
        revocation_expires_at: START + HOUR,
    }
}

async fn open(store: &Redis, session: &Session) {
    let opened = store.open_session(session, Timestamp::default(), 100, session.ends_at).await.unwrap();
    assert_eq!(opened, Opened::Opened { ended: vec![] });
}

/// How long an answer takes to be one again: until then it must be `Unavailable`, and in time.
async fn until_available<T>(patience: Duration, mut call: impl AsyncFnMut() -> Result<T>) -> (T, Duration) {
    let began = Instant::now();
    loop {
        let asked = Instant::now();
        match call().await {
            Ok(answer) => return (answer, began.elapsed()),
            Err(error) => assert_unavailable(&error),
        }
        assert!(asked.elapsed() < Duration::from_millis(700), "an error took {:?}", asked.elapsed());
        assert!(began.elapsed() < patience, "not within {patience:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[track_caller]
fn assert_unavailable(error: &Error) {
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
}

async fn counter(store: &Redis, number: u128) -> Option<u64> {
    let found = store.session(user(number), session(number).id, START).await.unwrap();
    found.map(|session| session.counter)
}

async fn rotate(store: &Redis, number: u128, counter: u64) {
    let answer = store.rotate_refresh_token(presented(number, counter), START).await.unwrap();
    assert!(matches!(answer, Rotation::Rotated(_)), "{answer:?}");
}
