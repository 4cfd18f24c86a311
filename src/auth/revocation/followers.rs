//! Reports of the services that follow the published feed: the position up to which each has read, and the keys that it
//! has. So an operator sees which of them lags, and a command can wait until all of them know a new key.
//!
//! A report is a statement of the service, not a proof. Nothing depends on it but what operators see.

use std::time::Duration;

use super::responses::jwks_hash;
use crate::auth::Error;
use crate::auth::context::Context;
use crate::auth::reserved_scopes::{ADMIN, FEED_REPORT};
use crate::auth::signing_keys::{self, KeyringError};
use crate::clock::Timestamp;
use crate::store::ephemeral::FollowerReport;

/// The scopes of API keys with which a follower can report. They are reserved for superusers: anyone else could fill
/// the list with names, and let commands wait for them.
pub const REPORT_SCOPES: &[&str] = &[FEED_REPORT, ADMIN];

/// When a follower whose report was refused because there are too many may try again: some will have expired by then.
const RETRY_AFTER: Duration = Duration::from_secs(60);

/// How often a waiting command looks for new reports.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// The report of a follower.
#[derive(Clone, Debug)]
pub struct Report {
    /// The follower's name: one for each process.
    pub name: String,
    /// The sequence that the position belongs to.
    pub epoch: String,
    /// The position up to which it has applied the feed.
    pub position: String,
    /// Identifies the JWKS that it has, as frames do.
    pub jwks: String,
    /// The greatest `time` of the frames that proved its state to be complete.
    pub complete_at: Timestamp,
}

/// A follower, by its last report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Follower {
    /// The name that it gave itself.
    pub name: String,
    /// For how long it might have missed revocations when it reported. Up to two seconds are normal.
    pub behind: Duration,
    /// When it reported.
    pub seen_at: Timestamp,
    /// True if it has the current JWKS.
    pub has_current_keys: bool,
}

/// Stores the report of a follower. The caller must have one of [`REPORT_SCOPES`].
pub async fn report(ctx: &Context, report: Report) -> Result<(), Error> {
    let Report { name, epoch, position, jwks, complete_at } = report;
    let report = FollowerReport { name, epoch, position, jwks, complete_at, reported_at: ctx.now() };
    if ctx.ephemeral.report_follower(&report).await? {
        Ok(())
    } else {
        Err(Error::RateLimited { retry_after: RETRY_AFTER })
    }
}

/// The followers whose last report is kept, by name.
pub async fn followers(ctx: &Context) -> Result<Vec<Follower>, Error> {
    let reports = ctx.ephemeral.followers(ctx.now()).await?;
    let keys = ctx.node.keyring.keys();
    let current = jwks_hash(&keys);
    let follower = |report: FollowerReport| Follower {
        behind: report.reported_at.since(report.complete_at),
        seen_at: report.reported_at,
        has_current_keys: report.jwks == current,
        name: report.name,
    };
    let mut followers = reports.into_iter().map(follower).collect::<Vec<_>>();
    followers.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(followers)
}

/// Why a command cannot wait for followers.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WaitError {
    /// The reports cannot be read.
    #[error(transparent)]
    Reports(#[from] Error),
    /// The keyring cannot be read.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
}

/// Waits until every follower that reports has the current JWKS, for `timeout` at most. Returns their state at the end
/// of the wait.
pub async fn wait_for_keys(ctx: &Context, timeout: Duration) -> Result<Vec<Follower>, WaitError> {
    let give_up_at = ctx.node.clock.monotonic() + timeout;
    loop {
        // The keyring may have changed again.
        signing_keys::advance(ctx).await?;
        let followers = followers(ctx).await?;
        if followers.iter().all(|follower| follower.has_current_keys) || ctx.node.clock.monotonic() >= give_up_at {
            return Ok(followers);
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}
