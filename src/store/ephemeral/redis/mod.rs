//! What expires, in Redis: standalone, behind Sentinel, or a Cluster.
//!
//! Each method is one script in one slot, one round trip; ending, reuse and opening one session too many take a second one,
//! since revocations are in the fleet's slot, and a third that tidies up. Everything in flight shares one connection and is pipelined. Knows
//! nothing of tokens, nor of what a profile says.
//!
//! **Failover.** Replication is asynchronous and WAIT is not used: it would cost a round trip more on each refresh and
//! still promise nothing. A server that dies may take the last moments of acknowledged writes with it. A rotation lost
//! so is healed by [`present`](Ephemeral::present) (a token *ahead* of the store is in force). A session opened in those
//! moments is absent: sign in again, and its access tokens are good until they expire or one of its own tokens ends it. A session ended
//! in those moments comes back in Redis. What must not come back (that of a user who was disabled, was deleted or has another
//! password, and what was made of an API key that was deactivated) is known from the store of what lasts, which each node reads at its
//! start, each minute and whenever Redis was away: see [`endings`](crate::auth::revocation::durable). A profile replaced in those
//! moments is the old one again, until the next change or sign-in. What one's own sign-out ended is
//! refused by all nodes that had read its revocation for as long as they remember it, and is to be ended again after that.
//! Until a Cluster has promoted a replica in the place of a dead
//! master, all of it is unavailable, not one slot in three: the driver takes a cluster whole or not at all.
//!
//! **Frozen, full, gone.** Every call ends within the time-out, or at once where there is no connection. What cannot be
//! done is [`Unavailable`](crate::store::Error::Unavailable) and is never done by half: a script's first write is the
//! one that a full memory refuses.

mod args;
mod connection;
mod keys;
mod reply;
mod reuse_guard;
mod revocations;
mod scripts;
mod settings;
mod warnings;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use fred::error::ErrorKind;
use fred::interfaces::ClientLike;
use fred::types::{CustomCommand, Value};

pub use self::settings::ConnectError;

use self::keys::Keys;
use self::reply::ReplyReader;
use self::revocations::Follower;
use self::scripts::Runner;
use self::settings::Settings;
use super::{
    Allowance, Claim, Cursor, Ended, Ephemeral, Limit, Opened, Redeem, Redemption, Revocation, RotateRequest, Rotation,
    SealedRing, Session, SignOutScope, Swap, Target,
};
use crate::clock::Timestamp;
use crate::config;
use crate::id::{SessionId, UserId};
use crate::store::Result;
use crate::store::ephemeral::redis::args::RedisArg;
use crate::store::ephemeral::redis::connection::Link;
use crate::store::ephemeral::redis::reuse_guard::ReuseGuard;

/// The store. Its connections live on the runtime on which it was made, so each worker makes its own.
#[derive(Clone)]
pub struct Redis {
    keys: Keys,
    runner: Arc<Runner>,
    follower: Arc<Follower>,
}

impl Redis {
    /// Connects, once: what fails here is for the operator. From then on a lost connection is opened again by itself.
    pub async fn connect(config: &config::Redis) -> std::result::Result<Self, ConnectError> {
        let settings = Settings::read(config)?;
        let link = Link::open(settings.clone()).await.map_err(|error| match error.kind() {
            ErrorKind::Auth => ConnectError::Credentials(error.details().to_owned()),
            _ => ConnectError::Unavailable(scripts::from_driver(&error)),
        })?;
        let keys = Keys::new(&config.prefix);
        let follower = Follower::new(keys.fleet("revocations"), keys.fleet("born"), settings);
        Ok(Self { keys, runner: Arc::new(Runner::new(link, config.timeout)), follower: Arc::new(follower) })
    }

    fn revocations(&self) -> [String; 2] {
        [self.keys.fleet("revocations"), self.keys.fleet("born")]
    }

    async fn publish(&self, revocations: &[Revocation], now: Timestamp) -> Result<()> {
        let targets: Vec<_> = revocations.iter().map(|revocation| revocations::written(&revocation.target)).collect();
        let entries = targets.iter().zip(revocations);
        let args: Vec<&dyn RedisArg> =
            entries.flat_map(|(target, revocation)| [target as _, &revocation.until as _]).collect();
        let [stream, born] = self.revocations();
        self.runner.run(&scripts::PUBLISH, &[&stream, &born], now, &args).await?;
        Ok(())
    }

    /// Publishes what ends sessions, and then takes them away.
    async fn publish_ended(&self, user: UserId, ids: &[SessionId], ended: &[Revocation], now: Timestamp) -> Result<()> {
        if !ended.is_empty() {
            self.publish(ended, now).await?;
        }
        if !ids.is_empty() {
            self.bury(user, ids, now).await;
        }
        Ok(())
    }

    /// Presents a refresh token, for somebody who waits for the answer.
    async fn rotation(&self, presented: RotateRequest, now: Timestamp) -> Result<Rotation> {
        let RotateRequest { user, session, counter, grace, floor, .. } = presented;
        let (record, index) = (self.keys.session(user, session), self.keys.index(user));
        let next = presented.rotate.then(|| counter.saturating_add(1));
        let args: [&dyn RedisArg; 4] = [&counter, &next, &grace, &floor];
        let answer = self.runner.run(&scripts::PRESENT, &[&record, &index], now, &args).await?;
        let mut answer = ReplyReader::of(answer)?;
        Ok(match answer.value()?.as_str().as_deref().unwrap_or_default() {
            "rotated" => Rotation::Rotated(answer.standing(user, session)?),
            "repeated" => Rotation::Repeated(answer.standing(user, session)?),
            "reused" => {
                self.publish_reuse(presented, now).await?;
                Rotation::Reused
            }
            _ => Rotation::Absent,
        })
    }

    /// Fields of a hash.
    async fn fields(&self, key: &str, fields: &[&str]) -> Result<Value> {
        let words = std::iter::once(key).chain(fields.iter().copied()).map(Value::from).collect();
        let command = CustomCommand::new_static("HMGET", key, false);
        self.runner.ask(async |client| client.custom::<Value, _>(command, words).await).await
    }

    /// Takes away sessions whose revocations are out. They are over whether this succeeds or not, and have TTLs.
    async fn bury(&self, user: UserId, ids: &[SessionId], now: Timestamp) {
        let ids: Vec<&dyn RedisArg> = ids.iter().map(|id| id as _).collect();
        let (index, sessions) = (self.keys.index(user), self.keys.sessions(user));
        if let Err(error) = self.runner.run(&scripts::BURY, &[&index, &sessions], now, &ids).await {
            tracing::debug!(%error, "ended sessions are left to expire");
        }
    }
}

/// Ids of sessions that were ended, as a script gives them, and their revocations.
fn ended(ids: ReplyReader, until: Timestamp) -> Result<(Vec<SessionId>, Vec<Revocation>)> {
    let read = |ended| {
        let id = reply::session_id(ended)?;
        Ok((id, Revocation { target: Target::Session(id), until }))
    };
    ids.map(read).collect()
}

/// After how long to come back, as a limit's script says it.
fn allowance(wait: &Value) -> Result<Allowance> {
    Ok(match reply::number(wait)? {
        0 => Allowance::Allowed,
        wait => Allowance::Limited { retry_after: Duration::from_millis(wait.unsigned_abs()) },
    })
}

#[async_trait]
impl Ephemeral for Redis {
    async fn open_session(
        &self,
        session: &Session,
        valid_after: Timestamp,
        most: u32,
        remember_until: Timestamp,
    ) -> Result<Opened> {
        let Session { id, user, used_at: now, .. } = *session;
        let (record, index, mark, sessions) =
            (self.keys.session(user, id), self.keys.index(user), self.keys.mark(user), self.keys.sessions(user));
        let args: [&dyn RedisArg; 13] = [
            &valid_after,
            &id,
            &session.counter,
            &session.opened_at,
            &session.used_at,
            &session.rotated_at,
            &session.idle,
            &session.ends_at,
            &session.dialect,
            &session.address,
            &session.agent,
            &session.profile,
            &most,
        ];
        let keys: [&dyn RedisArg; 4] = [&record, &index, &mark, &sessions];
        let mut answer = ReplyReader::of(self.runner.run(&scripts::OPEN, &keys, now, &args).await?)?;
        if answer.number()? == 0 {
            return Ok(Opened::Superseded);
        }
        let (ids, ended) = ended(answer, remember_until)?;
        if let Err(error) = self.publish_ended(user, &ids, &ended, now).await {
            // Nobody gets tokens of it, and it must not push another one out.
            self.bury(user, &[id], now).await;
            return Err(error);
        }
        Ok(Opened::Opened { ended })
    }

    async fn rotate_refresh_token(&self, presented: RotateRequest, now: Timestamp) -> Result<Rotation> {
        let witness = ReuseGuard::of(self, presented, now);
        let rotation = self.rotation(presented, now).await;
        witness.leave();
        rotation
    }

    async fn session(&self, user: UserId, session: SessionId, now: Timestamp) -> Result<Option<Session>> {
        const FIELDS: [&str; 11] = ["c", "o", "u", "r", "i", "e", "d", "a", "g", "p", "x"];
        let key = self.keys.session(user, session);
        match self.fields(&key, &FIELDS).await? {
            Value::Array(fields) if fields.len() == FIELDS.len() && !fields[0].is_null() && fields[10].is_null() => {
                let found = ReplyReader::of(Value::Array(fields))?.session(user, session)?;
                Ok((found.expires_at() > now).then_some(found))
            }
            _ => Ok(None),
        }
    }

    async fn sessions(&self, user: UserId, now: Timestamp) -> Result<Vec<Session>> {
        let (index, of_user) = (self.keys.index(user), self.keys.sessions(user));
        let mut sessions = Vec::new();
        for found in ReplyReader::of(self.runner.run(&scripts::LIST, &[&index, &of_user], now, &[]).await?)? {
            let mut found = ReplyReader::of(found)?;
            let id = reply::session_id(found.value()?)?;
            sessions.push(found.session(user, id)?);
        }
        sessions.sort_by_key(|session| std::cmp::Reverse((session.opened_at, session.id)));
        Ok(sessions)
    }

    async fn set_profile(&self, user: UserId, profile: &str, now: Timestamp) -> Result<u64> {
        let (index, sessions) = (self.keys.index(user), self.keys.sessions(user));
        let open = self.runner.run(&scripts::SET_PROFILE, &[&index, &sessions], now, &[&profile]).await?;
        reply::number(&open).map(i64::unsigned_abs)
    }

    async fn end_sessions(
        &self,
        user: UserId,
        which: SignOutScope,
        valid_after: Option<Timestamp>,
        remember_until: Timestamp,
        now: Timestamp,
    ) -> Result<Ended> {
        let (word, id) = match which {
            SignOutScope::One(id) => ("one", Some(id)),
            SignOutScope::Others(id) => ("others", Some(id)),
            SignOutScope::All => ("all", None),
        };
        let (index, sessions, mark) = (self.keys.index(user), self.keys.sessions(user), self.keys.mark(user));
        let keys: [&dyn RedisArg; 3] = [&index, &sessions, &mark];
        let mut answer =
            ReplyReader::of(self.runner.run(&scripts::END, &keys, now, &[&word, &id, &valid_after]).await?)?;
        // A node whose clock is ahead has opened sessions or made tokens that are newer than `now`; they are ended too.
        let before = Timestamp::from_millis(answer.number()?);
        let (ids, mut revocations) = ended(answer, remember_until)?;
        if which == SignOutScope::All {
            revocations = vec![Revocation { target: Target::User { user, before }, until: remember_until }];
        }
        let count = ids.len() as u64;
        self.publish_ended(user, &ids, &revocations, now).await?;
        Ok(Ended { count, revocations })
    }

    async fn revoke(&self, revocation: &Revocation, now: Timestamp) -> Result<()> {
        self.publish(std::slice::from_ref(revocation), now).await
    }

    /// As the trait says, but for one case: where Redis has lost its stream or the end of it (flushed, or failed over to a
    /// replica that was behind), the follower is told [`Target::Floor`] and [`Target::Ring`], for both may have
    /// gone with it, and starts over with the oldest revocation there is, which it may have seen.
    async fn follow(&self, from: &Cursor, patience: Duration) -> Result<(Vec<Revocation>, Cursor)> {
        self.follower.follow(&self.runner, from, patience).await
    }

    async fn forget_revocations(&self, before: Timestamp) -> Result<()> {
        let [stream, born] = self.revocations();
        self.runner.run(&scripts::FORGET, &[&stream, &born], before, &[]).await?;
        Ok(())
    }

    async fn floor(&self, now: Timestamp) -> Result<Timestamp> {
        let [stream, born] = self.revocations();
        let floor = self.keys.fleet("floor");
        let floor = self.runner.run(&scripts::FLOOR, &[&floor, &stream, &born], now, &[]).await?;
        reply::number(&floor).map(Timestamp::from_millis)
    }

    async fn raise_floor(&self, now: Timestamp) -> Result<()> {
        let [stream, born] = self.revocations();
        let floor = self.keys.fleet("floor");
        self.runner.run(&scripts::RAISE_FLOOR, &[&floor, &stream, &born], now, &[]).await?;
        Ok(())
    }

    async fn put_claim(&self, claim: &Claim, now: Timestamp) -> Result<()> {
        let key = self.keys.claim(&claim.subject, claim.purpose, &claim.id);
        let args: [&dyn RedisArg; 4] = [&&claim.digest[..], &&claim.payload[..], &claim.tries, &claim.expires_at];
        self.runner.run(&scripts::PUT_CLAIM, &[&key], now, &args).await?;
        Ok(())
    }

    async fn redeem(&self, redeem: Redeem<'_>, now: Timestamp) -> Result<Redemption> {
        let Redeem { subject, purpose, id, digest, daily_tries, spend } = redeem;
        let (claim, day) = (self.keys.claim(subject, purpose, id), self.keys.day(subject));
        let args: [&dyn RedisArg; 3] = [&&digest[..], &daily_tries, &spend];
        let mut answer = ReplyReader::of(self.runner.run(&scripts::REDEEM, &[&claim, &day], now, &args).await?)?;
        Ok(match answer.text()?.as_str() {
            "redeemed" => Redemption::Redeemed(answer.bytes()?),
            "wrong" => Redemption::Wrong { tries_left: u32::try_from(answer.number()?).unwrap_or(0) },
            "capped" => Redemption::Capped { retry_after: Duration::from_millis(answer.number()?.unsigned_abs()) },
            _ => Redemption::Absent,
        })
    }

    async fn claim(&self, subject: &str, purpose: &str, id: &str, now: Timestamp) -> Result<Option<Vec<u8>>> {
        let mut found = ReplyReader::of(self.fields(&self.keys.claim(subject, purpose, id), &["t", "e", "p"]).await?)?;
        let (tries, expires_at) = (found.value()?, found.value()?);
        if tries.is_null() || reply::number(&tries)? <= 0 || reply::number(&expires_at)? <= now.millis() {
            return Ok(None);
        }
        found.bytes().map(Some)
    }

    async fn drop_claim(&self, subject: &str, purpose: &str, id: &str) -> Result<()> {
        let key = self.keys.claim(subject, purpose, id);
        self.runner.run(&scripts::DROP_CLAIM, &[&key], Timestamp::default(), &[]).await?;
        Ok(())
    }

    async fn count_try(&self, subject: &str, daily_tries: u32, now: Timestamp) -> Result<Allowance> {
        let day = self.keys.day(subject);
        let wait = self.runner.run(&scripts::COUNT_TRY, &[&day], now, &[&daily_tries]).await?;
        allowance(&wait)
    }

    async fn forgive_try(&self, subject: &str, now: Timestamp) -> Result<()> {
        self.runner.run(&scripts::FORGIVE_TRY, &[&self.keys.day(subject)], now, &[]).await?;
        Ok(())
    }

    async fn take(&self, key: &str, limit: Limit, now: Timestamp) -> Result<Allowance> {
        let Limit { burst, per } = limit;
        if burst == 0 {
            return Ok(Allowance::Limited { retry_after: per });
        }
        let apart = i64::try_from(per.as_micros() / u128::from(burst)).unwrap_or(i64::MAX).max(1);
        let wait = self.runner.run(&scripts::TAKE, &[&self.keys.limit(key)], now, &[&apart, &burst]).await?;
        allowance(&wait)
    }

    async fn ring(&self) -> Result<Option<SealedRing>> {
        let mut parts = ReplyReader::of(self.fields(&self.keys.fleet("ring"), &["v", "b"]).await?)?;
        match parts.value()? {
            Value::Null => Ok(None),
            version => {
                let version = reply::number(&version)?.unsigned_abs();
                Ok(Some(SealedRing { version, bytes: parts.bytes()? }))
            }
        }
    }

    async fn swap_ring(&self, expected: u64, bytes: &[u8], now: Timestamp) -> Result<Swap> {
        let [stream, born] = self.revocations();
        let ring = self.keys.fleet("ring");
        let swapped = self.runner.run(&scripts::SWAP_RING, &[&ring, &stream, &born], now, &[&expected, &bytes]).await?;
        Ok(if reply::number(&swapped)? == 1 { Swap::Swapped } else { Swap::Conflict })
    }

    async fn check(&self) -> Result<Vec<String>> {
        let warnings = warnings::of_all(&self.runner).await?;
        // An answer to PING would not tell that writes are refused.
        let key = self.keys.fleet("check");
        let written = self
            .runner
            .ask(async |client| {
                let words = [key.as_str(), "1", "PX", "1000"].map(Value::from).into();
                client.custom::<Value, _>(CustomCommand::new_static("SET", key.as_str(), false), words).await
            })
            .await;
        written?;
        Ok(warnings)
    }
}
