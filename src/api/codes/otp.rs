//! The second factor: turned on at once, and off again.

use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::NAME;
use crate::api::codes::error::{ErrorCode, Refusal};
use crate::api::request_context;
use crate::auth::Error;
use crate::auth::context::Context;
use crate::auth::mfa::{disable, enable_without_confirmation};
use crate::auth::tokens::caller;
use crate::auth::tokens::caller::{User, is_gone};
use crate::http::{Request, Response};

/// A second factor that is on.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({
    "otp_key": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ",
    "backup_codes": ["123456", "654321", "112233"],
})))]
pub(super) struct Created {
    /// The secret in the letters that are typed into an app.
    otp_key: String,
    /// Each is good once. They are shown this once.
    backup_codes: Vec<String>,
}

/// The person whose access token it is. A token ends with its user; this dialect tells the one from the other.
async fn person(ctx: &Context, request: &Request) -> Result<User, Error> {
    match caller::authenticate_user(ctx, request.bearer()).await {
        Ok((caller, user)) => caller.require_session().map(|_| user),
        Err(Error::BadCredentials(_)) if is_gone(ctx, request.bearer()).await? => Err(Error::NotFound),
        Err(failure) => Err(failure),
    }
}

/// Makes a TOTP secret and turns the second factor on.
///
/// It is on at once: from then on every way in asks for it.
#[utoipa::path(
    post,
    path = "/create/otp",
    operation_id = "codes_create_otp",
    security(("access_token" = [])),
    responses((status = 200, description = "It is on.", body = Created)),
)]
pub(super) async fn create(ctx: Context, request: Request) -> Result<Response, Refusal> {
    let user = person(&ctx, &request).await?;
    let settings = &ctx.node.config.api.codes;
    let request_ctx = request_context(NAME, &settings.dialect, &request);
    let (otp_key, backup_codes) = enable_without_confirmation(&ctx, &user, settings.backup_codes, request_ctx).await?;
    Ok(Response::json(StatusCode::OK, &Created { otp_key, backup_codes }).no_store())
}

/// Turns the second factor off.
///
/// Its backup codes are of no use any more. Takes no body.
#[utoipa::path(
    post,
    path = "/delete/otp",
    operation_id = "codes_delete_otp",
    security(("access_token" = [])),
    responses((status = 200, description = "It is off.", body = ErrorCode<'_>, example = json!({"error_code": "0"}))),
)]
pub(super) async fn delete(ctx: Context, request: Request) -> Result<Response, Refusal> {
    let user = person(&ctx, &request).await?;
    let request_ctx = request_context(NAME, &ctx.node.config.api.codes.dialect, &request);
    disable(&ctx, &user, None, request_ctx).await?;
    Ok(Response::json(StatusCode::OK, &ErrorCode { error_code: "0" }))
}
