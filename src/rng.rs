//! Randomness, passed in like the clock. Knows nothing of what it is used for.
//!
//! Nothing else may draw randomness from the machine. It comes from the kernel: AWS-LC's own generator gathers jitter
//! for 50 ms before its first byte, which was more than half of an embedded server's start-up time.

use std::cell::RefCell;
use std::time::Duration;

/// A source of unpredictable bytes.
#[derive(Clone, Debug)]
pub struct Rng(());

impl Rng {
    /// The operating system's generator.
    pub fn system() -> Self {
        Self(())
    }

    /// `N` random bytes.
    ///
    /// # Panics
    /// If the operating system provides no randomness: a token generated without it would be predictable.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        #[allow(clippy::expect_used, reason = "see above: there is no safe way to continue")]
        getrandom::fill(&mut bytes).expect("the operating system provides randomness");
        bytes
    }

    /// `N` random bytes for values that must be unique but are not secret. Drawn in batches, because a refresh
    /// generates an id, and a system call costs more than everything else in it. Bytes of a batch that are not used yet
    /// stay in memory, where a secret's must not.
    pub fn distinct<const N: usize>(&self) -> [u8; N] {
        thread_local! {
            static BATCH: RefCell<([u8; BATCH_SIZE], usize)> = const { RefCell::new(([0; BATCH_SIZE], BATCH_SIZE)) };
        }
        const { assert!(N <= BATCH_SIZE) };
        BATCH.with_borrow_mut(|(batch, used)| {
            if *used + N > BATCH_SIZE {
                (*batch, *used) = (self.bytes(), 0);
            }
            let mut bytes = [0; N];
            bytes.copy_from_slice(&batch[*used..*used + N]);
            *used += N;
            bytes
        })
    }

    /// Half of `pause` to all of it, so that attempts that failed together are not repeated together.
    pub fn jitter(&self, pause: Duration) -> Duration {
        let share = f64::from(u16::from_ne_bytes(self.bytes())) / f64::from(u16::MAX);
        pause.mul_f64(0.5 + share / 2.0)
    }
}

/// The largest size that the kernel returns in one call, even if a signal arrives (getrandom(2)).
const BATCH_SIZE: usize = 256;
