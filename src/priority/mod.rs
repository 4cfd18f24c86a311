//! The scheduling of threads. Where there is more work than cores, the threads beside the workers give way to the
//! workers: `/verify` is answered in microseconds, and every time slice that a worker loses delays it.
//!
//! On Linux a priority belongs to a thread (setpriority(2), "C library/kernel differences"). Elsewhere it would slow
//! down the whole process, so nothing is changed there. None of this needs a privilege, and a failure affects only
//! latency.

#[cfg(target_os = "linux")]
mod interrupted;

/// The increase of the nice value. The measurements are where threads lower their priority.
#[cfg(target_os = "linux")]
const LOWER_BY: i32 = 10;

/// The shortest time slice that Linux grants, in nanoseconds.
#[cfg(target_os = "linux")]
const SHORT_SLICE: u64 = 100_000;
#[cfg(target_os = "linux")]
const DEFAULT_SLICE: u64 = 0;

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
/// and other threads give way to them ([`let_worker_finish`]).
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

/// Waits until the worker that was interrupted has finished. Returns false if it did not finish in time: the current
/// thread should then go on for a while. Not for workers.
pub fn let_worker_finish() -> bool {
    #[cfg(target_os = "linux")]
    return interrupted::let_worker_finish();
    #[cfg(not(target_os = "linux"))]
    true
}

/// On one core, lets the current thread wait for its turn when it wakes up, instead of interrupting another one.
pub fn wait_when_woken() {
    #[cfg(target_os = "linux")]
    if has_one_core() {
        interrupt_nobody();
    }
}

/// Lets the worker that was interrupted finish, and sleep before the current thread goes on: a worker that sleeps can
/// interrupt this thread again.
pub fn let_worker_sleep() {
    #[cfg(target_os = "linux")]
    if interrupted::worker_is_at_work() {
        let is_changed = interrupt_nobody();
        interrupted::let_worker_finish();
        if is_changed {
            let _ = schedule(0, libc::SCHED_OTHER, DEFAULT_SLICE);
        }
    }
}

/// `SCHED_BATCH`. Returns true if this changed the policy: another one than the ordinary is the choice of the operator,
/// and stays.
#[cfg(target_os = "linux")]
fn interrupt_nobody() -> bool {
    has_ordinary_policy() && schedule(0, libc::SCHED_BATCH, DEFAULT_SLICE).is_ok()
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
    use rustix::process::getpriority_process;
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    use super::{SHORT_SLICE, at_lower_priority, begin_work, let_worker_sleep, lower, schedule, wait_when_woken};

    #[tokio::test]
    async fn work_runs_at_lower_priority() {
        let own = getpriority_process(None).unwrap();
        let lowered = at_lower_priority("test", || getpriority_process(None).unwrap()).await;
        // 19 is the lowest.
        assert_eq!(lowered, Some((own + super::LOWER_BY).min(19)));
        assert_eq!(getpriority_process(None).unwrap(), own);
    }

    #[test]
    fn slice_and_policy_leave_the_priority() {
        for (flags, policy, slice) in [
            (libc::SCHED_FLAG_KEEP_POLICY as u64, libc::SCHED_OTHER, SHORT_SLICE),
            (0, libc::SCHED_BATCH, super::DEFAULT_SLICE),
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
            let allowed = sched_getaffinity(None).unwrap();
            let mut one = CpuSet::new();
            one.set((0..CpuSet::MAX_CPU).find(|core| allowed.is_set(*core)).unwrap());
            sched_setaffinity(None, &one).unwrap();
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
}
