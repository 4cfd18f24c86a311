//! The operations that store metrics are labelled with, and the observer that receives one measurement of each.
//!
//! Drivers measure at the one place through which their statements, transactions or scripts pass. Knows nothing of
//! metrics: the observer is passed in by the node.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use futures_util::FutureExt;

use super::{Error, Result};

/// Declares the operations in the order in which metrics list them. Each is named after the method of a role that it
/// measures; some methods are measured as another one, or not at all.
macro_rules! operations {
    ($($role:literal { $($operation:ident $name:literal,)* })*) => {
        /// Work of [`Accounts`](super::Accounts) or [`Ephemeral`](super::Ephemeral), as metrics know it.
        #[allow(missing_docs, reason = "each is named after its method")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Operation { $($($operation,)*)* }

        impl Operation {
            /// All of them; the position of each is its discriminant.
            pub const ALL: &[Self] = &[$($(Self::$operation,)*)*];

            /// The role it belongs to: the label `store`.
            pub fn role(self) -> &'static str {
                match self { $($(Self::$operation => $role,)*)* }
            }

            /// The label `operation`. Dashboards depend on it, so it stays when a method is renamed.
            pub fn name(self) -> &'static str {
                match self { $($(Self::$operation => $name,)*)* }
            }
        }
    };
}

operations! {
    "accounts" {
        CreateUser "create_user",
        ImportUsers "import_users",
        User "user",
        Users "users",
        UsersPage "users_page",
        SearchUsers "search_users",
        UpgradeHash "rehash",
        ChangeUser "change_user",
        VerifyEmail "confirm_email",
        ProveEmail "prove_email",
        EndSignIns "end_sign_ins",
        DeleteUser "delete_user",
        RevocationsSince "ended_since",
        EnableTotp "enable_totp",
        DisableTotp "disable_totp",
        SpendTotpStep "spend_totp_step",
        RecoveryCodes "recovery_codes",
        ReplaceRecoveryCodes "replace_recovery_codes",
        SpendRecoveryCode "spend_recovery_code",
        SealedTotps "sealed_totps",
        ResealTotp "reseal_totp",
        ChangeBilling "change_billing",
        CreateProject "create_project",
        Projects "projects",
        CreateApiKey "create_api_key",
        ApiKeysByPrefix "api_keys_by_prefix",
        ApiKeys "api_keys",
        AllApiKeys "all_api_keys",
        ApiKeyById "api_key_by_id",
        ApiKeysOfUser "api_keys_of_user",
        DeactivateApiKey "deactivate_api_key",
        DeactivatedSince "deactivated_since",
        TouchApiKeys "touch_api_keys",
        CheckAccounts "check",
    }
    "ephemeral" {
        OpenSession "open_session",
        RotateRefreshToken "present",
        Session "session",
        Sessions "sessions",
        SetClaims "set_profile",
        EndSessions "end_sessions",
        Revoke "revoke",
        ReadStream "follow",
        ForgetRevocations "forget_revocations",
        GlobalNotBefore "floor",
        RaiseGlobalNotBefore "raise_floor",
        NewestRevocation "newest_revocation",
        ReportNode "report_node",
        WithdrawNode "withdraw_node",
        Nodes "nodes",
        ReportFollower "report_follower",
        Followers "followers",
        StoreClaim "put_claim",
        Redeem "redeem",
        ReleaseClaim "release_claim",
        PeekClaim "claim",
        DeleteClaim "drop_claim",
        CountAttempt "count_try",
        RefundAttempt "forgive_try",
        TakePermit "take",
        TakeRequesterPermit "take_requester_permit",
        RememberNetwork "remember_network",
        TakeNetworkPermit "take_network_permit",
        ReserveIdempotencyKey "reserve_idempotency_key",
        CompleteIdempotencyKey "complete_idempotency_key",
        ReleaseIdempotencyKey "release_idempotency_key",
        Keyring "ring",
        SwapKeyring "swap_ring",
        AppendEvents "append_events",
        ReadEvents "read_events",
        CheckEphemeral "check",
    }
}

/// Receives the outcome of every measured operation.
pub trait Observer: Send + Sync + 'static {
    /// `operation` ended, with that error if it failed. `elapsed` is absent for [`Operation::ReadStream`], which
    /// waits on purpose until there is a revocation.
    fn observe(&self, operation: Operation, error: Option<&Error>, elapsed: Option<Duration>);
}

/// The place in a driver that reports to an [`Observer`], if one was set.
#[derive(Default)]
pub(in crate::store) struct Probe(OnceLock<Arc<dyn Observer>>);

impl Probe {
    /// Sets the observer. The runtimes of one process share a driver and an observer, so the first one stays.
    pub(in crate::store) fn report_to(&self, observer: Arc<dyn Observer>) {
        let _ = self.0.set(observer);
    }

    /// Runs `work` and reports how it ended. Reports nothing if the caller stops waiting.
    // Maps the future instead of awaiting it in an `async fn`, which would store it twice.
    pub(in crate::store) fn measure<T, E>(
        &self,
        operation: Operation,
        work: impl Future<Output = std::result::Result<T, E>>,
    ) -> impl Future<Output = Result<T>>
    where
        Error: From<E>,
    {
        let start = Instant::now();
        // At trace level, because in the log the span of the request is to stay the current one.
        let span = match tracing::span_enabled!(tracing::Level::TRACE) && !tracing::Span::current().is_none() {
            true => tracing::trace_span!("store", store = operation.role(), operation = operation.name()),
            false => tracing::Span::none(),
        };
        tracing::Instrument::instrument(work, span).map(move |result| {
            let result = result.map_err(Error::from);
            if let Some(observer) = self.0.get() {
                let elapsed = (operation != Operation::ReadStream).then(|| start.elapsed());
                observer.observe(operation, result.as_ref().err(), elapsed);
            }
            result
        })
    }
}
