//! Helpers that start the processes that tests need. Each process dies with the test that started it.

pub(crate) mod client;
pub(crate) mod disk;
pub(crate) mod document;
pub(crate) mod embedded;
pub(crate) mod every_token;
pub(crate) mod example_service;
pub(crate) mod faketime;
pub(crate) mod fleet;
pub(crate) mod forge;
pub(crate) mod generated;
pub(crate) mod http2;
pub(crate) mod outbox;
pub(crate) mod ports;
pub(crate) mod postgres;
pub(crate) mod redis;
pub(crate) mod response;
pub(crate) mod server;
pub(crate) mod signet;
pub(crate) mod smtp;
pub(crate) mod terminal;
pub(crate) mod totp;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The files of the migrations of `postgres` or `sqlite`, in order.
pub(crate) fn migrations(engine: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(engine);
    let files = std::fs::read_dir(folder).expect("the folder exists");
    let mut files: Vec<_> = files.map(|file| file.expect("the folder can be read").path()).collect();
    files.sort();
    files
}

/// Waits until `condition` holds.
///
/// # Panics
/// If it does not hold within `timeout`.
#[track_caller]
pub(crate) fn wait_until(what: &str, timeout: Duration, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < timeout, "{what}: not within {timeout:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until an asynchronous condition holds.
///
/// # Panics
/// If it does not hold within a minute, which is much even for a machine that is busy with other tests.
pub(crate) async fn until(what: &str, condition: impl AsyncFnMut() -> bool) {
    poll_until(what, Duration::from_secs(60), Duration::from_millis(10), condition).await;
}

/// Waits until an asynchronous condition holds, polling every 2 ms; returns how long that took.
///
/// # Panics
/// If it does not hold within `timeout`.
pub(crate) async fn until_within(what: &str, timeout: Duration, condition: impl AsyncFnMut() -> bool) -> Duration {
    poll_until(what, timeout, Duration::from_millis(2), condition).await
}

async fn poll_until(
    what: &str,
    timeout: Duration,
    interval: Duration,
    mut condition: impl AsyncFnMut() -> bool,
) -> Duration {
    let began = Instant::now();
    while !condition().await {
        assert!(began.elapsed() < timeout, "{what}: not within {timeout:?}");
        tokio::time::sleep(interval).await;
    }
    began.elapsed()
}

/// The value of a series on a page of metrics, which must be a whole number.
///
/// # Panics
/// If there is no such series.
pub(crate) fn metric(page: &str, series: &str) -> u64 {
    let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series}")).parse().expect("a whole number")
}

/// For programs that send requests to a server of the tests: they use no proxy, also if the environment names one.
pub(crate) const NO_PROXY: [(&str, &str); 2] = [("NO_PROXY", "*"), ("no_proxy", "*")];

/// Runs a command to its end with this input on stdin.
pub(crate) fn run_with_stdin(mut command: Command, input: &str) -> Output {
    command.envs(NO_PROXY).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    // A program that rejects its settings exits without reading stdin.
    let _ = child.stdin.take().expect("stdin is piped").write_all(input.as_bytes());
    child.wait_with_output().expect("the command ends")
}

/// The path of a tool that `./test` installs in the target folder.
pub(crate) fn tool(path: &str) -> PathBuf {
    let tools = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it is in the target folder").join("tools");
    let tool = tools.join(path);
    assert!(tool.exists(), "{} is missing: `./test` installs it", tool.display());
    tool
}
