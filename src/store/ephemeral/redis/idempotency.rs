//! Idempotency keys: one script for each step.

use super::args::RedisArg;
use super::reply::ReplyReader;
use super::scripts::{COMPLETE_IDEMPOTENCY_KEY, RELEASE_IDEMPOTENCY_KEY, RESERVE_IDEMPOTENCY_KEY};
use super::{Redis, ignore};
use crate::clock::Timestamp;
use crate::store::Result;
use crate::store::ephemeral::{IdempotentRequest, KeyReservation};

impl Redis {
    pub(super) async fn reserve_key(
        &self,
        IdempotentRequest { key, fingerprint }: IdempotentRequest<'_>,
        reserved_until: Timestamp,
        now: Timestamp,
    ) -> Result<KeyReservation> {
        let args: [&dyn RedisArg; 2] = [&&fingerprint[..], &reserved_until];
        let read = |reply| {
            let mut reply = ReplyReader::of(reply)?;
            Ok(match reply.text()?.as_str() {
                "reserved" => KeyReservation::Reserved,
                "completed" => KeyReservation::Completed(reply.bytes()?),
                "in_progress" => KeyReservation::InProgress,
                _ => KeyReservation::OtherRequest,
            })
        };
        self.runner.run(&RESERVE_IDEMPOTENCY_KEY, &[&self.keys.idempotency(key)], now, &args, read).await
    }

    pub(super) async fn complete_key(
        &self,
        IdempotentRequest { key, fingerprint }: IdempotentRequest<'_>,
        response: &[u8],
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<()> {
        let args: [&dyn RedisArg; 3] = [&&fingerprint[..], &response, &expires_at];
        self.runner.run(&COMPLETE_IDEMPOTENCY_KEY, &[&self.keys.idempotency(key)], now, &args, ignore).await
    }

    pub(super) async fn release_key(&self, request: IdempotentRequest<'_>, now: Timestamp) -> Result<()> {
        let (key, args) = (self.keys.idempotency(request.key), &request.fingerprint[..]);
        self.runner.run(&RELEASE_IDEMPOTENCY_KEY, &[&key], now, &[&args], ignore).await
    }
}
