//! Sessions in Redis: the scripts that open and end them, and the publishing that must follow.

use fred::types::Value;

use super::args::RedisArg;
use super::reply::{self, ReplyReader};
use super::{Redis, scripts};
use crate::clock::Timestamp;
use crate::id::{SessionId, UserId};
use crate::store::Result;
use crate::store::ephemeral::{
    Ended, KNOWN_NETWORK_TTL, MAX_KNOWN_NETWORKS, Opened, Revocation, Session, SignOutScope, Target,
};

/// The fields of a session in the order in which [`ReplyReader::session`] reads them, and then `x`.
pub(super) const SESSION_FIELDS: [&str; 13] = ["c", "o", "u", "r", "i", "e", "d", "a", "g", "p", "t", "m", "x"];

impl Redis {
    /// Opens a session and ends those beyond the maximum.
    pub(super) async fn open_within_maximum(
        &self,
        session: &Session,
        network: &str,
        valid_after: Timestamp,
        max_sessions: u32,
        revocation_expires_at: Timestamp,
    ) -> Result<Opened> {
        let Session { id, user, used_at: now, .. } = *session;
        let (record, index) = (self.keys.session(user, id), self.keys.index(user));
        let (mark, prefix) = (self.keys.sign_in_mark(user), self.keys.session_prefix(user));
        let networks = self.keys.networks(user);
        let args: [&dyn RedisArg; 18] = [
            &valid_after,
            &id,
            &session.counter,
            &session.opened_at,
            &session.used_at,
            &session.rotated_at,
            &session.idle_timeout,
            &session.ends_at,
            &session.dialect,
            &session.client_ip,
            &session.user_agent,
            &session.claims,
            &session.auth_time,
            &session.custom_claims,
            &max_sessions,
            &network,
            &KNOWN_NETWORK_TTL,
            &MAX_KNOWN_NETWORKS,
        ];
        let keys: [&dyn RedisArg; 5] = [&record, &index, &mark, &prefix, &networks];
        let read = |reply| {
            let mut reply = ReplyReader::of(reply)?;
            if reply.number()? == 0 {
                return Ok(None);
            }
            let from_new_network = reply.number()? == 1;
            let (ids, ended) = read_ended(reply, revocation_expires_at)?;
            Ok(Some((ids, ended, from_new_network)))
        };
        let Some((ids, ended, from_new_network)) =
            self.runner.run(&scripts::OPEN_SESSION, &keys, now, &args, read).await?
        else {
            return Ok(Opened::Superseded);
        };
        if let Err(error) = self.publish_ended(user, &ids, &ended, now).await {
            // The caller gets no tokens of the new session, so it must not push out another one.
            self.delete_sessions(user, &[id], now).await;
            return Err(error);
        }
        Ok(Opened::Opened { ended, from_new_network })
    }

    /// Ends sessions, publishes their revocations and deletes them.
    pub(super) async fn end_and_publish(
        &self,
        user: UserId,
        scope: SignOutScope,
        valid_after: Option<Timestamp>,
        revocation_expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<Ended> {
        let (scope_name, id) = match scope {
            SignOutScope::One(id) => ("one", Some(id)),
            SignOutScope::Others(id) => ("others", Some(id)),
            SignOutScope::All => ("all", None),
        };
        let (index, prefix) = (self.keys.index(user), self.keys.session_prefix(user));
        let (mark, networks) = (self.keys.sign_in_mark(user), self.keys.networks(user));
        let keys: [&dyn RedisArg; 4] = [&index, &prefix, &mark, &networks];
        let args: [&dyn RedisArg; 3] = [&scope_name, &id, &valid_after];
        let read = |reply| {
            let mut reply = ReplyReader::of(reply)?;
            let before = Timestamp::from_millis(reply.number()?);
            Ok((before, read_ended(reply, revocation_expires_at)?))
        };
        // A node whose clock is ahead has opened sessions or issued tokens newer than `now`; `before` covers them too.
        let (before, (ids, mut revocations)) = self.runner.run(&scripts::END_SESSIONS, &keys, now, &args, read).await?;
        if scope == SignOutScope::All {
            revocations = vec![Revocation { target: Target::User { user, before }, expires_at: revocation_expires_at }];
        }
        let count = ids.len() as u64;
        self.publish_ended(user, &ids, &revocations, now).await?;
        Ok(Ended { count, revocations })
    }

    /// Publishes the revocations of sessions that a script has marked as ended, and then deletes the sessions.
    pub(super) async fn publish_ended(
        &self,
        user: UserId,
        ids: &[SessionId],
        revocations: &[Revocation],
        now: Timestamp,
    ) -> Result<()> {
        if !revocations.is_empty() {
            self.publish(revocations, now).await?;
        }
        if !ids.is_empty() {
            self.delete_sessions(user, ids, now).await;
        }
        Ok(())
    }

    /// Deletes sessions whose revocations are published. A failure is harmless, because they are marked as ended and
    /// expire.
    async fn delete_sessions(&self, user: UserId, ids: &[SessionId], now: Timestamp) {
        let ids: Vec<&dyn RedisArg> = ids.iter().map(|id| id as _).collect();
        let (index, prefix) = (self.keys.index(user), self.keys.session_prefix(user));
        if let Err(error) = self.runner.run_unmeasured(&scripts::DELETE_SESSIONS, &[&index, &prefix], now, &ids).await {
            tracing::debug!(%error, "ended sessions not deleted; they expire");
        }
    }
}

/// Reads a session's fields as [`SESSION_FIELDS`] lists them; `None` if it does not exist or is marked as ended.
pub(super) fn read_session(reply: Value, user: UserId, id: SessionId) -> Result<Option<Session>> {
    match reply {
        Value::Array(fields)
            if fields.len() == SESSION_FIELDS.len() && !fields[0].is_null() && fields[12].is_null() =>
        {
            ReplyReader::of(Value::Array(fields))?.session(user, id).map(Some)
        }
        _ => Ok(None),
    }
}

/// Reads the reply of `list_sessions.lua`, newest session first.
pub(super) fn read_list(reply: Value, user: UserId) -> Result<Vec<Session>> {
    let read_entry = |entry| {
        let mut entry = ReplyReader::of(entry)?;
        let id = reply::session_id(entry.value()?)?;
        entry.session(user, id)
    };
    let mut sessions = ReplyReader::of(reply)?.map(read_entry).collect::<Result<Vec<_>>>()?;
    sessions.sort_by_key(|session| std::cmp::Reverse((session.opened_at, session.id)));
    Ok(sessions)
}

/// Reads the ids of sessions that a script has ended, and makes their revocations.
fn read_ended(ids: ReplyReader, expires_at: Timestamp) -> Result<(Vec<SessionId>, Vec<Revocation>)> {
    let read = |id| {
        let id = reply::session_id(id)?;
        Ok((id, Revocation { target: Target::Session(id), expires_at }))
    };
    ids.map(read).collect()
}
