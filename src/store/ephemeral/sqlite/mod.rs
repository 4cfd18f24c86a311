//! [`Ephemeral`] in the embedded SQLite file. Implements the role in SQL; knows nothing of the file itself.
//!
//! Expiry is decided by the caller's `now`. Expired rows are deleted later, by `sweep`.

mod claims;
mod events;
mod followers;
mod idempotency;
mod keyring;
mod limits;
mod nodes;
pub mod restored;
mod revocations;
mod sessions;
mod sweep;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::Connection;
use tokio::sync::watch;
use tokio::time::Instant;

use self::nodes::NodeFiles;
use super::{
    Allowance, Claim, ClaimKey, Cursor, Ended, Ephemeral, EventBounds, EventQuery, EventScope, FollowerReport,
    IdempotentRequest, KeyReservation, Limit, NetworkPermit, NewEvent, NodeReport, Opened, RedeemRequest, Redemption,
    RequesterAllowance, RequesterPermit, Revocation, RotateRequest, Rotation, SealedKeyring, Session, SessionClaims,
    SignOutScope, StoredEvent, StreamPage, SwapResult, Warning,
};
use crate::clock::Timestamp;
use crate::id::{SessionId, UserId};
use crate::store::sqlite::Engine;
use crate::store::{Observer, Operation, Result};

/// How often a waiting reader of the stream polls for what other processes published. Its own process wakes it
/// immediately.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The [`Ephemeral`] role in an [`Engine`]'s file.
#[derive(Debug)]
pub struct SqliteEphemeral {
    engine: Arc<Engine>,
    nodes: NodeFiles,
    /// Only this process's, because a file has one node.
    descriptions: Mutex<BTreeMap<String, String>>,
    published: watch::Sender<()>,
    sweep: sweep::Schedule,
}

impl SqliteEphemeral {
    /// Creates the store on an open file.
    pub fn new(engine: Arc<Engine>) -> Self {
        let nodes = NodeFiles::beside(engine.path());
        let (descriptions, published) = (Mutex::default(), watch::Sender::new(()));
        Self { engine, nodes, descriptions, published, sweep: sweep::Schedule::default() }
    }

    /// Reports every read and write to `observer`. The first observer stays.
    pub fn report_to(&self, observer: Arc<dyn Observer>) {
        self.engine.report_to(observer);
    }

    /// Runs a write, and schedules a sweep if one is due.
    async fn write<T, F>(&self, operation: Operation, now: Timestamp, work: F) -> Result<T>
    where
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
        T: Send + 'static,
    {
        let result = self.engine.write(operation, work).await;
        if let Some(sweep) = self.sweep.take_due(now) {
            self.engine.write_in_background(sweep);
        }
        result
    }

    /// Runs a write that publishes revocations, and wakes the readers of the stream. If the caller stops waiting in
    /// between, they find the revocations when they poll.
    async fn publish<T, F>(&self, operation: Operation, now: Timestamp, work: F) -> Result<T>
    where
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
        T: Send + 'static,
    {
        let result = self.write(operation, now, work).await?;
        self.published.send_replace(());
        Ok(result)
    }
}

#[async_trait]
impl Ephemeral for SqliteEphemeral {
    async fn open_session(
        &self,
        session: &Session,
        network: &str,
        valid_after: Timestamp,
        max_sessions: u32,
        revocation_expires_at: Timestamp,
    ) -> Result<Opened> {
        let (session, network, now) = (session.clone(), network.to_owned(), session.used_at);
        let open = move |tx: &Connection| {
            sessions::open(tx, &session, &network, valid_after, max_sessions, revocation_expires_at)
        };
        let opened = self.write(Operation::OpenSession, now, open).await?;
        if matches!(&opened, Opened::Opened { ended, .. } if !ended.is_empty()) {
            self.published.send_replace(());
        }
        Ok(opened)
    }

    async fn rotate_refresh_token(&self, request: RotateRequest, now: Timestamp) -> Result<Rotation> {
        let rotation =
            self.write(Operation::RotateRefreshToken, now, move |tx| sessions::rotate(tx, request, now)).await?;
        if rotation == Rotation::Reused {
            self.published.send_replace(());
        }
        Ok(rotation)
    }

    async fn session(&self, user: UserId, session: SessionId, now: Timestamp) -> Result<Option<Session>> {
        self.engine.read(Operation::Session, move |tx| sessions::find(tx, user, session, now)).await
    }

    async fn sessions(&self, user: UserId, now: Timestamp) -> Result<Vec<Session>> {
        let mut sessions = self.engine.read(Operation::Sessions, move |tx| sessions::list(tx, user)).await?;
        let total = sessions.len();
        sessions.retain(|session| session.expires_at() > now);
        if sessions.len() < total {
            self.engine.write_in_background(move |tx| sessions::delete_expired(tx, user, now).map(drop));
        }
        Ok(sessions)
    }

    async fn set_claims(&self, user: UserId, claims: &SessionClaims, now: Timestamp) -> Result<u64> {
        let claims = claims.clone();
        self.write(Operation::SetClaims, now, move |tx| sessions::set_claims(tx, user, &claims, now)).await
    }

    async fn end_sessions(
        &self,
        user: UserId,
        scope: SignOutScope,
        valid_after: Option<Timestamp>,
        revocation_expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<Ended> {
        self.publish(Operation::EndSessions, now, move |tx| {
            sessions::end(tx, user, scope, valid_after, revocation_expires_at, now)
        })
        .await
    }

    async fn revoke(&self, revocation: &Revocation, now: Timestamp) -> Result<()> {
        let revocation = revocation.clone();
        self.publish(Operation::Revoke, now, move |tx| revocations::publish(tx, &revocation, now)).await
    }

    async fn read_stream(&self, cursor: &Cursor, max_wait: Duration) -> Result<StreamPage> {
        let deadline = Instant::now() + max_wait;
        let position = revocations::position(cursor);
        let mut published = self.published.subscribe();
        loop {
            // Marked before the read, so that a revocation published during it ends the wait below.
            published.mark_unchanged();
            let page = self.engine.read(Operation::ReadStream, move |tx| revocations::read_after(tx, position)).await?;
            if page.cursor != revocations::cursor(position) || Instant::now() >= deadline {
                return Ok(page);
            }
            let next_poll = deadline.min(Instant::now() + POLL_INTERVAL);
            // However the wait ends, the next step is to read.
            let _ = tokio::time::timeout_at(next_poll, published.changed()).await;
        }
    }

    async fn forget_revocations(&self, before: Timestamp) -> Result<()> {
        // In batches, so that a caller that waits for the writer waits for at most one of them.
        while self.engine.write(Operation::ForgetRevocations, move |tx| revocations::forget_batch(tx, before)).await? {}
        Ok(())
    }

    async fn global_not_before(&self, now: Timestamp) -> Result<Timestamp> {
        match self.engine.read(Operation::GlobalNotBefore, revocations::not_before).await? {
            Some(not_before) => Ok(not_before),
            None => {
                self.write(Operation::GlobalNotBefore, now, move |tx| revocations::initialize_not_before(tx, now)).await
            }
        }
    }

    async fn raise_global_not_before(&self, now: Timestamp) -> Result<()> {
        self.publish(Operation::RaiseGlobalNotBefore, now, move |tx| revocations::raise_not_before(tx, now)).await
    }

    async fn newest_revocation(&self) -> Result<Cursor> {
        self.engine.read(Operation::NewestRevocation, revocations::newest).await.map(revocations::cursor)
    }

    async fn report_node(&self, node: &str, applied: &Cursor) -> Result<()> {
        self.nodes.report(node, revocations::position(applied))
    }

    async fn withdraw_node(&self, node: &str) -> Result<()> {
        self.nodes.withdraw(node)
    }

    async fn nodes(&self, newest: &Cursor) -> Result<Vec<NodeReport>> {
        self.nodes.list(revocations::position(newest))
    }

    async fn describe_node(&self, node: &str, text: &str) -> Result<()> {
        let mut descriptions = self.descriptions.lock().unwrap_or_else(PoisonError::into_inner);
        descriptions.insert(node.to_owned(), text.to_owned());
        Ok(())
    }

    async fn node_descriptions(&self) -> Result<Vec<(String, String)>> {
        let descriptions = self.descriptions.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(descriptions.iter().map(|(node, text)| (node.clone(), text.clone())).collect())
    }

    async fn report_follower(&self, report: &FollowerReport) -> Result<bool> {
        let (report, now) = (report.clone(), report.reported_at);
        self.write(Operation::ReportFollower, now, move |tx| followers::report(tx, &report)).await
    }

    async fn followers(&self, now: Timestamp) -> Result<Vec<FollowerReport>> {
        self.engine.read(Operation::Followers, move |tx| followers::list(tx, now)).await
    }

    async fn store_claim(&self, claim: &Claim, now: Timestamp) -> Result<()> {
        let claim = claim.clone();
        self.write(Operation::StoreClaim, now, move |tx| claims::store(tx, &claim)).await
    }

    async fn redeem(&self, request: RedeemRequest<'_>, now: Timestamp) -> Result<Redemption> {
        let RedeemRequest { key, digest, daily_attempts, on_match } = request;
        let key = key.clone();
        self.write(Operation::Redeem, now, move |tx| {
            claims::redeem(tx, RedeemRequest { key: &key, digest, daily_attempts, on_match }, now)
        })
        .await
    }

    async fn release_claim(&self, key: &ClaimKey, digest: [u8; 32], now: Timestamp) -> Result<()> {
        let key = key.clone();
        self.write(Operation::ReleaseClaim, now, move |tx| claims::release(tx, &key, digest)).await
    }

    async fn peek_claim(&self, key: &ClaimKey, now: Timestamp) -> Result<Option<Vec<u8>>> {
        let key = key.clone();
        self.engine.read(Operation::PeekClaim, move |tx| claims::peek(tx, &key, now)).await
    }

    async fn delete_claim(&self, key: &ClaimKey) -> Result<()> {
        let key = key.clone();
        self.engine.write(Operation::DeleteClaim, move |tx| claims::delete(tx, &key)).await
    }

    async fn count_attempt(&self, subject: &str, daily_attempts: u32, now: Timestamp) -> Result<Allowance> {
        let subject = subject.to_owned();
        let count = move |tx: &Connection| claims::count_attempt(tx, &subject, daily_attempts, now);
        self.write(Operation::CountAttempt, now, count).await
    }

    async fn refund_attempt(&self, subject: &str, now: Timestamp) -> Result<()> {
        let subject = subject.to_owned();
        self.write(Operation::RefundAttempt, now, move |tx| claims::refund_attempt(tx, &subject, now)).await
    }

    async fn take_permit(&self, key: &str, limit: Limit, now: Timestamp) -> Result<Allowance> {
        let key = key.to_owned();
        self.write(Operation::TakePermit, now, move |tx| limits::take_permit(tx, &key, limit, now)).await
    }

    async fn take_requester_permit(&self, permit: RequesterPermit<'_>, now: Timestamp) -> Result<RequesterAllowance> {
        let permit = limits::OwnedRequesterPermit::from(permit);
        let take = move |tx: &Connection| limits::take_requester_permit(tx, &permit, now);
        self.write(Operation::TakeRequesterPermit, now, take).await
    }

    async fn remember_network(&self, user: UserId, network: &str, now: Timestamp) -> Result<()> {
        let network = network.to_owned();
        let remember = move |tx: &Connection| limits::remember_network(tx, user, &network, now);
        self.write(Operation::RememberNetwork, now, remember).await
    }

    async fn take_network_permit(&self, permit: NetworkPermit<'_>, now: Timestamp) -> Result<bool> {
        let permit = limits::OwnedNetworkPermit::from(permit);
        let take = move |tx: &Connection| limits::take_network_permit(tx, &permit, now);
        self.write(Operation::TakeNetworkPermit, now, take).await
    }

    async fn reserve_idempotency_key(
        &self,
        request: IdempotentRequest<'_>,
        reserved_until: Timestamp,
        now: Timestamp,
    ) -> Result<KeyReservation> {
        let (key, fingerprint) = (request.key.to_owned(), request.fingerprint);
        let reserve = move |tx: &Connection| idempotency::reserve(tx, &key, fingerprint, reserved_until, now);
        self.write(Operation::ReserveIdempotencyKey, now, reserve).await
    }

    async fn complete_idempotency_key(
        &self,
        request: IdempotentRequest<'_>,
        response: &[u8],
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<()> {
        let (key, fingerprint, response) = (request.key.to_owned(), request.fingerprint, response.to_vec());
        let complete = move |tx: &Connection| idempotency::complete(tx, &key, fingerprint, &response, expires_at);
        self.write(Operation::CompleteIdempotencyKey, now, complete).await
    }

    async fn release_idempotency_key(&self, request: IdempotentRequest<'_>, now: Timestamp) -> Result<()> {
        let (key, fingerprint) = (request.key.to_owned(), request.fingerprint);
        let release = move |tx: &Connection| idempotency::release(tx, &key, fingerprint);
        self.write(Operation::ReleaseIdempotencyKey, now, release).await
    }

    async fn keyring(&self) -> Result<Option<SealedKeyring>> {
        self.engine.read(Operation::Keyring, keyring::read).await
    }

    async fn swap_keyring(&self, expected: u64, bytes: &[u8], now: Timestamp) -> Result<SwapResult> {
        let bytes = bytes.to_vec();
        self.publish(Operation::SwapKeyring, now, move |tx| keyring::swap(tx, expected, &bytes, now)).await
    }

    async fn append_events(
        &self,
        scope: EventScope,
        events: &[NewEvent<'_>],
        bounds: EventBounds,
        now: Timestamp,
    ) -> Result<()> {
        let events: Vec<_> = events.iter().map(|event| (event.class, event.text.to_owned())).collect();
        let append = move |tx: &Connection| events::append(tx, scope, &events, bounds, now);
        self.write(Operation::AppendEvents, now, append).await
    }

    async fn read_events(&self, query: EventQuery) -> Result<Vec<StoredEvent>> {
        self.engine.read(Operation::ReadEvents, move |tx| events::read(tx, query)).await
    }

    async fn check(&self) -> Result<Vec<Warning>> {
        self.engine.check_schema(Operation::CheckEphemeral).await?;
        self.engine.check_writable(Operation::CheckEphemeral).await?;
        Ok(self.engine.warnings().into_iter().map(Warning::Risk).collect())
    }
}
