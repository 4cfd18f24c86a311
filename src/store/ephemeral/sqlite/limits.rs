//! SQL of rate limits by the generic cell rate algorithm (ITU-T I.371). A row stores the time at which its bucket will
//! be full again, so taking a permit is one read and one write at any rate, and a row whose time has passed can be
//! deleted. Beside them, the networks that a user signed in from.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use super::super::{
    Allowance, KNOWN_NETWORK_TTL, Limit, MAX_KNOWN_NETWORKS, NetworkPermit, RequesterAllowance, RequesterPermit,
};
use super::sweep::hour_after;
use crate::clock::Timestamp;
use crate::id::UserId;

pub(super) fn take_permit(tx: &Connection, key: &str, limit: Limit, now: Timestamp) -> rusqlite::Result<Allowance> {
    if limit.burst == 0 {
        return Ok(Allowance::Limited { retry_after: limit.per });
    }
    // In microseconds, because milliseconds are too coarse for a thousand permits a second.
    let now_us = now.millis().saturating_mul(1000);
    let per = i64::try_from(limit.per.as_micros()).unwrap_or(i64::MAX);
    let row: Option<(i64, i64)> = tx
        .prepare_cached("SELECT full_at, sweep_on FROM limits WHERE key = ?1")?
        .query_row([key], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let full_at = row.map_or(now_us, |(full_at, _)| full_at.max(now_us)).saturating_add(per / i64::from(limit.burst));
    let excess = full_at.saturating_sub(now_us).saturating_sub(per);
    if excess > 0 {
        // Rounded up, so that a retry at that time is allowed.
        return Ok(Allowance::Limited { retry_after: Duration::from_millis((excess as u64).div_ceil(1000)) });
    }
    let hour = hour_after(Timestamp::from_millis(full_at / 1000));
    match row {
        // Within one hour the index by hour is not touched.
        Some((_, sweep_on)) if sweep_on == hour => {
            tx.prepare_cached("UPDATE limits SET full_at = ?2 WHERE key = ?1")?.execute(params![key, full_at])?;
        }
        _ => {
            tx.prepare_cached("INSERT OR REPLACE INTO limits (key, full_at, sweep_on) VALUES (?1, ?2, ?3)")?
                .execute(params![key, full_at, hour])?;
        }
    }
    Ok(Allowance::Allowed)
}

/// An owned [`RequesterPermit`], which can be sent to the writer's thread. No other limit has its keys, because they
/// contain a line break.
pub(super) struct OwnedRequesterPermit {
    own: String,
    by_requester: Limit,
    shared: String,
    total: Limit,
}

impl From<RequesterPermit<'_>> for OwnedRequesterPermit {
    fn from(RequesterPermit { key, requester, by_requester, total }: RequesterPermit<'_>) -> Self {
        Self { own: format!("{key}\n{requester}"), by_requester, shared: key.to_owned(), total }
    }
}

pub(super) fn take_requester_permit(
    tx: &Connection,
    permit: &OwnedRequesterPermit,
    now: Timestamp,
) -> rusqlite::Result<RequesterAllowance> {
    if let Allowance::Limited { retry_after } = take_permit(tx, &permit.own, permit.by_requester, now)? {
        return Ok(RequesterAllowance::Limited { retry_after });
    }
    Ok(match take_permit(tx, &permit.shared, permit.total, now)? {
        Allowance::Allowed => RequesterAllowance::Allowed,
        Allowance::Limited { retry_after } => RequesterAllowance::TotalLimited { retry_after },
    })
}

/// Returns true if the user has known networks and `network` is none of them.
pub(super) fn is_new_network(tx: &Connection, user: UserId, network: &str, now: Timestamp) -> rusqlite::Result<bool> {
    tx.prepare_cached(
        "SELECT COALESCE(MAX(network = ?2), 1) = 0 FROM known_networks WHERE user_id = ?1 AND expires_at > ?3",
    )?
    .query_row(params![user, network, now], |row| row.get(0))
}

pub(super) fn remember_network(tx: &Connection, user: UserId, network: &str, now: Timestamp) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT OR REPLACE INTO known_networks (user_id, network, expires_at) VALUES (?1, ?2, ?3)")?
        .execute(params![user, network, now + KNOWN_NETWORK_TTL])?;
    tx.prepare_cached(
        "DELETE FROM known_networks WHERE user_id = ?1 AND network IN
             (SELECT network FROM known_networks WHERE user_id = ?1
              ORDER BY expires_at DESC, network DESC LIMIT -1 OFFSET ?2)",
    )?
    .execute(params![user, MAX_KNOWN_NETWORKS])
    .map(drop)
}

pub(super) fn forget_networks(tx: &Connection, user: UserId) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM known_networks WHERE user_id = ?1")?.execute([user]).map(drop)
}

/// An owned [`NetworkPermit`], which can be sent to the writer's thread.
pub(super) struct OwnedNetworkPermit {
    user: UserId,
    network: String,
    key: String,
    limit: Limit,
}

impl From<NetworkPermit<'_>> for OwnedNetworkPermit {
    fn from(NetworkPermit { user, network, name, limit }: NetworkPermit<'_>) -> Self {
        Self { user, network: network.to_owned(), key: format!("{user}\n{name}\n{network}"), limit }
    }
}

pub(super) fn take_network_permit(
    tx: &Connection,
    permit: &OwnedNetworkPermit,
    now: Timestamp,
) -> rusqlite::Result<bool> {
    let is_known = tx
        .prepare_cached("SELECT 1 FROM known_networks WHERE user_id = ?1 AND network = ?2 AND expires_at > ?3")?
        .exists(params![permit.user, permit.network, now])?;
    Ok(is_known && take_permit(tx, &permit.key, permit.limit, now)? == Allowance::Allowed)
}
