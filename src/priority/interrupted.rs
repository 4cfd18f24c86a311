//! On one core, threads wait for the worker that was interrupted.
//!
//! A worker that wakes a thread of the store or of the log can be interrupted by it. When that thread sleeps again, the
//! scheduler of Linux (EEVDF) prefers a hashing thread to the worker, because the worker ran last, and looks again at
//! the next tick, up to 4 ms later. Measured beside sign-ins on one core (Linux 6.18): six times a second, for 1.9 ms
//! (median), which made up the p99 of `/verify`. So the worker says when it works, and a hashing thread lets it finish
//! within 0.1 ms.
//!
//! Only where this process may use one core alone. With two, hashing threads waited 7,400 times a second, mostly for a
//! worker on the other core, and Linux 6.18 then let threads of other process groups wait for up to a second, also its
//! own: in a run of four minutes, `/verify` beside sign-ins had a p99.9 of 114 ms instead of 12.
//!
//! Knows nothing of hashes, stores and runtimes.

use std::sync::atomic::{AtomicU32, Ordering};

use rustix::io::Errno;
use rustix::thread::futex::{Flags, Timespec, wait, wake};
use rustix::thread::sched_getaffinity;

/// No worker works.
const IDLE: u32 = 0;
/// A worker works.
const AT_WORK: u32 = 1;
/// The same, and a thread waits until it has finished.
const AWAITED: u32 = 2;

/// A worker that always has work leaves the other threads their share of the core.
const LONGEST_WAIT: Timespec = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };

struct Core(AtomicU32);

static CORE: Core = Core(AtomicU32::new(IDLE));

pub(super) fn has_one_core() -> bool {
    sched_getaffinity(None).is_ok_and(|cores| cores.count() == 1)
}

pub(super) fn begin_work() {
    CORE.begin();
}

pub(super) fn end_work() {
    CORE.end();
}

pub(super) fn worker_is_at_work() -> bool {
    CORE.0.load(Ordering::Relaxed) != IDLE
}

pub(super) fn let_worker_finish() -> bool {
    CORE.wait(LONGEST_WAIT)
}

impl Core {
    fn begin(&self) {
        // Otherwise another worker works. A thread that waits for it is woken by the first to finish.
        if self.0.load(Ordering::Relaxed) == IDLE {
            self.0.store(AT_WORK, Ordering::Relaxed);
        }
    }
    fn end(&self) {
        if self.0.swap(IDLE, Ordering::Relaxed) == AWAITED {
            // Fails only for invalid arguments.
            let _ = wake(&self.0, Flags::PRIVATE, i32::MAX as u32);
        }
    }

    /// Returns false if the worker did not finish in time.
    fn wait(&self, timeout: Timespec) -> bool {
        if self.0.load(Ordering::Relaxed) == IDLE
            || self.0.compare_exchange(AT_WORK, AWAITED, Ordering::Relaxed, Ordering::Relaxed) == Err(IDLE)
        {
            return true;
        }
        // The kernel compares the state once more, so a worker that has just finished is not waited for.
        wait(&self.0, Flags::PRIVATE, AWAITED, Some(&timeout)) != Err(Errno::TIMEDOUT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Timespec = Timespec { tv_sec: 60, tv_nsec: 0 };

    /// `finish` is called when a thread waits for the worker. It must end the wait.
    fn wait_until(finish: impl FnOnce(&Core)) {
        let core = Core(AtomicU32::new(IDLE));
        core.begin();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| core.wait(MINUTE));
            while core.0.load(Ordering::Relaxed) != AWAITED {
                std::thread::yield_now();
            }
            finish(&core);
            assert!(waiting.join().unwrap());
        });
        assert_eq!(core.0.load(Ordering::Relaxed), IDLE);
    }

    #[test]
    fn thread_waits_until_the_worker_has_finished() {
        wait_until(Core::end);
    }

    #[test]
    fn another_worker_on_the_core_forgets_no_waiting_thread() {
        wait_until(|core| {
            core.begin();
            core.end();
        });
    }

    #[test]
    fn thread_waits_for_no_worker_without_work() {
        let core = Core(AtomicU32::new(IDLE));
        assert!(core.wait(MINUTE));
        core.begin();
        core.end();
        assert!(core.wait(MINUTE));
    }

    #[test]
    fn worker_that_does_not_finish_is_waited_for_briefly() {
        let core = Core(AtomicU32::new(IDLE));
        core.begin();
        assert!(!core.wait(LONGEST_WAIT));
        // And for a second time, although the state tells that a thread waits.
        assert!(!core.wait(LONGEST_WAIT));
    }
}
