//! The report as HTML: one file without external resources, with a light and a dark theme.
//!
//! Shows ratios as bars with their targets, and latencies as dots on a logarithmic scale.

use std::fmt::Write;

use crate::comparison::SideResult;
use crate::report::{Finding, Report};
use crate::support::svg::escape;

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #667080; --paper: #fbfbf9; --line: #d9dbd6; --first: #2f6db3;
  --second: #a9b0b8; --good: #2b7a4b; --bad: #b3402f; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8ea; --soft: #98a2ad; --paper: #15181b; --line: #33383e; --first: #6aa5e3;
  --second: #5d666f; --good: #62b985; --bad: #e2806f; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 62rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2.2rem; } p, figcaption { color: var(--soft); }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .25rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; white-space: normal; } th { color: var(--soft); font-weight: 500; }
.good { color: var(--good); } .bad { color: var(--bad); } figure { margin: 1rem 0; } svg { width: 100%; height: auto; }
svg text { font: 12px system-ui, sans-serif; fill: var(--ink); } svg .soft { fill: var(--soft); }";

pub(crate) fn render(report: &Report) -> String {
    let machine = &report.machine;
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>Signet: throughput</title><style>{STYLE}</style><h1>Signet: throughput</h1>\
         <p>{} · {} · {} cores · Linux {} · {} · commit {} · profile {}{} · {} pairs of slices of {} s · load before: {}</p>",
        escape(&machine.date),
        escape(&machine.processor),
        machine.cores,
        escape(&machine.kernel),
        escape(&machine.rustc),
        escape(&machine.commit),
        escape(&report.build),
        if report.other_server { " (the server is another build)" } else { "" },
        report.schedule.pairs,
        report.schedule.seconds,
        machine.load_before,
    );
    page.push_str(
        "<p>The same client drives the server and the baseline in turn. A ratio is the median over the pairs of slices. The cost of a \
         request is the CPU time of the server alone. Latencies are from connections that never pause, so the server is under full \
         load.</p>",
    );
    targets(&mut page, &report.findings);
    bars(&mut page, &report.findings);
    latencies(&mut page, &report.findings);
    figures(&mut page, &report.findings);
    page.push_str("</html>\n");
    page
}

fn targets(page: &mut String, findings: &[Finding]) {
    page.push_str("<h2>Targets</h2><div class=\"wide\"><table><tr><th>path<th>target<th>measured<th>middle half<th>");
    for finding in findings {
        let middle_half = finding.middle_half.map_or_else(String::new, |[low, high]| format!("{low:.2} – {high:.2}"));
        let (class, met) = if finding.met { ("good", "met") } else { ("bad", "not met") };
        let (title, target, measured) = (escape(&finding.title), finding.target, finding.measured);
        let _ =
            write!(page, "<tr><td>{title}<td>{target:.2}<td>{measured:.3}<td>{middle_half}<td class=\"{class}\">{met}");
    }
    page.push_str("</table></div>");
}

/// Ratios as bars, each with a line at its target.
fn bars(page: &mut String, findings: &[Finding]) {
    const LEFT: f64 = 260.0;
    const WIDTH: f64 = 500.0;
    const STEP: f64 = 34.0;
    let ratios: Vec<_> = findings.iter().filter(|finding| finding.comparison.is_some()).collect();
    let most = ratios.iter().map(|finding| finding.measured.max(finding.target.limit())).fold(1.0, f64::max) * 1.1;
    let x = |value: f64| LEFT + value / most * WIDTH;
    let height = STEP * ratios.len() as f64 + 20.0;
    let _ = write!(page, "<h2>Ratios</h2><figure><svg viewBox=\"0 0 860 {height:.0}\" role=\"img\">");
    let one = x(1.0);
    let _ = write!(page, "<line x1=\"{one:.1}\" x2=\"{one:.1}\" y1=\"0\" y2=\"{height:.0}\" stroke=\"var(--line)\"/>");
    for (row, finding) in ratios.iter().enumerate() {
        let top = row as f64 * STEP + 8.0;
        let (measured, target) = (x(finding.measured), x(finding.target.limit()));
        let colour = if finding.met { "--good" } else { "--bad" };
        let _ = write!(
            page,
            "<text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
             <rect x=\"{LEFT}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"20\" rx=\"2\" fill=\"var({colour})\" opacity=\"0.75\"/>\
             <line x1=\"{target:.1}\" x2=\"{target:.1}\" y1=\"{:.1}\" y2=\"{:.1}\" stroke=\"var(--ink)\" stroke-width=\"2\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\">{:.2} <tspan class=\"soft\">(target {:.2})</tspan></text>",
            LEFT - 10.0,
            top + 14.0,
            escape(&finding.name),
            measured - LEFT,
            top - 3.0,
            top + 23.0,
            measured.max(target) + 8.0,
            top + 14.0,
            finding.measured,
            finding.target,
        );
    }
    page.push_str(
        "</svg><figcaption>The thick line is the target. The thin line is 1, the cost of the other side.</figcaption></figure>",
    );
}

/// Median, 99 % and 99.9 % of both sides, on a logarithmic scale from 10 µs to 1 s.
fn latencies(page: &mut String, findings: &[Finding]) {
    const LEFT: f64 = 260.0;
    const WIDTH: f64 = 560.0;
    const STEP: f64 = 20.0;
    let x = |micros: f64| LEFT + ((micros.max(10.0).log10() - 1.0) / 5.0).min(1.0) * WIDTH;
    let comparisons: Vec<_> =
        findings.iter().filter_map(|finding| Some((finding, finding.comparison.as_ref()?))).collect();
    let height = comparisons.len() as f64 * (2.0 * STEP + 10.0) + 30.0;
    let _ = write!(page, "<h2>Latency under full load</h2><figure><svg viewBox=\"0 0 860 {height:.0}\" role=\"img\">");
    for (power, name) in ["10 µs", "100 µs", "1 ms", "10 ms", "100 ms", "1 s"].iter().enumerate() {
        let at = LEFT + power as f64 / 5.0 * WIDTH;
        let bottom = height - 20.0;
        let _ = write!(
            page,
            "<line x1=\"{at:.0}\" x2=\"{at:.0}\" y1=\"0\" y2=\"{bottom:.0}\" stroke=\"var(--line)\"/>\
             <text class=\"soft\" x=\"{at:.0}\" y=\"{height:.0}\" dy=\"-4\" text-anchor=\"middle\">{name}</text>"
        );
    }
    let mut top = 8.0;
    for (finding, comparison) in comparisons {
        let [first, second] = &comparison.sides;
        let names = [format!("{} · {}", finding.name, first.name), second.name.clone()];
        for ((side, colour), name) in comparison.sides.iter().zip(["--first", "--second"]).zip(names) {
            let middle = top + STEP / 2.0;
            let (from, to) = (x(side.p50), x(side.p999));
            let _ = write!(
                page,
                "<text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
                 <line x1=\"{from:.1}\" x2=\"{to:.1}\" y1=\"{middle:.1}\" y2=\"{middle:.1}\" stroke=\"var({colour})\" stroke-width=\"2\"/>",
                LEFT - 10.0,
                middle + 4.0,
                escape(&name),
            );
            for (micros, radius) in [(side.p50, 5.0), (side.p99, 4.0), (side.p999, 3.0)] {
                let _ = write!(
                    page,
                    "<circle cx=\"{:.1}\" cy=\"{middle:.1}\" r=\"{radius}\" fill=\"var({colour})\"><title>{micros:.0} µs</title></circle>",
                    x(micros),
                );
            }
            top += STEP;
        }
        top += 10.0;
    }
    page.push_str("</svg><figcaption>From left to right: median, 99 %, 99.9 %.</figcaption></figure>");
}

fn figures(page: &mut String, findings: &[Finding]) {
    page.push_str(
        "<h2>Figures</h2><div class=\"wide\"><table><tr><th>path<th>connections<th>requests/s<th>CPU µs<th>p50 µs<th>p99 µs<th>p99.9 µs\
         <th>core used<th>client µs<th>Redis µs",
    );
    let row = |page: &mut String, name: &str, connections: usize, side: &SideResult| {
        let redis = side.redis_cpu.map_or_else(String::new, |cpu| format!("{cpu:.1}"));
        let _ = write!(
            page,
            "<tr><td>{}<td>{connections}<td>{:.0}<td>{:.2}<td>{:.0}<td>{:.0}<td>{:.0}<td>{:.0} %<td>{:.1}<td>{redis}",
            escape(&format!("{name} · {}", side.name)),
            side.per_second,
            side.cpu,
            side.p50,
            side.p99,
            side.p999,
            side.busy * 100.0,
            side.client_cpu,
        );
    };
    for (finding, comparison) in findings.iter().filter_map(|finding| Some((finding, finding.comparison.as_ref()?))) {
        comparison.sides.iter().for_each(|side| row(page, &finding.name, comparison.connections, side));
    }
    page.push_str("</table></div>");
}
