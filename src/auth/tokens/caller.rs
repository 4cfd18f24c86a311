//! Who is asking: the user and the rights behind a credential.

use super::verify::{Credential, Demand, VerifyError, verify};
use crate::auth::Error;
use crate::auth::context::Context;
use crate::id::{ProjectId, SessionId, UserId};
use crate::store::accounts::Find;
use crate::token::refresh::Refresh;

pub use crate::store::accounts::User;

/// Somebody whose credential is good.
#[derive(Clone)]
pub struct Caller {
    /// Who it is.
    pub user: UserId,
    /// In which session, if it is in one.
    pub session: Option<SessionId>,
    credential: Credential,
}

/// Recognises the caller by an access token or an API key.
pub async fn authenticate(ctx: &Context, credential: Option<&str>) -> Result<Caller, Error> {
    let credential = credential.ok_or(Error::NoCredentials)?;
    let credential = verify(ctx, credential, Demand::default()).await?;
    let (user, session) = match &credential {
        Credential::Token(token) => (token.user.ok_or(VerifyError::UnknownKey)?, token.session),
        Credential::ApiKey(key) => (key.user, None),
    };
    Ok(Caller { user, session, credential })
}

/// Recognises the caller and reads its row as it is now. A token that ended because its user was disabled is told so: who may
/// not act should not be sent to sign in again.
pub async fn authenticate_user(ctx: &Context, credential: Option<&str>) -> Result<(Caller, User), Error> {
    let caller = match authenticate(ctx, credential).await {
        Err(Error::BadCredentials(VerifyError::Revoked)) if is_disabled(ctx, credential).await? => {
            return Err(Error::Disabled);
        }
        recognised => recognised?,
    };
    let user = ctx.accounts.user(Find::Id(caller.user)).await?.ok_or(Error::NotFound)?;
    if user.disabled { Err(Error::Disabled) } else { Ok((caller, user)) }
}

/// What to say of a refresh token that was refused: a disabled user's sessions are all over, and it is told that it is disabled.
pub async fn refresh_error(ctx: &Context, refresh: &str, failure: Error) -> Error {
    let read = match failure {
        Error::RefreshNotInForce => Refresh::read(refresh, &ctx.node.secrets),
        _ => None,
    };
    let Some(read) = read else { return failure };
    match ctx.accounts.user(Find::Id(read.user)).await {
        Ok(Some(user)) if user.disabled => Error::Disabled,
        _ => failure,
    }
}

/// Whether an access token that is no longer good is that of a user who is no longer there.
pub async fn is_gone(ctx: &Context, token: Option<&str>) -> Result<bool, Error> {
    Ok(matches!(owner(ctx, token).await?, Some(None)))
}

async fn is_disabled(ctx: &Context, token: Option<&str>) -> Result<bool, Error> {
    Ok(matches!(owner(ctx, token).await?, Some(Some(user)) if user.disabled))
}

/// The row behind a token that is as it was signed and has not expired, whatever else became of it.
async fn owner(ctx: &Context, token: Option<&str>) -> Result<Option<Option<User>>, Error> {
    let node = &ctx.node;
    let checked = token.and_then(|token| node.issuer.check(token, &node.keyring.keys(), ctx.now()).ok());
    match checked.and_then(|verified| verified.user) {
        Some(user) => Ok(Some(ctx.accounts.user(Find::Id(user)).await?)),
        None => Ok(None),
    }
}

impl Caller {
    /// The session of a caller who acts as a person, not through an API key.
    pub fn require_session(&self) -> Result<SessionId, Error> {
        self.session.ok_or(Error::NotPermitted)
    }

    /// The project of the API key through which the caller acts.
    pub fn project(&self) -> Option<ProjectId> {
        match &self.credential {
            Credential::ApiKey(key) => Some(key.project),
            Credential::Token(_) => None,
        }
    }

    /// Demands a scope: of an API key, and of a token made from one. A person in a session has no scopes, and so
    /// none of the rights that only a scope gives.
    pub fn require_scope(&self, scope: &str) -> Result<(), Error> {
        let demand = Demand { audience: None, scope: Some(scope) };
        self.credential.check_demand(demand).map_err(|_| Error::NotPermitted)
    }

    /// Demands a superuser, as the row says now and not as the token said when it was made; through an API key, one with
    /// the scope `admin` besides.
    pub async fn require_superuser(&self, ctx: &Context) -> Result<User, Error> {
        if self.session.is_none() {
            self.require_scope("admin")?;
        }
        let user = ctx.accounts.user(Find::Id(self.user)).await?;
        user.filter(|user| user.superuser && !user.disabled).ok_or(Error::NotPermitted)
    }
}
