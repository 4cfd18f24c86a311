//! Parses the page as strictly as Prometheus does, and checks its values.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::health::{Condition, Readiness};
use super::*;

fn page(metrics: &Metrics, snapshot: &Snapshot) -> String {
    metrics.page(snapshot, &Readiness::default(), Timestamp::from_secs(100)).body
}

/// Parses a page by the rules of the text format: each family is declared once and complete, names and labels are well
/// formed, no sample repeats, and histograms are cumulative and end with +Inf = count. No family may be called like
/// another without its `_total`, which OpenMetrics forbids.
fn read(page: &str) -> BTreeMap<String, f64> {
    assert!(page.ends_with('\n'));
    let (mut samples, mut kinds, mut bases) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
    let mut family = String::new();
    for line in page.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, text) = help.split_once(' ').unwrap();
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_') && !text.is_empty());
            family = name.to_owned();
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert_eq!(name, family);
            assert!(kinds.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} twice");
            let base = name.strip_suffix("_total").unwrap_or(name);
            assert!(bases.insert(base.to_owned()), "{base} collides under OpenMetrics");
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let name = series.split('{').next().unwrap();
            let suffixes: &[&str] = if kinds[&family] == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
            assert!(suffixes.iter().any(|suffix| name == format!("{family}{suffix}")), "{name} under {family}");
            assert!(kinds[&family] != "counter" || name.ends_with("_total"), "{name}");
            if let Some(labels) = series.strip_prefix(name).and_then(|rest| rest.strip_prefix('{')) {
                let labels = labels.strip_suffix("\"}").unwrap();
                for label in labels.split("\",") {
                    let (label, value) = label.split_once("=\"").unwrap();
                    assert!(
                        label.chars().all(|c| c.is_ascii_lowercase() || c == '_') && !value.contains('\n'),
                        "{series}"
                    );
                }
            }
            assert!(samples.insert(series.to_owned(), value.parse().unwrap()).is_none(), "{series} twice");
        }
    }
    let mut buckets: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
    for (series, value) in &samples {
        if let Some((before, bound)) = series.split_once("le=\"") {
            let bound = bound.strip_suffix("\"}").unwrap();
            let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().unwrap() };
            let count = before.replace("_bucket", "_count").trim_end_matches(['{', ',']).to_owned();
            let count = if count.contains('{') { format!("{count}}}") } else { count };
            buckets.entry(count).or_default().push((bound, *value));
        }
    }
    for (count, mut buckets) in buckets {
        buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
        assert!(buckets.is_sorted_by(|one, other| one.1 <= other.1), "{count}");
        assert_eq!(buckets.last().unwrap(), &(f64::INFINITY, samples[&count]), "{count}");
    }
    samples
}

#[test]
fn page_is_valid_and_shows_the_counts() {
    let metrics = Metrics::new(&["unrouted", "native.verify", "odd\"\\\nname"], Timestamp::from_secs(90));
    metrics.request_completed(1, 200, Duration::from_micros(40));
    metrics.request_completed(1, 200, Duration::from_millis(3));
    metrics.request_completed(1, 418, Duration::from_millis(3));
    metrics.request_completed(2, 503, Duration::from_secs(20));
    metrics.count(Counter::Connections);
    metrics.count(Counter::OpenConnections);
    metrics.decrement(Counter::OpenConnections);
    metrics.count(Counter::VerifyHit);
    metrics.count(Counter::MailQueue);
    metrics.count(Counter::MailQueue);
    metrics.decrement(Counter::MailQueue);
    metrics.count(Counter::MailsSent);
    metrics.count(Counter::MailsLeft);
    metrics.count(Counter::MailRetries);
    metrics.count(Counter::CutOffByShare);
    metrics.worker_stalled(Duration::from_millis(3));
    let snapshot = Snapshot {
        revocations_fresh_at: Some(Timestamp::from_secs(98)),
        signing_since: Some(Timestamp::from_secs(40)),
        hashing: Hashing { waiting: 7, ..Hashing::default() },
        buffered: BufferedBytes { bodies: 1, large_bodies: 2, connections: 3 },
        ..Snapshot::default()
    };
    let samples = read(&page(&metrics, &snapshot));

    let expected = [
        ("signet_http_requests_total{route=\"native.verify\",status=\"200\"}", 2.0),
        ("signet_http_requests_total{route=\"native.verify\",status=\"other\"}", 1.0),
        ("signet_http_requests_total{route=\"odd\\\"\\\\\\nname\",status=\"503\"}", 1.0),
        ("signet_http_request_duration_seconds_bucket{route=\"native.verify\",le=\"0.00005\"}", 1.0),
        ("signet_http_request_duration_seconds_bucket{route=\"native.verify\",le=\"0.005\"}", 3.0),
        ("signet_open_connections", 0.0),
        ("signet_connections_total", 1.0),
        ("signet_verify_cache_lookups_total{result=\"hit\"}", 1.0),
        ("signet_revocation_lag_seconds", 2.0),
        ("signet_signing_key_age_seconds", 60.0),
        ("signet_hash_queue_waiting", 7.0),
        ("signet_mail_queue", 1.0),
        ("signet_mail_failed_tries_total", 1.0),
        ("signet_mails_total{end=\"sent\"}", 1.0),
        ("signet_mails_total{end=\"expired\"}", 0.0),
        ("signet_mails_total{end=\"left\"}", 1.0),
        ("signet_connections_cut_off_total{reason=\"network_share\"}", 1.0),
        ("signet_connections_cut_off_total{reason=\"write_timeout\"}", 0.0),
        ("signet_worker_stall_seconds_bucket{le=\"0.0025\"}", 0.0),
        ("signet_worker_stall_seconds_bucket{le=\"0.005\"}", 1.0),
        ("signet_worker_stall_seconds_sum", 0.003),
        ("signet_buffered_bytes{kind=\"bodies\"}", 1.0),
        ("signet_buffered_bytes{kind=\"large_bodies\"}", 2.0),
        ("signet_buffered_bytes{kind=\"connections\"}", 3.0),
        ("signet_ready{condition=\"keyring\"}", 0.0),
        ("signet_ready{condition=\"connections\"}", 1.0),
        ("signet_ready{condition=\"accepting\"}", 1.0),
        ("process_start_time_seconds", 90.0),
    ];
    for (series, value) in expected {
        assert_eq!(samples.get(series), Some(&value), "{series}");
    }
    assert_eq!(Condition::ALL.len(), samples.keys().filter(|series| series.starts_with("signet_ready{")).count());
    for series in ["process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds", "process_threads"]
    {
        assert!(samples[series] >= 0.0, "{series}");
    }
}

#[test]
fn histogram_appears_once_it_has_counted_something() {
    let metrics = Metrics::new(&["only"], Timestamp::default());
    let of_histograms = |samples: &BTreeMap<String, f64>| {
        samples.keys().filter(|series| ["_bucket", "_sum", "_count"].iter().any(|part| series.contains(part))).count()
    };
    let unused = page(&metrics, &Snapshot::default());
    assert_eq!(of_histograms(&read(&unused)), 0);
    assert!(unused.contains("# TYPE signet_hash_wait_seconds histogram\n"), "it is described all the same");
    metrics.worker_stalled(Duration::from_millis(3));
    assert_eq!(of_histograms(&read(&page(&metrics, &Snapshot::default()))), 20);
}

#[test]
fn every_status_has_its_own_cell() {
    assert!(STATUSES.is_sorted());
    let metrics = Metrics::new(&["only"], Timestamp::default());
    for status in STATUSES {
        metrics.request_completed(0, status, Duration::ZERO);
    }
    let samples = read(&page(&metrics, &Snapshot::default()));
    for status in STATUSES {
        assert_eq!(samples[&format!("signet_http_requests_total{{route=\"only\",status=\"{status}\"}}")], 1.0);
    }
}

#[test]
fn store_operations_are_counted_by_name() {
    let metrics = Arc::new(Metrics::new::<&str>(&[], Timestamp::default()));
    let broken = store::Error::Corrupt { store: "redis", detail: String::new() };
    metrics.observe(Operation::RotateRefreshToken, Some(&broken), Some(Duration::from_millis(1)));
    let samples = read(&page(&metrics, &Snapshot::default()));
    let labels = "store=\"ephemeral\",operation=\"present\"";
    assert_eq!(samples[&format!("signet_store_errors_total{{{labels},kind=\"corrupt\"}}")], 1.0);
    assert_eq!(samples[&format!("signet_store_duration_seconds_count{{{labels}}}")], 1.0);
    let all = samples.iter().filter(|(series, _)| series.starts_with("signet_store_duration_seconds_count"));
    assert_eq!(all.map(|(_, count)| count).sum::<f64>(), 1.0);
}
