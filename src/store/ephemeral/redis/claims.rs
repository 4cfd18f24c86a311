//! Claims: hashes with a digest, a payload, the attempts that are left, and the expiry.

use std::time::Duration;

use super::args::RedisArg;
use super::reply::ReplyReader;
use super::{Redis, ignore, reply, scripts};
use crate::clock::Timestamp;
use crate::store::ephemeral::{Claim, ClaimKey, RedeemRequest, Redemption};
use crate::store::{Operation, Result};

impl Redis {
    pub(super) async fn put_claim(&self, claim: &Claim, now: Timestamp) -> Result<()> {
        let key = self.keys.claim(&claim.key);
        let args: [&dyn RedisArg; 4] = [&&claim.digest[..], &&claim.payload[..], &claim.attempts, &claim.expires_at];
        self.runner.run(&scripts::STORE_CLAIM, &[&key], now, &args, ignore).await
    }

    pub(super) async fn redeem_claim(&self, request: RedeemRequest<'_>, now: Timestamp) -> Result<Redemption> {
        let RedeemRequest { key, digest, daily_attempts, on_match } = request;
        let (claim, day) = (self.keys.claim(key), self.keys.day(&key.subject));
        let args: [&dyn RedisArg; 3] = [&&digest[..], &daily_attempts, &on_match];
        let read = |reply| {
            let mut reply = ReplyReader::of(reply)?;
            Ok(match reply.text()?.as_str() {
                "redeemed" => Redemption::Redeemed(reply.bytes()?),
                "wrong" => Redemption::Wrong { attempts_left: u32::try_from(reply.number()?).unwrap_or(0) },
                "capped" => Redemption::Capped { retry_after: Duration::from_millis(reply.number()?.unsigned_abs()) },
                _ => Redemption::NotFound,
            })
        };
        self.runner.run(&scripts::REDEEM_CLAIM, &[&claim, &day], now, &args, read).await
    }

    pub(super) async fn read_claim(&self, key: &ClaimKey, now: Timestamp) -> Result<Option<Vec<u8>>> {
        let key = self.keys.claim(key);
        let read = |reply| {
            let mut claim = ReplyReader::of(reply)?;
            let (attempts, expires_at) = (claim.value()?, claim.value()?);
            if attempts.is_null() || reply::number(&attempts)? <= 0 || reply::number(&expires_at)? <= now.millis() {
                return Ok(None);
            }
            claim.bytes().map(Some)
        };
        self.runner.measure(Operation::PeekClaim, async { read(self.fields(&key, &["t", "e", "p"]).await?) }).await
    }
}
