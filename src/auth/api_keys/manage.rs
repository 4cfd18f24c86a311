//! API keys as their owners manage them: each belongs to a project of the caller's own.
//!
//! Only a user session creates and deactivates keys. With an API key, a caller can only list the keys of that key's
//! project: a stolen key must not create others that outlive it or may do more.
//!
//! A key outlives the access token that created it, so the owner gets a notice of each by mail. A key with a reserved
//! scope allows more than the token, so it also needs the password or a recent sign-in.

use std::time::Duration;

use super::{CreateApiKey, create, deactivate};
use crate::auth::accounts::projects::require_project_owner;
use crate::auth::audit;
use crate::auth::context::Context;
use crate::auth::error::{Denial, VerifyError};
use crate::auth::mailing::NoticeOrigin;
use crate::auth::passwords::IdentityProof;
use crate::auth::passwords::reauthenticate::require_password_or_recent_sign_in;
use crate::auth::rate_limit::LimitedAction;
use crate::auth::request_context::RequestContext;
use crate::auth::reserved_scopes::is_reserved;
use crate::auth::run_to_completion::run_to_completion;
use crate::auth::tokens::caller::Caller;
use crate::auth::tokens::exchange::EXCHANGE_SCOPE;
use crate::auth::tokens::introspect::INTROSPECT_SCOPE;
use crate::auth::tokens::revoke::REVOKE_SCOPE;
use crate::auth::{Error, mailing, rate_limit};
use crate::id::{ApiKeyId, ProjectId};
use crate::mail::Letter;
use crate::store::accounts::{ApiKey, Find, User};
use crate::token::api_key::NewApiKey;

/// The most API keys of a user that are not deactivated. The first proof of an address ends all of them in one step,
/// which must not take longer than the store may: somebody else may have created them. Concurrent calls may exceed it.
const MAX_ACTIVE: u64 = 1000;

/// The most API keys of a user that are kept once they are deactivated and every node has read so. Their owner could
/// otherwise have any number of rows, which the deletion of the account and the first proof of its address must read in
/// one step too.
const MAX_DEACTIVATED: u32 = 1000;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The input to [`create_own`].
#[derive(Clone, Debug)]
pub struct ApiKeyRequest {
    /// A name for people.
    pub name: String,
    /// The scopes.
    pub scopes: Vec<String>,
    /// After how many days the key expires.
    pub expires_in_days: Option<u32>,
}

/// Lists a project's keys, newest first: `limit` of them after the first `skip`, and how many there are. Rate-limited,
/// because a hundred keys with the most scopes have half a megabyte.
pub async fn list_own(
    ctx: &Context,
    caller: &Caller,
    project: ProjectId,
    (skip, limit): (u32, u32),
    request_ctx: RequestContext<'_>,
) -> Result<(Vec<ApiKey>, u64), Error> {
    rate_limit::check_costly(ctx, caller.user, request_ctx).await?;
    match caller.project() {
        Some(own) if own != project => return Err(Error::Forbidden(Denial::OtherProject)),
        Some(_) => {}
        None => require_owner(ctx, caller, project).await?,
    }
    Ok(ctx.accounts.api_keys(project, skip, limit).await?)
}

/// Creates a key; only this call returns the whole key. Rate-limited, because the row stays and every node keeps the
/// key's revocation.
pub async fn create_own(
    ctx: &Context,
    caller: &Caller,
    project: ProjectId,
    request: ApiKeyRequest,
    proof: IdentityProof<'_>,
    request_ctx: RequestContext<'_>,
) -> Result<(ApiKey, NewApiKey), Error> {
    require_owner(ctx, caller, project).await?;
    let owner = current_user(ctx, caller).await?;
    if !owner.superuser && request.scopes.iter().any(|scope| is_reserved(scope)) {
        return Err(Error::Forbidden(Denial::MissingPermission));
    }
    if owner.superuser && request.scopes.iter().any(|scope| reaches_others(scope)) {
        require_password_or_recent_sign_in(ctx, &owner, proof, request_ctx).await?;
    }
    rate_limit::check_client(ctx, LimitedAction::CreateClient, request_ctx).await?;
    rate_limit::check_user(ctx, LimitedAction::ApiKeyAccount, caller.user).await?;
    if ctx.accounts.count_api_keys_of_user(caller.user).await? >= MAX_ACTIVE {
        return Err(Error::Forbidden(Denial::TooManyApiKeys));
    }
    // Twice the time for which a node needs the row, because the clocks of nodes differ.
    let forget_before = ctx.now() - ctx.node.retention.revocation_ttl() * 2;
    ctx.accounts.forget_api_keys(caller.user, forget_before, MAX_DEACTIVATED).await?;
    let new_key = CreateApiKey {
        user: caller.user,
        project,
        name: request.name,
        scopes: request.scopes,
        expires_at: request.expires_in_days.map(|days| ctx.now() + DAY * days),
        owner_valid_after: owner.sessions_valid_after,
    };
    let (ctx, notice_origin) = (ctx.clone(), NoticeOrigin::client(request_ctx));
    let origin = audit::Origin::request(request_ctx);
    // To completion, so that a thief cannot suppress the notice by disconnecting.
    run_to_completion(async move {
        let (key, full_key) = create(&ctx, new_key, origin).await?;
        mailing::queue_notice(&ctx, &owner, Letter::ApiKeyCreated { prefix: key.prefix.clone() }, &notice_origin).await;
        Ok((key, full_key))
    })
    .await
}

/// Returns true if a superuser's key with this scope reaches other users, or their tokens. A key of anyone else reaches
/// only its owner's tokens.
fn reaches_others(scope: &str) -> bool {
    is_reserved(scope) || [INTROSPECT_SCOPE, REVOKE_SCOPE, EXCHANGE_SCOPE].contains(&scope)
}

/// The caller's row. Fails if the row says that the caller's session was ended, which this node may not know yet.
async fn current_user(ctx: &Context, caller: &Caller) -> Result<User, Error> {
    let opened_at = caller.require_session()?.created_at().unwrap_or_default();
    let user = ctx.accounts.user(Find::Id(caller.user)).await?;
    let is_current = |user: &User| !user.disabled && user.sessions_valid_after < opened_at;
    Ok(user.filter(is_current).ok_or(VerifyError::Revoked)?)
}

/// Deactivates a key. Idempotent.
pub async fn deactivate_own(
    ctx: &Context,
    caller: &Caller,
    project: ProjectId,
    key: ApiKeyId,
    request_ctx: RequestContext<'_>,
) -> Result<ApiKey, Error> {
    require_owner(ctx, caller, project).await?;
    deactivate(ctx, project, key, audit::Origin::request(request_ctx)).await
}

/// Requires a user session, and that the project is the user's.
async fn require_owner(ctx: &Context, caller: &Caller, project: ProjectId) -> Result<(), Error> {
    caller.require_session()?;
    require_project_owner(ctx, caller.user, project).await
}
