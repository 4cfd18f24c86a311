//! CPU time, and how much slower this build is than a release build. The cost tests (`tests/it/cost`) use it too.

use std::fs;
use std::time::Duration;

/// The time of [`reference_loop`] in a release build on the machine for which the bounds were stated. Without
/// optimization it takes about five times as long.
const REFERENCE: Duration = Duration::from_micros(410);

/// The CPU time of the calling thread.
pub fn of_thread() -> Duration {
    // Yielding adds the time since the last tick to the statistics.
    std::thread::yield_now();
    from_schedstat(&fs::read_to_string("/proc/thread-self/schedstat").expect("a Linux kernel with schedstat"))
}

/// The time on a CPU, the first number of `schedstat`.
pub fn from_schedstat(schedstat: &str) -> Duration {
    let time = schedstat.split(' ').next().expect("there is a number");
    Duration::from_nanos(time.parse().expect("nanoseconds"))
}

/// The CPU time of this work.
pub fn of<T>(work: impl FnOnce() -> T) -> Duration {
    let before = of_thread();
    std::hint::black_box(work());
    of_thread() - before
}

/// The factor by which this build is slower on this machine than `REFERENCE`; at least 1.
pub fn slowdown() -> f64 {
    let form: String = (0..3000).map(|number| format!("Name{number}=Value+{number}&")).collect();
    let times = (0..30).map(|_| of(|| reference_loop(std::hint::black_box(&form))));
    let fastest = times.min().unwrap_or_default();
    (fastest.as_secs_f64() / REFERENCE.as_secs_f64()).max(1.0)
}

/// Code like the server's own: reads a form byte by byte into strings.
fn reference_loop(form: &str) -> usize {
    let decode = |piece: &str| {
        let bytes = piece.bytes().map(|byte| if byte == b'+' { b' ' } else { byte.to_ascii_lowercase() });
        String::from_utf8(bytes.collect()).unwrap_or_default()
    };
    let pairs = form.split('&').filter_map(|piece| piece.split_once('='));
    let fields: Vec<(String, String)> = pairs.map(|(name, value)| (decode(name), decode(value))).collect();
    fields.iter().map(|(name, value)| name.len() + value.len()).sum()
}
