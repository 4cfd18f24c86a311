//! What the landing pages do when their button is pressed: whatever a mailed link is for is done by a POST, never by following it.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::sessions::{Tokens, tokens};
use super::{NAME, Problem};
use crate::api::request_context;
use crate::auth::accounts::verify_email;
use crate::auth::accounts::verify_email::Confirmed;
use crate::auth::context::Context;
use crate::auth::passwords::reset::reset_password;
use crate::auth::passwords::{Password, Policy};
use crate::auth::sign_in::magic_link::redeem_with_code;
use crate::http::{Request, Response};

/// The token of a link that confirms an address.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"token": "eyJhbGciOiJFZERTQSIsInR5cCI6InNpZ25ldC1jb25maXJtLWVt…"})))]
pub(super) struct Confirm {
    token: String,
}

/// What became of a confirmation.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({"status": "confirmed"})))]
pub(super) struct Confirmation {
    status: Status,
}

/// Whether the address is confirmed by this, or was before.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Status {
    Confirmed,
    AlreadyConfirmed,
}

/// Confirms an address by the token of a link.
///
/// Again does no harm, until the link's time is over.
#[utoipa::path(
    post,
    path = "/links/confirm",
    operation_id = "native_confirm",
    request_body = Confirm,
    responses((status = 200, description = "It is confirmed.", body = Confirmation)),
)]
pub(super) async fn confirm(ctx: Context, mut request: Request) -> Result<Response, Problem> {
    let asked: Confirm = request.json().await?;
    let status = match verify_email::verify_email(&ctx, &asked.token).await? {
        Confirmed::Now => Status::Confirmed,
        Confirmed::Already => Status::AlreadyConfirmed,
    };
    Ok(Response::json(StatusCode::OK, &Confirmation { status }).no_store())
}

/// What allows a new password, and the password.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({
    "token": "eyJhbGciOiJFZERTQSIsInR5cCI6InNpZ25ldC1yZXNldC1wYXNz…",
    "claim": "0p3UoSMwZbTBy6nUXc1qgy2ZQb0",
    "new_password": "a quiet harbour at dusk",
})))]
pub(super) struct Reset {
    /// The token of the link.
    token: String,
    /// What the device was given that asked for the link, if it was given anything.
    claim: Option<String>,
    #[schema(value_type = String)]
    new_password: Password,
}

/// Sets a new password by the token of a link, and ends all of the user's sessions.
///
/// Once. A password that will not do leaves the link as good as it was.
#[utoipa::path(
    post,
    path = "/links/reset",
    operation_id = "native_reset_password",
    request_body = Reset,
    responses((status = 204, description = "It is set.")),
)]
pub(super) async fn reset(ctx: Context, mut request: Request) -> Result<Response, Problem> {
    let asked: Reset = request.json().await?;
    let request_ctx = request_context(NAME, &ctx.node.config.api.native, &request);
    let policy = Policy::of(request_ctx.dialect_config, &ctx.node.config.passwords);
    reset_password(&ctx, &asked.token, asked.claim.as_deref(), &asked.new_password, policy, request_ctx).await?;
    Ok(Response::empty(StatusCode::NO_CONTENT).no_store())
}

/// Both halves of a magic link.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({
    "token": "eyJhbGciOiJFZERTQSIsInR5cCI6InNpZ25ldC1tYWdpYy1saW5r…",
    "claim": "0p3UoSMwZbTBy6nUXc1qgy2ZQb0",
})))]
pub(super) struct Magic {
    /// The token of the link.
    token: String,
    /// What the device was given that asked for the link.
    claim: String,
    /// The code of the second factor, of whom has one.
    totp_code: Option<String>,
}

/// Signs in by both halves of a magic link.
///
/// Once. A second factor that is due or wrong leaves both as good as they were.
#[utoipa::path(
    post,
    path = "/links/magic",
    operation_id = "native_magic",
    request_body = Magic,
    responses((status = 201, description = "Signed in.", body = Tokens<'_>)),
)]
pub(super) async fn magic(ctx: Context, mut request: Request) -> Result<Response, Problem> {
    let asked: Magic = request.json().await?;
    let request_ctx = request_context(NAME, &ctx.node.config.api.native, &request);
    let pair = redeem_with_code(&ctx, &asked.token, &asked.claim, asked.totp_code.as_deref(), request_ctx).await?;
    Ok(Response::json(StatusCode::CREATED, &tokens(&pair, ctx.now())).no_store())
}
