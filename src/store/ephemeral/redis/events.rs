//! The lists of security events. Each has a stream for each class: one script appends to them, and another reads them.
//!
//! A privileged event is in two streams, with the same id: in its own, where no other class displaces it, and among the
//! actions. Nodes of earlier versions know only the streams of actions and attempts. So they list the event, and give a
//! later one a greater id.

use fred::types::Value;

use super::args::RedisArg;
use super::reply::ReplyReader;
use super::scripts::{APPEND_EVENTS, READ_EVENTS, corrupt};
use super::{Redis, ignore};
use crate::clock::Timestamp;
use crate::store::Result;
use crate::store::ephemeral::{
    EventBounds, EventClass, EventQuery, EventRange, EventScope, NewEvent, Position, StoredEvent,
};

impl Redis {
    pub(super) async fn append_to_streams(
        &self,
        scope: EventScope,
        events: &[NewEvent<'_>],
        bounds: EventBounds,
        now: Timestamp,
    ) -> Result<()> {
        let streams = self.keys.events(scope);
        let keys: Vec<&dyn RedisArg> = streams.iter().map(|key| key as &dyn RedisArg).collect();
        let classes: Vec<u32> = events.iter().map(|event| stream(scope.class(event.class))).collect();
        let entries = classes.iter().zip(events).flat_map(|(class, event)| [class as &dyn RedisArg, &event.text as _]);
        let bounds: [&dyn RedisArg; 2] = [&bounds.count, &bounds.keep];
        let args: Vec<&dyn RedisArg> = bounds.into_iter().chain(entries).collect();
        self.runner.run(&APPEND_EVENTS, &keys, now, &args, ignore).await
    }

    pub(super) async fn query_streams(&self, query: EventQuery) -> Result<Vec<StoredEvent>> {
        let streams = self.keys.events(query.scope);
        let of_classes = query.scope.classes().iter().zip(&streams);
        let keys: Vec<&dyn RedisArg> =
            of_classes.filter(|(class, _)| query.includes(**class)).map(|(_, key)| key as &dyn RedisArg).collect();
        let oldest = u64::try_from(query.not_before.millis()).unwrap_or_default();
        let oldest = Position { major: oldest, minor: 0 };
        let (is_ascending, from, to) = match query.range {
            // Redis has no such intervals.
            EventRange::Before(position) if position <= oldest => return Ok(Vec::new()),
            EventRange::After(Position { major: u64::MAX, .. }) => return Ok(Vec::new()),
            EventRange::Newest => (false, oldest.to_string(), "+".to_owned()),
            EventRange::Before(position) => (false, oldest.to_string(), format!("({position}")),
            EventRange::After(position) if position < oldest => (true, oldest.to_string(), "+".to_owned()),
            EventRange::After(position) => (true, format!("({position}"), "+".to_owned()),
        };
        let args: [&dyn RedisArg; 4] = [&is_ascending, &from, &to, &query.limit];
        let read = |reply| read_streams(reply, is_ascending, query.limit);
        self.runner.run(&READ_EVENTS, &keys, Timestamp::default(), &args, read).await
    }
}

/// The number of a class's stream among the keys of the script that appends.
fn stream(class: EventClass) -> u32 {
    match class {
        EventClass::Action => 1,
        EventClass::Attempt => 2,
        EventClass::Privileged => 3,
    }
}

/// Merges the entries of the streams. Each has up to `limit`, so fewer than `limit` remain only if none has more.
fn read_streams(reply: Value, is_ascending: bool, limit: u32) -> Result<Vec<StoredEvent>> {
    let mut found = Vec::new();
    for entries in ReplyReader::of(reply)? {
        for entry in ReplyReader::of(entries)? {
            let mut entry = ReplyReader::of(entry)?;
            let position = Position::parse(&entry.text()?).ok_or_else(|| corrupt("expected the id of an event"))?;
            let mut fields = ReplyReader::of(entry.value()?)?;
            let (_, text) = (fields.value()?, fields.text()?);
            found.push(StoredEvent { position, text });
        }
    }
    found.sort_unstable_by_key(|event| event.position);
    found.dedup_by_key(|event| event.position);
    if !is_ascending {
        found.reverse();
    }
    found.truncate(limit as usize);
    Ok(found)
}
