//! The scripts and how they are run: by a single EVALSHA, unless the server does not know the script or replies that
//! the command is late. Knows nothing of what they do.
//!
//! Only this module decides what is retried: only a command that the server reports as *not* executed, by NOSCRIPT or
//! LATE. A command whose reply was lost may have been executed and is not retried. The caller gets
//! [`Error::Unavailable`] and its own client retries, which is safe for a rotation (because of the grace) and costs a
//! code or a permit otherwise.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use fred::clients::WithOptions;
use fred::error::{Error as DriverError, ErrorKind};
use fred::interfaces::ClientLike;
use fred::types::config::Options;
use fred::types::scripts::Script;
use fred::types::{CustomCommand, Value};

use super::args::{RedisArg, encode};
use super::connection::{Connection, PersistentConnection};
use crate::clock::Timestamp;
use crate::store::operation::{Observer, Operation, Probe};
use crate::store::{Error, Result};

/// The name of this store in errors.
const STORE: &str = "Redis";

/// A script is its own file, preceded by those whose functions it calls and no others, because Redis creates every
/// function again at every call.
macro_rules! scripts {
    ($($name:ident $operation:ident $($file:literal)+;)+) => {
        $(pub(super) static $name: MeasuredScript = MeasuredScript {
            operation: Operation::$operation,
            script: LazyLock::new(|| {
                Script::from_lua(concat!(include_str!("lua/deadline.lua"), $(include_str!($file)),+))
            }),
        };)+
    };
}

/// A script and the operation that its runs are measured as.
pub(super) struct MeasuredScript {
    operation: Operation,
    script: LazyLock<Script>,
}

scripts! {
    OPEN_SESSION OpenSession "lua/expiry.lua" "lua/known_networks.lua" "lua/open_session.lua";
    ROTATE_REFRESH_TOKENS RotateRefreshToken "lua/expiry.lua" "lua/rotate_refresh_tokens.lua";
    LIST_SESSIONS Sessions "lua/list_sessions.lua";
    SET_CLAIMS SetClaims "lua/set_claims.lua";
    END_SESSIONS EndSessions "lua/expiry.lua" "lua/end_sessions.lua";
    DELETE_SESSIONS EndSessions "lua/delete_sessions.lua";
    PUBLISH_REVOCATIONS Revoke "lua/revocation_stream.lua" "lua/publish_revocations.lua";
    READ_REVOCATIONS ReadStream "lua/revocation_stream.lua" "lua/read_revocations.lua";
    FORGET_REVOCATIONS ForgetRevocations "lua/forget_revocations.lua";
    GLOBAL_NOT_BEFORE GlobalNotBefore "lua/revocation_stream.lua" "lua/global_not_before.lua";
    RAISE_GLOBAL_NOT_BEFORE RaiseGlobalNotBefore "lua/revocation_stream.lua" "lua/raise_global_not_before.lua";
    NEWEST_REVOCATION NewestRevocation "lua/newest_revocation.lua";
    REPORT_NODE ReportNode "lua/report_node.lua";
    WITHDRAW_NODE WithdrawNode "lua/withdraw_node.lua";
    NODES Nodes "lua/nodes.lua";
    REPORT_FOLLOWER ReportFollower "lua/report_follower.lua";
    FOLLOWERS Followers "lua/followers.lua";
    STORE_CLAIM StoreClaim "lua/store_claim.lua";
    REDEEM_CLAIM Redeem "lua/expiry.lua" "lua/daily_attempts.lua" "lua/redeem_claim.lua";
    RELEASE_CLAIM ReleaseClaim "lua/release_claim.lua";
    DELETE_CLAIM DeleteClaim "lua/delete_claim.lua";
    COUNT_ATTEMPT CountAttempt "lua/expiry.lua" "lua/daily_attempts.lua" "lua/count_attempt.lua";
    REFUND_ATTEMPT RefundAttempt "lua/expiry.lua" "lua/daily_attempts.lua" "lua/refund_attempt.lua";
    TAKE_PERMIT TakePermit "lua/expiry.lua" "lua/permit.lua" "lua/take_permit.lua";
    TAKE_REQUESTER_PERMIT TakeRequesterPermit "lua/expiry.lua" "lua/permit.lua" "lua/take_requester_permit.lua";
    REMEMBER_NETWORK RememberNetwork "lua/known_networks.lua" "lua/remember_network.lua";
    TAKE_NETWORK_PERMIT TakeNetworkPermit "lua/expiry.lua" "lua/permit.lua" "lua/take_network_permit.lua";
    APPEND_EVENTS AppendEvents "lua/expiry.lua" "lua/append_events.lua";
    READ_EVENTS ReadEvents "lua/read_events.lua";
    RESERVE_IDEMPOTENCY_KEY ReserveIdempotencyKey "lua/reserve_idempotency_key.lua";
    COMPLETE_IDEMPOTENCY_KEY CompleteIdempotencyKey "lua/complete_idempotency_key.lua";
    RELEASE_IDEMPOTENCY_KEY ReleaseIdempotencyKey "lua/release_idempotency_key.lua";
    SWAP_KEYRING SwapKeyring "lua/revocation_stream.lua" "lua/swap_keyring.lua";
}

/// Runs scripts and plain commands, each within the timeout.
pub(super) struct Runner {
    connection: PersistentConnection,
    timeout: Duration,
    probe: Probe,
}

impl Runner {
    pub(super) fn new(connection: PersistentConnection, timeout: Duration) -> Self {
        Self { connection, timeout, probe: Probe::default() }
    }

    /// Reports every operation to `observer`.
    pub(super) fn report_to(&self, observer: Arc<dyn Observer>) {
        self.probe.report_to(observer);
    }

    /// Measures work that is more than one script or no script.
    pub(super) fn measure<T>(
        &self,
        operation: Operation,
        work: impl Future<Output = Result<T>>,
    ) -> impl Future<Output = Result<T>> {
        self.probe.measure(operation, work)
    }

    /// Runs a script on keys that share a slot and reads its reply. `now` is the caller's, not the server's.
    pub(super) async fn run<T>(
        &self,
        script: &MeasuredScript,
        keys: &[&dyn RedisArg],
        now: Timestamp,
        args: &[&dyn RedisArg],
        read: impl FnOnce(Value) -> Result<T>,
    ) -> Result<T> {
        let work = async { read(self.run_unmeasured(script, keys, now, args).await?) };
        self.probe.measure(script.operation, work).await
    }

    /// As [`Runner::run`], for a step of an operation that is measured as a whole. Keys in several slots are refused if
    /// they are on several servers: see [`is_cross_slot`].
    pub(super) async fn run_unmeasured(
        &self,
        script: &MeasuredScript,
        keys: &[&dyn RedisArg],
        now: Timestamp,
        args: &[&dyn RedisArg],
    ) -> Result<Value> {
        self.run_since(Instant::now(), script, keys, now, args).await
    }

    /// As [`Runner::run_unmeasured`], for a caller that has waited since `started_at`.
    pub(super) async fn run_since(
        &self,
        started_at: Instant,
        MeasuredScript { script, .. }: &MeasuredScript,
        keys: &[&dyn RedisArg],
        now: Timestamp,
        args: &[&dyn RedisArg],
    ) -> Result<Value> {
        let connection = self.connection.current().map_err(disconnected)?;
        let mut is_cached = true;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let (command, code) = match script.lua() {
                Some(lua) if !is_cached => ("EVAL", lua),
                _ => ("EVALSHA", script.sha1()),
            };
            let head: [&dyn RedisArg; 2] = [&&**code, &(keys.len() as u64)];
            let remaining = self.timeout.saturating_sub(started_at.elapsed());
            let times: [&dyn RedisArg; 2] = [&connection.deadline(remaining, self.timeout), &now];
            let encoded = encode(head.iter().chain(keys).chain(&times).chain(args).copied());
            // Not the driver's own `evalsha`: it is not implemented for a client with options, and ignores the options,
            // the timeout among them.
            let slot = encoded.get(head.len()).and_then(Value::as_bytes).unwrap_or_default();
            let command = CustomCommand::new_static(command, slot, false);
            let client = self.client(&connection, remaining);
            match client.custom::<Value, _>(command, encoded).await {
                Ok(value) => return Ok(value),
                Err(error) if attempts <= 3 && error.details().starts_with("NOSCRIPT") => is_cached = false,
                Err(error) => match server_time_if_late(&error) {
                    Some(server_now) if attempts <= 3 => connection.record_server_time(server_now),
                    _ => return Err(close_if_timed_out(&connection, error)),
                },
            }
        }
    }

    /// Runs plain commands of the driver.
    pub(super) async fn call<T>(
        &self,
        call: impl AsyncFnOnce(WithOptions<fred::clients::Client>) -> std::result::Result<T, DriverError>,
    ) -> Result<T> {
        let connection = self.connection.current().map_err(disconnected)?;
        call(self.client(&connection, self.timeout)).await.map_err(|error| close_if_timed_out(&connection, error))
    }

    fn client(&self, connection: &Connection, timeout: Duration) -> WithOptions<fred::clients::Client> {
        let timeout = Some(timeout.max(Duration::from_millis(1)));
        connection.client.with_options(&Options { timeout, fail_fast: true, ..Options::default() })
    }
}

/// Closes the connection after a timeout, because every later reply on it is late too.
fn close_if_timed_out(connection: &Connection, error: DriverError) -> Error {
    if *error.kind() == ErrorKind::Timeout {
        connection.close();
    }
    from_driver(&error)
}

/// The server's time in the error of `deadline.lua`.
fn server_time_if_late(error: &DriverError) -> Option<i64> {
    error.details().strip_prefix("LATE ")?.split_whitespace().next()?.parse().ok()
}

/// Translates an error of the driver or the server. Its text contains keys and addresses but no secret.
pub(super) fn from_driver(error: &DriverError) -> Error {
    use ErrorKind::{Canceled, Cluster, IO, Routing, Sentinel, Timeout};
    let detail = error.to_string();
    if error.details().starts_with("WRONGTYPE") {
        return corrupt(detail);
    }
    match error.kind() {
        Canceled | Cluster | IO | Routing | Sentinel | Timeout => disconnected(detail),
        _ => Error::Unavailable { store: STORE, detail, is_logged: false },
    }
}

/// True if a server refuses a command because its keys are in several slots. Nothing was executed.
pub(super) fn is_cross_slot(error: &Error) -> bool {
    matches!(error, Error::Unavailable { detail, .. } if detail.contains("CROSSSLOT"))
}

/// There is no connection, or it was lost during the call. The loss itself is logged.
pub(super) fn disconnected(detail: String) -> Error {
    Error::Unavailable { store: STORE, detail, is_logged: true }
}

pub(super) fn corrupt(detail: impl Into<String>) -> Error {
    Error::Corrupt { store: STORE, detail: detail.into() }
}
