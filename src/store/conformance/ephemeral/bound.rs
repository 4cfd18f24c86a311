//! How many sessions a user may have.

use std::collections::HashSet;

use super::*;
use crate::store::ephemeral::SignOutScope;

const UNTIL: Timestamp = Timestamp::from_secs(2_000_010_000);

/// Opens under a bound, and says which sessions that ended.
async fn beyond(store: &Store, session: &Session, most: u32) -> Vec<Revocation> {
    match store.open_session(session, Timestamp::default(), most, UNTIL).await.unwrap() {
        Opened::Opened { ended } => ended,
        Opened::Superseded => panic!("nothing was ended for good"),
    }
}

/// Sessions opened a second apart, the first of them at [`START`].
fn nth(number: u128) -> Session {
    opened_at(number, START + SECOND * number as u32)
}

async fn left(store: &Store, now: Timestamp) -> Vec<SessionId> {
    store.sessions(user(1), now).await.unwrap().into_iter().map(|session| session.id).collect()
}

fn over(numbers: &[u128]) -> Vec<Revocation> {
    let revocation = |number: &u128| Revocation { target: Target::Session(session_id(*number)), until: UNTIL };
    numbers.iter().map(revocation).collect()
}

pub(super) async fn the_oldest_beyond_the_most_end(store: Store) {
    let bystander = Session { user: user(2), ..session(9) };
    open(&store, &bystander).await;
    let (_, place) = read_on(&store, &Cursor::start()).await;
    for number in 0..3 {
        assert_eq!(beyond(&store, &nth(number), 3).await, []);
    }
    // The first has been used since: it is still the oldest.
    let now = START + MINUTE;
    rotated(store.rotate_refresh_token(presented(&nth(0), 0), now).await.unwrap());
    assert_eq!(beyond(&store, &opened_at(3, now), 3).await, over(&[0]));
    assert_eq!(read_on(&store, &place).await.0, over(&[0]), "the others hear it too");
    for counter in 0..3 {
        assert_eq!(store.rotate_refresh_token(presented(&nth(0), counter), now).await.unwrap(), Rotation::Absent);
    }
    assert_eq!(store.session(user(1), session_id(0), now).await.unwrap(), None);
    assert_eq!(left(&store, now).await, [3, 2, 1].map(session_id));
    assert_eq!(beyond(&store, &opened_at(4, now), 3).await, over(&[1]));
    assert_eq!(left(&store, now).await, [4, 3, 2].map(session_id));
    rotated(store.rotate_refresh_token(presented(&nth(2), 0), now).await.unwrap());
    assert_eq!(store.sessions(user(2), now).await.unwrap(), [bystander]);
}

pub(super) async fn a_bound_that_was_lowered_ends_all_beyond_it(store: Store) {
    for number in 0..8 {
        open(&store, &nth(number)).await;
    }
    let now = START + MINUTE;
    let mut ended = beyond(&store, &opened_at(8, now), 3).await;
    assert_eq!(read_on(&store, &Cursor::start()).await.0, ended);
    ended.sort_by_key(|revocation| format!("{revocation:?}"));
    assert_eq!(ended, over(&[0, 1, 2, 3, 4, 5]));
    assert_eq!(left(&store, now).await, [8, 7, 6].map(session_id));
    for (number, most) in [(9, 1), (10, 0)] {
        beyond(&store, &opened_at(number, now), most).await;
        assert_eq!(left(&store, now).await, [session_id(number)], "the one opened stays");
    }
}

pub(super) async fn what_is_opened_stays_whatever_the_clocks_say(store: Store) {
    let now = START + MINUTE;
    for number in 1..3 {
        open(&store, &Session { opened_at: now + HOUR, ..opened_at(number, now) }).await;
    }
    assert_eq!(beyond(&store, &opened_at(3, now), 2).await, over(&[1]), "of one moment, the lower id is the older");
    assert_eq!(left(&store, now).await, [2, 3].map(session_id));
}

pub(super) async fn what_is_over_counts_for_nothing(store: Store) {
    for number in 0..4 {
        open(&store, &nth(number)).await;
    }
    let now = START + HOUR + SECOND;
    // Two have expired, and one has been ended.
    store.end_sessions(user(1), SignOutScope::One(session_id(2)), None, UNTIL, START + MINUTE).await.unwrap();
    assert_eq!(beyond(&store, &opened_at(5, now), 2).await, []);
    assert_eq!(left(&store, now).await, [5, 3].map(session_id));
    assert_eq!(targets(&store).await, [Target::Session(session_id(2))], "to expire is not to be revoked");
}

pub(super) async fn a_refused_sign_in_ends_nothing(store: Store) {
    let (read, changed) = (START - DAY, START);
    store.end_sessions(user(1), SignOutScope::All, Some(changed), UNTIL, START).await.unwrap();
    let (_, place) = read_on(&store, &Cursor::start()).await;
    for number in 1..3 {
        assert_eq!(open_by(&store, &nth(number), changed).await, OPENED);
    }
    let refused = store.open_session(&nth(3), read, 1, UNTIL).await.unwrap();
    assert_eq!(refused, Opened::Superseded);
    assert_eq!(left(&store, START + MINUTE).await, [2, 1].map(session_id));
    assert_eq!(read_on(&store, &place).await.0, []);
}

pub(super) async fn sessions_opened_at_once_stay_within_the_bound(store: Store) {
    let ended = together(40, |number| {
        let store = store.clone();
        async move { beyond(&store, &nth(number as u128), 5).await }
    })
    .await;
    let now = START + MINUTE;
    let left: HashSet<_> = left(&store, now).await.into_iter().map(Target::Session).collect();
    assert_eq!(left.len(), 5);
    let heard: HashSet<_> = targets(&store).await.into_iter().collect();
    let told: HashSet<_> = ended.into_iter().flatten().map(|revocation| revocation.target).collect();
    assert_eq!(told, heard, "whoever ended one knows what the others hear");
    assert_eq!(heard.len(), 35);
    assert!(heard.is_disjoint(&left));
    for number in 0..40 {
        let kept = left.contains(&Target::Session(session_id(number)));
        let answer = store.rotate_refresh_token(presented(&nth(number), 0), now).await.unwrap();
        assert_eq!(matches!(answer, Rotation::Rotated(_)), kept, "{number}: {answer:?}");
    }
}
