//! The secrets that a sign-in uses up: a mailed code or link, and a recovery code.
//!
//! The session is stored first. Otherwise a store that fails at this last step would cost the user a recovery code, or
//! the mail. Of several requests with the same code, each may store a session, and one of them uses up the code. The
//! sessions of the others end again. Nobody gets the tokens of a session before its code is used up, so nothing works
//! twice.
//!
//! One order cannot be made safe: if the response of the store that uses up a code is lost, the code may or may not
//! work again. It is not made to work by another try: meanwhile another request may hold it.

use crate::auth::Error;
use crate::auth::audit::{Origin, SignInMethod};
use crate::auth::context::Context;
use crate::auth::error::LinkKind;
use crate::auth::mfa::VerifiedCode;
use crate::auth::one_time::CheckedSecret;
use crate::auth::revocation::sessions::end_sessions;
use crate::id::{SessionId, UserId};
use crate::store::ephemeral::SignOutScope;

/// The secrets that a sign-in of `user` uses up.
pub(super) struct SingleUse {
    pub(super) user: UserId,
    /// The method that `secret` belongs to.
    pub(super) method: Option<SignInMethod>,
    /// The mailed code or link.
    pub(super) secret: Option<CheckedSecret>,
    pub(super) second_factor: Option<VerifiedCode>,
    pub(super) origin: Origin,
}

impl SingleUse {
    /// Uses them up, or ends the session that was stored for the sign-in. To be run to completion.
    pub(super) async fn spend(self, ctx: &Context, session: SessionId) -> Result<(), Error> {
        let user = self.user;
        let spent = self.try_spend(ctx).await;
        if spent.is_err() {
            end_unused_session(ctx, user, session).await;
        }
        spent
    }

    async fn try_spend(self, ctx: &Context) -> Result<(), Error> {
        let Self { user, method, secret, second_factor, origin } = self;
        let spend_second_factor = async {
            match second_factor {
                Some(code) => code.spend(ctx, user, origin).await,
                None => Ok(()),
            }
        };
        match secret {
            None => spend_second_factor.await,
            // It works again if the second factor cannot be used up.
            Some(secret) => match secret.hold(ctx).await? {
                Some(held) => held.spend(ctx, spend_second_factor).await,
                None => Err(used_up(method)),
            },
        }
    }
}

/// Ends a session that was stored for a sign-in which is refused after that. If this fails, a session whose tokens nobody
/// has is listed until it expires.
pub(super) async fn end_unused_session(ctx: &Context, user: UserId, session: SessionId) {
    let min_before = ctx.node.revocations.first_session_after(user);
    let _ = end_sessions(ctx, user, SignOutScope::One(session), None, min_before).await;
}

/// The error for a mailed code or link that another request has used up.
pub(super) fn used_up(method: Option<SignInMethod>) -> Error {
    match method {
        Some(SignInMethod::MagicLink) => Error::InvalidLink(LinkKind::MagicLink),
        Some(SignInMethod::Code | SignInMethod::Password) | None => Error::InvalidCode,
    }
}
