//! The findings with their targets, as lines of a table and as JSON.

use serde::Serialize;

use crate::comparison::{Comparison, Schedule, SideResult};
use crate::support::machine::Machine;
use crate::support::stats::median;
use crate::support::target::Target;

/// A measured figure: one line of the table.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Finding {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) target: Target,
    pub(crate) measured: f64,
    /// The range of the middle half of the pairs of slices.
    pub(crate) middle_half: Option<[f64; 2]>,
    pub(crate) met: bool,
    pub(crate) comparison: Option<Comparison>,
}

impl Finding {
    /// The ratio of CPU time for each request.
    pub(crate) fn cpu(name: &str, title: &str, target: Target, comparison: Comparison) -> Self {
        let ratios = comparison.cpu_ratios.clone();
        Self::from_ratios(name, title, target, &ratios, comparison)
    }

    /// The ratio of requests a second.
    pub(crate) fn rate(name: &str, title: &str, target: Target, comparison: Comparison) -> Self {
        let ratios = comparison.rate_ratios.clone();
        Self::from_ratios(name, title, target, &ratios, comparison)
    }

    /// The throughput of two workers as a multiple of one worker. The other side is two servers with one worker each.
    pub(crate) fn two_workers(comparison: Comparison) -> Self {
        let mut gains: Vec<_> = comparison.cpu_ratios.iter().map(|ratio| 2.0 / ratio).collect();
        gains.sort_by(f64::total_cmp);
        let title = "two workers on two cores, as a multiple of one worker, by CPU time";
        Self::from_ratios("two_workers", title, Target::AtLeast(1.8), &gains, comparison)
    }

    /// The speed by CPU time, as a multiple of that of the other side.
    pub(crate) fn speed(name: &str, title: &str, target: Target, comparison: Comparison) -> Self {
        let speeds: Vec<_> = comparison.cpu_ratios.iter().rev().map(|ratio| 1.0 / ratio).collect();
        Self::from_ratios(name, title, target, &speeds, comparison)
    }

    fn from_ratios(name: &str, title: &str, target: Target, ratios: &[f64], comparison: Comparison) -> Self {
        let at = |fraction: f64| ratios[((ratios.len() - 1) as f64 * fraction).round() as usize];
        let finding = Self::single(name, title, target, median(ratios.to_vec()));
        Self { middle_half: Some([at(0.25), at(0.75)]), comparison: Some(comparison), ..finding }
    }

    /// A figure without a comparison.
    pub(crate) fn single(name: &str, title: &str, target: Target, measured: f64) -> Self {
        let met = target.is_met(measured);
        Self {
            name: name.to_owned(),
            title: title.to_owned(),
            target,
            measured,
            middle_half: None,
            met,
            comparison: None,
        }
    }

    /// The line of the table.
    pub(crate) fn row(&self) -> String {
        let middle_half = self.middle_half.map_or_else(String::new, |[low, high]| format!("{low:.2}–{high:.2}"));
        let met = if self.met { "met" } else { "not met" };
        format!(
            "{:<24} {:>8} {:>9.3} {:>11}  {met:<8} {}",
            self.name,
            format!("{:.2}", self.target),
            self.measured,
            middle_half,
            self.title
        )
    }

    /// A line for each side of the comparison.
    pub(crate) fn side_lines(&self) -> Vec<String> {
        let Some(comparison) = &self.comparison else { return Vec::new() };
        let line = |side: &SideResult| {
            let redis = side.redis_cpu.map_or_else(String::new, |cpu| format!(", Redis {cpu:.1} µs"));
            format!(
                "    {:<36} {:>8.0}/s  {:>8.2} µs CPU  p50 {:>7.0}  p99 {:>7.0}  p99.9 {:>7.0} µs  (busy {:.0} %, client {:.1} µs{redis})",
                side.name,
                side.per_second,
                side.cpu,
                side.p50,
                side.p99,
                side.p999,
                side.busy * 100.0,
                side.client_cpu,
            )
        };
        comparison.sides.iter().map(line).collect()
    }
}

pub(crate) const HEAD: &str = "path                       target  measured  middle half  ";

/// The report of a run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    /// The version of Redis.
    pub(crate) redis: String,
    /// The build profile of the baseline, and of the server unless `other_server` is set.
    pub(crate) build: String,
    /// The server was given by `--server`, so `build` and the commit may not be those of the server.
    pub(crate) other_server: bool,
    pub(crate) schedule: Schedule,
    pub(crate) quick: bool,
    pub(crate) findings: Vec<Finding>,
}
