//! Plots as SVG files that a page shows as images: light and dark by `prefers-color-scheme`, with a text alternative and
//! without scripts. It does not know what was measured. The tests of the documentation use it too.

use std::fmt::{Arguments, Write};

/// The width of all plots: that of a column of text.
pub(crate) const WIDTH: f64 = 760.0;

const STYLE: &str = "text{fill:#222}.soft{fill:#59636e}.title{font-weight:600}.grid{stroke:#d3d6da}.axis{stroke:#222}\
    .mark{stroke:#222;stroke-width:2}.first{fill:#2f6db3}.second{fill:#b5651d}\
    .curve{fill:none;stroke-width:2}.curve.first{stroke:#2f6db3}.curve.second{stroke:#b5651d}.tail{stroke-dasharray:5 4}\
    @media(prefers-color-scheme:dark){text{fill:#ddd}.soft{fill:#9aa4ae}.grid{stroke:#444}.axis,.mark{stroke:#ddd}\
    .first{fill:#6fa3dc}.second{fill:#e09a5a}.curve{fill:none}.curve.first{stroke:#6fa3dc}\
    .curve.second{stroke:#e09a5a}}";

/// Where a text is, relative to its point.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// An image under construction.
pub(crate) struct Svg(String);

impl Svg {
    /// `label` is the text alternative.
    pub(crate) fn new(height: f64, label: &str) -> Self {
        let mut text = String::new();
        let _ = writeln!(
            text,
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="system-ui,sans-serif" font-size="13" role="img" aria-label="{}">"#,
            escape(label)
        );
        let _ = writeln!(text, "<style>{STYLE}</style>");
        Self(text)
    }

    pub(crate) fn element(&mut self, element: Arguments<'_>) {
        let _ = writeln!(self.0, "{element}");
    }

    pub(crate) fn text(&mut self, class: &str, anchor: Anchor, [x, y]: [f64; 2], text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = escape(text);
        self.element(format_args!(
            r#"<text class="{class}" x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{text}</text>"#
        ));
    }

    pub(crate) fn line(&mut self, class: &str, [x1, y1]: [f64; 2], [x2, y2]: [f64; 2]) {
        self.element(format_args!(r#"<line class="{class}" x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}"/>"#));
    }

    pub(crate) fn rect(&mut self, class: &str, [x, y]: [f64; 2], [width, height]: [f64; 2]) {
        self.element(format_args!(
            r#"<rect class="{class}" x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}"/>"#
        ));
    }

    pub(crate) fn finish(self) -> String {
        self.0 + "</svg>\n"
    }
}

/// The distance of ticks from zero to `most`, of which there are at most `count`.
pub(crate) fn tick_step(most: f64, count: f64) -> f64 {
    let least = most / count;
    let power = 10_f64.powf(least.log10().floor());
    [1.0, 2.0, 2.5, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| *step >= least).unwrap_or(least)
}

/// A bar with its name.
#[derive(Clone, Debug)]
pub(crate) struct Bar {
    pub(crate) name: String,
    pub(crate) value: f64,
    /// Where the target is.
    pub(crate) target: Option<f64>,
    /// Drawn in the second colour.
    pub(crate) is_second: bool,
}

/// Horizontal bars from zero, one below the other.
pub(crate) struct Bars<'a> {
    /// The text alternative says this first, and then the bars.
    pub(crate) label: &'a str,
    /// The text below the axis: the quantity and its unit.
    pub(crate) axis: &'a str,
    /// The unit after each value.
    pub(crate) unit: &'a str,
    /// Digits after the point.
    pub(crate) digits: usize,
    /// Lines below the axis.
    pub(crate) notes: &'a [String],
    pub(crate) bars: &'a [Bar],
}

impl Bars<'_> {
    pub(crate) fn draw(&self) -> String {
        const LEFT: f64 = 300.0;
        const RIGHT: f64 = 670.0;
        const TOP: f64 = 26.0;
        const STEP: f64 = 30.0;
        let ends = self.bars.iter().map(|bar| bar.value.max(bar.target.unwrap_or(0.0)));
        let most = ends.fold(f64::MIN_POSITIVE, f64::max);
        let x = |value: f64| LEFT + value / most * (RIGHT - LEFT);
        let bottom = TOP + STEP * self.bars.len() as f64 + 6.0;
        let mut svg = Svg::new(bottom + 32.0 + 18.0 * self.notes.len() as f64, &self.alternative());
        let step = tick_step(most, 6.0);
        let digits = (0..3).find(|digits| (step * 10_f64.powi(*digits)).fract() < 1e-6).unwrap_or(3) as usize;
        let ticks = (0..).map(|tick| f64::from(tick) * step).take_while(|tick| *tick <= most * 1.001);
        for tick in ticks {
            svg.line("grid", [x(tick), TOP], [x(tick), bottom]);
            svg.text("", Anchor::Middle, [x(tick), TOP - 8.0], &format!("{tick:.digits$}"));
        }
        for (row, bar) in self.bars.iter().enumerate() {
            let top = TOP + STEP * row as f64 + 9.0;
            svg.text("", Anchor::End, [LEFT - 8.0, top + 14.0], &bar.name);
            let class = if bar.is_second { "second" } else { "first" };
            svg.rect(class, [LEFT, top], [x(bar.value) - LEFT, 18.0]);
            if let Some(target) = bar.target {
                svg.line("mark", [x(target), top - 4.0], [x(target), top + 22.0]);
            }
            let end = x(bar.value.max(bar.target.unwrap_or(0.0)));
            svg.text("", Anchor::Start, [end + 7.0, top + 14.0], &self.value_text(bar.value));
        }
        svg.text("soft", Anchor::Start, [LEFT, bottom + 18.0], self.axis);
        for (row, note) in self.notes.iter().enumerate() {
            svg.text("soft", Anchor::Start, [LEFT, bottom + 36.0 + 18.0 * row as f64], note);
        }
        svg.finish()
    }

    fn value_text(&self, value: f64) -> String {
        format!("{value:.*}{}", self.digits, self.unit)
    }

    fn alternative(&self) -> String {
        let bar = |bar: &Bar| {
            let target = bar.target.map_or_else(String::new, |target| format!(" (target {})", self.value_text(target)));
            format!("{} {}{target}", bar.name, self.value_text(bar.value))
        };
        format!("{}: {}", self.label, self.bars.iter().map(bar).collect::<Vec<_>>().join("; "))
    }
}

pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
