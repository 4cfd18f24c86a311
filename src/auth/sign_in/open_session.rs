//! The last steps of every sign-in: checking that the user may sign in, the second factor, and the session record.
//!
//! Nothing else opens a session, so no method of signing in can skip a check. Knows nothing of how the user was
//! recognized.

use super::record_refusal;
use super::single_use::{SingleUse, end_unused_session};
use crate::auth::audit::{self, Event, EventType, Origin, SignInMethod};
use crate::auth::context::Context;
use crate::auth::mailing::NoticeOrigin;
use crate::auth::mfa::VerifiedCode;
use crate::auth::one_time::CheckedSecret;
use crate::auth::request_context::RequestContext;
use crate::auth::retention::first_session_after;
use crate::auth::revocation::sessions::apply_ends;
use crate::auth::run_to_completion::run_to_completion;
use crate::auth::sessions::claims::{refresh_changed_claims, session_claims};
use crate::auth::sessions::tokens::{TokenPair, issue_tokens};
use crate::auth::{Error, mailing, mfa};
use crate::clock::Timestamp;
use crate::id::SessionId;
use crate::mail::Letter;
use crate::store::accounts::User;
use crate::store::ephemeral::{Opened, Session, SessionClaims};

/// Opens a session for a user who has been recognized by the password. `user` is the row as it was read then. `mfa_code`
/// is the code of the second factor, if one was given; it is ignored for a user without one.
pub async fn open_session(
    ctx: &Context,
    user: &User,
    mfa_code: Option<&str>,
    request_ctx: RequestContext<'_>,
) -> Result<TokenPair, Error> {
    open_session_by(ctx, user, mfa_code, Some(SignInMethod::Password), request_ctx).await
}

/// Like [`open_session`], for a user who has been recognized by this method.
pub(super) async fn open_session_by(
    ctx: &Context,
    user: &User,
    mfa_code: Option<&str>,
    method: Option<SignInMethod>,
    request_ctx: RequestContext<'_>,
) -> Result<TokenPair, Error> {
    authorize_login(ctx, user, mfa_code, method, request_ctx).await?.open(ctx, request_ctx).await
}

/// Opens a session for a user that `signet seed` has created. Records nothing, because nobody signs in.
pub async fn open_seeded_session(
    ctx: &Context,
    user: &User,
    request_ctx: RequestContext<'_>,
) -> Result<TokenPair, Error> {
    AuthorizedLogin::new(user, None).open_since(ctx, ctx.now(), request_ctx).await
}

/// Opens a session in place of the caller's, which has just ended with a change that the caller made. `auth_time` is that
/// of the caller's token. Requires no second factor: the caller's session was opened with it.
pub(in crate::auth) async fn reopen_session(
    ctx: &Context,
    user: &User,
    auth_time: Option<Timestamp>,
    request_ctx: RequestContext<'_>,
) -> Result<TokenPair, Error> {
    check_login_allowed(ctx, user, None, request_ctx)?;
    AuthorizedLogin::new(user, None).open_since(ctx, auth_time.unwrap_or_default(), request_ctx).await
}

/// A user who has passed every check. Only such a user gets a session.
///
/// A mailed code or link, and a recovery code, are used up once the session is stored (`single_use`). So neither a
/// wrong code of the second factor nor a store that fails uses them up.
pub(in crate::auth) struct AuthorizedLogin<'a> {
    user: &'a User,
    /// The method by which the user was recognized, for the event.
    method: Option<SignInMethod>,
    second_factor: Option<VerifiedCode>,
    /// The mailed code or link by which the user was recognized.
    secret: Option<CheckedSecret>,
}

/// Checks that a recognized user may sign in, and verifies the code of the second factor if the user has one.
pub(in crate::auth) async fn authorize_login<'a>(
    ctx: &Context,
    user: &'a User,
    mfa_code: Option<&str>,
    method: Option<SignInMethod>,
    request_ctx: RequestContext<'_>,
) -> Result<AuthorizedLogin<'a>, Error> {
    check_login_allowed(ctx, user, method, request_ctx)?;
    let mut login = AuthorizedLogin::new(user, method);
    if user.totp.is_some() {
        let code = mfa_code.ok_or(Error::MfaRequired)?;
        let verified = mfa::verify_code(ctx, user, code, request_ctx).await;
        if matches!(verified, Err(Error::InvalidMfaCode)) {
            record_refusal(ctx, method, request_ctx, Some(user.id), "wrong code of the second factor");
        }
        login.second_factor = Some(verified?);
    }
    Ok(login)
}

/// Checks that the account is enabled and meets the dialect's requirements. Records a refusal, so the caller has counted
/// the attempt.
pub(in crate::auth) fn check_login_allowed(
    ctx: &Context,
    user: &User,
    method: Option<SignInMethod>,
    request_ctx: RequestContext<'_>,
) -> Result<(), Error> {
    let Some((error, reason)) = login_refusal(user, request_ctx) else { return Ok(()) };
    record_refusal(ctx, method, request_ctx, Some(user.id), reason);
    Err(error)
}

/// The error and the reason, if the account is disabled or does not meet the dialect's requirements.
pub(super) fn login_refusal(user: &User, request_ctx: RequestContext<'_>) -> Option<(Error, &'static str)> {
    if user.disabled {
        Some((Error::AccountDisabled, "account disabled"))
    } else if request_ctx.dialect_config.verified_only && !user.verified {
        Some((Error::EmailNotVerified, "e-mail address not verified"))
    } else {
        None
    }
}

impl<'a> AuthorizedLogin<'a> {
    fn new(user: &'a User, method: Option<SignInMethod>) -> Self {
        Self { user, method, second_factor: None, secret: None }
    }

    /// With the mailed code or link by which the user was recognized, to be used up.
    pub(in crate::auth) fn with_secret(self, secret: Option<CheckedSecret>) -> Self {
        Self { secret, ..self }
    }

    /// Opens the session.
    pub(in crate::auth) async fn open(
        self,
        ctx: &Context,
        request_ctx: RequestContext<'_>,
    ) -> Result<TokenPair, Error> {
        let (user, method) = (self.user, self.method);
        let pair = self.open_since(ctx, ctx.now(), request_ctx).await?;
        let event = Event::of_account(EventType::SignInSucceeded, user, Origin::request(request_ctx));
        let event = event.session(pair.session.id).method(method).detail("mfa", user.totp.is_some());
        audit::record(ctx, event);
        Ok(pair)
    }

    /// Opens the session of a user who signed in at `auth_time`.
    async fn open_since(
        self,
        ctx: &Context,
        auth_time: Timestamp,
        request_ctx: RequestContext<'_>,
    ) -> Result<TokenPair, Error> {
        let Self { user, method, second_factor, secret } = self;
        // The store refuses such a session too, once it knows of the change, and so does the row: see `store_session`.
        if ctx.node.revocations.is_superseded(user.id, user.sessions_valid_after) {
            return Err(superseded(ctx, user, method, request_ctx));
        }
        let session = new_session(ctx, user, auth_time, request_ctx)?;
        let (id, snapshot) = (session.id, session.snapshot());
        let origin = Origin::request(request_ctx);
        let single_use = SingleUse { user: user.id, method, secret, second_factor, origin };
        let opening = store_session(ctx.clone(), session, user, request_ctx);
        let opening = {
            let ctx = ctx.clone();
            async move {
                let opened = opening.await?;
                if let Opened::Opened { .. } = &opened {
                    single_use.spend(&ctx, id).await?;
                }
                Ok(opened)
            }
        };
        let opened = run_to_completion(opening).await;
        if let Err(Error::InvalidCode | Error::InvalidLink(_) | Error::InvalidMfaCode) = &opened {
            record_refusal(ctx, method, request_ctx, Some(user.id), "code or link used by another request");
        }
        match opened? {
            Opened::Opened { .. } => issue_tokens(ctx, snapshot, request_ctx),
            Opened::Superseded => Err(superseded(ctx, user, method, request_ctx)),
        }
    }
}

/// Stores the session, applies the revocations of sessions that the store ended for it, and notifies the owner of a
/// verified address if the network is new. An address that is not verified may be that of somebody else.
///
/// Then reads the row again. Updates the claims of the session if they have changed, and ends it if the user's sign-ins
/// have ended since the credentials were checked: the ephemeral store refuses it only once it knows of the end, and a
/// node that stops after changing the row does not tell it.
///
/// To be run to completion. Otherwise a thief who disconnects in time would make the network a known one without a
/// notice, and the next sign-in from there would not cause one.
fn store_session(
    ctx: Context,
    session: Session,
    user: &User,
    request_ctx: RequestContext<'_>,
) -> impl Future<Output = Result<Opened, Error>> + Send + use<> {
    let (valid_after, network) = (user.sessions_valid_after, request_ctx.rate_limit_ip.to_string());
    let is_notified = ctx.node.config.mail.new_sign_in_notice && user.verified;
    let notice = is_notified.then(|| (user.clone(), NoticeOrigin::client(request_ctx)));
    async move {
        let expires_at = session.used_at + ctx.node.retention.revocation_ttl();
        let max_sessions = ctx.node.config.tokens.sessions_per_user;
        let opened = ctx.ephemeral.open_session(&session, &network, valid_after, max_sessions, expires_at).await?;
        if let Opened::Opened { ended, from_new_network } = &opened {
            apply_ends(&ctx, session.user, ended);
            // Also for a session that ends below: its network is a known one from now on.
            if let (true, Some((user, notice_origin))) = (from_new_network, notice) {
                mailing::queue_notice(&ctx, &user, Letter::NewSignIn, &notice_origin).await;
            }
            let Session { id, user, claims, custom_claims, .. } = session;
            let row = refresh_changed_claims(&ctx, user, SessionClaims { claims, custom_claims }).await;
            // Without the row, the decision is the ephemeral store's.
            if row.is_ok_and(|row| row.is_none_or(|row| row.sessions_valid_after > valid_after)) {
                end_unused_session(&ctx, user, id).await;
                return Ok(Opened::Superseded);
            }
        }
        Ok(opened)
    }
}

/// The credentials were right when the row was read, and have changed since.
fn superseded(ctx: &Context, user: &User, method: Option<SignInMethod>, request_ctx: RequestContext<'_>) -> Error {
    record_refusal(ctx, method, request_ctx, Some(user.id), "credentials changed during the sign-in");
    Error::InvalidCredentials
}

fn new_session(
    ctx: &Context,
    user: &User,
    auth_time: Timestamp,
    request_ctx: RequestContext<'_>,
) -> Result<Session, Error> {
    let now = ctx.now();
    // Later than the last revocation of the user's sessions, even if that happened in this millisecond or by a clock
    // that is ahead. Neither the row's timestamp nor a revocation that this node has applied may cover the new session.
    let after_row = first_session_after(user.sessions_valid_after);
    let after_revocation = ctx.node.revocations.first_session_after(user.id);
    let SessionClaims { claims, custom_claims } = session_claims(user)?;
    let opened_at = ctx.node.issue_time(now).max(after_row).max(after_revocation);
    Ok(Session {
        id: SessionId::new(opened_at, &ctx.node.rng),
        user: user.id,
        counter: 0,
        opened_at,
        auth_time,
        used_at: now,
        rotated_at: now,
        idle_timeout: request_ctx.dialect_config.idle,
        ends_at: now + request_ctx.dialect_config.absolute,
        dialect: request_ctx.dialect.to_owned(),
        client_ip: request_ctx.client_ip.to_string(),
        user_agent: request_ctx.stored_user_agent().unwrap_or_default(),
        claims,
        custom_claims,
    })
}
