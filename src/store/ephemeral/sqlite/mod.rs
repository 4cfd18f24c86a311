//! [`Ephemeral`] in the embedded store. Holds what the role promises, in SQL; knows nothing of the file.
//!
//! What has expired is absent by the caller's `now`; the rows go later, by a sweep (`sweep`).

mod claims;
mod limits;
mod revocations;
mod ring;
mod sessions;
mod sweep;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::Connection;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{
    Allowance, Claim, Cursor, Ended, Ephemeral, Limit, Opened, Redeem, Redemption, Revocation, RotateRequest, Rotation,
    SealedRing, Session, SignOutScope, Swap,
};
use crate::clock::Timestamp;
use crate::id::{SessionId, UserId};
use crate::store::Result;
use crate::store::sqlite::Engine;

/// How often a follower looks for what other processes have published. Its own process wakes it at once.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What expires, in an [`Engine`]'s file.
#[derive(Debug)]
pub struct SqliteEphemeral {
    engine: Arc<Engine>,
    published: watch::Sender<()>,
    sweeps: sweep::Schedule,
}

impl SqliteEphemeral {
    /// What expires, in that file.
    pub fn new(engine: Arc<Engine>) -> Self {
        Self { engine, published: watch::Sender::new(()), sweeps: sweep::Schedule::default() }
    }

    /// Writes, and has the file swept when it is time.
    async fn write<T, F>(&self, now: Timestamp, work: F) -> Result<T>
    where
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
        T: Send + 'static,
    {
        let written = self.engine.write(work).await;
        if let Some(sweep) = self.sweeps.due(now) {
            self.engine.write_behind(sweep);
        }
        written
    }

    /// Writes what publishes revocations, and wakes the followers. When the caller goes away in between, they
    /// hear of it as of another process's.
    async fn publish<T, F>(&self, now: Timestamp, work: F) -> Result<T>
    where
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
        T: Send + 'static,
    {
        let written = self.write(now, work).await?;
        self.published.send_replace(());
        Ok(written)
    }
}

#[async_trait]
impl Ephemeral for SqliteEphemeral {
    async fn open_session(
        &self,
        session: &Session,
        valid_after: Timestamp,
        most: u32,
        remember_until: Timestamp,
    ) -> Result<Opened> {
        let (session, now) = (session.clone(), session.used_at);
        let open = move |tx: &Connection| sessions::open(tx, &session, valid_after, most, remember_until);
        let opened = self.write(now, open).await?;
        if matches!(&opened, Opened::Opened { ended } if !ended.is_empty()) {
            self.published.send_replace(());
        }
        Ok(opened)
    }

    async fn rotate_refresh_token(&self, presented: RotateRequest, now: Timestamp) -> Result<Rotation> {
        let rotation = self.write(now, move |tx| sessions::present(tx, presented, now)).await?;
        if rotation == Rotation::Reused {
            self.published.send_replace(());
        }
        Ok(rotation)
    }

    async fn session(&self, user: UserId, session: SessionId, now: Timestamp) -> Result<Option<Session>> {
        self.engine.read(move |tx| sessions::one(tx, user, session, now)).await
    }

    async fn sessions(&self, user: UserId, now: Timestamp) -> Result<Vec<Session>> {
        let mut found = self.engine.read(move |tx| sessions::of_user(tx, user)).await?;
        let kept = found.len();
        found.retain(|session| session.expires_at() > now);
        if found.len() < kept {
            self.engine.write_behind(move |tx| sessions::drop_over(tx, user, now).map(drop));
        }
        Ok(found)
    }

    async fn set_profile(&self, user: UserId, profile: &str, now: Timestamp) -> Result<u64> {
        let profile = profile.to_owned();
        self.write(now, move |tx| sessions::set_profile(tx, user, &profile, now)).await
    }

    async fn end_sessions(
        &self,
        user: UserId,
        which: SignOutScope,
        valid_after: Option<Timestamp>,
        remember_until: Timestamp,
        now: Timestamp,
    ) -> Result<Ended> {
        self.publish(now, move |tx| sessions::end(tx, user, which, valid_after, remember_until, now)).await
    }

    async fn revoke(&self, revocation: &Revocation, now: Timestamp) -> Result<()> {
        let revocation = revocation.clone();
        self.publish(now, move |tx| revocations::publish(tx, &revocation, now)).await
    }

    async fn follow(&self, from: &Cursor, patience: Duration) -> Result<(Vec<Revocation>, Cursor)> {
        let deadline = Instant::now() + patience;
        let place = revocations::place(from);
        let mut published = self.published.subscribe();
        loop {
            // Marked before the look: what is published during it wakes the wait.
            published.mark_unchanged();
            let (found, place) = self.engine.read(move |tx| revocations::after(tx, place)).await?;
            if !found.is_empty() || Instant::now() >= deadline {
                return Ok((found, revocations::cursor(place)));
            }
            let look_again = deadline.min(Instant::now() + LOOK_EVERY);
            // Either end of the wait leads to the same look.
            let _ = tokio::time::timeout_at(look_again, published.changed()).await;
        }
    }

    async fn forget_revocations(&self, before: Timestamp) -> Result<()> {
        // In portions, so that callers who wait for the writer wait for one of them at the most.
        while self.engine.write(move |tx| revocations::forget(tx, before)).await? {}
        Ok(())
    }

    async fn floor(&self, now: Timestamp) -> Result<Timestamp> {
        match self.engine.read(revocations::floor).await? {
            Some(floor) => Ok(floor),
            None => self.write(now, move |tx| revocations::found_floor(tx, now)).await,
        }
    }

    async fn raise_floor(&self, now: Timestamp) -> Result<()> {
        self.publish(now, move |tx| revocations::raise_floor(tx, now)).await
    }

    async fn put_claim(&self, claim: &Claim, now: Timestamp) -> Result<()> {
        let claim = claim.clone();
        self.write(now, move |tx| claims::put(tx, &claim)).await
    }

    async fn redeem(&self, redeem: Redeem<'_>, now: Timestamp) -> Result<Redemption> {
        let attempt = claims::Attempt::from(redeem);
        self.write(now, move |tx| claims::redeem(tx, &attempt, now)).await
    }

    async fn claim(&self, subject: &str, purpose: &str, id: &str, now: Timestamp) -> Result<Option<Vec<u8>>> {
        let [subject, purpose, id] = [subject, purpose, id].map(str::to_owned);
        self.engine.read(move |tx| claims::peek(tx, &subject, &purpose, &id, now)).await
    }

    async fn drop_claim(&self, subject: &str, purpose: &str, id: &str) -> Result<()> {
        let [subject, purpose, id] = [subject, purpose, id].map(str::to_owned);
        self.engine.write(move |tx| claims::forget(tx, &subject, &purpose, &id)).await
    }

    async fn count_try(&self, subject: &str, daily_tries: u32, now: Timestamp) -> Result<Allowance> {
        let subject = subject.to_owned();
        self.write(now, move |tx| claims::count_try(tx, &subject, daily_tries, now)).await
    }

    async fn forgive_try(&self, subject: &str, now: Timestamp) -> Result<()> {
        let subject = subject.to_owned();
        self.write(now, move |tx| claims::forgive_try(tx, &subject, now)).await
    }

    async fn take(&self, key: &str, limit: Limit, now: Timestamp) -> Result<Allowance> {
        let key = key.to_owned();
        self.write(now, move |tx| limits::take(tx, &key, limit, now)).await
    }

    async fn ring(&self) -> Result<Option<SealedRing>> {
        self.engine.read(ring::read).await
    }

    async fn swap_ring(&self, expected: u64, bytes: &[u8], now: Timestamp) -> Result<Swap> {
        let bytes = bytes.to_vec();
        self.publish(now, move |tx| ring::swap(tx, expected, &bytes, now)).await
    }

    async fn check(&self) -> Result<Vec<String>> {
        self.engine.check_schema().await?;
        self.engine.check_writing().await?;
        Ok(self.engine.warnings())
    }
}
