//! Counts the bytes of large responses, and of small ones that are kept for other followers, until the last client has
//! read them. Knows nothing of their content.
//!
//! The budget for responses of a worker does not have them, because followers share them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

/// The most bytes of these responses in memory. Clients that read slowly keep old ones, and must not be able to fill
/// the memory. The node itself keeps up to 60 MiB, if strangers ask for as much as they may: 16 of segments, and those of
/// a second in `on_demand`, which are 34 and those from the positions of snapshots.
const MAX_BYTES: usize = 96 * 1024 * 1024;

/// The number of bytes in memory.
#[derive(Default)]
pub(in crate::auth) struct LargeBodies(Arc<AtomicUsize>);

struct CountedBody {
    bytes: Bytes,
    total: Arc<AtomicUsize>,
}

impl AsRef<[u8]> for CountedBody {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for CountedBody {
    fn drop(&mut self) {
        self.total.fetch_sub(self.bytes.len(), Ordering::Relaxed);
    }
}

impl LargeBodies {
    /// Returns true if clients still keep as many bytes as they may.
    pub(in crate::auth) fn is_full(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= MAX_BYTES
    }

    /// Counts a response until its last reference drops.
    pub(in crate::auth) fn count(&self, bytes: Bytes) -> Bytes {
        self.0.fetch_add(bytes.len(), Ordering::Relaxed);
        Bytes::from_owner(CountedBody { bytes, total: self.0.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_counted_until_the_last_reference_drops() {
        let bodies = LargeBodies::default();
        let kept = bodies.count(Bytes::from(vec![1; MAX_BYTES - 1]));
        assert!(!bodies.is_full());
        let last = bodies.count(Bytes::from_static(b"2"));
        let read_by_client = last.clone();
        drop(last);
        assert!(bodies.is_full() && *read_by_client == *b"2");
        drop(read_by_client);
        assert!(!bodies.is_full());
        drop(kept);
        assert_eq!(bodies.0.load(Ordering::Relaxed), 0);
    }
}
