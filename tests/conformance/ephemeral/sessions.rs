//! Opening, rotating and expiry of sessions.

use std::collections::HashSet;

use crate::conformance::Follow;
use signet::store::ephemeral::{OpenedIn, RequiredText};

use super::*;

pub(super) async fn opened_session_is_read_back_unchanged(store: Store) {
    let opened = session(1);
    open(&store, &opened).await;
    assert_eq!(store.session(opened.user, opened.id, START).await.unwrap(), Some(opened.clone()));
    assert_eq!(store.sessions(opened.user, START).await.unwrap(), std::slice::from_ref(&opened));
    assert_eq!(store.session(opened.user, session_id(2), START).await.unwrap(), None);
    assert_eq!(store.sessions(user(2), START).await.unwrap(), []);

    let bare = Session {
        dialect: String::new(),
        client_ip: String::new(),
        user_agent: "\"'\\\n\u{1f98a}".repeat(20),
        claims: String::new(),
        custom_claims: String::new(),
        counter: 7,
        ..session(2)
    };
    open(&store, &bare).await;
    assert_eq!(store.session(bare.user, bare.id, START).await.unwrap(), Some(bare));
}

pub(super) async fn concurrently_opened_sessions_all_exist(store: Store) {
    run_concurrently(40, |number| {
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
    let results = run_concurrently(100, |_| {
        let (store, token) = (store.clone(), rotate_request(&session(1), 0));
        async move { store.rotate_refresh_token(token, now).await.unwrap() }
    })
    .await;

    let after = Session { counter: 1, used_at: now, rotated_at: now, ..opened };
    assert_eq!(results.iter().filter(|result| **result == Rotation::Rotated(after.snapshot())).count(), 1);
    assert_eq!(results.iter().filter(|result| **result == Rotation::Replayed(after.snapshot())).count(), 99);
    assert_eq!(store.session(after.user, after.id, now).await.unwrap(), Some(after));
    assert_eq!(targets(&store).await, []);
}

pub(super) async fn replay_is_allowed_only_within_the_grace(store: Store) {
    let opened = session(1);
    open(&store, &opened).await;
    let now = START + MINUTE;
    let after = Session { counter: 1, used_at: now, rotated_at: now, ..opened.clone() };
    assert_eq!(
        expect_rotated(store.rotate_refresh_token(rotate_request(&opened, 0), now).await.unwrap()),
        after.snapshot()
    );
    for later in [Duration::ZERO, MILLISECOND, GRACE] {
        let again = store.rotate_refresh_token(rotate_request(&opened, 0), now + later).await.unwrap();
        assert_eq!(again, Rotation::Replayed(after.snapshot()), "{later:?} after the rotation");
    }
    let idle = RotateRequest { rotate: false, ..rotate_request(&opened, 0) };
    assert_eq!(store.rotate_refresh_token(idle, now + GRACE).await.unwrap(), Rotation::Replayed(after.snapshot()));
    // A node whose clock is behind that of the rotating node is within the grace too.
    assert_eq!(
        store.rotate_refresh_token(rotate_request(&opened, 0), now - SECOND).await.unwrap(),
        Rotation::Replayed(after.snapshot())
    );
    assert_eq!(store.session(opened.user, opened.id, now).await.unwrap(), Some(after));
    assert_eq!(
        store.rotate_refresh_token(rotate_request(&opened, 0), now + GRACE + MILLISECOND).await.unwrap(),
        Rotation::Reused
    );
}

pub(super) async fn zero_grace_allows_no_replay(store: Store) {
    for (number, later) in [(1, Duration::ZERO), (2, MILLISECOND)] {
        let opened = session(number);
        open(&store, &opened).await;
        let ungraced = RotateRequest { grace: Duration::ZERO, ..rotate_request(&opened, 0) };
        expect_rotated(store.rotate_refresh_token(ungraced, START).await.unwrap());
        assert_eq!(store.rotate_refresh_token(ungraced, START + later).await.unwrap(), Rotation::Reused, "{later:?}");
    }
}

pub(super) async fn concurrent_late_replays_are_all_refused(store: Store) {
    let opened = session(1);
    open(&store, &opened).await;
    let now = START + MINUTE;
    expect_rotated(store.rotate_refresh_token(rotate_request(&opened, 0), now).await.unwrap());
    let late = now + GRACE + MILLISECOND;
    let results = run_concurrently(100, |_| {
        let (store, token) = (store.clone(), rotate_request(&session(1), 0));
        async move { store.rotate_refresh_token(token, late).await.unwrap() }
    })
    .await;
    // The first one ends the session; callers after its deletion do not find it.
    assert!(results.contains(&Rotation::Reused));
    assert!(results.iter().all(|result| matches!(result, Rotation::Reused | Rotation::NotFound)), "{results:?}");
    assert_eq!(store.sessions(opened.user, late).await.unwrap(), []);
    assert!(targets(&store).await.contains(&Target::Session(opened.id)));
}

pub(super) async fn token_two_behind_is_reuse_even_within_the_grace(store: Store) {
    let opened = session(1);
    open(&store, &opened).await;
    expect_rotated(store.rotate_refresh_token(rotate_request(&opened, 0), START).await.unwrap());
    expect_rotated(store.rotate_refresh_token(rotate_request(&opened, 1), START).await.unwrap());
    assert_eq!(store.rotate_refresh_token(rotate_request(&opened, 0), START).await.unwrap(), Rotation::Reused);
}

pub(super) async fn reuse_ends_the_session_and_is_published(store: Store) {
    let (stolen, other) = (session(1), session(2));
    open(&store, &stolen).await;
    open(&store, &other).await;
    let (_, cursor) = read_all(&store, &Cursor::start()).await;
    for counter in 0..3 {
        expect_rotated(store.rotate_refresh_token(rotate_request(&stolen, counter), START).await.unwrap());
    }
    let token = RotateRequest { revocation_expires_at: START + HOUR, ..rotate_request(&stolen, 1) };
    assert_eq!(store.rotate_refresh_token(token, START + SECOND).await.unwrap(), Rotation::Reused);

    let (seen, _) = store.follow(&cursor, Duration::ZERO).await.unwrap();
    assert_eq!(seen, [Revocation { target: Target::Session(stolen.id), expires_at: START + HOUR }]);
    for counter in 0..5 {
        let result = store.rotate_refresh_token(rotate_request(&stolen, counter), START + SECOND).await.unwrap();
        assert_eq!(result, Rotation::NotFound, "token {counter} of an ended session");
    }
    assert_eq!(store.session(stolen.user, stolen.id, START + SECOND).await.unwrap(), None);
    assert_eq!(store.sessions(stolen.user, START + SECOND).await.unwrap(), [other]);
}

pub(super) async fn token_ahead_of_the_store_is_accepted(store: Store) {
    let opened = session(1);
    open(&store, &opened).await;
    let now = START + MINUTE;
    let after = expect_rotated(store.rotate_refresh_token(rotate_request(&opened, 5), now).await.unwrap());
    assert_eq!(after, Session { counter: 6, used_at: now, rotated_at: now, ..opened.clone() }.snapshot());
    assert_eq!(store.rotate_refresh_token(rotate_request(&opened, 5), now).await.unwrap(), Rotation::Replayed(after));

    let still = RotateRequest { rotate: false, ..rotate_request(&opened, 9) };
    assert_eq!(expect_rotated(store.rotate_refresh_token(still, now).await.unwrap()).counter, 9);
    let found = store.session(opened.user, opened.id, now).await.unwrap().unwrap();
    assert_eq!(found.counter, 9, "the higher counter is stored");
}

pub(super) async fn refresh_without_rotation_keeps_counter_and_lifetime(store: Store) {
    let opened = session(1);
    open(&store, &opened).await;
    let token = RotateRequest { rotate: false, ..rotate_request(&opened, 0) };
    let now = START + MINUTE;
    let results = run_concurrently(20, |_| {
        let store = store.clone();
        async move { store.rotate_refresh_token(token, now).await.unwrap() }
    })
    .await;
    let after = Session { used_at: now, ..opened.clone() };
    assert!(results.iter().all(|result| *result == Rotation::Rotated(after.snapshot())), "{results:?}");
    assert_eq!(store.session(opened.user, opened.id, now).await.unwrap(), Some(after));

    let end = opened.expires_at();
    assert!(matches!(store.rotate_refresh_token(token, end - MILLISECOND).await.unwrap(), Rotation::Rotated(_)));
    assert_eq!(
        store.rotate_refresh_token(token, end).await.unwrap(),
        Rotation::NotFound,
        "its idle time was not extended"
    );
}

/// A set of one or two dialects.
fn opened_in(first: &'static str, second: Option<&'static str>) -> OpenedIn {
    OpenedIn::OneOf([Some(first), second, None, None, None, None])
}

fn with_conditions(request: RotateRequest, opened_in: OpenedIn, required: Option<RequiredText>) -> RotateRequest {
    RotateRequest { conditions: SessionConditions { opened_in, required }, ..request }
}

pub(super) async fn session_of_a_dialect_that_is_not_accepted_is_not_found(store: Store) {
    let opened = session(1);
    open(&store, &opened).await;
    let now = START + SECOND;
    for rotate in [true, false] {
        let request = RotateRequest { rotate, ..rotate_request(&opened, 0) };
        for other in [opened_in("nativ", None), opened_in("native2", Some("ative")), OpenedIn::OneOf([None; 6])] {
            let result = store.rotate_refresh_token(with_conditions(request, other, None), now).await.unwrap();
            assert_eq!(result, Rotation::NotFound, "{other:?}");
        }
    }
    assert_eq!(store.session(opened.user, opened.id, now).await.unwrap(), Some(opened.clone()), "nothing has changed");
    for accepted in [opened_in("v1", Some("native")), opened_in("native", None), OpenedIn::Any] {
        let request = RotateRequest { rotate: false, ..rotate_request(&opened, 0) };
        expect_rotated(store.rotate_refresh_token(with_conditions(request, accepted, None), now).await.unwrap());
    }
    expect_rotated(store.rotate_refresh_token(rotate_request(&opened, 0), now).await.unwrap());
    // Within the grace, too.
    let replay = with_conditions(rotate_request(&opened, 0), opened_in("v1", None), None);
    assert_eq!(store.rotate_refresh_token(replay, now).await.unwrap(), Rotation::NotFound);
    assert!(matches!(
        store.rotate_refresh_token(rotate_request(&opened, 0), now).await.unwrap(),
        Rotation::Replayed(_)
    ));
}

pub(super) async fn session_without_the_required_text_is_left_unchanged(store: Store) {
    let opened = Session { claims: r#","name":"%a.*[x]","verified":false"#.into(), ..session(1) };
    open(&store, &opened).await;
    let now = START + SECOND;
    let required = |text, of| Some(RequiredText { text, of });
    let request = |required| with_conditions(rotate_request(&opened, 0), OpenedIn::Any, required);
    for (of, text) in [(OpenedIn::Any, r#""verified":true"#), (opened_in("native", None), "%a.*[y]")] {
        let result = store.rotate_refresh_token(request(required(text, of)), now).await.unwrap();
        assert_eq!(result, Rotation::RequirementUnmet, "{text}");
    }
    assert_eq!(store.session(opened.user, opened.id, now).await.unwrap(), Some(opened.clone()), "nothing has changed");
    assert_eq!(targets(&store).await, []);
    let elsewhere = required(r#""verified":true"#, opened_in("v1", Some("codes")));
    expect_rotated(store.rotate_refresh_token(request(elsewhere), now).await.unwrap());
    // A replay within the grace must meet the requirement as well.
    let missing = required(r#""verified":true"#, OpenedIn::Any);
    assert_eq!(store.rotate_refresh_token(request(missing), now).await.unwrap(), Rotation::RequirementUnmet);
    let present = required("%a.*[x]", OpenedIn::Any);
    assert!(matches!(store.rotate_refresh_token(request(present), now).await.unwrap(), Rotation::Replayed(_)));
}

pub(super) async fn reuse_is_detected_whatever_the_conditions(store: Store) {
    let required = Some(RequiredText { text: "nothing like it", of: OpenedIn::Any });
    for (number, opened_in, required) in [(1, OpenedIn::OneOf([None; 6]), None), (2, OpenedIn::Any, required)] {
        let opened = session(number);
        open(&store, &opened).await;
        for counter in 0..2 {
            expect_rotated(store.rotate_refresh_token(rotate_request(&opened, counter), START).await.unwrap());
        }
        let old = with_conditions(rotate_request(&opened, 0), opened_in, required);
        assert_eq!(store.rotate_refresh_token(old, START).await.unwrap(), Rotation::Reused);
        assert!(targets(&store).await.contains(&Target::Session(opened.id)));
    }
}

pub(super) async fn session_expires_after_the_idle_timeout(store: Store) {
    let opened = session(1);
    open(&store, &opened).await;
    let now = START + HOUR - MILLISECOND;
    let after = Session { counter: 1, used_at: now, rotated_at: now, ..opened.clone() };
    assert_eq!(
        expect_rotated(store.rotate_refresh_token(rotate_request(&opened, 0), now).await.unwrap()),
        after.snapshot()
    );
    assert_eq!(after.expires_at(), now + HOUR);

    let end = after.expires_at();
    assert_eq!(store.session(opened.user, opened.id, end - MILLISECOND).await.unwrap(), Some(after));
    assert_eq!(store.rotate_refresh_token(rotate_request(&opened, 1), end).await.unwrap(), Rotation::NotFound);
    assert_eq!(store.session(opened.user, opened.id, end).await.unwrap(), None);
    assert_eq!(store.sessions(opened.user, end).await.unwrap(), []);
    assert_eq!(targets(&store).await, [], "expiry publishes no revocation");
}

pub(super) async fn session_expires_at_its_absolute_expiry(store: Store) {
    let opened = Session { idle_timeout: DAY * 7, ..session(1) };
    open(&store, &opened).await;
    let last = opened.ends_at - MILLISECOND;
    let after = expect_rotated(store.rotate_refresh_token(rotate_request(&opened, 0), last).await.unwrap());
    assert_eq!(after.expires_at, opened.ends_at);
    assert_eq!(
        store.rotate_refresh_token(rotate_request(&opened, 1), opened.ends_at).await.unwrap(),
        Rotation::NotFound
    );
    assert_eq!(store.session(opened.user, opened.id, opened.ends_at).await.unwrap(), None);
}

pub(super) async fn session_opened_before_not_before_is_not_found(store: Store) {
    let opened = session(1);
    open(&store, &opened).await;
    let at = RotateRequest { not_before: START, ..rotate_request(&opened, 0) };
    expect_rotated(store.rotate_refresh_token(at, START + SECOND).await.unwrap());
    let above = RotateRequest { not_before: START + MILLISECOND, ..rotate_request(&opened, 1) };
    assert_eq!(store.rotate_refresh_token(above, START + SECOND).await.unwrap(), Rotation::NotFound);
    assert_eq!(targets(&store).await, []);
}

pub(super) async fn session_belongs_to_one_user(store: Store) {
    let opened = session(1);
    open(&store, &opened).await;
    let foreign = RotateRequest { user: user(2), ..rotate_request(&opened, 0) };
    assert_eq!(store.rotate_refresh_token(foreign, START).await.unwrap(), Rotation::NotFound);
    assert_eq!(store.session(user(2), opened.id, START).await.unwrap(), None);
    assert_eq!(store.session(opened.user, opened.id, START).await.unwrap(), Some(opened));
}

pub(super) async fn sessions_are_listed_newest_first_until_they_expire(store: Store) {
    let opened: Vec<_> = [3, 1, 2].map(|n| opened_at(n, START + MINUTE * n as u32)).into();
    for session in &opened {
        open(&store, session).await;
    }
    let now = START + MINUTE * 3;
    let ids = |sessions: Vec<Session>| sessions.into_iter().map(|session| session.id).collect::<Vec<_>>();
    assert_eq!(ids(store.sessions(user(1), now).await.unwrap()), [3, 2, 1].map(session_id));

    // The first session expires an hour after it was opened; the second was rotated and stays.
    expect_rotated(store.rotate_refresh_token(rotate_request(&opened[2], 0), now).await.unwrap());
    let now = START + MINUTE + HOUR;
    assert_eq!(ids(store.sessions(user(1), now).await.unwrap()), [3, 2].map(session_id));
    let now = START + MINUTE * 3 + HOUR;
    assert_eq!(store.sessions(user(1), now).await.unwrap(), []);
    open(&store, &opened_at(4, now)).await;
    assert_eq!(ids(store.sessions(user(1), now).await.unwrap()), [session_id(4)]);
}
