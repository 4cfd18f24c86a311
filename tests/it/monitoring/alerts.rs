//! The rules for Prometheus, `packaging/prometheus/signet.rules.yml`: their metrics exist, each alert has unit tests and
//! a section in `docs/operate/runbooks.md`, and promtool accepts the rules and passes the unit tests.

use std::collections::{BTreeMap, BTreeSet};

use signet::config::{LimitedAction, OnFailure};

use super::{by_name, in_repository, names_in, page, promtool};

const FOLDER: &str = "packaging/prometheus";
const RULES: &str = include_str!("../../../packaging/prometheus/signet.rules.yml");
const UNIT_TESTS: &str = include_str!("../../../packaging/prometheus/signet.rules.test.yml");
const RUNBOOKS: &str = include_str!("../../../docs/operate/runbooks.md");
const MONITORING: &str = include_str!("../../../docs/operate/monitoring.md");

/// The texts after `prefix` in the lines of a file.
fn values<'a>(text: &'a str, prefix: &str) -> Vec<&'a str> {
    text.lines().filter_map(|line| line.trim_start().strip_prefix(prefix)).map(str::trim).collect()
}

#[test]
fn unit_tests_of_the_rules_pass() {
    promtool(&["check", "rules", "signet.rules.yml"], &in_repository(FOLDER));
    promtool(&["test", "rules", "signet.rules.test.yml"], &in_repository(FOLDER));
}

#[test]
fn settings_of_prometheus_on_the_page_are_valid() {
    let (_, rest) = MONITORING.split_once("```yaml\n").unwrap();
    let (settings, _) = rest.split_once("```").unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("prometheus.yml"), settings).unwrap();
    std::fs::write(folder.path().join("signet.rules.yml"), RULES).unwrap();
    promtool(&["check", "config", "prometheus.yml"], folder.path());
}

#[test]
fn rules_use_metrics_and_labels_that_exist() {
    let (known, page) = (by_name(), page());
    let recorded: BTreeSet<&str> = values(RULES, "- record:").into_iter().collect();
    assert!(recorded.len() > 3);
    for text in [RULES, UNIT_TESTS] {
        let unknown = |name: &String| !known.contains_key(name) && !recorded.contains(name.as_str());
        assert_eq!(names_in(text).into_iter().filter(unknown).collect::<Vec<_>>(), [""; 0]);
    }
    // Matchers: `name{label="value",label=~"value|value"}`.
    let mut count = 0;
    for (at, _) in RULES.match_indices('{') {
        let before = &RULES[..at];
        let name = &before[before.rfind(|char: char| !char.is_ascii_alphanumeric() && char != '_').unwrap() + 1..];
        let Some(metric) = names_in(name).first().and_then(|name| known.get(name)) else { continue };
        let matchers = RULES[at + 1..].split_once('}').unwrap().0;
        for matcher in matchers.split(',').filter(|matcher| !matcher.starts_with("job=")) {
            let (label, value) = matcher.split_once('=').unwrap();
            assert!(metric.has_label(label), "{} has no label {label}", metric.name);
            let alternatives = value.trim_start_matches('~').trim_matches('"').split('|');
            // Other patterns are not taken apart.
            for value in alternatives.filter(|value| !value.contains(['.', '[', '*'])) {
                let sample = format!("{label}=\"{value}\"");
                let mut samples = page.lines().filter(|line| line.starts_with(&metric.name));
                assert!(samples.any(|line| line.contains(&sample)), "{} never has {sample}", metric.name);
                count += 1;
            }
        }
    }
    assert!(count > 10, "only {count} values of labels were found");
}

#[test]
fn every_alert_has_a_runbook_and_a_unit_test() {
    let alerts = values(RULES, "- alert:");
    let links: Vec<_> = alerts.iter().map(|name| format!("docs/operate/runbooks.md#{}", name.to_lowercase())).collect();
    assert_eq!(values(RULES, "runbook_url:"), links);

    let mut sections: BTreeMap<&str, &str> = BTreeMap::new();
    for section in RUNBOOKS.split("\n### ").skip(1) {
        let (name, text) = section.split_once('\n').unwrap();
        assert!(sections.insert(name, text).is_none(), "{name} twice");
    }
    assert_eq!(sections.keys().copied().collect::<BTreeSet<_>>(), alerts.iter().copied().collect());
    for (name, text) in sections {
        for part in ["\n**Meaning.** ", "\n**Look at.** ", "\n**Do.** "] {
            assert!(text.contains(part), "{name} has no {part:?}");
        }
    }
    for name in alerts {
        let fires = format!("alertname: {name}\n        exp_alerts:\n");
        assert!(UNIT_TESTS.contains(&fires), "no unit test has {name} fire");
    }
}

#[test]
fn runbook_names_every_limit_that_is_skipped() {
    let (_, section) = RUNBOOKS.split_once("\n### SignetRateLimitsSkipped\n").unwrap();
    let section = section.split("\n### ").next().unwrap();
    let named: BTreeSet<&str> = section.split('`').filter_map(|name| name.strip_prefix("limits.")).collect();
    let skipped = LimitedAction::ALL.iter().filter(|action| action.on_failure() == OnFailure::Skip);
    assert_eq!(named, skipped.map(|action| action.setting()).collect());
}
