//! What was found, against what was aimed at: as a table, and as JSON.

use serde::Serialize;

use crate::duel::{Pace, Verdict, median};
use crate::support::machine::Machine;

/// What a figure should be.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Aim {
    AtMost(f64),
    AtLeast(f64),
}

impl Aim {
    pub(crate) fn met(self, measured: f64) -> bool {
        match self {
            Self::AtMost(most) => measured <= most,
            Self::AtLeast(least) => measured >= least,
        }
    }

    pub(crate) fn text(self) -> String {
        match self {
            Self::AtMost(most) => format!("≤ {most:.2}"),
            Self::AtLeast(least) => format!("≥ {least:.2}"),
        }
    }
}

/// One line of the table.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Finding {
    pub(crate) name: String,
    pub(crate) what: String,
    pub(crate) aim: Aim,
    pub(crate) measured: f64,
    /// Between which the middle half of the pairs of slices lies.
    pub(crate) between: Option<[f64; 2]>,
    pub(crate) met: bool,
    pub(crate) verdict: Option<Verdict>,
}

impl Finding {
    /// Processor time a request, as a ratio.
    pub(crate) fn cpu(name: &str, what: &str, aim: Aim, verdict: Verdict) -> Self {
        let ratios = verdict.cpu_ratios.clone();
        Self::of_ratios(name, what, aim, &ratios, verdict)
    }

    /// Requests a second, as a ratio.
    pub(crate) fn rate(name: &str, what: &str, aim: Aim, verdict: Verdict) -> Self {
        let ratios = verdict.rate_ratios.clone();
        Self::of_ratios(name, what, aim, &ratios, verdict)
    }

    /// How many times one worker two are, where the other side is two servers of one worker each.
    pub(crate) fn two_workers(verdict: Verdict) -> Self {
        let mut gains: Vec<_> = verdict.cpu_ratios.iter().map(|ratio| 2.0 / ratio).collect();
        gains.sort_by(f64::total_cmp);
        let what = "two workers on two cores, against twice one worker, by CPU a request";
        Self::of_ratios("two_workers", what, Aim::AtLeast(1.8), &gains, verdict)
    }

    fn of_ratios(name: &str, what: &str, aim: Aim, ratios: &[f64], verdict: Verdict) -> Self {
        let at = |share: f64| ratios[((ratios.len() - 1) as f64 * share).round() as usize];
        let found = Self::plain(name, what, aim, median(ratios.to_vec()));
        Self { between: Some([at(0.25), at(0.75)]), verdict: Some(verdict), ..found }
    }

    /// A figure of its own.
    pub(crate) fn plain(name: &str, what: &str, aim: Aim, measured: f64) -> Self {
        let met = aim.met(measured);
        Self { name: name.to_owned(), what: what.to_owned(), aim, measured, between: None, met, verdict: None }
    }

    /// As a line of the table.
    pub(crate) fn row(&self) -> String {
        let between = self.between.map_or_else(String::new, |[low, high]| format!("{low:.2}–{high:.2}"));
        let met = if self.met { "met" } else { "not met" };
        format!(
            "{:<24} {:>8} {:>9.3} {:>11}  {met:<8} {}",
            self.name,
            self.aim.text(),
            self.measured,
            between,
            self.what
        )
    }

    /// What both sides did, a line each.
    pub(crate) fn sides(&self) -> Vec<String> {
        let Some(verdict) = &self.verdict else { return Vec::new() };
        let line = |record: &crate::duel::Record| {
            let beside = record.beside_cpu.map_or_else(String::new, |cpu| format!(", Redis {cpu:.1} µs"));
            format!(
                "    {:<36} {:>8.0}/s  {:>8.2} µs CPU  p50 {:>7.0}  p99 {:>7.0}  p99.9 {:>7.0} µs  (busy {:.0} %, client {:.1} µs{beside})",
                record.name,
                record.per_second,
                record.cpu,
                record.p50,
                record.p99,
                record.p999,
                record.busy * 100.0,
                record.client_cpu,
            )
        };
        verdict.sides.iter().map(line).collect()
    }
}

pub(crate) const HEAD: &str = "path                          aim  measured  middle half  ";

/// All of it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    /// The Redis that was used.
    pub(crate) redis: String,
    /// How the floor was compiled, and the server if it is not another.
    pub(crate) build: String,
    /// The server was named by whoever ran this: commit and build are not known to be its own.
    pub(crate) other_server: bool,
    pub(crate) pace: Pace,
    pub(crate) quick: bool,
    pub(crate) findings: Vec<Finding>,
}
