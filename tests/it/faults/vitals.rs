//! What a process takes, read from `/proc` now and then: memory and descriptors, and whether they grow.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// What it took at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    /// Seconds since the first look.
    pub(super) at: f64,
    /// Bytes of memory that it has in use.
    pub(super) resident: f64,
    pub(super) descriptors: usize,
}

/// A process under watch.
pub(super) struct Vitals {
    pid: u32,
    pub(super) marks: Vec<Mark>,
}

impl Vitals {
    pub(super) fn of(pid: u32) -> Self {
        Self { pid, marks: Vec::new() }
    }

    /// Looks at it, so many seconds after the first time.
    pub(super) fn look(&mut self, at: f64) {
        let statm = fs::read_to_string(format!("/proc/{}/statm", self.pid)).expect("it runs");
        let pages: f64 = statm.split_whitespace().nth(1).and_then(|pages| pages.parse().ok()).expect("a number");
        self.marks.push(Mark {
            at,
            resident: pages * rustix::param::page_size() as f64,
            descriptors: descriptors(self.pid),
        });
    }

    /// The later half.
    pub(super) fn late(&self) -> &[Mark] {
        let half = self.marks.last().map_or(0.0, |last| last.at / 2.0);
        &self.marks[self.marks.partition_point(|mark| mark.at < half)..]
    }

    /// The half before.
    pub(super) fn early(&self) -> &[Mark] {
        &self.marks[..self.marks.len() - self.late().len()]
    }
}

/// How many descriptors a process has.
pub(super) fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs, and is ours").count()
}

/// The memory that was in use on the average, in bytes.
pub(super) fn resident(marks: &[Mark]) -> f64 {
    marks.iter().map(|mark| mark.resident).sum::<f64>() / marks.len().max(1) as f64
}

/// By how many bytes a second memory grew, as least squares have it.
pub(super) fn slope(marks: &[Mark]) -> f64 {
    let middle = marks.iter().map(|mark| mark.at).sum::<f64>() / marks.len() as f64;
    let mean = resident(marks);
    let above = marks.iter().map(|mark| (mark.at - middle) * (mark.resident - mean)).sum::<f64>();
    let below = marks.iter().map(|mark| (mark.at - middle).powi(2)).sum::<f64>();
    if below == 0.0 { 0.0 } else { above / below }
}

/// The most descriptors that it had at once.
pub(super) fn most_descriptors(marks: &[Mark]) -> usize {
    marks.iter().map(|mark| mark.descriptors).max().unwrap_or_default()
}

/// For how long a thread that asks for next to nothing may be kept waiting.
const PROMPT: Duration = Duration::from_millis(100);

/// The times at which the machine itself stood still: somebody asked for a moment of it, and had to wait. Where a store must answer
/// within 400 ms, such a machine may make it late.
pub(super) struct Stalls {
    over: Arc<AtomicBool>,
    seen: Arc<Mutex<Vec<(Instant, Instant)>>>,
}

impl Stalls {
    /// Watches until it is dropped.
    pub(super) fn watch() -> Self {
        let it = Self { over: Arc::default(), seen: Arc::default() };
        let (over, seen) = (it.over.clone(), it.seen.clone());
        std::thread::spawn(move || {
            let mut last = Instant::now();
            while !over.load(Ordering::Relaxed) {
                sleep(Duration::from_millis(5));
                let now = Instant::now();
                if now - last > PROMPT {
                    seen.lock().expect("nobody panics with it").push((last, now));
                }
                last = now;
            }
        });
        it
    }

    /// Whether it stood still in that time, or shortly before.
    pub(super) fn between(&self, from: Instant, to: Instant) -> bool {
        let seen = self.seen.lock().expect("nobody panics with it");
        seen.iter().any(|(began, ended)| *began <= to && *ended + Duration::from_secs(1) >= from)
    }

    /// How often it did, and the longest time.
    pub(super) fn extent(&self) -> (usize, Duration) {
        let seen = self.seen.lock().expect("nobody panics with it");
        (seen.len(), seen.iter().map(|(began, ended)| *ended - *began).max().unwrap_or_default())
    }
}

impl Drop for Stalls {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

#[test]
fn what_grows_is_seen_to_grow_and_what_swings_is_not() {
    let marks = |resident: fn(u32) -> f64| -> Vec<_> {
        (0..1000).map(|at| Mark { at: f64::from(at), resident: resident(at), descriptors: 0 }).collect()
    };
    assert!((slope(&marks(|at| 5e7 + 300.0 * f64::from(at))) - 300.0).abs() < 1e-6);
    assert!(slope(&marks(|at| 5e7 + if at % 2 == 0 { 1e6 } else { 0.0 })).abs() < 10.0);
}
