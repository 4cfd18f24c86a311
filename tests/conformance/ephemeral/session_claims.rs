//! Replacing the claims of open sessions.

use std::collections::HashSet;

use super::*;
use signet::store::ephemeral::{SessionClaims, SignOutScope};

const NEW: &str = r#"{"email":"ada@example.com","name":"\"Ada' \u00e9 é"}"#;

/// Sets both kinds of claims to this text.
async fn set_claims(store: &Store, text: &str, now: Timestamp) -> u64 {
    let claims = SessionClaims { claims: text.to_owned(), custom_claims: text.to_owned() };
    store.set_claims(user(1), &claims, now).await.unwrap()
}

fn with_claims(session: Session, text: &str) -> Session {
    Session { claims: text.to_owned(), custom_claims: text.to_owned(), ..session }
}

pub(super) async fn only_the_claims_of_open_sessions_are_replaced(store: Store) {
    let bystander = Session { user: user(2), ..session(9) };
    open(&store, &bystander).await;
    for number in 1..=3 {
        open(&store, &opened_at(number, START + SECOND * number as u32)).await;
    }
    let now = START + MINUTE;
    expect_rotated(store.rotate_refresh_token(rotate_request(&session(1), 0), now).await.unwrap());
    store.rotate_refresh_token(RotateRequest { rotate: false, ..rotate_request(&session(2), 0) }, now).await.unwrap();
    let before = store.sessions(user(1), now).await.unwrap();

    let later = now + SECOND;
    assert_eq!(set_claims(&store, NEW, later).await, 3);
    let after: Vec<_> = before.into_iter().map(|session| with_claims(session, NEW)).collect();
    assert_eq!(store.sessions(user(1), later).await.unwrap(), after);
    for session in &after {
        assert_eq!(store.session(user(1), session.id, later).await.unwrap().as_ref(), Some(session));
    }
    assert_eq!(store.sessions(user(2), later).await.unwrap(), [bystander]);
    assert_eq!(targets(&store).await, [], "no revocation is published");

    let (replay, still) =
        (rotate_request(&session(1), 0), RotateRequest { rotate: false, ..rotate_request(&session(2), 0) });
    assert_eq!(store.rotate_refresh_token(replay, later).await.unwrap(), Rotation::Replayed(after[2].snapshot()));
    assert_eq!(expect_rotated(store.rotate_refresh_token(still, later).await.unwrap()), after[1].snapshot());
    let next = Session { counter: 1, used_at: later, rotated_at: later, ..after[0].clone() }.snapshot();
    assert_eq!(expect_rotated(store.rotate_refresh_token(rotate_request(&session(3), 0), later).await.unwrap()), next);

    assert_eq!(set_claims(&store, "", later).await, 3, "claims may be empty and be replaced again");
    let is_empty = |session: &Session| session.claims.is_empty() && session.custom_claims.is_empty();
    assert!(store.sessions(user(1), later).await.unwrap().iter().all(is_empty));
}

pub(super) async fn replacing_claims_extends_no_session(store: Store) {
    let (idle, ending) = (session(1), Session { idle_timeout: DAY * 7, ..session(2) });
    for session in [&idle, &ending] {
        open(&store, session).await;
    }
    let token = |session: &Session| RotateRequest { rotate: false, ..rotate_request(session, 0) };
    for (session, open) in [(idle, 2), (ending, 1)] {
        let end = session.expires_at();
        assert_eq!(set_claims(&store, NEW, end - MILLISECOND).await, open);
        assert!(matches!(
            store.rotate_refresh_token(token(&session), end - MILLISECOND).await.unwrap(),
            Rotation::Rotated(_)
        ));
        assert_eq!(store.rotate_refresh_token(token(&session), end).await.unwrap(), Rotation::NotFound);
        assert_eq!(set_claims(&store, NEW, end).await, open - 1);
        assert_eq!(store.rotate_refresh_token(token(&session), end).await.unwrap(), Rotation::NotFound);
        assert_eq!(store.session(user(1), session.id, end).await.unwrap(), None);
    }
}

pub(super) async fn ended_sessions_get_no_claims(store: Store) {
    assert_eq!(set_claims(&store, NEW, START).await, 0, "a user without sessions");
    assert_eq!(store.sessions(user(1), START).await.unwrap(), []);
    for number in 1..=3 {
        open(&store, &session(number)).await;
    }
    store.end_sessions(user(1), SignOutScope::One(session_id(1)), None, START + DAY, START).await.unwrap();
    for counter in 0..2 {
        expect_rotated(store.rotate_refresh_token(rotate_request(&session(2), counter), START).await.unwrap());
    }
    assert_eq!(store.rotate_refresh_token(rotate_request(&session(2), 0), START).await.unwrap(), Rotation::Reused);
    let before = targets(&store).await;

    assert_eq!(set_claims(&store, NEW, START).await, 1);
    let left = with_claims(session(3), NEW);
    assert_eq!(store.sessions(user(1), START).await.unwrap(), std::slice::from_ref(&left));
    for number in 1..=2 {
        assert_eq!(store.session(user(1), session_id(number), START).await.unwrap(), None);
        for counter in 0..4 {
            let result = store.rotate_refresh_token(rotate_request(&session(number), counter), START).await.unwrap();
            assert_eq!(result, Rotation::NotFound);
        }
    }
    store.end_sessions(user(1), SignOutScope::All, None, START + DAY, START).await.unwrap();
    assert_eq!(set_claims(&store, NEW, START).await, 0);
    assert_eq!(store.sessions(user(1), START).await.unwrap(), []);
    assert_eq!(targets(&store).await.len(), before.len() + 1, "only the end of the sessions was published");
}

pub(super) async fn concurrent_claims_changes_leave_one_result(store: Store) {
    for number in 0..8 {
        open(&store, &session(number)).await;
    }
    let all_claims = |sessions: Vec<Session>| {
        sessions.into_iter().map(|session| session.claims).collect::<HashSet<_>>().into_iter().collect::<Vec<_>>()
    };
    let seen = run_concurrently(40, |number| {
        let store = store.clone();
        async move {
            assert_eq!(set_claims(&store, &format!("{number}"), START).await, 8);
            store.sessions(user(1), START).await.unwrap()
        }
    })
    .await;
    for seen in seen {
        assert_eq!(all_claims(seen).len(), 1, "all sessions change in one step");
    }
    let left = all_claims(store.sessions(user(1), START).await.unwrap());
    assert!(left.len() == 1 && left[0].parse::<u32>().is_ok_and(|number| number < 40), "{left:?}");
}

pub(super) async fn concurrent_rotation_and_claims_change_both_apply(store: Store) {
    for number in 0..20 {
        open(&store, &session(number)).await;
    }
    let now = START + MINUTE;
    run_concurrently(40, |number| {
        let store = store.clone();
        async move {
            match number {
                0..20 => {
                    _ = expect_rotated(
                        store.rotate_refresh_token(rotate_request(&session(number as u128), 0), now).await.unwrap(),
                    )
                }
                20..30 => _ = set_claims(&store, NEW, now).await,
                _ => open(&store, &with_claims(opened_at(number as u128, now), NEW)).await,
            }
        }
    })
    .await;
    let found = store.sessions(user(1), now).await.unwrap();
    assert_eq!(found.len(), 30);
    for session in found {
        let rotations = u64::from(session.opened_at == START);
        assert_eq!((session.counter, session.rotated_at, session.claims.as_str()), (rotations, now, NEW));
    }
}

pub(super) async fn concurrent_claims_change_revives_no_ended_session(store: Store) {
    for number in 0..20 {
        open(&store, &session(number)).await;
    }
    run_concurrently(40, |number| {
        let store = store.clone();
        async move {
            if number < 20 {
                let scope = SignOutScope::One(session_id(number as u128));
                assert_eq!(store.end_sessions(user(1), scope, None, START + DAY, START).await.unwrap().count, 1);
            } else {
                set_claims(&store, NEW, START).await;
            }
        }
    })
    .await;
    assert_eq!(store.sessions(user(1), START).await.unwrap(), []);
    for number in 0..20 {
        assert_eq!(store.session(user(1), session_id(number), START).await.unwrap(), None);
        assert_eq!(
            store.rotate_refresh_token(rotate_request(&session(number), 0), START).await.unwrap(),
            Rotation::NotFound
        );
    }
}
