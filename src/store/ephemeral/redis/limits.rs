//! Rate limits in Redis, by the generic cell rate algorithm, and the networks that a user signed in from.

use std::time::Duration;

use fred::types::Value;

use super::args::RedisArg;
use super::reply::{self, ReplyReader};
use super::{Redis, ignore, scripts};
use crate::clock::Timestamp;
use crate::id::UserId;
use crate::store::Result;
use crate::store::ephemeral::{
    Allowance, KNOWN_NETWORK_TTL, Limit, MAX_KNOWN_NETWORKS, NetworkPermit, RequesterAllowance, RequesterPermit,
};

impl Redis {
    pub(super) async fn take(&self, key: &str, limit: Limit, now: Timestamp) -> Result<Allowance> {
        let Some(interval) = interval(limit) else { return Ok(Allowance::Limited { retry_after: limit.per }) };
        let args: [&dyn RedisArg; 2] = [&interval, &limit.burst];
        self.runner.run(&scripts::TAKE_PERMIT, &[&self.keys.limit(key)], now, &args, read_allowance).await
    }

    pub(super) async fn take_of_requester(
        &self,
        permit: RequesterPermit<'_>,
        now: Timestamp,
    ) -> Result<RequesterAllowance> {
        let RequesterPermit { key, requester, by_requester, total } = permit;
        let Some(interval_of_requester) = interval(by_requester) else {
            return Ok(RequesterAllowance::Limited { retry_after: by_requester.per });
        };
        let Some(interval_of_total) = interval(total) else {
            return Ok(RequesterAllowance::TotalLimited { retry_after: total.per });
        };
        let (own, shared) = (self.keys.requester_limit(key, requester), self.keys.limit(key));
        let args: [&dyn RedisArg; 4] = [&interval_of_requester, &by_requester.burst, &interval_of_total, &total.burst];
        let read = |reply| {
            let mut waits = ReplyReader::of(reply)?;
            let [own, total] =
                [waits.number()?, waits.number()?].map(|wait| Duration::from_millis(wait.unsigned_abs()));
            Ok(if !own.is_zero() {
                RequesterAllowance::Limited { retry_after: own }
            } else if !total.is_zero() {
                RequesterAllowance::TotalLimited { retry_after: total }
            } else {
                RequesterAllowance::Allowed
            })
        };
        self.runner.run(&scripts::TAKE_REQUESTER_PERMIT, &[&own, &shared], now, &args, read).await
    }

    pub(super) async fn remember(&self, user: UserId, network: &str, now: Timestamp) -> Result<()> {
        let args: [&dyn RedisArg; 3] = [&network, &KNOWN_NETWORK_TTL, &MAX_KNOWN_NETWORKS];
        self.runner.run(&scripts::REMEMBER_NETWORK, &[&self.keys.networks(user)], now, &args, ignore).await
    }

    pub(super) async fn take_of_network(&self, permit: NetworkPermit<'_>, now: Timestamp) -> Result<bool> {
        let NetworkPermit { user, network, name, limit } = permit;
        let Some(interval) = interval(limit) else { return Ok(false) };
        let (networks, own) = (self.keys.networks(user), self.keys.network_limit(user, name, network));
        let args: [&dyn RedisArg; 4] = [&network, &KNOWN_NETWORK_TTL, &interval, &limit.burst];
        let read = |reply| Ok(reply::number(&reply)? == 1);
        self.runner.run(&scripts::TAKE_NETWORK_PERMIT, &[&networks, &own], now, &args, read).await
    }
}

/// The microseconds between two permits; `None` if the limit has none.
fn interval(Limit { burst, per }: Limit) -> Option<i64> {
    let interval = per.as_micros().checked_div(u128::from(burst))?;
    Some(i64::try_from(interval).unwrap_or(i64::MAX).max(1))
}

/// Reads the time to wait that a limit's script returns.
pub(super) fn read_allowance(wait: Value) -> Result<Allowance> {
    Ok(match reply::number(&wait)? {
        0 => Allowance::Allowed,
        wait => Allowance::Limited { retry_after: Duration::from_millis(wait.unsigned_abs()) },
    })
}
