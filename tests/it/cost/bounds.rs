//! The bounds on the cost of a request. The bounds hold for a release build; an unoptimized program on any machine gets
//! more time by the same factor by which it is slower at a linear loop.

use std::time::Duration;

use crate::attacks::parsers_mutated::targets::cpu_time;

/// The size of a request at the usual limit of a body, and at that of `/verify/batch`.
pub(super) const SMALL: usize = 64 << 10;
pub(super) const LARGE: usize = 2 << 20;

/// CPU time of a request of at most [`SMALL`], and of any other. A linear parser takes about a millisecond.
const MAX_SMALL: Duration = Duration::from_millis(25);
const MAX_LARGE: Duration = Duration::from_millis(100);
/// Growth of memory by one request.
const MAX_MEMORY: u64 = 40_000_000;

/// The bounds of the program under test.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// How many times slower than the release build the program is.
    pub(super) slowdown: f64,
}

impl Bounds {
    /// The bounds of a release build if the caller names a program, which then is one. Otherwise the program was built
    /// in the same way as this test, so it is as much slower as a linear loop of this test.
    #[allow(clippy::disallowed_methods, reason = "the caller selects another program by SIGNET_BIN")]
    pub(super) fn of_program() -> Self {
        if std::env::var_os("SIGNET_BIN").is_some() {
            return Self { slowdown: 1.0 };
        }
        Self { slowdown: cpu_time::slowdown() }
    }

    /// The CPU time that a request of this size may take.
    pub(super) fn time(self, size: usize) -> Duration {
        let max = if size <= SMALL { MAX_SMALL } else { MAX_LARGE };
        max.mul_f64(self.slowdown)
    }

    pub(super) fn memory(self) -> u64 {
        MAX_MEMORY
    }
}
