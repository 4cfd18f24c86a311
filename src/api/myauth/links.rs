//! What is mailed: magic links and links to set a new password. One half is in the mail and comes back as the bearer, the other is the
//! answer to who asked and comes back in the body.

use serde::Deserialize;
use utoipa::ToSchema;

use super::NAME;
use super::wire::{self, Msg, Token, WebToken, bearer, entered, said, with_password};
use crate::api::fastapi;
use crate::api::myauth::error::{Call, Refusal};
use crate::api::request_context;
use crate::auth::context::Context;
use crate::auth::passwords::request_reset::recover;
use crate::auth::passwords::reset::reset_password;
use crate::auth::passwords::{Password, Policy};
use crate::auth::sign_in::magic_link;
use crate::http::{ParamLocation, Request, Response};

/// Mails a link to sign in with.
///
/// The same for any address. Where registration is open and nobody has the address, whoever comes back with both halves gets an
/// account.
#[utoipa::path(
    post,
    path = "/login/magic/{email}",
    operation_id = "myauth_magic",
    params(("email" = String, Path, description = "The address.", format = Email, example = "zoe@example.org")),
    responses((status = 200, description = "The half that stays with the device.", body = WebToken)),
)]
pub(super) async fn magic(ctx: Context, request: Request) -> Result<Response, Refusal> {
    let email = fastapi::email(ParamLocation::Path, "email", request.param("email"))?;
    let request_ctx = request_context(NAME, &ctx.node.config.api.myauth, &request);
    Ok(wire::claim(magic_link::request_link(&ctx, email.as_str(), request_ctx).await?))
}

/// Signs in with both halves of a magic link.
///
/// Together and once.
#[utoipa::path(
    post,
    path = "/login/claim",
    operation_id = "myauth_claim",
    request_body = WebToken,
    security(("mailed_token" = [])),
    responses((status = 200, description = "The tokens.", body = Token<'_>)),
)]
pub(super) async fn claim(ctx: Context, mut request: Request) -> Result<Response, Refusal> {
    bearer(&request)?;
    let WebToken { claim } = request.json().await?;
    let request_ctx = request_context(NAME, &ctx.node.config.api.myauth, &request);
    Ok(entered(&magic_link::redeem(&ctx, bearer(&request)?, &claim, request_ctx).await?))
}

/// Mails a link to set a new password.
///
/// The same for any address.
#[utoipa::path(
    post,
    path = "/login/recover/{email}",
    operation_id = "myauth_recover",
    params(("email" = String, Path, description = "The address.", example = "zoe@example.org")),
    responses((status = 200, description = "The half that stays with the device.", body = WebToken)),
)]
pub(super) async fn recover_password(ctx: Context, request: Request) -> Result<Response, Refusal> {
    let request_ctx = request_context(NAME, &ctx.node.config.api.myauth, &request);
    Ok(wire::claim(recover(&ctx, request.param("email"), request_ctx).await?))
}

/// A new password, and the device's half of what allows it.
#[derive(Deserialize, ToSchema)]
#[schema(as = Reset, examples(json!({
    "new_password": "a louder harbour at dawn", "claim": "kU0v1hYt0GZ4bQ9sXwJmT3rLq2A"
})))]
pub(super) struct Reset {
    #[schema(value_type = String, format = Password, min_length = 8, max_length = 128)]
    new_password: Password,
    claim: String,
}

/// Sets a new password with both halves of what was asked for.
///
/// Ends all of the user's sessions.
#[utoipa::path(
    post,
    path = "/login/reset",
    operation_id = "myauth_reset",
    request_body = Reset,
    security(("mailed_token" = [])),
    responses((status = 200, description = "It is set.", body = Msg,
        example = json!({"msg": "Password updated successfully."}))),
)]
pub(super) async fn reset(ctx: Context, mut request: Request) -> Result<Response, Refusal> {
    bearer(&request)?;
    let asked: Reset = with_password(&ctx, &mut request, "new_password").await?;
    let config = &ctx.node.config;
    let (request_ctx, policy) =
        (request_context(NAME, &config.api.myauth, &request), Policy::of(&config.api.myauth, &config.passwords));
    let token = bearer(&request)?;
    let done = reset_password(&ctx, token, Some(&asked.claim), &asked.new_password, policy, request_ctx).await;
    done.map_err(Refusal::of(Call::Reset))?;
    Ok(said("Password updated successfully."))
}
