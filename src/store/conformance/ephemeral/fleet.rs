//! What a fleet shares: the sealed keyring and the floor; and the store's word on itself.

use std::collections::HashSet;

use super::*;
use crate::store::ephemeral::Swap;

pub(super) async fn a_ring_is_replaced_by_whoever_read_it_last(store: Store) {
    assert!(store.ring().await.unwrap().is_none());
    assert_eq!(store.swap_ring(1, b"early", START).await.unwrap(), Swap::Conflict);
    assert!(store.ring().await.unwrap().is_none());
    let bytes: Vec<u8> = (0..=255).collect();
    assert_eq!(store.swap_ring(0, &bytes, START).await.unwrap(), Swap::Swapped);
    let ring = store.ring().await.unwrap().unwrap();
    assert_eq!((ring.version, ring.bytes), (1, bytes));

    assert_eq!(store.swap_ring(0, b"late", START).await.unwrap(), Swap::Conflict);
    assert_eq!(targets(&store).await, [Target::Ring], "a conflict changes nothing and tells nobody");
    assert_eq!(store.swap_ring(1, b"next", START).await.unwrap(), Swap::Swapped);
    let ring = store.ring().await.unwrap().unwrap();
    assert_eq!((ring.version, ring.bytes), (2, b"next".to_vec()));
    assert_eq!(targets(&store).await, [Target::Ring, Target::Ring]);
}

pub(super) async fn one_of_many_swappers_wins(store: Store) {
    for version in 0..3 {
        let answers = together(20, |number| {
            let store = store.clone();
            async move { (number as u8, store.swap_ring(version, &[number as u8], START).await.unwrap()) }
        })
        .await;
        let winners: Vec<_> = answers.iter().filter(|(_, swap)| *swap == Swap::Swapped).collect();
        assert_eq!(winners.len(), 1);
        let ring = store.ring().await.unwrap().unwrap();
        assert_eq!((ring.version, ring.bytes), (version + 1, vec![winners[0].0]));
    }
    assert_eq!(targets(&store).await.len(), 3);
}

pub(super) async fn concurrent_callers_get_one_floor(store: Store) {
    let moments = |number: usize| START + SECOND * number as u32;
    let answers: HashSet<_> = together(20, |number| {
        let store = store.clone();
        async move { store.floor(moments(number)).await.unwrap() }
    })
    .await
    .into_iter()
    .collect();
    let floor = *answers.iter().next().unwrap();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert!((0..20).map(moments).any(|moment| moment == floor));
    assert_eq!(store.floor(START + DAY).await.unwrap(), floor);
}

pub(super) async fn the_floor_rises_and_never_sinks(store: Store) {
    assert_eq!(store.floor(START).await.unwrap(), START);
    let (_, place) = read_on(&store, &Cursor::start()).await;
    store.raise_floor(START + HOUR).await.unwrap();
    assert_eq!(store.floor(START + DAY).await.unwrap(), START + HOUR);
    let (seen, _) = read_on(&store, &place).await;
    assert_eq!(seen.into_iter().map(|seen| seen.target).collect::<Vec<_>>(), [Target::Floor]);

    store.raise_floor(START + MINUTE).await.unwrap();
    assert_eq!(store.floor(START + DAY).await.unwrap(), START + HOUR);
}

pub(super) async fn a_store_answers_its_check(store: Store) {
    store.check().await.unwrap();
    assert_eq!(targets(&store).await, []);
    assert!(store.ring().await.unwrap().is_none());
}
