//! The priority of the threads beside the workers. Where there is more work than cores, they give way to the workers:
//! `/verify` is answered in microseconds, and every time slice that a worker loses delays it.
//!
//! On Linux a priority belongs to a thread (setpriority(2), "C library/kernel differences"). Elsewhere it would slow
//! down the whole process, so it is left alone. Lowering it needs no privilege, and a failure affects only latency.

/// Lowers the priority of the current thread: raises its nice value by this much.
pub fn lower(by: i32) {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::nice(by);
    #[cfg(not(target_os = "linux"))]
    let _ = by;
}
