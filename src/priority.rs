//! The priority of the threads beside the workers. Where there is more work than cores, they give way to the workers:
//! `/verify` is answered in microseconds, and every time slice that a worker loses delays it.
//!
//! On Linux a priority belongs to a thread (setpriority(2), "C library/kernel differences"). Elsewhere it would slow
//! down the whole process, so it is left alone. Lowering it needs no privilege, and a failure affects only latency.

/// By how much the nice value is raised. What was measured is where a thread lowers its priority.
#[cfg(target_os = "linux")]
const LOWER_BY: i32 = 10;

/// Lowers the priority of the current thread.
pub fn lower() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::nice(LOWER_BY);
}
