//! Renders metrics in the Prometheus text format. Knows nothing of what they mean.

use std::fmt::{Display, Write};

/// A page of metrics under construction.
#[derive(Default)]
pub(super) struct Exposition(String);

/// The samples of one metric name.
pub(super) struct Family<'a> {
    page: &'a mut Exposition,
    name: &'static str,
}

/// The type of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Exposition {
    /// Begins a counter, which only increases.
    pub(super) fn counter(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, Kind::Counter, help)
    }

    /// Begins a gauge.
    pub(super) fn gauge(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, Kind::Gauge, help)
    }

    /// Begins a histogram.
    pub(super) fn histogram(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, Kind::Histogram, help)
    }

    /// Returns the page.
    pub(super) fn finish(self) -> String {
        self.0
    }

    /// Begins a metric of any type.
    pub(super) fn family(&mut self, name: &'static str, kind: Kind, help: &str) -> Family<'_> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.put(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        Family { page: self, name }
    }

    /// Continues the metric that was begun last.
    pub(super) fn same_family(&mut self, name: &'static str) -> Family<'_> {
        Family { page: self, name }
    }

    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = self.0.write_fmt(text);
    }
}

impl Family<'_> {
    /// Adds the sample of a metric without labels.
    pub(super) fn value(&mut self, value: impl Display) {
        self.sample("", &[], value);
    }

    /// Adds a sample with labels.
    pub(super) fn labelled(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.sample("", labels, value);
    }

    /// Adds a histogram once it has counted something: buckets, sum and count, which are twenty series. Most routes and
    /// store operations are never used.
    pub(super) fn buckets(&mut self, labels: &[(&str, &str)], (buckets, sum): (Vec<(f64, u64)>, f64)) {
        let total = buckets.last().map_or(0, |(_, count)| *count);
        if total == 0 {
            return;
        }
        for (bound, count) in &buckets {
            let bound = if bound.is_finite() { bound.to_string() } else { "+Inf".to_owned() };
            self.sample("_bucket", &[labels, &[("le", &bound)]].concat(), count);
        }
        self.sample("_sum", labels, sum);
        self.sample("_count", labels, total);
    }

    fn sample(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Display) {
        self.page.put(format_args!("{}{suffix}", self.name));
        for (index, (label, text)) in labels.iter().enumerate() {
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            self.page.put(format_args!("{}{label}=\"{text}\"", if index == 0 { '{' } else { ',' }));
        }
        self.page.put(format_args!("{} {value}\n", if labels.is_empty() { "" } else { "}" }));
    }
}
