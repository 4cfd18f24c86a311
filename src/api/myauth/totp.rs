//! The second factor: asked for, turned on, taken as the second step of a sign-in, turned off.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::NAME;
use super::wire::{Msg, Token, WebToken, bearer, said, tokens};
use crate::api::myauth::error::Refusal;
use crate::api::request_context;
use crate::auth::Error;
use crate::auth::accounts::permissions::require_user;
use crate::auth::context::Context;
use crate::auth::mfa::{self, complete_login, start_enrollment};
use crate::auth::passwords::Password;
use crate::http::{Request, Response, json};

/// A second factor that is not on yet.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({
    "key": "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
    "uri": "otpauth://totp/Signet:zoe%40example.org?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Signet",
})))]
pub(super) struct NewTotp<'a> {
    /// What to type into an app.
    key: &'a str,
    /// What to make a QR code of.
    uri: &'a str,
}

/// Draws the secret of a second factor.
///
/// It is pending for ten minutes. Nothing is turned on.
#[utoipa::path(
    post,
    path = "/login/new-totp",
    operation_id = "myauth_new_totp",
    security(("access_token" = [])),
    responses((status = 200, description = "The secret.", body = NewTotp<'_>)),
)]
pub(super) async fn new(ctx: Context, request: Request) -> Result<Response, Refusal> {
    let (_, user) = require_user(&ctx, request.bearer()).await?;
    let pending = start_enrollment(&ctx, &user).await?;
    Ok(Response::json(StatusCode::OK, &NewTotp { key: &pending.key, uri: &pending.uri }).no_store())
}

/// A code of the secret that is pending.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({
    "claim": "123456",
    "uri": "otpauth://totp/Signet:zoe%40example.org?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Signet",
    "password": "a quiet harbour at dusk",
})))]
pub(super) struct EnableTotp {
    /// The code.
    claim: String,
    /// As it was given. Only the secret that is pending counts.
    #[serde(rename = "uri")]
    _uri: String,
    /// Where the user has one.
    #[schema(value_type = Option<String>, format = Password)]
    password: Option<Password>,
}

/// A second factor is on.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({
    "msg": "TOTP enabled. Do not lose your recovery code.",
    "recovery_codes": ["4q7c-z0m9-w2xk-8ht1-p6ra-n3jv"],
})))]
pub(super) struct Enabled {
    msg: &'static str,
    /// Each takes the place of a code, once.
    recovery_codes: Vec<String>,
}

/// Turns the second factor on.
#[utoipa::path(
    put,
    path = "/login/totp",
    operation_id = "myauth_totp_on",
    request_body = EnableTotp,
    security(("access_token" = [])),
    responses((status = 200, description = "It is on.", body = Enabled)),
)]
pub(super) async fn enable(ctx: Context, mut request: Request) -> Result<Response, Refusal> {
    let (_, user) = require_user(&ctx, request.bearer()).await?;
    let asked: EnableTotp = request.json().await?;
    let request_ctx = request_context(NAME, &ctx.node.config.api.myauth, &request);
    let recovery_codes = mfa::enable(&ctx, &user, asked.password.as_ref(), &asked.claim, request_ctx).await?;
    let msg = "TOTP enabled. Do not lose your recovery code.";
    Ok(Response::json(StatusCode::OK, &Enabled { msg, recovery_codes }).no_store())
}

/// Takes the second step of a sign-in.
///
/// With a code of the second factor or a recovery code.
#[utoipa::path(
    post,
    path = "/login/totp",
    operation_id = "myauth_totp",
    request_body = WebToken,
    security(("totp_token" = [])),
    responses((status = 200, description = "The tokens.", body = Token<'_>)),
)]
pub(super) async fn sign_in(ctx: Context, mut request: Request) -> Result<Response, Refusal> {
    bearer(&request)?;
    let WebToken { claim } = request.json().await?;
    let request_ctx = request_context(NAME, &ctx.node.config.api.myauth, &request);
    Ok(tokens(&complete_login(&ctx, bearer(&request)?, &claim, request_ctx).await?))
}

/// Who turns it off.
#[derive(Default, Deserialize, ToSchema)]
#[schema(examples(json!({"original": "a quiet harbour at dusk"})))]
pub(super) struct DisableTotp {
    /// The password, where the user has one.
    #[schema(value_type = Option<String>, format = Password)]
    original: Option<Password>,
}

/// Turns the second factor off.
///
/// Where it is off already there is nothing to do.
#[utoipa::path(
    delete,
    path = "/login/totp",
    operation_id = "myauth_totp_off",
    request_body = Option<DisableTotp>,
    security(("access_token" = [])),
    responses((status = 200, description = "It is off.", body = Msg,
        example = json!({"msg": "TOTP disabled. You can re-enable it at any time."}))),
)]
pub(super) async fn disable(ctx: Context, mut request: Request) -> Result<Response, Refusal> {
    let (_, user) = require_user(&ctx, request.bearer()).await?;
    let body = request.json_bytes().await?;
    // A body that may be left out may be null as well.
    let none = body.is_empty() || body.trim_ascii() == b"null";
    let asked: DisableTotp = if none { DisableTotp::default() } else { json::read(&body)? };
    let request_ctx = request_context(NAME, &ctx.node.config.api.myauth, &request);
    match mfa::disable(&ctx, &user, Some(asked.original.as_ref()), request_ctx).await {
        Ok(()) | Err(Error::SecondFactorAlreadyOff) => Ok(said("TOTP disabled. You can re-enable it at any time.")),
        Err(failure) => Err(failure.into()),
    }
}
