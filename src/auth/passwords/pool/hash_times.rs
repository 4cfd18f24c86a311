//! Estimates the duration of a hash and chooses the priority of the hashing threads, from the hashes that were done
//! last. Both estimates are given up soon after the load under which they were made.
//!
//! **Duration.** The time of a hash consists of its computation and of its thread's waits for the processor. The waits
//! occur only under load. So a faster hash counts more than a slower one, and after an idle second only the computation
//! counts. Too long an estimate rejects sign-ins that could be served. Too short an estimate does less harm: some
//! sign-ins miss their deadline, before anything was hashed for them.
//!
//! **Priority.** The threads run at low priority, so that `/verify` does not wait for them. Programs of other processes
//! at ordinary priority then leave them a tenth of the processor. If hashes are starved in this way for [`WINDOW`], the
//! next ones run at the priority of the process, so that they get as much as any other program. This ends after
//! [`NORMAL_FOR`].
//!
//! Knows nothing of jobs and threads.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, Timespec, clock_gettime};

/// Time without a hash after which the durations that were measured under load are forgotten.
const FORGET_AFTER: Duration = Duration::from_secs(1);

/// How long hashes run at the priority of the process, after those at low priority were starved. The next ones at low
/// priority show whether the other programs are still there. Ten times as long as [`WINDOW`], so that hashes
/// beside a program that never waits have more than 0.4 of a core on average.
const NORMAL_FOR: Duration = Duration::from_secs(10);

/// The time of the hashes, added up, over which starving is judged. Less proves little: Redis and clients on the same
/// machine can have a core for 40 ms at a time without needing most of it.
const WINDOW: Duration = Duration::from_secs(1);

/// Hashes are starved if they had the processor for less than a sixth of their time. At low priority a thread has a
/// tenth beside a program that never waits, and a quarter or more beside programs that are busy for three quarters of
/// the time. These must not wait longer because of the hashes.
const STARVED: u32 = 6;

/// If this process had more of the cores than this, its own workers have starved the hashes. They are the reason for
/// the low priority, so it stays.
const OWN_SHARE: f64 = 0.75;

/// The priority of hashing threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Priority {
    /// Lower than that of the workers.
    Low,
    /// The priority of the process.
    Normal,
}

/// The times of one job, or of several.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct JobTimes {
    /// Time on the clock.
    pub(super) elapsed: Duration,
    /// CPU time of the job's thread.
    pub(super) thread: Duration,
    /// CPU time of all threads of the process meanwhile.
    pub(super) process: Duration,
}

/// Measures a job on the thread that runs it.
pub(super) struct Stopwatch {
    began: Instant,
    thread: Duration,
    process: Duration,
}

/// The durations of the last hashes, and the priority that follows from them.
#[derive(Debug)]
pub(super) struct HashTimes {
    /// Expected time of one hash: a moving average.
    expected: Duration,
    /// CPU time of one hash: a moving average.
    computing: Duration,
    last_done: Option<Instant>,
    /// The sums of the last jobs at low priority.
    window: JobTimes,
    normal_until: Option<Instant>,
    cores: f64,
}

impl Stopwatch {
    pub(super) fn start() -> Self {
        Self {
            began: Instant::now(),
            thread: cpu_time(ClockId::ThreadCPUTime),
            process: cpu_time(ClockId::ProcessCPUTime),
        }
    }

    pub(super) fn stop(&self) -> JobTimes {
        JobTimes {
            elapsed: self.began.elapsed(),
            thread: cpu_time(ClockId::ThreadCPUTime).saturating_sub(self.thread),
            process: cpu_time(ClockId::ProcessCPUTime).saturating_sub(self.process),
        }
    }
}

fn cpu_time(clock: ClockId) -> Duration {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(clock);
    Duration::new(u64::try_from(tv_sec).unwrap_or(0), u32::try_from(tv_nsec).unwrap_or(0))
}

impl HashTimes {
    /// `initial` is the expected time of one hash, until the first has been measured.
    pub(super) fn new(initial: Duration, cores: usize) -> Self {
        Self {
            expected: initial,
            computing: initial,
            last_done: None,
            window: JobTimes::default(),
            normal_until: None,
            cores: cores as f64,
        }
    }

    /// Expected time of one hash.
    pub(super) fn expected(&self) -> Duration {
        self.expected
    }

    /// Records that no hash waits or runs.
    pub(super) fn idle(&mut self, now: Instant) {
        if self.last_done.is_some_and(|done| now.saturating_duration_since(done) >= FORGET_AFTER) {
            self.expected = self.expected.min(self.computing);
            self.window = JobTimes::default();
        }
    }

    /// The priority for the next hash.
    pub(super) fn priority(&self, now: Instant) -> Priority {
        match self.normal_until {
            Some(until) if now < until => Priority::Normal,
            _ => Priority::Low,
        }
    }

    /// Records a job of so many hashes that ran at `priority`.
    pub(super) fn record(&mut self, now: Instant, hashes: u32, times: JobTimes, priority: Priority) {
        let (elapsed, computing) = (times.elapsed / hashes.max(1), times.thread / hashes.max(1));
        self.expected =
            if elapsed < self.expected { (self.expected + elapsed) / 2 } else { (self.expected * 7 + elapsed) / 8 };
        self.computing = (self.computing * 7 + computing) / 8;
        self.last_done = Some(now);
        if priority == Priority::Low {
            self.window.add(times);
            if self.window.elapsed >= WINDOW {
                if self.window.are_starved_by_others(self.cores) {
                    self.normal_until = Some(now + NORMAL_FOR);
                }
                self.window = JobTimes::default();
            }
        }
    }
}

impl JobTimes {
    fn add(&mut self, other: Self) {
        self.elapsed += other.elapsed;
        self.thread += other.thread;
        self.process += other.process;
    }

    fn are_starved_by_others(self, cores: f64) -> bool {
        self.thread * STARVED < self.elapsed
            && self.process.as_secs_f64() < self.elapsed.as_secs_f64() * cores * OWN_SHARE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// A job of one hash of 10 ms on one core.
    fn times(elapsed: u64, process: u64) -> JobTimes {
        JobTimes { elapsed: millis(elapsed), thread: millis(10), process: millis(process) }
    }

    #[test]
    fn slow_hashes_raise_the_estimate_and_fast_ones_lower_it() {
        let (mut hash_times, now) = (HashTimes::new(millis(10), 1), Instant::now());
        for _ in 0..40 {
            hash_times.record(now, 1, times(100, 100), Priority::Low);
        }
        assert!(hash_times.expected() > millis(99), "{hash_times:?}");
        for _ in 0..8 {
            hash_times.record(now, 1, times(10, 10), Priority::Low);
        }
        assert!(hash_times.expected() < millis(11), "{hash_times:?}");
    }

    #[test]
    fn an_idle_second_forgets_durations_under_load() {
        let (mut hash_times, now) = (HashTimes::new(millis(10), 1), Instant::now());
        for _ in 0..40 {
            hash_times.record(now, 1, times(100, 100), Priority::Low);
        }
        hash_times.idle(now + SECOND / 2);
        assert!(hash_times.expected() > millis(99), "{hash_times:?}");
        hash_times.idle(now + SECOND);
        assert!(hash_times.expected() <= millis(10), "{hash_times:?}");
    }

    /// After hashes at this priority whose time is that of the window.
    fn after(times: JobTimes, priority: Priority) -> (HashTimes, Instant) {
        let (mut hash_times, now) = (HashTimes::new(millis(10), 1), Instant::now());
        for _ in 0..WINDOW.as_millis() / times.elapsed.as_millis() {
            hash_times.record(now, 1, times, priority);
        }
        (hash_times, now)
    }

    #[test]
    fn other_programs_raise_the_priority_for_a_while() {
        let (starved, now) = after(times(100, 12), Priority::Low);
        assert_eq!(starved.priority(now), Priority::Normal);
        assert_eq!(starved.priority(now + NORMAL_FOR), Priority::Low);
    }

    #[test]
    fn nothing_but_other_programs_raises_the_priority() {
        for (why, times, priority) in [
            ("the workers used the core", times(100, 95), Priority::Low),
            ("it had a fifth of the core", times(50, 12), Priority::Low),
            ("the priority was raised already", times(100, 12), Priority::Normal),
        ] {
            let (hash_times, now) = after(times, priority);
            assert_eq!(hash_times.priority(now), Priority::Low, "{why}");
        }
    }

    #[test]
    fn a_starved_hash_among_others_does_not_raise_the_priority() {
        let (mut hash_times, now) = (HashTimes::new(millis(10), 1), Instant::now());
        for _ in 0..20 {
            hash_times.record(now, 1, times(200, 12), Priority::Low);
            for _ in 0..10 {
                hash_times.record(now, 1, times(12, 12), Priority::Low);
            }
        }
        assert_eq!(hash_times.priority(now), Priority::Low);
    }

    #[test]
    fn an_idle_second_forgets_starved_hashes() {
        let (mut hash_times, now) = (HashTimes::new(millis(10), 1), Instant::now());
        hash_times.record(now, 1, times(900, 12), Priority::Low);
        hash_times.idle(now + SECOND);
        hash_times.record(now + SECOND, 1, times(200, 12), Priority::Low);
        assert_eq!(hash_times.priority(now + SECOND), Priority::Low);
    }
}
