//! The means of watching Signet in `packaging` and the documentation: the dashboard, the rules of alerts, and the
//! reference of log messages. Each is compared with the code.

mod alerts;
mod dashboard;
mod log_messages;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use signet::clock::Timestamp;
use signet::store::{Error, Observer, Operation};
use signet::telemetry::metrics::Snapshot;
use signet::telemetry::{Metrics, Readiness};

use crate::support::tool;

/// A metric as its page describes it.
pub(crate) struct Metric {
    pub(crate) name: String,
    kind: String,
    help: String,
    labels: Vec<String>,
}

impl Metric {
    fn has_label(&self, label: &str) -> bool {
        self.labels.iter().any(|own| own == label)
    }
}

/// A page with every metric: also those that a page has only with TLS, or once they have counted something.
fn page() -> String {
    let metrics = Metrics::new(&["native.verify"], Timestamp::from_secs(1));
    metrics.request_completed(0, 200, Duration::from_millis(1));
    metrics.certificate_loaded(Timestamp::from_secs(2));
    let corrupt = Error::Corrupt { store: "redis", detail: String::new() };
    let unavailable = Error::Unavailable { store: "redis", detail: String::new(), is_logged: false };
    metrics.observe(Operation::ALL[0], Some(&corrupt), Some(Duration::from_millis(1)));
    metrics.observe(Operation::ALL[0], Some(&unavailable), None);
    let snapshot = Snapshot {
        revocations_fresh_at: Some(Timestamp::from_secs(1)),
        signing_since: Some(Timestamp::from_secs(1)),
        disk_free: Some(1),
        ..Snapshot::default()
    };
    metrics.page(&snapshot, &Readiness::default(), Timestamp::from_secs(3)).body
}

/// Every metric, in the order of the page.
pub(crate) fn metrics() -> Vec<Metric> {
    describe(&page())
}

pub(crate) fn describe(page: &str) -> Vec<Metric> {
    let mut metrics: Vec<Metric> = Vec::new();
    for line in page.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            let (name, help) = (name.to_owned(), help.to_owned());
            metrics.push(Metric { name, help, kind: String::new(), labels: Vec::new() });
        } else if let Some((_, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            metrics.last_mut().unwrap().kind = kind.to_owned();
        } else if let Some((_, labels)) = line.split_once('{') {
            let metric = metrics.last_mut().unwrap();
            let names = labels.split('=').filter_map(|part| part.rsplit(['{', ',']).next()).map(str::to_owned);
            let names: Vec<_> = names.filter(|name| !name.contains(['"', '}']) && name != "le").collect();
            metric.labels = if metric.labels.is_empty() { names } else { std::mem::take(&mut metric.labels) };
        }
    }
    metrics
}

/// The names in a text of PromQL that have the form of a metric of Signet or of a recording rule for it, without the
/// suffix of a histogram's series.
fn names_in(text: &str) -> BTreeSet<String> {
    let is_part = |char: char| char.is_ascii_alphanumeric() || char == '_' || char == ':';
    let words = text.split(|char| !is_part(char)).filter(|word| {
        ["signet_", "signet:", "process_"].iter().any(|prefix| word.starts_with(prefix) && word.len() > prefix.len())
    });
    let histograms: Vec<String> =
        metrics().into_iter().filter(|metric| metric.kind == "histogram").map(|metric| metric.name).collect();
    let family = |word: &str| {
        let base = ["_bucket", "_sum", "_count"].iter().filter_map(|suffix| word.strip_suffix(suffix));
        base.chain([word]).find(|base| histograms.iter().any(|name| name == base)).unwrap_or(word).to_owned()
    };
    words.map(family).collect()
}

fn by_name() -> BTreeMap<String, Metric> {
    metrics().into_iter().map(|metric| (metric.name.clone(), metric)).collect()
}

fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Runs promtool, the checker of Prometheus.
fn promtool(arguments: &[&str], folder: &Path) {
    let mut command = Command::new(tool("bin/promtool"));
    let output = command.args(arguments).current_dir(folder).output().expect("promtool runs");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "promtool {arguments:?}\n{}", String::from_utf8_lossy(&said));
}
