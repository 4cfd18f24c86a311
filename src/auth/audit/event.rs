//! A security event and its origin. It has no field for a secret, nor for text that a person types: no login, no
//! address, no name.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::event_type::EventType;
use crate::auth::request_context::{Client, RequestContext};
use crate::clock::Timestamp;
use crate::id::{SessionId, UserId};
use crate::store::accounts::User;

/// The method of a sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignInMethod {
    /// A password.
    Password,
    /// A mailed code.
    Code,
    /// A magic link.
    MagicLink,
}

impl SignInMethod {
    /// Every method, in the order of the metrics.
    pub const ALL: [Self; 3] = [Self::Password, Self::Code, Self::MagicLink];

    /// The name in events and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Code => "code",
            Self::MagicLink => "magic_link",
        }
    }
}

/// The origin of an event: the request, and the user who made it. Owns its values, because work that runs to completion
/// outlives the request.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    actor: Option<UserId>,
    client: Option<ClientRecord>,
}

#[derive(Clone, Debug)]
struct ClientRecord {
    ip: IpAddr,
    /// The address or network that rate limits count by.
    network: IpAddr,
    user_agent: Option<String>,
    dialect: &'static str,
}

impl ClientRecord {
    fn new(client: Client, user_agent: Option<String>) -> Self {
        let Client { dialect, client_ip, rate_limit_ip } = client;
        Self { ip: client_ip, network: rate_limit_ip, user_agent, dialect }
    }
}

impl Origin {
    /// No request: the command line, or this process itself.
    pub fn process() -> Self {
        Self::default()
    }

    /// A request of the user concerned, or of an unknown client.
    pub fn request(request_ctx: RequestContext<'_>) -> Self {
        Self { actor: None, client: Some(ClientRecord::new(request_ctx.client(), request_ctx.stored_user_agent())) }
    }

    /// A request of which only the client is known here.
    pub fn client(client: Client) -> Self {
        Self { actor: None, client: Some(ClientRecord::new(client, None)) }
    }

    /// A request of `actor`, who may be another user than the one concerned.
    pub fn request_of(actor: UserId, request_ctx: RequestContext<'_>) -> Self {
        Self { actor: Some(actor), ..Self::request(request_ctx) }
    }

    /// True if the origin is a request of `user`, whom the event concerns, or of an unknown client.
    pub(in crate::auth) fn is_of(&self, user: Option<UserId>) -> bool {
        self.client.is_some() && self.actor.is_none_or(|actor| Some(actor) == user)
    }

    /// The network of the client.
    pub(in crate::auth) fn network(&self) -> Option<IpAddr> {
        self.client.as_ref().map(|client| client.network)
    }
}

/// A security event under construction. [`super::record`] completes it.
#[derive(Clone, Debug)]
#[must_use]
pub struct Event {
    pub(super) event_type: EventType,
    pub(super) origin: Origin,
    pub(super) user: Option<UserId>,
    pub(super) is_of_superuser: bool,
    pub(super) is_one_of_many: bool,
    pub(super) session: Option<SessionId>,
    pub(super) method: Option<SignInMethod>,
    pub(super) reason: Option<&'static str>,
    pub(super) details: Map<String, Value>,
}

impl Event {
    /// An event that concerns no user, or none that is known.
    pub fn new(event_type: EventType, origin: Origin) -> Self {
        Self {
            event_type,
            origin,
            user: None,
            is_of_superuser: false,
            is_one_of_many: false,
            session: None,
            method: None,
            reason: None,
            details: Map::new(),
        }
    }

    /// An event that concerns the account of `user`, as the row was read.
    pub fn of_account(event_type: EventType, user: &User, origin: Origin) -> Self {
        Self::of_user(event_type, user.id, origin).of_superuser(user.superuser)
    }

    /// An event that concerns a user of whom only the id is known.
    pub fn of_user(event_type: EventType, user: UserId, origin: Origin) -> Self {
        Self { user: Some(user), ..Self::new(event_type, origin) }
    }

    /// A limit was used up. `limit`: the name of its setting.
    pub fn limit_exceeded(limit: &'static str, user: Option<UserId>, retry_after: Duration, origin: Origin) -> Self {
        let retry_after = u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX);
        let event = Self::new(EventType::LimitExceeded, origin).user(user);
        event.detail("limit", limit).detail("retry_after_ms", retry_after)
    }

    /// The user concerned.
    pub fn user(self, user: Option<UserId>) -> Self {
        Self { user, ..self }
    }

    /// The user concerned is a superuser, or is not.
    pub fn of_superuser(self, is_of_superuser: bool) -> Self {
        Self { is_of_superuser, ..self }
    }

    /// One of many events that a single action causes, and another event sums up. The list of the fleet does not get
    /// it, because so many would displace what others did.
    pub fn one_of_many(self, is_one_of_many: bool) -> Self {
        Self { is_one_of_many, ..self }
    }

    /// The session concerned.
    pub fn session(self, session: SessionId) -> Self {
        Self { session: Some(session), ..self }
    }

    /// The method of the sign-in.
    pub fn method(self, method: Option<SignInMethod>) -> Self {
        Self { method, ..self }
    }

    /// Why it was refused.
    pub fn reason(self, reason: &'static str) -> Self {
        Self { reason: Some(reason), ..self }
    }

    /// A detail that only events of this type have. Never a secret, nor text that a person typed.
    pub fn detail(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }

    /// Completes the event. `process`: the actor if no request caused it.
    pub(super) fn into_record(self, id: String, now: Timestamp, process: &'static str) -> EventRecord {
        let Origin { actor, client } = self.origin;
        let actor = match (actor, &client) {
            (Some(actor), _) => (Some(actor) != self.user).then(|| actor.to_string()),
            (None, Some(_)) => None,
            (None, None) => Some(process.to_owned()),
        };
        let (client_ip, user_agent, dialect) = match client {
            Some(client) => (Some(client.ip.to_string()), client.user_agent, Some(client.dialect.to_owned())),
            None => (None, None, None),
        };
        EventRecord {
            id,
            time: now.to_string(),
            event_type: self.event_type.name().to_owned(),
            outcome: self.event_type.outcome().name().to_owned(),
            user: self.user.map(|id| Party { id: id.to_string() }),
            actor: actor.map(|id| Party { id }),
            session: self.session.map(|session| session.to_string()),
            client_ip,
            user_agent,
            dialect,
            method: self.method.map(|method| method.name().to_owned()),
            reason: self.reason.map(str::to_owned),
            details: self.details,
        }
    }
}

/// A security event as it is stored and sent. Its fields are texts, because a newer node may have written it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventRecord {
    /// Unique, and the same in the log, the list and the webhook.
    pub id: String,
    /// When it happened: RFC 3339.
    pub time: String,
    /// The name of its [`EventType`].
    #[serde(rename = "type")]
    pub event_type: String,
    /// `success` or `refused`.
    pub outcome: String,
    /// The user concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Party>,
    /// The user or operator that did it, if that is not the user concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Party>,
    /// The session concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The client's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_ip: Option<String>,
    /// The client's `User-Agent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// The API that was called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dialect: Option<String>,
    /// The method of a sign-in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Details that only events of this type have.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub details: Map<String, Value>,
}

/// A user or a process that an event names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    /// The id of a user; for an actor also `cli` (the command line) or `system` (the server itself).
    pub id: String,
}
