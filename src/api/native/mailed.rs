//! Requests of mails: codes and links. The response is the same for every address, whether it has an account or not.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Problem, request_context};
use crate::api::endpoint::{Endpoint, endpoint};
use crate::api::{FORBIDDEN, RATE_LIMITED, session_token};
use crate::auth::Error;
use crate::auth::accounts::permissions::require_user;
use crate::auth::accounts::verify_email;
use crate::auth::action_token::LinkTokenFormat;
use crate::auth::context::Context;
use crate::auth::identity::{Email, EmailError};
use crate::auth::passwords::request_reset::request_password_reset;
use crate::auth::sign_in::{magic_link, mailed_code};
use crate::http::{Request, Response};

/// The address to send a mail to.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"email": "zoe@example.org"})))]
pub(super) struct MailRequest {
    email: String,
}

/// A code or a link was mailed, if the address may have one.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({"expires_in": 600})))]
pub(super) struct Mailed {
    /// Seconds until the code or the link expires.
    pub(super) expires_in: u64,
}

/// A link was mailed, if the address may have one.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({"device_secret": "0p3UoSMwZbTBy6nUXc1qgy2ZQb0", "expires_in": 600})))]
pub(super) struct LinkMailed<'a> {
    /// The secret that this device needs to redeem the link, beside the token in it. Keep it on the device.
    device_secret: &'a str,
    /// Seconds until the link expires.
    expires_in: u64,
}

impl Mailed {
    /// The response to a request that mails something which is valid for `lifetime`.
    pub(super) fn response(lifetime: std::time::Duration) -> Response {
        Response::json(StatusCode::ACCEPTED, &Self { expires_in: lifetime.as_secs() }).no_store()
    }
}

/// Mail a sign-in code
///
/// `POST /sessions` takes the code. It replaces an earlier one.
#[utoipa::path(
    post,
    path = "/codes",
    operation_id = "native_send_code",
    request_body = MailRequest,
    responses((status = 202, description = "The same response for every address.", body = Mailed)),
)]
async fn send_code(ctx: Context, mut request: Request) -> Result<Response, Problem> {
    let body: MailRequest = request.json().await?;
    let request_ctx = request_context(&ctx, &request);
    let lifetime = mailed_code::send_code(&ctx, &Email::parse(&body.email)?, request_ctx).await?;
    Ok(Mailed::response(lifetime))
}

pub(super) const SEND_CODE: Endpoint = endpoint! {
    handler: send_code,
    metric_label: "native.send-code",
    errors: [EmailError::NoAt, RATE_LIMITED],
};

/// Mail a magic link
///
/// `POST /magic-links/redeem` takes the token of the link together with `device_secret`, so that a link opened on
/// another device, or by somebody else, does not sign in.
#[utoipa::path(
    post,
    path = "/magic-links",
    operation_id = "native_send_magic_link",
    request_body = MailRequest,
    responses((status = 202, description = "The same response for every address.", body = LinkMailed<'_>)),
)]
async fn send_magic_link(ctx: Context, mut request: Request) -> Result<Response, Problem> {
    let body: MailRequest = request.json().await?;
    let request_ctx = request_context(&ctx, &request);
    let device_secret = magic_link::request_link(&ctx, &body.email, LinkTokenFormat::Short, request_ctx).await?;
    let expires_in = ctx.node.config.mailed.magic.as_secs();
    Ok(Response::json(StatusCode::ACCEPTED, &LinkMailed { device_secret: &device_secret, expires_in }).no_store())
}

pub(super) const SEND_MAGIC_LINK: Endpoint = endpoint! {
    handler: send_magic_link,
    metric_label: "native.send-magic-link",
    errors: [EmailError::NoAt, RATE_LIMITED],
};

/// Mail a password reset link
///
/// `POST /password-resets/redeem` takes the token of the link together with `device_secret` and the new password.
#[utoipa::path(
    post,
    path = "/password-resets",
    operation_id = "native_send_reset_link",
    request_body = MailRequest,
    responses((status = 202, description = "The same response for every address.", body = LinkMailed<'_>)),
)]
async fn send_reset_link(ctx: Context, mut request: Request) -> Result<Response, Problem> {
    let body: MailRequest = request.json().await?;
    let email = Email::parse(&body.email)?;
    let request_ctx = request_context(&ctx, &request);
    let device_secret = request_password_reset(&ctx, email.as_str(), LinkTokenFormat::Short, request_ctx).await?;
    let expires_in = ctx.node.config.mailed.reset.as_secs();
    Ok(Response::json(StatusCode::ACCEPTED, &LinkMailed { device_secret: &device_secret, expires_in }).no_store())
}

pub(super) const SEND_RESET_LINK: Endpoint = endpoint! {
    handler: send_reset_link,
    metric_label: "native.send-reset-link",
    errors: [EmailError::NoAt, RATE_LIMITED],
};

/// Mail your confirmation link again
///
/// Mails a link that confirms the address of the caller's account. Mails nothing if it is confirmed.
#[utoipa::path(
    post,
    path = "/email-confirmations",
    operation_id = "native_send_confirmation_link",
    security(("access_token" = [])),
    responses((status = 202, description = "The link was mailed, if the address is not confirmed.", body = Mailed)),
)]
async fn send_confirmation_link(ctx: Context, request: Request) -> Result<Response, Problem> {
    let (_, user) = require_user(&ctx, session_token(&request)?).await?;
    let request_ctx = request_context(&ctx, &request);
    verify_email::request_link(&ctx, &user, request_ctx).await?;
    Ok(Mailed::response(ctx.node.config.mailed.confirm))
}

pub(super) const SEND_CONFIRMATION_LINK: Endpoint = endpoint! {
    handler: send_confirmation_link,
    metric_label: "native.send-confirmation-link",
    errors: [FORBIDDEN, Error::AccountDisabled, RATE_LIMITED],
};
