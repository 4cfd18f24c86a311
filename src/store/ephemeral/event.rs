//! Security events as the store keeps them: an opaque text in a bounded list. Knows nothing of what a text contains.

use std::time::Duration;

use super::revocation::Position;
use crate::clock::Timestamp;
use crate::id::UserId;

/// A list of events: that of the fleet, or that of one user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventScope {
    /// The events of all.
    Fleet,
    /// The events that concern this user.
    User(UserId),
}

/// The two kinds of events. A list keeps them apart, each within its own bound, so that attempts, which a stranger can
/// cause in any number, never displace what was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventClass {
    /// Something was done.
    Action,
    /// Something was refused.
    Attempt,
}

/// An event to append.
#[derive(Clone, Copy, Debug)]
pub struct NewEvent<'a> {
    /// The kind.
    pub class: EventClass,
    /// The event.
    pub text: &'a str,
}

/// The bounds of a list. An append enforces them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventBounds {
    /// How many events of each class stay.
    pub count: u32,
    /// How long an event stays.
    pub keep: Duration,
}

/// The events to read: older ones from the newest down, or newer ones from the oldest up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventRange {
    /// The newest events.
    Newest,
    /// The events before a position, the newest first.
    Before(Position),
    /// The events after a position, the oldest first.
    After(Position),
}

/// A query of a list of events.
#[derive(Clone, Copy, Debug)]
pub struct EventQuery {
    /// The list.
    pub scope: EventScope,
    /// One class; `None`: both, in one order.
    pub class: Option<EventClass>,
    /// The part of the list.
    pub range: EventRange,
    /// Events that were appended before this moment are not found.
    pub not_before: Timestamp,
    /// At most this many events.
    pub limit: u32,
}

/// An event that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its position among the events of its list. An event that is appended later has a greater one.
    pub position: Position,
    /// The event, as it was appended.
    pub text: String,
}
