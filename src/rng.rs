//! Randomness, handed down like the clock. Knows nothing of what is made from it.
//!
//! Nothing else may draw randomness from the machine. It comes from the kernel: AWS-LC's own generator gathers jitter for 50 ms
//! before its first byte, which was more than half of the time that an embedded server took to start.

use std::cell::RefCell;

/// A source of random bytes that nobody can foresee.
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
    /// When the machine has no randomness to give: no token made after that would be one.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        #[allow(clippy::expect_used, reason = "see above: there is no safe way on")]
        getrandom::fill(&mut bytes).expect("the operating system gives randomness");
        bytes
    }

    /// The same for what is to be told apart and is no secret: drawn many at once, since a refresh makes an id and a call of the
    /// kernel is more than all else that goes into one. Those not given out yet lie in memory, where a secret's must not.
    pub fn distinct<const N: usize>(&self) -> [u8; N] {
        thread_local! {
            static DRAWN: RefCell<([u8; POOL], usize)> = const { RefCell::new(([0; POOL], POOL)) };
        }
        const { assert!(N <= POOL) };
        DRAWN.with_borrow_mut(|(pool, used)| {
            if *used + N > POOL {
                (*pool, *used) = (self.bytes(), 0);
            }
            let mut bytes = [0; N];
            bytes.copy_from_slice(&pool[*used..*used + N]);
            *used += N;
            bytes
        })
    }
}

/// As much as the kernel gives in one piece, whatever signals come.
const POOL: usize = 256;
