//! The scripts, and how one is run: a single EVALSHA, unless the server does not know the script or says that it came late.
//! Knows nothing of what they do.
//!
//! What is safe to try again is decided here and nowhere else: only what the server says it has *not* done. NOSCRIPT and
//! LATE are such answers. A command whose answer was lost may have been done, and is not tried again: the caller
//! gets [`Error::Unavailable`] and its own client tries again, which is safe for a rotation (the grace, see
//! `present`), and costs a code or one of a limit's tickets otherwise.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use fred::clients::WithOptions;
use fred::error::{Error as DriverError, ErrorKind};
use fred::interfaces::ClientLike;
use fred::types::config::Options;
use fred::types::scripts::Script;
use fred::types::{CustomCommand, Value};

use crate::clock::Timestamp;
use crate::store::ephemeral::redis::args::{RedisArg, written};
use crate::store::ephemeral::redis::connection::{Connection, Link};
use crate::store::{Error, Result};

/// Each script is its own file behind those whose functions it calls, and no others: Redis makes every function anew at every call.
macro_rules! scripts {
    ($($name:ident $($file:literal)+;)+) => {
        $(pub(super) static $name: LazyLock<Script> = LazyLock::new(|| {
            Script::from_lua(concat!(include_str!("lua/clock.lua"), $(include_str!($file)),+))
        });)+
    };
}

scripts! {
    OPEN "lua/lives.lua" "lua/open.lua";
    PRESENT "lua/lives.lua" "lua/present.lua";
    LIST "lua/list.lua";
    SET_PROFILE "lua/set_profile.lua";
    END "lua/lives.lua" "lua/end.lua";
    BURY "lua/bury.lua";
    PUBLISH "lua/stream.lua" "lua/publish.lua";
    FOLLOW "lua/stream.lua" "lua/follow.lua";
    FORGET "lua/forget.lua";
    FLOOR "lua/stream.lua" "lua/floor.lua";
    RAISE_FLOOR "lua/stream.lua" "lua/raise_floor.lua";
    PUT_CLAIM "lua/put_claim.lua";
    REDEEM "lua/lives.lua" "lua/tries.lua" "lua/redeem.lua";
    DROP_CLAIM "lua/drop_claim.lua";
    COUNT_TRY "lua/lives.lua" "lua/tries.lua" "lua/count_try.lua";
    FORGIVE_TRY "lua/lives.lua" "lua/tries.lua" "lua/forgive_try.lua";
    TAKE "lua/lives.lua" "lua/take.lua";
    SWAP_RING "lua/stream.lua" "lua/swap_ring.lua";
}

/// Runs scripts and plain commands over a link, each within its time.
pub(super) struct Runner {
    link: Link,
    timeout: Duration,
}

impl Runner {
    pub(super) fn new(link: Link, timeout: Duration) -> Self {
        Self { link, timeout }
    }

    /// Runs a script on keys that share a slot. `now` is the caller's, not the server's.
    pub(super) async fn run(
        &self,
        script: &Script,
        keys: &[&dyn RedisArg],
        now: Timestamp,
        args: &[&dyn RedisArg],
    ) -> Result<Value> {
        let began = Instant::now();
        let line = self.link.line().map_err(unavailable)?;
        let mut known = true;
        let mut tries = 0;
        loop {
            tries += 1;
            let (command, what) = match script.lua() {
                Some(lua) if !known => ("EVAL", lua),
                _ => ("EVALSHA", script.sha1()),
            };
            let head: [&dyn RedisArg; 2] = [&&**what, &(keys.len() as u64)];
            let times: [&dyn RedisArg; 2] = [&line.deadline(self.timeout), &now];
            let words = written(head.iter().chain(keys).chain(&times).chain(args).copied());
            // Not the driver's own `evalsha`: it is not implemented for a client with options, and called through one it
            // leaves the options, the time-out among them, behind.
            let slot = words.get(head.len()).and_then(Value::as_bytes).unwrap_or_default();
            let command = CustomCommand::new_static(command, slot, false);
            let client = self.client(&line, self.timeout.saturating_sub(began.elapsed()));
            let answer = client.custom::<Value, _>(command, words).await;
            match answer {
                Ok(value) => return Ok(value),
                Err(error) if tries <= 3 && error.details().starts_with("NOSCRIPT") => known = false,
                Err(error) => match late(&error) {
                    Some(server_now) if tries <= 3 => line.hear(server_now),
                    _ => return Err(self.failed(&line, error)),
                },
            }
        }
    }

    /// Runs something else that the driver can do.
    pub(super) async fn ask<T>(
        &self,
        ask: impl AsyncFnOnce(WithOptions<fred::clients::Client>) -> std::result::Result<T, DriverError>,
    ) -> Result<T> {
        let line = self.link.line().map_err(unavailable)?;
        ask(self.client(&line, self.timeout)).await.map_err(|error| self.failed(&line, error))
    }

    fn client(&self, line: &Connection, timeout: Duration) -> WithOptions<fred::clients::Client> {
        let timeout = Some(timeout.max(Duration::from_millis(1)));
        line.client.with_options(&Options { timeout, fail_fast: true, ..Options::default() })
    }

    fn failed(&self, line: &Connection, error: DriverError) -> Error {
        if *error.kind() == ErrorKind::Timeout {
            line.end();
        }
        from_driver(&error)
    }
}

fn late(error: &DriverError) -> Option<i64> {
    error.details().strip_prefix("LATE ")?.split_whitespace().next()?.parse().ok()
}

/// What the driver or the server says, which holds keys and addresses but nothing secret.
pub(super) fn from_driver(error: &DriverError) -> Error {
    let detail = error.to_string();
    if error.details().starts_with("WRONGTYPE") { corrupt(detail) } else { unavailable(detail) }
}

pub(super) fn unavailable(detail: String) -> Error {
    Error::Unavailable { store: "redis", detail }
}

pub(super) fn corrupt(detail: impl Into<String>) -> Error {
    Error::Corrupt { store: "redis", detail: detail.into() }
}
