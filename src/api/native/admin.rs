//! What only a superuser may do, or an API key of a superuser's with the scope `admin`.

use http::StatusCode;

use super::Problem;
use super::sessions::Ended;
use crate::auth::Error;
use crate::auth::context::Context;
use crate::auth::sessions::sign_out;
use crate::auth::tokens::caller::authenticate;
use crate::http::{Request, Response};
use crate::id::UserId;

async fn superuser(ctx: &Context, request: &Request) -> Result<(), Error> {
    let caller = authenticate(ctx, crate::api::credential(request)).await?;
    caller.require_superuser(ctx).await?;
    Ok(())
}

/// Ends all sessions of a user.
///
/// They are over everywhere within a second. For a superuser, or an API key of one with the scope `admin`.
#[utoipa::path(
    post,
    path = "/admin/users/{id}/sign-out",
    operation_id = "native_admin_sign_out",
    params(("id" = uuid::Uuid, Path, description = "The user's id.")),
    security(("access_token" = []), ("api_key" = [])),
    responses((status = 200, description = "How many sessions were ended.", body = Ended)),
)]
pub(super) async fn sign_out_user(ctx: Context, request: Request) -> Result<Response, Problem> {
    superuser(&ctx, &request).await?;
    let user = UserId::parse(request.param("id")).ok_or(Error::NotFound)?;
    let ended = sign_out::sign_out_user_as_admin(&ctx, user).await?;
    Ok(Response::json(StatusCode::OK, &Ended { ended }))
}

/// Ends all sessions of everybody.
///
/// For a superuser, or an API key of one with the scope `admin`; the caller's own session is over too.
#[utoipa::path(
    post,
    path = "/admin/sign-out-everyone",
    operation_id = "native_admin_sign_out_everyone",
    security(("access_token" = []), ("api_key" = [])),
    responses((status = 204, description = "They are over.")),
)]
pub(super) async fn sign_out_everyone(ctx: Context, request: Request) -> Result<Response, Problem> {
    superuser(&ctx, &request).await?;
    sign_out::sign_out_everyone(&ctx).await?;
    Ok(Response::empty(StatusCode::NO_CONTENT))
}
