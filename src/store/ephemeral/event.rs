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

/// The kinds of events. A list keeps them apart, each within its own bound, so that attempts, which a stranger can
/// cause in any number, never displace what was done, and actions of strangers never displace privileged ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventClass {
    /// Something was done.
    Action,
    /// Something was refused.
    Attempt,
    /// Something was done by an administrator or an operator, or to a superuser's account.
    Privileged,
}

impl EventScope {
    /// The classes that this list keeps apart. No action of a stranger is in the list of another user, so privileged
    /// events there are actions.
    pub const fn classes(self) -> &'static [EventClass] {
        match self {
            Self::Fleet => &[EventClass::Action, EventClass::Attempt, EventClass::Privileged],
            Self::User(_) => &[EventClass::Action, EventClass::Attempt],
        }
    }

    /// The class in which this list keeps an event of `class`.
    pub fn class(self, class: EventClass) -> EventClass {
        if self.classes().contains(&class) { class } else { EventClass::Action }
    }
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
    /// True: attempts alone; false: all but attempts; `None`: all, in one order.
    pub is_attempt: Option<bool>,
    /// The part of the list.
    pub range: EventRange,
    /// Events that were appended before this moment are not found.
    pub not_before: Timestamp,
    /// At most this many events.
    pub limit: u32,
}

impl EventQuery {
    /// Returns true if events of this class are wanted.
    pub fn includes(&self, class: EventClass) -> bool {
        self.is_attempt.is_none_or(|is_attempt| is_attempt == (class == EventClass::Attempt))
    }
}

/// An event that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its position among the events of its list. An event that is appended later has a greater one.
    pub position: Position,
    /// The event, as it was appended.
    pub text: String,
}
