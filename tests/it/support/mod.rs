//! Starters of the processes that tests need. Each dies with the test that started it.

pub(crate) mod client;
pub(crate) mod disk;
pub(crate) mod document;
pub(crate) mod embedded;
pub(crate) mod faketime;
pub(crate) mod fleet;
pub(crate) mod forge;
pub(crate) mod nginx;
pub(crate) mod outbox;
pub(crate) mod postgres;
pub(crate) mod redis;
pub(crate) mod server;
pub(crate) mod signet;
pub(crate) mod smtp;
pub(crate) mod terminal;
pub(crate) mod totp;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Waits until `condition` holds.
///
/// # Panics
/// If it does not within `patience`.
#[track_caller]
pub(crate) fn wait_until(what: &str, patience: Duration, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < patience, "{what}: not within {patience:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until what has to be asked for holds.
///
/// # Panics
/// If it does not within ten seconds.
pub(crate) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !condition().await {
        assert!(began.elapsed() < Duration::from_secs(10), "{what}: not within ten seconds");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A whole number on a page of metrics.
///
/// # Panics
/// If there is no such series.
pub(crate) fn figure(page: &str, series: &str) -> u64 {
    let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series}")).parse().expect("a whole number")
}

/// Runs a command to its end on this input.
pub(crate) fn fed(mut command: Command, input: &str) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    // One that refuses its settings ends without having read.
    let _ = child.stdin.take().expect("it is piped").write_all(input.as_bytes());
    child.wait_with_output().expect("it ends")
}

/// A tool that `./test` installs beside the tests' own temporary folder.
pub(crate) fn tool(path: &str) -> PathBuf {
    let tools = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it is in the target folder").join("tools");
    let tool = tools.join(path);
    assert!(tool.exists(), "{} is missing: `./test` installs it", tool.display());
    tool
}
