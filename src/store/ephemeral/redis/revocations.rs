//! The stream of revocations: its entries, and reading it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fred::interfaces::ClientLike;
use fred::types::{CustomCommand, Value};

use super::args::RedisArg;
use super::connection::Connection;
use super::reply::{self, ReplyReader};
use super::scripts::{READ_REVOCATIONS, Runner, corrupt, disconnected, from_driver};
use super::settings::Settings;
use crate::clock::Timestamp;
use crate::id::{ApiKeyId, SessionId, TokenId, UserId};
use crate::store::Result;
use crate::store::ephemeral::{Cursor, NodeReport, Position, Revocation, StreamEntry, StreamPage, Target};

/// The number of entries in one reply, also in `read_revocations.lua`.
const PAGE: usize = 1000;

/// Encodes a target as it is stored in an entry: a kind and its parameters.
pub(super) fn encode(target: &Target) -> String {
    match target {
        Target::Token(id) => format!("token {id}"),
        Target::Session(id) => format!("session {id}"),
        Target::User { user, before } => format!("user {user} {}", before.millis()),
        Target::ApiKey(id) => format!("apikey {id}"),
        Target::Keyring => "ring".into(),
        Target::GlobalNotBefore => "floor".into(),
    }
}

fn decode(text: &str) -> Option<Target> {
    let (kind, rest) = text.split_once(' ').unwrap_or((text, ""));
    Some(match kind {
        "token" => Target::Token(TokenId::parse(rest)?),
        "session" => Target::Session(SessionId::parse(rest)?),
        "user" => {
            let (user, before) = rest.split_once(' ')?;
            Target::User { user: UserId::parse(user)?, before: Timestamp::from_millis(before.parse().ok()?) }
        }
        "apikey" => Target::ApiKey(ApiKeyId::parse(rest)?),
        "ring" => Target::Keyring,
        "floor" => Target::GlobalNotBefore,
        _ => return None,
    })
}

/// A cursor, parsed: an entry in the stream of an epoch, or nothing before the first entry.
struct ParsedCursor {
    epoch: String,
    id: String,
    /// Entries that it moved past, and notices.
    read: usize,
}

impl ParsedCursor {
    fn parse(cursor: &Cursor) -> Result<Self> {
        if cursor.0.is_empty() {
            return Ok(Self { epoch: String::new(), id: String::new(), read: 0 });
        }
        let (epoch, id) = cursor.0.split_once('/').ok_or_else(|| corrupt("expected a cursor of revocations"))?;
        Ok(Self { epoch: epoch.into(), id: id.into(), read: 0 })
    }

    fn to_cursor(&self) -> Cursor {
        if self.id.is_empty() { Cursor::start() } else { Cursor(format!("{}/{}", self.epoch, self.id)) }
    }

    /// Reads entries and moves to the last of them.
    fn advance(&mut self, entries: Value) -> Result<Vec<StreamEntry>> {
        let mut read = Vec::new();
        for entry in ReplyReader::of(entries)? {
            let mut entry = ReplyReader::of(entry)?;
            self.read += 1;
            self.id = entry.text()?;
            let position = Position::parse(&self.id).ok_or_else(|| corrupt("expected the id of a stream's entry"))?;
            let mut fields = ReplyReader::of(entry.value()?)?;
            let (_, target, _, expires_at) = (fields.value()?, fields.text()?, fields.value()?, fields.number()?);
            let expires_at = Timestamp::from_millis(expires_at);
            let published_at = Timestamp::from_millis(i64::try_from(position.major).unwrap_or(i64::MAX));
            // A newer version may publish a kind that this one does not know and that concerns nothing it has issued.
            match decode(&target) {
                Some(target) => read.push(StreamEntry {
                    position: Some(position),
                    published_at,
                    revocation: Revocation { target, expires_at },
                }),
                None => tracing::warn!(target, "revocation of an unknown kind ignored"),
            }
        }
        Ok(read)
    }

    /// The page of these entries, which [`advance`](Self::advance) has moved past.
    fn page(self, entries: Vec<StreamEntry>, store_time: Timestamp) -> StreamPage {
        let has_more = self.read >= PAGE;
        let end = Position::parse(&self.id).unwrap_or_default();
        let (cursor, store_time) = (self.to_cursor(), Some(store_time));
        StreamPage { entries, cursor, epoch: self.epoch, end, has_more, store_time }
    }
}

/// Reads the reply of `newest_revocation.lua`.
pub(super) fn read_newest(reply: Value) -> Result<Cursor> {
    let mut reply = ReplyReader::of(reply)?;
    Ok(ParsedCursor { epoch: reply.text()?, id: reply.text()?, read: 0 }.to_cursor())
}

/// Reads the reply of `nodes.lua`. A node that follows an older stream than `newest` is in has applied nothing of it.
pub(super) fn read_nodes(reply: Value, newest: &Cursor) -> Result<Vec<NodeReport>> {
    let newest = ParsedCursor::parse(newest)?;
    let mut nodes = Vec::new();
    let mut reply = ReplyReader::of(reply)?;
    while let Some(name) = reply.next() {
        let (name, applied) = (reply::text(name)?, ParsedCursor::parse(&Cursor(reply.text()?))?);
        let has_applied = newest.id.is_empty()
            || applied.epoch == newest.epoch && Position::parse(&applied.id) >= Position::parse(&newest.id);
        nodes.push(NodeReport { name, has_applied });
    }
    Ok(nodes)
}

/// Reads the stream. Waits for entries on connections of its own, because a connection that waits cannot be used for
/// anything else.
pub(super) struct StreamReader {
    stream: String,
    epoch: String,
    settings: Settings,
    idle: Mutex<Vec<Connection>>,
}

impl StreamReader {
    pub(super) fn new([stream, epoch]: [String; 2], settings: Settings) -> Self {
        Self { stream, epoch, settings, idle: Mutex::default() }
    }

    pub(super) async fn read_stream(&self, runner: &Runner, cursor: &Cursor, max_wait: Duration) -> Result<StreamPage> {
        let mut cursor = ParsedCursor::parse(cursor)?;
        let (mut entries, mut store_time) = self.read(runner, &mut cursor).await?;
        if entries.is_empty() && !max_wait.is_zero() {
            let waited = self.wait(&cursor, max_wait).await?;
            if cursor.epoch.is_empty() {
                // The stream was created during the wait, so its epoch must still be read.
                (entries, store_time) = self.read(runner, &mut cursor).await?;
            } else {
                entries = cursor.advance(waited)?;
            }
        }
        Ok(cursor.page(entries, store_time))
    }

    /// Reads the entries after a cursor, and the server's time.
    async fn read(&self, runner: &Runner, cursor: &mut ParsedCursor) -> Result<(Vec<StreamEntry>, Timestamp)> {
        let keys: [&dyn RedisArg; 2] = [&self.stream, &self.epoch];
        let args: [&dyn RedisArg; 2] = [&cursor.id, &cursor.epoch];
        let mut reply =
            ReplyReader::of(runner.run_unmeasured(&READ_REVOCATIONS, &keys, Timestamp::default(), &args).await?)?;
        let has_lost_entries = reply.number()? != 0;
        cursor.epoch = reply.text()?;
        let mut entries = Vec::new();
        if has_lost_entries {
            tracing::warn!("Redis has lost revocations; reading them from the start");
            cursor.id = String::new();
            entries = [Target::GlobalNotBefore, Target::Keyring]
                .map(|target| Revocation { target, expires_at: Timestamp::default() })
                .map(|revocation| StreamEntry { position: None, published_at: Timestamp::default(), revocation })
                .into();
            cursor.read = entries.len();
        }
        entries.extend(cursor.advance(reply.value()?)?);
        let last_id = reply.text()?;
        if cursor.id.is_empty() {
            // Every entry was trimmed. The next one comes after the last that was.
            cursor.id = last_id;
        }
        Ok((entries, Timestamp::from_millis(reply.number()?)))
    }

    /// Waits for entries after a cursor.
    async fn wait(&self, cursor: &ParsedCursor, max_wait: Duration) -> Result<Value> {
        let block = i64::try_from(max_wait.as_millis()).unwrap_or(i64::MAX).max(1);
        let after = if cursor.id.is_empty() { "0-0" } else { &cursor.id };
        let args: [Value; 7] = [
            "BLOCK".into(),
            block.into(),
            "COUNT".into(),
            (PAGE as i64).into(),
            "STREAMS".into(),
            self.stream.as_str().into(),
            after.into(),
        ];
        let connection = match self.take_idle() {
            Some(connection) => connection,
            None => Connection::open(&self.settings).await.map_err(|error| from_driver(&error))?.0,
        };
        let read = CustomCommand::new_static("XREAD", self.stream.as_str(), true);
        let call = connection.client.custom::<Value, _>(read, args.into());
        // Dropping the connection, on an error or with this future, closes it while it waits.
        let reply = tokio::time::timeout(max_wait + self.settings.timeout, call)
            .await
            .map_err(|_| disconnected("no reply in time".into()))?
            .map_err(|error| from_driver(&error))?;
        self.idle().push(connection);
        match reply {
            Value::Null => Ok(Value::Array(Vec::new())),
            reply => {
                let mut stream = ReplyReader::of(ReplyReader::of(reply)?.value()?)?;
                stream.value()?;
                stream.value()
            }
        }
    }

    /// Takes a connection that waited before and is still open.
    fn take_idle(&self) -> Option<Connection> {
        let mut idle = self.idle();
        idle.retain(Connection::is_open);
        idle.pop()
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
