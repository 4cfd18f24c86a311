//! The log, to stderr: pretty on a terminal, JSON otherwise. Each failure is logged once, where it is handled.
//!
//! A thread of its own writes the lines, so that a blocked terminal or pipe loses lines and does not delay requests.
//! Knows nothing of what is logged.

#[cfg(feature = "otlp")]
mod traces;

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::{ParseError, Targets, filter_fn};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

use crate::clock::Clock;
use crate::config::{Log, LogFormat};

/// Maximum number of lines that wait to be written.
const QUEUE: usize = 8_192;

type Boxed = Box<dyn Layer<Registry> + Send + Sync>;

/// The log cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The writing thread cannot be started.
    #[error("the log's thread cannot be started: {0}")]
    Thread(#[from] io::Error),
    /// `log.filter` is invalid.
    #[error("log.filter is invalid: {0}")]
    Filter(#[from] ParseError),
    /// The process has a log already.
    #[error("the log was started twice")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
    /// Traces cannot be sent.
    #[cfg(feature = "otlp")]
    #[error("traces cannot be sent to log.otlp_endpoint: {0}")]
    Traces(#[from] opentelemetry_otlp::ExporterBuildError),
}

/// The running log. Dropping it writes the waiting lines; later lines are written immediately.
pub struct Logs {
    lines: Lines,
    thread: Option<JoinHandle<()>>,
    #[cfg(feature = "otlp")]
    traces: Option<traces::Traces>,
}

impl Logs {
    /// Starts the log for the whole process.
    pub fn start(settings: &Log, clock: Clock) -> Result<Self, StartError> {
        let (lines, queue) = Lines::new();
        let thread =
            std::thread::Builder::new().name("log".to_owned()).spawn(move || write(&queue, &mut io::stderr()))?;
        let log = layer(settings.format, io::stderr().is_terminal(), clock, lines.clone());
        #[cfg(feature = "otlp")]
        let traces = settings.otlp_endpoint.as_deref().map(traces::Traces::to).transpose()?;
        #[cfg(feature = "otlp")]
        if let Some(traces) = &traces {
            with_traces(log, traces.layer(), &settings.filter)?.try_init()?;
        } else {
            subscriber(log, &settings.filter)?.try_init()?;
        }
        #[cfg(not(feature = "otlp"))]
        subscriber(log, &settings.filter)?.try_init()?;
        Ok(Self {
            lines,
            thread: Some(thread),
            #[cfg(feature = "otlp")]
            traces,
        })
    }

    /// Number of lines lost because they could not be written fast enough.
    pub fn lost(&self) -> u64 {
        self.lines.counters.lost.load(Ordering::Relaxed)
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        #[cfg(feature = "otlp")]
        if let Some(traces) = self.traces.take() {
            traces.flush();
        }
        // The subscriber holds its end of the queue until the process exits, so only a message ends the thread.
        if self.lines.queue.send(Message::Stop).is_ok()
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}

/// Limits what libraries log, whatever the filter says. Below info their lines may contain secrets: tokio_postgres logs
/// every parameter, password hashes among them, and h2 every header field. fred logs each step of a reconnection as a
/// warning, while the store logs a lost Redis in one line. `signet_ed25519` is ours, and logs which code it uses.
fn is_loggable(event: &Metadata<'_>) -> bool {
    match event.target().split("::").next() {
        Some(env!("CARGO_CRATE_NAME") | "signet_ed25519") => true,
        Some("fred") => *event.level() <= Level::ERROR,
        _ => *event.level() <= Level::INFO,
    }
}

enum Message {
    Line(Vec<u8>),
    Stop,
}

/// The subscriber's writer: each call is one complete line.
#[derive(Clone)]
struct Lines {
    queue: Sender<Message>,
    counters: Arc<Counters>,
}

/// The counters that bound the queue. A bounded channel of the standard library allocates all of its places at once,
/// 256 KiB.
#[derive(Default)]
struct Counters {
    waiting: AtomicUsize,
    lost: AtomicU64,
}

/// The other end of [`Lines`].
struct Queue {
    messages: Receiver<Message>,
    counters: Arc<Counters>,
}

impl Lines {
    fn new() -> (Self, Queue) {
        let ((queue, messages), counters) = (channel(), Arc::<Counters>::default());
        (Self { queue, counters: Arc::clone(&counters) }, Queue { messages, counters })
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let Counters { waiting, lost } = &*self.counters;
        if waiting.fetch_add(1, Ordering::Relaxed) >= QUEUE {
            waiting.fetch_sub(1, Ordering::Relaxed);
            lost.fetch_add(1, Ordering::Relaxed);
        } else if self.queue.send(Message::Line(line.to_vec())).is_err() {
            waiting.fetch_sub(1, Ordering::Relaxed);
            io::stderr().write_all(line)?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Ignores write errors: there is nowhere to report them.
fn write(queue: &Queue, to: &mut dyn Write) {
    while let Ok(Message::Line(line)) = queue.messages.recv() {
        queue.counters.waiting.fetch_sub(1, Ordering::Relaxed);
        let _ = to.write_all(&line);
    }
}

/// The filters enclose the layer, so that what they refuse costs nothing.
fn subscriber(log: Boxed, filter: &str) -> Result<impl Subscriber + Send + Sync, ParseError> {
    Ok(tracing_subscriber::registry().with(log).with(filter.parse::<Targets>()?).with(filter_fn(is_loggable)))
}

/// Each layer has a filter of its own: traces have the spans of every request, whatever the log shows.
#[cfg(any(feature = "otlp", test))]
fn with_traces(log: Boxed, traces: Boxed, filter: &str) -> Result<impl Subscriber + Send + Sync, ParseError> {
    let log = log.with_filter(filter.parse::<Targets>()?).boxed();
    let traces = traces.with_filter(filter_fn(is_traced)).boxed();
    Ok(tracing_subscriber::registry().with(vec![log, traces]).with(filter_fn(is_loggable)))
}

/// The spans of this program, and what it logs at info or above while one is open.
#[cfg(any(feature = "otlp", test))]
fn is_traced(metadata: &Metadata<'_>) -> bool {
    metadata.target().split("::").next() == Some(env!("CARGO_CRATE_NAME"))
        && (metadata.is_span() || *metadata.level() <= Level::INFO)
}

fn layer<W>(format: LogFormat, terminal: bool, clock: Clock, to: W) -> Boxed
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = fmt::layer().with_timer(Time(clock)).with_writer(to);
    // The library decides on colours, because it knows NO_COLOR.
    match (format, terminal) {
        (LogFormat::Json, _) | (LogFormat::Auto, false) => {
            layer.json().flatten_event(true).with_current_span(true).with_span_list(false).boxed()
        }
        (LogFormat::Pretty | LogFormat::Auto, true) => layer.boxed(),
        (LogFormat::Pretty, false) => layer.with_ansi(false).boxed(),
    }
}

struct Time(Clock);

impl FormatTime for Time {
    fn format_time(&self, to: &mut Writer<'_>) -> std::fmt::Result {
        write!(to, "{}", self.0.now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    fn logged(format: LogFormat, terminal: bool) -> String {
        let (lines, queue) = Lines::new();
        let clock = Clock::manual(Timestamp::from_millis(1_763_130_320_050));
        let subscriber = subscriber(layer(format, terminal, clock, lines.clone()), "info").unwrap();
        tracing::subscriber::with_default(subscriber, || {
            let _request = tracing::info_span!("request", request_id = "abc").entered();
            tracing::debug!("not worth a line");
            tracing::warn!(store = "redis", "not ready");
        });
        lines.queue.send(Message::Stop).unwrap();
        let mut written = Vec::new();
        write(&queue, &mut written);
        String::from_utf8(written).unwrap()
    }

    #[test]
    fn json_line_has_utc_time_and_request() {
        let line: serde_json::Value = serde_json::from_str(&logged(LogFormat::Auto, false)).unwrap();
        assert_eq!(line["timestamp"], "2025-11-14T14:25:20.05Z");
        assert_eq!(
            (&line["level"], &line["message"], &line["store"]),
            (&"WARN".into(), &"not ready".into(), &"redis".into())
        );
        assert_eq!(line["span"]["request_id"], "abc");
    }

    #[test]
    fn libraries_of_others_log_nothing_below_info() {
        let (lines, queue) = Lines::new();
        let layer = layer(LogFormat::Json, false, Clock::manual(Timestamp::from_millis(0)), lines.clone());
        tracing::subscriber::with_default(subscriber(layer, "debug").unwrap(), || {
            tracing::debug!("of the server");
            tracing::debug!(target: "signet_ed25519::implementation", "of the verifier");
            tracing::debug!(target: "tokio_postgres::query", "of a driver");
            tracing::info!(target: "tokio_postgres::query", "info of a driver");
            tracing::warn!(target: "fred::router", "warning about a reconnection");
        });
        lines.queue.send(Message::Stop).unwrap();
        let mut written = Vec::new();
        write(&queue, &mut written);
        let written = String::from_utf8(written).unwrap();
        let messages: Vec<_> =
            written.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()).collect();
        let messages: Vec<_> = messages.iter().map(|line| line["message"].as_str().unwrap()).collect();
        assert_eq!(messages, ["of the server", "of the verifier", "info of a driver"]);
    }

    #[test]
    fn pretty_line_is_coloured_only_on_a_terminal() {
        let plain = logged(LogFormat::Pretty, false);
        assert!(!plain.contains("not worth a line"), "{plain}");
        assert!(plain.starts_with("2025-11-14T14:25:20.05Z  WARN request{request_id=\"abc\"}: "), "{plain}");
        assert!(logged(LogFormat::Auto, true).contains("\u{1b}["));
    }

    #[test]
    fn traces_have_the_spans_that_the_log_does_not_show() {
        let (lines, queue) = Lines::new();
        let clock = Clock::manual(Timestamp::from_millis(0));
        // In place of the exporter: a log of the spans that it would get.
        let (spans, exported) = Lines::new();
        let exporter = fmt::layer().json().with_span_events(fmt::format::FmtSpan::CLOSE).with_writer(spans.clone());
        let log = layer(LogFormat::Json, false, clock, lines.clone());
        let subscriber = with_traces(log, exporter.boxed(), "warn").unwrap();
        tracing::subscriber::with_default(subscriber, || {
            assert!(tracing::span_enabled!(Level::DEBUG));
            let _request = tracing::debug_span!("request").entered();
            drop(tracing::trace_span!("store").entered());
            tracing::info!("event of the trace");
            tracing::debug!("neither");
            tracing::warn!("in both");
        });
        let text = |lines: Lines, queue| {
            lines.queue.send(Message::Stop).unwrap();
            let mut written = Vec::new();
            write(&queue, &mut written);
            String::from_utf8(written).unwrap()
        };
        let (log, traces) = (text(lines, queue), text(spans, exported));
        assert_eq!((log.lines().count(), log.contains("in both"), log.contains("\"span\"")), (1, true, false), "{log}");
        for expected in ["event of the trace", "in both", "\"name\":\"store\"", "\"name\":\"request\""] {
            assert!(traces.contains(expected), "{expected}: {traces}");
        }
        assert!(!traces.contains("neither"), "{traces}");
    }

    #[test]
    fn lost_lines_are_counted_and_do_not_block() {
        let (mut lines, queue) = Lines::new();
        for _ in 0..QUEUE + 2 {
            lines.write_all(b"line\n").unwrap();
        }
        assert_eq!(lines.counters.lost.load(Ordering::Relaxed), 2);
        // A written line makes room for another.
        lines.queue.send(Message::Stop).unwrap();
        let mut written = Vec::new();
        write(&queue, &mut written);
        assert_eq!(written.len(), QUEUE * b"line\n".len());
        lines.write_all(b"line\n").unwrap();
        assert_eq!(lines.counters.lost.load(Ordering::Relaxed), 2);
    }
}
