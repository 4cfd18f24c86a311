//! A table of entries by their hashes, which one thread at a time changes while others read it without a lock.
//!
//! Hashes are uniform, so the search for one begins at the slot that its first bits select. Enough slots stay free that
//! the search usually ends in one cache line, also if the hash is not there. Adding an entry takes no allocation.
//! Nothing is removed, and no table grows: [`Table::without`] and [`Table::larger`] build another one.

use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};

use crate::id_hash::IdHash;

/// The fewest slots of a table with entries.
const MIN_SLOTS: usize = 8;

/// Entries, each with a value beside its `until`.
pub(super) struct Table<V> {
    slots: Box<[Slot<V>]>,
    /// The most entries.
    capacity: usize,
    used: AtomicUsize,
}

#[derive(Default)]
struct Slot<V> {
    /// The first eight bytes of the hash.
    first: AtomicU64,
    /// The last four bytes of the hash, then `until` in seconds, which is not 0. All of it is 0 while the slot is free.
    /// Stored last.
    rest: AtomicU64,
    value: V,
}

/// The part of an entry beside its `until`.
pub(super) trait Value: Default {
    /// The value as it is passed around.
    type Plain: Copy + PartialOrd;

    fn load(&self) -> Self::Plain;

    fn store(&self, value: Self::Plain);
}

impl Value for () {
    type Plain = ();

    fn load(&self) {}

    fn store(&self, (): ()) {}
}

impl Value for AtomicI64 {
    type Plain = i64;

    fn load(&self) -> i64 {
        self.load(Ordering::Relaxed)
    }

    fn store(&self, value: i64) {
        self.store(value, Ordering::Relaxed);
    }
}

/// The parts of a hash.
fn split(id: &IdHash) -> (u64, u64) {
    let [a, b, c, d, e, f, g, h, i, j, k, l] = id.0;
    (u64::from_be_bytes([a, b, c, d, e, f, g, h]), u64::from(u32::from_be_bytes([i, j, k, l])) << 32)
}

const UNTIL: u64 = u32::MAX as u64;

impl<V: Value> Table<V> {
    /// A table that can hold this many entries. At most `fill` thousandths of its slots are used.
    pub(super) fn with_capacity(entries: usize, fill: usize) -> Self {
        let capacity = |slots: usize| slots * fill / 1000;
        let mut slots = if entries == 0 { 0 } else { MIN_SLOTS };
        while capacity(slots) < entries {
            slots *= 2;
        }
        let capacity = capacity(slots);
        Self { slots: (0..slots).map(|_| Slot::default()).collect(), capacity, used: AtomicUsize::new(0) }
    }

    /// The number of entries.
    pub(super) fn len(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Returns true if no other entry can be added.
    pub(super) fn is_full(&self) -> bool {
        self.len() >= self.capacity
    }

    /// The value of an entry.
    pub(super) fn get(&self, id: &IdHash) -> Option<V::Plain> {
        let (first, last) = split(id);
        match self.search(first, last)? {
            (_, 0) => None,
            (slot, _) => Some(slot.value.load()),
        }
    }

    /// Adds an entry, or keeps the later `until` and the greater value if there is one already. Returns true if there was
    /// none. The table must not be full, and no other thread may change the table meanwhile.
    pub(super) fn add(&self, id: &IdHash, until: u32, value: V::Plain) -> bool {
        let (first, last) = split(id);
        self.merge(first, last | u64::from(until.max(1)), value)
    }

    fn merge(&self, first: u64, rest: u64, value: V::Plain) -> bool {
        let Some((slot, known)) = self.search(first, rest & !UNTIL) else { return false };
        let is_new = known == 0;
        if is_new || value > slot.value.load() {
            slot.value.store(value);
        }
        if is_new {
            slot.first.store(first, Ordering::Relaxed);
            self.used.store(self.len() + 1, Ordering::Relaxed);
        }
        // The bytes before `until` are the same.
        if rest > known {
            slot.rest.store(rest, Ordering::Release);
        }
        is_new
    }

    /// The slot of a hash, or the free one at which it would be added, and what `rest` was: 0 if it is free. `None` if
    /// all are used.
    fn search(&self, first: u64, last: u64) -> Option<(&Slot<V>, u64)> {
        let bits = self.slots.len().trailing_zeros();
        let begin = (first >> (u64::BITS - bits)) as usize;
        let (before, from) = self.slots.split_at_checked(begin)?;
        let mut loaded = from.iter().chain(before).map(|slot| (slot, slot.rest.load(Ordering::Acquire)));
        loaded.find(|(slot, rest)| *rest == 0 || rest & !UNTIL == last && slot.first.load(Ordering::Relaxed) == first)
    }

    /// A copy to which another entry can be added.
    pub(super) fn larger(&self, fill: usize) -> Self {
        self.copy(0, self.len() + 1, fill)
    }

    /// A copy without the entries whose `until` is at most `now` in seconds; `None` if there are no such entries.
    pub(super) fn without(&self, now: u32, fill: usize) -> Option<Self> {
        let left = self.entries(now).count();
        (left < self.len()).then(|| self.copy(now, left, fill))
    }

    fn copy(&self, now: u32, capacity: usize, fill: usize) -> Self {
        let copy = Self::with_capacity(capacity, fill);
        for (slot, rest) in self.entries(now) {
            copy.merge(slot.first.load(Ordering::Relaxed), rest, slot.value.load());
        }
        copy
    }

    /// The entries whose `until`, which is never 0, is later than `now` in seconds. Each with its `rest`.
    fn entries(&self, now: u32) -> impl Iterator<Item = (&Slot<V>, u64)> {
        let loaded = self.slots.iter().map(|slot| (slot, slot.rest.load(Ordering::Acquire)));
        loaded.filter(move |(_, rest)| rest & UNTIL > u64::from(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILL: usize = 750;

    /// Hashes that all begin with the same bytes, or are spread evenly.
    fn id(number: u32, first: u32) -> IdHash {
        let mut id = IdHash([0; 12]);
        id.0[..4].copy_from_slice(&first.to_be_bytes());
        id.0[8..].copy_from_slice(&number.to_be_bytes());
        id
    }

    fn spread(number: u32) -> IdHash {
        id(number, number.wrapping_mul(0x9e37_79b9))
    }

    #[test]
    fn every_entry_is_found_and_no_other() {
        for hash in [spread, |number| id(number, 0), |number| id(number, u32::MAX)] {
            let table = Table::<AtomicI64>::with_capacity(1000, FILL);
            for number in 0..1000 {
                assert!(!table.is_full());
                table.add(&hash(number), 5, i64::from(number));
            }
            for number in 0..1000 {
                assert_eq!(table.get(&hash(number)), Some(i64::from(number)));
                assert_eq!(table.get(&hash(number + 1000)), None);
            }
            assert_eq!(table.len(), 1000);
        }
    }

    #[test]
    fn hashes_that_differ_in_one_bit_are_different_entries() {
        let one = IdHash([0x55; 12]);
        for bit in 0..96 {
            let mut other = one;
            other.0[bit / 8] ^= 1 << (bit % 8);
            let table = Table::<()>::with_capacity(2, FILL);
            table.add(&one, 5, ());
            assert_eq!(table.get(&other), None, "{bit}");
            table.add(&other, 5, ());
            assert_eq!((table.get(&one), table.get(&other), table.len()), (Some(()), Some(()), 2), "{bit}");
        }
    }

    #[test]
    fn later_until_and_value_are_kept() {
        let table = Table::<AtomicI64>::with_capacity(1, FILL);
        let one = IdHash([0xff; 12]);
        for (until, value, kept, later) in [(5, -7, -7, 5), (4, -8, -7, 5), (6, -9, -7, 6), (0, 3, 3, 6)] {
            table.add(&one, until, value);
            assert_eq!((table.get(&one), table.len()), (Some(kept), 1));
            assert!(table.without(later, FILL).unwrap().len() == 0 && table.without(later - 1, FILL).is_none());
        }
    }

    #[test]
    fn copy_has_the_entries_that_are_not_over() {
        let table = Table::<AtomicI64>::with_capacity(3000, FILL);
        for number in 0..3000 {
            table.add(&spread(number), number, i64::from(number));
        }
        let copy = table.without(2000, FILL).unwrap();
        assert_eq!(copy.len(), 999);
        assert!(copy.slots.len() < table.slots.len());
        for number in 0..3000 {
            assert_eq!(copy.get(&spread(number)), (number > 2000).then_some(i64::from(number)));
        }
        assert!(table.without(0, FILL).is_none(), "`until` is never 0");
    }

    #[test]
    fn larger_copy_has_every_entry_and_room() {
        let mut table = Table::<AtomicI64>::with_capacity(0, FILL);
        for number in 0..3000 {
            if table.is_full() {
                table = table.larger(FILL);
            }
            assert!(!table.is_full() && table.get(&spread(number)).is_none());
            assert!(table.add(&spread(number), 5, i64::from(number)) && !table.add(&spread(number), 5, 0));
        }
        assert!((0..3000).all(|number| table.get(&spread(number)) == Some(i64::from(number))));
        assert_eq!((table.len(), table.slots.len()), (3000, 4096));
    }

    #[test]
    fn entry_of_a_zero_hash_is_one() {
        let (table, zero) = (Table::<()>::with_capacity(1, FILL), IdHash([0; 12]));
        assert_eq!(table.get(&zero), None);
        table.add(&zero, 0, ());
        assert_eq!(table.get(&zero), Some(()));
    }
}
