//! Values that a fleet shares: the sealed keyring and the global `not_before`; and the store's check.

use std::collections::HashSet;

use super::*;
use signet::store::ephemeral::SwapResult;

pub(super) async fn keyring_swap_needs_the_current_version(store: Store) {
    assert!(store.keyring().await.unwrap().is_none());
    assert_eq!(store.swap_keyring(1, b"early", START).await.unwrap(), SwapResult::Conflict);
    assert!(store.keyring().await.unwrap().is_none());
    let bytes: Vec<u8> = (0..=255).collect();
    assert_eq!(store.swap_keyring(0, &bytes, START).await.unwrap(), SwapResult::Swapped);
    let ring = store.keyring().await.unwrap().unwrap();
    assert_eq!((ring.version, ring.bytes), (1, bytes));

    assert_eq!(store.swap_keyring(0, b"late", START).await.unwrap(), SwapResult::Conflict);
    assert_eq!(targets(&store).await, [Target::Keyring], "a conflict changes nothing and publishes nothing");
    assert_eq!(store.swap_keyring(1, b"next", START).await.unwrap(), SwapResult::Swapped);
    let ring = store.keyring().await.unwrap().unwrap();
    assert_eq!((ring.version, ring.bytes), (2, b"next".to_vec()));
    assert_eq!(targets(&store).await, [Target::Keyring, Target::Keyring]);
}

pub(super) async fn one_of_many_concurrent_swaps_wins(store: Store) {
    for version in 0..3 {
        let results = run_concurrently(20, |number| {
            let store = store.clone();
            async move { (number as u8, store.swap_keyring(version, &[number as u8], START).await.unwrap()) }
        })
        .await;
        let winners: Vec<_> = results.iter().filter(|(_, swap)| *swap == SwapResult::Swapped).collect();
        assert_eq!(winners.len(), 1);
        let ring = store.keyring().await.unwrap().unwrap();
        assert_eq!((ring.version, ring.bytes), (version + 1, vec![winners[0].0]));
    }
    assert_eq!(targets(&store).await.len(), 3);
}

pub(super) async fn concurrent_callers_get_one_not_before(store: Store) {
    let moments = |number: usize| START + SECOND * number as u32;
    let results: HashSet<_> = run_concurrently(20, |number| {
        let store = store.clone();
        async move { store.global_not_before(moments(number)).await.unwrap() }
    })
    .await
    .into_iter()
    .collect();
    let floor = *results.iter().next().unwrap();
    assert_eq!(results.len(), 1, "{results:?}");
    assert!((0..20).map(moments).any(|moment| moment == floor));
    assert_eq!(store.global_not_before(START + DAY).await.unwrap(), floor);
}

pub(super) async fn not_before_never_decreases(store: Store) {
    assert_eq!(store.global_not_before(START).await.unwrap(), START);
    let (_, cursor) = read_all(&store, &Cursor::start()).await;
    store.raise_global_not_before(START + HOUR).await.unwrap();
    assert_eq!(store.global_not_before(START + DAY).await.unwrap(), START + HOUR);
    let (seen, _) = read_all(&store, &cursor).await;
    assert_eq!(seen.into_iter().map(|seen| seen.target).collect::<Vec<_>>(), [Target::GlobalNotBefore]);

    store.raise_global_not_before(START + MINUTE).await.unwrap();
    assert_eq!(store.global_not_before(START + DAY).await.unwrap(), START + HOUR);
}

pub(super) async fn check_succeeds_and_changes_nothing(store: Store) {
    store.check().await.unwrap();
    assert_eq!(targets(&store).await, []);
    assert!(store.keyring().await.unwrap().is_none());
}
