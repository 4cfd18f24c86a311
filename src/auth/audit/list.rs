//! Reads security events: those of the fleet for administrators, and those of a user for the user.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::event::{EventRecord, Party};
use super::event_type::EventType;
use crate::auth::Error;
use crate::auth::context::Context;
use crate::id::UserId;
use crate::store::accounts::Find;
use crate::store::ephemeral::{EventClass, EventQuery, EventRange, EventScope, Position};

/// The longest wait for an event.
pub const MAX_WAIT: Duration = Duration::from_secs(25);

/// How often a caller that waits looks for events that other nodes have written. Those of its own node wake it.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Events read at once if only some of them are wanted.
const PAGE: u32 = 500;

/// Events that one call looks at. If it finds too few among them, the caller goes on from `next`.
const MAX_EXAMINED: usize = 5_000;

/// Shown to the owner in place of an actor's id.
const ADMINISTRATOR: &str = "administrator";

/// Conditions on events. All that are given must hold.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Names of types, or the part before the dot for all types of a subject. Empty: all.
    pub types: Vec<String>,
    /// The user concerned.
    pub user: Option<UserId>,
    /// The actor: the id of a user, `cli` or `system`.
    pub actor: Option<String>,
}

/// Events that were read together.
#[derive(Clone, Debug, Default)]
pub struct EventPage {
    /// The events, in the order of the range.
    pub events: Vec<ListedEvent>,
    /// Where to go on in the same direction. `None`: there are no older events.
    pub next: Option<Position>,
    /// The position of the newest event that was looked at, from which newer ones can be followed.
    pub newest: Position,
}

/// An event and its position.
#[derive(Clone, Debug)]
pub struct ListedEvent {
    /// Its position in the stored events.
    pub position: Position,
    /// The event.
    pub record: EventRecord,
}

impl EventFilter {
    fn contains(&self, record: &EventRecord) -> bool {
        (self.types.is_empty() || self.types.iter().any(|name| is_named(&record.event_type, name)))
            && self.actor.as_ref().is_none_or(|actor| record.actor.as_ref().is_some_and(|party| party.id == *actor))
    }

    fn wants_all(&self) -> bool {
        self.types.is_empty() && self.actor.is_none()
    }

    /// True if all wanted types are attempts, false if none is. `None` if some are, or if only newer nodes know one.
    fn is_attempt(&self) -> Option<bool> {
        let mut wanted = self.types.iter().map(|name| {
            let named = EventType::ALL.iter().filter(|event_type| is_named(event_type.name(), name));
            let mut are_attempts = named.map(|event_type| event_type.class() == EventClass::Attempt);
            let first = are_attempts.next()?;
            are_attempts.all(|is_attempt| is_attempt == first).then_some(first)
        });
        let first = wanted.next()??;
        wanted.all(|is_attempt| is_attempt == Some(first)).then_some(first)
    }
}

/// Returns true if `name` is that of a type that this version knows, or of a subject of such types.
pub fn is_type_name(name: &str) -> bool {
    EventType::ALL.iter().any(|event_type| is_named(event_type.name(), name))
}

/// Returns true if `name` is that of the type, or of its subject: the part before the dot.
fn is_named(event_type: &str, name: &str) -> bool {
    event_type.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The events that match `filter`. After a position, waits up to `wait` for one if there is none. The caller has
/// checked that the reader is an administrator.
pub async fn list(
    ctx: &Context,
    filter: &EventFilter,
    mut range: EventRange,
    limit: u32,
    wait: Duration,
) -> Result<EventPage, Error> {
    let scope = filter.user.map_or(EventScope::Fleet, EventScope::User);
    let until = tokio::time::Instant::now() + wait.min(MAX_WAIT);
    let mut written = ctx.node.audit.written.subscribe();
    loop {
        // Marked before the read, so that an event written during it ends the wait below.
        let is_closed = *written.borrow_and_update();
        let page = read(ctx, scope, filter, range, limit).await?;
        let may_wait = matches!(range, EventRange::After(_)) && page.events.is_empty() && !is_closed;
        if !may_wait || tokio::time::Instant::now() >= until {
            return Ok(page);
        }
        range = page.next.map_or(range, EventRange::After);
        let next_poll = until.min(tokio::time::Instant::now() + POLL_INTERVAL);
        // However the wait ends, the next step is to read.
        let _ = tokio::time::timeout_at(next_poll, written.changed()).await;
    }
}

/// The addresses of the users whom events name, by id. Lacks users who were deleted. If the accounts store fails, it
/// also lacks the users that were not read until then.
pub async fn emails(ctx: &Context, page: &EventPage) -> HashMap<String, String> {
    let parties = page.events.iter().flat_map(|event| [&event.record.user, &event.record.actor]).flatten();
    let ids: HashSet<UserId> = parties.filter_map(|party| UserId::parse(&party.id)).collect();
    let mut emails = HashMap::new();
    for id in ids {
        match ctx.accounts.user(Find::Id(id)).await {
            Ok(Some(user)) => _ = emails.insert(id.to_string(), user.email),
            Ok(None) => {}
            Err(_) => break,
        }
    }
    emails
}

/// The events that concern `user`, as the user may see them: without the id, address and user agent of an administrator
/// who caused one.
pub async fn list_of_user(ctx: &Context, user: UserId, range: EventRange, limit: u32) -> Result<EventPage, Error> {
    let mut page = read(ctx, EventScope::User(user), &EventFilter::default(), range, limit).await?;
    for ListedEvent { record, .. } in page.events.iter_mut().filter(|event| event.record.actor.is_some()) {
        record.actor = Some(Party { id: ADMINISTRATOR.to_owned() });
        (record.client_ip, record.user_agent) = (None, None);
    }
    Ok(page)
}

async fn read(
    ctx: &Context,
    scope: EventScope,
    filter: &EventFilter,
    mut range: EventRange,
    limit: u32,
) -> Result<EventPage, Error> {
    let is_ascending = matches!(range, EventRange::After(_));
    let not_before = ctx.now() - ctx.node.config.audit.keep;
    let page_size = if filter.wants_all() { limit } else { PAGE };
    let mut page = EventPage::default();
    if let EventRange::After(position) = range {
        (page.next, page.newest) = (Some(position), position);
    }
    let mut examined = 0;
    loop {
        let query = EventQuery { scope, is_attempt: filter.is_attempt(), range, not_before, limit: page_size };
        let events = ctx.ephemeral.read_events(query).await?;
        let is_last = events.len() < page_size as usize;
        examined += events.len();
        for event in events {
            page.newest = page.newest.max(event.position);
            page.next = Some(event.position);
            // A record that cannot be read was written by another version; the rest of the list can.
            if let Ok(record) = serde_json::from_str::<EventRecord>(&event.text)
                && filter.contains(&record)
            {
                page.events.push(ListedEvent { position: event.position, record });
                if page.events.len() >= limit as usize {
                    return Ok(page);
                }
            }
        }
        if is_last {
            page.next = page.next.filter(|_| is_ascending);
            return Ok(page);
        }
        if examined >= MAX_EXAMINED {
            return Ok(page);
        }
        range = match page.next {
            Some(position) if is_ascending => EventRange::After(position),
            Some(position) => EventRange::Before(position),
            None => return Ok(page),
        };
    }
}
