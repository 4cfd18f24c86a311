//! The costs of all requests of a family, ranked.

use std::time::Duration;

use super::bounds::{Bounds, SMALL};

/// The rows that are printed.
const ROWS: usize = 10;

/// The cost of one request.
#[derive(Clone, Debug)]
pub(super) struct Cost {
    pub(super) time: Duration,
    /// In bytes.
    pub(super) memory: u64,
    pub(super) size: usize,
    /// Zero for HTTP/2.
    pub(super) status: u16,
    pub(super) operation: String,
    pub(super) shape: String,
}

pub(super) struct Report {
    name: String,
    pub(super) bounds: Bounds,
    costs: Vec<Cost>,
}

impl Report {
    pub(super) fn new(name: &str, bounds: Bounds) -> Self {
        Self { name: name.to_owned(), bounds, costs: Vec::new() }
    }

    pub(super) fn add(&mut self, cost: Cost) {
        self.costs.push(cost);
    }

    /// The share of its bounds that a request took: more than 1 is too expensive.
    fn share(&self, cost: &Cost) -> f64 {
        let time = cost.time.as_secs_f64() / self.bounds.time(cost.size).as_secs_f64();
        time.max(cost.memory as f64 / self.bounds.memory() as f64)
    }

    fn most_expensive_first(&self) -> Vec<&Cost> {
        let mut costs: Vec<&Cost> = self.costs.iter().collect();
        costs.sort_by(|one, other| self.share(other).total_cmp(&self.share(one)));
        costs
    }

    /// Prints one line for each of the most expensive requests, which begins with the share of its bounds: `./test
    /// cost` sorts the lines of all families by it.
    pub(super) fn print(&self) {
        println!("{}: {} requests, on a program {:.1} times slower", self.name, self.costs.len(), self.bounds.slowdown);
        self.most_expensive_first().into_iter().take(ROWS).for_each(|cost| println!("{}", self.line(cost)));
    }

    fn line(&self, cost: &Cost) -> String {
        format!(
            "cost {:5.1} % {:8.2} ms {:6.1} MB {:>7} {:3} {}, {}",
            self.share(cost) * 100.0,
            cost.time.as_secs_f64() * 1000.0,
            cost.memory as f64 / 1e6,
            if cost.size <= SMALL { "64 KiB" } else { "2 MiB" },
            cost.status,
            cost.operation,
            cost.shape,
        )
    }

    pub(super) fn assert_within_bounds(&self) {
        let too_expensive: Vec<String> = self
            .most_expensive_first()
            .into_iter()
            .filter(|cost| self.share(cost) > 1.0)
            .map(|cost| self.line(cost))
            .collect();
        let first = too_expensive.iter().take(ROWS * 3).map(String::as_str).collect::<Vec<_>>().join("\n");
        assert!(
            too_expensive.is_empty(),
            "{} of {} requests cost too much:\n{first}",
            too_expensive.len(),
            self.costs.len()
        );
    }
}
