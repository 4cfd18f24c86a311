//! What a process takes, read from `/proc` now and then: memory and descriptors, and whether they grow.

use std::fs;

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

#[test]
fn what_grows_is_seen_to_grow_and_what_swings_is_not() {
    let marks = |resident: fn(u32) -> f64| -> Vec<_> {
        (0..1000).map(|at| Mark { at: f64::from(at), resident: resident(at), descriptors: 0 }).collect()
    };
    assert!((slope(&marks(|at| 5e7 + 300.0 * f64::from(at))) - 300.0).abs() < 1e-6);
    assert!(slope(&marks(|at| 5e7 + if at % 2 == 0 { 1e6 } else { 0.0 })).abs() < 10.0);
}
