//! Metrics by the facade `metrics`: a program that installs a recorder exports them, and others pay next to nothing.

use std::time::Duration;

use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};

use super::error::VerifyError;

/// The results of verifications that have a counter each.
const RESULTS: [&str; 15] = [
    "ok",
    "malformed",
    "unsupported_algorithm",
    "wrong_type",
    "unknown_key",
    "revoked_key",
    "bad_signature",
    "expired",
    "not_yet_valid",
    "wrong_issuer",
    "wrong_audience",
    "revoked",
    "wrong_subject",
    "stale",
    "unavailable",
];

/// The metrics of one verifier.
pub(super) struct Metrics {
    tokens: [Counter; RESULTS.len()],
    frames: [Counter; 2],
    failures: Counter,
    staleness: Gauge,
    revocations: Gauge,
}

impl Metrics {
    pub(super) fn new() -> Self {
        describe_counter!("signet_verify_tokens_total", "Verified tokens by result.");
        describe_counter!("signet_verify_frames_total", "Frames of the revocation feed by whether they were accepted.");
        describe_counter!("signet_verify_follow_failures_total", "Failed attempts to read metadata, keys or feed.");
        describe_gauge!("signet_verify_staleness_seconds", "For how long revocations may have been missed.");
        describe_gauge!("signet_verify_revocations", "Revocations in memory.");
        Self {
            tokens: RESULTS.map(|result| counter!("signet_verify_tokens_total", "result" => result)),
            frames: ["accepted", "refused"].map(|result| counter!("signet_verify_frames_total", "result" => result)),
            failures: counter!("signet_verify_follow_failures_total"),
            staleness: gauge!("signet_verify_staleness_seconds"),
            revocations: gauge!("signet_verify_revocations"),
        }
    }

    /// Counts a verification.
    pub(super) fn verified<T>(&self, result: &Result<T, VerifyError>) {
        let name = result.as_ref().err().map_or(RESULTS[0], |error| error.code());
        if let Some(at) = RESULTS.iter().position(|known| *known == name) {
            self.tokens[at].increment(1);
        }
    }

    /// Counts a frame.
    pub(super) fn frame(&self, accepted: bool) {
        self.frames[usize::from(!accepted)].increment(1);
    }

    /// Counts a failed attempt.
    pub(super) fn failed(&self) {
        self.failures.increment(1);
    }

    /// Shows the state.
    pub(super) fn observe(&self, staleness: Option<Duration>, revocations: usize) {
        self.staleness.set(staleness.map_or(f64::INFINITY, |staleness| staleness.as_secs_f64()));
        self.revocations.set(revocations as f64);
    }
}
