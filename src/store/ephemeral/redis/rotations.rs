//! Exchanges refresh tokens in batches: the rotations of requests that arrive together are one call of a script, hence
//! one write, one read and one reply.
//!
//! The first rotation of a batch spawns the task that sends it. A runtime polls that task after those that are ready
//! already, so the requests that a worker has read by then are in the batch, and a single one is sent immediately.
//! Nothing waits for a timer or for an earlier reply.
//!
//! The task does not end with its callers. A caller that stops waiting does not affect the others. If its token was
//! reused, the reuse is published nevertheless.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use fred::types::Value;
use tokio::sync::oneshot;

use super::Redis;
use super::args::RedisArg;
use super::reply::ReplyReader;
use super::scripts::{ROTATE_REFRESH_TOKENS, corrupt, disconnected, is_cross_slot};
use crate::clock::Timestamp;
use crate::store::Result;
use crate::store::ephemeral::{Revocation, RotateRequest, Rotation, Target};

/// The largest number of rotations in one call, which keeps Redis from everything else for a quarter of a millisecond.
/// In a batch of 14 a rotation takes 0.60 of the time that it takes alone, and in one of 28 0.56.
const MAX_BATCH: usize = 32;

/// A rotation whose caller waits.
struct Waiting {
    request: RotateRequest,
    now: Timestamp,
    caller: oneshot::Sender<Result<Rotation>>,
}

/// The batches that are about to be sent.
pub(super) struct Batcher {
    /// The oldest first. A task was spawned for each, and takes the oldest.
    batches: Mutex<VecDeque<Vec<Waiting>>>,
    /// True if one call may not have keys of several users, because they are on several servers. A Cluster is known to
    /// be so. A service that has one address for several servers refuses the first batch.
    is_sharded: AtomicBool,
}

impl Batcher {
    pub(super) fn new(is_cluster: bool) -> Self {
        Self { batches: Mutex::default(), is_sharded: AtomicBool::new(is_cluster) }
    }

    /// Adds a rotation to a batch. Returns true if the batch is a new one, which needs a task.
    fn add(&self, rotation: Waiting) -> bool {
        let max = if self.is_sharded.load(Ordering::Relaxed) { 1 } else { MAX_BATCH };
        let mut batches = self.batches();
        let accepts = |batch: &&mut Vec<Waiting>| {
            batch.len() < max && batch.first().is_some_and(|first| has_same_terms(&first.request, &rotation.request))
        };
        // The full ones are in front.
        match batches.iter_mut().rev().find(accepts) {
            Some(batch) => {
                batch.push(rotation);
                false
            }
            None => {
                batches.push_back(vec![rotation]);
                true
            }
        }
    }

    fn take(&self) -> Vec<Waiting> {
        self.batches().pop_front().unwrap_or_default()
    }

    fn batches(&self) -> MutexGuard<'_, VecDeque<Vec<Waiting>>> {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// True if the arguments that a batch has once are equal. They depend on settings and on the dialect.
fn has_same_terms(one: &RotateRequest, other: &RotateRequest) -> bool {
    let terms = |request: &RotateRequest| (request.grace, request.not_before, request.conditions);
    terms(one) == terms(other)
}

impl Redis {
    /// Presents a refresh token.
    pub(super) async fn rotate(&self, request: RotateRequest, now: Timestamp) -> Result<Rotation> {
        let (caller, result) = oneshot::channel();
        if self.rotations.add(Waiting { request, now, caller }) {
            let store = self.clone();
            tokio::spawn(async move { store.send(store.rotations.take()).await });
        }
        result.await.unwrap_or_else(|_| Err(disconnected("the batch was given up".into())))
    }

    /// Sends a batch, and gives each caller its result.
    async fn send(&self, mut batch: Vec<Waiting>) {
        // The token of a caller that has gone stays current: nothing has been sent for it yet.
        batch.retain(|rotation| !rotation.caller.is_closed());
        if batch.is_empty() {
            return;
        }
        match self.run_batch(&batch).await {
            Ok(replies) => {
                for (rotation, reply) in batch.into_iter().zip(replies) {
                    match read_rotation(reply, &rotation.request).transpose() {
                        Some(result) => self.respond(rotation, result),
                        None => self.send_alone(rotation),
                    }
                }
            }
            Err(error) if batch.len() > 1 && is_cross_slot(&error) => {
                self.rotations.is_sharded.store(true, Ordering::Relaxed);
                batch.into_iter().for_each(|rotation| self.send_alone(rotation));
            }
            Err(error) => batch.into_iter().for_each(|rotation| self.respond(rotation, Err(error.clone()))),
        }
    }

    fn send_alone(&self, rotation: Waiting) {
        let store = self.clone();
        tokio::spawn(async move { store.send(vec![rotation]).await });
    }

    /// Runs the script on rotations with the same terms, and returns the reply to each.
    async fn run_batch(&self, batch: &[Waiting]) -> Result<ReplyReader> {
        let Some(Waiting { request: RotateRequest { grace, not_before, conditions, .. }, .. }) = batch.first() else {
            return Err(corrupt("a batch is empty"));
        };
        let required = conditions.required;
        let (required_of, required_text) =
            (required.map(|required| required.of), required.map(|required| required.text));
        let sessions: Vec<_> =
            batch.iter().map(|Waiting { request, .. }| self.keys.session(request.user, request.session)).collect();
        let next_counters: Vec<_> = batch.iter().map(|Waiting { request, .. }| next_counter(request)).collect();
        let mut args: Vec<&dyn RedisArg> = Vec::with_capacity(5 + 3 * batch.len());
        args.extend([grace as &dyn RedisArg, not_before, &conditions.opened_in, &required_of, &required_text]);
        for (Waiting { request, now, .. }, next_counter) in batch.iter().zip(&next_counters) {
            args.extend([now as &dyn RedisArg, &request.counter, next_counter]);
        }
        let keys: Vec<&dyn RedisArg> = sessions.iter().map(|session| session as _).collect();
        // Only TTLs depend on this one. The earliest makes them longest.
        let now = batch.iter().map(|rotation| rotation.now).min().unwrap_or_default();
        ReplyReader::of(self.runner.run_unmeasured(&ROTATE_REFRESH_TOKENS, &keys, now, &args).await?)
    }

    /// Gives a caller its result. Reuse is published first, by a task of its own, so that the rest of the batch does
    /// not wait for it.
    fn respond(&self, Waiting { request, now, caller }: Waiting, result: Result<Rotation>) {
        if !matches!(result, Ok(Rotation::Reused)) {
            // A caller that has gone needs no result.
            let _ = caller.send(result);
            return;
        }
        let store = self.clone();
        tokio::spawn(async move {
            let published = store.publish_reuse(request, now).await.map(|()| Rotation::Reused);
            let RotateRequest { user, session, .. } = request;
            match caller.send(published) {
                Ok(()) => (),
                Err(Ok(_)) => tracing::warn!(%user, %session, "refresh token reused by a client that has disconnected"),
                Err(Err(error)) => {
                    tracing::warn!(%user, %session, %error, "cannot publish the reuse of a refresh token");
                }
            }
        });
    }

    /// Publishes the revocation of a session whose refresh token was reused, and deletes the session.
    async fn publish_reuse(&self, request: RotateRequest, now: Timestamp) -> Result<()> {
        let RotateRequest { user, session, revocation_expires_at: expires_at, .. } = request;
        self.publish_ended(user, &[session], &[Revocation { target: Target::Session(session), expires_at }], now).await
    }
}

/// The counter after a rotation; `None` if the token stays.
fn next_counter(request: &RotateRequest) -> Option<u64> {
    request.rotate.then(|| request.counter.saturating_add(1))
}

/// Reads the reply to one rotation. `None`: it must be run alone.
fn read_rotation(reply: Value, request: &RotateRequest) -> Result<Option<Rotation>> {
    let RotateRequest { user, session, counter, .. } = *request;
    let mut reply = ReplyReader::of(reply)?;
    Ok(Some(match reply.value()?.as_str().as_deref().unwrap_or_default() {
        "rotated" => Rotation::Rotated(reply.snapshot(user, session, next_counter(request).unwrap_or(counter))?),
        // The token is one behind the session.
        "replayed" => Rotation::Replayed(reply.snapshot(user, session, counter.saturating_add(1))?),
        "reused" => Rotation::Reused,
        "requirement_unmet" => Rotation::RequirementUnmet,
        "failed" => return Ok(None),
        _ => Rotation::NotFound,
    }))
}
