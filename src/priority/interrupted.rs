//! Threads wait for the worker that was interrupted on their core.
//!
//! A worker that wakes a thread of the store or of the log can be interrupted by it. When that thread sleeps again, the
//! scheduler of Linux (EEVDF) prefers a hashing thread to the worker, because the worker ran last, and looks again at
//! the next tick, up to 4 ms later. Measured beside sign-ins on one core (Linux 6.18): six times a second, for 1.9 ms
//! (median), which made up the p99 of `/verify`. So each worker says on which core it works, and a hashing thread on that
//! core lets it finish within 0.1 ms.
//!
//! Knows nothing of hashes, stores and runtimes.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::io::Errno;
use rustix::thread::futex::{Flags, Timespec, wait, wake};

/// No worker works on this core, as far as is known.
const IDLE: u32 = 0;
/// A worker began its work on this core.
const AT_WORK: u32 = 1;
/// The same, and a thread waits until it has finished.
const AWAITED: u32 = 2;

/// Cores with a higher number share an entry with others: a thread may then wait in vain.
const CORES: usize = 1024;

/// A worker that always has work leaves the other threads their share of the core. A worker that meanwhile works on
/// another core is waited for in vain.
const LONGEST_WAIT: Timespec = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };

/// In cache lines of its own, because each core changes its entry for every burst of requests.
#[repr(align(128))]
struct Core(AtomicU32);

static CORE: [Core; CORES] = [const { Core(AtomicU32::new(IDLE)) }; CORES];

thread_local! {
    /// The core on which this worker began its work.
    static BEGAN_ON: Cell<usize> = const { Cell::new(0) };
}

pub(super) fn begin_work() {
    let core = this_core();
    BEGAN_ON.set(core);
    CORE[core].begin();
}

pub(super) fn end_work() {
    CORE[BEGAN_ON.get()].end();
}

pub(super) fn worker_is_at_work() -> bool {
    CORE[this_core()].0.load(Ordering::Relaxed) != IDLE
}

pub(super) fn let_worker_finish() -> bool {
    CORE[this_core()].wait(LONGEST_WAIT)
}

/// The C library finds it without a system call: glibc in memory that the kernel updates (rseq), musl in the vDSO.
#[allow(unsafe_code, reason = "see SAFETY")]
fn this_core() -> usize {
    // SAFETY: The function has no arguments and no preconditions.
    let core = unsafe { libc::sched_getcpu() };
    usize::try_from(core).unwrap_or_default() % CORES
}

impl Core {
    fn begin(&self) {
        // Otherwise another worker works on this core. A thread that waits for it is woken by the first to finish.
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

    #[test]
    fn thread_waits_until_the_worker_has_finished() {
        let core = Core(AtomicU32::new(IDLE));
        core.begin();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| core.wait(MINUTE));
            while core.0.load(Ordering::Relaxed) != AWAITED {
                std::thread::yield_now();
            }
            core.end();
            assert!(waiting.join().unwrap());
        });
        assert_eq!(core.0.load(Ordering::Relaxed), IDLE);
    }

    #[test]
    fn another_worker_on_the_core_forgets_no_waiting_thread() {
        let core = Core(AtomicU32::new(IDLE));
        core.begin();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| core.wait(MINUTE));
            while core.0.load(Ordering::Relaxed) != AWAITED {
                std::thread::yield_now();
            }
            core.begin();
            core.end();
            assert!(waiting.join().unwrap());
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

    #[test]
    fn worker_ends_its_work_where_it_began() {
        begin_work();
        let core = &CORE[BEGAN_ON.get()].0;
        assert_ne!(core.load(Ordering::Relaxed), IDLE);
        end_work();
        assert_eq!(core.load(Ordering::Relaxed), IDLE);
    }
}
