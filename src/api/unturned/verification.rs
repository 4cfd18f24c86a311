//! `/verification`: codes by mail, and the tokens that they are exchanged for.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::envelope::{envelopes, success};
use super::{NAME, Refusal};
use crate::api::fastapi::EmailStr;
use crate::api::request_context;
use crate::auth::Error;
use crate::auth::context::Context;
use crate::auth::sessions::open::{RequestContext, TokenPair};
use crate::auth::sessions::refresh::{RotationPolicy, refresh};
use crate::auth::sign_in::mailed_code::{self, sign_in_with_code};
use crate::auth::tokens::revoke::sign_out_token;
use crate::http::{Request, Response};
use crate::id::UserId;

/// Whom to mail a code.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"email": "zoe@example.org"})))]
pub(super) struct SendCodeRequest {
    /// User email address.
    #[schema(value_type = String, format = Email)]
    email: EmailStr,
}

/// The code that was mailed.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"email": "zoe@example.org", "code": "294018"})))]
pub(super) struct VerifyCodeRequest {
    /// Where it was mailed.
    #[schema(value_type = String, format = Email)]
    email: EmailStr,
    /// Six digits.
    code: String,
    /// A code of the second factor, or a recovery code, where there is one.
    totp_code: Option<String>,
}

/// A refresh token, and whose it is.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({
    "refresh_token": "AQGaLgDLJ3K0nV3",
    "user_uuid": "019a8b1c-0000-7abc-9def-0123456789ab",
})))]
pub(super) struct RefreshTokenRequest {
    /// Refresh token to exchange for a new access token.
    refresh_token: String,
    /// User UUID.
    user_uuid: String,
}

/// What is to end.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"refresh_token": "AQGaLgDLJ3K0nV3"})))]
pub(super) struct RevokeTokenRequest {
    /// Refresh token to revoke.
    refresh_token: String,
}

/// That a mail is on its way, if it is.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({"message": "If the address can sign in, a code is on its way.", "expires_in": 600})))]
struct SentCode {
    message: &'static str,
    /// How many seconds the code is good.
    expires_in: u64,
}

/// That it is done.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({"message": "Token revoked."})))]
struct Message {
    message: &'static str,
}

/// Tokens.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({
    "access_token": "eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCIsImtpZCI6IjNxN…",
    "refresh_token": "AQGaLgDLJ3K0nV3",
    "token_type": "bearer",
})))]
struct TokenResponse<'a> {
    access_token: &'a str,
    refresh_token: &'a str,
    #[schema(pattern = "^bearer$")]
    token_type: &'static str,
}

envelopes! {
    /// That a mail is on its way.
    SentCodeEnvelope, SuccessResponse_dict_, SentCode;
    /// That it is done.
    MessageEnvelope, SuccessResponse_Message_, Message;
    /// The tokens.
    TokenEnvelope, SuccessResponse_TokenResponse_, TokenResponse<'static>;
}

fn this_door<'a>(ctx: &'a Context, request: &'a Request) -> RequestContext<'a> {
    request_context(NAME, &ctx.node.config.api.unturned, request)
}

fn tokens(pair: &TokenPair) -> Response {
    let (access_token, refresh_token) = (pair.access.as_str(), pair.refresh.as_str());
    success(StatusCode::OK, TokenResponse { access_token, refresh_token, token_type: "bearer" })
}

/// Request email verification code (passwordless login).
///
/// The answer is the same for every address, and so is the time it takes.
#[utoipa::path(
    post,
    path = "/verification/send-code",
    operation_id = "send_code_auth_verification_send_code_post",
    request_body = SendCodeRequest,
    responses((status = 202, description = "A code is on its way, if the address can sign in.", body = SentCodeEnvelope)),
)]
pub(super) async fn send_code(ctx: Context, mut request: Request) -> Result<Response, Refusal> {
    let asked: SendCodeRequest = request.json().await?;
    let good = mailed_code::send_code(&ctx, &asked.email.0, this_door(&ctx, &request)).await?;
    let message = "If the address can sign in, a code is on its way.";
    Ok(success(StatusCode::ACCEPTED, SentCode { message, expires_in: good.as_secs() }))
}

/// Verify code and get JWT token.
///
/// The first code of an address makes its account, where registration is open. A code is good once, bears five wrong tries, and
/// stays as it is while only the second factor is missing or wrong.
#[utoipa::path(
    post,
    path = "/verification/verify-code",
    operation_id = "verify_code_auth_verification_verify_code_post",
    request_body = VerifyCodeRequest,
    responses((status = 200, description = "Signed in.", body = TokenEnvelope)),
)]
pub(super) async fn verify_code(ctx: Context, mut request: Request) -> Result<Response, Refusal> {
    let asked: VerifyCodeRequest = request.json().await?;
    let request_ctx = this_door(&ctx, &request);
    let pair = sign_in_with_code(&ctx, &asked.email.0, &asked.code, asked.totp_code.as_deref(), request_ctx).await?;
    Ok(tokens(&pair))
}

/// Refresh JWT token.
///
/// The answer's refresh token takes the place of the one that was handed in.
#[utoipa::path(
    post,
    path = "/verification/refresh-token",
    operation_id = "refresh_token_auth_verification_refresh_token_post",
    request_body = RefreshTokenRequest,
    responses((status = 200, description = "The tokens that take its place.", body = TokenEnvelope)),
)]
pub(super) async fn refresh_token(ctx: Context, mut request: Request) -> Result<Response, Refusal> {
    let asked: RefreshTokenRequest = request.json().await?;
    let owner = UserId::parse(&asked.user_uuid).ok_or(Error::RefreshNotInForce)?;
    let request_ctx = this_door(&ctx, &request);
    let pair = refresh(&ctx, &asked.refresh_token, Some(owner), RotationPolicy::Rotate, request_ctx).await?;
    Ok(tokens(&pair))
}

/// Revoke JWT token.
///
/// Ends the session. A token that is not ours, or no longer good, is as revoked as it can be.
#[utoipa::path(
    post,
    path = "/verification/revoke-token",
    operation_id = "revoke_token_auth_verification_revoke_token_post",
    request_body = RevokeTokenRequest,
    responses((status = 200, description = "It is over.", body = MessageEnvelope)),
)]
pub(super) async fn revoke_token(ctx: Context, mut request: Request) -> Result<Response, Refusal> {
    let asked: RevokeTokenRequest = request.json().await?;
    sign_out_token(&ctx, &asked.refresh_token).await?;
    Ok(success(StatusCode::OK, Message { message: "Token revoked." }))
}
