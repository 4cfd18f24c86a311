//! Reading what Redis answers. Knows the shapes of answers, not where they come from.

use fred::types::Value;

use super::scripts::corrupt;
use crate::clock::Timestamp;
use crate::id::{SessionId, UserId};
use crate::store::Result;
use crate::store::ephemeral::{Session, SessionSnapshot};

/// An answer's parts, read one after the other.
pub(super) struct ReplyReader(std::vec::IntoIter<Value>);

impl ReplyReader {
    pub(super) fn of(value: Value) -> Result<Self> {
        match value {
            Value::Array(parts) => Ok(Self(parts.into_iter())),
            other => Err(corrupt(format!("not a list but {:?}", other.kind()))),
        }
    }

    pub(super) fn value(&mut self) -> Result<Value> {
        self.0.next().ok_or_else(|| corrupt("too short an answer"))
    }

    pub(super) fn number(&mut self) -> Result<i64> {
        number(&self.value()?)
    }

    pub(super) fn text(&mut self) -> Result<String> {
        text(self.value()?)
    }

    pub(super) fn bytes(&mut self) -> Result<Vec<u8>> {
        bytes(self.value()?)
    }

    fn moment(&mut self) -> Result<Timestamp> {
        self.number().map(Timestamp::from_millis)
    }

    /// The ten fields of a session, in the order in which every script gives them.
    pub(super) fn session(&mut self, user: UserId, id: SessionId) -> Result<Session> {
        Ok(Session {
            id,
            user,
            counter: self.number()?.unsigned_abs(),
            opened_at: self.moment()?,
            used_at: self.moment()?,
            rotated_at: self.moment()?,
            idle: std::time::Duration::from_millis(self.number()?.unsigned_abs()),
            ends_at: self.moment()?,
            dialect: self.text()?,
            address: self.text()?,
            agent: self.text()?,
            profile: self.text()?,
        })
    }

    /// What tokens are made of, as `present.lua` gives it.
    pub(super) fn standing(&mut self, user: UserId, id: SessionId) -> Result<SessionSnapshot> {
        Ok(SessionSnapshot {
            id,
            user,
            counter: self.number()?.unsigned_abs(),
            opened_at: self.moment()?,
            expires_at: self.moment()?,
            profile: self.text()?,
        })
    }
}

impl Iterator for ReplyReader {
    type Item = Value;
    fn next(&mut self) -> Option<Value> {
        self.0.next()
    }
}

pub(super) fn number(value: &Value) -> Result<i64> {
    value.as_i64().ok_or_else(|| corrupt(format!("not a number but {:?}", value.kind())))
}

pub(super) fn session_id(value: Value) -> Result<SessionId> {
    SessionId::parse(&text(value)?).ok_or_else(|| corrupt("a session's id is not one"))
}

pub(super) fn text(value: Value) -> Result<String> {
    value.into_string().ok_or_else(|| corrupt("not a text"))
}

pub(super) fn bytes(value: Value) -> Result<Vec<u8>> {
    match value {
        Value::Bytes(bytes) => Ok(bytes.to_vec()),
        Value::String(text) => Ok(text.as_bytes().to_vec()),
        // The driver reads a lone word of digits as text, but an integer is what a script made.
        other => Err(corrupt(format!("not bytes but {:?}", other.kind()))),
    }
}
