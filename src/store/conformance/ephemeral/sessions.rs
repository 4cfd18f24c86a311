//! Opening, rotating and expiring.

use std::collections::HashSet;

use super::*;

pub(super) async fn an_opened_session_is_found_as_it_was(store: Store) {
    let opened = session(1);
    open(&store, &opened).await;
    assert_eq!(store.session(opened.user, opened.id, START).await.unwrap(), Some(opened.clone()));
    assert_eq!(store.sessions(opened.user, START).await.unwrap(), std::slice::from_ref(&opened));
    assert_eq!(store.session(opened.user, session_id(2), START).await.unwrap(), None);
    assert_eq!(store.sessions(user(2), START).await.unwrap(), []);

    let bare = Session {
        dialect: String::new(),
        address: String::new(),
        agent: "\"'\\\n\u{1f98a}".repeat(20),
        profile: String::new(),
        counter: 7,
        ..session(2)
    };
    open(&store, &bare).await;
    assert_eq!(store.session(bare.user, bare.id, START).await.unwrap(), Some(bare));
}

pub(super) async fn sessions_opened_at_once_are_all_there(store: Store) {
    together(40, |number| {
        let store = store.clone();
        async move { open(&store, &session(number as u128)).await }
    })
    .await;
    let found: HashSet<_> = store.sessions(user(1), START).await.unwrap().into_iter().map(|found| found.id).collect();
    assert_eq!(found, (0..40).map(session_id).collect());
}

pub(super) async fn one_of_many_concurrent_rotations_wins(store: Store) {
    let opened = session(1);
    open(&store, &opened).await;
    let now = START + MINUTE;
    let answers = together(100, |_| {
        let (store, token) = (store.clone(), presented(&session(1), 0));
        async move { store.rotate_refresh_token(token, now).await.unwrap() }
    })
    .await;

    let after = Session { counter: 1, used_at: now, rotated_at: now, ..opened };
    assert_eq!(answers.iter().filter(|answer| **answer == Rotation::Rotated(after.standing())).count(), 1);
    assert_eq!(answers.iter().filter(|answer| **answer == Rotation::Repeated(after.standing())).count(), 99);
    assert_eq!(store.session(after.user, after.id, now).await.unwrap(), Some(after));
    assert_eq!(targets(&store).await, []);
}

pub(super) async fn a_repetition_ends_with_the_grace(store: Store) {
    let opened = session(1);
    open(&store, &opened).await;
    let now = START + MINUTE;
    let after = Session { counter: 1, used_at: now, rotated_at: now, ..opened.clone() };
    assert_eq!(rotated(store.rotate_refresh_token(presented(&opened, 0), now).await.unwrap()), after.standing());
    for later in [Duration::ZERO, MILLISECOND, GRACE] {
        let again = store.rotate_refresh_token(presented(&opened, 0), now + later).await.unwrap();
        assert_eq!(again, Rotation::Repeated(after.standing()), "{later:?} after the rotation");
    }
    let idle = RotateRequest { rotate: false, ..presented(&opened, 0) };
    assert_eq!(store.rotate_refresh_token(idle, now + GRACE).await.unwrap(), Rotation::Repeated(after.standing()));
    // A node whose clock is behind that of the node that rotated is within the grace too.
    assert_eq!(
        store.rotate_refresh_token(presented(&opened, 0), now - SECOND).await.unwrap(),
        Rotation::Repeated(after.standing())
    );
    assert_eq!(store.session(opened.user, opened.id, now).await.unwrap(), Some(after));
    assert_eq!(
        store.rotate_refresh_token(presented(&opened, 0), now + GRACE + MILLISECOND).await.unwrap(),
        Rotation::Reused
    );
}

pub(super) async fn without_grace_nothing_is_repeated(store: Store) {
    for (number, later) in [(1, Duration::ZERO), (2, MILLISECOND)] {
        let opened = session(number);
        open(&store, &opened).await;
        let ungraced = RotateRequest { grace: Duration::ZERO, ..presented(&opened, 0) };
        rotated(store.rotate_refresh_token(ungraced, START).await.unwrap());
        assert_eq!(store.rotate_refresh_token(ungraced, START + later).await.unwrap(), Rotation::Reused, "{later:?}");
    }
}

pub(super) async fn none_of_many_latecomers_is_answered(store: Store) {
    let opened = session(1);
    open(&store, &opened).await;
    let now = START + MINUTE;
    rotated(store.rotate_refresh_token(presented(&opened, 0), now).await.unwrap());
    let late = now + GRACE + MILLISECOND;
    let answers = together(100, |_| {
        let (store, token) = (store.clone(), presented(&session(1), 0));
        async move { store.rotate_refresh_token(token, late).await.unwrap() }
    })
    .await;
    // The first ends the session; whoever comes after it was published finds none.
    assert!(answers.contains(&Rotation::Reused));
    assert!(answers.iter().all(|answer| matches!(answer, Rotation::Reused | Rotation::Absent)), "{answers:?}");
    assert_eq!(store.sessions(opened.user, late).await.unwrap(), []);
    assert!(targets(&store).await.contains(&Target::Session(opened.id)));
}

pub(super) async fn a_token_two_behind_is_reuse_within_the_grace(store: Store) {
    let opened = session(1);
    open(&store, &opened).await;
    rotated(store.rotate_refresh_token(presented(&opened, 0), START).await.unwrap());
    rotated(store.rotate_refresh_token(presented(&opened, 1), START).await.unwrap());
    assert_eq!(store.rotate_refresh_token(presented(&opened, 0), START).await.unwrap(), Rotation::Reused);
}

pub(super) async fn reuse_ends_the_session_and_is_published(store: Store) {
    let (stolen, other) = (session(1), session(2));
    open(&store, &stolen).await;
    open(&store, &other).await;
    let (_, place) = read_on(&store, &Cursor::start()).await;
    for counter in 0..3 {
        rotated(store.rotate_refresh_token(presented(&stolen, counter), START).await.unwrap());
    }
    let token = RotateRequest { remember_until: START + HOUR, ..presented(&stolen, 1) };
    assert_eq!(store.rotate_refresh_token(token, START + SECOND).await.unwrap(), Rotation::Reused);

    let (seen, _) = store.follow(&place, Duration::ZERO).await.unwrap();
    assert_eq!(seen, [Revocation { target: Target::Session(stolen.id), until: START + HOUR }]);
    for counter in 0..5 {
        let answer = store.rotate_refresh_token(presented(&stolen, counter), START + SECOND).await.unwrap();
        assert_eq!(answer, Rotation::Absent, "token {counter} of a session that is over");
    }
    assert_eq!(store.session(stolen.user, stolen.id, START + SECOND).await.unwrap(), None);
    assert_eq!(store.sessions(stolen.user, START + SECOND).await.unwrap(), [other]);
}

pub(super) async fn a_token_ahead_of_the_store_is_in_force(store: Store) {
    let opened = session(1);
    open(&store, &opened).await;
    let now = START + MINUTE;
    let after = rotated(store.rotate_refresh_token(presented(&opened, 5), now).await.unwrap());
    assert_eq!(after, Session { counter: 6, used_at: now, rotated_at: now, ..opened.clone() }.standing());
    assert_eq!(store.rotate_refresh_token(presented(&opened, 5), now).await.unwrap(), Rotation::Repeated(after));

    let still = RotateRequest { rotate: false, ..presented(&opened, 9) };
    assert_eq!(rotated(store.rotate_refresh_token(still, now).await.unwrap()).counter, 9);
    let found = store.session(opened.user, opened.id, now).await.unwrap().unwrap();
    assert_eq!(found.counter, 9, "what was healed stays healed");
}

pub(super) async fn a_session_that_does_not_rotate_keeps_counter_and_lifetime(store: Store) {
    let opened = session(1);
    open(&store, &opened).await;
    let token = RotateRequest { rotate: false, ..presented(&opened, 0) };
    let now = START + MINUTE;
    let answers = together(20, |_| {
        let store = store.clone();
        async move { store.rotate_refresh_token(token, now).await.unwrap() }
    })
    .await;
    let after = Session { used_at: now, ..opened.clone() };
    assert!(answers.iter().all(|answer| *answer == Rotation::Rotated(after.standing())), "{answers:?}");
    assert_eq!(store.session(opened.user, opened.id, now).await.unwrap(), Some(after));

    let end = opened.expires_at();
    assert!(matches!(store.rotate_refresh_token(token, end - MILLISECOND).await.unwrap(), Rotation::Rotated(_)));
    assert_eq!(store.rotate_refresh_token(token, end).await.unwrap(), Rotation::Absent, "its idle time went on");
}

pub(super) async fn a_session_ends_when_it_was_idle(store: Store) {
    let opened = session(1);
    open(&store, &opened).await;
    let now = START + HOUR - MILLISECOND;
    let after = Session { counter: 1, used_at: now, rotated_at: now, ..opened.clone() };
    assert_eq!(rotated(store.rotate_refresh_token(presented(&opened, 0), now).await.unwrap()), after.standing());
    assert_eq!(after.expires_at(), now + HOUR);

    let end = after.expires_at();
    assert_eq!(store.session(opened.user, opened.id, end - MILLISECOND).await.unwrap(), Some(after));
    assert_eq!(store.rotate_refresh_token(presented(&opened, 1), end).await.unwrap(), Rotation::Absent);
    assert_eq!(store.session(opened.user, opened.id, end).await.unwrap(), None);
    assert_eq!(store.sessions(opened.user, end).await.unwrap(), []);
    assert_eq!(targets(&store).await, [], "to expire is not to be revoked");
}

pub(super) async fn a_session_ends_at_its_absolute_expiry(store: Store) {
    let opened = Session { idle: DAY * 7, ..session(1) };
    open(&store, &opened).await;
    let last = opened.ends_at - MILLISECOND;
    let after = rotated(store.rotate_refresh_token(presented(&opened, 0), last).await.unwrap());
    assert_eq!(after.expires_at, opened.ends_at);
    assert_eq!(store.rotate_refresh_token(presented(&opened, 1), opened.ends_at).await.unwrap(), Rotation::Absent);
    assert_eq!(store.session(opened.user, opened.id, opened.ends_at).await.unwrap(), None);
}

pub(super) async fn a_session_older_than_the_floor_is_absent(store: Store) {
    let opened = session(1);
    open(&store, &opened).await;
    let at = RotateRequest { floor: START, ..presented(&opened, 0) };
    rotated(store.rotate_refresh_token(at, START + SECOND).await.unwrap());
    let above = RotateRequest { floor: START + MILLISECOND, ..presented(&opened, 1) };
    assert_eq!(store.rotate_refresh_token(above, START + SECOND).await.unwrap(), Rotation::Absent);
    assert_eq!(targets(&store).await, []);
}

pub(super) async fn a_session_is_its_users_alone(store: Store) {
    let opened = session(1);
    open(&store, &opened).await;
    let foreign = RotateRequest { user: user(2), ..presented(&opened, 0) };
    assert_eq!(store.rotate_refresh_token(foreign, START).await.unwrap(), Rotation::Absent);
    assert_eq!(store.session(user(2), opened.id, START).await.unwrap(), None);
    assert_eq!(store.session(opened.user, opened.id, START).await.unwrap(), Some(opened));
}

pub(super) async fn sessions_come_newest_first_and_leave_when_over(store: Store) {
    let opened: Vec<_> = [3, 1, 2].map(|n| opened_at(n, START + MINUTE * n as u32)).into();
    for session in &opened {
        open(&store, session).await;
    }
    let now = START + MINUTE * 3;
    let ids = |sessions: Vec<Session>| sessions.into_iter().map(|session| session.id).collect::<Vec<_>>();
    assert_eq!(ids(store.sessions(user(1), now).await.unwrap()), [3, 2, 1].map(session_id));

    // The first is over an hour after it was opened; rotating the second keeps it.
    rotated(store.rotate_refresh_token(presented(&opened[2], 0), now).await.unwrap());
    let now = START + MINUTE + HOUR;
    assert_eq!(ids(store.sessions(user(1), now).await.unwrap()), [3, 2].map(session_id));
    let now = START + MINUTE * 3 + HOUR;
    assert_eq!(store.sessions(user(1), now).await.unwrap(), []);
    open(&store, &opened_at(4, now)).await;
    assert_eq!(ids(store.sessions(user(1), now).await.unwrap()), [session_id(4)]);
}
