//! A table of entries in shards, each of which grows on its own.
//!
//! A full table is copied into one with twice the slots, whose memory the kernel must provide page by page. For all
//! entries at once that takes long, and followers in one process have as many entries as each other, so they would all
//! do it after the same frame. Each shard is full at another share of its slots, so that their copies are spread over
//! the time in which the number of entries doubles.

use std::sync::Arc;

use super::table::{Table, Value};
use crate::id_hash::IdHash;

/// More shards would make each copy smaller, but the list of them is copied too.
pub(crate) const SHARDS: usize = 16;

/// The entries by the last bits of their hashes. The search within a shard begins at the first bits.
pub(super) struct ShardedTable<V>([Arc<Table<V>>; SHARDS]);

/// The thousandths of a shard's slots that may be used: from three eighths to three quarters.
fn fill(shard: usize) -> usize {
    375 + 375 * (shard + 1) / SHARDS
}

fn shard_of(id: &IdHash) -> usize {
    usize::from(id.0[11]) % SHARDS
}

/// Not derived: values cannot be cloned, and the shards are shared.
impl<V> Clone for ShardedTable<V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<V: Value> Default for ShardedTable<V> {
    fn default() -> Self {
        Self(std::array::from_fn(|shard| Arc::new(Table::with_capacity(0, fill(shard)))))
    }
}

impl<V: Value> ShardedTable<V> {
    /// The value of an entry.
    pub(super) fn get(&self, id: &IdHash) -> Option<V::Plain> {
        self.0[shard_of(id)].get(id)
    }

    /// Returns true if no entry with this hash can be added.
    pub(super) fn is_full_at(&self, id: &IdHash) -> bool {
        self.0[shard_of(id)].is_full()
    }

    /// Makes room for an entry with this hash. Clones of this table do not have what is added to that shard later.
    pub(super) fn grow_at(&mut self, id: &IdHash) {
        let shard = shard_of(id);
        self.0[shard] = Arc::new(self.0[shard].larger(fill(shard)));
    }

    /// Adds an entry, as [`Table::add`] does.
    pub(super) fn add(&self, id: &IdHash, until: u32, value: V::Plain) -> bool {
        self.0[shard_of(id)].add(id, until, value)
    }

    /// Removes the entries of a shard whose `until` is at most `now` in seconds, and returns their number. Clones of this
    /// table keep them.
    pub(super) fn remove_expired(&mut self, shard: usize, now: u32) -> usize {
        let table = &mut self.0[shard];
        let Some(left) = table.without(now, fill(shard)) else { return 0 };
        let removed = table.len() - left.len();
        *table = Arc::new(left);
        removed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn len(table: &ShardedTable<()>) -> usize {
        table.0.iter().map(|table| table.len()).sum()
    }

    fn id(number: usize) -> IdHash {
        IdHash::of(&number.to_string())
    }

    #[test]
    fn shards_grow_one_after_another() {
        let mut table = ShardedTable::<()>::default();
        for frame in 0..200 {
            let mut grown = 0;
            for number in frame * 200..(frame + 1) * 200 {
                if table.is_full_at(&id(number)) {
                    table.grow_at(&id(number));
                    grown += 1;
                }
                assert!(table.add(&id(number), 5, ()));
            }
            // The first frames make the first tables, which are small.
            assert!(frame < 10 || grown <= SHARDS / 4, "{frame}: {grown}");
        }
        assert_eq!(len(&table), 40_000);
        assert!((0..40_000).all(|number| table.get(&id(number)).is_some()) && table.get(&id(40_000)).is_none());
    }

    #[test]
    fn clone_keeps_what_it_had() {
        let mut table = ShardedTable::<()>::default();
        table.grow_at(&id(1));
        table.add(&id(1), 5, ());
        let clone = table.clone();
        table.grow_at(&id(1));
        assert_eq!((clone.get(&id(1)), table.get(&id(1))), (Some(()), Some(())));
        let mut removed = |now| (0..SHARDS).map(|shard| table.remove_expired(shard, now)).sum::<usize>();
        assert_eq!((removed(4), removed(5), removed(5)), (0, 1, 0));
        assert_eq!((len(&table), len(&clone)), (0, 1));
    }
}
