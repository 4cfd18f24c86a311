//! The log: one line a failure, where it is handled, to stderr; pretty on a terminal, JSON otherwise.
//!
//! Lines are written by a thread of their own, so that a terminal or a pipe that stands still costs lines, not requests.
//! Knows nothing of what is logged.

#[cfg(feature = "otlp")]
mod traces;

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::{ParseError, filter_fn};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::clock::Clock;
use crate::config::{Log, LogFormat};

/// How many lines may wait for the thread that writes them.
const QUEUE: usize = 8_192;

type Boxed = Box<dyn Layer<Registry> + Send + Sync>;

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The thread that writes lines could not be started.
    #[error("the log's thread cannot be started: {0}")]
    Thread(#[from] io::Error),
    /// `log.filter` is not one.
    #[error("log.filter cannot be used: {0}")]
    Filter(#[from] ParseError),
    /// Somebody else logs in this process already.
    #[error("the log was started twice")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
    /// Traces cannot be sent.
    #[cfg(feature = "otlp")]
    #[error("traces cannot be sent to log.otlp_endpoint: {0}")]
    Traces(#[from] opentelemetry_otlp::ExporterBuildError),
}

/// The running log. Dropping it writes what still waits; what is logged after that is written at once.
pub struct Logs {
    lines: Lines,
    thread: Option<JoinHandle<()>>,
    #[cfg(feature = "otlp")]
    traces: Option<traces::Traces>,
}

impl Logs {
    /// Starts the log for the whole process.
    pub fn start(settings: &Log, clock: Clock) -> Result<Self, StartError> {
        let (queue, waiting) = sync_channel(QUEUE);
        let lines = Lines { queue, lost: Arc::default() };
        let thread =
            std::thread::Builder::new().name("log".to_owned()).spawn(move || write(&waiting, &mut io::stderr()))?;
        let layers = vec![layer(settings.format, io::stderr().is_terminal(), clock, lines.clone())];
        #[cfg(feature = "otlp")]
        let traces = settings.otlp_endpoint.as_deref().map(traces::Traces::to).transpose()?;
        #[cfg(feature = "otlp")]
        let layers = layers.into_iter().chain(traces.as_ref().map(traces::Traces::layer)).collect();
        subscriber(layers, &settings.filter)?.try_init()?;
        Ok(Self {
            lines,
            thread: Some(thread),
            #[cfg(feature = "otlp")]
            traces,
        })
    }

    /// How many lines were lost because nobody took them fast enough.
    pub fn lost(&self) -> u64 {
        self.lines.lost.load(Ordering::Relaxed)
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        #[cfg(feature = "otlp")]
        if let Some(traces) = self.traces.take() {
            traces.flush();
        }
        // The subscriber keeps its end of the queue for as long as the process lives: only a word ends the thread.
        if self.lines.queue.send(Message::Stop).is_ok()
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}

/// Drivers that are asked to tell everything tell what they carry: tokio_postgres every parameter, password hashes among them,
/// h2 every header field. Below info only our own rooms are heard, whatever the filter says.
fn tells_no_secret(event: &Metadata<'_>) -> bool {
    let ours = event.target().split("::").next() == Some(env!("CARGO_CRATE_NAME"));
    ours || *event.level() <= Level::INFO
}

enum Message {
    Line(Vec<u8>),
    Stop,
}

/// Where the subscriber writes: each call is one whole line.
#[derive(Clone)]
struct Lines {
    queue: SyncSender<Message>,
    lost: Arc<AtomicU64>,
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match self.queue.try_send(Message::Line(line.to_vec())) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
            Err(TrySendError::Disconnected(_)) => io::stderr().write_all(line)?,
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

/// A log that cannot be written has nowhere to be complained about.
fn write(waiting: &Receiver<Message>, to: &mut dyn Write) {
    while let Ok(Message::Line(line)) = waiting.recv() {
        let _ = to.write_all(&line);
    }
}

/// The filter stands around the layers: within a list of them, one that takes everything would speak for all.
fn subscriber(layers: Vec<Boxed>, filter: &str) -> Result<impl Subscriber + Send + Sync, ParseError> {
    Ok(tracing_subscriber::registry().with(layers).with(EnvFilter::try_new(filter)?).with(filter_fn(tells_no_secret)))
}

fn layer<W>(format: LogFormat, terminal: bool, clock: Clock, to: W) -> Boxed
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = fmt::layer().with_timer(Time(clock)).with_writer(to);
    // With colours on a terminal they are left to the library, which knows NO_COLOR.
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
        let (queue, waiting) = sync_channel(8);
        let lines = Lines { queue, lost: Arc::default() };
        let clock = Clock::manual(Timestamp::from_millis(1_763_130_320_050));
        let subscriber = subscriber(vec![layer(format, terminal, clock, lines.clone())], "info").unwrap();
        tracing::subscriber::with_default(subscriber, || {
            let _request = tracing::info_span!("request", request_id = "abc").entered();
            tracing::debug!("not worth a line");
            tracing::warn!(store = "redis", "not ready");
        });
        lines.queue.send(Message::Stop).unwrap();
        let mut written = Vec::new();
        write(&waiting, &mut written);
        String::from_utf8(written).unwrap()
    }

    #[test]
    fn a_line_of_json_holds_the_time_in_utc_and_the_request() {
        let line: serde_json::Value = serde_json::from_str(&logged(LogFormat::Auto, false)).unwrap();
        assert_eq!(line["timestamp"], "2025-11-14T14:25:20.05Z");
        assert_eq!(
            (&line["level"], &line["message"], &line["store"]),
            (&"WARN".into(), &"not ready".into(), &"redis".into())
        );
        assert_eq!(line["span"]["request_id"], "abc");
    }

    #[test]
    fn a_line_for_people_is_coloured_only_on_a_terminal() {
        let plain = logged(LogFormat::Pretty, false);
        assert!(!plain.contains("not worth a line"), "{plain}");
        assert!(plain.starts_with("2025-11-14T14:25:20.05Z  WARN request{request_id=\"abc\"}: "), "{plain}");
        assert!(logged(LogFormat::Auto, true).contains("\u{1b}["));
    }

    #[test]
    fn lines_that_nobody_takes_are_counted_and_hold_nobody_up() {
        let (queue, _waiting) = sync_channel(1);
        let mut lines = Lines { queue, lost: Arc::default() };
        for _ in 0..3 {
            lines.write_all(b"line\n").unwrap();
        }
        assert_eq!(lines.lost.load(Ordering::Relaxed), 2);
    }
}
