//! TOTP: enabling it without a confirmation step, and disabling it.

use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::request_context;
use crate::api::RATE_LIMITED;
use crate::api::codes::error::{CodesError, ErrorCode};
use crate::api::endpoint::{Endpoint, endpoint};
use crate::auth::Error;
use crate::auth::context::Context;
use crate::auth::error::MfaError;
use crate::auth::mfa::{disable, enable_without_confirmation};
use crate::auth::tokens::caller;
use crate::auth::tokens::caller::{User, is_deleted};
use crate::http::{Request, Response};

/// The enabled second factor.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({
    "otp_key": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ",
    "backup_codes": ["123456", "654321", "112233"],
})))]
pub(super) struct Created {
    /// The TOTP secret in base32, as authenticator apps expect it.
    otp_key: String,
    /// Each works once. They are not shown again.
    backup_codes: Vec<String>,
}

/// Authenticates a user session. A token of a deleted user is refused like any invalid token; this dialect has a code
/// of its own for it.
async fn authenticate_session_user(ctx: &Context, request: &Request) -> Result<User, Error> {
    match caller::authenticate_user(ctx, request.bearer()).await {
        Ok((caller, user)) => caller.require_session().map(|_| user),
        Err(Error::InvalidToken(_)) if is_deleted(ctx, request.bearer()).await? => Err(Error::NotFound),
        Err(error) => Err(error),
    }
}

/// Enable TOTP.
///
/// Creates a TOTP secret and enables it immediately: from then on every sign-in requires a code.
#[utoipa::path(
    post,
    path = "/create/otp",
    operation_id = "codes_create_otp",
    security(("access_token" = [])),
    responses((status = 200, description = "TOTP is enabled.", body = Created)),
)]
async fn create(ctx: Context, request: Request) -> Result<Response, CodesError> {
    let user = authenticate_session_user(&ctx, &request).await?;
    let backup_codes = ctx.node.config.api.codes.backup_codes;
    let request_ctx = request_context(&ctx, &request);
    let (otp_key, backup_codes) = enable_without_confirmation(&ctx, &user, backup_codes, request_ctx).await?;
    Ok(Response::json(StatusCode::OK, &Created { otp_key, backup_codes }).no_store())
}

pub(super) const CREATE: Endpoint = endpoint! {
    handler: create,
    state: super::in_band,
    respond: super::respond,
    metric_label: "codes.create-otp",
    errors: [
        Error::NotFound,
        Error::Mfa(MfaError::AlreadyEnabled),
        Error::AccountDisabled,
        RATE_LIMITED,
        Error::Overloaded,
    ],
};

/// Disable TOTP.
///
/// The backup codes stop working as well. Takes no body.
#[utoipa::path(
    post,
    path = "/delete/otp",
    operation_id = "codes_delete_otp",
    security(("access_token" = [])),
    responses((status = 200, description = "TOTP is disabled.", body = ErrorCode<'_>,
        example = json!({"error_code": "0"}))),
)]
async fn delete(ctx: Context, request: Request) -> Result<Response, CodesError> {
    let user = authenticate_session_user(&ctx, &request).await?;
    let request_ctx = request_context(&ctx, &request);
    disable(&ctx, &user, None, request_ctx).await?;
    Ok(Response::json(StatusCode::OK, &ErrorCode { error_code: "0" }))
}

pub(super) const DELETE: Endpoint = endpoint! {
    handler: delete,
    state: super::in_band,
    respond: super::respond,
    metric_label: "codes.delete-otp",
    errors: [
        Error::NotFound,
        Error::Mfa(MfaError::AlreadyDisabled),
        Error::AccountDisabled,
        RATE_LIMITED,
    ],
};
