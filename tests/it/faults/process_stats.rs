//! Memory and open files of a process, sampled from `/proc`, and their growth.

use std::fs;

/// The usage at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// Seconds since the first sample.
    pub(super) at: f64,
    /// Resident memory in bytes.
    pub(super) memory: f64,
    pub(super) open_files: usize,
}

/// The samples of one process.
pub(super) struct ProcessStats {
    pid: u32,
    pub(super) samples: Vec<Sample>,
}

impl ProcessStats {
    pub(super) fn of(pid: u32) -> Self {
        Self { pid, samples: Vec::new() }
    }

    /// Takes a sample, so many seconds after the first one.
    pub(super) fn sample(&mut self, at: f64) {
        let statm = fs::read_to_string(format!("/proc/{}/statm", self.pid)).expect("the process runs");
        let pages: f64 = statm.split_whitespace().nth(1).and_then(|pages| pages.parse().ok()).expect("a number");
        self.samples.push(Sample {
            at,
            memory: pages * rustix::param::page_size() as f64,
            open_files: open_files(self.pid),
        });
    }

    /// The samples of the second half of the time.
    pub(super) fn second_half(&self) -> &[Sample] {
        let half = self.samples.last().map_or(0.0, |last| last.at / 2.0);
        &self.samples[self.samples.partition_point(|sample| sample.at < half)..]
    }

    /// The samples of the first half of the time.
    pub(super) fn first_half(&self) -> &[Sample] {
        &self.samples[..self.samples.len() - self.second_half().len()]
    }
}

/// The number of open files of a process.
pub(super) fn open_files(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).expect("the process runs and belongs to this user").count()
}

/// The mean resident memory, in bytes.
pub(super) fn mean_memory(samples: &[Sample]) -> f64 {
    samples.iter().map(|sample| sample.memory).sum::<f64>() / samples.len().max(1) as f64
}

/// The growth of memory in bytes per second, by least squares.
pub(super) fn growth_per_second(samples: &[Sample]) -> f64 {
    let mean_time = samples.iter().map(|sample| sample.at).sum::<f64>() / samples.len() as f64;
    let mean = mean_memory(samples);
    let covariance = samples.iter().map(|sample| (sample.at - mean_time) * (sample.memory - mean)).sum::<f64>();
    let variance = samples.iter().map(|sample| (sample.at - mean_time).powi(2)).sum::<f64>();
    if variance == 0.0 { 0.0 } else { covariance / variance }
}

/// The maximum number of open files.
pub(super) fn max_open_files(samples: &[Sample]) -> usize {
    samples.iter().map(|sample| sample.open_files).max().unwrap_or_default()
}

#[test]
fn growth_is_measured_and_oscillation_is_ignored() {
    let samples = |memory: fn(u32) -> f64| -> Vec<_> {
        (0..1000).map(|at| Sample { at: f64::from(at), memory: memory(at), open_files: 0 }).collect()
    };
    assert!((growth_per_second(&samples(|at| 5e7 + 300.0 * f64::from(at))) - 300.0).abs() < 1e-6);
    assert!(growth_per_second(&samples(|at| 5e7 + if at % 2 == 0 { 1e6 } else { 0.0 })).abs() < 10.0);
}
