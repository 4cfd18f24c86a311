//! The two roles of the store, counted and timed: whatever store stands behind, the callers notice nothing. Knows
//! nothing of what the calls mean.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use uuid::Uuid;

use super::metrics::Metrics;
use crate::clock::Timestamp;
use crate::id::{ApiKeyId, ProjectId, SessionId, UserId};
use crate::store::accounts::{
    ApiKey, Billed, BillingChange, Changed, Changes, Confirmed, Created, Find, NewUser, PasswordHash, RecoveryCode,
    SealedTotp, User,
};
use crate::store::ephemeral::{
    Allowance, Claim, Cursor, Ended, Limit, Opened, Redeem, Redemption, Revocation, RotateRequest, Rotation,
    SealedRing, Session, SignOutScope, Swap,
};
use crate::store::{Accounts, Ephemeral, Result};

/// A store whose calls are counted and timed.
pub struct Metered<S: ?Sized> {
    metrics: Arc<Metrics>,
    store: Arc<S>,
}

impl<S: ?Sized> Metered<S> {
    /// Puts the metrics in front of a store.
    pub fn new(store: Arc<S>, metrics: Arc<Metrics>) -> Self {
        Self { metrics, store }
    }
}

/// Writes the enumeration of a role's calls, and the role itself as calls that are passed on and counted. A method of the
/// trait that is missing here does not compile.
macro_rules! metered {
    ($role:ident, $label:literal, $calls:ident: $($name:ident($($arg:ident: $type:ty),*) -> $answer:ty;)*) => {
        #[allow(non_camel_case_types, reason = "they are the methods' names, which the metrics show")]
        #[derive(Clone, Copy)]
        enum $calls { $($name),* }

        impl $calls {
            const NAMES: &[(&'static str, &'static str)] = &[$(($label, stringify!($name))),*];
        }

        #[async_trait]
        impl<S: $role + ?Sized> $role for Metered<S> {
            $(async fn $name(&self, $($arg: $type),*) -> Result<$answer> {
                let began = Instant::now();
                let answer = self.store.$name($($arg),*).await;
                self.metrics.stored(place(Call::$role($calls::$name)), answer.as_ref().err(), timed(Call::$role($calls::$name), began));
                answer
            })*
        }
    };
}

metered! { Accounts, "accounts", OfAccounts:
    create_user(user: &NewUser) -> Created;
    import_users(users: &[NewUser]) -> Vec<Created>;
    user(by: Find<'_>) -> Option<User>;
    users(after: i64, limit: u32) -> Vec<User>;
    users_page(skip: u64, limit: u32) -> Vec<User>;
    rehash(user: UserId, old: &PasswordHash, new: &PasswordHash) -> bool;
    change_user(user: UserId, changes: &Changes, now: Timestamp) -> Changed;
    confirm_email(user: UserId, email: &str, now: Timestamp) -> Confirmed;
    end_sign_ins(user: UserId, now: Timestamp) -> Option<User>;
    delete_user(user: UserId, now: Timestamp, forget: Timestamp) -> bool;
    ended_since(since: Timestamp, after: Option<UserId>, limit: u32) -> Vec<(UserId, Timestamp)>;
    enable_totp(user: UserId, secret: &SealedTotp, step: i64, recovery: &[RecoveryCode], now: Timestamp) -> bool;
    disable_totp(user: UserId, now: Timestamp) -> bool;
    spend_totp_step(user: UserId, step: i64) -> bool;
    recovery_codes(user: UserId) -> Vec<RecoveryCode>;
    spend_recovery_code(user: UserId, code: Uuid) -> bool;
    sealed_totps(after: i64, limit: u32) -> Vec<(i64, UserId, SealedTotp)>;
    reseal_totp(user: UserId, old: &SealedTotp, new: &SealedTotp) -> bool;
    change_billing(user: UserId, change: &BillingChange, now: Timestamp) -> Billed;
    create_project(user: UserId, project: ProjectId, name: &str, now: Timestamp) -> bool;
    projects(user: UserId) -> Vec<(ProjectId, String)>;
    create_api_key(key: &ApiKey) -> bool;
    api_keys_by_prefix(prefixes: &[&str]) -> Vec<(ApiKey, User)>;
    api_keys(project: ProjectId, skip: u32, limit: u32) -> (Vec<ApiKey>, u64);
    deactivate_api_key(project: ProjectId, key: ApiKeyId, now: Timestamp) -> Option<ApiKey>;
    deactivated_since(since: Timestamp, after: Option<ApiKeyId>, limit: u32) -> Vec<(ApiKeyId, Timestamp)>;
    touch_api_keys(used: &[(ApiKeyId, Timestamp)]) -> ();
    check() -> ();
}

metered! { Ephemeral, "ephemeral", OfEphemeral:
    open_session(session: &Session, valid_after: Timestamp, most: u32, remember_until: Timestamp) -> Opened;
    rotate_refresh_token(presented: RotateRequest, now: Timestamp) -> Rotation;
    session(user: UserId, session: SessionId, now: Timestamp) -> Option<Session>;
    sessions(user: UserId, now: Timestamp) -> Vec<Session>;
    set_profile(user: UserId, profile: &str, now: Timestamp) -> u64;
    end_sessions(
        user: UserId, which: SignOutScope, valid_after: Option<Timestamp>, remember_until: Timestamp, now: Timestamp
    ) -> Ended;
    revoke(revocation: &Revocation, now: Timestamp) -> ();
    follow(from: &Cursor, patience: Duration) -> (Vec<Revocation>, Cursor);
    forget_revocations(before: Timestamp) -> ();
    floor(now: Timestamp) -> Timestamp;
    raise_floor(now: Timestamp) -> ();
    put_claim(claim: &Claim, now: Timestamp) -> ();
    redeem(redeem: Redeem<'_>, now: Timestamp) -> Redemption;
    claim(subject: &str, purpose: &str, id: &str, now: Timestamp) -> Option<Vec<u8>>;
    drop_claim(subject: &str, purpose: &str, id: &str) -> ();
    count_try(subject: &str, daily_tries: u32, now: Timestamp) -> Allowance;
    forgive_try(subject: &str, now: Timestamp) -> ();
    take(key: &str, limit: Limit, now: Timestamp) -> Allowance;
    ring() -> Option<SealedRing>;
    swap_ring(expected: u64, bytes: &[u8], now: Timestamp) -> Swap;
    check() -> Vec<String>;
}

/// One call of either role.
#[derive(Clone, Copy)]
enum Call {
    Accounts(OfAccounts),
    Ephemeral(OfEphemeral),
}

/// Role and operation of every call, those of the accounts first.
pub(super) const CALLS: &[(&str, &str)] = &joined();

const fn joined() -> [(&'static str, &'static str); OfAccounts::NAMES.len() + OfEphemeral::NAMES.len()] {
    let mut calls = [("", ""); OfAccounts::NAMES.len() + OfEphemeral::NAMES.len()];
    let (first, _) = calls.split_at_mut(OfAccounts::NAMES.len());
    first.copy_from_slice(OfAccounts::NAMES);
    let (_, rest) = calls.split_at_mut(OfAccounts::NAMES.len());
    rest.copy_from_slice(OfEphemeral::NAMES);
    calls
}

fn place(call: Call) -> usize {
    match call {
        Call::Accounts(call) => call as usize,
        Call::Ephemeral(call) => OfAccounts::NAMES.len() + call as usize,
    }
}

/// Following waits on purpose until there is something to hear.
fn timed(call: Call, began: Instant) -> Option<Duration> {
    (!matches!(call, Call::Ephemeral(OfEphemeral::follow))).then(|| began.elapsed())
}
