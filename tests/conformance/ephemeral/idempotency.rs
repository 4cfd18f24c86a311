//! Idempotency keys: reserved by one request, and answered with its response from then on.

use super::*;
use signet::store::ephemeral::{IdempotentRequest, KeyReservation};

fn request(key: &str, fingerprint: u8) -> IdempotentRequest<'_> {
    IdempotentRequest { key, fingerprint: [fingerprint; 32] }
}

async fn reserve(store: &Store, key: &str, fingerprint: u8, now: Timestamp) -> KeyReservation {
    store.reserve_idempotency_key(request(key, fingerprint), now + MINUTE, now).await.unwrap()
}

async fn complete(store: &Store, key: &str, fingerprint: u8, response: &[u8], now: Timestamp) {
    store.complete_idempotency_key(request(key, fingerprint), response, now + DAY, now).await.unwrap();
}

pub(super) async fn completed_request_is_answered_with_its_response(store: Store) {
    let response: Vec<u8> = (0..=255).collect();
    assert_eq!(reserve(&store, "key", 1, START).await, KeyReservation::Reserved);
    assert_eq!(reserve(&store, "key", 1, START).await, KeyReservation::InProgress);
    assert_eq!(reserve(&store, "key", 2, START).await, KeyReservation::OtherRequest);
    complete(&store, "key", 1, &response, START).await;
    let last = START + DAY - MILLISECOND;
    assert_eq!(reserve(&store, "key", 1, last).await, KeyReservation::Completed(response));
    assert_eq!(reserve(&store, "key", 2, last).await, KeyReservation::OtherRequest);
    assert_eq!(reserve(&store, "other", 1, START).await, KeyReservation::Reserved, "keys are independent");
    assert_eq!(reserve(&store, "key", 2, START + DAY).await, KeyReservation::Reserved);
}

pub(super) async fn one_of_many_concurrent_requests_gets_the_key(store: Store) {
    for round in 0..5 {
        let results = run_concurrently(50, |_| {
            let store = store.clone();
            async move { reserve(&store, &format!("key {round}"), 1, START).await }
        })
        .await;
        let count = |expected| results.iter().filter(|result| **result == expected).count();
        assert_eq!((count(KeyReservation::Reserved), count(KeyReservation::InProgress)), (1, 49));
    }
}

pub(super) async fn released_key_is_free(store: Store) {
    assert_eq!(reserve(&store, "key", 1, START).await, KeyReservation::Reserved);
    store.release_idempotency_key(request("key", 2), START).await.unwrap();
    assert_eq!(reserve(&store, "key", 1, START).await, KeyReservation::InProgress, "released by another request");
    store.release_idempotency_key(request("key", 1), START).await.unwrap();
    assert_eq!(reserve(&store, "key", 2, START).await, KeyReservation::Reserved);
    complete(&store, "key", 2, b"done", START).await;
    store.release_idempotency_key(request("key", 2), START).await.unwrap();
    assert_eq!(reserve(&store, "key", 2, START).await, KeyReservation::Completed(b"done".to_vec()));
}

pub(super) async fn reservation_expires(store: Store) {
    assert_eq!(reserve(&store, "key", 1, START).await, KeyReservation::Reserved);
    let last = START + MINUTE - MILLISECOND;
    assert_eq!(reserve(&store, "key", 1, last).await, KeyReservation::InProgress);
    assert_eq!(reserve(&store, "key", 2, START + MINUTE).await, KeyReservation::Reserved);
    // The first request ends late: it does not answer the second.
    complete(&store, "key", 1, b"late", START + MINUTE).await;
    assert_eq!(reserve(&store, "key", 2, START + MINUTE).await, KeyReservation::InProgress);
    // Without another request it does.
    assert_eq!(reserve(&store, "alone", 1, START).await, KeyReservation::Reserved);
    complete(&store, "alone", 1, b"late", START + HOUR).await;
    assert_eq!(reserve(&store, "alone", 1, START + HOUR).await, KeyReservation::Completed(b"late".to_vec()));
}
