//! The networks that a user signed in from, and the budgets that they have of their own.

use super::*;
use signet::store::ephemeral::{KNOWN_NETWORK_TTL, Limit, MAX_KNOWN_NETWORKS, NetworkPermit, SignOutScope};

const LIMIT: Limit = Limit { burst: 3, per: Duration::from_secs(30) };
const HOME: &str = "2001:db8:1::";
const OFFICE: &str = "192.0.2.7";

async fn take(store: &Store, of: UserId, network: &str, name: &str, now: Timestamp) -> bool {
    store.take_network_permit(NetworkPermit { user: of, network, name, limit: LIMIT }, now).await.unwrap()
}

async fn is_known(store: &Store, network: &str, now: Timestamp) -> bool {
    take(store, user(1), network, "any", now).await
}

/// Takes permits until none is left, and returns how many there were.
async fn take_all(store: &Store, network: &str, name: &str, now: Timestamp) -> usize {
    let mut taken = 0;
    while take(store, user(1), network, name, now).await {
        taken += 1;
    }
    taken
}

async fn remember(store: &Store, network: &str, now: Timestamp) {
    store.remember_network(user(1), network, now).await.unwrap();
}

async fn sign_in_from(store: &Store, network: &str, number: u128) -> Opened {
    store.open_session(&session(number), network, Timestamp::default(), MAX_SESSIONS, START + DAY).await.unwrap()
}

pub(super) async fn sign_in_makes_a_network_known(store: Store) {
    assert!(!is_known(&store, HOME, START).await);
    assert_eq!(sign_in_from(&store, HOME, 1).await, OPENED);
    assert!(is_known(&store, HOME, START).await);
    assert!(!is_known(&store, OFFICE, START).await, "another network");
    assert!(!take(&store, user(2), HOME, "any", START).await, "another user");
    // Ending the session does not make the network unknown.
    store.end_sessions(user(1), SignOutScope::All, None, START + DAY, START).await.unwrap();
    assert!(is_known(&store, HOME, START).await);
}

pub(super) async fn sign_in_from_a_new_network_is_reported(store: Store) {
    let opened = |from_new_network| Opened::Opened { ended: Vec::new(), from_new_network };
    assert_eq!(sign_in_from(&store, HOME, 1).await, opened(false), "the first one");
    assert_eq!(sign_in_from(&store, HOME, 2).await, opened(false), "a known one");
    assert_eq!(sign_in_from(&store, OFFICE, 3).await, opened(true));
    assert_eq!(sign_in_from(&store, OFFICE, 4).await, opened(false), "known by now");
    // New credentials forget all networks.
    store.end_sessions(user(1), SignOutScope::All, Some(START), START + DAY, START).await.unwrap();
    let session = opened_at(5, START + SECOND);
    let signed_in = store.open_session(&session, HOME, START, MAX_SESSIONS, START + DAY).await.unwrap();
    assert_eq!(signed_in, opened(false));
    // One that was remembered too long ago is new again, if another one is known.
    let now = START + SECOND + KNOWN_NETWORK_TTL;
    remember(&store, OFFICE, now - HOUR).await;
    let signed_in = store.open_session(&opened_at(6, now), HOME, START, MAX_SESSIONS, now + DAY).await.unwrap();
    assert_eq!(signed_in, opened(true));
}

pub(super) async fn remembered_network_is_known(store: Store) {
    remember(&store, OFFICE, START).await;
    assert!(is_known(&store, OFFICE, START).await);
    assert!(!is_known(&store, HOME, START).await);
}

pub(super) async fn network_budgets_are_separate(store: Store) {
    for network in [HOME, OFFICE] {
        remember(&store, network, START).await;
    }
    store.remember_network(user(2), HOME, START).await.unwrap();
    for (network, name) in [(HOME, "sign-in"), (OFFICE, "sign-in"), (HOME, "mail:code"), (HOME, "mail")] {
        assert_eq!(take_all(&store, network, name, START).await, 3, "{network}, {name}");
    }
    assert!(take(&store, user(2), HOME, "sign-in", START).await);
    assert!(!take(&store, user(1), HOME, "sign-in", START + SECOND * 9).await);
    assert!(take(&store, user(1), HOME, "sign-in", START + SECOND * 10).await);
    assert_eq!(take_all(&store, HOME, "sign-in", START + HOUR).await, 3);
}

pub(super) async fn unknown_network_costs_and_gets_nothing(store: Store) {
    for _ in 0..20 {
        assert!(!is_known(&store, HOME, START).await);
    }
    remember(&store, HOME, START).await;
    assert_eq!(take_all(&store, HOME, "any", START).await, 3);
    let limit = Limit { burst: 0, ..LIMIT };
    let nothing = NetworkPermit { user: user(1), network: HOME, name: "nothing", limit };
    assert!(!store.take_network_permit(nothing, START).await.unwrap());
}

pub(super) async fn concurrent_callers_share_one_network_budget(store: Store) {
    remember(&store, HOME, START).await;
    let results = run_concurrently(50, |_| {
        let store = store.clone();
        async move { is_known(&store, HOME, START).await }
    })
    .await;
    assert_eq!(results.into_iter().filter(|taken| *taken).count(), 3);
}

pub(super) async fn network_is_forgotten_after_its_ttl(store: Store) {
    remember(&store, HOME, START).await;
    remember(&store, OFFICE, START).await;
    assert!(is_known(&store, HOME, START + KNOWN_NETWORK_TTL - MILLISECOND).await);
    assert!(!is_known(&store, HOME, START + KNOWN_NETWORK_TTL).await);
    // Each sign-in starts the time anew.
    let later = START + KNOWN_NETWORK_TTL - HOUR;
    remember(&store, HOME, later).await;
    assert!(is_known(&store, HOME, later + KNOWN_NETWORK_TTL - MILLISECOND).await);
    assert!(!is_known(&store, OFFICE, later + HOUR).await, "the other network keeps its own time");
}

pub(super) async fn only_the_last_networks_are_known(store: Store) {
    let network = |number: u32| format!("198.51.100.{number}");
    for number in 0..MAX_KNOWN_NETWORKS {
        remember(&store, &network(number), START + SECOND * number).await;
    }
    // The first one is remembered again, so the second one is now the oldest.
    let now = START + HOUR;
    remember(&store, &network(0), now).await;
    remember(&store, HOME, now).await;
    assert!(!is_known(&store, &network(1), now).await);
    for number in (0..MAX_KNOWN_NETWORKS).filter(|number| *number != 1) {
        assert!(is_known(&store, &network(number), now).await, "{number}");
    }
    assert!(is_known(&store, HOME, now).await);
}

pub(super) async fn new_credentials_forget_all_networks(store: Store) {
    assert_eq!(sign_in_from(&store, HOME, 1).await, OPENED);
    remember(&store, OFFICE, START).await;
    store.remember_network(user(2), HOME, START).await.unwrap();
    let scope = SignOutScope::One(session_id(1));
    store.end_sessions(user(1), scope, Some(START), START + DAY, START).await.unwrap();
    assert!(!is_known(&store, HOME, START).await);
    assert!(!is_known(&store, OFFICE, START).await);
    assert!(take(&store, user(2), HOME, "any", START).await, "another user");
    remember(&store, HOME, START).await;
    assert!(is_known(&store, HOME, START).await);
}

pub(super) async fn superseded_sign_in_makes_no_network_known(store: Store) {
    store.end_sessions(user(1), SignOutScope::All, Some(START), START + DAY, START).await.unwrap();
    assert_eq!(sign_in_from(&store, HOME, 1).await, Opened::Superseded);
    assert!(!is_known(&store, HOME, START).await);
}
