//! Randomness, handed down like the clock. Knows nothing of what is made from it.
//!
//! Nothing else may draw randomness from the machine. It comes from the kernel: AWS-LC's own generator gathers jitter for 50 ms
//! before its first byte, which was more than half of the time that an embedded server took to start.

/// A source of random bytes that nobody can foresee.
#[derive(Clone, Debug)]
pub struct Chance(());

impl Chance {
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
}
