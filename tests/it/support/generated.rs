//! Files of the repository that are generated from the code. `SIGNET_UPDATE=1 ./test NAME` writes them anew.

use std::path::Path;

/// Compares a file of the repository with what its generator returns, or writes it if `SIGNET_UPDATE` is set.
///
/// # Panics
/// If they differ.
#[track_caller]
#[allow(clippy::disallowed_methods, reason = "the variable is for the person who runs the test")]
pub(crate) fn assert_generated(path: &str, generated: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("SIGNET_UPDATE").is_some() {
        std::fs::write(&file, generated).expect("the file can be written");
        return;
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    let line = committed.lines().zip(generated.lines()).take_while(|(one, other)| one == other).count();
    assert!(
        committed == generated,
        "{path} is not up to date from line {} on: run SIGNET_UPDATE=1 ./test generated",
        line + 1
    );
}
