//! Replacing what the tokens of open sessions say.

use std::collections::HashSet;

use super::*;
use crate::store::ephemeral::SignOutScope;

const NEW: &str = r#"{"email":"ada@example.com","name":"\"Ada' \u00e9 é"}"#;

async fn set(store: &Store, profile: &str, now: Timestamp) -> u64 {
    store.set_profile(user(1), profile, now).await.unwrap()
}

fn saying(session: Session, profile: &str) -> Session {
    Session { profile: profile.to_owned(), ..session }
}

pub(super) async fn a_profile_is_replaced_in_all_open_sessions_and_nothing_else_is(store: Store) {
    let bystander = Session { user: user(2), ..session(9) };
    open(&store, &bystander).await;
    for number in 1..=3 {
        open(&store, &opened_at(number, START + SECOND * number as u32)).await;
    }
    let now = START + MINUTE;
    rotated(store.rotate_refresh_token(presented(&session(1), 0), now).await.unwrap());
    store.rotate_refresh_token(RotateRequest { rotate: false, ..presented(&session(2), 0) }, now).await.unwrap();
    let before = store.sessions(user(1), now).await.unwrap();

    let later = now + SECOND;
    assert_eq!(set(&store, NEW, later).await, 3);
    let after: Vec<_> = before.into_iter().map(|session| saying(session, NEW)).collect();
    assert_eq!(store.sessions(user(1), later).await.unwrap(), after);
    for session in &after {
        assert_eq!(store.session(user(1), session.id, later).await.unwrap().as_ref(), Some(session));
    }
    assert_eq!(store.sessions(user(2), later).await.unwrap(), [bystander]);
    assert_eq!(targets(&store).await, [], "nothing is revoked by it");

    let (repeated, still) = (presented(&session(1), 0), RotateRequest { rotate: false, ..presented(&session(2), 0) });
    assert_eq!(store.rotate_refresh_token(repeated, later).await.unwrap(), Rotation::Repeated(after[2].standing()));
    assert_eq!(rotated(store.rotate_refresh_token(still, later).await.unwrap()), after[1].standing());
    let next = Session { counter: 1, used_at: later, rotated_at: later, ..after[0].clone() }.standing();
    assert_eq!(rotated(store.rotate_refresh_token(presented(&session(3), 0), later).await.unwrap()), next);

    assert_eq!(set(&store, "", later).await, 3, "it may be empty, and be replaced again");
    assert!(store.sessions(user(1), later).await.unwrap().iter().all(|session| session.profile.is_empty()));
}

pub(super) async fn a_replaced_profile_prolongs_nothing(store: Store) {
    let (idle, ending) = (session(1), Session { idle: DAY * 7, ..session(2) });
    for session in [&idle, &ending] {
        open(&store, session).await;
    }
    let token = |session: &Session| RotateRequest { rotate: false, ..presented(session, 0) };
    for (session, open) in [(idle, 2), (ending, 1)] {
        let end = session.expires_at();
        assert_eq!(set(&store, NEW, end - MILLISECOND).await, open);
        assert!(matches!(
            store.rotate_refresh_token(token(&session), end - MILLISECOND).await.unwrap(),
            Rotation::Rotated(_)
        ));
        assert_eq!(store.rotate_refresh_token(token(&session), end).await.unwrap(), Rotation::Absent);
        assert_eq!(set(&store, NEW, end).await, open - 1);
        assert_eq!(store.rotate_refresh_token(token(&session), end).await.unwrap(), Rotation::Absent);
        assert_eq!(store.session(user(1), session.id, end).await.unwrap(), None);
    }
}

pub(super) async fn what_is_over_gets_no_profile(store: Store) {
    assert_eq!(set(&store, NEW, START).await, 0, "a user without sessions");
    assert_eq!(store.sessions(user(1), START).await.unwrap(), []);
    for number in 1..=3 {
        open(&store, &session(number)).await;
    }
    store.end_sessions(user(1), Which::One(session_id(1)), None, START + DAY, START).await.unwrap();
    for counter in 0..2 {
        rotated(store.rotate_refresh_token(presented(&session(2), counter), START).await.unwrap());
    }
    assert_eq!(store.rotate_refresh_token(presented(&session(2), 0), START).await.unwrap(), Rotation::Reused);
    let heard = targets(&store).await;

    assert_eq!(set(&store, NEW, START).await, 1);
    let left = saying(session(3), NEW);
    assert_eq!(store.sessions(user(1), START).await.unwrap(), std::slice::from_ref(&left));
    for number in 1..=2 {
        assert_eq!(store.session(user(1), session_id(number), START).await.unwrap(), None);
        for counter in 0..4 {
            let answer = store.rotate_refresh_token(presented(&session(number), counter), START).await.unwrap();
            assert_eq!(answer, Rotation::Absent);
        }
    }
    store.end_sessions(user(1), Which::All, None, START + DAY, START).await.unwrap();
    assert_eq!(set(&store, NEW, START).await, 0);
    assert_eq!(store.sessions(user(1), START).await.unwrap(), []);
    assert_eq!(targets(&store).await.len(), heard.len() + 1, "only the ending was published");
}

pub(super) async fn profiles_replaced_at_once_are_one_in_the_end(store: Store) {
    for number in 0..8 {
        open(&store, &session(number)).await;
    }
    let profiles = |sessions: Vec<Session>| {
        sessions.into_iter().map(|session| session.profile).collect::<HashSet<_>>().into_iter().collect::<Vec<_>>()
    };
    let seen = together(40, |number| {
        let store = store.clone();
        async move {
            assert_eq!(set(&store, &format!("{number}"), START).await, 8);
            store.sessions(user(1), START).await.unwrap()
        }
    })
    .await;
    for seen in seen {
        assert_eq!(profiles(seen).len(), 1, "it is one step for all of them");
    }
    let left = profiles(store.sessions(user(1), START).await.unwrap());
    assert!(left.len() == 1 && left[0].parse::<u32>().is_ok_and(|number| number < 40), "{left:?}");
}

pub(super) async fn neither_a_rotation_nor_a_profile_is_lost_by_the_other(store: Store) {
    for number in 0..20 {
        open(&store, &session(number)).await;
    }
    let now = START + MINUTE;
    together(40, |number| {
        let store = store.clone();
        async move {
            match number {
                0..20 => {
                    _ = rotated(store.rotate_refresh_token(presented(&session(number as u128), 0), now).await.unwrap())
                }
                20..30 => _ = set(&store, NEW, now).await,
                _ => open(&store, &saying(opened_at(number as u128, now), NEW)).await,
            }
        }
    })
    .await;
    let found = store.sessions(user(1), now).await.unwrap();
    assert_eq!(found.len(), 30);
    for session in found {
        let rotations = u64::from(session.opened_at == START);
        assert_eq!((session.counter, session.rotated_at, session.profile.as_str()), (rotations, now, NEW));
    }
}

pub(super) async fn an_ending_and_a_profile_may_meet(store: Store) {
    for number in 0..20 {
        open(&store, &session(number)).await;
    }
    together(40, |number| {
        let store = store.clone();
        async move {
            if number < 20 {
                let which = SignOutScope::One(session_id(number as u128));
                assert_eq!(store.end_sessions(user(1), which, None, START + DAY, START).await.unwrap().count, 1);
            } else {
                set(&store, NEW, START).await;
            }
        }
    })
    .await;
    assert_eq!(store.sessions(user(1), START).await.unwrap(), []);
    for number in 0..20 {
        assert_eq!(store.session(user(1), session_id(number), START).await.unwrap(), None);
        assert_eq!(store.rotate_refresh_token(presented(&session(number), 0), START).await.unwrap(), Rotation::Absent);
    }
}
