//! The figures of one fault, and the line that tells them.

use std::time::{Duration, Instant};

use serde_json::json;

use super::traffic::{Call, Heard};
use super::{ALL, MEMORY, long, traffic};

/// What was measured.
#[derive(Debug)]
pub(super) struct Row {
    name: String,
    /// From the moment at which what had failed was there again to the last answer that said otherwise.
    pub(super) back: Duration,
    /// From there until everything had been asked for and answered with success; nothing if it was not.
    pub(super) whole: Option<Duration>,
    pub(super) told: usize,
    pub(super) told_median: Duration,
    pub(super) told_worst: Duration,
    /// What was asked that was told so last.
    worst: String,
    pub(super) good: usize,
    pub(super) lost: usize,
    /// 99 of 100 answers of what needs no store, before and meanwhile.
    pub(super) calm: Duration,
    pub(super) meanwhile: Duration,
    /// The same of what needs another store than the one that failed.
    beside_calm: Duration,
    beside_meanwhile: Duration,
    of_which: String,
}

impl Row {
    /// `beside`: what needs another store than the one that failed.
    pub(super) fn of(name: &str, heard: &[Heard], (began, over): (Instant, Instant), beside: &[Call]) -> Self {
        let told: Vec<_> = heard.iter().filter(|heard| heard.status == 503).collect();
        let last = told.iter().map(|heard| heard.asked + heard.took).max();
        let back = last.map_or(Duration::ZERO, |last| last.saturating_duration_since(over));
        let worst = told.iter().max_by_key(|heard| heard.took).map(|heard| format!("{:?}", heard.call));
        let times = told.iter().map(|heard| heard.took).collect::<Vec<_>>();
        let p99 = |calls: &[Call], from: Option<Instant>, to: Instant| {
            let within = |it: &&Heard| from.is_none_or(|from| it.asked >= from) && it.asked < to;
            let those = heard.iter().filter(|it| calls.contains(&it.call) && it.is_good()).filter(within);
            part(99, those.map(|it| it.took).collect())
        };
        let again = |call: Call| {
            let good = heard.iter().filter(|it| it.call == call && it.is_good() && it.asked >= over);
            good.map(|it| it.asked + it.took - over).min()
        };
        Self {
            name: name.to_owned(),
            back,
            whole: ALL.into_iter().map(again).try_fold(Duration::ZERO, |whole, call| Some(whole.max(call?))),
            told: told.len(),
            told_median: part(50, times.clone()),
            told_worst: part(100, times),
            worst: worst.unwrap_or_default(),
            good: heard.iter().filter(|heard| heard.is_good()).count(),
            lost: heard.iter().filter(|heard| heard.status == 0).count(),
            calm: p99(&MEMORY, None, began),
            meanwhile: p99(&MEMORY, Some(began), over),
            beside_calm: p99(beside, None, began),
            beside_meanwhile: p99(beside, Some(began), over),
            of_which: traffic::summary(heard),
        }
    }

    /// Holds what needs no store to its calm pace. Where the machine is shared, other programs set that pace.
    pub(super) fn is_calm(&self) -> &Self {
        assert!(!long() || self.meanwhile <= self.calm * 2, "{}: what needs no store is slow: {self:?}", self.name);
        self
    }

    /// The same of what needs another store than the one that failed.
    pub(super) fn is_calm_beside(&self) {
        let is_calm = self.beside_meanwhile <= self.beside_calm * 2;
        assert!(!long() || is_calm, "{}: what does not need what is gone is slow: {self:?}", self.name);
    }

    pub(super) fn print(&self) {
        let line = json!({
            "row": self.name,
            "back_ms": millis(self.back),
            "whole_ms": self.whole.map(millis),
            "told_503": self.told,
            "told_median_ms": millis(self.told_median),
            "told_worst_ms": millis(self.told_worst),
            "told_worst_of": self.worst,
            "succeeded": self.good,
            "lost": self.lost,
            "memory_p99_calm_ms": millis(self.calm),
            "memory_p99_meanwhile_ms": millis(self.meanwhile),
            "beside_p99_calm_ms": millis(self.beside_calm),
            "beside_p99_meanwhile_ms": millis(self.beside_meanwhile),
        });
        println!("fault {line}\n  {}", self.of_which);
    }
}

/// A part of a hundred.
pub(super) fn part(hundredth: usize, mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get((times.len() * hundredth / 100).min(times.len().saturating_sub(1))).copied().unwrap_or_default()
}

pub(super) fn millis(span: Duration) -> f64 {
    (span.as_secs_f64() * 10_000.0).round() / 10.0
}
