//! The arguments of `signet backup` and `signet restore`.

use std::path::PathBuf;

use clap::Args;

/// Options of `backup`.
#[derive(Args, Debug)]
#[command(after_help = "The exit code is 3 if a store is a server: the printed steps say what else to take.

Example:
  signet backup /var/backups/signet/$(date +%F)")]
pub struct Backup {
    /// The file to write. Only its owner can read it. It holds password hashes and, unless it is left out, the secret.
    pub file: PathBuf,
    /// Leave the secret file out. Without it nobody can open the signing keys and second factors in the backup.
    #[arg(long)]
    pub without_secret: bool,
    /// Replace the file if it exists.
    #[arg(long)]
    pub force: bool,
}

/// Options of `restore`.
#[derive(Args, Debug)]
#[command(after_help = "Users are as they were when the backup was taken: those who were deleted or disabled \
since are back, and passwords and second factors that were changed since are the old ones.

Examples:
  signet restore /var/backups/signet/2026-11-29 --check
  signet restore /var/backups/signet/2026-11-29

After a move, for which the server was stopped before the backup:
  signet restore moved --keep-sessions --keep-api-keys")]
pub struct Restore {
    /// The backup.
    pub file: PathBuf,
    /// Only verify the backup. Changes nothing, and works beside a running server.
    #[arg(long)]
    pub check: bool,
    /// Replace a store that has users, or a secret that is another one. The old files are kept under other names.
    #[arg(long, conflicts_with = "check")]
    pub force: bool,
    /// Keep sessions, access tokens and mailed codes, also those that were revoked or used after the backup was taken.
    #[arg(long, conflicts_with = "check")]
    pub keep_sessions: bool,
    /// Keep API keys active, also those that were deactivated after the backup was taken.
    #[arg(long, conflicts_with = "check")]
    pub keep_api_keys: bool,
}
