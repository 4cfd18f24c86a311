//! The reports of the services that follow the published revocation feed. Knows no store.

use std::time::Duration;

use crate::clock::Timestamp;

/// The most followers whose reports are kept: about a megabyte.
pub const MAX_FOLLOWERS: usize = 4096;

/// How long a report counts. Followers report once a minute, so two reports may be lost.
pub const FOLLOWER_REPORT_TTL: Duration = Duration::from_secs(150);

/// A follower's report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FollowerReport {
    /// The follower's name, which it chose itself. A later report of the same name replaces this one.
    pub name: String,
    /// The sequence that the position belongs to. Has no spaces, like the two that follow.
    pub epoch: String,
    /// The position up to which it has applied the feed.
    pub position: String,
    /// Identifies the JWKS that it has.
    pub jwks: String,
    /// The moment up to which it knows all revocations, by the clock of the node that signed the frame.
    pub complete_at: Timestamp,
    /// When it reported this.
    pub reported_at: Timestamp,
}

impl FollowerReport {
    /// True if the report still counts.
    pub(super) fn counts_at(&self, now: Timestamp) -> bool {
        self.reported_at + FOLLOWER_REPORT_TTL > now
    }
}
