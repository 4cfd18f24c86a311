//! The maximum number of sessions of a user.

use std::collections::HashSet;

use super::*;
use signet::store::ephemeral::SignOutScope;

const UNTIL: Timestamp = Timestamp::from_secs(2_000_010_000);

/// Opens a session with a maximum, and returns the revocations of those that it ended.
async fn open_within(store: &Store, session: &Session, max_sessions: u32) -> Vec<Revocation> {
    match store.open_session(session, NETWORK, Timestamp::default(), max_sessions, UNTIL).await.unwrap() {
        Opened::Opened { ended, .. } => ended,
        Opened::Superseded => panic!("no valid_after was set"),
    }
}

/// Sessions opened a second apart, number 0 at [`START`].
fn nth(number: u128) -> Session {
    opened_at(number, START + SECOND * number as u32)
}

async fn open_ids(store: &Store, now: Timestamp) -> Vec<SessionId> {
    store.sessions(user(1), now).await.unwrap().into_iter().map(|session| session.id).collect()
}

fn revoked(numbers: &[u128]) -> Vec<Revocation> {
    let revocation = |number: &u128| Revocation { target: Target::Session(session_id(*number)), expires_at: UNTIL };
    numbers.iter().map(revocation).collect()
}

pub(super) async fn oldest_sessions_beyond_the_limit_end(store: Store) {
    let bystander = Session { user: user(2), ..session(9) };
    open(&store, &bystander).await;
    let (_, cursor) = read_all(&store, &Cursor::start()).await;
    for number in 0..3 {
        assert_eq!(open_within(&store, &nth(number), 3).await, []);
    }
    // The first session was used since, but is still the oldest.
    let now = START + MINUTE;
    expect_rotated(store.rotate_refresh_token(rotate_request(&nth(0), 0), now).await.unwrap());
    assert_eq!(open_within(&store, &opened_at(3, now), 3).await, revoked(&[0]));
    assert_eq!(read_all(&store, &cursor).await.0, revoked(&[0]), "followers get it too");
    for counter in 0..3 {
        assert_eq!(
            store.rotate_refresh_token(rotate_request(&nth(0), counter), now).await.unwrap(),
            Rotation::NotFound
        );
    }
    assert_eq!(store.session(user(1), session_id(0), now).await.unwrap(), None);
    assert_eq!(open_ids(&store, now).await, [3, 2, 1].map(session_id));
    assert_eq!(open_within(&store, &opened_at(4, now), 3).await, revoked(&[1]));
    assert_eq!(open_ids(&store, now).await, [4, 3, 2].map(session_id));
    expect_rotated(store.rotate_refresh_token(rotate_request(&nth(2), 0), now).await.unwrap());
    assert_eq!(store.sessions(user(2), now).await.unwrap(), [bystander]);
}

pub(super) async fn lowered_limit_ends_all_sessions_beyond_it(store: Store) {
    for number in 0..8 {
        open(&store, &nth(number)).await;
    }
    let now = START + MINUTE;
    let mut ended = open_within(&store, &opened_at(8, now), 3).await;
    assert_eq!(read_all(&store, &Cursor::start()).await.0, ended);
    ended.sort_by_key(|revocation| format!("{revocation:?}"));
    assert_eq!(ended, revoked(&[0, 1, 2, 3, 4, 5]));
    assert_eq!(open_ids(&store, now).await, [8, 7, 6].map(session_id));
    for (number, max_sessions) in [(9, 1), (10, 0)] {
        open_within(&store, &opened_at(number, now), max_sessions).await;
        assert_eq!(open_ids(&store, now).await, [session_id(number)], "the new session stays");
    }
}

pub(super) async fn opened_session_stays_despite_clock_skew(store: Store) {
    let now = START + MINUTE;
    for number in 1..3 {
        open(&store, &Session { opened_at: now + HOUR, ..opened_at(number, now) }).await;
    }
    assert_eq!(
        open_within(&store, &opened_at(3, now), 2).await,
        revoked(&[1]),
        "of sessions opened at one moment the lower id is older"
    );
    assert_eq!(open_ids(&store, now).await, [2, 3].map(session_id));
}

pub(super) async fn expired_sessions_do_not_count(store: Store) {
    for number in 0..4 {
        open(&store, &nth(number)).await;
    }
    let now = START + HOUR + SECOND;
    // Two sessions have expired, and one was ended.
    store.end_sessions(user(1), SignOutScope::One(session_id(2)), None, UNTIL, START + MINUTE).await.unwrap();
    assert_eq!(open_within(&store, &opened_at(5, now), 2).await, []);
    assert_eq!(open_ids(&store, now).await, [5, 3].map(session_id));
    assert_eq!(targets(&store).await, [Target::Session(session_id(2))], "expiry publishes no revocation");
}

pub(super) async fn superseded_sign_in_ends_no_session(store: Store) {
    let (read, changed) = (START - DAY, START);
    store.end_sessions(user(1), SignOutScope::All, Some(changed), UNTIL, START).await.unwrap();
    let (_, cursor) = read_all(&store, &Cursor::start()).await;
    for number in 1..3 {
        assert_eq!(open_by(&store, &nth(number), changed).await, OPENED);
    }
    let refused = store.open_session(&nth(3), NETWORK, read, 1, UNTIL).await.unwrap();
    assert_eq!(refused, Opened::Superseded);
    assert_eq!(open_ids(&store, START + MINUTE).await, [2, 1].map(session_id));
    assert_eq!(read_all(&store, &cursor).await.0, []);
}

pub(super) async fn concurrently_opened_sessions_respect_the_limit(store: Store) {
    let ended = run_concurrently(40, |number| {
        let store = store.clone();
        async move { open_within(&store, &nth(number as u128), 5).await }
    })
    .await;
    let now = START + MINUTE;
    let left: HashSet<_> = open_ids(&store, now).await.into_iter().map(Target::Session).collect();
    assert_eq!(left.len(), 5);
    let published: HashSet<_> = targets(&store).await.into_iter().collect();
    let returned: HashSet<_> = ended.into_iter().flatten().map(|revocation| revocation.target).collect();
    assert_eq!(returned, published, "callers get what followers get");
    assert_eq!(published.len(), 35);
    assert!(published.is_disjoint(&left));
    for number in 0..40 {
        let is_open = left.contains(&Target::Session(session_id(number)));
        let result = store.rotate_refresh_token(rotate_request(&nth(number), 0), now).await.unwrap();
        assert_eq!(matches!(result, Rotation::Rotated(_)), is_open, "{number}: {result:?}");
    }
}
