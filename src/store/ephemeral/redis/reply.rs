//! Decodes replies of Redis. Knows their shapes, not the commands that they answer.

use fred::types::Value;

use super::scripts::corrupt;
use crate::clock::Timestamp;
use crate::id::{SessionId, UserId};
use crate::store::Result;
use crate::store::ephemeral::{Session, SessionSnapshot};

/// Reads the elements of a list one after the other.
pub(super) struct ReplyReader(std::vec::IntoIter<Value>);

impl ReplyReader {
    pub(super) fn of(value: Value) -> Result<Self> {
        match value {
            Value::Array(elements) => Ok(Self(elements.into_iter())),
            other => Err(corrupt(format!("expected a list, got {:?}", other.kind()))),
        }
    }

    pub(super) fn value(&mut self) -> Result<Value> {
        self.0.next().ok_or_else(|| corrupt("the reply is too short"))
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

    fn timestamp(&mut self) -> Result<Timestamp> {
        timestamp(&self.value()?)
    }

    /// Reads the twelve fields of a session, in the order in which every script returns them. Sessions that an older
    /// build opened have no `t`, and those of users without custom claims no `m`.
    pub(super) fn session(&mut self, user: UserId, id: SessionId) -> Result<Session> {
        let mut session = Session {
            id,
            user,
            counter: self.number()?.unsigned_abs(),
            opened_at: self.timestamp()?,
            auth_time: Timestamp::default(),
            used_at: self.timestamp()?,
            rotated_at: self.timestamp()?,
            idle_timeout: std::time::Duration::from_millis(self.number()?.unsigned_abs()),
            ends_at: self.timestamp()?,
            dialect: self.text()?,
            client_ip: self.text()?,
            user_agent: self.text()?,
            claims: self.text()?,
            custom_claims: String::new(),
        };
        session.auth_time = match self.value()? {
            Value::Null => session.opened_at,
            auth_time => timestamp(&auth_time)?,
        };
        session.custom_claims = match self.value()? {
            Value::Null => String::new(),
            custom_claims => text(custom_claims)?,
        };
        Ok(session)
    }

    /// Reads a snapshot as `rotate_refresh_tokens.lua` returns it.
    pub(super) fn snapshot(&mut self, user: UserId, id: SessionId, counter: u64) -> Result<SessionSnapshot> {
        // All are taken before one is decoded, because the result of another rotation comes next.
        let (opened_at, expires_at, claims) = (self.value()?, self.value()?, self.value()?);
        let (auth_time, custom_claims) = (self.value()?, self.value()?);
        Ok(SessionSnapshot {
            id,
            user,
            counter,
            opened_at: timestamp(&opened_at)?,
            expires_at: timestamp(&expires_at)?,
            claims: text(claims)?,
            auth_time: timestamp(&auth_time)?,
            custom_claims: text(custom_claims)?,
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
    value.as_i64().ok_or_else(|| corrupt(format!("expected a number, got {:?}", value.kind())))
}

fn timestamp(value: &Value) -> Result<Timestamp> {
    number(value).map(Timestamp::from_millis)
}

pub(super) fn session_id(value: Value) -> Result<SessionId> {
    SessionId::parse(&text(value)?).ok_or_else(|| corrupt("expected a session id"))
}

pub(super) fn text(value: Value) -> Result<String> {
    value.into_string().ok_or_else(|| corrupt("expected text"))
}

pub(super) fn bytes(value: Value) -> Result<Vec<u8>> {
    match value {
        Value::Bytes(bytes) => Ok(bytes.to_vec()),
        Value::String(text) => Ok(text.as_bytes().to_vec()),
        // Digits that were stored arrive as text; an integer can only be computed by a script.
        other => Err(corrupt(format!("expected bytes, got {:?}", other.kind()))),
    }
}
