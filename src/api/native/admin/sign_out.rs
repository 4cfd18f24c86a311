//! Signing out one user, or everyone.

use http::StatusCode;

use super::{EndedSessions, Problem, origin, require_superuser, user_id};
use crate::api::FORBIDDEN;
use crate::api::endpoint::{Endpoint, endpoint};
use crate::auth::Error;
use crate::auth::context::Context;
use crate::auth::sessions::sign_out;
use crate::http::{Request, Response};

/// Sign a user out everywhere
///
/// Ends all sessions of the user, on every node within milliseconds. For superusers, and for their API keys with the
/// scope `admin`.
#[utoipa::path(
    post,
    path = "/admin/users/{id}/sign-out",
    operation_id = "native_admin_sign_out",
    params(("id" = uuid::Uuid, Path, description = "The user's id.")),
    security(("access_token" = []), ("api_key" = [])),
    responses((status = 200, description = "The number of sessions that were ended.", body = EndedSessions)),
)]
async fn sign_out_user(ctx: Context, request: Request) -> Result<Response, Problem> {
    let by = require_superuser(&ctx, &request).await?;
    let origin = origin(&ctx, &by, &request);
    let ended = sign_out::sign_out_user_as_admin(&ctx, user_id(&request)?, origin).await?;
    Ok(Response::json(StatusCode::OK, &EndedSessions { ended }))
}

pub(super) const SIGN_OUT_USER: Endpoint = endpoint! {
    handler: sign_out_user,
    metric_label: "native.admin-sign-out",
    errors: [FORBIDDEN, Error::NotFound],
};

/// Sign everyone out
///
/// Ends the sessions of all users, including the caller's. For superusers, and for their API keys with the scope
/// `admin`.
#[utoipa::path(
    post,
    path = "/admin/sign-out-everyone",
    operation_id = "native_admin_sign_out_everyone",
    security(("access_token" = []), ("api_key" = [])),
    responses((status = 204, description = "All sessions have ended.")),
)]
async fn sign_out_everyone(ctx: Context, request: Request) -> Result<Response, Problem> {
    let by = require_superuser(&ctx, &request).await?;
    sign_out::sign_out_everyone(&ctx, origin(&ctx, &by, &request)).await?;
    Ok(Response::empty(StatusCode::NO_CONTENT))
}

pub(super) const SIGN_OUT_EVERYONE: Endpoint = endpoint! {
    handler: sign_out_everyone,
    metric_label: "native.admin-sign-out-everyone",
    errors: [FORBIDDEN],
};
