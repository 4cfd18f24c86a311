//! The caller's own account.

use http::StatusCode;

use super::Problem;
use super::profile::Profile;
use crate::api::credential;
use crate::api::endpoint::{Endpoint, endpoint};
use crate::auth::Error;
use crate::auth::context::Context;
use crate::auth::tokens::caller::authenticate_user;
use crate::http::{Request, Response};

/// Get your account
///
/// Takes an access token or an API key.
#[utoipa::path(
    get,
    path = "/me",
    operation_id = "native_me",
    security(("access_token" = []), ("api_key" = [])),
    responses((status = 200, description = "The caller's account.", body = Profile<'_>)),
)]
async fn read(ctx: Context, request: Request) -> Result<Response, Problem> {
    let (caller, user) = authenticate_user(&ctx, credential(&request)).await?;
    Ok(Response::json(StatusCode::OK, &Profile::of(&ctx, &user, caller.auth_time()).await?).no_store())
}

pub(super) const READ: Endpoint = endpoint! {
    handler: read,
    metric_label: "native.me",
    errors: [Error::AccountDisabled, Error::NotFound],
};
