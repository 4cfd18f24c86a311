//! [`Ephemeral`] in Redis: standalone, behind Sentinel, or a Cluster. Knows nothing of tokens, or of what
//! the claims of a session contain.
//!
//! Each method is one script in one slot, one round trip; concurrent refreshes share one: see `rotations`. Ending
//! sessions, reuse, and opening one session too many take a second one, because revocations are in the fleet's slot,
//! and a third to delete what was ended. All calls share one pipelined connection.
//!
//! **Failover.** Replication is asynchronous and WAIT is not used: it would cost another round trip on each refresh and
//! still guarantee nothing. A server that dies may lose the last moments of acknowledged writes:
//! - A lost rotation is healed by [`rotate_refresh_token`](Ephemeral::rotate_refresh_token), which accepts a token
//!   *ahead* of the store.
//! - A lost session must be opened again. Its access tokens are valid until they expire or one of them signs out.
//! - A session that was ended exists again in Redis. Some sessions must not come back: those of a user who was
//!   disabled, was deleted or has another password. The same holds for tokens of an API key that was deactivated. Each
//!   node learns of them from the store of accounts, which it reads at its start, each minute and whenever Redis was
//!   away: see [`durable`](crate::auth::revocation::durable). A session that its owner signed out is ended again by the
//!   node that ended it, if that was in the last minute before the failover and the node still runs. Otherwise all
//!   nodes that had read its revocation refuse it for as long as they remember it. After that it must be ended again.
//! - Replaced claims are the old ones again, until the next change or sign-in.
//!
//! Until a Cluster has promoted a replica of a dead master, all of it is unavailable instead of one slot in three,
//! because the driver connects to a whole cluster or not at all.
//!
//! **Frozen, full or gone.** Every call ends within the timeout, or immediately if there is no connection. A call that
//! cannot be done is [`Unavailable`](crate::store::Error::Unavailable) and is never half done: the first write of a
//! script is the one that a full memory refuses.

mod args;
mod claims;
mod connection;
mod events;
mod followers;
mod idempotency;
mod keyring;
mod keys;
mod limits;
mod nodes;
mod outage_log;
mod reply;
mod revocations;
mod rotations;
mod scripts;
mod sessions;
mod settings;
mod warnings;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use fred::clients::{Client, WithOptions};
use fred::error::ErrorKind;
use fred::interfaces::ClientLike;
use fred::types::{CustomCommand, Value};

pub use self::outage_log::OutageLog;
pub use self::settings::ConnectError;

use self::args::RedisArg;
use self::connection::PersistentConnection;
use self::keys::Keys;
use self::limits::read_allowance;
use self::revocations::StreamReader;
use self::rotations::Batcher;
use self::scripts::Runner;
use self::sessions::{SESSION_FIELDS, read_list, read_session};
use self::settings::Settings;
use super::{
    Allowance, Claim, ClaimKey, Cursor, Ended, Ephemeral, EventBounds, EventQuery, EventScope, FOLLOWER_REPORT_TTL,
    FollowerReport, IdempotentRequest, KeyReservation, Limit, MAX_FOLLOWERS, NetworkPermit, NewEvent, NodeReport,
    Opened, RedeemRequest, Redemption, RequesterAllowance, RequesterPermit, Revocation, RotateRequest, Rotation,
    SealedKeyring, Session, SessionClaims, SignOutScope, StoredEvent, StreamPage, SwapResult, Warning,
};
use crate::clock::Timestamp;
use crate::config;
use crate::id::{SessionId, UserId};
use crate::store::{Observer, Operation, Result};

/// The store. Its connections belong to the runtime on which it was created, so each worker creates its own.
#[derive(Clone)]
pub struct Redis {
    keys: Keys,
    runner: Arc<Runner>,
    rotations: Arc<Batcher>,
    stream_reader: Arc<StreamReader>,
}

impl Redis {
    /// Connects. An error here is for the operator; afterwards a lost connection is replaced automatically.
    pub async fn connect(config: &config::Redis) -> std::result::Result<Self, ConnectError> {
        Self::connect_with(config, Arc::default()).await
    }

    /// As [`Redis::connect`], with an outage log that all stores of the process share.
    pub async fn connect_with(
        config: &config::Redis,
        outages: Arc<OutageLog>,
    ) -> std::result::Result<Self, ConnectError> {
        let settings = Settings::read(config)?;
        let rotations = Arc::new(Batcher::new(settings.driver.server.is_clustered(), config.timeout));
        let connection =
            PersistentConnection::open(settings.clone(), outages).await.map_err(|error| match error.kind() {
                ErrorKind::Auth => ConnectError::Credentials(error.details().to_owned()),
                _ => ConnectError::Unavailable(scripts::from_driver(&error)),
            })?;
        let keys = Keys::new(&config.prefix);
        let stream_reader = Arc::new(StreamReader::new(keys.revocations(), settings));
        let runner = Arc::new(Runner::new(connection, config.timeout));
        Ok(Self { keys, runner, rotations, stream_reader })
    }

    /// Reports every operation to `observer`. The first observer stays.
    pub fn report_to(&self, observer: Arc<dyn Observer>) {
        self.runner.report_to(observer);
    }

    async fn publish(&self, revocations: &[Revocation], now: Timestamp) -> Result<()> {
        let targets: Vec<_> = revocations.iter().map(|revocation| revocations::encode(&revocation.target)).collect();
        let entries = targets.iter().zip(revocations);
        let args: Vec<&dyn RedisArg> =
            entries.flat_map(|(target, revocation)| [target as _, &revocation.expires_at as _]).collect();
        let [stream, epoch] = self.keys.revocations();
        self.runner.run(&scripts::PUBLISH_REVOCATIONS, &[&stream, &epoch], now, &args, ignore).await
    }

    /// Reads fields of a hash.
    async fn fields(&self, key: &str, fields: &[&str]) -> Result<Value> {
        let args = std::iter::once(key).chain(fields.iter().copied()).map(Value::from).collect();
        let command = CustomCommand::new_static("HMGET", key, false);
        self.runner.call(async |client| client.custom::<Value, _>(command, args).await).await
    }
}

/// Reads a reply that carries no information.
fn ignore(_: Value) -> Result<()> {
    Ok(())
}

#[async_trait]
impl Ephemeral for Redis {
    async fn open_session(
        &self,
        session: &Session,
        network: &str,
        valid_after: Timestamp,
        max_sessions: u32,
        revocation_expires_at: Timestamp,
    ) -> Result<Opened> {
        self.open_within_maximum(session, network, valid_after, max_sessions, revocation_expires_at).await
    }

    async fn rotate_refresh_token(&self, request: RotateRequest, now: Timestamp) -> Result<Rotation> {
        self.runner.measure(Operation::RotateRefreshToken, self.rotate(request, now)).await
    }

    async fn session(&self, user: UserId, session: SessionId, now: Timestamp) -> Result<Option<Session>> {
        let key = self.keys.session(user, session);
        let read = async {
            let session = read_session(self.fields(&key, &SESSION_FIELDS).await?, user, session)?;
            Ok(session.filter(|session| session.expires_at() > now))
        };
        self.runner.measure(Operation::Session, read).await
    }

    async fn sessions(&self, user: UserId, now: Timestamp) -> Result<Vec<Session>> {
        let (index, prefix) = (self.keys.index(user), self.keys.session_prefix(user));
        let read = |reply| read_list(reply, user);
        self.runner.run(&scripts::LIST_SESSIONS, &[&index, &prefix], now, &[], read).await
    }

    async fn set_claims(&self, user: UserId, claims: &SessionClaims, now: Timestamp) -> Result<u64> {
        let (index, prefix) = (self.keys.index(user), self.keys.session_prefix(user));
        let read = |reply| reply::number(&reply).map(i64::unsigned_abs);
        let args: [&dyn RedisArg; 2] = [&claims.claims, &claims.custom_claims];
        self.runner.run(&scripts::SET_CLAIMS, &[&index, &prefix], now, &args, read).await
    }

    async fn end_sessions(
        &self,
        user: UserId,
        scope: SignOutScope,
        valid_after: Option<Timestamp>,
        revocation_expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<Ended> {
        self.end_and_publish(user, scope, valid_after, revocation_expires_at, now).await
    }

    async fn revoke(&self, revocation: &Revocation, now: Timestamp) -> Result<()> {
        self.publish(std::slice::from_ref(revocation), now).await
    }

    async fn read_stream(&self, cursor: &Cursor, max_wait: Duration) -> Result<StreamPage> {
        self.runner.measure(Operation::ReadStream, self.stream_reader.read_stream(&self.runner, cursor, max_wait)).await
    }

    async fn forget_revocations(&self, before: Timestamp) -> Result<()> {
        let [stream, epoch] = self.keys.revocations();
        self.runner.run(&scripts::FORGET_REVOCATIONS, &[&stream, &epoch], before, &[], ignore).await
    }

    async fn global_not_before(&self, now: Timestamp) -> Result<Timestamp> {
        let [stream, epoch] = self.keys.revocations();
        let not_before = self.keys.global_not_before();
        let read = |reply| reply::number(&reply).map(Timestamp::from_millis);
        self.runner.run(&scripts::GLOBAL_NOT_BEFORE, &[&not_before, &stream, &epoch], now, &[], read).await
    }

    async fn raise_global_not_before(&self, now: Timestamp) -> Result<()> {
        let [stream, epoch] = self.keys.revocations();
        let not_before = self.keys.global_not_before();
        let keys: [&dyn RedisArg; 3] = [&not_before, &stream, &epoch];
        self.runner.run(&scripts::RAISE_GLOBAL_NOT_BEFORE, &keys, now, &[], ignore).await
    }

    async fn newest_revocation(&self) -> Result<Cursor> {
        let [stream, epoch] = self.keys.revocations();
        let keys: [&dyn RedisArg; 2] = [&stream, &epoch];
        self.runner.run(&scripts::NEWEST_REVOCATION, &keys, Timestamp::default(), &[], revocations::read_newest).await
    }

    async fn report_node(&self, node: &str, applied: &Cursor) -> Result<()> {
        self.set_node_field(nodes::POSITIONS, node, &applied.0).await
    }

    async fn withdraw_node(&self, node: &str) -> Result<()> {
        let nodes = self.keys.fleet(nodes::POSITIONS.0);
        self.runner.run(&scripts::WITHDRAW_NODE, &[&nodes], Timestamp::default(), &[&node], ignore).await
    }

    async fn nodes(&self, newest: &Cursor) -> Result<Vec<NodeReport>> {
        self.read_node_fields(nodes::POSITIONS, |reply| revocations::read_nodes(reply, newest)).await
    }

    async fn describe_node(&self, node: &str, text: &str) -> Result<()> {
        self.set_node_field(nodes::DESCRIPTIONS, node, text).await
    }

    async fn node_descriptions(&self) -> Result<Vec<(String, String)>> {
        self.read_node_fields(nodes::DESCRIPTIONS, nodes::read_descriptions).await
    }

    async fn report_follower(&self, report: &FollowerReport) -> Result<bool> {
        let (followers, text) = (self.keys.followers(), followers::encode(report));
        let args: [&dyn RedisArg; 4] = [&report.name, &text, &FOLLOWER_REPORT_TTL, &(MAX_FOLLOWERS as u64)];
        let read = |reply| Ok(reply::number(&reply)? == 1);
        self.runner.run(&scripts::REPORT_FOLLOWER, &[&followers], report.reported_at, &args, read).await
    }

    async fn followers(&self, now: Timestamp) -> Result<Vec<FollowerReport>> {
        let followers = self.keys.followers();
        let read = |reply| followers::read(reply, now);
        self.runner.run(&scripts::FOLLOWERS, &[&followers], now, &[], read).await
    }

    async fn store_claim(&self, claim: &Claim, now: Timestamp) -> Result<()> {
        self.put_claim(claim, now).await
    }

    async fn redeem(&self, request: RedeemRequest<'_>, now: Timestamp) -> Result<Redemption> {
        self.redeem_claim(request, now).await
    }

    async fn release_claim(&self, key: &ClaimKey, digest: [u8; 32], now: Timestamp) -> Result<()> {
        let key = self.keys.claim(key);
        self.runner.run(&scripts::RELEASE_CLAIM, &[&key], now, &[&&digest[..]], ignore).await
    }

    async fn peek_claim(&self, key: &ClaimKey, now: Timestamp) -> Result<Option<Vec<u8>>> {
        self.read_claim(key, now).await
    }

    async fn delete_claim(&self, key: &ClaimKey) -> Result<()> {
        let key = self.keys.claim(key);
        self.runner.run(&scripts::DELETE_CLAIM, &[&key], Timestamp::default(), &[], ignore).await
    }

    async fn count_attempt(&self, subject: &str, daily_attempts: u32, now: Timestamp) -> Result<Allowance> {
        let day = self.keys.day(subject);
        self.runner.run(&scripts::COUNT_ATTEMPT, &[&day], now, &[&daily_attempts], read_allowance).await
    }

    async fn refund_attempt(&self, subject: &str, now: Timestamp) -> Result<()> {
        self.runner.run(&scripts::REFUND_ATTEMPT, &[&self.keys.day(subject)], now, &[], ignore).await
    }

    async fn take_permit(&self, key: &str, limit: Limit, now: Timestamp) -> Result<Allowance> {
        self.take(key, limit, now).await
    }

    async fn take_requester_permit(&self, permit: RequesterPermit<'_>, now: Timestamp) -> Result<RequesterAllowance> {
        self.take_of_requester(permit, now).await
    }

    async fn remember_network(&self, user: UserId, network: &str, now: Timestamp) -> Result<()> {
        self.remember(user, network, now).await
    }

    async fn take_network_permit(&self, permit: NetworkPermit<'_>, now: Timestamp) -> Result<bool> {
        self.take_of_network(permit, now).await
    }

    async fn reserve_idempotency_key(
        &self,
        request: IdempotentRequest<'_>,
        reserved_until: Timestamp,
        now: Timestamp,
    ) -> Result<KeyReservation> {
        self.reserve_key(request, reserved_until, now).await
    }

    async fn complete_idempotency_key(
        &self,
        request: IdempotentRequest<'_>,
        response: &[u8],
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<()> {
        self.complete_key(request, response, expires_at, now).await
    }

    async fn release_idempotency_key(&self, request: IdempotentRequest<'_>, now: Timestamp) -> Result<()> {
        self.release_key(request, now).await
    }

    async fn keyring(&self) -> Result<Option<SealedKeyring>> {
        self.read_keyring().await
    }

    async fn swap_keyring(&self, expected: u64, bytes: &[u8], now: Timestamp) -> Result<SwapResult> {
        self.replace_keyring(expected, bytes, now).await
    }

    async fn append_events(
        &self,
        scope: EventScope,
        events: &[NewEvent<'_>],
        bounds: EventBounds,
        now: Timestamp,
    ) -> Result<()> {
        self.append_to_streams(scope, events, bounds, now).await
    }

    async fn read_events(&self, query: EventQuery) -> Result<Vec<StoredEvent>> {
        self.query_streams(query).await
    }

    async fn check(&self) -> Result<Vec<Warning>> {
        let key = self.keys.fleet("check");
        let check = async {
            let warnings = warnings::check_servers(&self.runner).await?;
            // A write, because PING also succeeds where writes are refused.
            let set = async |client: WithOptions<Client>| {
                let args = [key.as_str(), "1", "PX", "1000"].map(Value::from).into();
                client.custom::<Value, _>(CustomCommand::new_static("SET", key.as_str(), false), args).await
            };
            self.runner.call(set).await?;
            Ok(warnings)
        };
        self.runner.measure(Operation::CheckEphemeral, check).await
    }
}
