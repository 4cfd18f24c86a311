//! How long the parts of the hot path take. `cargo bench --bench tokens`.
#![allow(missing_docs, clippy::unwrap_used, reason = "a bench")]

mod parts;

use criterion::{Criterion, criterion_group, criterion_main};

struct Timed<'c>(&'c mut Criterion);

impl parts::Bench for Timed<'_> {
    fn part(&mut self, name: &str, part: &mut dyn FnMut()) {
        self.0.bench_function(name, |b| b.iter(&mut *part));
    }
}

fn tokens(c: &mut Criterion) {
    parts::each(&mut Timed(c));
}

criterion_group!(benches, tokens);
criterion_main!(benches);
