//! Revocations as entries of the stream, and following them.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fred::interfaces::ClientLike;
use fred::types::{CustomCommand, Value};

use super::reply::ReplyReader;
use super::scripts::{FOLLOW, Runner, corrupt, from_driver, unavailable};
use super::settings::Settings;
use crate::clock::Timestamp;
use crate::id::{ApiKeyId, SessionId, TokenId, UserId};
use crate::store::Result;
use crate::store::ephemeral::redis::args::RedisArg;
use crate::store::ephemeral::redis::connection::Connection;
use crate::store::ephemeral::{Cursor, Revocation, Target};

/// A target as it is written in an entry and `publish.lua` takes it: a word, and what it needs.
pub(super) fn written(target: &Target) -> String {
    match target {
        Target::Token(id) => format!("token {id}"),
        Target::Session(id) => format!("session {id}"),
        Target::User { user, before } => format!("user {user} {}", before.millis()),
        Target::ApiKey(id) => format!("apikey {id}"),
        Target::Ring => "ring".into(),
        Target::Floor => "floor".into(),
    }
}

fn read(text: &str) -> Option<Target> {
    let (kind, rest) = text.split_once(' ').unwrap_or((text, ""));
    Some(match kind {
        "token" => Target::Token(TokenId::parse(rest)?),
        "session" => Target::Session(SessionId::parse(rest)?),
        "user" => {
            let (user, before) = rest.split_once(' ')?;
            Target::User { user: UserId::parse(user)?, before: Timestamp::from_millis(before.parse().ok()?) }
        }
        "apikey" => Target::ApiKey(ApiKeyId::parse(rest)?),
        "ring" => Target::Ring,
        "floor" => Target::Floor,
        _ => return None,
    })
}

/// Where a follower stands: in which stream (they differ by when they were born), and behind which entry.
struct Place {
    born: String,
    id: String,
}

impl Place {
    fn read(cursor: &Cursor) -> Result<Self> {
        if cursor.0.is_empty() {
            return Ok(Self { born: String::new(), id: String::new() });
        }
        let (born, id) = cursor.0.split_once('/').ok_or_else(|| corrupt("not a place among the revocations"))?;
        Ok(Self { born: born.into(), id: id.into() })
    }

    fn written(&self) -> Cursor {
        if self.id.is_empty() { Cursor::start() } else { Cursor(format!("{}/{}", self.born, self.id)) }
    }

    /// Reads entries, and moves behind the last of them.
    fn pass(&mut self, entries: Value) -> Result<Vec<Revocation>> {
        let mut seen = Vec::new();
        for entry in ReplyReader::of(entries)? {
            let mut entry = ReplyReader::of(entry)?;
            self.id = entry.text()?;
            let mut fields = ReplyReader::of(entry.value()?)?;
            let (_, target, _, until) = (fields.value()?, fields.text()?, fields.value()?, fields.number()?);
            let until = Timestamp::from_millis(until);
            // A newer version may publish what this one does not know; it concerns nothing that this one has made.
            match read(&target) {
                Some(target) => seen.push(Revocation { target, until }),
                None => tracing::warn!(target, "a revocation of an unknown kind is passed over"),
            }
        }
        Ok(seen)
    }
}

/// Follows the stream on connections of its own: one that waits can answer nobody else.
pub(super) struct Follower {
    stream: String,
    born: String,
    settings: Settings,
    idle: Mutex<Vec<Connection>>,
}

impl Follower {
    pub(super) fn new(stream: String, born: String, settings: Settings) -> Self {
        Self { stream, born, settings, idle: Mutex::default() }
    }

    pub(super) async fn follow(
        &self,
        runner: &Runner,
        from: &Cursor,
        patience: Duration,
    ) -> Result<(Vec<Revocation>, Cursor)> {
        let mut place = Place::read(from)?;
        let mut seen = self.read(runner, &mut place).await?;
        if seen.is_empty() && !patience.is_zero() {
            let entries = self.wait(&place, patience).await?;
            seen = if place.born.is_empty() {
                // The stream began while this waited: what it is called is still to be read.
                self.read(runner, &mut place).await?
            } else {
                place.pass(entries)?
            };
        }
        Ok((seen, place.written()))
    }

    /// Reads what is there behind a place.
    async fn read(&self, runner: &Runner, place: &mut Place) -> Result<Vec<Revocation>> {
        let keys: [&dyn RedisArg; 2] = [&self.stream, &self.born];
        let args: [&dyn RedisArg; 2] = [&place.id, &place.born];
        let mut answer = ReplyReader::of(runner.run(&FOLLOW, &keys, Timestamp::default(), &args).await?)?;
        let lost = answer.number()? != 0;
        place.born = answer.text()?;
        let mut seen = Vec::new();
        if lost {
            tracing::warn!("Redis has lost revocations; following them from the start");
            place.id = String::new();
            seen =
                [Target::Floor, Target::Ring].map(|target| Revocation { target, until: Timestamp::default() }).into();
        }
        seen.extend(place.pass(answer.value()?)?);
        Ok(seen)
    }

    /// Waits for entries behind a place.
    async fn wait(&self, place: &Place, patience: Duration) -> Result<Value> {
        let block = i64::try_from(patience.as_millis()).unwrap_or(i64::MAX).max(1);
        let behind = if place.id.is_empty() { "0-0" } else { &place.id };
        let words: [Value; 7] = [
            "BLOCK".into(),
            block.into(),
            "COUNT".into(),
            1000.into(),
            "STREAMS".into(),
            self.stream.as_str().into(),
            behind.into(),
        ];
        let line = match self.kept() {
            Some(line) => line,
            None => Connection::open(&self.settings).await.map_err(|error| from_driver(&error))?.0,
        };
        let read = CustomCommand::new_static("XREAD", self.stream.as_str(), true);
        let asked = line.client.custom::<Value, _>(read, words.into());
        // Dropping the line, here as when this future is dropped, ends the connection that waits.
        let answer = tokio::time::timeout(patience + self.settings.timeout, asked)
            .await
            .map_err(|_| unavailable("no answer in time".into()))?
            .map_err(|error| from_driver(&error))?;
        self.idle().push(line);
        match answer {
            Value::Null => Ok(Value::Array(Vec::new())),
            answer => {
                let mut stream = ReplyReader::of(ReplyReader::of(answer)?.value()?)?;
                stream.value()?;
                stream.value()
            }
        }
    }

    /// A line that waited before and is still open.
    fn kept(&self) -> Option<Connection> {
        let mut idle = self.idle();
        idle.retain(Connection::is_open);
        idle.pop()
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
