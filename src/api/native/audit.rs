//! Security events: all of them for administrators, and their own for users.

use std::collections::HashMap;
use std::time::Duration;

use http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::query::{Limit, invalid_query, limit, number};
use super::{Problem, request_context};
use crate::api::endpoint::{Endpoint, endpoint};
use crate::api::{FORBIDDEN, RATE_LIMITED, credential, session_token};
use crate::auth::Error;
use crate::auth::accounts::activity;
use crate::auth::audit::{self, EventFilter, EventPage, EventRange, ListedEvent, Party, Position};
use crate::auth::context::Context;
use crate::auth::tokens::caller::{authenticate, authenticate_user};
use crate::http::{FormFields, Rejection, Request, Response};
use crate::id::UserId;

/// The most names of types in one request.
const MAX_TYPES: usize = 50;

/// The longest name of an actor: a UUID.
const MAX_ACTOR: usize = 36;

/// A page of security events.
#[derive(Serialize, ToSchema)]
pub(super) struct EventList<'a> {
    events: Vec<Event<'a>>,
    /// The cursor of the next page: for `before`, or for `after` if the request had that. Null if there are no
    /// older events.
    next: Option<String>,
    /// The cursor of the newest event that was examined: pass it as `after` to read the events that follow.
    newest: String,
}

/// A security event. Absent fields do not apply.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({
    "id": "019a8b1c-7788-7f43-8a1b-2c3d4e5f6071",
    "cursor": "1763130320050-0",
    "time": "2025-11-14T14:25:20.05Z",
    "type": "sign_in.succeeded",
    "outcome": "success",
    "user": {"id": "019a8b1c-0000-7abc-9def-0123456789ab", "email": "zoe@example.org"},
    "session": "019a8b1c-2d3e-7f40-8a1b-2c3d4e5f6071",
    "client_ip": "203.0.113.7",
    "user_agent": "Mozilla/5.0 (X11; Linux x86_64)",
    "dialect": "native",
    "method": "password",
    "details": {"mfa": true},
})))]
pub(super) struct Event<'a> {
    /// Unique, and the same in the log and in the webhook.
    id: &'a str,
    /// Its place in the list.
    cursor: String,
    #[schema(format = DateTime)]
    time: &'a str,
    /// The type of the event: docs/audit.md lists all.
    r#type: &'a str,
    /// `success` or `refused`.
    outcome: &'a str,
    /// The user concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    user: Option<EventParty<'a>>,
    /// The actor, if not the user concerned: a user, `cli` or `system`. Owners read `administrator`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    actor: Option<EventParty<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    session: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    client_ip: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    user_agent: Option<&'a str>,
    /// The API that was called.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    dialect: Option<&'a str>,
    /// The method of a sign-in: `password`, `code` or `magic_link`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    method: Option<&'a str>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<&'a str>,
    /// Facts that only events of this type have.
    #[serde(skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object)]
    details: &'a Map<String, Value>,
}

/// Someone whom an event names.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({"id": "019a8b1c-0000-7abc-9def-0123456789ab", "email": "zoe@example.org"})))]
struct EventParty<'a> {
    id: &'a str,
    /// The address of the user, for administrators.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = Email)]
    email: Option<&'a str>,
}

/// Addresses by the id of the user.
pub(super) type Emails = HashMap<String, String>;

impl<'a> EventParty<'a> {
    fn new(party: &'a Party, emails: &'a Emails) -> Self {
        Self { id: &party.id, email: emails.get(&party.id).map(String::as_str) }
    }
}

impl<'a> Event<'a> {
    pub(super) fn new(event: &'a ListedEvent, emails: &'a Emails) -> Self {
        let record = &event.record;
        Self {
            id: &record.id,
            cursor: event.position.to_string(),
            time: &record.time,
            r#type: &record.event_type,
            outcome: &record.outcome,
            user: record.user.as_ref().map(|party| EventParty::new(party, emails)),
            actor: record.actor.as_ref().map(|party| EventParty::new(party, emails)),
            session: record.session.as_deref(),
            client_ip: record.client_ip.as_deref(),
            user_agent: record.user_agent.as_deref(),
            dialect: record.dialect.as_deref(),
            method: record.method.as_deref(),
            reason: record.reason.as_deref(),
            details: &record.details,
        }
    }
}

impl<'a> EventList<'a> {
    fn new(page: &'a EventPage, emails: &'a Emails) -> Self {
        Self {
            events: page.events.iter().map(|event| Event::new(event, emails)).collect(),
            next: page.next.map(|position| position.to_string()),
            newest: page.newest.to_string(),
        }
    }
}

/// List security events
///
/// The newest first, or with `after` the oldest first. With `wait`, a request that finds no event after `after` waits
/// for one: repeat it with `next` to follow events as they happen. If few events match a filter, a page can be short or
/// empty although `next` is not null. For superusers, and for their API keys with the scope `admin`.
#[utoipa::path(
    get,
    path = "/admin/audit",
    operation_id = "native_admin_audit",
    params(
        ("after" = Option<String>, Query, pattern = "^(0|[1-9][0-9]{0,14})-(0|[1-9][0-9]{0,8})$",
            description = "Only events after this cursor."),
        ("before" = Option<String>, Query, pattern = "^(0|[1-9][0-9]{0,14})-(0|[1-9][0-9]{0,8})$",
            description = "Only events before this cursor; ignored with `after`."),
        ("type" = Option<String>, Query,
            description = "Types, separated by commas. The part before the dot stands for all types with it."),
        ("user" = Option<uuid::Uuid>, Query, description = "Only events that concern this user."),
        ("actor" = Option<String>, Query,
            description = "Only events that this user caused for others, or that `cli` or `system` caused."),
        Limit,
        ("wait" = Option<u32>, Query, minimum = 0, maximum = 25, description = "Seconds to wait for an event."),
    ),
    security(("access_token" = []), ("api_key" = [])),
    responses((status = 200, description = "A page of events.", body = EventList<'_>)),
)]
async fn list_events(ctx: Context, request: Request) -> Result<Response, Problem> {
    authenticate(&ctx, credential(&request)).await?.require_superuser(&ctx).await?;
    let query = request.query()?;
    let types: Vec<String> =
        query.get("type").into_iter().flat_map(|types| types.split(',')).map(|name| name.trim().to_owned()).collect();
    if types.len() > MAX_TYPES {
        return Err(invalid_query("type", &format!("must have at most {MAX_TYPES} names")).into());
    }
    let user = match query.get("user") {
        None => None,
        Some(text) => Some(UserId::parse(text).ok_or_else(|| invalid_query("user", "must be the id of a user"))?),
    };
    let actor = query.get("actor").map(str::to_owned);
    if actor.as_ref().is_some_and(|actor| actor.len() > MAX_ACTOR) {
        return Err(invalid_query("actor", "must be the id of a user, cli or system").into());
    }
    let wait = number(&query, "wait", 0, 0..=audit::MAX_WAIT.as_secs() as u32)?;
    let filter = EventFilter { types, user, actor };
    let wait = Duration::from_secs(wait.into());
    let page = audit::list(&ctx, &filter, range(&query)?, limit(&query)?, wait).await?;
    let emails = audit::emails(&ctx, &page).await;
    Ok(Response::json(StatusCode::OK, &EventList::new(&page, &emails)).no_store())
}

pub(super) const LIST_EVENTS: Endpoint = endpoint! {
    handler: list_events,
    metric_label: "native.admin-audit",
    errors: [FORBIDDEN],
};

/// List your security events
///
/// The newest first, or with `after` the oldest first. They do not name the administrator who caused an event.
#[utoipa::path(
    get,
    path = "/me/activity",
    operation_id = "native_activity",
    params(
        ("after" = Option<String>, Query, pattern = "^(0|[1-9][0-9]{0,14})-(0|[1-9][0-9]{0,8})$",
            description = "Only events after this cursor."),
        ("before" = Option<String>, Query, pattern = "^(0|[1-9][0-9]{0,14})-(0|[1-9][0-9]{0,8})$",
            description = "Only events before this cursor; ignored with `after`."),
        Limit,
    ),
    security(("access_token" = [])),
    responses((status = 200, description = "A page of events.", body = EventList<'_>)),
)]
async fn list_activity(ctx: Context, request: Request) -> Result<Response, Problem> {
    let (caller, user) = authenticate_user(&ctx, session_token(&request)?).await?;
    caller.require_session()?;
    let query = request.query()?;
    let request_ctx = request_context(&ctx, &request);
    let page = activity::list_activity(&ctx, user.id, range(&query)?, limit(&query)?, request_ctx).await?;
    Ok(Response::json(StatusCode::OK, &EventList::new(&page, &Emails::new())).no_store())
}

pub(super) const LIST_ACTIVITY: Endpoint = endpoint! {
    handler: list_activity,
    metric_label: "native.activity",
    errors: [FORBIDDEN, Error::AccountDisabled, RATE_LIMITED],
};

fn range(query: &FormFields) -> Result<EventRange, Rejection> {
    let position = |name| match query.get(name) {
        None => Ok(None),
        Some(text) => {
            Position::parse(text).map(Some).ok_or_else(|| invalid_query(name, "must be the cursor of an event"))
        }
    };
    Ok(match (position("after")?, position("before")?) {
        (Some(after), _) => EventRange::After(after),
        (None, Some(before)) => EventRange::Before(before),
        (None, None) => EventRange::Newest,
    })
}
