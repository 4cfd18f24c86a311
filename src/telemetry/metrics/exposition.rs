//! The text format in which Prometheus reads metrics. Knows nothing of what they mean.

use std::fmt::{Display, Write};

/// A page of metrics under construction.
#[derive(Default)]
pub(super) struct Exposition(String);

/// A metric's name, which all its samples share.
pub(super) struct Family<'a> {
    page: &'a mut Exposition,
    name: &'static str,
}

impl Exposition {
    /// Something that only rises.
    pub(super) fn counter(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "counter", help)
    }

    /// Something that rises and falls.
    pub(super) fn gauge(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "gauge", help)
    }

    /// Spans of time, by how long they were.
    pub(super) fn histogram(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "histogram", help)
    }

    /// The page.
    pub(super) fn finish(self) -> String {
        self.0
    }

    fn family(&mut self, name: &'static str, kind: &str, help: &str) -> Family<'_> {
        self.put(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        Family { page: self, name }
    }

    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = self.0.write_fmt(text);
    }
}

impl Family<'_> {
    /// The one sample of a metric without labels.
    pub(super) fn value(&mut self, value: impl Display) {
        self.sample("", &[], value);
    }

    /// A sample with labels.
    pub(super) fn labelled(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.sample("", labels, value);
    }

    /// A whole histogram: buckets, sum and count.
    pub(super) fn buckets(&mut self, labels: &[(&str, &str)], (buckets, sum): (Vec<(f64, u64)>, f64)) {
        for (bound, count) in &buckets {
            let bound = if bound.is_finite() { bound.to_string() } else { "+Inf".to_owned() };
            self.sample("_bucket", &[labels, &[("le", &bound)]].concat(), count);
        }
        self.sample("_sum", labels, sum);
        self.sample("_count", labels, buckets.last().map_or(0, |(_, count)| *count));
    }

    fn sample(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Display) {
        self.page.put(format_args!("{}{suffix}", self.name));
        for (place, (label, text)) in labels.iter().enumerate() {
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            self.page.put(format_args!("{}{label}=\"{text}\"", if place == 0 { '{' } else { ',' }));
        }
        self.page.put(format_args!("{} {value}\n", if labels.is_empty() { "" } else { "}" }));
    }
}
