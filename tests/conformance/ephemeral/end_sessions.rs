//! Ending sessions, with sign-ins and refreshes under way.

use super::*;
use signet::store::ephemeral::{Ended, SignOutScope};

const UNTIL: Timestamp = Timestamp::from_secs(2_000_010_000);

/// Opens three sessions of the first user and one of the second. Returns the cursor after everything published so far.
async fn open_four(store: &Store) -> Cursor {
    for number in 1..=3 {
        open(store, &opened_at(number, START + SECOND * number as u32)).await;
    }
    open(store, &Session { user: user(2), ..session(9) }).await;
    read_all(store, &Cursor::start()).await.1
}

async fn open_ids(store: &Store, now: Timestamp) -> Vec<SessionId> {
    let sessions = store.sessions(user(1), now).await.unwrap();
    assert_eq!(store.sessions(user(2), now).await.unwrap().len(), 1, "another user's session is not touched");
    sessions.into_iter().map(|session| session.id).collect()
}

async fn assert_ended(store: &Store, number: u128, now: Timestamp) {
    let session = session(number);
    assert_eq!(store.session(session.user, session.id, now).await.unwrap(), None);
    for counter in 0..2 {
        assert_eq!(
            store.rotate_refresh_token(rotate_request(&session, counter), now).await.unwrap(),
            Rotation::NotFound
        );
    }
}

pub(super) async fn ending_one_session_keeps_the_others(store: Store) {
    let cursor = open_four(&store).await;
    let now = START + MINUTE;
    let scope = SignOutScope::One(session_id(2));
    let ended = store.end_sessions(user(1), scope, None, UNTIL, now).await.unwrap();
    assert_ended(&store, 2, now).await;
    assert_eq!(open_ids(&store, now).await, [3, 1].map(session_id));
    let (seen, _) = read_all(&store, &cursor).await;
    assert_eq!(seen, [Revocation { target: Target::Session(session_id(2)), expires_at: UNTIL }]);
    assert_eq!(ended, Ended { count: 1, revocations: seen });

    let nothing = Ended { count: 0, revocations: Vec::new() };
    assert_eq!(store.end_sessions(user(1), scope, None, UNTIL, now).await.unwrap(), nothing);
    let foreign = SignOutScope::One(session_id(9));
    assert_eq!(store.end_sessions(user(1), foreign, None, UNTIL, now).await.unwrap(), nothing);
    assert_eq!(open_ids(&store, now).await, [3, 1].map(session_id));
}

pub(super) async fn ending_the_other_sessions_keeps_this_one(store: Store) {
    let cursor = open_four(&store).await;
    let now = START + MINUTE;
    let ended = store.end_sessions(user(1), SignOutScope::Others(session_id(2)), None, UNTIL, now).await.unwrap();
    assert_eq!(ended.count, 2);
    assert_ended(&store, 1, now).await;
    assert_ended(&store, 3, now).await;
    assert_eq!(open_ids(&store, now).await, [session_id(2)]);
    expect_rotated(store.rotate_refresh_token(rotate_request(&session(2), 0), now).await.unwrap());

    let (mut seen, _) = read_all(&store, &cursor).await;
    assert_eq!(ended.revocations, seen, "the caller gets what followers get");
    seen.sort_by_key(|revocation| format!("{revocation:?}"));
    let expected = [1, 3].map(|n| Revocation { target: Target::Session(session_id(n)), expires_at: UNTIL });
    assert_eq!(seen, expected);
}

pub(super) async fn ending_all_sessions_publishes_one_user_revocation(store: Store) {
    let cursor = open_four(&store).await;
    let now = START + MINUTE;
    assert_eq!(store.end_sessions(user(1), SignOutScope::All, None, UNTIL, now).await.unwrap().count, 3);
    for number in 1..=3 {
        assert_ended(&store, number, now).await;
    }
    assert_eq!(open_ids(&store, now).await, []);
    let (seen, cursor) = read_all(&store, &cursor).await;
    assert_eq!(seen, [Revocation { target: Target::User { user: user(1), before: now }, expires_at: UNTIL }]);

    // Tokens can outlive their session, so the user is revoked even if no session is left.
    assert_eq!(store.end_sessions(user(1), SignOutScope::All, None, UNTIL, now + SECOND).await.unwrap().count, 0);
    let (seen, _) = read_all(&store, &cursor).await;
    assert_eq!(seen, [Revocation { target: Target::User { user: user(1), before: now + SECOND }, expires_at: UNTIL }]);

    open(&store, &opened_at(4, now + SECOND)).await;
    assert_eq!(
        open_ids(&store, now + SECOND).await,
        [session_id(4)],
        "without a mark the user can sign in again immediately"
    );
}

pub(super) async fn ending_all_covers_sessions_opened_by_a_clock_ahead(store: Store) {
    let cursor = open_four(&store).await;
    let ahead = START + HOUR;
    open(&store, &Session { opened_at: ahead, ..session(4) }).await;
    let now = START + MINUTE;
    assert_eq!(store.end_sessions(user(1), SignOutScope::All, None, UNTIL, now).await.unwrap().count, 4);
    let (seen, _) = read_all(&store, &cursor).await;
    assert_eq!(seen, [Revocation { target: Target::User { user: user(1), before: ahead }, expires_at: UNTIL }]);
}

pub(super) async fn mark_expires_by_now_and_not_by_opened_at(store: Store) {
    store.end_sessions(user(1), SignOutScope::All, Some(START), UNTIL, START).await.unwrap();
    let ahead = Session { opened_at: START + DAY, ..session(1) };
    assert_eq!(open_by(&store, &ahead, START - MILLISECOND).await, Opened::Superseded);
    assert_eq!(open_by(&store, &ahead, START).await, OPENED);
    assert_eq!(store.sessions(user(1), START).await.unwrap(), [ahead]);
}

pub(super) async fn expired_sessions_are_not_ended_again(store: Store) {
    open(&store, &session(1)).await;
    open(&store, &opened_at(2, START + MINUTE)).await;
    let now = START + HOUR;
    assert_eq!(store.end_sessions(user(1), SignOutScope::One(session_id(1)), None, UNTIL, now).await.unwrap().count, 0);
    assert_eq!(store.end_sessions(user(1), SignOutScope::All, None, UNTIL, now).await.unwrap().count, 1);
}

pub(super) async fn sign_in_under_way_is_superseded(store: Store) {
    let (read, changed) = (START - DAY, START);
    let now = START + MINUTE;
    open(&store, &session(1)).await;
    assert_eq!(store.end_sessions(user(1), SignOutScope::All, Some(changed), UNTIL, now).await.unwrap().count, 1);

    let kept = MINUTE * 10 - MILLISECOND;
    for later in [now, now + SECOND, now + kept] {
        assert_eq!(open_by(&store, &opened_at(2, later), read).await, Opened::Superseded);
        let just_before = changed - MILLISECOND;
        assert_eq!(open_by(&store, &opened_at(2, later), just_before).await, Opened::Superseded);
    }
    assert_eq!(store.sessions(user(1), now).await.unwrap(), []);
    assert_eq!(store.session(user(1), session_id(2), now).await.unwrap(), None);

    assert_eq!(open_by(&store, &opened_at(3, now), changed).await, OPENED);
    let other = Session { user: user(2), ..opened_at(4, now) };
    assert_eq!(open_by(&store, &other, read).await, OPENED);
}

pub(super) async fn sign_in_mark_never_decreases(store: Store) {
    let now = START + MINUTE;
    let end = |mark: Timestamp| store.end_sessions(user(1), SignOutScope::All, Some(mark), UNTIL, now);
    end(START).await.unwrap();
    end(START - HOUR).await.unwrap();
    let read = START - MILLISECOND;
    assert_eq!(open_by(&store, &opened_at(1, now), read).await, Opened::Superseded);
    assert_eq!(open_by(&store, &opened_at(1, now), START).await, OPENED);
}

pub(super) async fn no_concurrent_sign_in_survives_ending_all(store: Store) {
    let (read, changed) = (START - DAY, START);
    let now = START + MINUTE;
    let ended = run_concurrently(51, |number| {
        let store = store.clone();
        async move {
            if number == 25 {
                store.end_sessions(user(1), SignOutScope::All, Some(changed), UNTIL, now).await.unwrap().count
            } else {
                open_by(&store, &opened_at(number as u128, now), read).await;
                0
            }
        }
    })
    .await;
    assert!(ended.into_iter().sum::<u64>() <= 50);
    assert_eq!(store.sessions(user(1), now).await.unwrap(), [], "each was ended or refused");
}

pub(super) async fn no_concurrent_refresh_survives_ending_all(store: Store) {
    const SESSIONS: u128 = 20;
    for number in 0..SESSIONS {
        open(&store, &session(number)).await;
    }
    let now = START + MINUTE;
    let refreshing = tokio::spawn(run_concurrently(SESSIONS as usize, {
        let store = store.clone();
        move |number| {
            let (store, session) = (store.clone(), session(number as u128));
            async move {
                for counter in 0.. {
                    match store.rotate_refresh_token(rotate_request(&session, counter), now).await.unwrap() {
                        Rotation::Rotated(_) => {}
                        Rotation::NotFound => return counter,
                        other => panic!("token {counter}: {other:?}"),
                    }
                }
                unreachable!("a session ends")
            }
        }
    }));
    // The refreshes are certainly running once one session has been rotated a few times.
    while store.session(user(1), session_id(0), now).await.unwrap().is_some_and(|found| found.counter < 3) {
        tokio::task::yield_now().await;
    }
    assert_eq!(store.end_sessions(user(1), SignOutScope::All, None, UNTIL, now).await.unwrap().count, SESSIONS as u64);
    for number in 0..SESSIONS {
        assert_eq!(store.session(user(1), session_id(number), now).await.unwrap(), None);
    }
    assert!(refreshing.await.unwrap().into_iter().any(|counter| counter >= 3));
    assert_eq!(store.sessions(user(1), now).await.unwrap(), []);
}
