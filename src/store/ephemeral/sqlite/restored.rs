//! Removes from a restored file the codes and links that may have been used since, and gives its sequence of
//! revocations another epoch.

use std::path::Path;

use crate::clock::Timestamp;
use crate::store::sqlite::{OpenError, backup};

/// Prepares the file in `dir`, which is a copy of an earlier state, for being used again. Its revocations get another
/// epoch, because positions that followers of the published feed have reached mean something else in it. Unless
/// `keep_one_time_secrets`, every code and link is deleted, because it may have been used since.
pub fn start_new_history(dir: &Path, keep_one_time_secrets: bool, now: Timestamp) -> Result<(), OpenError> {
    backup::change(dir, now, |connection| {
        connection.execute_batch("UPDATE revocation_epoch SET epoch = lower(hex(randomblob(8))) WHERE one = 1")?;
        match keep_one_time_secrets {
            true => Ok(()),
            false => connection.execute_batch("DELETE FROM claims; DELETE FROM idempotency_keys"),
        }
    })
}
