//! The caller of a request: the user and the rights behind a credential.

use std::sync::Arc;

use super::verify::{Credential, Requirements, VerifiedToken, verify, verify_access_token};
use crate::auth::Error;
use crate::auth::context::Context;
use crate::auth::error::{Denial, VerifyError};
use crate::auth::passwords::reauthenticate::is_recent;
use crate::auth::reserved_scopes::ADMIN;
use crate::clock::Timestamp;
use crate::id::{ApiKeyId, ProjectId, SessionId, UserId};
use crate::store::accounts::Find;
use crate::token::refresh::RefreshToken;

pub use crate::store::accounts::User;

/// A caller with a valid credential.
#[derive(Clone)]
pub struct Caller {
    /// The user.
    pub user: UserId,
    /// The session, unless the caller uses an API key or a token issued from one.
    pub session: Option<SessionId>,
    credential: Credential,
}

/// Authenticates the caller by an access token or an API key. An access token must be for `tokens.audience`: with the
/// tokens that other services receive, they cannot change accounts.
pub async fn authenticate(ctx: &Context, credential: Option<&str>) -> Result<Caller, Error> {
    let credential = credential.ok_or(Error::MissingCredentials)?;
    let requirements = Requirements { audience: Some(&ctx.node.config.tokens.audience), ..Requirements::default() };
    let credential = verify(ctx, credential, requirements).await?;
    let (user, session) = match &credential {
        Credential::Token(token) => (token.user.ok_or(VerifyError::OtherSubject)?, token.session),
        Credential::ApiKey(key) => (key.user, None),
    };
    Ok(Caller { user, session, credential })
}

/// Verifies an access token as [`authenticate`] does, for calls that need nothing else of the caller.
pub fn verify_own_token(ctx: &Context, token: &str) -> Result<Arc<VerifiedToken>, VerifyError> {
    let verified = verify_access_token(ctx, token)?;
    if verified.is_for(&ctx.node.config.tokens.audience) { Ok(verified) } else { Err(VerifyError::OtherAudience) }
}

/// Authenticates the caller and reads the user's current row. A token that was revoked because its user was disabled
/// fails with [`Error::AccountDisabled`], because signing in again would not help.
pub async fn authenticate_user(ctx: &Context, credential: Option<&str>) -> Result<(Caller, User), Error> {
    let caller = match authenticate(ctx, credential).await {
        Err(Error::InvalidToken(VerifyError::Revoked)) if is_disabled(ctx, credential).await? => {
            return Err(Error::AccountDisabled);
        }
        result => result?,
    };
    let user = ctx.accounts.user(Find::Id(caller.user)).await?.ok_or(Error::NotFound)?;
    if user.disabled {
        return Err(Error::AccountDisabled);
    }
    caller.require_open_session(&user)?;
    Ok((caller, user))
}

/// The error for a refused refresh token: [`Error::AccountDisabled`] if its user is disabled, which ended all sessions,
/// and `error` otherwise.
pub async fn refresh_error(ctx: &Context, refresh: &str, error: Error) -> Error {
    let refresh = match error {
        Error::InvalidRefreshToken => RefreshToken::parse(refresh, &ctx.node.secrets),
        _ => None,
    };
    let Some(refresh) = refresh else { return error };
    match ctx.accounts.user(Find::Id(refresh.user)).await {
        Ok(Some(user)) if user.disabled => Error::AccountDisabled,
        _ => error,
    }
}

/// Checks whether a refused access token belongs to a user who has been deleted.
pub async fn is_deleted(ctx: &Context, token: Option<&str>) -> Result<bool, Error> {
    Ok(matches!(load_owner(ctx, token).await?, Some(None)))
}

async fn is_disabled(ctx: &Context, token: Option<&str>) -> Result<bool, Error> {
    Ok(matches!(load_owner(ctx, token).await?, Some(Some(user)) if user.disabled))
}

/// Loads the user of a token that is authentic and not expired, even if it is revoked. `None` for any other token,
/// `Some(None)` if the user does not exist.
async fn load_owner(ctx: &Context, token: Option<&str>) -> Result<Option<Option<User>>, Error> {
    let node = &ctx.node;
    let checked = token.and_then(|token| node.issuer.check(token, &node.keyring.keys(), ctx.now()).ok());
    let own = checked.filter(|verified| verified.is_for(&node.config.tokens.audience));
    match own.and_then(|verified| verified.user) {
        Some(user) => Ok(Some(ctx.accounts.user(Find::Id(user)).await?)),
        None => Ok(None),
    }
}

impl Caller {
    /// Requires a user session, not an API key or a token issued from one.
    pub fn require_session(&self) -> Result<SessionId, Error> {
        self.session.ok_or(Error::Forbidden(Denial::SessionRequired))
    }

    /// The project of the API key that the caller uses.
    pub fn project(&self) -> Option<ProjectId> {
        match &self.credential {
            Credential::ApiKey(key) => Some(key.project),
            Credential::Token(_) => None,
        }
    }

    /// The API key that the caller uses, or from which its token was issued.
    pub fn api_key(&self) -> Option<ApiKeyId> {
        match &self.credential {
            Credential::ApiKey(key) => Some(key.id),
            Credential::Token(token) => token.api_key,
        }
    }

    /// Requires a scope of an API key, or of a token issued from one. A user session has no scopes, and so none of the
    /// rights that only a scope gives.
    pub fn require_scope(&self, scope: &str) -> Result<(), Error> {
        let has_scope = self.credential.scopes().contains(scope);
        has_scope.then_some(()).ok_or(Error::Forbidden(Denial::MissingPermission))
    }

    /// When the user authenticated. `None` without a session: an API key, or a token issued from one, does not show
    /// that its owner is there.
    pub fn auth_time(&self) -> Option<Timestamp> {
        match &self.credential {
            Credential::Token(token) if self.session.is_some() => token.auth_time,
            Credential::Token(_) | Credential::ApiKey(_) => None,
        }
    }

    /// True if the caller may introspect and revoke the tokens of `user`. Callers may do so for themselves, and
    /// superusers by their current row for everyone. Anyone can create an API key with the scopes for these calls, so
    /// the scopes do not decide.
    pub async fn may_manage_tokens_of(&self, ctx: &Context, user: Option<UserId>) -> Result<bool, Error> {
        if user == Some(self.user) {
            return Ok(true);
        }
        let own = ctx.accounts.user(Find::Id(self.user)).await?;
        Ok(own.is_some_and(|own| own.superuser && !own.disabled))
    }

    /// Requires a superuser by the current row, not by the token's claims. An API key also needs the scope `admin`.
    pub async fn require_superuser(&self, ctx: &Context) -> Result<User, Error> {
        self.require_superuser_with(ctx, &[ADMIN]).await
    }

    /// Requires a superuser for a change that a stolen access token must not suffice for: in a session, one who signed
    /// in recently. An API key with the scope `admin` stands for itself: creating it took a recent sign-in.
    pub async fn require_recent_superuser(&self, ctx: &Context) -> Result<User, Error> {
        let user = self.require_superuser(ctx).await?;
        if self.session.is_some() && !is_recent(ctx, self.auth_time()) {
            return Err(Error::RecentSignInRequired);
        }
        Ok(user)
    }

    /// Requires a superuser whose session has not ended, both by the current row. An API key, or a token issued from
    /// one, also needs one of `scopes`.
    pub async fn require_superuser_with(&self, ctx: &Context, scopes: &[&str]) -> Result<User, Error> {
        if self.session.is_none() && scopes.iter().all(|scope| self.require_scope(scope).is_err()) {
            return Err(Error::Forbidden(Denial::MissingPermission));
        }
        let user = ctx.accounts.user(Find::Id(self.user)).await?;
        let user = user.filter(|user| user.superuser && !user.disabled);
        let user = user.ok_or(Error::Forbidden(Denial::MissingPermission))?;
        self.require_open_session(&user)?;
        Ok(user)
    }

    /// Refuses a session that the caller's row says was ended, possibly before this node has applied the revocation.
    fn require_open_session(&self, user: &User) -> Result<(), VerifyError> {
        let opened_at = self.session.and_then(|session| session.created_at());
        let is_ended = opened_at.is_some_and(|opened_at| opened_at <= user.sessions_valid_after);
        if is_ended { Err(VerifyError::Revoked) } else { Ok(()) }
    }
}
