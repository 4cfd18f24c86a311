//! Password reset with a mailed link. The token of the link is sufficient.

use serde::Deserialize;
use utoipa::ToSchema;

use super::sign_up::{LinkQuery, Message};
use super::{TOO_SHORT, V1Error, request_context};
use crate::api::RATE_LIMITED;
use crate::api::endpoint::{Endpoint, endpoint};
use crate::auth::Error;
use crate::auth::context::Context;
use crate::auth::error::LinkKind;
use crate::auth::passwords::Password;
use crate::auth::passwords::request_reset::request_password_reset_by_link;
use crate::auth::passwords::reset::reset_password;
use crate::http::{Request, Response};

/// E-mail address and username of the account.
#[derive(Deserialize, ToSchema)]
#[schema(as = Ask, examples(json!({"email": "user@example.com", "username": "hijack"})))]
pub(super) struct ResetRequest {
    email: String,
    username: String,
}

/// Send a password reset link.
///
/// Sends a mail only if address and username belong to the same account. The response is the same in every case.
#[utoipa::path(
    post,
    path = "/password-reset",
    operation_id = "v1_password_reset",
    request_body = ResetRequest,
    responses((
        status = 200,
        description = "The link was sent, if the account exists.",
        body = Message,
        example = json!({"message": "password reset requested"}),
    )),
)]
async fn request_reset(ctx: Context, mut request: Request) -> Result<Response, V1Error> {
    let body: ResetRequest = request.json().await?;
    request_password_reset_by_link(&ctx, &body.email, &body.username, request_context(&ctx, &request)).await?;
    Ok(Message::response("password reset requested"))
}

pub(super) const REQUEST_RESET: Endpoint = endpoint! {
    handler: request_reset,
    metric_label: "v1.password-reset",
    errors: [RATE_LIMITED],
};

/// The new password and its repetition.
#[derive(Deserialize, ToSchema)]
#[schema(as = New, examples(json!({"new_password": "123456", "new_password_confirm": "123456"})))]
pub(super) struct NewPassword {
    /// By default at least six characters.
    #[schema(value_type = String)]
    new_password: Password,
    /// Must equal `new_password`.
    #[schema(value_type = String)]
    new_password_confirm: Password,
}

/// Reset the password.
///
/// Takes the token of the link and ends all sessions of the user. A token works once, but a rejected password (400;
/// `password not confirm` if the two differ) does not use it up. If the address of the account was not verified,
/// verifies it and also removes the second factor and API keys.
#[utoipa::path(
    post,
    path = "/password-reset-confirm",
    operation_id = "v1_password_reset_confirm",
    params(LinkQuery),
    request_body = NewPassword,
    responses((
        status = 200,
        description = "The password was changed.",
        body = Message,
        example = json!({"message": "password reset successful"}),
    )),
)]
async fn reset(ctx: Context, mut request: Request) -> Result<Response, V1Error> {
    let link: LinkQuery = request.query()?.deserialize()?;
    let body: NewPassword = request.json().await?;
    if body.new_password.reveal() != body.new_password_confirm.reveal() {
        return Err(V1Error::PasswordMismatch);
    }
    let request_ctx = request_context(&ctx, &request);
    reset_password(&ctx, &link.token, None, &body.new_password, request_ctx).await?;
    Ok(Message::response("password reset successful"))
}

pub(super) const RESET: Endpoint = endpoint! {
    handler: reset,
    metric_label: "v1.password-reset-confirm",
    errors: [
        TOO_SHORT,
        Error::InvalidLink(LinkKind::PasswordReset),
        RATE_LIMITED,
        Error::Overloaded,
    ],
};
