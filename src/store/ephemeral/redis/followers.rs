//! The reports of followers, as they are stored: reported at, complete at (milliseconds), epoch, position and JWKS, with a
//! space between two. A newer version may append more.

use fred::types::Value;

use super::reply::{self, ReplyReader};
use crate::clock::Timestamp;
use crate::store::Result;
use crate::store::ephemeral::FollowerReport;

pub(super) fn encode(report: &FollowerReport) -> String {
    let FollowerReport { epoch, position, jwks, complete_at, reported_at, .. } = report;
    format!("{} {} {epoch} {position} {jwks}", reported_at.millis(), complete_at.millis())
}

fn decode(name: String, text: &str) -> Option<FollowerReport> {
    let mut parts = text.split(' ');
    let mut part = || parts.next();
    let timestamp = |text: &str| text.parse().ok().map(Timestamp::from_millis);
    let (reported_at, complete_at) = (timestamp(part()?)?, timestamp(part()?)?);
    let (epoch, position, jwks) = (part()?.to_owned(), part()?.to_owned(), part()?.to_owned());
    Some(FollowerReport { name, epoch, position, jwks, complete_at, reported_at })
}

/// Reads the reply of `followers.lua`: names and reports in turn. Reports of another form are left out.
pub(super) fn read(reply: Value, now: Timestamp) -> Result<Vec<FollowerReport>> {
    let mut reports = Vec::new();
    let mut reply = ReplyReader::of(reply)?;
    while let Some(name) = reply.next() {
        let (name, report) = (reply::text(name)?, reply.text()?);
        reports.extend(decode(name, &report).filter(|report| report.counts_at(now)));
    }
    Ok(reports)
}
