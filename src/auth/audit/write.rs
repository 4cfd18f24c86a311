//! Writes the queued events to the store, in batches.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt;

use super::recorder::QueuedEvent;
use crate::auth::context::Context;
use crate::id::UserId;
use crate::store;
use crate::store::ephemeral::{EventBounds, EventClass, EventScope, NewEvent};
use crate::telemetry::metrics::Counter;

/// Events in one batch.
const BATCH: usize = 256;

/// Lists that are written at the same time.
const MAX_CONCURRENT: usize = 16;

/// How long the first event of a batch waits for others, so that many sign-ins at once cost the store few writes.
const LINGER: Duration = Duration::from_millis(100);

/// The pause before a batch that the store did not accept is written again. It doubles up to [`MAX_PAUSE`]. Meanwhile
/// the queue fills, and events that find it full are counted as lost.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// Writes events as they come. Never returns.
pub async fn run(ctx: &Context) {
    let mut queued = ctx.node.audit.queued.lock().await;
    let mut batch = Vec::new();
    loop {
        if queued.recv_many(&mut batch, BATCH).await == 0 {
            // The node has a sender, so the queue is never closed.
            std::future::pending::<()>().await;
        }
        let mut written = ctx.node.audit.written.subscribe();
        let _ = tokio::time::timeout(LINGER, written.wait_for(|is_closed| *is_closed)).await;
        while batch.len() < BATCH
            && let Ok(event) = queued.try_recv()
        {
            batch.push(event);
        }
        let mut pending = Batch::new(ctx, &batch);
        let mut pause = FIRST_PAUSE;
        while let Err(error) = pending.write(ctx).await {
            if pause == FIRST_PAUSE && !error.is_logged() {
                tracing::warn!(%error, "security events cannot be stored; retrying");
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
        ctx.node.audit.pending.fetch_sub(batch.len(), Ordering::Relaxed);
        ctx.node.audit.written.send_modify(|_| {});
        batch.clear();
    }
}

/// Waits until everything that was queued is written, for at most `max_wait`. [`run`] must be running.
pub async fn drain(ctx: &Context, max_wait: Duration) {
    let recorder = &ctx.node.audit;
    let mut written = recorder.written.subscribe();
    let drained = async { while recorder.pending.load(Ordering::Relaxed) > 0 && written.changed().await.is_ok() {} };
    if tokio::time::timeout(max_wait, drained).await.is_err() {
        let lost = recorder.pending.load(Ordering::Relaxed);
        tracing::warn!(lost, "security events were not stored before the node stopped; the log has them");
    }
}

/// Writes what is queued, without retries: for a process in which [`run`] does not run. After a failure, everything
/// that was queued is lost.
pub async fn flush(ctx: &Context) {
    let mut queued = ctx.node.audit.queued.lock().await;
    let mut batch = Vec::new();
    loop {
        while batch.len() < BATCH
            && let Ok(event) = queued.try_recv()
        {
            batch.push(event);
        }
        if batch.is_empty() {
            return;
        }
        if let Err(error) = Batch::new(ctx, &batch).write(ctx).await {
            let mut lost = batch.len();
            while queued.try_recv().is_ok() {
                lost += 1;
            }
            (0..lost).for_each(|_| ctx.node.metrics.count(Counter::AuditEventsLost));
            tracing::warn!(%error, lost, "security events of the command were not stored; its output has them");
            return;
        }
        batch.clear();
    }
}

/// Events, and the lists to which they are not appended yet.
struct Batch {
    texts: Vec<(EventClass, String)>,
    lists: Vec<(EventScope, Vec<usize>)>,
}

impl Batch {
    fn new(ctx: &Context, events: &[QueuedEvent]) -> Self {
        let text = |event: &QueuedEvent| serde_json::to_string(&*event.record).unwrap_or_default();
        let texts: Vec<_> = events.iter().map(|event| (event.class, text(event))).collect();
        let mut of_users: HashMap<UserId, Vec<usize>> = HashMap::new();
        if ctx.node.config.audit.events_per_user > 0 {
            for (index, event) in events.iter().enumerate() {
                event.user.into_iter().for_each(|user| of_users.entry(user).or_default().push(index));
            }
        }
        let for_fleet: Vec<_> = (0..events.len()).filter(|index| events[*index].is_for_fleet).collect();
        let mut lists = Vec::new();
        if !for_fleet.is_empty() {
            lists.push((EventScope::Fleet, for_fleet));
        }
        lists.extend(of_users.into_iter().map(|(user, events)| (EventScope::User(user), events)));
        Self { texts, lists }
    }

    /// Appends the events to each list. After a failure, only the lists that failed are written again.
    async fn write(&mut self, ctx: &Context) -> store::Result<()> {
        let texts = &self.texts;
        let appends = std::mem::take(&mut self.lists).into_iter().map(|(scope, indexes)| async move {
            let event = |index: &usize| NewEvent { class: texts[*index].0, text: &texts[*index].1 };
            let events: Vec<_> = indexes.iter().map(event).collect();
            let appended = ctx.ephemeral.append_events(scope, &events, bounds(ctx, scope), ctx.now()).await;
            appended.map_err(|error| (error, (scope, indexes)))
        });
        let mut appends = std::pin::pin!(futures_util::stream::iter(appends).buffer_unordered(MAX_CONCURRENT));
        let mut result = Ok(());
        while let Some(appended) = appends.next().await {
            if let Err((error, list)) = appended {
                self.lists.push(list);
                result = Err(error);
            }
        }
        result
    }
}

fn bounds(ctx: &Context, scope: EventScope) -> EventBounds {
    let settings = &ctx.node.config.audit;
    let count = match scope {
        EventScope::Fleet => settings.events,
        EventScope::User(_) => settings.events_per_user,
    };
    EventBounds { count, keep: settings.keep }
}
