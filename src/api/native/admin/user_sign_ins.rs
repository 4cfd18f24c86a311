//! Calls by which administrators help a user sign in or sign out: sessions, a lost second factor, a forgotten password.

use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Problem, origin, request_context, require_recent_superuser, require_superuser, user_id};
use crate::api::endpoint::{Endpoint, endpoint};
use crate::api::native::sessions::Session;
use crate::api::{FORBIDDEN, RATE_LIMITED};
use crate::auth::Error;
use crate::auth::accounts::find::find_user;
use crate::auth::context::Context;
use crate::auth::mfa::reset_as_operator;
use crate::auth::passwords::request_reset::send_reset_link_as_admin;
use crate::auth::sessions::list::list_sessions;
use crate::auth::sessions::sign_out::{SignOutScope, sign_out};
use crate::http::{Request, Response};
use crate::id::SessionId;

/// The sessions of a user.
#[derive(Serialize, ToSchema)]
struct UserSessions<'a> {
    /// The open sessions, newest first. `current` is false for all of them.
    sessions: Vec<Session<'a>>,
}

/// List a user's sessions
///
/// For superusers, and for their API keys with the scope `admin`.
#[utoipa::path(
    get,
    path = "/admin/users/{id}/sessions",
    operation_id = "native_admin_sessions",
    params(("id" = uuid::Uuid, Path, description = "The user's id.")),
    security(("access_token" = []), ("api_key" = [])),
    responses((status = 200, description = "The open sessions.", body = UserSessions<'_>)),
)]
async fn list(ctx: Context, request: Request) -> Result<Response, Problem> {
    require_superuser(&ctx, &request).await?;
    let user = find_user(&ctx, user_id(&request)?).await?;
    let sessions = list_sessions(&ctx, user.id).await?;
    let sessions = sessions.iter().map(|session| Session::new(session, None)).collect();
    Ok(Response::json(StatusCode::OK, &UserSessions { sessions }).no_store())
}

pub(super) const LIST: Endpoint = endpoint! {
    handler: list,
    metric_label: "native.admin-sessions",
    errors: [FORBIDDEN, Error::NotFound],
};

/// End a session of a user
///
/// Ends the session and its access tokens, on every node within milliseconds. For superusers, and for their API keys with
/// the scope `admin`.
#[utoipa::path(
    delete,
    path = "/admin/users/{id}/sessions/{session}",
    operation_id = "native_admin_end_session",
    params(
        ("id" = uuid::Uuid, Path, description = "The user's id."),
        ("session" = uuid::Uuid, Path, description = "The session's id."),
    ),
    security(("access_token" = []), ("api_key" = [])),
    responses((status = 204, description = "The session has ended.")),
)]
async fn end(ctx: Context, request: Request) -> Result<Response, Problem> {
    let by = require_superuser(&ctx, &request).await?;
    let session = SessionId::parse(request.param("session")).ok_or(Error::NotFound)?;
    let scope = SignOutScope::One(session);
    match sign_out(&ctx, user_id(&request)?, scope, origin(&ctx, &by, &request)).await? {
        0 => Err(Error::NotFound.into()),
        _ => Ok(Response::empty(StatusCode::NO_CONTENT)),
    }
}

pub(super) const END: Endpoint = endpoint! {
    handler: end,
    metric_label: "native.admin-end-session",
    errors: [FORBIDDEN, Error::NotFound],
};

/// Reset a user's second factor
///
/// Turns the second factor off and deletes the recovery codes of a user who has lost both, and tells the user by mail. Does
/// nothing if it is off. Sessions stay open. Needs a recent sign-in. For superusers, and for their API keys with the scope
/// `admin`.
#[utoipa::path(
    post,
    path = "/admin/users/{id}/reset-mfa",
    operation_id = "native_admin_reset_mfa",
    params(("id" = uuid::Uuid, Path, description = "The user's id.")),
    security(("access_token" = []), ("api_key" = [])),
    responses((status = 204, description = "The second factor is off.")),
)]
async fn reset_mfa(ctx: Context, request: Request) -> Result<Response, Problem> {
    let by = require_recent_superuser(&ctx, &request).await?;
    reset_as_operator(&ctx, user_id(&request)?, origin(&ctx, &by, &request)).await?;
    Ok(Response::empty(StatusCode::NO_CONTENT))
}

pub(super) const RESET_MFA: Endpoint = endpoint! {
    handler: reset_mfa,
    metric_label: "native.admin-reset-mfa",
    errors: [FORBIDDEN, Error::NotFound, Error::RecentSignInRequired],
};

/// Send a user a password reset link
///
/// Mails the link to the user's address. It works on any device. For superusers, and for their API keys with the scope
/// `admin`.
#[utoipa::path(
    post,
    path = "/admin/users/{id}/password-reset",
    operation_id = "native_admin_password_reset",
    params(("id" = uuid::Uuid, Path, description = "The user's id.")),
    security(("access_token" = []), ("api_key" = [])),
    responses((status = 202, description = "The mail is queued.")),
)]
async fn send_reset_link(ctx: Context, request: Request) -> Result<Response, Problem> {
    require_superuser(&ctx, &request).await?;
    let request_ctx = request_context(&ctx, &request);
    send_reset_link_as_admin(&ctx, user_id(&request)?, request_ctx).await?;
    Ok(Response::empty(StatusCode::ACCEPTED))
}

pub(super) const SEND_RESET_LINK: Endpoint = endpoint! {
    handler: send_reset_link,
    metric_label: "native.admin-password-reset",
    errors: [FORBIDDEN, Error::NotFound, Error::AccountDisabled, RATE_LIMITED],
};
