//! The scheduling of threads. Where there is more work than cores, the threads beside the workers give way to the
//! workers: `/verify` is answered in microseconds, and every time slice that a worker loses delays it.
//!
//! On Linux a priority belongs to a thread (setpriority(2), "C library/kernel differences"). Elsewhere it would slow
//! down the whole process, so nothing is changed there. None of this needs a privilege, and a failure affects only
//! latency.

#[cfg(target_os = "linux")]
mod interrupted;

use std::time::{Duration, Instant};

/// The increase of the nice value. The measurements are where threads lower their priority.
#[cfg(target_os = "linux")]
const LOWER_BY: i32 = 10;

/// The shortest time slice that Linux grants, in nanoseconds.
#[cfg(target_os = "linux")]
const SHORT_SLICE: u64 = 100_000;
#[cfg(target_os = "linux")]
const DEFAULT_SLICE: u64 = 0;
/// The time slice of a [`Computation`], in nanoseconds. A yield gives up what remains of it, so it is a little longer
/// than the time between two yields.
#[cfg(target_os = "linux")]
const COMPUTATION_SLICE: u64 = 400_000;

/// The most that a worker needs the core for after a yield.
const LONGEST_TURN: Duration = Duration::from_millis(1);

const BETWEEN_YIELDS: Duration = Duration::from_micros(300);

/// Lowers the priority of the current thread.
pub fn lower() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::nice(LOWER_BY);
}

/// Runs `work` on a thread of its own at lower priority. It runs to its end even if the caller is dropped. `None` if the
/// thread cannot be started.
pub async fn at_lower_priority<T: Send + 'static>(
    thread_name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (reply, result) = tokio::sync::oneshot::channel();
    let body = move || {
        lower();
        // Fails if the caller was dropped, which is not an error.
        let _ = reply.send(work());
    };
    std::thread::Builder::new().name(thread_name.to_owned()).spawn(body).ok()?;
    result.await.ok()
}

/// Asks for short time slices for the current thread. Since Linux 6.12, a thread that wakes up then interrupts a thread
/// with longer slices. Otherwise it waits for the end of the running thread's slice, up to several milliseconds,
/// whatever their nice values.
///
/// Measured beside 700 sign-ins a second on one core, with hashing and the store at nice 10 (Linux 6.18, medians of
/// three runs of 1.5 s): a worker that woke up waited for the other threads for up to 0.018 ms (p99) and 0.081 ms
/// (p99.9), instead of 0.086 ms and 0.297 ms.
pub fn shorten_time_slice() {
    #[cfg(target_os = "linux")]
    // The policy stays as it is. If it is a real-time policy, the kernel refuses the call, and no slice ends.
    let _ = schedule(libc::SCHED_FLAG_KEEP_POLICY as u64, libc::SCHED_OTHER, SHORT_SLICE);
}

/// Returns true if this process may use one core alone. Then workers say when they work ([`begin_work`], [`end_work`]),
/// and other threads give way to them ([`Computation::pause`], [`let_worker_sleep`]).
pub fn has_one_core() -> bool {
    #[cfg(target_os = "linux")]
    return interrupted::has_one_core();
    #[cfg(not(target_os = "linux"))]
    false
}

/// The current thread, a worker, has work until [`end_work`].
pub fn begin_work() {
    #[cfg(target_os = "linux")]
    interrupted::begin_work();
}

/// The current thread, a worker, has no work until it is woken.
pub fn end_work() {
    #[cfg(target_os = "linux")]
    interrupted::end_work();
}

/// On one core, lets the current thread wait for its turn when it wakes up, instead of interrupting another one. For
/// threads that make a [`Computation`].
pub fn wait_when_woken() {
    #[cfg(target_os = "linux")]
    if has_one_core() {
        interrupt_nobody(COMPUTATION_SLICE);
    }
}

/// A computation of milliseconds that gives way to workers. Not for workers.
///
/// If a worker that is woken had more than its share of the core lately, Linux (EEVDF) prefers the computation and looks
/// again at the next tick, up to 4 ms later. A yield lets it look at once.
pub struct Computation {
    gives_way: bool,
    #[cfg(target_os = "linux")]
    waits_for_worker: bool,
    yields: bool,
    yielded_at: Instant,
}

impl Computation {
    /// One that begins now. It gives way only on one core.
    pub fn begin() -> Self {
        Self {
            gives_way: has_one_core(),
            #[cfg(target_os = "linux")]
            waits_for_worker: true,
            yields: true,
            yielded_at: Instant::now(),
        }
    }

    /// To be called several times in a millisecond.
    pub fn pause(&mut self) {
        if !self.gives_way {
            return;
        }
        #[cfg(target_os = "linux")]
        if self.waits_for_worker {
            // After a wait in vain the worker has more work than that, and the computation keeps its share of the core.
            self.waits_for_worker = interrupted::let_worker_finish();
        }
        if self.yields && self.yielded_at.elapsed() >= BETWEEN_YIELDS {
            let start = Instant::now();
            std::thread::yield_now();
            self.yielded_at = Instant::now();
            // A worker is done sooner. With more yields, another program would get more than its share of the core.
            self.yields = self.yielded_at - start < LONGEST_TURN;
        }
    }
}

/// Lets the worker that was interrupted finish, and sleep before the current thread goes on: a worker that sleeps can
/// interrupt this thread again.
pub fn let_worker_sleep() {
    #[cfg(target_os = "linux")]
    if interrupted::worker_is_at_work() {
        let is_changed = interrupt_nobody(DEFAULT_SLICE);
        interrupted::let_worker_finish();
        if is_changed {
            let _ = schedule(0, libc::SCHED_OTHER, DEFAULT_SLICE);
        }
    }
}

/// `SCHED_BATCH`. Returns true if this changed the policy: another one than the ordinary is the choice of the operator,
/// and stays.
#[cfg(target_os = "linux")]
fn interrupt_nobody(slice: u64) -> bool {
    has_ordinary_policy() && schedule(0, libc::SCHED_BATCH, slice).is_ok()
}

#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "see SAFETY")]
fn has_ordinary_policy() -> bool {
    // SAFETY: The call has no pointers.
    let policy = unsafe { libc::syscall(libc::SYS_sched_getscheduler, 0) };
    policy == libc::c_long::from(libc::SCHED_OTHER)
}

/// Sets the policy and the time slice of the current thread.
#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "see SAFETY")]
fn schedule(flags: u64, policy: i32, slice: u64) -> std::io::Result<()> {
    let attributes = libc::sched_attr {
        size: size_of::<libc::sched_attr>() as u32,
        sched_flags: flags,
        sched_policy: policy as u32,
        sched_nice: rustix::process::getpriority_process(None)?,
        sched_priority: 0,
        sched_runtime: slice,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: The kernel reads `size` bytes at the address during the call and keeps no reference.
    let result = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use rustix::process::getpriority_process;
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    use super::*;

    /// For the current thread and those that it starts.
    fn use_one_core() -> rustix::io::Result<()> {
        let allowed = sched_getaffinity(None)?;
        let mut one = CpuSet::new();
        one.set((0..CpuSet::MAX_CPU).find(|core| allowed.is_set(*core)).unwrap_or_default());
        sched_setaffinity(None, &one)
    }

    #[tokio::test]
    async fn work_runs_at_lower_priority() {
        let own = getpriority_process(None).unwrap();
        let lowered = at_lower_priority("test", || getpriority_process(None).unwrap()).await;
        // 19 is the lowest.
        assert_eq!(lowered, Some((own + LOWER_BY).min(19)));
        assert_eq!(getpriority_process(None).unwrap(), own);
    }

    #[test]
    fn slice_and_policy_leave_the_priority() {
        for (flags, policy, slice) in [
            (libc::SCHED_FLAG_KEEP_POLICY as u64, libc::SCHED_OTHER, SHORT_SLICE),
            (0, libc::SCHED_BATCH, DEFAULT_SLICE),
        ] {
            // On a thread of its own, because the change lasts as long as the thread.
            let changed = std::thread::spawn(move || {
                lower();
                let before = getpriority_process(None).unwrap();
                schedule(flags, policy, slice).unwrap();
                (before, getpriority_process(None).unwrap())
            });
            let (before, after) = changed.join().unwrap();
            assert_eq!(before, after);
        }
    }

    #[test]
    fn policy_is_as_before_after_the_worker_sleeps() {
        // proc_pid_stat(5), field 41.
        let policy = || {
            let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
            let (_, fields_from_3) = stat.rsplit_once(") ").unwrap();
            fields_from_3.split_whitespace().nth(41 - 3).unwrap().parse::<i32>().unwrap()
        };
        let policies = std::thread::spawn(move || {
            use_one_core().unwrap();
            // This thread plays the worker too, so it waits in vain.
            begin_work();
            let_worker_sleep();
            let after_ordinary = policy();
            wait_when_woken();
            let_worker_sleep();
            (after_ordinary, policy())
        });
        // A policy that was there before stays.
        assert_eq!(policies.join().unwrap(), (libc::SCHED_OTHER, libc::SCHED_BATCH));
    }

    #[test]
    fn computation_beside_a_busy_thread_yields_no_more() {
        let computation = std::thread::spawn(move || {
            use_one_core().unwrap();
            let (is_over, start) = (AtomicBool::new(false), Instant::now());
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    while !is_over.load(Ordering::Relaxed) {
                        std::hint::spin_loop();
                    }
                });
                let mut computation = Computation::begin();
                while computation.yields && start.elapsed() < Duration::from_secs(60) {
                    computation.pause();
                }
                is_over.store(true, Ordering::Relaxed);
                computation.yields
            })
        });
        assert!(!computation.join().unwrap());
    }
}
