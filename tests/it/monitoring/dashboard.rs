//! The dashboard for Grafana, `packaging/grafana/signet.json`, generated from the metrics.
//!
//! A panel names metrics. How a metric is drawn follows from its type: a counter as its rate, a gauge as it is, a
//! histogram as two quantiles. A metric without a panel gets one in the last row.

mod panels;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use self::panels::Unit::{Is, OfMetric, Stat};
use self::panels::{Panel, ROWS};
use super::{Metric, by_name, metrics, names_in, promtool};
use crate::support::generated::assert_generated;

const FILE: &str = "packaging/grafana/signet.json";

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
