//! Magic links and password reset links. Redeeming one takes two secrets: the token in the link, sent as the bearer
//! token, and the device secret, which the request for the link returned, sent as `claim` in the body.

use serde::Deserialize;
use utoipa::ToSchema;

use super::request_context;
use super::wire::{
    Msg, Token, WebToken, embedded_body, login_step_response, message_response, parse_with_new_password,
    require_bearer, web_token_response,
};
use crate::api::endpoint::{Endpoint, endpoint};
use crate::api::myauth::error::{Call, MyauthError};
use crate::api::{RATE_LIMITED, WEAK_PASSWORD, fastapi};
use crate::auth::Error;
use crate::auth::action_token::LinkTokenFormat;
use crate::auth::context::Context;
use crate::auth::error::LinkKind;
use crate::auth::passwords::reset::reset_password;
use crate::auth::passwords::{Password, request_reset};
use crate::auth::sign_in::magic_link;
use crate::http::{ParamLocation, Request, Response};

/// Send a magic link.
///
/// The response is the same for every address. If registration is open and no account has the address, redeeming the
/// link creates one.
#[utoipa::path(
    post,
    path = "/login/magic/{email}",
    operation_id = "myauth_magic",
    params(("email" = String, Path, description = "The e-mail address.", format = Email, example = "zoe@example.org")),
    responses((status = 200, description = "The device secret, which redeeming the link requires.", body = WebToken)),
)]
async fn request_magic_link(ctx: Context, request: Request) -> Result<Response, MyauthError> {
    let email = fastapi::email(ParamLocation::Path, "email", request.param("email"))?;
    let request_ctx = request_context(&ctx, &request);
    Ok(web_token_response(magic_link::request_link(&ctx, email.as_str(), LinkTokenFormat::Signed, request_ctx).await?))
}

pub(super) const REQUEST_MAGIC_LINK: Endpoint = endpoint! {
    handler: request_magic_link,
    metric_label: "myauth.magic",
    errors: [RATE_LIMITED],
};

/// Sign in with a magic link.
///
/// Takes the token of the link as the bearer token and the device secret as `claim`. Works once. If the address of the
/// account was not verified, the link verifies it and removes what was set before: password, TOTP, API keys and
/// sessions.
#[utoipa::path(
    post,
    path = "/login/claim",
    operation_id = "myauth_claim",
    request_body = WebToken,
    security(("mailed_token" = [])),
    responses((status = 200, description = "The tokens.", body = Token<'_>)),
)]
async fn redeem_magic_link(ctx: Context, mut request: Request) -> Result<Response, MyauthError> {
    require_bearer(&request)?;
    let WebToken { claim } = request.json().await?;
    let request_ctx = request_context(&ctx, &request);
    Ok(login_step_response(&magic_link::redeem(&ctx, require_bearer(&request)?, &claim, request_ctx).await?))
}

pub(super) const REDEEM_MAGIC_LINK: Endpoint = endpoint! {
    handler: redeem_magic_link,
    metric_label: "myauth.claim",
    errors: [Error::InvalidLink(LinkKind::MagicLink), Error::RegistrationClosed, RATE_LIMITED],
};

/// Send a password reset link.
///
/// The response is the same for every address.
#[utoipa::path(
    post,
    path = "/login/recover/{email}",
    operation_id = "myauth_recover",
    params(("email" = String, Path, description = "The e-mail address.", example = "zoe@example.org")),
    responses((status = 200, description = "The device secret, which redeeming the link requires.", body = WebToken)),
)]
async fn request_password_reset(ctx: Context, request: Request) -> Result<Response, MyauthError> {
    let request_ctx = request_context(&ctx, &request);
    let email = request.param("email");
    let claim = request_reset::request_password_reset(&ctx, email, LinkTokenFormat::Signed, request_ctx).await?;
    Ok(web_token_response(claim))
}

pub(super) const REQUEST_PASSWORD_RESET: Endpoint = endpoint! {
    handler: request_password_reset,
    metric_label: "myauth.recover",
    errors: [RATE_LIMITED],
};

/// The new password and the device secret.
#[derive(Deserialize, ToSchema)]
#[schema(as = Reset, examples(json!({
    "new_password": "a louder harbour at dawn", "claim": "kU0v1hYt0GZ4bQ9sXwJmT3rLq2A"
})))]
pub(super) struct ResetRequest {
    #[schema(value_type = String, format = Password, min_length = 8, max_length = 128)]
    new_password: Password,
    claim: String,
}

/// Reset the password.
///
/// Takes the token of the link as the bearer token and the device secret as `claim`. Ends all sessions of the user. If
/// the address of the account was not verified, verifies it and also removes TOTP and API keys.
#[utoipa::path(
    post,
    path = "/login/reset",
    operation_id = "myauth_reset",
    request_body = ResetRequest,
    security(("mailed_token" = [])),
    responses((status = 200, description = "The password was changed.", body = Msg,
        example = json!({"msg": "Password updated successfully."}))),
)]
async fn reset(ctx: Context, mut request: Request) -> Result<Response, MyauthError> {
    require_bearer(&request)?;
    let body = embedded_body(&mut request).await?;
    let body: ResetRequest = parse_with_new_password(&ctx, &body, "new_password")?;
    let request_ctx = request_context(&ctx, &request);
    let token = require_bearer(&request)?;
    let result = reset_password(&ctx, token, Some(&body.claim), &body.new_password, request_ctx).await;
    result.map_err(MyauthError::in_call(Call::Reset))?;
    Ok(message_response("Password updated successfully."))
}

pub(super) const RESET: Endpoint = endpoint! {
    handler: reset,
    metric_label: "myauth.reset",
    errors: [
        Error::InvalidLink(LinkKind::PasswordReset),
        WEAK_PASSWORD,
        RATE_LIMITED,
        Error::Overloaded,
    ],
};
