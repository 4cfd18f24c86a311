//! The proof of an address: its mail was read, by a mailed code, a magic link or a password reset.
//!
//! An address belongs to the person who reads its mail. Anyone can sign up with the address of somebody else, set a
//! password, a second factor and API keys, and wait until the owner of the address starts to use the account. So the
//! first proof on an account whose address was not verified removes all of that and ends all sessions, in one step of
//! the store. The owner gets a notice by mail. An account that was verified before keeps everything. A second factor
//! that was not confirmed yet belongs to a session, and so ends with it.
//!
//! The links and codes that only verify an address ([`crate::auth::accounts::verify_email`],
//! [`crate::auth::accounts::verify_email_code`]) are no such proof. They complete the sign-up that they were mailed
//! for, so they keep its password.

use crate::auth::audit::{self, Event, EventType, Origin};
use crate::auth::context::Context;
use crate::auth::mailing::NoticeOrigin;
use crate::auth::request_context::RequestContext;
use crate::auth::reserved_scopes::RESERVED_SCOPES;
use crate::auth::run_to_completion::run_to_completion;
use crate::auth::sessions::sign_out::sign_out_durably;
use crate::auth::{Error, mailing};
use crate::mail::Letter;
use crate::store::accounts::{EmailProved, NewPassword, PasswordHash, RemovedCredentials, User};

/// An address that was proved, and the parts of the request that events and notices show. Owns its values, because the
/// step runs to completion.
pub(super) struct EmailProof {
    user: User,
    notice_origin: NoticeOrigin,
    origin: Origin,
}

impl EmailProof {
    /// `user`: the row with the address, as it was when the code or link was checked.
    pub(super) fn new(user: &User, request_ctx: RequestContext<'_>) -> Self {
        Self {
            user: user.clone(),
            notice_origin: NoticeOrigin::client(request_ctx),
            origin: Origin::request(request_ctx),
        }
    }

    /// Verifies the address, and sets a new password if one is given. Call it only while the code or link is held.
    /// Returns the row after that. `None` if the user was deleted, has another address or had all sign-ins revoked
    /// since the row was read, also by another proof: then the code or link is void, and nothing has changed.
    pub(super) async fn apply(self, ctx: &Context, new_password: Option<PasswordHash>) -> Result<Option<User>, Error> {
        let ctx = ctx.clone();
        let new_password = new_password.map(|hash| NewPassword { hash, ends_api_keys_with: RESERVED_SCOPES });
        run_to_completion(async move {
            let Self { user: before, notice_origin, .. } = &self;
            let (id, valid_after) = (before.id, before.sessions_valid_after);
            let proving = ctx.accounts.prove_email(id, &before.email, valid_after, new_password.as_ref(), ctx.now());
            let (user, removed) = match proving.await? {
                EmailProved::First { user, removed } => (*user, Some(removed)),
                EmailProved::AlreadyVerified(user) => (*user, None),
                EmailProved::NotFound => return Ok(None),
            };
            // Before the sessions end, so that the notices do not depend on the ephemeral store.
            if new_password.is_some() {
                mailing::queue_notice(&ctx, &user, Letter::PasswordChanged, notice_origin).await;
                audit::record(&ctx, Event::of_account(EventType::PasswordReset, &user, self.origin.clone()));
            }
            if let Some(removed) = removed {
                self.report_removal(&ctx, removed, new_password.is_some()).await;
            }
            if removed.is_some() || new_password.is_some() {
                sign_out_durably(&ctx, user.id, user.sessions_valid_after).await?;
            }
            Ok(Some(user))
        })
        .await
    }

    /// Records what was removed, and notifies the owner. If only a password was removed and a new one replaces it, the
    /// notice about the new one is enough.
    async fn report_removal(&self, ctx: &Context, removed: RemovedCredentials, replaces_password: bool) {
        let Self { user, notice_origin, origin } = self;
        let RemovedCredentials { password, second_factor, api_keys } = removed;
        audit::record(ctx, Event::of_account(EventType::EmailVerified, user, origin.clone()));
        if password || second_factor || api_keys > 0 {
            let event = Event::of_account(EventType::CredentialsRemoved, user, origin.clone());
            let event = event.detail("password", password).detail("second_factor", second_factor);
            audit::record(ctx, event.detail("api_keys", api_keys));
        }
        if (password && !replaces_password) || second_factor || api_keys > 0 {
            let count = |is_removed: bool| u8::from(is_removed).to_string();
            let letter = Letter::CredentialsRemoved {
                passwords: count(password),
                second_factors: count(second_factor),
                api_keys: api_keys.to_string(),
            };
            mailing::queue_notice(ctx, user, letter, notice_origin).await;
        }
    }
}
