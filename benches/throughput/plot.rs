//! Draws throughput against latency: a panel for each path, with both servers.

use serde::Serialize;

use crate::support::svg::{Anchor, Svg, WIDTH, tick_step};

/// The results of a server with a number of connections.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Point {
    pub(crate) connections: usize,
    pub(crate) per_second: f64,
    /// Latencies, in microseconds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// CPU time of the server for each request, in microseconds.
    pub(crate) cpu: f64,
}

/// The points of one server, by connections.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Curve {
    pub(crate) server: String,
    pub(crate) points: Vec<Point>,
}

impl Curve {
    /// The points whose number of connections is written: some and the last.
    pub(crate) fn numbered(&self) -> impl Iterator<Item = &Point> {
        let last = self.points.last().map(|point| point.connections);
        let is_numbered = move |connections| [1, 8, 64].contains(&connections) || Some(connections) == last;
        self.points.iter().filter(move |point| is_numbered(point.connections))
    }

    fn most_per_second(&self) -> f64 {
        self.points.iter().map(|point| point.per_second).fold(1.0, f64::max)
    }
}

/// A path: Signet, and what it is compared with.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) curves: [Curve; 2],
}

const CLASSES: [&str; 2] = ["first", "second"];
const CELL: [f64; 2] = [WIDTH / 2.0, 290.0];

/// Draws the panels in two columns. The legend takes the cell after the last one. `notes` are lines of the legend.
pub(crate) fn curves(panels: &[Panel], notes: &[String]) -> String {
    let rows = (panels.len() + 1).div_ceil(2);
    let mut svg = Svg::new(rows as f64 * CELL[1], &alternative(panels));
    let corner = |index: usize| [(index % 2) as f64 * CELL[0], (index / 2) as f64 * CELL[1]];
    for (index, shown) in panels.iter().enumerate() {
        panel(&mut svg, corner(index), shown);
    }
    legend(&mut svg, corner(panels.len()), notes);
    svg.finish()
}

fn panel(svg: &mut Svg, [left, top]: [f64; 2], panel: &Panel) {
    let (left, right, bottom) = (left + 78.0, left + CELL[0] - 26.0, top + CELL[1] - 54.0);
    let plot_top = top + 34.0;
    let points = || panel.curves.iter().flat_map(|curve| &curve.points);
    let most = points().map(|point| point.per_second).fold(1.0, f64::max) * 1.04;
    let (low, high) =
        points().fold((f64::MAX, 0.0_f64), |(low, high), point| (low.min(point.p50), high.max(point.p99)));
    let (low, high) = (tick_below(low), tick_above(high));
    let x = |rate: f64| left + rate / most * (right - left);
    let y = |micros: f64| bottom - (micros / low).ln() / (high / low).ln() * (bottom - plot_top);

    svg.text("title", Anchor::Start, [left, top + 20.0], &panel.title);
    let mut tick = low;
    while tick <= high * 1.001 {
        svg.line("grid", [left, y(tick)], [right, y(tick)]);
        svg.text("", Anchor::End, [left - 6.0, y(tick) + 4.0], &duration(tick));
        tick = tick_above(tick * 1.001);
    }
    let step = tick_step(most, 4.5);
    for rate in (0..).map(|tick| f64::from(tick) * step).take_while(|rate| *rate <= most) {
        svg.line("grid", [x(rate), plot_top], [x(rate), bottom + 4.0]);
        svg.text("", Anchor::Middle, [x(rate), bottom + 18.0], &thousands(rate));
    }
    svg.line("axis", [left, bottom], [right, bottom]);
    svg.line("axis", [left, plot_top], [left, bottom]);
    svg.text("soft", Anchor::Middle, [f64::midpoint(left, right), bottom + 36.0], "requests a second");
    let middle = f64::midpoint(plot_top, bottom);
    let side = left - 66.0;
    svg.element(format_args!(
        r#"<text class="soft" transform="translate({side:.1} {middle:.1}) rotate(-90)" text-anchor="middle">latency</text>"#
    ));

    for (curve, class) in panel.curves.iter().zip(CLASSES).rev() {
        let line = |value: fn(&Point) -> f64| {
            let points = curve.points.iter().map(|point| [x(point.per_second), y(value(point))]);
            points.collect::<Vec<_>>()
        };
        draw_line(svg, class, &line(|point| point.p99), true);
        draw_line(svg, class, &line(|point| point.p50), false);
    }
    // The numbers are on the side that the other curve leaves free: below the median or above the p99.
    let [first, second] = &panel.curves;
    let is_faster = first.most_per_second() > second.most_per_second();
    for point in first.numbered() {
        let (number, rate) = (point.connections.to_string(), x(point.per_second));
        if is_faster {
            svg.text("", Anchor::Start, [rate + 6.0, y(point.p50) + 12.0], &number);
        } else {
            svg.text("", Anchor::End, [rate - 5.0, y(point.p99) - 4.0], &number);
        }
    }
}

/// A line with a mark at each point: circles for the first server, squares for the second.
fn draw_line(svg: &mut Svg, class: &str, points: &[[f64; 2]], is_tail: bool) {
    let path = points.iter().map(|[x, y]| format!("{x:.1},{y:.1}")).collect::<Vec<_>>().join(" ");
    let tail = if is_tail { " tail" } else { "" };
    svg.element(format_args!(r#"<polyline class="curve {class}{tail}" points="{path}"/>"#));
    for [x, y] in points {
        if class == CLASSES[0] {
            svg.element(format_args!(r#"<circle class="{class}" cx="{x:.1}" cy="{y:.1}" r="3.2"/>"#));
        } else {
            svg.rect(class, [x - 2.8, y - 2.8], [5.6, 5.6]);
        }
    }
}

fn legend(svg: &mut Svg, [left, top]: [f64; 2], notes: &[String]) {
    let (left, mut y) = (left + 30.0, top + 34.0);
    let lines = [
        ("first", false, "Signet, p50"),
        ("first", true, "Signet, p99"),
        ("second", false, "baseline, p50"),
        ("second", true, "baseline, p99"),
    ];
    for (class, is_tail, name) in lines {
        draw_line(svg, class, &[[left, y - 4.0], [left + 36.0, y - 4.0]], is_tail);
        svg.text("", Anchor::Start, [left + 48.0, y], name);
        y += 21.0;
    }
    y += 6.0;
    for note in notes {
        svg.text("soft", Anchor::Start, [left - 3.0, y], note);
        y += 18.0;
    }
}

/// Says the numbered points of each curve.
fn alternative(panels: &[Panel]) -> String {
    let mut text = "Throughput against latency, by connections.".to_owned();
    for panel in panels {
        for curve in &panel.curves {
            text += &format!(" {}, {}:", panel.title, curve.server);
            for point in curve.numbered() {
                let (rate, p50, p99) = (thousands(point.per_second), duration(point.p50), duration(point.p99));
                text += &format!(" {} connections {rate} a second, p50 {p50}, p99 {p99};", point.connections);
            }
            text.pop();
            text.push('.');
        }
    }
    text
}

/// The ticks of latency are 1 and 3 times the powers of ten: the largest one that is at most `micros`.
fn tick_below(micros: f64) -> f64 {
    let power = 10_f64.powf(micros.log10().floor());
    if power * 3.0 <= micros { power * 3.0 } else { power }
}

/// The smallest tick that is at least `micros`.
fn tick_above(micros: f64) -> f64 {
    let tick = tick_below(micros);
    let power = 10_f64.powf(micros.log10().floor());
    if tick >= micros {
        tick
    } else if tick > power {
        power * 10.0
    } else {
        power * 3.0
    }
}

/// A latency with its unit, with two or three digits.
pub(crate) fn duration(micros: f64) -> String {
    let (value, unit) = match micros {
        ..999.5 => (micros, "µs"),
        ..999_500.0 => (micros / 1e3, "ms"),
        _ => (micros / 1e6, "s"),
    };
    let digits = usize::from(value < 9.95 && (value - value.round()).abs() > 0.01);
    format!("{value:.digits$} {unit}")
}

/// A rate with a comma between thousands.
pub(crate) fn thousands(rate: f64) -> String {
    let digits = format!("{rate:.0}");
    let split = |(index, digit): (usize, char)| {
        let comma = index > 0 && (digits.len() - index).is_multiple_of(3);
        comma.then_some(',').into_iter().chain([digit])
    };
    digits.chars().enumerate().flat_map(split).collect()
}
