//! `signet audit`: prints security events.

use std::time::Duration;

use super::CliError;
use super::arguments::Audit;
use super::output::{Columns, Output, or_dash};
use super::users::find;
use crate::auth::audit::{EventFilter, EventRange, EventRecord, list};
use crate::auth::context::Context;

/// Events that are read at once.
const PAGE: u32 = 200;

const COLUMNS: Columns<EventRecord> = &[
    ("time", |event| event.time.clone()),
    ("type", |event| event.event_type.clone()),
    ("outcome", |event| event.outcome.clone()),
    ("user", |event| or_dash(event.user.as_ref().map(|user| &user.id))),
    ("by", |event| or_dash(event.actor.as_ref().map(|actor| &actor.id))),
    ("address", |event| or_dash(event.client_ip.as_ref())),
    ("method", |event| or_dash(event.method.as_ref())),
    ("reason", |event| or_dash(event.reason.as_ref())),
];

pub(super) async fn run(options: Audit, ctx: &Context, output: &mut Output<'_>) -> Result<(), CliError> {
    let user = match &options.user {
        Some(name) => Some(find(ctx, name).await?.id),
        None => None,
    };
    let filter = EventFilter { types: options.types, user, ..EventFilter::default() };
    let (mut rows, mut range) = (Vec::new(), EventRange::Newest);
    while rows.len() < options.limit as usize {
        let limit = PAGE.min(options.limit - rows.len() as u32);
        let page = list(ctx, &filter, range, limit, Duration::ZERO).await?;
        rows.extend(page.events.into_iter().map(|event| event.record));
        match page.next {
            Some(next) => range = EventRange::Before(next),
            None => break,
        }
    }
    output.rows(&rows, COLUMNS)
}
