//! The record of security events: the actor, the action, the user concerned, the client, and the outcome.
//!
//! Operations call [`record`], which writes a line to the log (target `signet::audit`), counts, and queues the event
//! for the store and the webhook. It never waits. [`run`] writes what is queued, in batches, to the list of the fleet
//! and to that of the user concerned; [`list()`] and [`list_of_user`] read them.
//!
//! Successes in the hot paths are not recorded: refreshing, verifying, reading keys. Knows nothing of HTTP, nor of how
//! the webhook is sent.

mod event;
mod event_type;
mod list;
mod log;
pub mod recorder;
mod write;

pub use crate::store::ephemeral::{EventRange, Position};
pub use event::{Event, EventRecord, Origin, Party, SignInMethod};
pub use event_type::{EventType, Outcome};
pub use list::{EventFilter, EventPage, ListedEvent, MAX_WAIT, emails, is_type_name, list, list_of_user};
pub use write::{drain, flush, run};

use std::sync::Arc;

use crate::auth::context::Context;
use crate::id::EventId;
use crate::store::ephemeral::EventClass;
use crate::telemetry::metrics::Counter;
use recorder::{QueuedEvent, Repetition};

/// Records an event. Never waits and never fails.
pub fn record(ctx: &Context, event: Event) {
    let (now, recorder) = (ctx.now(), &ctx.node.audit);
    let (event_type, user, network) = (event.event_type, event.user, event.origin.network());
    let (is_of_superuser, is_one_of_many) = (event.is_of_superuser, event.is_one_of_many);
    count(ctx, &event);
    let id = EventId::new(now, &ctx.node.rng).to_string();
    let record = event.into_record(id, now, recorder.process());
    let class = event_type.class_of(user.is_some() && record.actor.is_some(), is_of_superuser);
    let repetition = recorder.check_repetition(event_type, &record, network, now);
    let is_for_all = match repetition {
        Repetition::None => true,
        // Strangers who share the site of a superuser must not use up its bound.
        Repetition::OfSite => class == EventClass::Privileged,
        Repetition::OfSubject => false,
    };
    log::write(event_type, &record, !is_for_all);
    // Beyond the bound of its site, any other event is for the user concerned alone.
    if is_for_all || (repetition == Repetition::OfSite && user.is_some()) {
        let (is_for_fleet, is_for_webhook) = (is_for_all && !is_one_of_many, is_for_all);
        recorder.queue(QueuedEvent { class, user, record: Arc::new(record), is_for_fleet, is_for_webhook });
    }
}

/// Counts the events for which there are security alerts.
fn count(ctx: &Context, event: &Event) {
    let metrics = &ctx.node.metrics;
    let counter = match event.event_type {
        EventType::SignInSucceeded | EventType::SignInRefused => {
            let method = event.method.map_or("unknown", SignInMethod::name);
            Counter::find("signet_sign_ins_total", &[method, event.event_type.outcome().name()])
        }
        EventType::RefreshReused => Some(Counter::RefreshReused),
        EventType::LimitExceeded => {
            let limit = event.details.get("limit").and_then(serde_json::Value::as_str);
            metrics.limit_exceeded(limit.unwrap_or_default());
            None
        }
        _ => None,
    };
    counter.into_iter().for_each(|counter| metrics.count(counter));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sign_ins_of_every_method_and_outcome_have_a_counter() {
        for method in SignInMethod::ALL {
            for outcome in [Outcome::Success, Outcome::Refused] {
                let counter = Counter::find("signet_sign_ins_total", &[method.name(), outcome.name()]);
                assert!(counter.is_some(), "{method:?} {outcome:?}");
            }
        }
        assert!(Counter::find("signet_sign_ins_total", &["unknown", Outcome::Refused.name()]).is_some());
    }
}
