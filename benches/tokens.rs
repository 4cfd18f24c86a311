//! Measures the time of the parts of the hot path, with criterion: `cargo bench --bench tokens`.
#![allow(missing_docs, clippy::unwrap_used, reason = "a bench")]

mod parts;

use criterion::{Criterion, criterion_group, criterion_main};
use parts::bench::Bench;

struct CriterionBench<'c>(&'c mut Criterion);

impl Bench for CriterionBench<'_> {
    fn part(&mut self, name: &str, run: &mut dyn FnMut()) {
        self.0.bench_function(name, |b| b.iter(&mut *run));
    }
}

fn tokens(c: &mut Criterion) {
    parts::run_all(&mut CriterionBench(c));
}

criterion_group!(benches, tokens);
criterion_main!(benches);
