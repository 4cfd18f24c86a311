//! The scheduling of threads. Where there is more work than cores, the threads beside the workers give way to the
//! workers: `/verify` is answered in microseconds, and every time slice that a worker loses delays it.
//!
//! On Linux a priority belongs to a thread (setpriority(2), "C library/kernel differences"). Elsewhere it would slow
//! down the whole process, so nothing is changed there. None of this needs a privilege, and a failure affects only
//! latency.

#[cfg(target_os = "linux")]
use std::time::Duration;

/// The increase of the nice value. The measurements are where threads lower their priority.
#[cfg(target_os = "linux")]
const LOWER_BY: i32 = 10;

/// The time slice of the workers: one period of the timer that ends slices, at 250 Hz. Their runs are much shorter, so
/// that no slice ends during one.
#[cfg(target_os = "linux")]
const WORKER_SLICE: Duration = Duration::from_millis(4);

/// The time slice of the threads that give way. It must be longer than that of the workers.
#[cfg(target_os = "linux")]
const LOW_SLICE: Duration = Duration::from_millis(12);

/// Lowers the priority of the current thread, and lets the workers interrupt it.
pub fn lower() {
    #[cfg(target_os = "linux")]
    {
        let _ = rustix::process::nice(LOWER_BY);
        let _ = request_time_slice(LOW_SLICE);
    }
}

/// Requests a worker's time slice for the current thread.
///
/// Since Linux 6.12, a thread that wakes up interrupts a thread with longer slices. Otherwise it waits for the end of
/// the running thread's slice, up to several milliseconds, whatever their nice values. But the slice must not be as
/// short as possible either: when the timer finds that the slice of a running worker is over, a hash has the core until
/// the timer's next tick, 4 ms later.
///
/// Measured on one core beside 32 to 512 connections that sign in without a pause (Linux 6.18, 250 Hz, medians of three
/// runs of 3 s), p99 of `/verify` compared with that without sign-ins:
///
/// | slice of the workers | of the threads at low priority | ratio |
/// |---|---|---|
/// | 0.1 ms | default | 3.4 to 5.4 |
/// | default | 10 ms | 2.3 to 6.9 |
/// | 3 ms | 10 ms | 1.0 to 1.3 |
/// | 6 ms | 15 ms | 0.6 to 1.0 |
///
/// With 100 ms, hashes got a hundredth of the core beside a busy program, in 3 s.
pub fn set_worker_time_slice() {
    #[cfg(target_os = "linux")]
    let _ = request_time_slice(WORKER_SLICE);
}

#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "see SAFETY")]
fn request_time_slice(slice: Duration) -> std::io::Result<()> {
    let attributes = libc::sched_attr {
        size: size_of::<libc::sched_attr>() as u32,
        // The policy stays as it is. If it is a real-time policy, the kernel refuses the call, and no slice ends.
        sched_flags: libc::SCHED_FLAG_KEEP_POLICY as u64,
        sched_policy: 0,
        sched_nice: rustix::process::getpriority_process(None)?,
        sched_priority: 0,
        sched_runtime: slice.as_nanos() as u64,
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

    use super::{LOW_SLICE, lower, request_time_slice};

    #[test]
    fn a_time_slice_leaves_the_priority() {
        // On a thread of its own, because the change lasts as long as the thread.
        let changed = std::thread::spawn(|| {
            lower();
            let before = getpriority_process(None).unwrap();
            request_time_slice(LOW_SLICE).unwrap();
            (before, getpriority_process(None).unwrap())
        });
        let (before, after) = changed.join().unwrap();
        assert_eq!(before, after);
    }
}
