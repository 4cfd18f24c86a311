//! Randomness, handed down like the clock. Knows nothing of what is made from it.
//!
//! Nothing else may draw randomness from the machine (`clippy.toml` refuses it).

use aws_lc_rs::rand::{SecureRandom, SystemRandom};

/// A source of random bytes that nobody can foresee.
#[derive(Clone, Debug)]
pub struct Chance(SystemRandom);

impl Chance {
    /// AWS-LC's generator, seeded by the operating system.
    pub fn system() -> Self {
        Self(SystemRandom::new())
    }

    /// `N` random bytes.
    ///
    /// # Panics
    /// When the machine has no randomness to give: no token made after that would be one.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        #[allow(clippy::expect_used, reason = "see above: there is no safe way on")]
        self.0.fill(&mut bytes).expect("the operating system gives randomness");
        bytes
    }
}
