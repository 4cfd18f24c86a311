//! The Redis store: its keys, and its behaviour when Redis refuses, freezes, is full, is flushed or fails over.

mod changes;
mod connecting;
mod failing;
mod failover;
mod keys;
mod outage;
mod rotations;

use std::time::{Duration, Instant};

use signet::clock::Timestamp;
use signet::id::{SessionId, UserId};
use signet::store::ephemeral::redis::Redis;
use signet::store::ephemeral::{Opened, RotateRequest, Rotation, Session, SessionConditions};
use signet::store::{Ephemeral, Error, Result};
use uuid::Uuid;

const START: Timestamp = Timestamp::from_secs(2_000_000_000);
const HOUR: Duration = Duration::from_secs(3600);
/// The client's network, for tests that are not about it.
const NETWORK: &str = "192.0.2.1";

fn user(number: u128) -> UserId {
    UserId(Uuid::from_u128(0xa11ce << 64 | number))
}

/// The session of the user with the same number.
fn session(number: u128) -> Session {
    Session {
        id: SessionId(Uuid::from_u128(0x5e55 << 64 | number)),
        user: user(number),
        counter: 0,
        opened_at: START,
        auth_time: START,
        used_at: START,
        rotated_at: START,
        idle_timeout: HOUR,
        ends_at: START + HOUR * 24,
        dialect: "native".into(),
        client_ip: "192.0.2.1".into(),
        user_agent: "agent".into(),
        claims: "{}".into(),
        custom_claims: String::new(),
    }
}

fn rotate_request(number: u128, counter: u64) -> RotateRequest {
    RotateRequest {
        user: user(number),
        session: session(number).id,
        counter,
        rotate: true,
        grace: Duration::from_secs(10),
        not_before: Timestamp::default(),
        revocation_expires_at: START + HOUR,
        conditions: SessionConditions::default(),
    }
}

async fn open(store: &Redis, session: &Session) {
    let opened = store.open_session(session, NETWORK, Timestamp::default(), 100, session.ends_at).await.unwrap();
    assert_eq!(opened, Opened::Opened { ended: vec![], from_new_network: false });
}

/// How long a test waits for the store to work again.
const DEADLINE: Duration = Duration::from_secs(60);

/// The time-out of tests that wait for it, long enough for the calls before that succeed on a busy machine.
const SHORT: Duration = Duration::from_secs(2);

/// The longest call, whose time-out is five seconds: the rest is for a machine that is busy with other tests.
const LONGEST_CALL: Duration = Duration::from_secs(10);

/// Calls until the store works again; asserts that every call before that fails as `Unavailable`, and in time.
async fn until_available<T>(mut call: impl AsyncFnMut() -> Result<T>) -> (T, Duration) {
    let began = Instant::now();
    loop {
        let began_call = Instant::now();
        match call().await {
            Ok(result) => return (result, began.elapsed()),
            Err(error) => assert_unavailable(&error),
        }
        assert!(began_call.elapsed() < LONGEST_CALL, "an error took {:?}", began_call.elapsed());
        assert!(began.elapsed() < DEADLINE, "not within {DEADLINE:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The median: a single call may take longer on a machine that is busy with other tests.
fn median(mut durations: Vec<Duration>) -> Duration {
    durations.sort();
    durations[durations.len() / 2]
}

#[track_caller]
fn assert_unavailable(error: &Error) {
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
}

async fn counter(store: &Redis, number: u128) -> Option<u64> {
    let session = store.session(user(number), session(number).id, START).await.unwrap();
    session.map(|session| session.counter)
}

async fn rotate(store: &Redis, number: u128, counter: u64) {
    let rotation = store.rotate_refresh_token(rotate_request(number, counter), START).await.unwrap();
    assert!(matches!(rotation, Rotation::Rotated(_)), "{rotation:?}");
}
