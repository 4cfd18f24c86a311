//! The dashboard for Grafana, `packaging/grafana/signet.json`, generated from the metrics.
//!
//! A panel names metrics. How a metric is drawn follows from its type: a counter as its rate, a gauge as it is, a
//! histogram as two quantiles. A metric without a panel gets one in the last row.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Metric, by_name, metrics, names_in, promtool};
use crate::support::generated::assert_generated;

const FILE: &str = "packaging/grafana/signet.json";

/// A panel: its title, its unit, and its queries with their legends. A query is the name of a metric and, after `by`, the
/// labels to keep; or PromQL, in which `$S` selects the nodes.
struct Panel(&'static str, Unit, &'static [(&'static str, &'static str)]);

/// The unit of the values, as Grafana names it.
enum Unit {
    /// As the name of the first metric says.
    OfMetric,
    Is(&'static str),
    /// A single number, red, amber and green by these bounds.
    Stat(&'static str, [f64; 2]),
}

use Unit::{Is, OfMetric, Stat};

const ROWS: &[(&str, &[Panel])] = &[
    (
        "Overview",
        &[
            Panel("Nodes", Stat("none", [1.0, 2.0]), &[("count(signet_build_info{$S})", "")]),
            Panel("Nodes not ready", Stat("none", [1.0, 2.0]), &[(NOT_READY, "")]),
            Panel("Requests", Stat("reqps", [1e9, 1e10]), &[("sum(rate(signet_http_requests_total{$S}[$R]))", "")]),
            Panel("Failed requests", Stat("percentunit", [0.001, 0.01]), &[(FAILED_SHARE, "")]),
            Panel("Revocation lag", Stat("s", [2.0, 10.0]), &[("max(signet_revocation_lag_seconds{$S})", "")]),
            Panel("Oldest mail", Stat("s", [60.0, 300.0]), &[("max(signet_mail_oldest_seconds{$S})", "")]),
        ],
    ),
    (
        "Traffic",
        &[
            Panel("Requests by call", OfMetric, &[("signet_http_requests_total by route", "")]),
            Panel("Requests by status", OfMetric, &[("signet_http_requests_total by status", "")]),
            Panel("Errors by call", Is("reqps"), &[(ERRORS, "{{route}} {{status}}")]),
            Panel("Duration of requests", OfMetric, &[("signet_http_request_duration_seconds", "")]),
            Panel("Duration by call, p99", Is("s"), &[(SLOWEST, "{{route}}")]),
            Panel("Verification cache", OfMetric, &[("signet_verify_cache_lookups_total by result", "")]),
            Panel("API key cache", OfMetric, &[("signet_api_key_cache_lookups_total by result", "")]),
        ],
    ),
    (
        "Sign-in",
        &[
            Panel("Sign-ins by method and outcome", OfMetric, &[("signet_sign_ins_total by method, outcome", "")]),
            Panel("Requests refused by a limit", OfMetric, &[("signet_rate_limited_total by limit", "")]),
            Panel(
                "Reused refresh tokens, limits not applied",
                OfMetric,
                &[
                    ("signet_refresh_tokens_reused_total", "reused, {{instance}}"),
                    ("signet_rate_limits_skipped_total", "not applied, {{instance}}"),
                ],
            ),
            Panel(
                "Password hashes in the queue",
                OfMetric,
                &[
                    ("signet_hash_queue_waiting", "waiting, {{instance}}"),
                    ("signet_hash_queue_running", "running, {{instance}}"),
                    ("signet_hash_queue_held", "held, {{instance}}"),
                ],
            ),
            Panel("Time in the hash queue", OfMetric, &[("signet_hash_wait_seconds", "")]),
            Panel("Hashes not run", OfMetric, &[("signet_hashes_shed_total by reason", "")]),
            Panel(
                "Hashes, and processors they use",
                Is("none"),
                &[
                    ("signet_hashes_total", "per second"),
                    ("signet_hash_priority_raised_total", "of these at raised priority"),
                    ("signet_hash_work_seconds_total", "processors"),
                ],
            ),
        ],
    ),
    (
        "Stores",
        &[
            Panel("Conditions of readiness", Is("none"), &[("min by (condition) (signet_ready{$S})", "{{condition}}")]),
            Panel("Failed operations", OfMetric, &[("signet_store_errors_total by store, operation, kind", "")]),
            Panel("Duration of operations", OfMetric, &[("signet_store_duration_seconds by store", "")]),
            Panel("Slowest operations, p99", Is("s"), &[(SLOWEST_OPERATIONS, "{{store}} {{operation}}")]),
        ],
    ),
    (
        "Revocation and keys",
        &[
            Panel("Revocation lag", OfMetric, &[("signet_revocation_lag_seconds", "")]),
            Panel("Revocations in memory", OfMetric, &[("signet_revocations", "")]),
            Panel(
                "Followers and frames of the published feed",
                Is("none"),
                &[
                    ("signet_revocation_feed_waiting", "followers, {{instance}}"),
                    ("signet_revocation_feed_frames_total", "frames per second, {{instance}}"),
                ],
            ),
            Panel(
                "Entries of the published feed",
                OfMetric,
                &[
                    ("signet_revocation_feed_history", "history, {{instance}}"),
                    ("signet_revocation_feed_snapshot_entries", "snapshot, {{instance}}"),
                ],
            ),
            Panel("Size of the published snapshot", OfMetric, &[("signet_revocation_feed_snapshot_bytes", "")]),
            Panel(
                "Age of the signing key",
                OfMetric,
                &[
                    ("signet_signing_key_age_seconds", ""),
                    ("max(signet_signing_key_max_age_seconds{$S})", "keys.rotate_every"),
                ],
            ),
            Panel(
                "TLS certificate expires in",
                Is("s"),
                &[("signet_tls_certificate_expiry_timestamp_seconds{$S} - time()", "{{instance}}")],
            ),
        ],
    ),
    (
        "Mail and security events",
        &[
            Panel("Mails in the queue", OfMetric, &[("signet_mail_queue", "")]),
            Panel("Wait of the oldest mail", OfMetric, &[("signet_mail_oldest_seconds", "")]),
            Panel(
                "Mails by outcome",
                OfMetric,
                &[("signet_mails_total by end", ""), ("signet_mail_failed_tries_total", "failed tries, {{instance}}")],
            ),
            Panel("Lost security events", OfMetric, &[("signet_audit_events_lost_total", "")]),
            Panel(
                "Webhook of security events",
                OfMetric,
                &[
                    ("signet_audit_webhook_events_total by end", ""),
                    ("signet_audit_webhook_failed_tries_total", "failed tries, {{instance}}"),
                ],
            ),
        ],
    ),
    (
        "Connections",
        &[
            Panel("Open connections", OfMetric, &[("signet_open_connections", "")]),
            Panel(
                "New and refused connections",
                OfMetric,
                &[
                    ("signet_connections_total", "new, {{instance}}"),
                    ("signet_connections_refused_total", "refused, {{instance}}"),
                ],
            ),
            Panel(
                "Connections cut off",
                OfMetric,
                &[
                    ("signet_connections_cut_off_total by reason", ""),
                    ("signet_http2_streams_timed_out_total", "stream timed out, {{instance}}"),
                ],
            ),
            Panel("Bytes buffered for clients", OfMetric, &[("signet_buffered_bytes by kind", "")]),
            Panel("Time that one task kept a worker", OfMetric, &[("signet_worker_stall_seconds", "")]),
        ],
    ),
    (
        "Process",
        &[
            Panel("Processors in use", Is("none"), &[("process_cpu_seconds_total", "")]),
            Panel(
                "Memory",
                OfMetric,
                &[
                    ("process_resident_memory_bytes", "resident, {{instance}}"),
                    ("process_virtual_memory_bytes", "virtual, {{instance}}"),
                ],
            ),
            Panel(
                "File descriptors",
                OfMetric,
                &[("process_open_fds", "open, {{instance}}"), ("process_max_fds", "limit, {{instance}}")],
            ),
            Panel("Threads", OfMetric, &[("process_threads", "")]),
            Panel("Free space in data_dir", OfMetric, &[("signet_disk_free_bytes", "")]),
            Panel("Lost log lines", OfMetric, &[("signet_log_lines_lost_total", "")]),
            Panel("Uptime", Is("s"), &[("time() - process_start_time_seconds{$S}", "{{instance}}")]),
            Panel("Versions", Is("none"), &[("signet_build_info by version", "")]),
        ],
    ),
];

const NOT_READY: &str = "sum(min by (instance) (signet_ready{$S}) == bool 0)";
const FAILED_SHARE: &str = "(sum(rate(signet_http_requests_total{$S,status=~\"5..\"}[$R])) or vector(0)) \
                            / sum(rate(signet_http_requests_total{$S}[$R]))";
const ERRORS: &str = "sum by (route, status) (rate(signet_http_requests_total{$S,status=~\"[45]..\"}[$R])) > 0";
const SLOWEST: &str = "topk(10, histogram_quantile(0.99, \
                       sum by (le, route) (rate(signet_http_request_duration_seconds_bucket{$S}[$R]))))";
const SLOWEST_OPERATIONS: &str = "topk(10, histogram_quantile(0.99, \
                                  sum by (le, store, operation) (rate(signet_store_duration_seconds_bucket{$S}[$R]))))";

/// The nodes that the variables of the dashboard select.
const SELECTED: &str = "job=~\"$job\",instance=~\"$instance\"";

/// Panels stand three in a line of 24 columns; single numbers six.
const WIDTH: u64 = 8;
const HEIGHT: u64 = 8;
const STAT_WIDTH: u64 = 4;
const STAT_HEIGHT: u64 = 4;

#[test]
fn dashboard_is_generated_from_the_metrics() {
    assert_generated(FILE, &(serde_json::to_string_pretty(&dashboard()).unwrap() + "\n"));
}

#[test]
fn every_metric_is_on_the_dashboard_and_every_query_is_valid() {
    let (dashboard, known) = (dashboard(), by_name());
    let panels: Vec<&Value> = dashboard["panels"].as_array().unwrap().iter().collect();
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let queries: Vec<&str> = targets.map(|target| target["expr"].as_str().unwrap()).collect();
    let used: BTreeSet<String> = queries.iter().flat_map(|query| names_in(query)).collect();
    assert_eq!(used, known.keys().cloned().collect());

    let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len());
    // No two panels overlap, and none leaves the grid.
    let mut cells = BTreeSet::new();
    for panel in &panels {
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
        assert!(x + w <= 24, "{panel}");
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(cells.insert(cell), "{panel}");
        }
    }

    // Prometheus parses each query once its variables have values.
    let folder = tempfile::tempdir().unwrap();
    let filled =
        |query: &str| query.replace("$__rate_interval", "5m").replace("$job", "signet").replace("$instance", ".*");
    let rules = queries.iter().enumerate();
    let rules: Vec<_> =
        rules.map(|(number, query)| json!({"record": format!("query:{number}"), "expr": filled(query)})).collect();
    // JSON is YAML.
    let rules = json!({"groups": [{"name": "queries", "rules": rules}]});
    std::fs::write(folder.path().join("queries.yml"), rules.to_string()).unwrap();
    promtool(&["check", "rules", "queries.yml"], folder.path());
}

fn dashboard() -> Value {
    let known = by_name();
    let placed: BTreeSet<String> = ROWS
        .iter()
        .flat_map(|(_, panels)| *panels)
        .flat_map(|Panel(_, _, queries)| queries.iter().flat_map(|(query, _)| names_in(query)))
        .collect();
    let mut panels = Vec::new();
    let mut y = 0;
    for (title, row) in ROWS {
        begin_row(&mut panels, title, &mut y);
        let row: Vec<_> = row.iter().map(|panel| draw(panel, &known)).collect();
        place(&mut panels, row, &mut y);
    }
    let others: Vec<Metric> = metrics().into_iter().filter(|metric| !placed.contains(&metric.name)).collect();
    if !others.is_empty() {
        begin_row(&mut panels, "Other metrics", &mut y);
        let row: Vec<_> = others
            .iter()
            .map(|metric| chart(&metric.name, unit(metric), automatic(metric, &[], ""), &metric.help))
            .collect();
        place(&mut panels, row, &mut y);
    }
    json!({
        "uid": "signet",
        "title": "Signet",
        "tags": ["signet"],
        "description": "Generated from the metrics of Signet by its tests.",
        "editable": true,
        "schemaVersion": 39,
        "graphTooltip": 1,
        "time": {"from": "now-6h", "to": "now"},
        "refresh": "30s",
        "templating": {"list": [
            {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"},
            variable("job", "Job", "label_values(signet_build_info, job)"),
            variable("instance", "Node", "label_values(signet_build_info{job=~\"$job\"}, instance)"),
        ]},
        "panels": panels,
    })
}

fn variable(name: &str, label: &str, query: &str) -> Value {
    json!({
        "name": name,
        "label": label,
        "type": "query",
        "datasource": datasource(),
        "query": query,
        "refresh": 2,
        "includeAll": true,
        "multi": true,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    })
}

fn datasource() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

fn begin_row(panels: &mut Vec<Value>, title: &str, y: &mut u64) {
    let grid = json!({"x": 0, "y": *y, "w": 24, "h": 1});
    panels.push(json!({
        "id": panels.len() + 1, "type": "row", "title": title, "collapsed": false, "panels": [], "gridPos": grid
    }));
    *y += 1;
}

/// Lays the panels out from left to right, in lines.
fn place(panels: &mut Vec<Value>, row: Vec<Value>, y: &mut u64) {
    let (mut x, mut height) = (0, 0);
    for mut panel in row {
        let (w, h) = if panel["type"] == "stat" { (STAT_WIDTH, STAT_HEIGHT) } else { (WIDTH, HEIGHT) };
        if x + w > 24 {
            (x, *y) = (0, *y + height);
        }
        panel["id"] = json!(panels.len() + 1);
        panel["gridPos"] = json!({"x": x, "y": *y, "w": w, "h": h});
        panels.push(panel);
        (x, height) = (x + w, h);
    }
    *y += height;
}

fn draw(Panel(title, panel_unit, queries): &Panel, known: &std::collections::BTreeMap<String, Metric>) -> Value {
    let mut targets = Vec::new();
    let mut help = Vec::new();
    for (query, legend) in *queries {
        for name in names_in(query) {
            help.push(known.get(&name).unwrap_or_else(|| panic!("there is no metric {name}")).help.clone());
        }
        let (name, labels) = query.split_once(" by ").unwrap_or((query, ""));
        match known.get(name) {
            Some(metric) => {
                let labels: Vec<_> = labels.split(", ").filter(|label| !label.is_empty()).collect();
                targets.extend(automatic(metric, &labels, legend));
            }
            None => targets.push((fill(query), (*legend).to_owned())),
        }
    }
    help.dedup();
    let help = help.join(" ");
    match panel_unit {
        Stat(unit, bounds) => stat(title, unit, *bounds, targets, &help),
        Is(unit) => chart(title, unit, targets, &help),
        OfMetric => {
            let first = queries[0].0.split(' ').next().unwrap();
            chart(title, unit(&known[first]), targets, &help)
        }
    }
}

/// The queries for a metric that its type suggests, with their legends.
fn automatic(metric: &Metric, labels: &[&str], legend: &str) -> Vec<(String, String)> {
    for label in labels {
        assert!(metric.has_label(label), "{} has no label {label}", metric.name);
    }
    let name = &metric.name;
    let kept = if labels.is_empty() { vec!["instance"] } else { labels.to_vec() };
    let shown = kept.iter().map(|label| format!("{{{{{label}}}}}")).collect::<Vec<_>>().join(" ");
    let legend = if legend.is_empty() { shown.as_str() } else { legend };
    match metric.kind.as_str() {
        "counter" => {
            vec![(fill(&format!("sum by ({}) (rate({name}{{$S}}[$R]))", kept.join(", "))), legend.to_owned())]
        }
        "gauge" => vec![(fill(&format!("sum by ({}) ({name}{{$S}})", kept.join(", "))), legend.to_owned())],
        "histogram" => {
            // Over all nodes, unless labels are kept.
            let by = [&["le"], labels].concat().join(", ");
            let quantile = |quantile: &str, text: &str| {
                let query = format!("histogram_quantile({quantile}, sum by ({by}) (rate({name}_bucket{{$S}}[$R])))");
                (fill(&query), if labels.is_empty() { text.to_owned() } else { format!("{text} {shown}") })
            };
            vec![quantile("0.5", "p50"), quantile("0.99", "p99")]
        }
        other => panic!("{name} is a {other}"),
    }
}

fn fill(query: &str) -> String {
    query.replace("$S", SELECTED).replace("$R", "$__rate_interval")
}

fn unit(metric: &Metric) -> &'static str {
    let name = &metric.name;
    match metric.kind.as_str() {
        "counter" if name == "signet_http_requests_total" => "reqps",
        "counter" => "cps",
        _ if name.ends_with("_seconds") => "s",
        _ if name.ends_with("_bytes") => "bytes",
        _ => "short",
    }
}

fn targets(queries: Vec<(String, String)>) -> Vec<Value> {
    let names = 'A'..='Z';
    let targets = queries.into_iter().zip(names);
    targets
        .map(|((query, legend), name)| {
            json!({"refId": name, "datasource": datasource(), "expr": query, "legendFormat": legend, "range": true})
        })
        .collect()
}

fn chart(title: &str, unit: &str, queries: Vec<(String, String)>, help: &str) -> Value {
    json!({
        "type": "timeseries",
        "title": title,
        "description": help,
        "datasource": datasource(),
        "targets": targets(queries),
        "fieldConfig": {
            "defaults": {"unit": unit, "min": 0, "custom": {"lineWidth": 1, "fillOpacity": 10, "showPoints": "never"}},
            "overrides": [],
        },
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": []},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
    })
}

fn stat(title: &str, unit: &str, [first, second]: [f64; 2], queries: Vec<(String, String)>, help: &str) -> Value {
    let colours = if title == "Nodes" { ["red", "orange", "green"] } else { ["green", "orange", "red"] };
    json!({
        "type": "stat",
        "title": title,
        "description": help,
        "datasource": datasource(),
        "targets": targets(queries),
        "fieldConfig": {
            "defaults": {
                "unit": unit,
                "color": {"mode": "thresholds"},
                "thresholds": {"mode": "absolute", "steps": [
                    {"color": colours[0], "value": null},
                    {"color": colours[1], "value": first},
                    {"color": colours[2], "value": second},
                ]},
            },
            "overrides": [],
        },
        "options": {
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": false},
            "colorMode": "value",
            "graphMode": "area",
        },
    })
}
