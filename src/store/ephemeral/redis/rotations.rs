//! Exchanges refresh tokens, each in a call of its own or several in one: one write, one read and one reply.
//!
//! A rotation that comes while no call is under way is sent at once, by its caller. No task, timer or channel is
//! between them. Those that come during a call wait until it ends, and are then sent as one batch. A batch that is full
//! is sent at once. (Nagle's algorithm decides in the same way when TCP sends a segment.) So nothing is delayed when
//! there is little to do, and batches grow with the load. A rotation waits for one call at most, unless the dialects
//! need different shared arguments: then the batches of each are sent in turn.
//!
//! A call does not end with its callers. One that is under way when its caller stops waiting goes on in a task, and the
//! batch that waits for it is sent. If a token was reused, the reuse is published nevertheless. For a caller that has
//! gone before its batch is sent, nothing is sent.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use fred::types::Value;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::Redis;
use super::args::RedisArg;
use super::reply::ReplyReader;
use super::scripts::{ROTATE_REFRESH_TOKENS, corrupt, disconnected, is_cross_slot};
use crate::clock::Timestamp;
use crate::store::Result;
use crate::store::ephemeral::{OpenedIn, Revocation, RotateRequest, Rotation, Target};

/// The largest number of rotations in one call, which keeps Redis from everything else for a quarter of a millisecond.
/// In a batch of 14 a rotation takes 0.60 of the time that it takes alone, and in one of 28 0.56.
const MAX_BATCH: usize = 32;

/// A rotation, and when its caller began to wait.
#[derive(Clone, Copy)]
struct Presented {
    request: RotateRequest,
    now: Timestamp,
    started_at: Instant,
}

/// A rotation whose caller waits for the call of a batch.
struct Waiting {
    presented: Presented,
    caller: oneshot::Sender<Result<Rotation>>,
}

/// A batch, and the reply to it.
type Sent = (Vec<Waiting>, Result<ReplyReader>);

/// The rotations that wait for the end of a call.
pub(super) struct Batcher {
    queue: Mutex<Queue>,
    /// True if one call may not have keys of several users, because they are on several servers. A Cluster is known to
    /// be so. A service that has one address for several servers refuses the first batch.
    is_sharded: AtomicBool,
    timeout: Duration,
}

struct Queue {
    /// The number of [`InFlight`]s. If there is none, no batch waits.
    in_flight: usize,
    /// When the latest call began.
    called_at: Instant,
    /// The oldest first. No two have the same shared arguments, and none is full.
    batches: VecDeque<Vec<Waiting>>,
}

/// The way in which a rotation is sent.
enum Dispatch {
    /// By its caller, in a call of its own.
    Alone(InFlight),
    /// In a batch, which is sent later.
    Queued(oneshot::Receiver<Result<Rotation>>),
    /// In a batch that it has filled, which is sent at once.
    Full(InFlight, Vec<Waiting>, oneshot::Receiver<Result<Rotation>>),
}

impl Batcher {
    pub(super) fn new(is_cluster: bool, timeout: Duration) -> Self {
        let queue = Queue { in_flight: 0, called_at: Instant::now(), batches: VecDeque::new() };
        Self { queue: Mutex::new(queue), is_sharded: AtomicBool::new(is_cluster), timeout }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The oldest batch that waits.
    fn take(&self) -> Option<Vec<Waiting>> {
        self.queue().take()
    }

    /// The oldest batch that waits, for the next call. If there is none, one call fewer is in flight.
    fn take_or_end(&self) -> Option<Vec<Waiting>> {
        let mut queue = self.queue();
        let batch = queue.take();
        queue.in_flight -= usize::from(batch.is_none());
        batch
    }
}

impl Queue {
    fn take(&mut self) -> Option<Vec<Waiting>> {
        let batch = self.batches.pop_front()?;
        self.called_at = Instant::now();
        Some(batch)
    }
}

/// A call under way, or several, one after the other. When it is dropped, the oldest batch that waits is sent.
struct InFlight(Redis);

impl InFlight {
    /// Sends a rotation. Does not publish reuse.
    async fn send_one(self, presented: Presented) -> Result<Rotation> {
        let reply = self.0.run_one(&presented).await;
        drop(self);
        let rotation = read_rotation(&mut ReplyReader::of(reply?)?, &presented.request)?;
        rotation.ok_or_else(|| corrupt("a rotation failed without an error"))
    }

    /// Sends a batch, and then those that have come meanwhile.
    async fn send(self, batch: Vec<Waiting>) {
        let Self(store) = &self;
        let mut sent = store.send_batch(batch).await;
        while let Some(next) = store.rotations.take() {
            let last = sent;
            // In this order, so that Redis has the next batch before the requests of the last one go on.
            (sent, ()) = tokio::join!(biased; store.send_batch(next), async { store.respond_to_all(last) });
        }
        store.respond_to_all(sent);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if let Some(batch) = self.0.rotations.take_or_end() {
            let next = Self(self.0.clone());
            // Without a runtime, the callers get an error.
            if let Ok(runtime) = Handle::try_current() {
                runtime.spawn(next.send(batch));
            }
        }
    }
}

/// The call of a caller that sends its own rotation. Dropped before its end, it goes on in a task.
struct Call<'a> {
    store: &'a Redis,
    presented: Presented,
    /// `None` once it has ended.
    call: Option<Pin<Box<dyn Future<Output = Result<Rotation>> + Send>>>,
}

impl Future for Call<'_> {
    type Output = Result<Rotation>;
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(call) = &mut self.call else { return Poll::Pending };
        let polled = call.as_mut().poll(context);
        if polled.is_ready() {
            self.call = None;
        }
        polled
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if let Some(call) = self.call.take()
            && let Ok(runtime) = Handle::try_current()
        {
            let store = self.store.clone();
            let (caller, _) = oneshot::channel();
            let waiting = Waiting { presented: self.presented, caller };
            runtime.spawn(async move { store.respond(waiting, call.await) });
        }
    }
}

impl Redis {
    /// Exchanges a refresh token, and publishes reuse.
    pub(super) async fn rotate(&self, request: RotateRequest, now: Timestamp) -> Result<Rotation> {
        let presented = Presented { request, now, started_at: Instant::now() };
        let result = match self.dispatch(presented) {
            Dispatch::Alone(in_flight) => {
                let call = Call { store: self, presented, call: Some(Box::pin(in_flight.send_one(presented))) };
                match call.await {
                    Ok(Rotation::Reused) => {
                        let (caller, published) = oneshot::channel();
                        self.respond(Waiting { presented, caller }, Ok(Rotation::Reused));
                        published
                    }
                    result => return result,
                }
            }
            Dispatch::Queued(result) => result,
            Dispatch::Full(in_flight, batch, result) => {
                tokio::spawn(in_flight.send(batch));
                result
            }
        };
        result.await.unwrap_or_else(|_| Err(disconnected("the batch was given up".into())))
    }

    /// Decides how a rotation is sent.
    fn dispatch(&self, presented: Presented) -> Dispatch {
        let Batcher { is_sharded, timeout, .. } = &*self.rotations;
        let mut queue = self.rotations.queue();
        // No call takes that long. Its caller does not poll it, and the others must not wait for that.
        let is_stuck = presented.started_at.saturating_duration_since(queue.called_at) > *timeout * 2;
        if queue.in_flight == 0 || is_stuck || is_sharded.load(Ordering::Relaxed) {
            queue.in_flight += 1;
            queue.called_at = presented.started_at;
            return Dispatch::Alone(InFlight(self.clone()));
        }
        let (caller, result) = oneshot::channel();
        let waiting = Waiting { presented, caller };
        let accepts = |batch: &Vec<Waiting>| {
            batch.first().is_some_and(|first| has_same_shared_args(&first.presented.request, &presented.request))
        };
        let Some(position) = queue.batches.iter().position(accepts) else {
            queue.batches.push_back(vec![waiting]);
            return Dispatch::Queued(result);
        };
        let batch = &mut queue.batches[position];
        batch.push(waiting);
        if batch.len() < MAX_BATCH {
            return Dispatch::Queued(result);
        }
        queue.in_flight += 1;
        queue.called_at = presented.started_at;
        let batch = queue.batches.remove(position).unwrap_or_default();
        Dispatch::Full(InFlight(self.clone()), batch, result)
    }

    async fn send_batch(&self, mut batch: Vec<Waiting>) -> Sent {
        // The token of a caller that has gone stays current: nothing has been sent for it yet.
        batch.retain(|waiting| !waiting.caller.is_closed());
        for late in batch.extract_if(.., |waiting| waiting.presented.started_at.elapsed() >= self.rotations.timeout) {
            let _ = late.caller.send(Err(disconnected("the call before got no reply in time".into())));
        }
        let reply = self.run_batch(&batch).await;
        (batch, reply)
    }

    /// Gives each caller of a batch its result.
    fn respond_to_all(&self, (batch, reply): Sent) {
        match reply {
            Ok(mut reply) => {
                for waiting in batch {
                    match read_rotation(&mut reply, &waiting.presented.request).transpose() {
                        Some(result) => self.respond(waiting, result),
                        None => self.send_alone(waiting),
                    }
                }
            }
            Err(error) if batch.len() > 1 && is_cross_slot(&error) => {
                self.rotations.is_sharded.store(true, Ordering::Relaxed);
                batch.into_iter().for_each(|waiting| self.send_alone(waiting));
            }
            Err(error) => batch.into_iter().for_each(|waiting| self.respond(waiting, Err(error.clone()))),
        }
    }

    fn send_alone(&self, waiting: Waiting) {
        self.rotations.queue().in_flight += 1;
        let (store, in_flight) = (self.clone(), InFlight(self.clone()));
        tokio::spawn(async move {
            let result = in_flight.send_one(waiting.presented).await;
            store.respond(waiting, result);
        });
    }

    /// Runs the script on one rotation.
    async fn run_one(&self, Presented { request, now, started_at }: &Presented) -> Result<Value> {
        let session = self.keys.session(request.user, request.session);
        let (shared_args, next_counter) = (SharedArgs::of(request), next_counter(request));
        let [grace, not_before, opened_in, required_of, required_text] = shared_args.list();
        let args = [grace, not_before, opened_in, required_of, required_text, now, &request.counter, &next_counter];
        self.runner.run_since(*started_at, &ROTATE_REFRESH_TOKENS, &[&session], *now, &args).await
    }

    /// Runs the script on rotations with the same shared arguments.
    async fn run_batch(&self, batch: &[Waiting]) -> Result<ReplyReader> {
        let rotations = || batch.iter().map(|waiting| &waiting.presented);
        let Some(first) = rotations().next() else { return Err(corrupt("a batch is empty")) };
        let shared_args = SharedArgs::of(&first.request);
        let sessions: Vec<_> =
            rotations().map(|Presented { request, .. }| self.keys.session(request.user, request.session)).collect();
        let next_counters: Vec<_> = rotations().map(|Presented { request, .. }| next_counter(request)).collect();
        let mut args: Vec<&dyn RedisArg> = Vec::with_capacity(5 + 3 * batch.len());
        args.extend(shared_args.list());
        for (Presented { request, now, .. }, next_counter) in rotations().zip(&next_counters) {
            args.extend([now as &dyn RedisArg, &request.counter, next_counter]);
        }
        let keys: Vec<&dyn RedisArg> = sessions.iter().map(|session| session as _).collect();
        // Only TTLs depend on this one. The earliest makes them longest.
        let now = rotations().map(|rotation| rotation.now).min().unwrap_or_default();
        // The first has waited longest.
        ReplyReader::of(self.runner.run_since(first.started_at, &ROTATE_REFRESH_TOKENS, &keys, now, &args).await?)
    }

    /// Gives a caller its result. Reuse is published first, by a task of its own, so that the rest of the batch does
    /// not wait for it.
    fn respond(
        &self,
        Waiting { presented: Presented { request, now, .. }, caller }: Waiting,
        result: Result<Rotation>,
    ) {
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

/// The arguments that all rotations of a call share.
struct SharedArgs<'a> {
    request: &'a RotateRequest,
    required_of: Option<OpenedIn>,
    required_text: Option<&'static str>,
}

impl<'a> SharedArgs<'a> {
    fn of(request: &'a RotateRequest) -> Self {
        let required = request.conditions.required;
        Self {
            request,
            required_of: required.map(|required| required.of),
            required_text: required.map(|required| required.text),
        }
    }

    fn list(&self) -> [&dyn RedisArg; 5] {
        let RotateRequest { grace, not_before, conditions, .. } = self.request;
        [grace, not_before, &conditions.opened_in, &self.required_of, &self.required_text]
    }
}

/// Returns true if the shared arguments are equal. They depend on settings and on the dialect.
fn has_same_shared_args(one: &RotateRequest, other: &RotateRequest) -> bool {
    let shared = |request: &RotateRequest| (request.grace, request.not_before, request.conditions);
    shared(one) == shared(other)
}

/// The counter after a rotation; `None` if the token stays.
fn next_counter(request: &RotateRequest) -> Option<u64> {
    request.rotate.then(|| request.counter.saturating_add(1))
}

/// Reads the result of the next rotation of a reply. `None`: it must be run alone.
fn read_rotation(reply: &mut ReplyReader, request: &RotateRequest) -> Result<Option<Rotation>> {
    let RotateRequest { user, session, counter, .. } = *request;
    Ok(Some(match reply.value()?.as_str().as_deref().unwrap_or_default() {
        "rotated" => Rotation::Rotated(reply.snapshot(user, session, next_counter(request).unwrap_or(counter))?),
        // The token is one behind the session.
        "replayed" => Rotation::Replayed(reply.snapshot(user, session, counter.saturating_add(1))?),
        "reused" => Rotation::Reused,
        "requirement_unmet" => Rotation::RequirementUnmet,
        "not_found" => Rotation::NotFound,
        "failed" => return Ok(None),
        _ => {
            // The results of the others can be anywhere.
            reply.by_ref().for_each(drop);
            return Err(corrupt("expected the result of a rotation"));
        }
    }))
}
