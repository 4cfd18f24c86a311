//! The lists of security events: their order, their bounds, and reading them in both directions.

use super::*;
use signet::store::ephemeral::{
    EventBounds, EventClass, EventQuery, EventRange, EventScope, NewEvent, Position, StoredEvent,
};

const BOUNDS: EventBounds = EventBounds { count: 100, keep: DAY };
const FLEET: EventScope = EventScope::Fleet;

async fn append(store: &Store, scope: EventScope, class: EventClass, texts: &[&str], now: Timestamp) {
    append_within(store, scope, class, texts, BOUNDS, now).await;
}

async fn append_within(
    store: &Store,
    scope: EventScope,
    class: EventClass,
    texts: &[&str],
    bounds: EventBounds,
    now: Timestamp,
) {
    let events: Vec<_> = texts.iter().map(|text| NewEvent { class, text }).collect();
    store.append_events(scope, &events, bounds, now).await.unwrap();
}

fn query(scope: EventScope, range: EventRange) -> EventQuery {
    EventQuery { scope, is_attempt: None, range, not_before: START - DAY, limit: 1000 }
}

async fn read(store: &Store, query: EventQuery) -> Vec<StoredEvent> {
    store.read_events(query).await.unwrap()
}

async fn texts(store: &Store, query: EventQuery) -> Vec<String> {
    read(store, query).await.into_iter().map(|event| event.text).collect()
}

pub(super) async fn events_are_read_in_both_directions(store: Store) {
    assert_eq!(texts(&store, query(FLEET, EventRange::Newest)).await, [""; 0]);
    append(&store, FLEET, EventClass::Action, &["a", "b"], START).await;
    append(&store, FLEET, EventClass::Attempt, &["c"], START).await;
    let both = [NewEvent { class: EventClass::Attempt, text: "d" }, NewEvent { class: EventClass::Action, text: "e" }];
    store.append_events(FLEET, &both, BOUNDS, START + SECOND).await.unwrap();

    let newest = read(&store, query(FLEET, EventRange::Newest)).await;
    let place = |text: &str| newest.iter().find(|event| event.text == text).unwrap().position;
    assert!(newest.iter().rev().is_sorted_by(|one, other| one.position < other.position));
    assert_eq!(newest.len(), 5);
    assert!(place("a") < place("b") && place("b") < place("c") && place("c") < place("d") && place("d") < place("e"));

    let two = EventQuery { limit: 2, ..query(FLEET, EventRange::Before(place("c"))) };
    assert_eq!(texts(&store, two).await, ["b", "a"]);
    let two = EventQuery { limit: 2, ..query(FLEET, EventRange::After(place("a"))) };
    assert_eq!(texts(&store, two).await, ["b", "c"]);
    assert_eq!(texts(&store, query(FLEET, EventRange::After(newest[0].position))).await, [""; 0]);
    assert_eq!(texts(&store, query(FLEET, EventRange::After(Position::default()))).await.len(), 5);
    let ends =
        [EventRange::Before(Position::default()), EventRange::After(Position { major: u64::MAX, minor: u64::MAX })];
    for end in ends {
        assert_eq!(texts(&store, query(FLEET, end)).await, [""; 0]);
    }
    let attempts = EventQuery { is_attempt: Some(true), ..query(FLEET, EventRange::Newest) };
    assert_eq!(texts(&store, attempts).await, ["d", "c"]);
}

pub(super) async fn each_class_of_events_has_its_own_bound(store: Store) {
    let bounds = EventBounds { count: 3, keep: DAY };
    append_within(&store, FLEET, EventClass::Action, &["kept"], bounds, START).await;
    for number in 0..20 {
        let text = number.to_string();
        append_within(&store, FLEET, EventClass::Attempt, &[&text, "again"], bounds, START).await;
    }
    let newest = query(FLEET, EventRange::Newest);
    assert_eq!(texts(&store, newest).await, ["again", "19", "again", "kept"]);
    append_within(&store, FLEET, EventClass::Action, &["1", "2", "3", "4"], bounds, START).await;
    let actions = EventQuery { is_attempt: Some(false), ..newest };
    assert_eq!(texts(&store, actions).await, ["4", "3", "2"]);
}

pub(super) async fn actions_displace_no_privileged_event(store: Store) {
    let bounds = EventBounds { count: 3, keep: DAY };
    append_within(&store, FLEET, EventClass::Privileged, &["1", "2", "3", "4"], bounds, START).await;
    for number in 0..20 {
        let text = number.to_string();
        append_within(&store, FLEET, EventClass::Action, &[&text, "again"], bounds, START).await;
    }
    let newest = query(FLEET, EventRange::Newest);
    assert_eq!(texts(&store, newest).await, ["again", "19", "again", "4", "3", "2"]);
    let attempts = EventQuery { is_attempt: Some(true), ..newest };
    assert_eq!(texts(&store, attempts).await, [""; 0]);
    append_within(&store, FLEET, EventClass::Privileged, &["5"], bounds, START + DAY).await;
    let kept = EventQuery { not_before: START + MILLISECOND, ..newest };
    assert_eq!(texts(&store, kept).await, ["5"]);
}

/// In pages of every size, so that each class ends a page.
pub(super) async fn events_of_all_classes_are_paged_in_order(store: Store) {
    use EventClass::{Action, Attempt, Privileged};
    let classes = [Privileged, Action, Attempt, Privileged, Privileged, Attempt, Action, Privileged, Action, Attempt];
    for scope in [FLEET, EventScope::User(user(1))] {
        let names: Vec<_> = (0..classes.len()).map(|number| number.to_string()).collect();
        let events: Vec<_> = classes.iter().zip(&names).map(|(class, text)| NewEvent { class: *class, text }).collect();
        let (together, apart) = events.split_at(5);
        store.append_events(scope, together, BOUNDS, START).await.unwrap();
        for event in apart {
            store.append_events(scope, &[*event], BOUNDS, START).await.unwrap();
        }
        for limit in 1..=classes.len() as u32 + 1 {
            let (mut newer, mut older) = (Vec::new(), Vec::new());
            let (mut after, mut before) = (EventRange::After(Position::default()), EventRange::Newest);
            loop {
                let page = read(&store, EventQuery { limit, ..query(scope, after) }).await;
                let Some(last) = page.last() else { break };
                after = EventRange::After(last.position);
                newer.extend(page.into_iter().map(|event| event.text));
            }
            loop {
                let page = read(&store, EventQuery { limit, ..query(scope, before) }).await;
                let Some(last) = page.last() else { break };
                before = EventRange::Before(last.position);
                older.extend(page.into_iter().map(|event| event.text));
            }
            older.reverse();
            assert_eq!((&newer, &older), (&names, &names), "pages of {limit}");
        }
        let done = EventQuery { is_attempt: Some(false), ..query(scope, EventRange::Newest) };
        assert_eq!(texts(&store, done).await, ["8", "7", "6", "4", "3", "1", "0"]);
        let attempts = EventQuery { is_attempt: Some(true), ..done };
        assert_eq!(texts(&store, attempts).await, ["9", "5", "2"]);
    }
}

pub(super) async fn events_are_kept_for_their_time(store: Store) {
    append(&store, FLEET, EventClass::Action, &["old"], START).await;
    append(&store, FLEET, EventClass::Action, &["new"], START + HOUR).await;
    let newest = query(FLEET, EventRange::Newest);
    for (not_before, expected) in [(START, &["new", "old"][..]), (START + MILLISECOND, &["new"]), (START + DAY, &[])] {
        assert_eq!(texts(&store, EventQuery { not_before, ..newest }).await, expected);
        let mut ascending =
            texts(&store, EventQuery { range: EventRange::After(Position::default()), not_before, ..newest }).await;
        ascending.reverse();
        assert_eq!(ascending, expected);
    }
    // Rows of the embedded file are swept; in Redis an append trims what is older than its time.
    append(&store, FLEET, EventClass::Action, &["later"], START + DAY * 2).await;
    let later = EventQuery { not_before: START + DAY, ..newest };
    assert_eq!(texts(&store, later).await, ["later"]);
}

pub(super) async fn lists_of_events_are_separate(store: Store) {
    for number in 1..=3 {
        let text = number.to_string();
        append(&store, EventScope::User(user(number)), EventClass::Action, &[&text], START).await;
    }
    append(&store, FLEET, EventClass::Action, &["all"], START).await;
    assert_eq!(texts(&store, query(FLEET, EventRange::Newest)).await, ["all"]);
    for number in 1..=3 {
        let own = query(EventScope::User(user(number)), EventRange::Newest);
        assert_eq!(texts(&store, own).await, [number.to_string()]);
    }
    assert_eq!(texts(&store, query(EventScope::User(user(4)), EventRange::Newest)).await, [""; 0]);
}

pub(super) async fn positions_of_events_increase_despite_clock_skew(store: Store) {
    let mut last = Position::default();
    for (text, class, now) in [
        ("first", EventClass::Action, START),
        ("behind", EventClass::Attempt, START - MINUTE),
        ("far behind", EventClass::Action, START - HOUR),
        ("ahead", EventClass::Privileged, START + MINUTE),
        ("behind it", EventClass::Attempt, START),
        ("again", EventClass::Action, START),
    ] {
        append(&store, FLEET, class, &[text], now).await;
        let [event] = &read(&store, query(FLEET, EventRange::After(last))).await[..] else { panic!("{text}") };
        assert_eq!(event.text, text, "a follower misses none");
        last = event.position;
    }
}

pub(super) async fn concurrently_appended_events_all_have_a_place(store: Store) {
    run_concurrently(40, |number| {
        let store = store.clone();
        async move {
            let class = FLEET.classes()[number % 3];
            append(&store, FLEET, class, &[&number.to_string(), "again"], START).await;
        }
    })
    .await;
    let events = read(&store, query(FLEET, EventRange::Newest)).await;
    assert_eq!(events.len(), 80);
    assert!(events.is_sorted_by(|one, other| one.position > other.position), "no place is used twice");
}
