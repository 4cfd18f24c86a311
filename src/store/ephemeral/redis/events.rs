//! The lists of security events. Each is two streams: one script appends to both, and another reads both.

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
        let [actions, attempts] = self.keys.events(scope);
        let classes: Vec<u32> = events.iter().map(|event| stream(event.class)).collect();
        let entries = classes.iter().zip(events).flat_map(|(class, event)| [class as &dyn RedisArg, &event.text as _]);
        let bounds: [&dyn RedisArg; 2] = [&bounds.count, &bounds.keep];
        let args: Vec<&dyn RedisArg> = bounds.into_iter().chain(entries).collect();
        self.runner.run(&APPEND_EVENTS, &[&actions, &attempts], now, &args, ignore).await
    }

    pub(super) async fn query_streams(&self, query: EventQuery) -> Result<Vec<StoredEvent>> {
        let [actions, attempts] = self.keys.events(query.scope);
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
        let class = query.class.map(stream);
        let args: [&dyn RedisArg; 5] = [&is_ascending, &from, &to, &query.limit, &class];
        let read = |reply| read_streams(reply, is_ascending, query.limit);
        self.runner.run(&READ_EVENTS, &[&actions, &attempts], Timestamp::default(), &args, read).await
    }
}

/// The number of a class's stream among the keys of the scripts.
fn stream(class: EventClass) -> u32 {
    match class {
        EventClass::Action => 1,
        EventClass::Attempt => 2,
    }
}

/// Merges the entries of the streams.
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
    if !is_ascending {
        found.reverse();
    }
    found.truncate(limit as usize);
    Ok(found)
}
