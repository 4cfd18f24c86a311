//! `signet check`: prints what [`node::check`](crate::node::check) finds, and fails if any part has failed.

use serde::Serialize;

use super::CliError;
use super::output::{Columns, Output};
use crate::config::Config;
use crate::node::check::{Outcome, check};

/// A finding as printed.
#[derive(Debug, Serialize)]
struct FindingRow {
    part: &'static str,
    /// `ok`, `note` or `failed`.
    result: &'static str,
    detail: String,
}

const COLUMNS: Columns<FindingRow> = &[
    ("part", |finding| finding.part.to_owned()),
    ("result", |finding| finding.result.to_owned()),
    ("detail", |finding| finding.detail.clone()),
];

pub(super) async fn run(config: &Config, output: &mut Output<'_>) -> Result<(), CliError> {
    let findings = check(config).await;
    let failed = findings.iter().filter(|finding| finding.outcome == Outcome::Failed).count();
    let rows = findings.into_iter().map(|finding| {
        let result = match finding.outcome {
            Outcome::Ok => "ok",
            Outcome::Note => "note",
            Outcome::Failed => "failed",
        };
        FindingRow { part: finding.part, result, detail: finding.detail }
    });
    output.rows(&rows.collect::<Vec<_>>(), COLUMNS)?;
    match failed {
        0 => Ok(()),
        _ => Err(CliError::Failed {
            problem: "some checks failed".to_owned(),
            remedy: "see the lines above that say `failed`".to_owned(),
        }),
    }
}
